"""COPY_PAGES and its kin, EXTENSIONS of the cross-domain protocol: guest pages that the host reads.

The VM has a second virtio-gpu of the same host, MEMORY, that can import dmabufs.  The guest imports a
udmabuf there whose first page is its own and begins with KEY_SIZE secret bytes, and whose other pages are
a client's.  COPY_PAGES, submitted on a cross-domain context, names that resource by its number on
MEMORY and shows the key: whoever can't write the first page, another program of the same guest, can
have nothing copied from there.

A dmabuf that somebody else has made has no page for a key.  Such a resource belongs to the one context
that expected it: EXPECT_PAGES before the guest imports it, CLAIM_PAGES with its number afterwards, which
says whether it does.  Both are answered in the query ring, and the guest waits for the answers.  A
context that expects owns each resource that the host gets to see meanwhile, unless another one expects,
too: then nobody does, and the guest has to copy for itself.  So a program that expects all the time gets
nothing of anybody's, because whoever imports expects as well.  What begins with KEY_PREFIX, as all keys
do, belongs to nobody: it is opened by its key alone.  For what a context owns the key does not matter.

SHOW_PAGES asks for less than a copy: the compositor reads the pages themselves, as a dmabuf.  It names them
in the same way, and says which image lies there; further planes may be elsewhere, also in other resources.
The answer in the query ring is a SHOWN.  Where that says YES, its identifier is good for one
wl_shm.create_pool: the pool is one of these pages, and the one buffer that can be made of it is that image.
The host makes the dmabuf's messages out of the pool's, for which it needs an id beside the pool's own: that
of the buffer, which names another object of the compositor's before it names the buffer, so that it is
deleted (wl_display.delete_id) once more than the guest's own messages make one think.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import HEADER, QUERY_RING, Buffer, Command
from crossdomain.errors import GuestFault, HostFault

PAGE_SIZE: Final = 4096
"""Bytes of the first page: the client's begin behind it."""
KEY_SIZE: Final = 16
KEY_PREFIX: Final = b"xdk\1"
"""What a key begins with; the rest is secret."""

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


EXPECT_PAGES: Final = Struct("<8x")
CLAIM_PAGES: Final = Struct("<8xII")
"""source (of MEMORY), pad."""
CLAIMED: Final = Struct("<II")
"""The answer to either: 1, and whether the resource is this context's (0 of EXPECT_PAGES)."""


def encode_expect_pages() -> bytes:
    """EXPECT_PAGES."""
    return HEADER.pack(Command.EXPECT_PAGES, QUERY_RING, EXPECT_PAGES.size, 0)


def encode_claim_pages(source: int) -> bytes:
    """CLAIM_PAGES."""
    body = CLAIM_PAGES.pack(source, 0)[HEADER.size :]
    return HEADER.pack(Command.CLAIM_PAGES, QUERY_RING, CLAIM_PAGES.size, 0) + body


def parse_claim_pages(command: memoryview) -> int:
    """CLAIM_PAGES; returns the source.

    Raises:
        GuestFault: of another size.
    """
    if len(command) != CLAIM_PAGES.size:
        raise GuestFault(f"CLAIM_PAGES of {len(command)} bytes")
    return int(CLAIM_PAGES.unpack(command)[0])


def encode_claimed(*, is_own: bool) -> bytes:
    """The answer to EXPECT_PAGES and CLAIM_PAGES."""
    return CLAIMED.pack(1, is_own)


def parse_claimed(answer: Buffer) -> bool | None:
    """The answer to either, at the start of the query ring; None where the command was refused."""
    done, is_own = CLAIMED.unpack_from(answer)
    return bool(is_own) if done else None


SHOW_PAGES: Final = Struct("<8xIIQ16sIIII")
"""source (of MEMORY), id of the wl_buffer to be, offset of the image in the source, key; then the image's
format as wl_shm numbers it, width, height (px) and stride (bytes).  56 bytes; a SHOW_PLANE for each plane
but the first follows."""
SHOW_PLANE: Final = Struct("<IIQ16s")
"""source, stride, offset in the source, key.  32 bytes."""
SHOWN: Final = Struct("<II")
"""A Verdict, and the identifier where that is YES.  Zeroes where the command was refused."""


class Verdict(IntEnum):
    """Whether the compositor reads an image in place."""

    REFUSED = 0
    """The command was a mistake."""
    NO = 1
    """It does not, and asking again would not help."""
    ASKING = 2
    """It is not known yet: ask again, at the next frame."""
    YES = 3


class ShowPlane(NamedTuple):
    """Where a plane is that is not the first."""

    source: int
    stride: int
    source_offset: int
    key: bytes


class ShowPages(NamedTuple):
    """The command."""

    source: int
    buffer_id: int
    source_offset: int
    key: bytes
    format: int
    width: int
    height: int
    stride: int
    planes: tuple[ShowPlane, ...] = ()
    """All but the first."""


class Shown(NamedTuple):
    """The answer; the identifier is 0 where the verdict is not YES."""

    verdict: Verdict
    identifier: int = 0


def encode_show_pages(show: ShowPages) -> bytes:
    """SHOW_PAGES."""
    body = SHOW_PAGES.pack(*show[:8])[HEADER.size :]
    planes = b"".join(SHOW_PLANE.pack(*plane) for plane in show.planes)
    return HEADER.pack(Command.SHOW_PAGES, QUERY_RING, SHOW_PAGES.size + len(planes), 0) + body + planes


def parse_show_pages(command: memoryview) -> ShowPages:
    """SHOW_PAGES.

    Raises:
        GuestFault: of another size.
    """
    planes = command[SHOW_PAGES.size :]
    if len(command) < SHOW_PAGES.size or len(planes) % SHOW_PLANE.size:
        raise GuestFault(f"SHOW_PAGES of {len(command)} bytes")
    others = tuple(ShowPlane(*fields) for fields in SHOW_PLANE.iter_unpack(planes))
    return ShowPages(*SHOW_PAGES.unpack_from(command))._replace(planes=others)


def encode_shown(shown: Shown) -> bytes:
    """The answer to SHOW_PAGES."""
    return SHOWN.pack(*shown)


def parse_shown(answer: Buffer) -> Shown:
    """The answer to SHOW_PAGES, at the start of the query ring.

    Raises:
        HostFault: it is none that this version knows.
    """
    verdict, identifier = SHOWN.unpack_from(answer)
    try:
        return Shown(Verdict(verdict), identifier)
    except ValueError:
        raise HostFault(f"the host answered SHOW_PAGES with {verdict}") from None
