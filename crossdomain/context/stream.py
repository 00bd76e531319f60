"""The compositor's byte stream on its way to the guest, cut into RECEIVEs.

How a guest pairs fds with messages: it appends the bytes and the fds of each RECEIVE to two
queues of its own, and a message takes its fds from the second when its last byte is there, as
libwayland does.  So an fd may come early but never late.  Here each message's fds go out with
its first byte, in order; a RECEIVE ends before the message whose fds would not fit its 28
identifiers; and a RECEIVE with fds always has bytes, because one without is a hang-up.
"""

from collections import deque
from typing import Final

from crossdomain.abi.cross_domain import SEND_RECEIVE_SIZE, Identifier, encode_receive
from crossdomain.limits import MAX_IDENTIFIERS

_SMALL: Final = 4096
"""Bytes up to which waiting chunks are joined: tiny ones take ten times their bytes."""


class EventStream:
    """A source of RECEIVEs; see `outbox.Source`."""

    __slots__ = ("_chunks", "_ended", "_ending", "pending", "queued")

    def __init__(self) -> None:
        self.queued = False
        self.pending = 0
        """Bytes that the guest has not fetched."""
        self._chunks: deque[tuple[memoryview, tuple[Identifier, ...]]] = deque()
        self._ending = False
        self._ended = False

    def append(self, data: memoryview, identifiers: tuple[Identifier, ...] = ()) -> None:
        """Bytes, with the at most 28 identifiers of the messages that begin in them."""
        if not data:
            return
        self.pending += len(data)
        if not identifiers and self._chunks and len(self._chunks[-1][0]) + len(data) <= _SMALL:
            before, earlier = self._chunks.pop()
            self._chunks.append((memoryview(bytes(before) + data), earlier))
        else:
            self._chunks.append((data, identifiers))

    def finish(self) -> None:
        """After what is pending comes one RECEIVE of 0 bytes, the hang-up, and nothing more."""
        self._ending = True

    def next_event(self, room: int) -> bytes | None:
        """As much of what is pending as fits into one RECEIVE of at most `room` bytes."""
        if not self._chunks:
            return self._hang_up()
        room -= SEND_RECEIVE_SIZE
        data, identifiers = self._chunks.popleft()
        if len(data) > room:
            self._chunks.appendleft((data[room:], ()))
            data = data[:room]
        self.pending -= len(data)
        if self._chunks and len(data) < room:
            return self._join(data, identifiers, room)
        return encode_receive(data, identifiers)

    def _join(self, first: memoryview, identifiers: tuple[Identifier, ...], room: int) -> bytes:
        """`first` and the following chunks, as long as they fit whole."""
        parts = [first]
        room -= len(first)
        while self._chunks:
            data, more = self._chunks[0]
            if len(data) > room or len(identifiers) + len(more) > MAX_IDENTIFIERS:
                break
            self._chunks.popleft()
            parts.append(data)
            identifiers += more
            room -= len(data)
            self.pending -= len(data)
        return encode_receive(b"".join(parts), identifiers)

    def _hang_up(self) -> bytes | None:
        if not self._ending or self._ended:
            return None
        self._ended = True
        return encode_receive(b"")
