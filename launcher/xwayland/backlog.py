"""What Xwayland has sent and nobody has handled yet, taken out of the socket's narrow room at once.

Xwayland ends where what it has to send finds no room (libwayland before 1.23 keeps 4 KiB itself).  The
sockets of an ordinary user hold 200 KiB: some hundred windows that come at once fill that within 15 ms,
in which we handle a few dozen of them.
"""

import resource
from collections import deque
from typing import Final

from launcher.relay.client_socket import ClientSocket

_MAX_BYTES: Final = 4 << 20
"""More is left in the socket: 10,000 windows at once are some 2 MiB."""
_MAX_FDS: Final = 2000
"""More are left in the socket, or less where this process may have few: each new window has one."""
_PART: Final = 4096
"""Bytes that are handled before the socket is looked at again, in 5 ms at most."""


class Backlog:
    """The bytes of one socket, in their order."""

    def __init__(self, connection: ClientSocket, max_fds: int = _MAX_FDS) -> None:
        """`connection` stays the caller's, and keeps the fds, some more than `max_fds` at most."""
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._has_ended = False
        self._max_fds = min(max_fds, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    def fill(self) -> None:
        """Takes what has arrived; at once where nothing has.

        Raises:
            GuestFault: more fds than this process may have.
        """
        while self._size < _MAX_BYTES and len(self._connection.fds) < self._max_fds and not self._has_ended:
            data = self._connection.receive()
            if data is None:
                return
            self._has_ended = not data
            self._chunks.append(data)
            self._size += len(data)

    def take(self) -> bytes | None:
        """Returns what is next, b"" at the end, None where there is nothing now."""
        if not self._chunks:
            return None
        first = self._chunks.popleft()
        if len(first) > _PART:
            self._chunks.appendleft(first[_PART:])
            first = first[:_PART]
        self._size -= len(first)
        return first
