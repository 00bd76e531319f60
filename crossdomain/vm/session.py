"""All that showing a guest's windows takes, put up and taken down as one: compositor, daemon, machine."""

import asyncio
import contextlib
import itertools
import math
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from crossdomain.errors import EnvironmentFault, LocalError
from crossdomain.vm import kvm
from crossdomain.vm.daemon import HostDaemon
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine, MachineConfig, Share
from crossdomain.vm.progress import Progress


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What the person at the command line decided."""

    image: Image
    memory: int = 1536
    cpus: int = 2
    accelerator: kvm.Accelerator = "auto"
    shares: tuple[Share, ...] = ()
    network: bool = False
    headless_size: tuple[int, int] = (1280, 800)
    name: str = "guest"
    """What the host calls the VM."""


class Session:
    """A compositor (the desktop's, or a headless one of our own), the daemon and a machine.

    `async with Session(config) as session:` puts them up in that order and takes them down in the other.

    Args:
        config: what to put up.
        report: is told how far that is, as `Progress.update` is.
    """

    def __init__(self, config: SessionConfig, report: Callable[[float, str], None] | None = None) -> None:
        self.config = config
        self._report: Callable[[float, str], None] = report or (lambda _fraction, _text: None)
        self.headless: HeadlessWeston | None = None
        """Our own compositor; None where windows are shown on the desktop."""
        self.boot_seconds = 0.0
        """How long the machine took to come up."""
        self.kvm = False
        """Whether the machine runs with KVM."""
        self._machine: Machine | None = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def machine(self) -> Machine:
        """The running machine; raises LocalError outside of `async with`."""
        if self._machine is None:
            raise LocalError("the session was not entered")
        return self._machine

    async def __aenter__(self) -> Self:
        try:
            await self._put_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _put_up(self) -> None:
        compositor = desktop_socket()
        self._report(0.0, "starting a compositor" if compositor is None else "looking for the compositor")
        if compositor is None:
            width, height = self.config.headless_size
            self.headless = HeadlessWeston(self.config.image, width=width, height=height)
            self._stack.callback(self.headless.stop)
            # In this thread, which Weston's life is tied to; it takes a second.
            self.headless.start()
            compositor = self.headless.socket_path
        self._report(0.1, "starting the host daemon")
        daemon = await self._stack.enter_async_context(HostDaemon(compositor, name=self.config.name))
        self._report(0.2, "trying KVM")
        self.kvm = await asyncio.to_thread(kvm.choose, self.config.image, self.config.accelerator)
        config = MachineConfig(
            self.config.image,
            memory=self.config.memory,
            cpus=self.config.cpus,
            kvm=self.kvm,
            gpu_socket=daemon.gpu_socket,
            shares=self.config.shares,
            network=self.config.network,
        )
        began = time.monotonic()
        ticker = asyncio.create_task(self._tick())
        try:
            self._machine = await self._start_machine(config)
        finally:
            ticker.cancel()
        self.boot_seconds = time.monotonic() - began

    async def _tick(self) -> None:
        """Show that the boot goes on; how long it takes depends on the machine, so its end is approached."""
        how = "with KVM" if self.kvm else "emulated"
        for second in itertools.count():
            self._report(1.0 - 0.7 * math.exp(-second / 15), f"booting, {how}")
            await asyncio.sleep(1.0)

    async def _start_machine(self, config: MachineConfig) -> Machine:
        try:
            return await self._stack.enter_async_context(Machine(config))
        except EnvironmentFault:
            if not config.kvm or self.config.accelerator == "kvm":
                raise
        # It ran a small guest, and yet not this one.
        self.kvm = False
        return await self._stack.enter_async_context(Machine(replace(config, kvm=False)))


@contextlib.asynccontextmanager
async def started(config: SessionConfig, stream: TextIO = sys.stderr) -> AsyncGenerator[Session]:
    """Enter a session with its progress shown on `stream`."""
    async with contextlib.AsyncExitStack() as stack:
        with Progress(stream, "virtual machine") as progress:
            session = await stack.enter_async_context(Session(config, progress.update))
        yield session


def desktop_socket() -> Path | None:
    """Return the socket of the desktop's compositor, None where there is no desktop.

    Raises:
        EnvironmentFault: WAYLAND_DISPLAY names a compositor that does not answer.
    """
    display = os.environ.get("WAYLAND_DISPLAY", "")
    if not display:
        return None
    path = Path(os.environ.get("XDG_RUNTIME_DIR", "/run/user/0")) / display
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except OSError as error:
        raise EnvironmentFault(
            f"no compositor answers at {path}: {error.strerror}",
            hint="unset WAYLAND_DISPLAY for a headless one",
        ) from error
    return path
