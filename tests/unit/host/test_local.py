"""A local connection whose launcher does not read: what waits for it is its socket's buffer and no more."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from crossdomain.abi import local
from crossdomain.abi.cross_domain import (
    RING_NONE,
    encode_get_image_requirements,
    encode_init,
    encode_receive,
    parse_image_requirements,
)
from crossdomain.abi.local import ToDaemon
from crossdomain.context.capset import capset
from crossdomain.context.context import Context
from crossdomain.context.memory import PAGE_SIZE, HostMemory
from crossdomain.context.pace import Allowance
from crossdomain.context.peer import Peer
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.host.broker import Dials
from crossdomain.host.local import ClientMemory, LocalConnection, LocalResources
from crossdomain.host.settings import HostFile
from crossdomain.host.tenant import Names, Tenant
from crossdomain.wire import policy
from tests.fakes.crowded import ERRORS, CrowdedSocket
from tests.unit.context.world import until

EVENT = encode_receive(bytes(4096))


class Launcher:
    """The launcher's end of one connection, and the connection."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.dials = Dials()
        self.tenant = Tenant(
            Names("local", "local", Peer.of_vm("local")), self.dials, policy.load(), HostFile().local
        )
        self.ended: list[LocalConnection] = []
        self.allowance = Allowance(Quotas())
        self.crowded = CrowdedSocket.of(theirs)
        self.connection = LocalConnection(
            self.crowded, self._new_context, self.ended.append, capset(), self.allowance
        )

    async def fill(self) -> int:
        """Delivers events, over many turns, until there is no room; how many."""
        count = 0
        while self.connection.room():
            self.connection.write(EVENT)
            count += 1
            await asyncio.sleep(0)
        return count

    def drain(self) -> list[bytes]:
        """Every packet that is there."""
        packets: list[bytes] = []
        try:
            while True:
                packets.append(self.socket.recv(local.MAX_PACKET))
        except BlockingIOError:
            return packets

    async def receive(self, count: int) -> list[bytes]:
        """So many packets."""
        packets: list[bytes] = []

        def complete() -> bool:
            packets.extend(self.drain())
            return len(packets) >= count

        await until(complete)
        return packets

    def close(self) -> None:
        """Both ends."""
        self.connection.close()
        self.tenant.close()
        self.socket.close()

    def _new_context(self, name: str, resources: LocalResources, sink: LocalConnection) -> Context:
        return self.tenant.new_local_context(name, resources, sink)


@pytest.fixture
async def launcher() -> AsyncGenerator[Launcher]:
    """A launcher before HELLO."""
    made = Launcher()
    yield made
    made.close()


async def test_there_is_no_room_while_something_waits(launcher: Launcher) -> None:
    count = await launcher.fill()
    assert count > 10
    assert launcher.connection.room() == 0


async def test_what_waited_arrives_and_there_is_room_again(launcher: Launcher) -> None:
    count = await launcher.fill()
    packets = launcher.drain()
    await until(lambda: launcher.connection.room() > 0)
    packets += launcher.drain()
    assert len(packets) == count
    assert all(packet[local.HEADER.size :] == EVENT for packet in packets)


async def test_nothing_is_read_from_a_launcher_that_does_not_read(launcher: Launcher) -> None:
    await launcher.fill()
    launcher.socket.send(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(1)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert launcher.connection.context is None
    launcher.drain()
    await until(lambda: launcher.connection.context is not None)


async def test_events_without_end_leave_others_their_turn(launcher: Launcher) -> None:
    packets: list[bytes] = []
    while launcher.connection.room():
        launcher.connection.write(EVENT)
        packets += launcher.drain()
    assert launcher.drain() == []  # it is not the socket that is full
    await until(lambda: launcher.connection.room() > 0)


async def test_what_a_launcher_sent_counts_though_it_ended_with_events_unread(launcher: Launcher) -> None:
    launcher.connection.write(EVENT)
    launcher.socket.send(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(1)))
    launcher.socket.close()
    await until(lambda: launcher.ended == [launcher.connection])
    assert launcher.connection.context is not None


async def test_a_compositor_that_is_not_there_is_an_error_and_the_hang_up(launcher: Launcher) -> None:
    launcher.socket.send(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(1)))
    launcher.socket.send(local.encode_packet(ToDaemon.SUBMIT, encode_init(RING_NONE, RING_NONE)))
    packets: list[bytes] = []

    def complete() -> bool:
        launcher.dials.handle({"say": "refused", "dial": 1, "errno": 2, "why": "nobody is there"}, -1)
        packets.extend(launcher.drain())
        return len(packets) == 3

    await until(complete)
    assert [packet[0] for packet in packets] == [0x81, 0x82, 0x82]
    assert b"can't be reached: nobody is there" in packets[1]
    assert packets[2][local.HEADER.size :] == encode_receive(b"")


async def test_closing_ends_the_context_and_tells_once(launcher: Launcher) -> None:
    launcher.socket.send(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(1)))
    await until(lambda: launcher.connection.context is not None)
    launcher.socket.shutdown(socket.SHUT_RDWR)
    await until(lambda: bool(launcher.ended))
    launcher.connection.close()
    assert launcher.ended == [launcher.connection]
    assert not launcher.tenant.contexts


def holding(allowance: Allowance, *sizes: int) -> LocalResources:
    """A connection with host memory of those sizes, whose numbers begin with 1."""
    resources = LocalResources(allowance)
    for resource_id, size in enumerate(sizes, 1):
        resources.check(resource_id, size)
        resources.add(resource_id, HostMemory.create(size))
    return resources


@pytest.mark.parametrize("quota", ["resources", "blob_bytes"])
def test_what_one_client_of_a_socket_has_is_not_its_neighbours(quota: str) -> None:
    most = {"resources": 1, "blob_bytes": 2 * PAGE_SIZE}[quota]
    allowance = Allowance(Quotas(client=replace(ClientQuotas(), **{quota: most})))
    greedy, other = holding(allowance, 2 * PAGE_SIZE), holding(allowance)
    with pytest.raises(LimitExceeded, match=rf"\(quota {quota}\)"):
        greedy.check(2, PAGE_SIZE)
    other.check(2, 2 * PAGE_SIZE)
    greedy.destroy(1)
    greedy.check(2, 2 * PAGE_SIZE)


@pytest.mark.parametrize("quota", ["resources", "blob_bytes"])
def test_all_clients_of_a_socket_have_a_quota_together(quota: str) -> None:
    most = {"resources": 2, "blob_bytes": 4 * PAGE_SIZE}[quota]
    allowance = Allowance(Quotas(vm=replace(VmQuotas(), **{quota: most})))
    first, second = (holding(allowance, 2 * PAGE_SIZE) for _ in range(2))
    third = LocalResources(allowance)
    with pytest.raises(LimitExceeded, match=rf"\(quota vm.{quota}\)"):
        third.check(1, PAGE_SIZE)
    first.close()
    third.check(1, 2 * PAGE_SIZE)
    second.close()
    assert (allowance.resources, allowance.blob_bytes) == (0, 0)


@pytest.mark.parametrize(
    "kind", [ToDaemon.CREATE_GUEST_BLOB, ToDaemon.CREATE_HOST_BLOB, ToDaemon.CREATE_SYNC], ids=str
)
async def test_all_clients_of_a_socket_have_so_many_descriptors_together(
    launcher: Launcher, kind: ToDaemon
) -> None:
    launcher.socket.send(local.encode_packet(ToDaemon.HELLO, local.HELLO.pack(1)))
    await until(lambda: launcher.connection.context is not None)
    assert launcher.connection.context is not None
    image = encode_get_image_requirements(PAGE_SIZE, 1, int.from_bytes(b"R8  ", "little"))
    launcher.socket.send(local.encode_packet(ToDaemon.SUBMIT, encode_init(RING_NONE, RING_NONE) + image))
    packets = await launcher.receive(2)
    blob_id = parse_image_requirements(packets[1][local.HEADER.size :]).blob_id

    newest = os.dup(0)
    os.close(newest)
    launcher.allowance.set(Quotas(vm=replace(VmQuotas(), fds=newest)))
    memory = HostMemory.create(PAGE_SIZE)
    packet = local.encode_packet(
        kind, local.BLOB_ID.pack(blob_id), resource_id=local.FIRST_GIVEN_SYNC, size=PAGE_SIZE
    )
    socket.send_fds(launcher.socket, [packet], [memory.fd] if kind is not ToDaemon.CREATE_HOST_BLOB else [])
    memory.close()
    (told,) = await launcher.receive(1)
    assert b"(quota vm.fds)" in told
    assert len(launcher.connection.resources) == 0


def test_a_file_that_somebody_may_have_to_deliver_first_is_not_read() -> None:
    # Its owner may be a file system of the launcher's, which answers when it likes.
    size = Path(__file__).stat().st_size
    memory = ClientMemory(os.open(__file__, os.O_RDONLY | os.O_CLOEXEC), size)
    with pytest.raises(GuestFault, match="only memory files"):
        memory.read(0, size)
    memory.close()


@pytest.mark.parametrize("size", [6, 1 << 40, (1 << 64) - 1])
def test_nothing_is_read_or_written_behind_the_end_of_a_file(size: int) -> None:
    fd = os.memfd_create("small")
    os.write(fd, b"12345")
    memory = ClientMemory(fd, size)
    assert memory.read(0, 5) == b"12345"
    for offset, length in ((0, 6), (5, 1), (1 << 39, 1), (1 << 63, 1)):
        with pytest.raises(GuestFault, match="of 5"):
            memory.write(offset, bytes(length))
        with pytest.raises(GuestFault, match="of 5"):
            memory.read(offset, length)
        with pytest.raises(GuestFault, match="of 5"):
            memory.spans(offset, length)
    memory.close()


@pytest.mark.parametrize("error", ERRORS)
async def test_what_the_kernel_has_no_room_for_is_answered_later(launcher: Launcher, error: int) -> None:
    launcher.crowded.error = error
    launcher.connection.write(EVENT)
    launcher.connection.answer(b"second")
    await until(lambda: launcher.crowded.attempts > 2)
    launcher.crowded.error = None
    packets = await launcher.receive(2)
    assert [packet[local.HEADER.size :] for packet in packets] == [EVENT, b"second"]
