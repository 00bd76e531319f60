"""A virtio-gpu driver in Python: what Linux does with the two virtqueues, with every mistake possible."""

import asyncio
import os
import struct
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from crossdomain.abi import virtio_gpu as abi
from tests.fakes.guest_ram import PAGE, GuestRam
from tests.fakes.patience import in_time

_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_DESC = struct.Struct("<QIHH")


class Response(NamedTuple):
    """What the device answered."""

    type: int
    flags: int
    fence_id: int
    ctx_id: int
    ring_idx: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is one of VIRTIO_GPU_RESP_OK_*."""
        return abi.VIRTIO_GPU_RESP_OK_NODATA <= self.type < abi.VIRTIO_GPU_RESP_ERR_UNSPEC


class Descriptor(NamedTuple):
    """One entry of a descriptor table."""

    address: int
    length: int
    flags: int = 0
    next: int = 0


class _Pending(NamedTuple):
    answer: "asyncio.Future[bytes]"
    room: int
    buffers: list[tuple[int, int]]
    answer_at: int


class GuestQueue:
    """One split virtqueue as a driver keeps it."""

    def __init__(self, ram: GuestRam, size: int) -> None:
        self.ram = ram
        self.size = size
        self.descriptors = ram.allocate(16 * size)
        self.available = ram.allocate(6 + 2 * size)
        self.used = ram.allocate(6 + 8 * size)
        self.kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.call = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.error = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.indirect = True
        """Whether chains are put into tables of their own (VIRTIO_F_INDIRECT_DESC)."""
        self.hostile = False
        """Whether chains come back that were written by hand, which nobody waits for."""
        self.kicks_wanted = True
        """Whether the driver kicks at all."""
        self.kicks_sent = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pending: dict[int, _Pending] = {}
        self.restart()

    def restart(self) -> None:
        """An empty ring, as a driver makes it at its start."""
        self.ram.write(self.descriptors, bytes(16 * self.size))
        self.ram.write(self.available, bytes(6 + 2 * self.size))
        self.ram.write(self.used, bytes(6 + 8 * self.size))
        self._free = list(range(self.size))
        self._available_index = 0
        self._used_index = 0
        for pending in self._pending.values():
            pending.answer.cancel()
        self._pending.clear()

    @property
    def under_way(self) -> int:
        """Chains without an answer."""
        return len(self._pending)

    def post(self, readable: Sequence[bytes], room: int) -> "asyncio.Future[bytes]":
        """Makes one chain available and kicks: `readable` buffers, then `room` bytes for the answer."""
        ram = self.ram
        table: list[Descriptor] = []
        buffers: list[tuple[int, int]] = []
        for data in readable:
            address = ram.allocate(len(data))
            ram.write(address, data)
            buffers.append((address, len(data)))
            table.append(Descriptor(address, len(data)))
        answer_at = ram.allocate(room)
        buffers.append((answer_at, room))
        ram.write(answer_at, bytes(room))
        if room:
            table.append(Descriptor(answer_at, room, _WRITE))
        head = self._place(table, buffers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[head] = _Pending(answer, room, buffers, answer_at)
        self.expose(head)
        return answer

    def write_descriptor(self, index: int, descriptor: Descriptor) -> None:
        """Writes one entry of the ring's own table."""
        self.ram.write(self.descriptors + 16 * index, _DESC.pack(*descriptor))

    def expose(self, head: int) -> None:
        """Puts a head into the available ring and, where the device wants it, kicks."""
        slot = self._available_index % self.size
        self.ram.write(self.available + 4 + 2 * slot, struct.pack("<H", head))
        self.set_available_index(self._available_index + 1)
        if self.kicks_wanted and not self.kicks_suppressed():
            self.send_kick()

    def set_available_index(self, index: int) -> None:
        """Writes the available index, any value."""
        self._available_index = index & 0xFFFF
        self.ram.write(self.available + 2, struct.pack("<H", self._available_index))

    def suppress_interrupts(self, suppressed: bool) -> None:
        """VIRTQ_AVAIL_F_NO_INTERRUPT."""
        self.ram.write(self.available, struct.pack("<H", int(suppressed)))

    def kicks_suppressed(self) -> bool:
        """VIRTQ_USED_F_NO_NOTIFY."""
        return bool(self.ram.read(self.used, 2)[0] & 1)

    def send_kick(self) -> None:
        """Kicks, wanted or not."""
        self.kicks_sent += 1
        os.eventfd_write(self.kick, 1)

    def used_index(self) -> int:
        """The device's index."""
        return int(struct.unpack("<H", self.ram.read(self.used + 2, 2))[0])

    def collect(self) -> None:
        """Takes what the device has used, as the interrupt handler does."""
        while self._used_index != self.used_index():
            slot = self._used_index % self.size
            head, written = struct.unpack("<II", self.ram.read(self.used + 4 + 8 * slot, 8))
            self._used_index = (self._used_index + 1) & 0xFFFF
            self._take(head, written)

    def read_call(self) -> int:
        """Takes the interrupts since the last time.

        Raises:
            BlockingIOError: there were none.
        """
        return os.eventfd_read(self.call)

    def on_call(self) -> None:
        """The call eventfd is readable."""
        try:
            self.read_call()
        except BlockingIOError:
            return
        self.collect()

    def close(self) -> None:
        """Closes the eventfds."""
        for pending in self._pending.values():
            pending.answer.cancel()
        self._pending.clear()
        for fd in (self.kick, self.call, self.error):
            os.close(fd)

    def _place(self, table: list[Descriptor], buffers: list[tuple[int, int]]) -> int:
        linked = len(table) - 1
        if self.indirect:
            packed = b"".join(
                _DESC.pack(
                    d.address, d.length, d.flags | (_NEXT if i < linked else 0), i + 1 if i < linked else 0
                )
                for i, d in enumerate(table)
            )
            at = self.ram.allocate(len(packed))
            self.ram.write(at, packed)
            buffers.append((at, len(packed)))
            head = self._free.pop(0)
            self.write_descriptor(head, Descriptor(at, len(packed), _INDIRECT))
            return head
        places = [self._free.pop(0) for _ in table]
        for i, descriptor in enumerate(table):
            more = i < linked
            flags = descriptor.flags | (_NEXT if more else 0)
            following = places[i + 1] if more else 0
            self.write_descriptor(
                places[i], Descriptor(descriptor.address, descriptor.length, flags, following)
            )
        return places[0]

    def _take(self, head: int, written: int) -> None:
        pending = self._pending.pop(head, None)
        if pending is None and self.hostile:
            return
        assert pending is not None, f"the device gave back chain {head}, which it did not have"
        assert written <= pending.room, f"{written} bytes written where there was room for {pending.room}"
        answer = self.ram.read(pending.answer_at, written)
        self._recycle(head)
        for address, size in pending.buffers:
            self.ram.free(address, size)
        if not pending.answer.done():
            pending.answer.set_result(answer)

    def _recycle(self, head: int) -> None:
        while True:
            self._free.append(head)
            _address, _length, flags, following = _DESC.unpack(
                self.ram.read(self.descriptors + 16 * head, 16)
            )
            if not flags & _NEXT:
                return
            head = following


class GuestDriver:
    """The commands of the control queue, each with its response.

    Methods named as the commands send them well-formed; `command` and `command_raw` send anything.
    """

    def __init__(self, ram: GuestRam, queue_size: int) -> None:
        self.ram = ram
        self.control = GuestQueue(ram, queue_size)
        self.cursor = GuestQueue(ram, 16)
        self.queues = (self.control, self.cursor)
        self._last_fence = 0

    def next_fence(self) -> int:
        """A fence id that was not used before."""
        self._last_fence += 1
        return self._last_fence

    def post(
        self,
        kind: int,
        body: bytes = b"",
        *,
        ctx_id: int = 0,
        fence_id: int | None = None,
        ring_idx: int | None = None,
        room: int = 24,
    ) -> "asyncio.Future[bytes]":
        """Sends one command and does not wait; header and body are buffers of their own, as Linux does it."""
        header = encode_header(kind, ctx_id=ctx_id, fence_id=fence_id, ring_idx=ring_idx)
        return self.control.post([header, body] if body else [header], room)

    async def command(
        self,
        kind: int,
        body: bytes = b"",
        *,
        ctx_id: int = 0,
        fence_id: int | None = None,
        ring_idx: int | None = None,
        room: int = 24,
    ) -> Response:
        """Sends one command and waits for the response."""
        answer = self.post(kind, body, ctx_id=ctx_id, fence_id=fence_id, ring_idx=ring_idx, room=room)
        return parse_response(await in_time(answer))

    async def command_raw(self, request: bytes, *, room: int = 24) -> Response:
        """Sends any bytes as one command."""
        return parse_response(await in_time(self.control.post([request], room)))

    async def get_capset_info(self, index: int = 0) -> Response:
        """GET_CAPSET_INFO."""
        return await self.command(abi.VIRTIO_GPU_CMD_GET_CAPSET_INFO, struct.pack("<II", index, 0), room=40)

    async def get_capset(self, capset_id: int = 5, version: int = 0, *, room: int = 24 + 32) -> Response:
        """GET_CAPSET."""
        return await self.command(
            abi.VIRTIO_GPU_CMD_GET_CAPSET, struct.pack("<II", capset_id, version), room=room
        )

    async def ctx_create(self, ctx_id: int, *, name: bytes = b"fake", context_init: int = 5) -> Response:
        """CTX_CREATE."""
        body = struct.pack("<II64s", len(name), context_init, name)
        return await self.command(abi.VIRTIO_GPU_CMD_CTX_CREATE, body, ctx_id=ctx_id)

    async def ctx_destroy(self, ctx_id: int) -> Response:
        """CTX_DESTROY."""
        return await self.command(abi.VIRTIO_GPU_CMD_CTX_DESTROY, ctx_id=ctx_id)

    async def ctx_attach_resource(self, ctx_id: int, resource_id: int) -> Response:
        """CTX_ATTACH_RESOURCE."""
        body = struct.pack("<II", resource_id, 0)
        return await self.command(abi.VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, body, ctx_id=ctx_id)

    async def ctx_detach_resource(self, ctx_id: int, resource_id: int) -> Response:
        """CTX_DETACH_RESOURCE."""
        body = struct.pack("<II", resource_id, 0)
        return await self.command(abi.VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, body, ctx_id=ctx_id)

    async def create_guest_blob(
        self,
        resource_id: int,
        size: int,
        runs: Sequence[tuple[int, int]],
        *,
        flags: int = abi.VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
        mem: int = abi.VIRTIO_GPU_BLOB_MEM_GUEST,
    ) -> Response:
        """RESOURCE_CREATE_BLOB of guest pages: (guest address, bytes) each."""
        body = struct.pack("<IIIIQQ", resource_id, mem, flags, len(runs), 0, size)
        entries = b"".join(struct.pack("<QII", address, length, 0) for address, length in runs)
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, body + entries)

    async def create_host_blob(
        self,
        resource_id: int,
        size: int,
        *,
        ctx_id: int,
        blob_id: int,
        flags: int = abi.VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE | abi.VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE,
    ) -> Response:
        """RESOURCE_CREATE_BLOB of host memory."""
        mem = abi.VIRTIO_GPU_BLOB_MEM_HOST3D
        body = struct.pack("<IIIIQQ", resource_id, mem, flags, 0, blob_id, size)
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, body, ctx_id=ctx_id)

    async def resource_unref(self, resource_id: int) -> Response:
        """RESOURCE_UNREF."""
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_UNREF, struct.pack("<II", resource_id, 0))

    async def map_blob(self, resource_id: int, offset: int) -> Response:
        """RESOURCE_MAP_BLOB at a byte offset of the window."""
        body = struct.pack("<IIQ", resource_id, 0, offset)
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, body, room=32)

    async def unmap_blob(self, resource_id: int) -> Response:
        """RESOURCE_UNMAP_BLOB."""
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, struct.pack("<II", resource_id, 0))

    async def attach_backing(self, resource_id: int, runs: Sequence[tuple[int, int]]) -> Response:
        """RESOURCE_ATTACH_BACKING."""
        body = struct.pack("<II", resource_id, len(runs))
        entries = b"".join(struct.pack("<QII", address, length, 0) for address, length in runs)
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, body + entries)

    async def detach_backing(self, resource_id: int) -> Response:
        """RESOURCE_DETACH_BACKING."""
        body = struct.pack("<II", resource_id, 0)
        return await self.command(abi.VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, body)

    async def submit_3d(
        self, ctx_id: int, commands: bytes, *, fence_id: int | None = None, ring_idx: int | None = None
    ) -> Response:
        """SUBMIT_3D; with a fence the response comes when it signals."""
        body = struct.pack("<II", len(commands), 0) + commands
        return await self.command(
            abi.VIRTIO_GPU_CMD_SUBMIT_3D, body, ctx_id=ctx_id, fence_id=fence_id, ring_idx=ring_idx
        )

    def post_submit_3d(self, ctx_id: int, commands: bytes, *, ring_idx: int) -> "asyncio.Future[bytes]":
        """SUBMIT_3D with a fence on that ring, not waited for: a POLL."""
        body = struct.pack("<II", len(commands), 0) + commands
        return self.post(
            abi.VIRTIO_GPU_CMD_SUBMIT_3D, body, ctx_id=ctx_id, fence_id=self.next_fence(), ring_idx=ring_idx
        )

    def pages(self, count: int, *, scattered: bool = False) -> list[tuple[int, int]]:
        """Runs of `count` fresh guest pages, as a blob wants them."""
        if scattered:
            return [(page, PAGE) for page in self.ram.allocate_scattered(count)]
        return [(self.ram.allocate_run(count), count * PAGE)]

    def close(self) -> None:
        """Closes the queues."""
        for queue in self.queues:
            queue.close()


def encode_header(
    kind: int, *, ctx_id: int = 0, fence_id: int | None = None, ring_idx: int | None = None
) -> bytes:
    """A virtio_gpu_ctrl_hdr with the flags that the arguments ask for."""
    flags = 0 if fence_id is None else abi.VIRTIO_GPU_FLAG_FENCE
    if ring_idx is not None:
        flags |= abi.VIRTIO_GPU_FLAG_INFO_RING_IDX
    return struct.pack("<IIQIB3x", kind, flags, fence_id or 0, ctx_id, ring_idx or 0)


def parse_response(answer: bytes) -> Response:
    """The response's header and what follows it."""
    assert len(answer) >= 24, f"a response of {len(answer)} bytes"
    kind, flags, fence_id, ctx_id, ring_idx = struct.unpack_from("<IIQIB", answer)
    return Response(kind, flags, fence_id, ctx_id, ring_idx, answer[24:])
