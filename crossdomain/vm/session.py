"""All that showing a guest's windows takes, put up and taken down as one: compositor, daemon, machine."""

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import kvm
from crossdomain.vm.daemon import HostDaemon
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine, MachineConfig, Share


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


class Session:
    """A compositor (the desktop's, or a headless one of our own), the daemon and a machine.

    `async with Session(config) as session:` puts them up in that order and takes them down in the other.
    """

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
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
        """The running machine."""
        assert self._machine is not None, "the session was not entered"
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
        if compositor is None:
            width, height = self.config.headless_size
            self.headless = HeadlessWeston(self.config.image, width=width, height=height)
            self._stack.callback(self.headless.stop)
            # In this thread, which Weston's life is tied to; it takes a second.
            self.headless.start()
            compositor = self.headless.socket_path
        daemon = await self._stack.enter_async_context(HostDaemon(compositor))
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
        self._machine = await self._start_machine(config)
        self.boot_seconds = time.monotonic() - began

    async def _start_machine(self, config: MachineConfig) -> Machine:
        try:
            return await self._stack.enter_async_context(Machine(config))
        except EnvironmentFault:
            if not config.kvm or self.config.accelerator == "kvm":
                raise
        # It ran a small guest, and yet not this one.
        self.kvm = False
        return await self._stack.enter_async_context(Machine(replace(config, kvm=False)))


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
