"""One listening socket: hands over whoever connects, as long as there are fds for them."""

import errno
import socket
from collections.abc import Callable
from typing import Final

from launcher import log
from launcher.loop import READABLE, Loop

_MAX_ACCEPTS: Final = 16
"""Clients of one round, so that those who are here already are served meanwhile."""
_NO_FDS_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Listens from the start; owns nothing."""

    def __init__(
        self,
        loop: Loop,
        listening: socket.socket,
        take_in: Callable[[socket.socket], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """`take_in` is given each client's socket; `failed` is called where nobody can come any more.

        `listening` does not block, and stays open until `stop`.
        """
        self._loop = loop
        self._socket = listening
        self._take_in = take_in
        self._failed = failed
        self._listening = False
        self.listen()

    def listen(self) -> None:
        """Goes on where it had stopped."""
        if not self._listening:
            self._loop.add(self._socket.fileno(), READABLE, self._handle)
            self._listening = True

    def stop(self) -> None:
        """Takes in nobody any more; may be called again."""
        if self._listening:
            self._loop.remove(self._socket.fileno())
            self._listening = False

    def _handle(self, _events: int) -> None:
        for _ in range(_MAX_ACCEPTS):
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self.stop()
                if error.errno in _NO_FDS_LEFT:
                    # It stays in the queue until somebody leaves; listening on would only spin.
                    log.warning(f"a client has to wait: {error.strerror}")
                else:
                    self._failed(error)
                return
            self._take_in(accepted)
