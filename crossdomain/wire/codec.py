"""Encodes and decodes single messages of the Wayland wire format.

Pure functions over bytes.  A message is a header (u32 object id, u16 opcode, u16
size in bytes with the header) and arguments of 32-bit words in the machine's byte
order, which is little-endian on both sides here.  Fds have no bytes: they travel
beside the message.  The hot path does not come through here: it is
`crossdomain.wire`'s `Walker`.
"""

import struct
from typing import Final, NamedTuple, TypeAlias

from crossdomain.errors import LocalError
from crossdomain.limits import MAX_MESSAGE_SIZE
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.tables import Argument, ArgumentKind, Message

HEADER_SIZE: Final = 8
DISPLAY_ID: Final = 1
SERVER_ID_START: Final = 0xFF000000
"""Ids from here on are chosen by the compositor, those below by the client."""

Data: TypeAlias = bytes | bytearray | memoryview
"""What messages are read from."""

Value: TypeAlias = int | str | bytes | None
"""A decoded argument: str or None for strings (undecodable bytes as surrogates), bytes for
arrays, None for fds, otherwise int (fixed as the raw 24.8 number)."""

_HEADER: Final = struct.Struct("<IHH")
_INT: Final = struct.Struct("<i")
_UINT: Final = struct.Struct("<I")
_SIGNED: Final = frozenset({ArgumentKind.INT, ArgumentKind.FIXED})
_IDS: Final = frozenset({ArgumentKind.OBJECT, ArgumentKind.NEW_ID})


class Header(NamedTuple):
    """The first 8 bytes of a message; `size` counts them too."""

    object_id: int
    opcode: int
    size: int


def decode_header(data: Data, offset: int = 0) -> Header | None:
    """Returns the header at `offset`, or None where fewer than 8 bytes are there.

    Raises WireFault where the size can't be a message's.
    """
    view = memoryview(data)
    if len(view) - offset < HEADER_SIZE:
        return None
    object_id, opcode, size = _HEADER.unpack_from(view, offset)
    if size < HEADER_SIZE or size % 4:
        reason = f"invalid message size {size}, object {object_id}"
        raise WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, reason)
    return Header(object_id, opcode, size)


def split_messages(data: bytes) -> tuple[list[tuple[Header, bytes]], bytes]:
    """Returns the whole messages that `data` begins with, each with its header, and the bytes that are left.

    Raises:
        WireFault: a message has an impossible size.
    """
    messages: list[tuple[Header, bytes]] = []
    at = 0
    while (header := decode_header(data, at)) is not None and at + header.size <= len(data):
        messages.append((header, data[at : at + header.size]))
        at += header.size
    return messages, data[at:]


def decode_arguments(message: Message, data: Data, offset: int = 0) -> tuple[Value, ...]:
    """Returns the arguments of the message whose header is at `offset`.

    There is one value per entry of `message.arguments`.  Raises WireFault where the
    message is incomplete, too long, or holds what its signature does not allow.
    """
    header = decode_header(data, offset)
    if header is None:
        raise WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, "message too short")
    body = memoryview(data)[offset + HEADER_SIZE : offset + header.size]
    reader = _Reader(header.object_id, message, body)
    if len(body) != header.size - HEADER_SIZE:
        raise reader.fault("too short")
    values = tuple(reader.value(argument) for argument in message.arguments)
    if reader.position != len(body):
        raise reader.fault("too long")
    return values


def encode_message(message: Message, object_id: int, *values: Value) -> bytes:
    """Returns `message` to or from `object_id`, with one value per entry of `message.arguments`.

    Fds are given as None.  Raises LocalError where the values do not fit.
    """
    if len(values) != len(message.arguments):
        raise LocalError(f"{message.name} takes {len(message.arguments)} arguments")
    try:
        pairs = zip(message.arguments, values, strict=True)
        body = b"".join(_encode(argument, value) for argument, value in pairs)
        size = HEADER_SIZE + len(body)
        if size > MAX_MESSAGE_SIZE:
            raise LocalError(f"{message.name} of {size} bytes is too long")
        return _HEADER.pack(object_id, message.opcode, size) + body
    except (struct.error, TypeError) as error:
        raise LocalError(f"{message.name}: {error}") from error


def integer(value: Value) -> int:
    """Returns an argument that the signature says is a number; raises LocalError where it is not."""
    if not isinstance(value, int):
        raise LocalError(f"not a number: {value!r:.80}")
    return value


def text(value: Value) -> str:
    """Returns an argument that the signature says is a string; raises LocalError where it is not."""
    if not isinstance(value, str):
        raise LocalError(f"not a string: {value!r:.80}")
    return value


class _Reader:
    """Takes the arguments of one message from its body, one after the other."""

    def __init__(self, object_id: int, message: Message, body: memoryview) -> None:
        self.position = 0
        self._object_id = object_id
        self._message = message
        self._body = body

    def fault(self, reason: str) -> WireFault:
        reason = f"invalid arguments for {self._message.name}@{self._object_id}: {reason}"
        return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, reason)

    def value(self, argument: Argument) -> Value:
        if argument.kind is ArgumentKind.FD:
            return None
        if argument.kind is ArgumentKind.STRING:
            return self._string(nullable=argument.nullable)
        if argument.kind is ArgumentKind.ARRAY:
            return bytes(self._block(self._word(_UINT)))
        number = self._word(_INT if argument.kind in _SIGNED else _UINT)
        if number == 0 and argument.kind in _IDS and not argument.nullable:
            raise self.fault("null object")
        return number

    def _word(self, form: struct.Struct) -> int:
        if len(self._body) - self.position < 4:
            raise self.fault("too short")
        (word,) = form.unpack_from(self._body, self.position)
        self.position += 4
        return int(word)

    def _block(self, size: int) -> memoryview:
        """Takes `size` bytes and their padding to a whole word."""
        padded = (size + 3) & ~3
        if len(self._body) - self.position < padded:
            raise self.fault("too short")
        block = self._body[self.position : self.position + size]
        self.position += padded
        return block

    def _string(self, *, nullable: bool) -> str | None:
        size = self._word(_UINT)
        if size == 0:
            if not nullable:
                raise self.fault("null string")
            return None
        block = bytes(self._block(size))
        # libwayland reads C strings: a NUL inside would make us and it see different text.
        if block.find(b"\0") != size - 1:
            raise self.fault("string not terminated by its only NUL")
        return block[:-1].decode(errors="surrogateescape")


def _encode(argument: Argument, value: Value) -> bytes:
    match argument.kind:
        case ArgumentKind.FD:
            if value is not None:
                raise TypeError("an fd has no bytes")
            return b""
        case ArgumentKind.STRING:
            return _encode_string(value, nullable=argument.nullable)
        case ArgumentKind.ARRAY:
            if not isinstance(value, bytes):
                raise TypeError("an array is bytes")
            return _encode_block(value)
        case ArgumentKind.INT | ArgumentKind.FIXED:
            return _INT.pack(value)
        case ArgumentKind.OBJECT | ArgumentKind.NEW_ID:
            if not value and not argument.nullable:
                raise TypeError("null object")
            return _UINT.pack(value)
        case ArgumentKind.UINT:
            return _UINT.pack(value)


def _encode_string(value: Value, *, nullable: bool) -> bytes:
    if value is None and nullable:
        return _UINT.pack(0)
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("not a string for the wire")
    return _encode_block(value.encode(errors="surrogateescape") + b"\0")


def _encode_block(block: bytes) -> bytes:
    return _UINT.pack(len(block)) + block + bytes(-len(block) % 4)
