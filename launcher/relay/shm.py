"""wl_shm: the client's pools stay here, the pixels of its buffers are mirrored in memory of the host.

Where the host has the same kernel and the pool is a memory file, the compositor gets the client's own file
instead, and all messages of it pass as they came: nothing is copied.  What follows is for all others.

The compositor sees the client's own object ids.  The client's pool lives here (`stand_ins`); with its
id every create_buffer makes a pool of one buffer on the host, the mirror, and destroys it.  So no
pool is ever copied or mirrored whole, and attach, damage and commit
pass as they came (`surfaces` copies the damage before).  A buffer that nobody refers to can be made
anew under its id at any time, and that is how it moves to another mirror (`sharing`).
"""

import errno
import os
from struct import Struct
from typing import Final

from crossdomain.abi.cross_domain import Identifier
from crossdomain.bridge.formats import BufferRequest, ShmError, check_buffer, formats
from crossdomain.bridge.memory_file import is_memory_file
from crossdomain.native.system import FileMapping
from crossdomain.wire import Record, WireFault
from launcher.channel import Channel, ImportedFile
from launcher.relay import encode
from launcher.relay.buffers import Buffer, Pool
from launcher.relay.messages import (
    DROP_EVENT,
    DROP_REQUEST,
    EventHandler,
    Host,
    RequestHandler,
    Route,
    ToClient,
    ToHost,
    message,
)
from launcher.relay.mirrors import Mirror, Mirrors
from launcher.relay.stand_ins import StandIns
from launcher.stats import ClientStats

_HEADER: Final = 8
_CREATE_POOL: Final = Struct("<Ii")
_CREATE_BUFFER: Final = Struct("<IiiiiI")
_RESIZE: Final = Struct("<i")
_FORMAT: Final = Struct("<I")
_LEAST_IMPORT: Final = 1 << 16
"""Bytes of a pool that is worth showing to the host: of a smaller one, a cursor's, the copy costs less."""


class Shm:
    """One client's pools and buffers; a `messages.Part`."""

    def __init__(self, host: Host, channel: Channel, stats: ClientStats) -> None:
        self._host = host
        self._channel = channel
        self._mirrors = Mirrors(host, channel)
        self._stats = stats
        self._pools: dict[int, Pool] = {}
        self._buffers: dict[int, Buffer] = {}
        self._imports: set[ImportedFile] = set()
        self._stand_ins = StandIns(host)
        self._leaving_shms: set[int] = set()

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("wl_shm", "create_pool"): self._handle_create_pool,
            ("wl_shm", "release"): self._handle_release_shm,
            ("wl_shm_pool", "create_buffer"): self._handle_create_buffer,
            ("wl_shm_pool", "destroy"): self._handle_destroy_pool,
            ("wl_shm_pool", "resize"): self._handle_resize,
            ("wl_buffer", "destroy"): self._handle_destroy_buffer,
        }

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {
            ("wl_shm", "format"): self._handle_format,
            ("wl_buffer", "release"): self._handle_release_buffer,
        }

    def buffer(self, buffer_id: int) -> Buffer | None:
        """Returns the buffer of that id; None where it is not one of wl_shm."""
        return self._buffers.get(buffer_id)

    def join(self, buffer: Buffer, mirror: Mirror) -> ToHost:
        """Moves a movable buffer into the mirror of another; returns what makes the host's anew."""
        spare_id = self._host.spare_id()
        for object_id in (buffer.buffer_id, spare_id):
            self._host.own(object_id, _nothing)
        made = _make(buffer, mirror, spare_id)
        self._give_back(buffer.move(mirror))
        return made._replace(data=encode.destroy_buffer(buffer.buffer_id) + made.data)

    def part(self, buffer: Buffer, mirror: Mirror, *, mapped: bool = False) -> ToHost:
        """Moves a movable buffer out of `mirror`, which somebody else uses, into one of its own.

        One that is `mapped` can be read and written here.
        """
        mapped = mapped or not buffer.has_pages
        return self.join(buffer, self._mirrors.take(mirror.layout, mapped=mapped))

    def close(self) -> None:
        """Gives up all memory."""
        for buffer in self._buffers.values():
            self._give_back(buffer.leave())
            buffer.pool.leave()
        for pool in self._pools.values():
            pool.leave()
        for pages in self._imports:
            pages.close()
        self._mirrors.close()
        self._buffers.clear()
        self._pools.clear()
        self._imports.clear()

    def _handle_create_pool(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        pool_id, size = _CREATE_POOL.unpack_from(data, record.offset + _HEADER)
        (fd,) = fds
        try:
            if size <= 0:
                raise WireFault(record.object_id, ShmError.INVALID_STRIDE, f"invalid size ({size})")
            held = min(size, os.fstat(fd).st_size)
            shared = self._channel.share_file(fd, held) if held and is_memory_file(fd) else None
            if shared is not None:
                # Nothing of the pool is ours then.
                self._host.when_sent(shared.close)
                return ToHost(message(record, data), (shared.identifier,))
            mapping = _map(record.object_id, fd, size)
            self._pools[pool_id] = Pool(pool_id, record.object_id, mapping, self._import(fd, held))
        finally:
            os.close(fd)
        return ToHost(self._stand_ins.create(pool_id))

    def _handle_create_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        pool = self._pools.get(record.object_id)
        if pool is None:
            self._stats.count_buffer("shm-shared")
            return None
        buffer_id, *rest = _CREATE_BUFFER.unpack_from(data, record.offset + _HEADER)
        request = BufferRequest(pool.pool_id, pool.mapping.size, *rest)
        layout = check_buffer(request)
        mapped = pool.pages is None or request.offset + layout.size > pool.pages.size
        mirror = self._mirrors.take(layout, mapped=mapped)
        buffer = self._buffers[buffer_id] = Buffer(buffer_id, pool, request, mirror)
        self._stats.count_buffer("shm-copy" if mapped else "shm-pages")
        self._stand_ins.own(pool.pool_id)
        return _make(buffer, mirror, pool.pool_id)

    def _handle_resize(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        pool = self._pools.get(record.object_id)
        if pool is None:
            return None
        (size,) = _RESIZE.unpack_from(data, record.offset + _HEADER)
        if size < pool.mapping.size:
            raise WireFault(record.object_id, ShmError.INVALID_FD, "shrinking pool invalid")
        try:
            pool.mapping.resize(size)
        except OSError:
            raise WireFault(record.object_id, ShmError.INVALID_FD, "failed mremap") from None
        return DROP_REQUEST

    def _handle_destroy_pool(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost | None:
        pool = self._pools.pop(record.object_id, None)
        if pool is None:
            return None
        self._leave(pool)
        self._stand_ins.leave(pool.pool_id)
        if pool.shm_id in self._leaving_shms and not self._has_pools(pool.shm_id):
            self._leaving_shms.discard(pool.shm_id)
            self._pin_all(pool.shm_id)
            return ToHost(encode.release_shm(pool.shm_id))
        return DROP_REQUEST

    def _handle_release_shm(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost | None:
        if not self._has_pools(record.object_id):
            self._pin_all(record.object_id)
            return None
        # The mirrors of pools that are still there are made with it.
        self._leaving_shms.add(record.object_id)
        return DROP_REQUEST

    def _handle_destroy_buffer(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        buffer = self._buffers.pop(record.object_id, None)
        if buffer is not None:
            self._give_back(buffer.leave())
            self._leave(buffer.pool)

    def _handle_format(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        # What we can't copy is not offered.
        (format_,) = _FORMAT.unpack_from(data, record.offset + _HEADER)
        return None if format_ in formats() else DROP_EVENT

    def _handle_release_buffer(
        self, record: Record, _data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        buffer = self._buffers.get(record.object_id)
        if buffer is not None:
            buffer.released()
        return None

    def _import(self, fd: int, size: int) -> ImportedFile | None:
        """Shows the host a pool's file, where that can be and pays."""
        copies = self._channel.host_copies
        if copies is None or size < _LEAST_IMPORT:
            return None
        pages = copies.import_file(fd, size)
        if pages is not None:
            self._imports.add(pages)
        return pages

    def _leave(self, pool: Pool) -> None:
        pages = pool.pages
        if pool.leave() and pages is not None:
            # It is on another ring than the copies out of it, which have to be over.
            self._host.when_seen(lambda: self._close_import(pages))

    def _close_import(self, pages: ImportedFile) -> None:
        self._imports.discard(pages)
        pages.close()

    def _give_back(self, mirror: Mirror | None) -> None:
        if mirror is not None:
            self._mirrors.give_back(mirror)

    def _pin_all(self, shm_id: int) -> None:
        """Without their wl_shm, buffers can't be made anew."""
        for buffer in self._buffers.values():
            buffer.pins += buffer.shm_id == shm_id

    def _has_pools(self, shm_id: int) -> bool:
        return any(pool.shm_id == shm_id for pool in self._pools.values())


def _map(shm_id: int, fd: int, size: int) -> FileMapping:
    try:
        return FileMapping(fd, size)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise
        text = f"failed mmap fd {fd}: {error.strerror}"
        raise WireFault(shm_id, ShmError.INVALID_FD, text) from None


def _make(buffer: Buffer, mirror: Mirror, pool_id: int) -> ToHost:
    """Returns what makes the host's wl_buffer; `pool_id` is free before and after it."""
    request = buffer.request
    messages = (
        encode.create_pool(buffer.shm_id, pool_id, mirror.layout.size),
        encode.create_buffer(
            pool_id, buffer.buffer_id, request.width, request.height, request.stride, request.format
        ),
        encode.destroy_pool(pool_id),
    )
    return ToHost(b"".join(messages), (mirror.memory.identifier,))


def _nothing() -> None:
    """An object of our own is gone, and nobody waited for that."""
