"""COPY_PAGES, an EXTENSION of the cross-domain protocol: damage copied on the host, out of guest pages.

The VM has a second virtio-gpu of the same host, MEMORY, that can import dmabufs.  The guest imports a
udmabuf there whose first page is its own and begins with KEY_SIZE secret bytes, and whose other pages are
a client's.  COPY_PAGES, submitted on a cross-domain context, names that resource by its number on
MEMORY and shows the key: whoever can't write the first page, another program of the same guest, can
have nothing copied from there.
"""

from struct import Struct
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import HEADER, Command
from crossdomain.errors import GuestFault

PAGE_SIZE: Final = 4096
"""Bytes of the first page: the client's begin behind it."""
KEY_SIZE: Final = 16

COPY_PAGES: Final = Struct("<8xII16sQQIIII")
"""destination (a resource of the context in host memory), source (of MEMORY), key, then of the plane: offset
in the destination, offset in the source, stride in the destination, stride in the source, bytes per block;
count.  64 bytes."""
RECTANGLE: Final = Struct("<iiii")
"""x, y, width, height in blocks; `count` of them follow."""


class CopyPages(NamedTuple):
    """The command; `rectangles` are those that are copied, each a RECTANGLE."""

    destination: int
    source: int
    key: bytes
    offset: int
    source_offset: int
    stride: int
    source_stride: int
    block_bytes: int
    rectangles: bytes


def encode_copy_pages(copy: CopyPages) -> bytes:
    """COPY_PAGES; at most as many rectangles as fit cmd_size."""
    body = COPY_PAGES.pack(*copy[:8], len(copy.rectangles) // RECTANGLE.size)[HEADER.size :]
    size = COPY_PAGES.size + len(copy.rectangles)
    return HEADER.pack(Command.COPY_PAGES, 0, size, 0) + body + copy.rectangles


def parse_copy_pages(command: memoryview) -> CopyPages:
    """COPY_PAGES.

    Raises:
        GuestFault: too short, or another number of rectangles than it says.
    """
    if len(command) < COPY_PAGES.size:
        raise GuestFault(f"COPY_PAGES of {len(command)} bytes")
    *fields, count = COPY_PAGES.unpack_from(command)
    destination, source, key, offset, source_offset, stride, source_stride, block_bytes = fields
    rectangles = bytes(command[COPY_PAGES.size :])
    if len(rectangles) != count * RECTANGLE.size:
        raise GuestFault(f"COPY_PAGES with {count} rectangles in {len(rectangles)} bytes")
    places = offset, source_offset, stride, source_stride
    return CopyPages(destination, source, key, *places, block_bytes, rectangles)
