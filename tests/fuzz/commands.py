"""Cross-domain commands of a fuzzer's choice: shaped well enough to get past the first check, or raw."""

import struct
from functools import cache
from typing import Final

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    Command,
    Identifier,
    IdentifierType,
    encode_init,
    encode_poll,
    encode_send,
    encode_share_ring,
    encode_write,
)
from crossdomain.abi.pages import (
    KEY_PREFIX,
    KEY_SIZE,
    PAGE_SIZE,
    CopyPages,
    ShowPages,
    ShowPlane,
    encode_claim_pages,
    encode_copy_pages,
    encode_expect_pages,
    encode_show_pages,
)
from crossdomain.abi.sync import encode_await_sync
from crossdomain.bridge.formats import formats
from crossdomain.context.images import FORMATS
from crossdomain.limits import MAX_IDENTIFIERS
from tests.fuzz.source import Source
from tests.unit.context.world import request

_HEADER = struct.Struct("<BBHI")
_FORMATS = sorted(FORMATS)
_SHM_FORMATS = sorted(formats())
_SHOWN_BUFFER: Final = 10
_POOL: Final = 3
"""The resource that a client's pool is made of."""
KEY: Final = KEY_PREFIX + bytes(KEY_SIZE - len(KEY_PREFIX))
"""What pages begin with that may be named by whoever shows it."""


def any_command(source: Source, rings: tuple[int, int]) -> bytes:
    """One command; `rings` are the resource ids that a well-behaved guest names in INIT."""
    match source.byte() % 11:
        case 0:
            return encode_init(*rings) if source.flag() else encode_init(source.number(8), source.number(8))
        case 1:
            return encode_poll()
        case 2 | 3 | 4:
            return _send(source)
        case 5 | 6:
            identifier = _identifier(source)
            return encode_write(identifier, source.any_block(256), hang_up=source.flag())
        case 7:
            size = struct.pack("<II", source.number(300), source.number(300))
            form = source.choice(_FORMATS) if source.flag() else source.word()
            return _shaped(Command.GET_IMAGE_REQUIREMENTS, size + struct.pack("<II", form, 0))
        case 8:
            return _extension(source)
        case 9:
            return source.choice(_SENDS)
        case _:
            return source.any_block() if source.flag() else _shaped(source.byte(), source.any_block(512))


def _shaped(cmd: int, body: bytes) -> bytes:
    return _HEADER.pack(cmd, 0, _HEADER.size + len(body), 0) + body


def _extension(source: Source) -> bytes:
    match source.byte() % 8:
        case 0:
            return _shaped(Command.GET_CLOCK, source.any_block(64))
        case 1:
            return encode_expect_pages()
        case 2:
            return encode_claim_pages(source.number(8))
        case 3:
            return encode_await_sync(source.number(8), source.byte())
        case 4 | 5:
            return _show(source)
        case 6:
            return encode_share_ring()
        case _:
            return _copy(source)


def _copy(source: Source) -> bytes:
    named = source.number(8), source.number(8), _key(source)
    places = _place(source), _place(source), source.number(16), source.number(16)
    rectangles = (
        struct.pack("<IIII", *(source.number(16) for _ in range(4))) for _ in range(source.byte() % 4)
    )
    return encode_copy_pages(CopyPages(*named, *places, source.number(9), b"".join(rectangles)))


def _show(source: Source) -> bytes:
    number, buffer_id, place, key = source.number(8), source.number(16), _place(source), _key(source)
    form = source.choice(_SHM_FORMATS) if source.byte() < 250 else source.word()
    size, stride = (source.number(64), source.number(64)), _stride(source)
    planes = tuple(
        ShowPlane(source.number(8), _stride(source), _place(source), _key(source))
        for _ in range(source.byte() % 3 if source.flag() else 0)
    )
    return encode_show_pages(ShowPages(number, buffer_id, place, key, form, *size, stride, planes))


def _key(source: Source) -> bytes:
    return KEY if source.byte() < 240 else source.block(KEY_SIZE).ljust(KEY_SIZE, b"\0")


def _place(source: Source) -> int:
    return 1024 * source.below(8) if source.byte() < 220 else source.number(PAGE_SIZE, 64)


def _stride(source: Source) -> int:
    return 256 * (source.byte() % 4) if source.byte() < 220 else source.number(255)


def _send(source: Source) -> bytes:
    count = source.byte() % 4 if source.byte() < 250 else MAX_IDENTIFIERS
    identifiers = tuple(
        Identifier(_identifier(source), source.choice(tuple(IdentifierType)), source.number(64))
        for _ in range(count)
    )
    return encode_send(source.any_block(), identifiers)


def _identifier(source: Source) -> int:
    return source.choice((0, FIRST_READ_PIPE)) + source.number(8) & 0xFFFFFFFF


@cache
def opening() -> tuple[bytes, ...]:
    """What a client says: the registry, and once the globals are there a surface, a pool and a source."""
    bind = [
        request("wl_registry", "bind", 2, number, name, 1, 2 + number)
        for number, name in (
            (1, "wl_compositor"),
            (2, "wl_shm"),
            (3, "wl_seat"),
            (4, "wl_data_device_manager"),
        )
    ]
    return (
        request("wl_display", "get_registry", 1, 2),
        b"".join(bind) + request("wl_compositor", "create_surface", 3, 7),
        request("wl_data_device_manager", "create_data_source", 6, 8)
        + request("wl_data_source", "offer", 8, "text/plain")
        + request("wl_shm", "create_pool", 4, 9, None, 64),
        request("wl_surface", "commit", 7) + request("wl_display", "sync", 1, 10),
    )


_POOLS: Final = 2
"""The part of `opening` that wants a file."""
_SENDS: Final = (
    *(encode_send(said) for said in opening()),
    encode_send(opening()[_POOLS], (Identifier(_POOL, IdentifierType.VIRTGPU_BLOB, 4096),)),
    encode_send(b"", (Identifier(FIRST_READ_PIPE, IdentifierType.READ_PIPE, 0),)),
    encode_send(opening()[_POOLS], (Identifier(1, IdentifierType.PAGES, 1),)),
    encode_send(
        request("wl_shm_pool", "create_buffer", 9, _SHOWN_BUFFER, 0, 1, 1, 256, 0)
        + request("wl_shm_pool", "destroy", 9)
        + request("wl_buffer", "destroy", _SHOWN_BUFFER)
    ),
    encode_send(request("wl_shm_pool", "create_buffer", 9, _SHOWN_BUFFER, 0, 2, 1, 256, 0)),
    encode_send(request("wl_shm_pool", "resize", 9, 8192)),
)


def asking(width: int, height: int, fourcc: bytes) -> bytes:
    """What makes `any_command` a GET_IMAGE_REQUIREMENTS; of less than 224 pixels each way."""
    return bytes([7, width, height, 1, _FORMATS.index(int.from_bytes(fourcc, "little"))])


def saying(part: int) -> bytes:
    """What makes `any_command` a SEND of this part of `opening`.

    4 is one with a pool's memory, 5 a pipe, 6 one whose pool is the first shown pages, 7 what is
    done with that pool, 8 and 9 what may not be done with it.
    """
    return bytes([9, part])


def expecting() -> bytes:
    """What makes `any_command` an EXPECT_PAGES."""
    return bytes([8, 1])


def claiming(number: int) -> bytes:
    """What makes `any_command` a CLAIM_PAGES."""
    return bytes([8, 2, number])


def sharing() -> bytes:
    """What makes `any_command` a SHARE_RING."""
    return bytes([8, 6])


def copying(destination: int, number: int, kib: int = 0) -> bytes:
    """What makes `any_command` a COPY_PAGES of one pixel, so far into the pages."""
    return bytes([8, 7, destination, number, 0, 0, 0, 0, kib, 8, 8, 1, 4, 0, 0, 1, 1])


def showing(number: int, kib: int = 0) -> bytes:
    """What makes `any_command` a SHOW_PAGES of one pixel there, for the buffer of `saying(7)`."""
    return bytes([8, 4, number, _SHOWN_BUFFER, 0, kib, 0, 0, 0, 1, 1, 0, 1, 0])
