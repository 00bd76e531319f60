"""A VMM and the guest in it, for tests of the real device: the vhost-user front-end as QEMU 11.1 is one.

`FakeFrontend` boots and holds the two; `driver` is the guest's kernel, `guest_context` (in
`tests.fakes.guest_context`) one program in it.  What QEMU does in its one main thread happens here
under one lock, so that a back-end that QEMU would wait for in vain makes a test fail here too.
"""

import asyncio
import mmap
import os
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from crossdomain.abi import vhost_user as abi
from tests.fakes.guest_driver import GuestDriver, GuestQueue
from tests.fakes.guest_ram import PAGE, GuestRam, RamRegion
from tests.fakes.patience import in_time
from tests.fakes.vhost_socket import Received, VhostSocket

WINDOW_ADDRESS: Final = 0x80_0000_0000
"""Guest address of the PCI BAR that is the host-visible window."""
_WINDOW_USER: Final = 0x7E00_0000_0000
_PLUGGED_USER: Final = 0x6000_0000_0000
_MAX_TABLE: Final = 8
_VIRTIO_FEATURES: Final = 1 << 32 | 1 << 28 | 1 << 4 | 1 << 3 | 1 << 0
_PROTOCOL_FEATURE: Final = 1 << 30
_MEM_SLOTS: Final = 1 << 15
_RESET_DEVICE: Final = 1 << 13
_SHMEM: Final = 1 << 22

CROSVM: Final = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 19 | _SHMEM
"""The protocol features that crosvm knows: MQ, REPLY_ACK, BACKEND_REQ, CONFIG, DEVICE_STATE and SHMEM."""
CLOUD_HYPERVISOR: Final = 1 << 0 | 1 << 3 | 1 << 9 | _MEM_SLOTS
"""Those of cloud-hypervisor: MQ, REPLY_ACK, CONFIG and CONFIGURE_MEM_SLOTS."""


class FakeWindow:
    """The host-visible window as the VMM keeps it: the same memory that the back-end mapped."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.mappings: dict[int, mmap.mmap] = {}
        self._files: dict[int, tuple[int, int]] = {}
        """fd and offset in it of each mapping."""
        self._next = 0

    def reserve(self, size: int) -> int:
        """A fresh offset for `size` bytes, as the guest's kernel picks one."""
        offset = self._next
        self._next += -(-size // PAGE) * PAGE
        return offset

    def map(self, offset: int, size: int, fd: int, fd_offset: int) -> bool:
        """SHMEM_MAP with the checks that QEMU makes; whether it worked."""
        if any(at < offset + size and offset < at + len(m) for at, m in self.mappings.items()):
            return False
        if offset + size > self.size or os.fstat(fd).st_size < fd_offset + size:
            return False
        try:
            self.mappings[offset] = mmap.mmap(fd, size, offset=fd_offset)
        except OSError:
            return False
        self._files[offset] = os.dup(fd), fd_offset
        return True

    def unmap(self, offset: int, size: int) -> bool:
        """SHMEM_UNMAP of exactly one mapping; whether it worked."""
        mapping = self.mappings.get(offset)
        if mapping is None or len(mapping) != size:
            return False
        self.mappings.pop(offset).close()
        os.close(self._files.pop(offset)[0])
        return True

    def view(self, offset: int) -> mmap.mmap:
        """What the guest sees of the blob at `offset`."""
        return self.mappings[offset]

    def map_again(self, offset: int) -> mmap.mmap:
        """A mapping of the blob at `offset` for somebody who closes it."""
        fd, fd_offset = self._files[offset]
        return mmap.mmap(fd, len(self.mappings[offset]), offset=fd_offset)

    def close(self) -> None:
        """Unmaps everything."""
        for mapping in self.mappings.values():
            mapping.close()
        for fd, _offset in self._files.values():
            os.close(fd)
        self.mappings.clear()
        self._files.clear()


class FakeFrontend:
    """One VM on one vhost-user connection.

    `async with FakeFrontend(connection) as vm:` boots it and hangs up at the end.  The options say what
    kind of VMM it is: `acknowledges` are the protocol features that it knows, `memory_slots` False one with
    SET_MEM_TABLE alone; `announces` False one that tells
    nothing of mappings; `resets_device` False one that never sends RESET_DEVICE.  `ram` is that of another
    device of the same VM, and stays the caller's.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        ram_size: int = 4 << 20,
        ram: GuestRam | None = None,
        queue_size: int = 64,
        acknowledges: int = -1,
        memory_slots: bool = True,
        announces: bool = True,
        resets_device: bool = True,
    ) -> None:
        self.main = VhostSocket(connection)
        self.ram = ram or GuestRam(ram_size)
        self._owns_ram = ram is None
        self.driver = GuestDriver(self.ram, queue_size)
        self.window = FakeWindow(0)
        self.refuse_maps = False
        """Answer every SHMEM_MAP with a failure."""
        self.may_answer = asyncio.Event()
        """Clear it to leave the back-end's requests unanswered."""
        self.may_answer.set()
        self.backend_requests: list[int] = []
        """What the back-end asked, in order."""
        self.offered_features = 0
        self.offered_protocol_features = 0
        self._acknowledges = acknowledges if memory_slots else acknowledges & ~_MEM_SLOTS
        self._memory_slots = bool(self._acknowledges & _MEM_SLOTS)
        self._announces = announces
        self._resets_device = resets_device
        self._bases = [0] * len(self.driver.queues)
        self._blob_regions: dict[int, tuple[RamRegion, int]] = {}
        self._lock = asyncio.Lock()
        self._server: asyncio.Task[None] | None = None
        self._backend: VhostSocket | None = None
        self._loop = asyncio.get_running_loop()
        self._next_resource = 0
        self._ram_sent = False
        self._closed = False

    async def __aenter__(self) -> Self:
        try:
            await in_time(self.boot())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _has_window(self) -> bool:
        return bool(self._protocol_features & _SHMEM)

    @property
    def _protocol_features(self) -> int:
        return self.offered_protocol_features & self._acknowledges

    @property
    def window_address(self) -> int:
        """Guest address of the host-visible window."""
        return WINDOW_ADDRESS

    def new_resource_id(self) -> int:
        """A resource id that was not used before, as the guest's kernel hands them out."""
        self._next_resource += 1
        return self._next_resource

    # The VMM's life.

    async def boot(self) -> None:
        """Connects and starts the driver, in the order of messages that QEMU keeps."""
        await self.negotiate()
        await self.start_driver()

    async def negotiate(self) -> None:
        """What QEMU asks before the guest runs."""
        async with self._lock:
            main = self.main
            self.offered_features = await self._number(abi.VHOST_USER_GET_FEATURES)
            self.offered_protocol_features = await self._number(abi.VHOST_USER_GET_PROTOCOL_FEATURES)
            acknowledged = struct.pack("<Q", self._protocol_features)
            await main.write(abi.VHOST_USER_SET_PROTOCOL_FEATURES, acknowledged)
            assert await self._number(abi.VHOST_USER_GET_QUEUE_NUM) == 2
            if self._memory_slots:
                await self._number(abi.VHOST_USER_GET_MAX_MEM_SLOTS)
            if self._has_window:
                await self._open_backend_channel()
            await main.write(abi.VHOST_USER_SET_OWNER)
            for index, queue in enumerate(self.driver.queues):
                await main.write(abi.VHOST_USER_SET_VRING_CALL, struct.pack("<Q", index), [queue.call])
                await main.write(abi.VHOST_USER_SET_VRING_ERR, struct.pack("<Q", index), [queue.error])
            if self._has_window:
                shmem = struct.unpack("<I4x256Q", await main.ask(abi.VHOST_USER_GET_SHMEM_CONFIG))
                assert shmem[0] == sum(1 for size in shmem[1:] if size)
                self.window = FakeWindow(shmem[1 + 1])

    async def start_driver(self) -> None:
        """What QEMU sends when the driver says that it is ready, or the VM runs again."""
        async with self._lock:
            main = self.main
            config = struct.pack("<III", 0, 16, 0) + bytes(16)
            answer = await main.ask(abi.VHOST_USER_GET_CONFIG, config)
            assert struct.unpack_from("<12xIIII", answer) == (
                0,
                0,
                0,
                self.offered_protocol_features >> 22 & 1,
            )
            virtio = _VIRTIO_FEATURES & self.offered_features
            features = struct.pack("<Q", virtio | _PROTOCOL_FEATURE)
            assert not await main.ask_for_success(abi.VHOST_USER_SET_FEATURES, features)
            await self._send_ram()
            for index, queue in enumerate(self.driver.queues):
                await self._start_queue(index, queue)
            for index in range(len(self.driver.queues)):
                await main.write(abi.VHOST_USER_SET_VRING_ENABLE, struct.pack("<II", index, 1))
            # The reply to this says that everything before was done.
            await self._number(abi.VHOST_USER_GET_FEATURES)
        for queue in self.driver.queues:
            self._loop.add_reader(queue.call, queue.on_call)

    async def barrier(self) -> None:
        """Waits until the back-end has handled all that it was sent."""
        async with self._lock:
            await self._number(abi.VHOST_USER_GET_FEATURES)

    async def stop_rings(self) -> None:
        """What QEMU sends when the VM pauses, and when the driver resets the device."""
        async with self._lock:
            for index in range(len(self.driver.queues)):
                await self.main.write(abi.VHOST_USER_SET_VRING_ENABLE, struct.pack("<II", index, 0))
            for index in range(len(self.driver.queues)):
                answer = await self.main.ask(abi.VHOST_USER_GET_VRING_BASE, struct.pack("<II", index, 0))
                self._bases[index] = struct.unpack("<II", answer)[1]
        # What the device gave back before it stopped.
        for queue in self.driver.queues:
            queue.collect()

    async def reset(self) -> None:
        """The guest's driver resets the device and starts anew: a reboot, or a driver loaded again."""
        if self._resets_device and self._protocol_features & _RESET_DEVICE:
            async with self._lock:
                assert not await self.main.ask_for_success(abi.VHOST_USER_RESET_DEVICE)
        await self.stop_rings()
        async with self._lock:
            await self._drop_mappings()
        self._bases = [0] * len(self._bases)
        for queue in self.driver.queues:
            queue.restart()
        await self.start_driver()

    async def hang_up(self) -> None:
        """The VMM dies: all its sockets close at once."""
        self.close_backend_channel()
        self.main.close()

    def close_backend_channel(self) -> None:
        """Hangs up on the back-end's requests alone."""
        self._stop_serving()
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    async def plug(self, address: int, size: int, fd: int, offset: int = 0) -> None:
        """Gives the guest more memory: `size` bytes of a file, at a guest address that is free."""
        async with self._lock:
            await self._add_region(RamRegion(address, size, _PLUGGED_USER + address, offset), fd)

    async def unplug(self, address: int, size: int) -> None:
        """Takes memory away that was plugged in."""
        payload = struct.pack("<8xQQQQ", address, size, _PLUGGED_USER + address, 0)
        async with self._lock:
            assert not await self.main.ask_for_success(abi.VHOST_USER_REM_MEM_REG, payload)

    async def wait_for_hang_up(self) -> None:
        """Waits until the back-end has closed its end of its own channel."""
        assert self._server is not None
        await asyncio.wait((self._server,))

    async def answer_unasked(self, request: int) -> None:
        """Answers a request on the back-end channel that the back-end has not made."""
        assert self._backend is not None
        await self._backend.reply(request, bytes(8))

    async def close(self) -> None:
        """Hangs up and gives everything up; may be called again."""
        if self._closed:
            return
        self._closed = True
        server = self._server
        await self.hang_up()
        if server is not None:
            with suppress(asyncio.CancelledError):
                await server
        for queue in self.driver.queues:
            self._loop.remove_reader(queue.call)
        self.driver.close()
        self.window.close()
        for _region, fd in self._blob_regions.values():
            os.close(fd)
        self._blob_regions.clear()
        if self._owns_ram:
            self.ram.close()

    # The main channel.

    async def _number(self, request: int) -> int:
        return int(struct.unpack("<Q", await self.main.ask(request))[0])

    async def _open_backend_channel(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            assert not await self.main.ask_for_success(
                abi.VHOST_USER_SET_BACKEND_REQ_FD, fds=[theirs.fileno()]
            )
        self._backend = VhostSocket(ours)
        self._server = self._loop.create_task(self._serve_backend(self._backend))

    async def _start_queue(self, index: int, queue: GuestQueue) -> None:
        main = self.main
        await main.write(abi.VHOST_USER_SET_VRING_NUM, struct.pack("<II", index, queue.size))
        await main.write(abi.VHOST_USER_SET_VRING_BASE, struct.pack("<II", index, self._bases[index]))
        addresses = [self.ram.user_address(a) for a in (queue.descriptors, queue.used, queue.available)]
        await main.write(abi.VHOST_USER_SET_VRING_ADDR, struct.pack("<IIQQQQ", index, 0, *addresses, 0))
        await main.write(abi.VHOST_USER_SET_VRING_KICK, struct.pack("<Q", index), [queue.kick])
        await main.write(abi.VHOST_USER_SET_VRING_CALL, struct.pack("<Q", index), [queue.call])

    async def _send_ram(self) -> None:
        if not self._memory_slots:
            await self._send_table()
        elif not self._ram_sent:
            self._ram_sent = True
            for region in self.ram.regions:
                await self._add_region(region, self.ram.fd)

    async def _add_region(self, region: RamRegion, fd: int) -> None:
        payload = struct.pack("<8xQQQQ", *region)
        assert not await self.main.ask_for_success(abi.VHOST_USER_ADD_MEM_REG, payload, [fd])

    async def _send_table(self) -> None:
        # QEMU's table has 8 places: what does not fit makes the whole table go unsent.
        regions = [(region, self.ram.fd) for region in self.ram.regions]
        regions += self._blob_regions.values()
        if len(regions) > _MAX_TABLE:
            return
        payload = struct.pack("<I4x", len(regions)) + b"".join(
            struct.pack("<QQQQ", *region) for region, _fd in regions
        )
        fds = [fd for _region, fd in regions]
        assert not await self.main.ask_for_success(abi.VHOST_USER_SET_MEM_TABLE, payload, fds)

    # The back-end channel.

    async def _serve_backend(self, channel: VhostSocket) -> None:
        while True:
            try:
                message = await channel.read()
            except (EOFError, OSError):
                return
            try:
                await self.may_answer.wait()
                async with self._lock:
                    await self._handle_backend_request(channel, message)
            finally:
                for fd in message.fds:
                    os.close(fd)

    async def _handle_backend_request(self, channel: VhostSocket, message: Received) -> None:
        self.backend_requests.append(message.request)
        shmid, fd_offset, offset, size, _flags = struct.unpack("<B7xQQQQ", message.payload)
        assert shmid == 1
        assert message.flags & 8, "a request of the back-end that wants no reply"
        if message.request == abi.VHOST_USER_BACKEND_SHMEM_MAP:
            (fd,) = message.fds
            done = not self.refuse_maps and self.window.map(offset, size, fd, fd_offset)
        else:
            assert message.request == abi.VHOST_USER_BACKEND_SHMEM_UNMAP
            assert not message.fds
            done = self.window.unmap(offset, size)
        # QEMU answers first, and changes the guest's address space after that.
        await channel.reply(message.request, struct.pack("<Q", int(not done)))
        if not done or not self._announces:
            return
        if message.request == abi.VHOST_USER_BACKEND_SHMEM_MAP:
            await self.announce(offset, size, fd_offset, message.fds[0])
        else:
            await self._retract(offset)

    async def announce(self, offset: int, size: int, fd_offset: int, fd: int) -> None:
        """Tells the back-end of a mapping as one more region of guest memory."""
        region = RamRegion(WINDOW_ADDRESS + offset, size, _WINDOW_USER + offset, fd_offset)
        self._blob_regions[offset] = (region, os.dup(fd))
        if self._memory_slots:
            await self._add_region(region, fd)
        else:
            await self._send_table()

    async def _retract(self, offset: int) -> None:
        region, fd = self._blob_regions.pop(offset)
        os.close(fd)
        if self._memory_slots:
            payload = struct.pack("<8xQQQQ", *region)
            assert not await self.main.ask_for_success(abi.VHOST_USER_REM_MEM_REG, payload)
        else:
            await self._send_table()

    async def _drop_mappings(self) -> None:
        # A reset of the device unmaps the window (vhost-user, SHMEM_MAP).
        self.window.close()
        for offset in list(self._blob_regions):
            await self._retract(offset)

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.cancel()
            self._server = None
