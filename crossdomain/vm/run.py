"""Runs one application in the machine as if it were started here: streams, signals, exit status."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Final

from crossdomain.errors import HostFault
from crossdomain.vm.guest import GuestProcess, StartFailed
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.session import Session

_SETTLE_SECONDS: Final = 2.0
"""Between a window's first appearance and its picture: applications draw in several steps."""

_POLL_SECONDS: Final = 0.2

_START_UP: Final = ("XDG_ACTIVATION_TOKEN", "DESKTOP_STARTUP_ID")
"""What a desktop gives a program that it starts, so that its first window comes to the front."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PATIENCE: Final = 3
"""Signals that an application may swallow; the next one takes the machine down."""


class Interruptions:
    """What SIGINT, SIGTERM and SIGHUP do: they go to the application, or take everything down in order.

    Made in the task that is to be cancelled where no application runs.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._passed_on = 0
        self.process: GuestProcess | None = None
        """The application, once it runs."""
        self.ended_by = 0
        """The signal that took everything down."""
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._handle, number)

    def _handle(self, number: int) -> None:
        process = self.process
        if process is not None and process.status is None and self._passed_on < _PATIENCE:
            self._passed_on += 1
            process.send_signal(number)
        elif self._task is not None:
            self.ended_by = number
            self._task.cancel()


def startup_environment() -> dict[str, str]:
    """Return what our own desktop gave us for the application's first window."""
    return {name: os.environ[name] for name in _START_UP if name in os.environ}


def run_to_end(work: Callable[[Interruptions], Coroutine[object, object, int]]) -> int:
    """Run `work` in a new event loop; returns its exit status, or 128 + the signal that ended it."""
    interruptions: list[Interruptions] = []

    async def main() -> int:
        interruptions.append(Interruptions())
        return await work(interruptions[0])

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        return 128 + interruptions[0].ended_by


async def run_application(
    session: Session,
    argv: Sequence[str],
    interruptions: Interruptions,
    *,
    environment: dict[str, str] | None = None,
    user: str,
    screenshot: Path | None = None,
) -> int:
    """Run `argv` through crossdomain-run in the session's machine; returns its exit status.

    Its output goes to our output as it comes, and our input to its input.

    Args:
        session: entered.
        argv: the application and its arguments.
        interruptions: gets the application, to pass signals on to it.
        environment: variables for it.
        user: whom it runs as, see `Machine.spawn`.
        screenshot: where to put a picture of our own compositor, once a window is there.
    """
    command = ["crossdomain-run", "--", *argv]
    try:
        process = await session.machine.spawn(command, env=environment, user=user)
    except StartFailed as error:
        raise HostFault(f"the guest cannot start crossdomain-run: {error}") from error
    interruptions.process = process
    tasks = [asyncio.create_task(_forward_input(process))]
    if screenshot is not None and session.headless is not None:
        tasks.append(asyncio.create_task(photograph_first_window(session.headless, screenshot)))
    try:
        outputs = asyncio.gather(
            _copy(process.stdout, sys.stdout.fileno()), _copy(process.stderr, sys.stderr.fileno())
        )
        status = await process.wait()
        # What its children still write is theirs alone.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(outputs, 0.5)
        return status
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def photograph_first_window(weston: HeadlessWeston, path: Path) -> None:
    """Wait for a window on `weston`, give it time to draw, and photograph the output."""
    while not any("window" in view.label for view in weston.seat.views()):
        await asyncio.sleep(_POLL_SECONDS)
    await asyncio.sleep(_SETTLE_SECONDS)
    await asyncio.to_thread(weston.screenshot, path)
    print(f"picture: {path}", file=sys.stderr)


async def _copy(stream: asyncio.StreamReader, fd: int) -> None:
    while data := await stream.read(1 << 16):
        view = memoryview(data)
        while view:
            # Our output may be a slow pipe: it must not stop the loop.
            view = view[await asyncio.to_thread(os.write, fd, view) :]


async def _forward_input(process: GuestProcess) -> None:
    """Give our standard input to the program."""
    fd = sys.stdin.fileno() if sys.stdin is not None else -1
    while fd >= 0:
        await _readable(fd)
        try:
            data = os.read(fd, 1 << 15)
        except OSError:  # a terminal that another program is in front of
            break
        if not data:
            break
        await process.write(data)
    process.close_input()


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(fd, ready.set)
    except OSError:
        return  # a file: always readable, and epoll refuses it
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
