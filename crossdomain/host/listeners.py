"""The daemon's listening sockets, and who is known by which of them.

The two of the command line are there from start to end.  Those of `[vm.NAME]` sections come and go
with the configuration; one that can't be made costs that VM alone.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from crossdomain.errors import EnvironmentFault
from crossdomain.host.sockets import ListeningSocket

_log = logging.getLogger("crossdomain.host")

_RETRY_SECONDS: Final = 0.5
"""The process has no descriptor for a connection that waits: no event says when it has."""


class Door(NamedTuple):
    """Who comes in by a socket: VMs, their memory devices or local clients, of a `[vm.NAME]` or none."""

    is_local: bool
    vm: str | None = None
    is_memory: bool = False

    def __str__(self) -> str:
        key = "local_socket" if self.is_local else "socket"
        return f"vm.{self.vm}.{key}{' (memory)' if self.is_memory else ''}"


Accept = Callable[[Door, socket.socket], None]
"""Takes a new connection, which is the callee's."""


class Listeners:
    """A context manager: at its end all sockets are closed and removed."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._open: dict[Door, tuple[Path, ExitStack]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for door in list(self._open):
            self.close(door)

    def open(self, door: Door, path: Path) -> None:
        """Takes connections at `path`.

        Raises:
            EnvironmentFault: no socket can be made there.
        """
        with ExitStack() as stack:
            kind = socket.SOCK_SEQPACKET if door.is_local else socket.SOCK_STREAM
            listener = stack.enter_context(ListeningSocket(path, kind))
            stack.enter_context(accepting(listener.socket, lambda new: self._accept(door, new)))
            self._open[door] = path, stack.pop_all()

    def close(self, door: Door) -> None:
        """Takes no more connections there; those that were taken stay."""
        self._open.pop(door)[1].close()

    def update(self, wanted: Mapping[Door, Path]) -> None:
        """Has exactly the doors of sections that are wanted, as far as their sockets can be made."""
        for door, (path, _stack) in list(self._open.items()):
            if door.vm is not None and wanted.get(door) != path:
                self.close(door)
        for door, path in wanted.items():
            if door in self._open:
                continue
            try:
                self.open(door, path)
                _log.info("%s: listening at %s", door, path)
            except EnvironmentFault as fault:
                _log.error("%s: %s: %s", door, fault, fault.hint)


@contextlib.contextmanager
def accepting(listener: socket.socket, handle: Callable[[socket.socket], None]) -> Generator[None]:
    """Gives every connection of `listener` to `handle`, which owns it, while the block runs."""
    loop = asyncio.get_running_loop()
    retry: asyncio.TimerHandle | None = None

    def accept() -> None:
        nonlocal retry
        try:
            connection, _address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.warning("connections have to wait: %s", error.strerror)
            loop.remove_reader(listener)
            retry = loop.call_later(_RETRY_SECONDS, loop.add_reader, listener, accept)
            return
        handle(connection)

    loop.add_reader(listener, accept)
    try:
        yield
    finally:
        loop.remove_reader(listener)
        if retry is not None:
            retry.cancel()
