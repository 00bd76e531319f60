"""wl_shm: the client's pools stay here, each buffer has a mirror in memory of the host.

The compositor sees the client's own object ids.  The client's create_pool goes on as a
wl_display.sync with the pool's id, which keeps the place in the sequence of ids and is free
again at once; with that id every create_buffer then makes a pool of one buffer, the mirror, and
destroys it.  The delete_ids of these pools are ours; the client gets its own when none of ours
is to come any more.  So no pool is ever copied or mirrored whole, and attach, damage and commit
pass as they came (`surfaces` copies the damage before).
"""

import errno
import os
from struct import Struct
from typing import Final, Protocol

from crossdomain.abi.cross_domain import Identifier
from crossdomain.bridge.copy import Pixels, TruncatedFault, copy_damage
from crossdomain.bridge.damage import Rectangle, Region
from crossdomain.bridge.formats import BufferRequest, Layout, ShmError, check_buffer, formats
from crossdomain.native.system import FileMapping, address_of
from crossdomain.wire import Record, WireFault
from launcher.channel import Channel, SharedMemory
from launcher.relay import encode
from launcher.relay.messages import (
    DROP_EVENT,
    DROP_REQUEST,
    EventHandler,
    Host,
    RequestHandler,
    Route,
    ToClient,
    ToHost,
)
from launcher.relay.mirrors import Mirrors
from launcher.stats import ClientStats

_HEADER: Final = 8
_CREATE_POOL: Final = Struct("<Ii")
_CREATE_BUFFER: Final = Struct("<IiiiiI")
_RESIZE: Final = Struct("<i")
_FORMAT: Final = Struct("<I")


class Pool:
    """A client's pool: its file is mapped as long as the pool or a buffer of it exists."""

    __slots__ = ("_users", "mapping", "pool_id", "shm_id")

    def __init__(self, pool_id: int, shm_id: int, mapping: FileMapping) -> None:
        self.pool_id = pool_id
        self.shm_id = shm_id
        self.mapping = mapping
        self._users = 1

    def use(self) -> None:
        """A buffer was made of it."""
        self._users += 1

    def leave(self) -> None:
        """The pool object, or one of its buffers, is gone."""
        self._users -= 1
        if not self._users:
            self.mapping.close()


class Home(Protocol):
    """The surface that a buffer was committed to last."""

    def drop(self, buffer: "Buffer") -> None:
        """It is not here any more."""
        ...


class Buffer:
    """A client's wl_buffer and its mirror.

    `stale` is what the mirror lacks of the client's pixels; it may reach beyond the buffer.
    """

    __slots__ = (
        "_mirror",
        "_offset",
        "_pool",
        "_readers",
        "bits_per_pixel",
        "buffer_id",
        "home",
        "layout",
        "memory",
        "stale",
    )

    def __init__(self, buffer_id: int, pool: Pool, offset: int, layout: Layout, memory: SharedMemory) -> None:
        pool.use()
        self._pool = pool
        self._offset = offset
        self._mirror = Pixels(address_of(memory.buffer), memory.size)
        self._readers = 0
        self.buffer_id = buffer_id
        self.layout = layout
        self.memory: SharedMemory | None = memory
        self.bits_per_pixel = _bits_per_pixel(layout)
        self.home: Home | None = None
        self.stale = Region()
        self.forget()

    @property
    def is_idle(self) -> bool:
        """Whether the compositor has given back all that it was given."""
        return self._readers == 0

    def committed(self) -> None:
        """The compositor reads it from now on."""
        self._readers += 1

    def released(self) -> None:
        """The compositor does not read it any more."""
        self._readers = max(0, self._readers - 1)

    def forget(self) -> None:
        """Nothing in the mirror counts any more."""
        self.stale.clear()
        self.stale.add_rectangle(Rectangle(0, 0, self.layout.width, self.layout.height))

    def refresh(self) -> int:
        """Copies what is stale; returns the bytes copied.

        Raises:
            WireFault: the client has truncated its file.
        """
        if not self.stale or self.memory is None:
            return 0
        self.stale.clip(self.layout.width, self.layout.height)
        mapping = self._pool.mapping
        source = Pixels(mapping.address, mapping.size).part(self._offset, self.layout.size)
        try:
            copied = copy_damage(self._mirror, source, self.layout, self.stale)
        except TruncatedFault:
            text = "error accessing SHM buffer"
            raise WireFault(self.buffer_id, ShmError.INVALID_FD, text) from None
        self.stale.clear()
        return copied

    def leave(self) -> SharedMemory | None:
        """The client has destroyed it; returns its mirror, which is the caller's."""
        memory, self.memory = self.memory, None
        if self.home is not None:
            self.home.drop(self)
            self.home = None
        self._pool.leave()
        return memory


class Shm:
    """One client's pools and buffers; a `messages.Part`."""

    def __init__(self, host: Host, channel: Channel, stats: ClientStats) -> None:
        self._host = host
        self._mirrors = Mirrors(channel)
        self._stats = stats
        self._pools: dict[int, Pool] = {}
        self._buffers: dict[int, Buffer] = {}
        self._leaving_pools: set[int] = set()
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

    def close(self) -> None:
        """Gives up all memory."""
        for buffer in self._buffers.values():
            memory = buffer.leave()
            if memory is not None:
                memory.close()
        for pool in self._pools.values():
            pool.leave()
        self._mirrors.close()
        self._buffers.clear()
        self._pools.clear()

    def _handle_create_pool(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        pool_id, size = _CREATE_POOL.unpack_from(data, record.offset + _HEADER)
        (fd,) = fds
        try:
            if size <= 0:
                raise WireFault(record.object_id, ShmError.INVALID_STRIDE, f"invalid size ({size})")
            mapping = FileMapping(fd, size)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise
            text = f"failed mmap fd {fd}: {error.strerror}"
            raise WireFault(record.object_id, ShmError.INVALID_FD, text) from None
        finally:
            os.close(fd)
        self._pools[pool_id] = Pool(pool_id, record.object_id, mapping)
        self._own(pool_id)
        return ToHost(encode.sync(pool_id))

    def _handle_create_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        pool = self._pools[record.object_id]
        buffer_id, offset, width, height, stride, format_ = _CREATE_BUFFER.unpack_from(
            data, record.offset + _HEADER
        )
        layout = check_buffer(
            BufferRequest(pool.pool_id, pool.mapping.size, offset, width, height, stride, format_)
        )
        memory = self._mirrors.take(layout.size)
        self._buffers[buffer_id] = Buffer(buffer_id, pool, offset, layout, memory)
        self._stats.count_buffer("shm-copy")
        self._own(pool.pool_id)
        messages = (
            encode.create_pool(pool.shm_id, pool.pool_id, layout.size),
            encode.create_buffer(pool.pool_id, buffer_id, width, height, stride, format_),
            encode.destroy_pool(pool.pool_id),
        )
        return ToHost(b"".join(messages), (memory.identifier,))

    def _handle_resize(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        pool = self._pools[record.object_id]
        (size,) = _RESIZE.unpack_from(data, record.offset + _HEADER)
        if size < pool.mapping.size:
            raise WireFault(record.object_id, ShmError.INVALID_FD, "shrinking pool invalid")
        try:
            pool.mapping.resize(size)
        except OSError:
            raise WireFault(record.object_id, ShmError.INVALID_FD, "failed mremap") from None
        return DROP_REQUEST

    def _handle_destroy_pool(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        pool = self._pools.pop(record.object_id)
        pool.leave()
        self._leaving_pools.add(pool.pool_id)
        self._free_pool_id(pool.pool_id)
        if pool.shm_id in self._leaving_shms and not self._has_pools(pool.shm_id):
            self._leaving_shms.discard(pool.shm_id)
            return ToHost(encode.release_shm(pool.shm_id))
        return DROP_REQUEST

    def _handle_release_shm(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost | None:
        if not self._has_pools(record.object_id):
            return None
        # The mirrors of pools that are still there are made with it.
        self._leaving_shms.add(record.object_id)
        return DROP_REQUEST

    def _handle_destroy_buffer(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        buffer = self._buffers.pop(record.object_id, None)
        if buffer is None:
            return
        memory = buffer.leave()
        if memory is None:
            return
        if buffer.is_idle:
            self._mirrors.recycle(memory, buffer.layout.size)
        else:
            # The compositor may show it still: it keeps the memory, and nobody writes there again.
            memory.close()

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

    def _has_pools(self, shm_id: int) -> bool:
        return any(pool.shm_id == shm_id for pool in self._pools.values())

    def _own(self, pool_id: int) -> None:
        self._host.own(pool_id, lambda: self._free_pool_id(pool_id))

    def _free_pool_id(self, pool_id: int) -> None:
        """Tells the client that it may use the pool's id again, as soon as nothing of ours has it."""
        if pool_id in self._leaving_pools and not self._host.own_pending(pool_id):
            self._leaving_pools.discard(pool_id)
            self._host.delete_id(pool_id)


def _bits_per_pixel(layout: Layout) -> int:
    """Returns the bits of a pixel in all planes, for the counters."""
    formats_ = (plane.format for plane in layout.planes)
    return sum(
        8 * found.block_bytes // (found.block_width * found.horizontal * found.vertical) for found in formats_
    )
