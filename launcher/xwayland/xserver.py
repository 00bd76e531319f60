"""The Xwayland process: started on our sockets, ended with us."""

import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from crossdomain.errors import EnvironmentFault
from launcher import log
from launcher.loop import READABLE, Loop

PROGRAM: Final = "Xwayland"
_LINGER_SECONDS: Final = 2
"""How long it waits for another client after its last one: scripts run one small program after the other."""
_KEPT_LINES: Final = 10
_KEPT_CHARACTERS: Final = 300
_PIPE: Final = 1 << 16
"""Bytes that a pipe holds, pipe(7): after its end, one read gets all."""
_SO_SNDBUFFORCE: Final = 32
_ON_ITS_WAY: Final = 16 << 20
"""Bytes that Xwayland may have sent before we read them, as far as the system allows that many."""
_NOISE: Final = ("The XKEYBOARD keymap compiler", "> ", "Errors from xkbcomp")
"""How lines begin in which it tells, at every start, that X has no names for some keys."""


class Sockets(NamedTuple):
    """Our ends of the connections to an Xwayland; the owner closes them."""

    wayland: socket.socket
    """It is the client."""
    window_manager: socket.socket
    """It is the server."""


class Xwayland:
    """A running Xwayland."""

    def __init__(self, loop: Loop, ended: Callable[[int], None]) -> None:
        """`ended` is called with its exit status, negative for a signal, when it has ended by itself."""
        self._loop = loop
        self._ended = ended
        self._pid = 0
        self._pidfd = -1
        self._output = -1
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._partial = b""

    @property
    def last_words(self) -> list[str]:
        """The last lines that it printed: why it ended, where it did not want to."""
        return list(self._said)

    def start(
        self, display: int, listeners: Sequence[int], authority: str, options: Sequence[str] = ()
    ) -> Sockets:
        """Starts it for an X display, with the listening sockets of that; they stay the caller's.

        Raises EnvironmentFault where it can't be run.
        """
        wayland, wayland_client = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        manager, manager_server = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        _widen(wayland_client)
        with wayland_client, manager_server:
            inherited = [wayland_client.fileno(), manager_server.fileno(), *listeners]
            command = [PROGRAM, f":{display}", "-rootless", "-auth", authority, *options]
            command += ["-terminate", str(_LINGER_SECONDS)]
            command += ["-wm", str(manager_server.fileno())]
            for listener in listeners:
                command += ["-listenfd", str(listener)]
            environment = {**os.environ, "WAYLAND_SOCKET": str(wayland_client.fileno())}
            try:
                self._spawn(command, environment, inherited)
            except OSError as error:
                wayland.close()
                manager.close()
                raise EnvironmentFault(
                    f"{PROGRAM} can't be run: {error.strerror}", hint="install the package xwayland"
                ) from None
        return Sockets(wayland, manager)

    def stop(self) -> None:
        """Ends it, and waits until it is gone."""
        if self._pidfd < 0:
            return
        self._loop.remove(self._pidfd)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._reap()

    def _spawn(self, command: list[str], environment: Mapping[str, str], inherited: Sequence[int]) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for fd in inherited:
            os.set_inheritable(fd, True)
        try:
            self._pid = os.posix_spawnp(
                PROGRAM,
                command,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_DUP2, writing, 2)],
                setsigdef=(signal.SIGPIPE,),
                setsigmask=(),
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            for fd in inherited:
                os.set_inheritable(fd, False)
        self._output = reading
        self._loop.add(reading, READABLE, self._handle_output)
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.add(self._pidfd, READABLE, self._handle_end)

    def _handle_output(self, _events: int) -> None:
        """Keeps what it prints."""
        with suppress(BlockingIOError):
            data = os.read(self._output, _PIPE)
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                text = line[:_KEPT_CHARACTERS].decode(errors="replace")
                log.debug(f"{PROGRAM}: {text}")
                if text and not text.startswith(_NOISE):
                    self._said.append(text)
            self._partial = self._partial[:_KEPT_CHARACTERS]
            if not data:
                self._close_output()

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove(self._output)
            os.close(self._output)
            self._output = -1

    def _handle_end(self, _events: int) -> None:
        self._loop.remove(self._pidfd)
        if self._output >= 0:
            self._handle_output(READABLE)
        self._ended(self._reap())

    def _reap(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        self._pidfd = -1
        self._close_output()
        return os.waitstatus_to_exitcode(status)


def _widen(connection: socket.socket) -> None:
    """Lets more be on its way: libwayland ends a client that has fds to send and finds no room for them."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ON_ITS_WAY)
    except OSError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ON_ITS_WAY)
