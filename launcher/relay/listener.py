"""One listening socket: hands over whoever connects, as long as there are fds for them."""

import errno
import socket
from collections.abc import Callable
from typing import Final

from launcher import log
from launcher.loop import READABLE, Loop, Timer

_MAX_ACCEPTS: Final = 16
"""Clients of one round, so that those who are here already are served meanwhile."""
RETRY_SECONDS: Final = 1.0
"""How long a client waits for an fd that nobody tells of."""
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
        self._retry: Timer | None = None
        """Where somebody waits for an fd."""
        self._has_warned = False
        self.listen()

    def listen(self) -> None:
        """Goes on where it had stopped."""
        self._forget_retry()
        if not self._listening:
            self._loop.add(self._socket.fileno(), READABLE, self._handle)
            self._listening = True

    def stop(self) -> None:
        """Takes in nobody any more; may be called again."""
        self._forget_retry()
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
                    self._wait(error)
                else:
                    self._failed(error)
                return
            self._has_warned = False
            self._take_in(accepted)

    def _wait(self, error: OSError) -> None:
        """Leaves a client in the queue for now: listening on would only spin."""
        if not self._has_warned:
            log.warning(f"a client has to wait: {error.strerror}")
            self._has_warned = True
        self._retry = self._loop.call_later(RETRY_SECONDS, self.listen)

    def _forget_retry(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()
