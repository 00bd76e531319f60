"""The messages that the relay itself sends, as bytes.

Written out, not through `crossdomain.wire.codec`: they are few, have fixed layouts, and some
are on the path of every new buffer.  A test compares them with the tables.
"""

from struct import Struct
from typing import Final

DISPLAY_ID: Final = 1

_SYNC: Final = Struct("<IHHI")
SYNC_SIZE: Final = _SYNC.size
"""Bytes of `sync`."""
_DELETE_ID: Final = Struct("<IHHI")
_CREATE_POOL: Final = Struct("<IHHIi")
_CREATE_BUFFER: Final = Struct("<IHHIiiiiI")
_NO_ARGUMENTS: Final = Struct("<IHH")
_ATTACH: Final = Struct("<IHHIii")


def sync(callback_id: int) -> bytes:
    """wl_display.sync."""
    return _SYNC.pack(DISPLAY_ID, 0, _SYNC.size, callback_id)


def delete_id(object_id: int) -> bytes:
    """wl_display.delete_id."""
    return _DELETE_ID.pack(DISPLAY_ID, 1, _DELETE_ID.size, object_id)


def create_pool(shm_id: int, pool_id: int, size: int) -> bytes:
    """wl_shm.create_pool; its fd goes beside it.  `size` in bytes."""
    return _CREATE_POOL.pack(shm_id, 0, _CREATE_POOL.size, pool_id, size)


def create_buffer(
    pool_id: int, buffer_id: int, width: int, height: int, stride: int, format_: int, *, offset: int = 0
) -> bytes:
    """wl_shm_pool.create_buffer; px, px, bytes."""
    size = _CREATE_BUFFER.size
    return _CREATE_BUFFER.pack(pool_id, 0, size, buffer_id, offset, width, height, stride, format_)


def destroy_pool(pool_id: int) -> bytes:
    """wl_shm_pool.destroy."""
    return _NO_ARGUMENTS.pack(pool_id, 1, _NO_ARGUMENTS.size)


def destroy_buffer(buffer_id: int) -> bytes:
    """wl_buffer.destroy."""
    return _NO_ARGUMENTS.pack(buffer_id, 0, _NO_ARGUMENTS.size)


def release_buffer(buffer_id: int) -> bytes:
    """wl_buffer.release, an event."""
    return _NO_ARGUMENTS.pack(buffer_id, 0, _NO_ARGUMENTS.size)


def release_shm(shm_id: int) -> bytes:
    """wl_shm.release (since 2)."""
    return _NO_ARGUMENTS.pack(shm_id, 1, _NO_ARGUMENTS.size)


def show_nothing(surface_id: int) -> bytes:
    """wl_surface.attach of no buffer, and wl_surface.commit."""
    attach = _ATTACH.pack(surface_id, 1, _ATTACH.size, 0, 0, 0)
    return attach + _NO_ARGUMENTS.pack(surface_id, 6, _NO_ARGUMENTS.size)


def display_error(object_id: int, code: int, text: str) -> bytes:
    """wl_display.error; text beyond 1000 bytes is cut."""
    string = text.replace("\0", "?").encode(errors="replace")[:1000] + b"\0"
    padded = string + bytes(-len(string) % 4)
    size = 20 + len(padded)
    return Struct("<IHHIII").pack(DISPLAY_ID, 0, size, object_id, code, len(string)) + padded
