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
    encode_write,
)
from crossdomain.context.images import FORMATS
from crossdomain.limits import MAX_IDENTIFIERS
from tests.fuzz.source import Source
from tests.unit.context.world import request

_HEADER = struct.Struct("<BBHI")
_FORMATS = sorted(FORMATS)
_EXTENSIONS = (Command.GET_CLOCK, Command.COPY_PAGES)
_POOL: Final = 3
"""The resource that a client's pool is made of."""


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
            return _shaped(source.choice(_EXTENSIONS), source.any_block(128))
        case 9:
            return source.choice(_SENDS)
        case _:
            return source.any_block() if source.flag() else _shaped(source.byte(), source.any_block(512))


def _shaped(cmd: int, body: bytes) -> bytes:
    return _HEADER.pack(cmd, 0, _HEADER.size + len(body), 0) + body


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
)


def asking(width: int, height: int, fourcc: bytes) -> bytes:
    """What makes `any_command` a GET_IMAGE_REQUIREMENTS; of less than 224 pixels each way."""
    return bytes([7, width, height, 1, _FORMATS.index(int.from_bytes(fourcc, "little"))])


def saying(part: int) -> bytes:
    """What makes `any_command` a SEND of this part of `opening`; 4 is one with a pool's memory, 5 a pipe."""
    return bytes([9, part])
