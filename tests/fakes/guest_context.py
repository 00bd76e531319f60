"""One program in the fake guest that uses capset 5: a context with its two rings, as every guest proxy has.

What it sends goes through SUBMIT_3D, and what it receives stands in the channel ring, fenced by one POLL
at a time, or in its slots (`Feature.SHARED_RING`), by one for each.  `FakeFrontend` is the VM that it
runs in.
"""

import asyncio
import mmap
import struct
from collections import deque
from typing import Self

from crossdomain.abi import cross_domain as protocol
from crossdomain.abi.pages import encode_claim_pages, encode_expect_pages, parse_claimed
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_driver import Response, parse_response
from tests.fakes.guest_ram import PAGE
from tests.fakes.patience import in_time


class MappedBlob:
    """A blob of host memory that the guest sees in its window.  `view` is that memory."""

    def __init__(self, context: "GuestContext", resource_id: int, size: int, offset: int) -> None:
        self.resource_id = resource_id
        self.size = size
        self.offset = offset
        self._context = context

    @property
    def view(self) -> mmap.mmap:
        """The bytes; gone after `destroy`."""
        return self._context.vm.window.view(self.offset)

    async def destroy(self) -> None:
        """Unmaps and unreferences it, in the order of Linux's driver."""
        driver = self._context.vm.driver
        ctx_id = self._context.ctx_id
        assert (await driver.ctx_detach_resource(ctx_id, self.resource_id)).ok
        assert (await driver.unmap_blob(self.resource_id)).ok
        assert (await driver.resource_unref(self.resource_id)).ok


class GuestContext:
    """A cross-domain context in the guest, connected to a channel of the host."""

    def __init__(self, vm: FakeFrontend, ctx_id: int, ring_pages: int) -> None:
        self.vm = vm
        self.ctx_id = ctx_id
        self.query_ring = vm.new_resource_id()
        self.channel_ring = vm.new_resource_id()
        self._ring_runs = {
            self.query_ring: vm.driver.pages(1),
            self.channel_ring: vm.driver.pages(ring_pages, scattered=True),
        }
        self._polls: deque[asyncio.Future[bytes]] = deque()
        self._slots = 1
        self._slot = 0

    @classmethod
    async def open(cls, vm: FakeFrontend, ctx_id: int, *, name: bytes = b"fake", ring_pages: int = 1) -> Self:
        """Makes the context and its rings, and sends INIT and the first POLL."""
        self = cls(vm, ctx_id, ring_pages)
        assert (await vm.driver.ctx_create(ctx_id, name=name)).ok
        for resource_id, runs in self._ring_runs.items():
            size = sum(length for _address, length in runs)
            assert (await vm.driver.create_guest_blob(resource_id, size, runs)).ok
            assert (await vm.driver.ctx_attach_resource(ctx_id, resource_id)).ok
        response = await self.submit(protocol.encode_init(self.query_ring, self.channel_ring))
        assert response.ok, f"INIT: {response}"
        self.poll()
        return self

    async def submit(self, commands: bytes, *, ring_idx: int | None = None) -> Response:
        """One SUBMIT_3D, fenced where `ring_idx` is given."""
        fence_id = None if ring_idx is None else self.vm.driver.next_fence()
        return await self.vm.driver.submit_3d(self.ctx_id, commands, fence_id=fence_id, ring_idx=ring_idx)

    async def send(self, data: bytes, identifiers: tuple[protocol.Identifier, ...] = ()) -> Response:
        """One SEND."""
        return await self.submit(protocol.encode_send(data, identifiers))

    async def write_pipe(self, identifier: int, data: bytes, *, hang_up: bool = False) -> Response:
        """One WRITE."""
        return await self.submit(protocol.encode_write(identifier, data, hang_up=hang_up))

    def poll(self, *commands: bytes) -> None:
        """Asks for the next event; `commands` go in the same submit."""
        assert len(self._polls) < self._slots, "one POLL at a time, or one for each slot"
        self._polls.append(
            self.vm.driver.post_submit_3d(
                self.ctx_id, b"".join((protocol.encode_poll(), *commands)), ring_idx=protocol.CHANNEL_RING
            )
        )

    async def share_ring(self) -> None:
        """SHARE_RING."""
        assert (await self.submit(protocol.encode_share_ring())).ok
        self._slots = protocol.RING_SLOTS

    async def poll_given_back(self) -> None:
        """Waits until the oldest POLL is answered without an event."""
        before = self._event_word()
        assert parse_response(await in_time(self._polls.popleft())).ok
        assert self._event_word() == before

    def look(self, *, looks: bool) -> None:
        """Says whether the channel ring is looked at (`Feature.SHARED_RING`)."""
        looked_at = struct.pack("<I", protocol.RING_LOOKED_AT if looks else 0)
        self.vm.ram.write(self._slot_address() + 4, looked_at)

    async def see(self) -> tuple[protocol.SendReceive | protocol.ReadWrite, asyncio.Future[bytes]]:
        """Looks until an event stands in the ring, and takes it.

        Its POLL is returned, too: that it was answered is seen with the next interrupt.
        """
        assert self._polls

        async def wait() -> None:
            while not any(self._event_word()):
                await asyncio.sleep(0)

        await in_time(wait())
        return self._take_event(), self._polls.popleft()

    async def next_event(self, *, polls: bool = True) -> protocol.SendReceive | protocol.ReadWrite:
        """Waits for one event, and POLLs for the next where that is not left to somebody else."""
        response = parse_response(await in_time(self._polls[0]))
        self._polls.popleft()
        assert response.ok, f"POLL: {response}"
        event = self._take_event()
        if polls:
            self.poll()
        return event

    async def image_requirements(self, width: int, height: int, fourcc: int) -> protocol.ImageRequirements:
        """GET_IMAGE_REQUIREMENTS and its answer."""
        command = protocol.encode_get_image_requirements(width, height, fourcc)
        assert (await self.submit(command, ring_idx=protocol.QUERY_RING)).ok
        return protocol.parse_image_requirements(self.read_ring(self.query_ring))

    async def expect_pages(self) -> bool | None:
        """EXPECT_PAGES and its answer."""
        return await self._ask_claimed(encode_expect_pages())

    async def claim_pages(self, source: int) -> bool | None:
        """CLAIM_PAGES and its answer: whether they are this context's; None where it was refused."""
        return await self._ask_claimed(encode_claim_pages(source))

    async def _ask_claimed(self, command: bytes) -> bool | None:
        ((address, length),) = self._ring_runs[self.query_ring]
        self.vm.ram.write(address, bytes(length))
        await self.submit(command, ring_idx=protocol.QUERY_RING)
        return parse_claimed(self.read_ring(self.query_ring))

    async def open_blob(self, blob_id: int, size: int) -> MappedBlob:
        """Makes the host's blob a resource of ours and maps it; `size` in bytes."""
        pages = -(-size // PAGE) * PAGE
        driver = self.vm.driver
        resource_id = self.vm.new_resource_id()
        made = await driver.create_host_blob(resource_id, pages, ctx_id=self.ctx_id, blob_id=blob_id)
        assert made.ok, f"RESOURCE_CREATE_BLOB: {made}"
        offset = self.vm.window.reserve(pages)
        mapped = await driver.map_blob(resource_id, offset)
        assert mapped.ok, f"RESOURCE_MAP_BLOB: {mapped}"
        assert (await driver.ctx_attach_resource(self.ctx_id, resource_id)).ok
        return MappedBlob(self, resource_id, pages, offset)

    async def allocate(self, size: int) -> MappedBlob:
        """Fresh host memory of `size` bytes that can be sent: an image of one row of R8."""
        requirements = await self.image_requirements(size, 1, int.from_bytes(b"R8  ", "little"))
        return await self.open_blob(requirements.blob_id, requirements.size)

    def read_ring(self, resource_id: int) -> bytes:
        """All of a ring's bytes."""
        runs = self._ring_runs[resource_id]
        return b"".join(self.vm.ram.read(address, length) for address, length in runs)

    def _slot_address(self) -> int:
        """Where the next event comes."""
        pages = [address for address, _length in self._ring_runs[self.channel_ring]]
        page, offset = divmod(self._slot * len(pages) * PAGE // self._slots, PAGE)
        return pages[page] + offset

    def _event_word(self) -> bytes:
        return self.vm.ram.read(self._slot_address(), 4)

    def _take_event(self) -> protocol.SendReceive | protocol.ReadWrite:
        ring = self.read_ring(self.channel_ring)
        size = len(ring) // self._slots
        event = protocol.parse_event(ring[self._slot * size : (self._slot + 1) * size])
        self.vm.ram.write(self._slot_address(), bytes(4))
        self._slot = (self._slot + 1) % self._slots
        return event

    async def close(self) -> None:
        """What Linux does when the program ends, a POLL outstanding or not."""
        driver = self.vm.driver
        for resource_id, runs in self._ring_runs.items():
            assert (await driver.ctx_detach_resource(self.ctx_id, resource_id)).ok
            assert (await driver.resource_unref(resource_id)).ok
            for address, length in runs:
                self.vm.ram.free(address, length)
        assert (await driver.ctx_destroy(self.ctx_id)).ok
