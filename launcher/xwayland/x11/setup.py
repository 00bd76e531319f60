"""The connection set-up of the X protocol (X11 protocol, "Connection Setup")."""

import struct
from typing import Final, NamedTuple

from crossdomain.errors import HostFault

AUTHORITY_NAME: Final = b"MIT-MAGIC-COOKIE-1"
_LITTLE_ENDIAN: Final = 0x6C
_SUCCESS: Final = 1
_PREFIX: Final = 8
_FIXED: Final = struct.Struct("<IIIIHHBBBBBBBBI")
"""release, resource-id-base and -mask, motion-buffer-size, lengths of vendor and of requests, numbers
of screens and formats, image and bitmap orders, bitmap unit and pad, keycodes, padding."""
_SCREEN: Final = struct.Struct("<IIIIIHHHHHHIBBBB")
"""root, colormap, white, black, events, sizes in px and mm, installed maps, visual, stores, depth, depths."""
_FORMAT_SIZE: Final = 8


class Setup(NamedTuple):
    """What the server says of itself; sizes in px."""

    resource_id_base: int
    resource_id_mask: int
    root: int
    root_visual: int
    root_depth: int
    width: int
    height: int


def encode_setup(cookie: bytes) -> bytes:
    """Returns the first bytes of a connection, with the cookie of its authority."""
    header = struct.pack("<BxHHHHxx", _LITTLE_ENDIAN, 11, 0, len(AUTHORITY_NAME), len(cookie))
    return header + _padded(AUTHORITY_NAME) + _padded(cookie)


def setup_size(data: bytes | bytearray) -> int:
    """Returns the bytes of the server's answer, as far as `data`, its beginning, tells."""
    if len(data) < _PREFIX:
        return _PREFIX
    return _PREFIX + 4 * int.from_bytes(data[6:8], "little")


def parse_setup(data: bytes | bytearray) -> Setup:
    """Returns what a whole answer says.

    Raises HostFault where the server refuses us.
    """
    if data[0] != _SUCCESS:
        reason = bytes(data[_PREFIX : _PREFIX + data[1]])
        raise HostFault(f"the X server refuses the window manager: {reason!r:.200}")
    try:
        fixed = _FIXED.unpack_from(data, _PREFIX)
        vendor, formats = fixed[4], fixed[7]
        offset = _PREFIX + _FIXED.size + (vendor + 3 & ~3) + formats * _FORMAT_SIZE
        screen = _SCREEN.unpack_from(data, offset)
    except struct.error:
        raise HostFault("the X server's set-up is truncated") from None
    return Setup(fixed[1], fixed[2], screen[0], screen[11], screen[14], screen[5], screen[6])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
