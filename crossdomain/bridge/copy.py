"""Copies the damaged pixels of a buffer between a guest's file and memory of our own.

One side is mapped from a file that belongs to the guest's client, which may
truncate it at any time: the copy survives that (`crossdomain/native/copy.c`), the
client does not.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from crossdomain.abi.pages import RECTANGLE
from crossdomain.bridge.damage import Rectangle
from crossdomain.bridge.formats import Layout, PlaneFormat
from crossdomain.errors import GuestFault, LocalError
from crossdomain.native import ffi, lib


class Pixels(NamedTuple):
    """Memory that begins with a buffer's first byte: `size` bytes at `address`.

    Whoever makes one keeps them mapped while it is used
    (`crossdomain.native.system` has `FileMapping` and `address_of`).
    """

    address: int
    size: int

    def part(self, offset: int, size: int) -> "Pixels":
        """Returns `size` bytes from `offset` on; raises LocalError where they are not all here."""
        if not 0 <= offset <= offset + size <= self.size:
            raise LocalError(f"no {size} bytes at {offset} in memory of {self.size}")
        return Pixels(self.address + offset, size)


class Place(NamedTuple):
    """Where a plane lies: its first byte in `pixels`, and the bytes from row to row."""

    pixels: Pixels
    offset: int
    stride: int


class TruncatedFault(GuestFault):
    """The client's file ends before its buffer does.

    `copied` bytes were written before that, in whole rows; `offset` in the buffer is that of a byte which
    is not there.
    """

    def __init__(self, copied: int, offset: int) -> None:
        super().__init__(f"the file of a buffer was truncated: nothing at byte {offset}")
        self.copied = copied
        self.offset = offset


def copy_damage(destination: Pixels, source: Pixels, layout: Layout, damage: Iterable[Rectangle]) -> int:
    """Copies what the rectangles say from `source` to the same place in `destination`.

    The rectangles are px of the buffer and must lie inside it (`Region.clip`).
    Returns the bytes copied: for a format of one plane and whole bytes these are
    exactly the rectangles'; others are rounded outwards to their blocks.

    Raises TruncatedFault where a file is shorter than its mapping, and
    LocalError where a rectangle or the layout leaves one of the two.
    """
    rectangles = tuple(damage)
    copied = 0
    for plane in layout.planes:
        to, from_ = (Place(memory, plane.offset, plane.stride) for memory in (destination, source))
        try:
            copied += copy_plane(to, from_, plane.format, rectangles)
        except TruncatedFault as fault:
            raise TruncatedFault(copied + fault.copied, fault.offset) from None
    return copied


def copy_plane(
    destination: Place, source: Place, plane: PlaneFormat, rectangles: tuple[Rectangle, ...]
) -> int:
    """As `copy_damage`, for one plane, which may lie otherwise in the one than in the other."""
    if not rectangles:
        return 0
    blocks = blocks_of(plane, rectangles)
    strides = destination.stride, source.stride, plane.block_bytes
    result = ffi.new("xd_copy_result *")
    status = lib.xd_copy_rectangles(
        ffi.cast("uint8_t *", destination.pixels.address),
        destination.pixels.size,
        ffi.cast("uint8_t *", source.pixels.address),
        source.pixels.size,
        ffi.new("xd_plane *", (destination.offset, source.offset, *strides)),
        ffi.from_buffer("xd_rectangle[]", blocks),
        len(rectangles),
        result,
    )
    if status == lib.XD_COPY_FAULT:
        raise TruncatedFault(result.copied, result.fault_offset)
    if status != lib.XD_COPY_OK:
        raise LocalError("a copy leaves its buffer")
    return result.copied


def bytes_of(rectangles: bytes, block_bytes: int) -> int:
    """How many bytes are copied by C's xd_rectangle array, those of blocks that are named again included."""
    blocks = ffi.from_buffer("xd_rectangle[]", rectangles)
    return lib.xd_bytes_of(blocks, len(rectangles) // RECTANGLE.size, block_bytes)


def blocks_of(plane: PlaneFormat, rectangles: tuple[Rectangle, ...]) -> bytes:
    """Returns the rectangles as C's xd_rectangle array, in blocks of the plane."""
    across, along = plane.block_width * plane.horizontal, plane.vertical
    numbers: list[int] = []
    if across == along == 1:  # nearly every format
        numbers = [
            number
            for left, top, right, bottom in rectangles
            for number in (left, top, right - left, bottom - top)
        ]
    else:
        for left, top, right, bottom in rectangles:
            first, row = left // across, top // along
            numbers += (first, row, -(-right // across) - first, -(-bottom // along) - row)
    try:
        return struct.pack(f"<{len(numbers)}i", *numbers)
    except struct.error as error:
        raise LocalError("a copy leaves its buffer") from error
