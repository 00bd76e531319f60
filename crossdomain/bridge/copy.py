"""Copies the damaged pixels of a buffer between a guest's file and memory of our own.

One side is mapped from a file that belongs to the guest's client, which may
truncate it at any time: the copy survives that (`crossdomain/native/copy.c`), the
client does not.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

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


class TruncatedFault(GuestFault):
    """The client's file ends before its buffer does.

    `copied` bytes were written before that; the first byte that is not there is at
    `offset` in the buffer.
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
    if not rectangles:
        return 0
    target = ffi.cast("uint8_t *", destination.address)
    origin = ffi.cast("uint8_t *", source.address)
    result = ffi.new("xd_copy_result *")
    copied = 0
    for plane in layout.planes:
        blocks = blocks_of(plane.format, rectangles)
        status = lib.xd_copy_rectangles(
            target,
            destination.size,
            origin,
            source.size,
            ffi.new("xd_plane *", (plane.offset, plane.stride, plane.format.block_bytes)),
            ffi.from_buffer("xd_rectangle[]", blocks),
            len(rectangles),
            result,
        )
        copied += result.copied
        if status == lib.XD_COPY_FAULT:
            raise TruncatedFault(copied, result.fault_offset)
        if status != lib.XD_COPY_OK:
            raise LocalError("a copy leaves its buffer")
    return copied


def blocks_of(plane: PlaneFormat, rectangles: tuple[Rectangle, ...]) -> bytes:
    """Returns the rectangles as C's xd_rectangle array, in blocks of the plane."""
    across, along = plane.block_width * plane.horizontal, plane.vertical
    numbers: list[int] = []
    for left, top, right, bottom in rectangles:
        first, row = left // across, top // along
        numbers += (first, row, -(-right // across) - first, -(-bottom // along) - row)
    try:
        return struct.pack(f"<{len(numbers)}i", *numbers)
    except struct.error as error:
        raise LocalError("a copy leaves its buffer") from error
