"""What a worker that its guest has taken over can say: not too much, and nothing that it leaves unread."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.context.pace import BURST_SECONDS, Rate
from crossdomain.host.broker import Broker
from crossdomain.host.channel import Channel, Fields, encode
from crossdomain.host.compositor import Compositor
from crossdomain.host.enclosure import Enclosing
from crossdomain.host.settings import Settings
from crossdomain.limits import MAX_WORKER_WAITING
from tests.fakes.crowded import ERRORS, CrowdedSocket, no_descriptor_left
from tests.unit.context.world import until

CONFIRMED: Final = encode({"say": "confined"})


class Supervisor:
    """A supervisor's end of a channel, and the worker's as a plain socket."""

    def __init__(self, rate: Rate | None = None) -> None:
        ours, self.worker = socket.socketpair()
        self.heard: list[Fields] = []
        self.ended = 0
        self.channel = Channel(ours, self._handle, self._end, takes_fds=False, rate=rate)

    def close(self) -> None:
        """Both ends."""
        self.channel.close()
        self.worker.close()

    def _handle(self, fields: Fields, _fd: int) -> None:
        self.heard.append(fields)

    def _end(self) -> None:
        self.ended += 1


@pytest.fixture
async def supervisor() -> AsyncGenerator[Supervisor]:
    """One with a rate that nothing is earned of."""
    made = Supervisor(Rate(2, clock=lambda: 0.0))
    yield made
    made.close()


async def test_who_says_more_than_anybody_needs_is_ended(supervisor: Supervisor) -> None:
    most = int(2 * BURST_SECONDS)
    supervisor.worker.send(CONFIRMED * most)
    await until(lambda: len(supervisor.heard) == most)
    assert not supervisor.ended
    supervisor.worker.send(CONFIRMED)
    await until(lambda: supervisor.ended == 1)
    assert len(supervisor.heard) == most


async def test_who_reads_nothing_gets_so_many_descriptors(supervisor: Supervisor) -> None:
    before = len(os.listdir("/proc/self/fd"))
    sent = 0
    while not supervisor.ended:
        supervisor.channel.send({"say": "serve local"}, os.dup(0))
        sent += 1
    # Those that the socket took are the worker's, read or not.
    assert MAX_WORKER_WAITING < sent < 10 * MAX_WORKER_WAITING
    assert len(os.listdir("/proc/self/fd")) == before - 1  # and its own end


async def test_a_broker_whose_worker_reads_nothing_ends_with_it(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "wayland"))
    listener.listen(128)
    accepted: list[socket.socket] = []
    settings = Settings(security_context=Enclosing.OFF)
    broker = Broker("vm", "vm", Compositor(tmp_path / "wayland"), settings)
    supervisor = Supervisor()
    supervisor.channel.close()
    ours, theirs = socket.socketpair()
    ended = asyncio.Event()

    def end() -> None:
        broker.close()
        ended.set()

    channel = Channel(ours, lambda _fields, _fd: None, end, takes_fds=False)
    dial = 0
    while not ended.is_set():
        dial += 1
        broker.handle({"say": "dial", "dial": dial}, channel)
        accepted.append(listener.accept()[0])
        while len(accepted) > 100:
            accepted.pop(0).close()
    channel.close()
    for connection in (*accepted, listener, theirs):
        connection.close()
    supervisor.close()


@pytest.mark.parametrize("error", ERRORS)
async def test_what_the_kernel_has_no_room_for_is_said_later(error: int) -> None:
    ours, theirs = socket.socketpair()
    crowded = CrowdedSocket.of(ours)
    channel = Channel(crowded, lambda _fields, _fd: None, lambda: None, takes_fds=False)
    crowded.error = error
    channel.send({"say": "serve local"}, os.dup(0))
    channel.send({"say": "ping"})
    await until(lambda: crowded.attempts > 2)
    crowded.error = None
    heard: list[tuple[Fields, bool]] = []

    def hear(fields: Fields, fd: int) -> None:
        heard.append((fields, fd >= 0))
        if fd >= 0:
            os.close(fd)

    other = Channel(theirs, hear, lambda: None, takes_fds=True)
    await until(lambda: len(heard) == 2)
    assert heard == [({"say": "serve local", "fd": True}, True), ({"say": "ping"}, False)]
    channel.close()
    other.close()


async def test_a_descriptor_that_there_is_no_number_for_costs_its_message_alone() -> None:
    ours, theirs = socket.socketpair()
    heard: list[int] = []
    sender = Channel(ours, lambda _fields, _fd: None, lambda: None, takes_fds=False)
    receiver = Channel(theirs, lambda _fields, fd: heard.append(fd), lambda: None, takes_fds=True)
    for _ in range(2):
        sender.send({"say": "serve local"}, os.dup(0))
        with no_descriptor_left():
            await until(lambda: bool(heard))
        assert heard.pop() < 0
        sender.send({"say": "serve local"}, os.dup(0))
        await until(lambda: bool(heard))
        os.close(heard.pop())
    sender.close()
    receiver.close()
