"""Requests on their way to the compositor: policy, fds in order, a compositor that is slow or gone."""

import asyncio
import errno
import os
import socket
import struct
import time

import pytest

from crossdomain.abi.cross_domain import Identifier, encode_send
from crossdomain.context import compositor
from crossdomain.context.crowding import RETRY_SECONDS
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import MAX_OUTGOING, MAX_UNCLAIMED_FDS
from crossdomain.wire import WireFault
from tests.fakes.crowded import ERRORS, CrowdedSocket
from tests.unit.context.world import CompositorEnd, World, delete_id, event, request, sync, until


async def announce(client: World, *globals_: tuple[int, str, int]) -> bytes:
    """get_registry, and what the client gets to see of those globals."""
    client.send(request("wl_display", "get_registry", 1, 2))
    await client.host.receive(12)
    client.host.send(
        b"".join(event("wl_registry", "global", 2, *entry) for entry in globals_) + delete_id(99)
    )
    shown = b""
    while not shown.endswith(delete_id(99)):
        shown += await client.receive_data()
    return shown[: -len(delete_id(99))]


async def bind_shm(client: World) -> None:
    """wl_shm as 3."""
    await announce(client, (1, "wl_shm", 1))
    binding = request("wl_registry", "bind", 2, 1, "wl_shm", 1, 3)
    client.send(binding)
    await client.host.receive(len(binding))


def create_pool(new_id: int, size: int = 4096) -> bytes:
    """wl_shm.create_pool, which owns one fd."""
    return request("wl_shm", "create_pool", 3, new_id, None, size)


async def crowded_client(world: World) -> CrowdedSocket:
    """A client with wl_shm, whose connection to the compositor it is."""
    dial = world.connect
    dialled: list[CrowdedSocket] = []

    def connect() -> socket.socket:
        dialled.append(CrowdedSocket.of(dial()))
        return dialled[-1]

    world.connect = connect
    world.init()
    await bind_shm(world)
    return dialled[0]


class TestPolicy:
    async def test_a_global_that_the_policy_shows_is_announced(self, client: World) -> None:
        assert await announce(client, (1, "wl_compositor", 4)) == event(
            "wl_registry", "global", 2, 1, "wl_compositor", 4
        )

    @pytest.mark.parametrize("interface", ["zwlr_screencopy_manager_v1", "wl_drm", "made_up_manager"])
    async def test_hidden_and_unknown_globals_are_not_announced(self, client: World, interface: str) -> None:
        shown = await announce(client, (1, "wl_compositor", 4), (2, interface, 1), (3, "wl_shm", 1))
        assert interface.encode() not in shown
        assert shown == event("wl_registry", "global", 2, 1, "wl_compositor", 4) + event(
            "wl_registry", "global", 2, 3, "wl_shm", 1
        )

    async def test_the_removal_of_a_hidden_global_is_hidden(self, client: World) -> None:
        await announce(client, (1, "made_up_manager", 1), (2, "wl_shm", 1))
        client.host.send(event("wl_registry", "global_remove", 2, 1))
        client.host.send(event("wl_registry", "global_remove", 2, 2))
        assert await client.receive_data() == event("wl_registry", "global_remove", 2, 2)

    async def test_a_version_from_the_future_is_capped(self, client: World) -> None:
        shown = await announce(client, (1, "wl_compositor", 1000))
        (version,) = struct.unpack("<I", shown[-4:])
        assert 4 <= version < 1000

    @pytest.mark.parametrize(
        ("name", "interface", "version"),
        [
            (1, "made_up_manager", 1),
            (1, "wl_compositor", 1),
            (2, "wl_compositor", 1000),
            (2, "wl_compositor", 0),
            (2, "wl_shm", 1),
            (77, "wl_compositor", 1),
        ],
    )
    async def test_binding_what_is_not_offered_ends_the_client_with_an_error(
        self, client: World, name: int, interface: str, version: int
    ) -> None:
        await announce(client, (1, "made_up_manager", 1), (2, "wl_compositor", 4))
        with pytest.raises(WireFault):
            client.send(request("wl_registry", "bind", 2, name, interface, version, 3))
        error = await client.receive_data()
        assert struct.unpack_from("<IHHI", error) == (1, 0, len(error), 2)
        assert await client.receive_data() == b""
        await client.host.wait_until_gone()
        assert client.host.received == b""

    async def test_a_malformed_request_ends_the_client_and_never_reaches_the_compositor(
        self, client: World
    ) -> None:
        with pytest.raises(WireFault):
            client.send(sync(2) + struct.pack("<IHHI", 1, 77, 12, 3))
        await client.host.wait_until_gone()
        assert client.host.received == b""

    async def test_a_request_that_is_sent_in_pieces_arrives_whole(self, client: World) -> None:
        for position in range(24):
            client.send((sync(2) + sync(3))[position : position + 1])
        assert await client.host.receive(24) == sync(2) + sync(3)


class TestFds:
    async def test_a_blob_arrives_as_its_memory(self, client: World) -> None:
        await bind_shm(client)
        memory, identifier = client.share(100)
        memory.write(0, b"pixels")
        client.send(create_pool(4), identifier)
        assert await client.host.receive(16) == create_pool(4)
        (fd,) = client.host.take_fds()
        assert os.pread(fd, 6, 0) == b"pixels"
        os.close(fd)

    async def test_100_fds_arrive_complete_and_in_order(self, client: World) -> None:
        await bind_shm(client)
        identifiers: list[Identifier] = []
        for number in range(100):
            memory, identifier = client.share(100 + number)
            memory.write(0, b"%03d" % number)
            identifiers.append(identifier)
        for start in range(0, 100, 25):
            pools = b"".join(create_pool(4 + number) for number in range(start, start + 25))
            client.send(pools, *identifiers[start : start + 25])
        stream = b"".join(create_pool(4 + number) for number in range(100))
        assert await client.host.receive(len(stream)) == stream
        fds = client.host.take_fds()
        assert [os.pread(fd, 3, 0) for fd in fds] == [b"%03d" % number for number in range(100)]
        for fd in fds:
            os.close(fd)

    async def test_fds_may_come_before_their_request(self, client: World) -> None:
        """A guest may cut its stream anywhere: libwayland too sends fds with the first byte that has room."""
        await bind_shm(client)
        stream = b"".join(create_pool(4 + number) for number in range(30))
        for number in range(30):
            client.send(stream[number : number + 1], client.share(100 + number)[1])
        client.send(stream[30:])
        assert await client.host.receive(len(stream)) == stream
        fds = client.host.take_fds()
        assert len(fds) == 30
        for fd in fds:
            os.close(fd)

    async def test_a_request_without_its_fd_ends_the_client(self, client: World) -> None:
        await bind_shm(client)
        with pytest.raises(WireFault, match="file descriptor expected"):
            client.send(create_pool(4))
        await client.host.wait_until_gone()

    async def test_fds_that_no_request_takes_are_bounded(self, client: World) -> None:
        identifier = client.share(100)[1]
        for _ in range(MAX_UNCLAIMED_FDS // 16):
            client.send(b"", *[identifier] * 16)
        assert client.context.alive
        with pytest.raises(LimitExceeded, match="no request takes"):
            client.send(b"", identifier)
        await client.host.wait_until_gone()


class TestCompositor:
    async def test_a_stuck_compositor_never_blocks_and_gets_everything_later(self, client: World) -> None:
        stream = b"".join(sync(2 + number) for number in range(200_000))
        for start in range(0, len(stream), 60000):
            client.context.submit(encode_send(stream[start : start + 60000]))
        assert await client.host.receive(len(stream)) == stream

    async def test_what_waits_for_the_compositor_is_bounded(self, client: World) -> None:
        # The host frees nothing, so the same ids come again and again.
        batch = encode_send(b"".join(sync(2 + i) for i in range(5000)))
        for _ in range(MAX_OUTGOING // 60000):
            client.context.submit(batch)
        with pytest.raises(LimitExceeded, match="does not read"):
            client.context.submit(batch * 17)
        await client.host.wait_until_gone()

    async def test_fds_behind_a_stuck_stream_keep_their_order(self, client: World) -> None:
        await bind_shm(client)
        ids = iter(range(4, 100000))
        expected = b""
        for number in range(40):
            memory, identifier = client.share(100 + number)
            memory.write(0, b"%03d" % number)
            pool = create_pool(next(ids))
            syncs = b"".join(sync(next(ids)) for _ in range(500))
            client.send(pool + syncs, identifier)
            expected += pool + syncs
        assert await client.host.receive(len(expected)) == expected
        fds = client.host.take_fds()
        assert [os.pread(fd, 3, 0) for fd in fds] == [b"%03d" % number for number in range(40)]
        for fd in fds:
            os.close(fd)

    @pytest.mark.parametrize("error", ERRORS)
    async def test_what_the_kernel_has_no_room_for_waits(self, world: World, error: int) -> None:
        crowded = await crowded_client(world)
        crowded.error = error
        memory, identifier = world.share(100)
        memory.write(0, b"pixels")
        started = time.monotonic()
        world.send(create_pool(4), identifier)
        world.send(sync(5))
        await until(lambda: crowded.attempts > 4)
        assert time.monotonic() - started > 3 * RETRY_SECONDS, "it is tried without a pause"
        crowded.error = None
        assert await world.host.receive(28) == create_pool(4) + sync(5)
        (fd,) = world.host.take_fds()
        assert os.pread(fd, 6, 0) == b"pixels"
        os.close(fd)
        assert not world.context.is_held

    async def test_a_client_ends_that_the_kernel_never_has_room_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compositor, "CROWDED_SECONDS", 4 * RETRY_SECONDS)
        crowded = await crowded_client(world)
        crowded.error = errno.ETOOMANYREFS
        world.send(create_pool(4), world.share(100)[1])
        assert world.context.alive
        await world.host.wait_until_gone()
        assert b"no room for its descriptors" in await world.receive_data()

    async def test_a_busy_compositor_is_tried_again_and_loses_nothing(self, world: World) -> None:
        """EAGAIN from connect: its queue of connections is full."""
        dial = world.connect
        refusals = iter(range(3))

        def busy() -> socket.socket:
            if next(refusals, None) is None:
                return dial()
            raise BlockingIOError

        world.connect = busy
        world.init()
        world.send(sync(2))
        world.send(sync(3))
        await until(lambda: world.compositor is not None)
        assert await world.host.receive(24) == sync(2) + sync(3)

    async def test_a_context_may_be_closed_while_it_connects(self, world: World) -> None:
        def busy() -> socket.socket:
            raise BlockingIOError

        world.connect = busy
        world.init()
        world.send(sync(2))
        world.context.close()

    async def test_a_compositor_that_dies_while_requests_wait_is_a_hang_up(self, client: World) -> None:
        for start in range(2, 100_002, 5000):
            client.send(b"".join(sync(start + number) for number in range(5000)))
        client.host.close()
        assert await client.receive_data() == b""

    async def test_other_clients_do_not_notice_a_stuck_compositor_connection(self, client: World) -> None:
        other = World()
        other.init()
        for start in range(2, 100_002, 5000):
            client.send(b"".join(sync(start + number) for number in range(5000)))
        other.send(sync(2))
        assert await other.host.receive(12) == sync(2)
        other.close()

    async def test_counters_say_what_passed(self, client: World) -> None:
        await bind_shm(client)
        client.send(create_pool(4), client.share(100)[1])
        client.host.send(delete_id(4))
        await client.receive()
        counters = client.context.counters
        assert (counters.sends, counters.fds_to_host, counters.fds_to_guest) == (3, 1, 0)
        assert counters.events == 2
        assert counters.bytes_to_host == 12 + len(request("wl_registry", "bind", 2, 1, "wl_shm", 1, 3)) + 16
        for fd in client.host.take_fds():
            os.close(fd)


async def test_a_guest_fault_names_vm_context_and_client_in_the_log(
    client: World, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GuestFault):
        client.send(struct.pack("<IHHI", 99, 0, 12, 3))
    assert "vm test, ctx 1, 'client': " in caplog.text


async def test_the_compositors_own_error_is_in_the_log(
    client: World, caplog: pytest.LogCaptureFixture
) -> None:
    client.host.send(event("wl_display", "error", 1, 1, 3, "no such thing"))
    client.host.close()
    await client.receive()
    assert await client.receive_data() == b""
    assert "no such thing" in caplog.text


async def test_a_socket_of_a_compositor_is_read_no_more_after_the_end() -> None:
    world = World()
    world.init()
    host = world.host
    assert isinstance(host, CompositorEnd)
    world.context.close()
    await asyncio.wait_for(host.wait_until_gone(), 30)
    world.close()
