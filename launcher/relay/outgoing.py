"""A queue of bytes on which fds or identifiers ride, for streams that take them beside the bytes.

Both directions of the relay need the same rule: a message's attachments arrive with the
message's first byte or before it, never after, in their order, and only so many at a time.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from crossdomain.errors import LocalError

Attachment = TypeVar("Attachment")

MAX_ATTACHMENTS: Final = 28
"""Of one transfer: the arrays of a SEND, and libwayland's MAX_FDS_OUT, which its receiver relies on."""


class Outgoing(Generic[Attachment]):
    """Bytes and attachments that wait to be sent.

    `peek` shows the next transfer, `advance` forgets what of it was taken.
    """

    __slots__ = ("_attachments", "_begin", "_data", "_is_single")

    def __init__(self, is_single: Callable[[Attachment], bool] | None = None) -> None:
        """Of the attachments for which `is_single` holds, a transfer takes one at a time."""
        self._is_single = is_single
        self._data = bytearray()
        self._attachments: deque[tuple[int, Attachment]] = deque()
        self._begin = 0

    def __len__(self) -> int:
        """Returns the bytes that wait."""
        return len(self._data)

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Queues bytes."""
        self._data += data

    def attach(self, attachment: Attachment) -> None:
        """Queues an attachment of the message whose first byte is queued next."""
        self._attachments.append((self._begin + len(self._data), attachment))

    def peek(self, max_bytes: int) -> tuple[bytearray, list[Attachment]]:
        """Returns a copy of at most `max_bytes` bytes, and the attachments to send with them.

        Raises:
            LocalError: one message has more attachments than any transfer takes.
        """
        end = self._begin + min(len(self._data), max_bytes)
        taken: list[Attachment] = []
        has_single = False
        for position, attachment in self._attachments:
            if position >= end:
                break
            is_single = self._is_single is not None and self._is_single(attachment)
            if len(taken) == MAX_ATTACHMENTS or (is_single and has_single):
                end = position
                break
            has_single |= is_single
            taken.append(attachment)
        if end == self._begin and self._data:
            raise LocalError("a message with more attachments than a transfer takes")
        return self._data[: end - self._begin], taken

    def advance(self, sent: int, attachments: int) -> None:
        """Forgets the first `sent` bytes and the first attachments: they are on their way."""
        del self._data[:sent]
        self._begin += sent
        for _ in range(attachments):
            self._attachments.popleft()

    def clear(self) -> list[Attachment]:
        """Forgets everything; returns the attachments, which are the caller's to give up."""
        left = [attachment for _, attachment in self._attachments]
        self._attachments.clear()
        self._begin += len(self._data)
        self._data.clear()
        return left
