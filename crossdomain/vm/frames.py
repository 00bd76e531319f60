"""How the host and the agent in the guest talk: frames over one virtio-serial port.

A frame is a header of 12 bytes (kind, process, length of the payload) and the payload.  `process` is
chosen by the host and names one program for its whole life.  Both directions of a program's data are
held to a window, so that a stream that nobody reads stops its own program and nothing else.

The guest imports this module too: nothing here imports more than struct.
"""

import struct
from typing import Final, NamedTuple

# To the guest.
SPAWN: Final = 1
"""Start a program.  Payload: `pack_strings` of user, directory, argument count, arguments, NAME=VALUE..."""
INPUT: Final = 2
"""Bytes for the program's standard input."""
INPUT_END: Final = 3
"""Close the program's standard input, after what was sent before."""
SIGNAL: Final = 4
"""Payload: the signal's number, and 1 for the whole session of the program or 0 for itself."""
CREDIT_OUTPUT: Final = 5
"""The host took this many bytes of OUTPUT or ERRORS.  Payload: `COUNT` of the kind and the bytes."""
POWER_OFF: Final = 6
"""End all programs and switch the machine off."""

# To the host.
READY: Final = 0x81
"""Sent once, when the guest is set up.  Payload: text about it."""
STARTED: Final = 0x87
"""The program runs."""
FAILED: Final = 0x82
"""The program could not be started.  Payload: `COUNT` of the errno and 0, and a text."""
OUTPUT: Final = 0x83
"""Bytes of the program's standard output; without payload, its end."""
ERRORS: Final = 0x84
"""Bytes of the program's standard error; without payload, its end."""
EXITED: Final = 0x85
"""The program ended, and all that it wrote before was sent.  Payload: `COUNT` of its wait status and 0."""
CREDIT_INPUT: Final = 0x86
"""The program took this many bytes of its input.  Payload: `COUNT` of 0 and the bytes."""

WINDOW: Final = 1 << 18
"""Bytes of one stream that may be under way and not yet credited."""

CHUNK: Final = 1 << 15
"""Bytes of one data frame at most: small enough that a command does not wait long behind a stream."""

PORT: Final = "crossdomain.agent"
"""The name of the virtio-serial port."""

COUNT: Final = struct.Struct("<II")
_HEADER: Final = struct.Struct("<B3xII")

MAX_PAYLOAD: Final = 1 << 20
"""Bytes of a payload: a command line with its environment is the largest; more means a broken stream."""


class Frame(NamedTuple):
    """One message."""

    kind: int
    process: int
    payload: bytes


class FrameError(Exception):
    """The stream holds something that is no frame."""


def encode_frame(kind: int, process: int, payload: bytes = b"") -> bytes:
    """Return the bytes of one frame."""
    return _HEADER.pack(kind, process, len(payload)) + payload


def take_frames(buffer: bytearray) -> list[Frame]:
    """Remove all whole frames from the start of `buffer` and return them.

    Raises:
        FrameError: a length is out of bounds; the stream cannot be used any more.
    """
    frames: list[Frame] = []
    offset = 0
    while len(buffer) - offset >= _HEADER.size:
        kind, process, length = _HEADER.unpack_from(buffer, offset)
        if length > MAX_PAYLOAD:
            raise FrameError(f"a payload of {length} bytes")
        end = offset + _HEADER.size + length
        if len(buffer) < end:
            break
        frames.append(Frame(kind, process, bytes(buffer[offset + _HEADER.size : end])))
        offset = end
    del buffer[:offset]
    return frames


def pack_strings(strings: list[str]) -> bytes:
    """Encode strings, each with its length; undecodable bytes of file names survive."""
    parts: list[bytes] = []
    for string in strings:
        data = string.encode("utf-8", "surrogateescape")
        parts += (struct.pack("<I", len(data)), data)
    return b"".join(parts)


def unpack_strings(payload: bytes) -> list[str]:
    """Decode what `pack_strings` made.

    Raises:
        FrameError: a length reaches beyond the payload.
    """
    strings: list[str] = []
    offset = 0
    while offset < len(payload):
        if offset + 4 > len(payload):
            raise FrameError("a string's length is cut")
        (length,) = struct.unpack_from("<I", payload, offset)
        end = offset + 4 + length
        if end > len(payload):
            raise FrameError("a string is cut")
        strings.append(payload[offset + 4 : end].decode("utf-8", "surrogateescape"))
        offset = end
    return strings
