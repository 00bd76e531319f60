"""A local connection whose launcher does not read: what waits for it is its socket's buffer and no more."""

import asyncio
import socket
from collections.abc import AsyncGenerator

import pytest

from crossdomain.abi import local
from crossdomain.abi.cross_domain import RING_NONE, encode_init, encode_receive
from crossdomain.abi.local import ToDaemon
from crossdomain.context.capset import capset
from crossdomain.context.context import Context
from crossdomain.context.pace import Allowance
from crossdomain.context.peer import Peer
from crossdomain.context.quotas import Quotas
from crossdomain.host.broker import Dials
from crossdomain.host.local import LocalConnection, LocalResources
from crossdomain.host.settings import HostFile
from crossdomain.host.tenant import Names, Tenant
from crossdomain.wire import policy
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
        self.connection = LocalConnection(
            theirs, self._new_context, self.ended.append, capset(), Allowance(Quotas())
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
