"""What nobody has to decide on passes in C, and everybody gets the same as without that."""

import os
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from random import Random

import pytest

from crossdomain.abi import local
from crossdomain.abi.cross_domain import encode_receive
from crossdomain.wire.engine import Direction
from crossdomain.wire.walker import PythonWalker
from tests.unit.launcher.fake_channel import TABLES, event, request
from tests.unit.launcher.laned_client import LanedClient
from tests.unit.wire.traffic import Traffic

Make = Callable[[bool], LanedClient]


@pytest.fixture
def make(runtime_dir: Path) -> Generator[Make]:
    """Makes clients with lanes or without."""
    made: list[LanedClient] = []

    def make_client(has_lanes: bool) -> LanedClient:
        made.append(LanedClient(runtime_dir / "local.sock", has_lanes=has_lanes))
        return made[-1]

    yield make_client
    for client in made:
        client.close()


@pytest.fixture
def client(make: Make) -> LanedClient:
    """One with lanes."""
    return make(True)


def sync(object_id: int) -> bytes:
    return request("wl_display", "sync", 1, object_id)


def answer(object_id: int) -> bytes:
    return event("wl_callback", "done", object_id, 7) + event("wl_display", "delete_id", 1, object_id)


def test_a_round_trip_needs_no_python(client: LanedClient) -> None:
    for _ in range(5):
        client.say(sync(2))
        assert client.sent() == sync(2)
        client.tell(answer(2))
        assert client.heard() == answer(2)
    assert client.served == 10


def test_without_lanes_it_needs_python(make: Make) -> None:
    client = make(False)
    client.say(sync(2))
    assert client.sent() == sync(2)
    assert client.served == 0


GLOBALS = ("wl_compositor", "wl_shm", "wl_seat", "wl_data_device_manager")


def opening() -> list[tuple[Direction, bytes, int]]:
    """The client binds some globals; its objects are 2 to 6."""
    offers = (
        event("wl_registry", "global", 2, name, interface, 1) for name, interface in enumerate(GLOBALS, 1)
    )
    binds = (
        request("wl_registry", "bind", 2, name, interface, 1, 2 + name)
        for name, interface in enumerate(GLOBALS, 1)
    )
    return [
        (Direction.REQUEST, request("wl_display", "get_registry", 1, 2), 0),
        (Direction.EVENT, b"".join(offers), 0),
        (Direction.REQUEST, b"".join(binds), 0),
    ]


def conversation(random: Random, steps: int) -> list[tuple[Direction, bytes, int]]:
    """What both sides say, several messages at a time or halves of them, and the fds that come with it."""
    walker = PythonWalker(TABLES, (), strict=True)
    traffic = Traffic(TABLES, random, walker)
    said = opening()
    for direction, data, _fds in said:
        walker.walk(direction, data)
    waiting = {Direction.REQUEST: b"", Direction.EVENT: b""}
    for _ in range(steps):
        direction, data = traffic.message()
        of_registry = data[:4] == b"\2\0\0\0"
        walk = walker.walk(direction, b"" if of_registry else data)
        is_wild = random.random() < 0.01
        waiting[direction] += data if walk.consumed and (is_wild or not walk.records) else b""
        size = len(waiting[direction]) * random.choice((0, 1, 1)) - random.choice((0, 0, 0, 5))
        ready, waiting[direction] = waiting[direction][: max(size, 0)], waiting[direction][max(size, 0) :]
        said.append((direction, ready, random.choice((0, 0, 0, 0, 0, 1))))
    return said


def outcome(client: LanedClient, said: list[tuple[Direction, bytes, int]]) -> list[object]:
    """What came out after each step, until the client was thrown out."""
    came: list[object] = [client.sent()]
    while said and not client.closed:
        direction, data, fds = said.pop(0)
        if direction is Direction.REQUEST and data:
            client.say(data, [os.open("/dev/null", os.O_RDWR) for _ in range(fds)])
        elif direction is Direction.EVENT and data:
            client.tell(data)
        came.append((client.sent(), client.heard(), client.closed))
    return came


def test_every_conversation_comes_out_the_same_as_without_lanes(make: Make) -> None:
    served = 0
    for seed in range(100):
        laned, plain = make(True), make(False)
        assert outcome(laned, conversation(Random(seed), 40)) == outcome(
            plain, conversation(Random(seed), 40)
        )
        served += laned.served
        assert plain.served == 0
        for client in (laned, plain):
            client.close()
    assert served > 300


def test_a_client_that_does_not_read_gets_all_in_order_later(client: LanedClient) -> None:
    expected = bytearray()
    for first in range(1000, 31_000, 300):
        deleted = b"".join(
            event("wl_display", "delete_id", 1, number) for number in range(first, first + 300)
        )
        client.tell(deleted)
        expected += deleted
    assert 0 < client.served < 100
    # What comes now finds room in the client's socket before what waits does.
    last = event("wl_display", "delete_id", 1, 7)
    client.host.send(local.encode_packet(local.ToLauncher.EVENT, encode_receive(last)))
    expected += last
    heard = bytearray(client.socket.recv(1 << 16))
    while len(heard) < len(expected):
        heard += client.heard()
    assert heard == expected
    client.say(sync(2))
    assert client.sent() == sync(2)


def test_a_host_that_does_not_read_gets_all_in_order_later(client: LanedClient) -> None:
    expected = bytearray()
    for object_id in range(2, 3002):
        client.say(sync(object_id))
        expected += sync(object_id)
    assert 0 < client.served < 3000
    sent = bytearray()
    while len(sent) < len(expected):
        sent += client.sent()
    assert sent == expected
    client.tell(answer(2))
    assert client.heard() == answer(2)


def test_a_client_that_says_much_is_acknowledged(client: LanedClient) -> None:
    """The host has to answer a question of the relay's now and then, which the client does not hear."""
    requests = b"".join(map(sync, range(2, 1002)))
    client.say(requests)
    for object_id in range(2, 1002):
        client.tell(answer(object_id))
    assert client.sent() == requests
    assert len(client.heard()) == 1000 * len(answer(2))
    sent = b""
    while not sent[len(requests) :]:
        client.say(requests)
        sent = client.sent()
        client.tell(b"".join(map(answer, range(2, 1002))))
        client.heard()
    assert sent == requests + sync(1002)
    client.tell(answer(1002))
    assert client.heard() == b""


def test_an_fd_that_comes_early_waits_for_its_message(client: LanedClient) -> None:
    client.say(request("wl_display", "get_registry", 1, 2))
    client.tell(event("wl_registry", "global", 2, 1, "wl_shm", 1))
    client.say(request("wl_registry", "bind", 2, 1, "wl_shm", 1, 3))
    fd = os.memfd_create("pool", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    client.sent()
    client.say(sync(4), [fd])
    assert client.sent() == sync(4)
    client.say(pool := request("wl_shm", "create_pool", 3, 5, None, 4096))
    assert client.sent() == pool


def test_fds_of_a_client_that_is_thrown_out_are_closed(client: LanedClient) -> None:
    client.say(sync(2) + b"\0" * 8, [os.open("/dev/null", os.O_RDWR)])
    assert b"invalid" in client.heard()
    client.serve()
    assert client.closed


@pytest.mark.parametrize(
    "packet",
    [
        b"short",
        local.encode_packet(0x99),
        local.encode_packet(local.ToLauncher.EVENT, b"\x07" + bytes(400)),
        local.encode_packet(local.ToLauncher.EVENT, encode_receive(b"x" * 8)[:-1]),
    ],
    ids=["short", "unknown", "no event", "cut"],
)
def test_a_host_that_sends_nonsense_loses_the_client(client: LanedClient, packet: bytes) -> None:
    client.say(sync(2))
    client.host.send(packet)
    client.serve()
    assert b"the host sent" in (heard := client.heard()) or b"does not fit" in heard or b"neither" in heard
    assert client.closed


def test_fds_that_the_host_sends_unasked_are_closed(client: LanedClient) -> None:
    client.say(sync(2))
    packet = local.encode_packet(local.ToLauncher.EVENT, encode_receive(answer(2)))
    for count in (1, 2):
        socket.send_fds(client.host, [packet], [0] * count)
        client.serve()
    assert client.heard()[: len(answer(2))] == answer(2)
    assert client.closed


def test_the_end_of_the_host_is_noticed(client: LanedClient) -> None:
    client.say(sync(2))
    client.tell(answer(2))
    client.host.close()
    client.serve()
    heard = client.heard()
    assert heard[: len(answer(2))] == answer(2)
    assert b"ended" in heard
    assert client.closed


def test_the_client_s_last_requests_count(client: LanedClient) -> None:
    client.socket.send(sync(2))
    client.socket.close()
    client.serve()
    assert client.sent() == sync(2)
    assert client.closed


SURFACE, POOL, BUFFER = 7, 8, 9


@pytest.fixture
def painter(client: LanedClient) -> LanedClient:
    """A client with lanes, and with a surface that has shown a buffer of a pool that the host has, too."""
    ways: dict[Direction, Callable[[bytes], None]]
    ways = {Direction.REQUEST: client.say, Direction.EVENT: client.tell}
    for direction, data, _fds in opening():
        ways[direction](data)
    fd = os.memfd_create("pool", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 64)
    client.say(
        request("wl_compositor", "create_surface", 3, SURFACE)
        + request("wl_shm", "create_pool", 4, POOL, None, 64)
        + request("wl_shm_pool", "create_buffer", POOL, BUFFER, 0, 4, 4, 16, 0),
        [fd],
    )
    client.say(frame(10))
    client.sent()
    client.heard()
    return client


def frame(callback: int) -> bytes:
    return (
        request("wl_surface", "attach", SURFACE, BUFFER, 0, 0)
        + request("wl_surface", "damage", SURFACE, 0, 0, 4, 4)
        + request("wl_surface", "frame", SURFACE, callback)
        + request("wl_surface", "commit", SURFACE)
    )


def test_steady_frames_need_no_python(painter: LanedClient) -> None:
    served = painter.served
    for _ in range(5):
        events = answer(10) + event("wl_buffer", "release", BUFFER)
        painter.tell(events)
        assert painter.heard() == events
        painter.say(frame(10))
        assert painter.sent() == frame(10)
    assert painter.served == served + 10
    assert painter.stats.totals().frames == 6


def test_a_frame_that_shows_nothing_is_seen(painter: LanedClient) -> None:
    served = painter.served
    nothing = request("wl_surface", "attach", SURFACE, 0, 0, 0) + request("wl_surface", "commit", SURFACE)
    painter.say(nothing)
    assert painter.sent() == nothing
    assert painter.served == served
    assert not painter.connection.parts.shows_anything
