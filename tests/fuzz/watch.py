"""What must hold after every execution: nothing is left open, no callback failed, no task goes on."""

import asyncio
import atexit
import gc
import os
import selectors
import time
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, TypeVar

from crossdomain.context.selector import PortSelector

_T = TypeVar("_T")

TURNS: Final = 4
"""Of the loop, that an event gets to arrive."""
_PATIENCE_SECONDS: Final = 5.0
_NAP_SECONDS: Final = 0.01


class Ports(PortSelector):
    """What a worker's loop waits with; but here nobody waits, unless it is for an end."""

    patience = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready."""
        if timeout is None or timeout > self.patience:
            timeout = self.patience
        return super().select(timeout)


class Loop(asyncio.SelectorEventLoop):
    """A loop that is turned by hand: starting and stopping one for every step was most of the time."""

    # asyncio's, for as long as there has been one
    _run_once: Callable[[], None]
    _process_events: Callable[[list[tuple[selectors.SelectorKey, int]]], None]
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self.ports = Ports()
        """For whoever has C carry what needs no Python."""
        super().__init__(self.ports)

    def turn(self) -> None:
        """One round: what is ready, once, as `_run_once` does it where there are no timers."""
        if self._scheduled:
            self._run_once()
            return
        ready = self._ready
        events = self.ports.select(0.0 if ready else None)
        if events:
            self._process_events(events)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def complete(self, steps: Coroutine[Any, Any, _T], seconds: float) -> _T:
        """Turns until a coroutine has ended; what it returns.

        Raises:
            AssertionError: it has not, in time.
            BaseException: what it raised.
        """
        events._set_running_loop(self)
        try:
            task = self.create_task(steps)
            self.wait_for(task, seconds)
            return task.result()
        finally:
            events._set_running_loop(None)

    def wait_for(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Turns until the task is done.

        Raises:
            AssertionError: it is not, in time.
        """
        deadline = time.monotonic() + seconds
        self.ports.patience = _NAP_SECONDS
        while not task.done():
            assert time.monotonic() < deadline, f"{task} does not end"
            self.turn()
        self.ports.patience = 0.0


class Watch:
    """One loop for all executions of a target: a loop for each would be most of the time."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.ports = self.loop.ports
        atexit.register(self.loop.close)  # while what it waits with is still there
        self._failures: list[BaseException] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._circles: list[object] = []
        self._lowest = _lowest_free_fd()
        self.loop.set_exception_handler(self._note)
        self.loop.set_task_factory(self._start)

    def run(self, execution: Callable[[], None]) -> None:
        """One execution, for which this loop is the running one.

        Raises:
            AssertionError: it left something behind.
            BaseException: what it, or a callback of the loop, raised.
        """
        events._set_running_loop(self.loop)
        try:
            execution()
            self.loop.turn()
        finally:
            events._set_running_loop(None)
        if self._failures:
            failures, self._failures = self._failures, []
            raise failures[0]
        tasks, self._tasks = self._tasks, []
        left = [task for task in tasks if not task.done()]
        assert not left, f"tasks go on: {left}"
        if _lowest_free_fd() != self._lowest:
            gc.collect()  # what only a cycle holds is not lost
        lowest = _lowest_free_fd()
        assert lowest == self._lowest, (
            f"descriptor {self._lowest} is open, and {lowest} the lowest that is not"
        )
        circles, self._circles = self._circles, []
        for part in circles:
            vars(part).clear()

    def take_apart(self, *parts: object) -> None:
        """These refer to each other in circles, and nobody needs them after this execution.

        Finding such circles was a quarter of the time.
        """
        self._circles.extend(parts)

    def turn(self, count: int) -> None:
        """Lets the loop handle what has arrived."""
        for _ in range(count):
            self.loop.turn()

    def finish(self, task: asyncio.Task[None]) -> None:
        """Turns the loop until the task is done, and raises what it raises.

        Raises:
            AssertionError: it takes too long.
        """
        for _ in range(TURNS):
            if not task.done():
                self.loop.turn()
        try:
            self.loop.wait_for(task, _PATIENCE_SECONDS)
            task.result()
        finally:
            del task  # which has the exception, which has this frame

    def _start(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any]
    ) -> asyncio.Task[Any]:
        assert isinstance(coroutine, Coroutine)
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop)
        self._tasks.append(task)
        return task

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._failures.append(error if isinstance(error, BaseException) else AssertionError(str(context)))


async def turn(count: int = TURNS) -> None:
    """Lets the running loop handle what has arrived."""
    for _ in range(count):
        await asyncio.sleep(0)


def _lowest_free_fd() -> int:
    # The kernel gives out the lowest: one that stayed open, or was closed twice, shows here.
    fd = os.dup(0)
    os.close(fd)
    return fd
