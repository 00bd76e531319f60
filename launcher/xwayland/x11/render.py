"""What it takes to make a cursor of coloured and transparent pixels: requests of RENDER and of the core.

Names are those of the X Rendering Extension, version 0.11, and of the X11 protocol; `major` is the
extension's opcode.
"""

import struct
from struct import pack
from typing import Final

_FORMATS: Final = 32
"""Offset of the first PICTFORMINFO in QueryPictFormats' reply."""
_FORMAT: Final = struct.Struct("<IBBxxHHHHHHHHI")
_DIRECT: Final = 1
_DEPTH: Final = 32
_ARGB_MASKS: Final = (16, 0xFF, 8, 0xFF, 0, 0xFF, 24, 0xFF)
"""Shifts and masks of red, green, blue and alpha."""
_Z_PIXMAP: Final = 2


def query_version(major: int) -> bytes:
    """QueryVersion of RENDER 0.11; others are refused before it."""
    return pack("<BBHII", major, 0, 3, 0, 11)


def query_pict_formats(major: int) -> bytes:
    """QueryPictFormats."""
    return pack("<BBH", major, 1, 1)


def find_argb(reply: bytes) -> int:
    """Returns the PICTFORMAT of 32-bit ARGB out of QueryPictFormats' reply, 0 where there is none."""
    (count,) = struct.unpack_from("<I", reply, 8)
    held = (len(reply) - _FORMATS) // _FORMAT.size
    for number in range(min(count, held)):
        identity, kind, depth, *masks, _ = _FORMAT.unpack_from(reply, _FORMATS + number * _FORMAT.size)
        if kind == _DIRECT and depth == _DEPTH and tuple(masks) == _ARGB_MASKS:
            return int(identity)
    return 0


def create_picture(major: int, picture: int, drawable: int, format_: int) -> bytes:
    """CreatePicture."""
    return pack("<BBHIIII", major, 4, 5, picture, drawable, format_, 0)


def free_picture(major: int, picture: int) -> bytes:
    """FreePicture."""
    return pack("<BBHI", major, 7, 2, picture)


def create_cursor(major: int, cursor: int, picture: int, spot: tuple[int, int]) -> bytes:
    """CreateCursor."""
    return pack("<BBHIIHH", major, 27, 4, cursor, picture, *spot)


def create_pixmap(pixmap: int, drawable: int, side: int) -> bytes:
    """CreatePixmap of depth 32, as wide as high."""
    return pack("<BBHIIHH", 53, _DEPTH, 4, pixmap, drawable, side, side)


def free_pixmap(pixmap: int) -> bytes:
    """FreePixmap."""
    return pack("<BBHI", 54, 0, 2, pixmap)


def create_gc(gc: int, drawable: int) -> bytes:
    """CreateGC as it comes."""
    return pack("<BBHIII", 55, 0, 4, gc, drawable, 0)


def free_gc(gc: int) -> bytes:
    """FreeGC."""
    return pack("<BBHI", 60, 0, 2, gc)


def put_image(pixmap: int, gc: int, side: int, pixels: bytes) -> bytes:
    """PutImage of a whole pixmap of depth 32, ZPixmap; `pixels` has four bytes for each."""
    length = 6 + len(pixels) // 4
    return pack("<BBHIIHHhhBBxx", 72, _Z_PIXMAP, length, pixmap, gc, side, side, 0, 0, 0, _DEPTH) + pixels
