"""Listening sockets of the guest's own sandboxes, such as Flatpak's, which clients have given us.

Whoever connects there is a client with fewer rights (`Services.open_sandbox`).  Such a socket is listened
to until its other fd hangs up (wp_security_context_manager_v1.create_listener), also when the client that
gave it has left.
"""

import os
import socket
from collections.abc import Callable
from typing import NamedTuple

from crossdomain.errors import LimitExceeded
from crossdomain.limits import MAX_SANDBOXES
from launcher import log
from launcher.loop import Loop
from launcher.relay.listener import Listener


class _Sandbox(NamedTuple):
    app_id: str
    listening: socket.socket
    listener: Listener


class Sandboxes:
    """All of a launcher's."""

    def __init__(self, loop: Loop, take_in: Callable[[socket.socket], None]) -> None:
        """`take_in` is given the socket of each client out of a sandbox."""
        self._loop = loop
        self._take_in = take_in
        self._open: dict[int, _Sandbox] = {}
        """By the fd that closes it."""

    def open(self, listening: socket.socket, close_fd: int, app_id: str) -> None:
        """Listens until `close_fd` hangs up; both are owned from now on, also where it raises.

        Raises:
            LimitExceeded: there are too many.
            OSError: one of them can't be waited for.
        """
        try:
            if len(self._open) >= MAX_SANDBOXES:
                raise LimitExceeded(f"more than {MAX_SANDBOXES} security contexts")
            listening.setblocking(False)
            self._loop.add(close_fd, 0, lambda _events: self._end(close_fd))
        except BaseException:
            listening.close()
            os.close(close_fd)
            raise
        listener = Listener(self._loop, listening, self._take_in, lambda _error: self._end(close_fd))
        self._open[close_fd] = _Sandbox(app_id, listening, listener)
        log.info(f"listening for the sandbox of {app_id!r:.100}")

    def listen(self) -> None:
        """There are fds again for clients that wait."""
        for sandbox in self._open.values():
            sandbox.listener.listen()

    def close(self) -> None:
        """Ends all of them."""
        for close_fd in tuple(self._open):
            self._end(close_fd)

    def _end(self, close_fd: int) -> None:
        sandbox = self._open.pop(close_fd)
        sandbox.listener.stop()
        sandbox.listening.close()
        self._loop.remove(close_fd)
        os.close(close_fd)
        log.info(f"no more listening for the sandbox of {sandbox.app_id!r:.100}")
