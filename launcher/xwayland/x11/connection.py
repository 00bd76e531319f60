"""One connection to the X server, sans-IO: bytes in, events and replies out, requests as bytes.

Errors are nothing special: windows of other clients disappear at any instant, so most requests
may fail, and whoever cares says so (`failed`).
"""

import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from crossdomain.errors import HostFault

_ERROR: Final = 0
_REPLY: Final = 1
_GENERIC_EVENT: Final = 35
_UNIT: Final = 32
"""Bytes of an error, an event, and of a reply without its data."""
_MAX_RESPONSE: Final = 1 << 26
"""Bytes of one reply: what is asked for never has more (`limits`), so the stream is broken then."""
_SEQUENCE_LIMIT: Final = 0x8000
"""Requests without a reply in a row: sequence numbers have 16 bits, so that more could not be told apart."""
_GET_INPUT_FOCUS: Final = struct.pack("<BBH", 43, 0, 1)
"""The smallest request that has a reply."""

Reply: TypeAlias = Callable[[bytes], None]
"""Takes a whole reply."""


class XError(NamedTuple):
    """One X error."""

    code: int
    major_opcode: int
    minor_opcode: int
    resource: int


Failed: TypeAlias = Callable[[XError], None]


class _Waiting(NamedTuple):
    sequence: int
    reply: Reply | None
    failed: Failed | None
    lasts: bool = False


class Connection:
    """An X connection after its set-up."""

    def __init__(self, handle_event: Callable[[bytes], None]) -> None:
        """`handle_event` gets each event, whole."""
        self._handle_event = handle_event
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._sent = 0
        self._answered = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def outgoing(self) -> bytearray:
        """Requests that are not on their way yet; who sends them deletes them."""
        return self._outgoing

    def request(self, data: bytes, failed: Failed | None = None) -> None:
        """Sends a request that has no reply."""
        if self._sent - self._answered >= _SEQUENCE_LIMIT:
            self.ask(_GET_INPUT_FOCUS, _ignore)
        self._outgoing += data
        self._sent += 1
        if failed is not None:
            self._waiting.append(_Waiting(self._sent, None, failed))

    def ask(self, data: bytes, reply: Reply, failed: Failed | None = None, *, lasts: bool = False) -> None:
        """Sends a request whose reply is given to `reply`; one that `lasts`, the last, has any number."""
        self._outgoing += data
        self._sent += 1
        self._answered = self._sent
        self._waiting.append(_Waiting(self._sent, reply, failed, lasts))

    def receive(self, data: bytes) -> None:
        """Takes bytes of the server's.

        Raises HostFault where they make no sense.
        """
        self._incoming += data
        position = 0
        try:
            while len(self._incoming) - position >= _UNIT:
                size = self._size(position)
                if len(self._incoming) - position < size:
                    break
                response = bytes(self._incoming[position : position + size])
                position += size
                self._handle(response)
        finally:
            del self._incoming[:position]

    def _size(self, position: int) -> int:
        kind = self._incoming[position] & 0x7F
        if kind not in (_REPLY, _GENERIC_EVENT):
            return _UNIT
        size = _UNIT + 4 * int.from_bytes(self._incoming[position + 4 : position + 8], "little")
        if size > _MAX_RESPONSE:
            raise HostFault(f"the X server sent a response of {size} bytes")
        return size

    def _handle(self, response: bytes) -> None:
        kind = response[0]
        if kind not in (_ERROR, _REPLY):
            self._handle_event(response)
            return
        waiting = self._find(int.from_bytes(response[2:4], "little"))
        if waiting is None:
            return
        if kind == _REPLY and waiting.reply is not None:
            waiting.reply(response)
        elif kind == _ERROR and waiting.failed is not None:
            waiting.failed(_parse_error(response))

    def _find(self, sequence: int) -> _Waiting | None:
        """Returns who waits for the answer to a request, and forgets who waited for earlier ones."""
        while self._waiting:
            # Compared as 16-bit numbers that may have wrapped around.
            behind = (sequence - self._waiting[0].sequence) & 0xFFFF
            if behind >= _SEQUENCE_LIMIT:
                return None
            waiting = self._waiting[0]
            if behind or not waiting.lasts:
                self._waiting.popleft()
            if behind == 0:
                return waiting
        return None


def _parse_error(response: bytes) -> XError:
    _, code, _, resource, minor, major = struct.unpack_from("<BBHIHB", response)
    return XError(code, major, minor, resource)


def _ignore(_reply: bytes) -> None:
    return
