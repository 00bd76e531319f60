"""A client's bytes that are not relayed yet.

They come in reads and go in batches.  One long buffer would be moved whole again and again while a client is
faster than the compositor; so they stay as they came, and only what is left of a message is moved.
"""

from collections import deque
from typing import Final

from launcher.relay.client_socket import RECEIVE_SIZE

_CHUNK: Final = RECEIVE_SIZE
"""Bytes from which on a chunk takes no more: it holds a whole message then, however small its reads were."""


class Backlog:
    """Begins with a message, or with what has come of one."""

    __slots__ = ("_chunks", "_size")

    def __init__(self) -> None:
        self._chunks: deque[bytes | bytearray] = deque()
        self._size = 0

    def __len__(self) -> int:
        """Returns how many bytes wait."""
        return self._size

    def append(self, data: bytes) -> None:
        """Adds what has been read."""
        self._size += len(data)
        if not self._chunks or len(self._chunks[-1]) >= _CHUNK:
            self._chunks.append(data)
        elif isinstance(last := self._chunks[-1], bytearray):
            last += data
        else:
            self._chunks[-1] = bytearray(last) + data

    def peek(self) -> bytes | bytearray:
        """Returns the first bytes, not to be changed: a whole message where there is one.  Some must wait."""
        return self._chunks[0]

    def advance(self, count: int) -> None:
        """Forgets so many of the bytes that `peek` returned, of which nobody has a view any more."""
        self._size -= count
        first = self._chunks.popleft()
        if count == len(first):
            return
        rest = first[count:]
        if len(rest) < _CHUNK and self._chunks:
            self._chunks[0] = rest + self._chunks[0]
        else:
            self._chunks.appendleft(rest)
