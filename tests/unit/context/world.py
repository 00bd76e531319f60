"""A guest and a compositor around one real context, both in the test's hands.

Nothing sleeps: the guest waits for the fence of its POLL, the compositor for its socket.
"""

import asyncio
import os
import socket
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from crossdomain.abi.cross_domain import (
    CHANNEL_RING,
    RING_SIZE,
    Buffer,
    Identifier,
    IdentifierType,
    ReadWrite,
    SendReceive,
    encode_init,
    encode_poll,
    encode_send,
    parse_event,
)
from crossdomain.context.context import Context, Surroundings
from crossdomain.context.memory import HostMemory
from crossdomain.context.pace import Allowance
from crossdomain.context.peer import Peer
from crossdomain.context.pipes import Orphans
from crossdomain.context.policy import ClientPolicy
from crossdomain.context.ports import MemoryDevice, Pages, Showing, Storage
from crossdomain.context.quotas import Quotas
from crossdomain.context.rules import Guest, Rules
from crossdomain.context.timelines import TimelineMaker
from crossdomain.errors import GuestFault
from crossdomain.wire import load, policy
from crossdomain.wire.codec import Value, encode_message

PATIENCE: Final = 30.0
QUERY_RING_ID: Final = 11
CHANNEL_RING_ID: Final = 12
_FD: Final = array("i").itemsize


def request(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    """One request's bytes; fds are None."""
    messages = load().interface(interface).requests
    return encode_message(next(m for m in messages if m.name == name), object_id, *values)


def event(interface: str, name: str, object_id: int, *values: Value) -> bytes:
    """One event's bytes; fds are None."""
    messages = load().interface(interface).events
    return encode_message(next(m for m in messages if m.name == name), object_id, *values)


def sync(new_id: int) -> bytes:
    """wl_display.sync: twelve bytes that any client may send."""
    return request("wl_display", "sync", 1, new_id)


def delete_id(object_id: int) -> bytes:
    """wl_display.delete_id: twelve bytes that any compositor may send."""
    return event("wl_display", "delete_id", 1, object_id)


class GuestPages:
    """Guest memory as a context sees it: copied into and out of, never given away."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self.data = bytearray(size)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def export(self) -> int:
        """Never: it is the guest's own RAM."""
        raise GuestFault("guest pages can't be given away")

    def pixels(self) -> NoReturn:
        """Never: they are not in memory of the host."""
        raise GuestFault("guest pages are no memory of the host")

    def write(self, offset: int, data: Buffer, /) -> None:
        """Copies in."""
        if offset + len(data) > len(self.data):
            raise GuestFault("beyond the end")
        self.data[offset : offset + len(data)] = data

    def read(self, offset: int, length: int, /) -> bytes:
        """Copies out."""
        return bytes(self.data[offset : offset + length])


class FakeResources:
    """Attached resources by number."""

    def __init__(self) -> None:
        self.attached: dict[int, Storage] = {}
        self.host_bytes = 0

    def __len__(self) -> int:
        return len(self.attached)

    def lookup(self, resource_id: int, /) -> Storage:
        """See `Resources`."""
        if resource_id not in self.attached:
            raise GuestFault(f"resource {resource_id} is not attached")
        return self.attached[resource_id]


class CompositorEnd:
    """The compositor's side of one connection: raw bytes and fds, which are its own."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.received = bytearray()
        self.fds: list[int] = []
        self.gone = False

    async def receive(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self.received) < size:
            await self._read()
            assert not self.gone, f"the client left after {bytes(self.received)!r}"
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    async def wait_until_gone(self) -> None:
        """Reads until the client's connection is closed."""
        while not self.gone:
            await self._read()

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """All of `data` at once; the fds stay the caller's."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        assert self.connection.sendmsg([data], ancillary) == len(data)

    async def send_all(self, data: bytes) -> None:
        """All of `data`, as the client takes it."""
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.connection, data), PATIENCE)

    def take_fds(self) -> list[int]:
        """The fds that came, which are the caller's."""
        taken, self.fds = self.fds, []
        return taken

    def close(self) -> None:
        """Hangs up."""
        self.connection.close()
        for fd in self.take_fds():
            os.close(fd)

    async def _read(self) -> None:
        await wait_readable(self.connection.fileno())
        try:
            data, ancillary, _flags, _address = self.connection.recvmsg(
                1 << 20, socket.CMSG_SPACE(253 * _FD), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            data, ancillary = b"", []
        for _level, _type, content in ancillary:
            self.fds += array("i", content)
        self.received += data
        self.gone = not data


class FakeMemoryDevice:
    """A memory device whose pages the test finds; see `ports.MemoryDevice`."""

    def __init__(self, find: Callable[[int], Pages]) -> None:
        self._find = find
        self.expecting: list[object] = []

    def find(self, resource_id: int, /) -> Pages:
        """See `ports.MemoryDevice`."""
        return self._find(resource_id)

    def expect(self, owner: object, /) -> None:
        """See `ports.MemoryDevice`."""
        self.expecting.append(owner)

    def forget(self, owner: object, /) -> None:
        """See `ports.MemoryDevice`."""
        self.expecting = [other for other in self.expecting if other is not owner]


class World:
    """One context, with its guest's side as methods."""

    def __init__(
        self,
        ring_size: int = RING_SIZE,
        guest: Guest | None = None,
        allow: Sequence[str] = (),
        *,
        memory: MemoryDevice | None = None,
        showing: Showing | None = None,
        timelines: TimelineMaker | None = None,
    ) -> None:
        """`guest` is the VM, where it has another client; `allow` are groups that it may use besides.

        `memory` and `showing` are for a VM with a memory device, `timelines` where the host has some.
        """
        self.guest = Guest("test", Rules()) if guest is None else guest
        self.policy = policy.load().with_groups(allow)
        self.resources = FakeResources()
        self.query_ring = GuestPages()
        self.channel_ring = GuestPages(ring_size)
        self.resources.attached = {QUERY_RING_ID: self.query_ring, CHANNEL_RING_ID: self.channel_ring}
        self.compositor: CompositorEnd | None = None
        self.orphans = Orphans()
        self.allowance = Allowance(Quotas())
        self.closed: list[Context] = []
        self.memories: list[HostMemory] = []
        self.connect: Callable[[], socket.socket] = self._connect
        surroundings = Surroundings(
            connect=self._dial,
            policy=ClientPolicy(load(), self.policy, self.guest, showing),
            on_close=self.closed.append,
            orphans=self.orphans,
            allowance=self.allowance,
            memory=memory,
            knows_points=timelines is not None,
            timelines=timelines,
        )
        self.context = Context(Peer.of_gpu_client("vm test", 1, "client"), self.resources, surroundings)

    @property
    def host(self) -> CompositorEnd:
        """The compositor's end; there after INIT."""
        assert self.compositor is not None
        return self.compositor

    def init(self) -> None:
        """INIT with both rings."""
        self.context.submit(encode_init(QUERY_RING_ID, CHANNEL_RING_ID))

    def send(self, data: bytes, *identifiers: Identifier) -> None:
        """One SEND."""
        self.context.submit(encode_send(data, identifiers))

    def poll(self) -> "asyncio.Future[None]":
        """POLL with its fence, which is done when an event stands in the ring."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.context.submit(encode_poll())
        self.context.create_fence(CHANNEL_RING, lambda: done.set_result(None))
        return done

    async def next_event(self) -> SendReceive | ReadWrite:
        """The next event; its data is a copy."""
        await asyncio.wait_for(self.poll(), PATIENCE)
        return parse_event(bytes(self.channel_ring.data))

    async def receive(self) -> SendReceive:
        """The next event, which is a RECEIVE."""
        received = await self.next_event()
        assert isinstance(received, SendReceive), received
        return received

    async def receive_data(self) -> bytes:
        """The bytes of the next event, which is a RECEIVE; none are a hang-up."""
        return bytes((await self.receive()).data)

    async def read(self) -> ReadWrite:
        """The next event, which is a READ."""
        received = await self.next_event()
        assert isinstance(received, ReadWrite), received
        return received

    async def receive_bytes(self, size: int) -> bytes:
        """RECEIVEs joined until there are exactly `size` bytes."""
        joined = bytearray()
        while len(joined) < size:
            joined += (await self.receive()).data
        assert len(joined) == size
        return bytes(joined)

    def share(self, resource_id: int, size: int = 4096) -> tuple[HostMemory, Identifier]:
        """An attached blob of host memory, and how a SEND names it."""
        memory = HostMemory.create(size)
        self.memories.append(memory)
        self.resources.attached[resource_id] = memory
        return memory, Identifier(resource_id, IdentifierType.VIRTGPU_BLOB, size)

    def close(self) -> None:
        """The guest destroys everything, the compositor ends."""
        self.context.close()
        self.orphans.close()
        for memory in self.memories:
            memory.close()
        if self.compositor is not None:
            self.compositor.close()

    def _dial(self) -> socket.socket:
        return self.connect()  # which a test may replace

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.compositor = CompositorEnd(theirs)
        return ours


async def wait_readable(fd: int) -> None:
    """Returns when `fd` is readable or at its end."""
    await _wait(fd, asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)


async def wait_writable(fd: int) -> None:
    """Returns when `fd` takes more."""
    await _wait(fd, asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)


async def wait_for_end_of(fd: int) -> bytes:
    """Everything that a pipe's read end gives until its writers are gone."""
    joined = b""
    while True:
        await wait_readable(fd)
        with suppress(BlockingIOError):
            data = os.read(fd, 1 << 20)
            if not data:
                return joined
            joined += data


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop work until `condition` holds."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true"
        await asyncio.sleep(0)


async def _wait(fd: int, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    add(fd, finish)
    try:
        await asyncio.wait_for(done, PATIENCE)
    finally:
        remove(fd)
