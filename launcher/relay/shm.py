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
from launcher.channel.seam import Channel
from launcher.relay import encode
from launcher.relay.buffers import Buffer, are_shown
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.imports import Imports
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
from launcher.relay.pools import Pool
from launcher.relay.stand_ins import StandIns
from launcher.stats import ClientStats

_HEADER: Final = 8
_CREATE_POOL: Final = Struct("<Ii")
_CREATE_BUFFER: Final = Struct("<IiiiiI")
_RESIZE: Final = Struct("<i")
_FORMAT: Final = Struct("<I")


class Shm:
    """One client's pools and buffers; a `messages.Part`."""

    def __init__(
        self, host: Host, channel: Channel, buffers: ClientBuffers, imports: Imports, stats: ClientStats
    ) -> None:
        """`buffers` and `imports` are the client's."""
        self._host = host
        self._channel = channel
        self._buffers = buffers
        self._imports = imports
        self._stats = stats
        self._stand_ins = StandIns(host)
        self._pools: dict[int, Pool] = {}
        self._leaving_shms: set[int] = set()

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("wl_shm", "create_pool"): self._handle_create_pool,
            ("wl_shm", "release"): self._handle_release_shm,
            ("wl_shm_pool", "create_buffer"): self._handle_create_buffer,
            ("wl_shm_pool", "destroy"): self._handle_destroy_pool,
            ("wl_shm_pool", "resize"): self._handle_resize,
        }

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {("wl_shm", "format"): self._handle_format}

    def close(self) -> None:
        """Gives up all memory."""
        for pool in self._pools.values():
            pool.leave()
        self._pools.clear()

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
            self._pools[pool_id] = Pool(pool_id, record.object_id, fd, mapping, self._imports)
        finally:
            os.close(fd)
        return ToHost(self._stand_ins.create(pool_id))

    def _handle_create_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        buffer_id, *rest = _CREATE_BUFFER.unpack_from(data, record.offset + _HEADER)
        pool = self._pools.get(record.object_id)
        if pool is None:
            self._stats.count_buffer("shm-shared")
            self._host.quieten(buffer_id)
            return None
        request = BufferRequest(pool.pool_id, pool.mapping.size, *rest)
        layout = check_buffer(request)
        planes = tuple(pool.planes(request, layout))
        mapped = not are_shown(planes, layout)
        mirror = self._buffers.mirrors.take(layout, mapped=mapped)
        buffer = Buffer(buffer_id, pool, request, planes, mirror)
        buffer.path = "shm-copy" if mapped else "shm-pages"
        self._stand_ins.own(pool.pool_id)
        return self._buffers.add(buffer_id, buffer, pool.pool_id)

    def _handle_resize(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        pool = self._pools.get(record.object_id)
        if pool is None:
            return None
        (size,) = _RESIZE.unpack_from(data, record.offset + _HEADER)
        if size < pool.mapping.size:
            raise WireFault(record.object_id, ShmError.INVALID_FD, "shrinking pool invalid")
        self._buffers.recall_all()
        try:
            pool.resize(size)
        except OSError:
            raise WireFault(record.object_id, ShmError.INVALID_FD, "failed mremap") from None
        return DROP_REQUEST

    def _handle_destroy_pool(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost | None:
        pool = self._pools.pop(record.object_id, None)
        if pool is None:
            return None
        pool.leave()
        self._stand_ins.leave(pool.pool_id)
        if pool.shm_id in self._leaving_shms and not self._has_pools(pool.shm_id):
            self._leaving_shms.discard(pool.shm_id)
            self._buffers.pin_all(pool.shm_id)
            return ToHost(encode.release_shm(pool.shm_id))
        return DROP_REQUEST

    def _handle_release_shm(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost | None:
        if not self._has_pools(record.object_id):
            self._buffers.pin_all(record.object_id)
            return None
        # The mirrors of pools that are still there are made with it.
        self._leaving_shms.add(record.object_id)
        return DROP_REQUEST

    def _handle_format(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        # What we can't copy is not offered.
        (format_,) = _FORMAT.unpack_from(data, record.offset + _HEADER)
        return None if format_ in formats() else DROP_EVENT

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
