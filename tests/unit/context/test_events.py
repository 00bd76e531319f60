"""Events on their way to the guest: split to fit the ring, fds never late, nothing lost."""

import asyncio
import os
import struct
from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType, SendReceive
from crossdomain.context.memory import HostMemory
from crossdomain.limits import MAX_EVENT_SIZE, MAX_PENDING_EVENTS, MAX_UNCLAIMED_FDS, MAX_UNTAKEN_BLOBS
from tests.unit.context.world import World, delete_id, event, request, sync, until

KEYBOARD = 7


@pytest.fixture
async def keyboard(client: World) -> World:
    """A client with a wl_keyboard, whose events carry fds."""
    await bind_keyboard(client)
    return client


@pytest.fixture
async def large_ring() -> AsyncGenerator[World]:
    """A client whose channel ring has 1 MiB."""
    world = World(ring_size=1 << 20)
    world.init()
    yield world
    world.close()


async def bind_keyboard(client: World) -> None:
    """Makes the seat (6) and the keyboard (7)."""
    client.send(request("wl_display", "get_registry", 1, 2))
    global_ = event("wl_registry", "global", 2, 1, "wl_seat", 5)
    client.host.send(global_)
    await client.receive_bytes(len(global_))
    binding = request("wl_registry", "bind", 2, 1, "wl_seat", 5, 3) + b"".join(sync(n) for n in (4, 5, 6))
    client.send(binding + request("wl_seat", "get_keyboard", 3, KEYBOARD))
    await client.host.receive(len(binding) + 12 + 12)


def keymap(size: int) -> bytes:
    """wl_keyboard.keymap, which owns one fd."""
    return event("wl_keyboard", "keymap", KEYBOARD, 1, None, size)


def file_of(content: bytes) -> int:
    """A memfd with that content; the caller owns it."""
    fd = os.memfd_create("test")
    os.write(fd, content)
    return fd


def taken(client: World, identifier: Identifier) -> bytes:
    """What the guest reads in a received blob."""
    size = -(-identifier.size // 4096) * 4096
    memory = client.context.take_blob(identifier.identifier, size)
    content = memory.read(0, identifier.size)
    memory.close()
    return content


async def test_an_event_arrives_unchanged(client: World) -> None:
    client.host.send(delete_id(5))
    assert await client.receive() == SendReceive((), memoryview(delete_id(5)))


async def test_events_that_wait_come_together(client: World) -> None:
    for number in range(2, 102):
        client.host.send(delete_id(number))
        await asyncio.sleep(0)
    await until(lambda: client.context.counters.bytes_to_guest == 1200)
    received = await client.receive_data()
    assert received == b"".join(delete_id(number) for number in range(2, 102))


async def test_a_page_of_ring_carries_3744_bytes_at_a_time(client: World) -> None:
    stream = b"".join(delete_id(2 + number % 100) for number in range(2000))
    client.host.send(stream)
    sizes: list[int] = []
    joined = b""
    while len(joined) < len(stream):
        data = await client.receive_data()
        sizes.append(len(data))
        joined += data
    assert joined == stream
    assert max(sizes) == 3744


async def test_a_larger_ring_carries_larger_events(large_ring: World) -> None:
    stream = b"".join(delete_id(2 + number % 100) for number in range(5000))
    large_ring.host.send(stream)
    first = await large_ring.receive_data()
    assert 3744 < len(first) <= MAX_EVENT_SIZE - 352
    rest = await large_ring.receive_bytes(len(stream) - len(first))
    assert first + rest == stream


async def test_an_event_waits_until_it_is_whole(client: World) -> None:
    whole = delete_id(2)
    client.host.send(whole + whole[:5])
    assert await client.receive_data() == whole
    polled = client.poll()
    client.host.send(whole[5:7])
    client.host.send(whole[7:])
    await polled
    assert bytes(client.channel_ring.data[352:364]) == whole


async def test_a_keymap_becomes_a_blob_with_its_content(keyboard: World) -> None:
    content = b"xkb_keymap {};" * 1000
    fd = file_of(content)
    keyboard.host.send(keymap(len(content)), [fd])
    os.close(fd)
    received = await keyboard.receive()
    (identifier,) = received.identifiers
    assert received.data == keymap(len(content))
    assert (identifier.type, identifier.size) == (IdentifierType.VIRTGPU_BLOB, len(content))
    assert taken(keyboard, identifier) == content


async def test_100_fds_in_a_burst_arrive_complete_and_in_order(keyboard: World) -> None:
    for number in range(100):
        fd = file_of(b"%03d" % number)
        keyboard.host.send(keymap(number), [fd])
        os.close(fd)
    await until(lambda: keyboard.context.counters.fds_to_guest == 100)
    stream = b""
    contents: list[bytes] = []
    while len(contents) < 100:
        received = await keyboard.receive()
        assert 0 < len(received.identifiers) <= 28
        stream += received.data
        contents += [taken(keyboard, identifier) for identifier in received.identifiers]
        # Whoever has the last byte of a message has its fd.
        assert len(contents) >= stream.count(keymap(0)[:8])
    assert contents == [b"%03d" % number for number in range(100)]
    assert stream == b"".join(keymap(number) for number in range(100))


async def test_253_fds_with_one_byte_stream_are_split_over_many_receives(keyboard: World) -> None:
    fd = file_of(b"x")
    keyboard.host.send(b"".join(keymap(number) for number in range(253)), [fd] * 253)
    os.close(fd)
    counts: list[int] = []
    while sum(counts) < 253:
        received = await keyboard.receive()
        counts.append(len(received.identifiers))
        assert len(received.data) == 16 * len(received.identifiers)
    assert counts == [28] * 9 + [1]


async def test_what_is_hidden_from_the_guest_does_not_shift_its_fds(keyboard: World) -> None:
    hidden = event("wl_registry", "global", 2, 9, "made_up_manager", 1)
    fd = file_of(b"x")
    keyboard.host.send(hidden + b"".join(keymap(number) for number in range(29)), [fd] * 29)
    os.close(fd)
    received = await keyboard.receive()
    assert len(received.identifiers) == 28
    assert received.data == b"".join(keymap(number) for number in range(28))
    assert await keyboard.receive_data() == keymap(28)


async def test_fds_that_come_before_their_message_wait_for_it(keyboard: World) -> None:
    fd = file_of(b"early")
    keyboard.host.send(keymap(5)[:9], [fd])
    os.close(fd)
    keyboard.host.send(keymap(5)[9:])
    received = await keyboard.receive()
    assert taken(keyboard, received.identifiers[0]) == b"early"


async def test_a_message_larger_than_the_ring_brings_its_fds_with_the_first_byte(keyboard: World) -> None:
    """A name of 4000 bytes before and after a keymap: chunk borders fall anywhere."""
    big = event("wl_seat", "name", 3, "n" * 4000)
    fd = file_of(b"x")
    keyboard.host.send(big + keymap(1) + big, [fd])
    os.close(fd)
    stream = b""
    position = None
    while len(stream) < 2 * len(big) + 16:
        received = await keyboard.receive()
        if received.identifiers:
            position = len(stream)
        stream += received.data
    assert stream == big + keymap(1) + big
    assert position is not None
    assert position <= len(big)


async def test_an_event_without_its_fd_ends_the_client(keyboard: World) -> None:
    keyboard.host.send(keymap(1))
    assert b"without its fd" in await keyboard.receive_data()
    assert await keyboard.receive_data() == b""


async def test_an_empty_file_ends_the_client(keyboard: World) -> None:
    fd = os.memfd_create("empty")
    keyboard.host.send(keymap(0), [fd])
    os.close(fd)
    assert b"empty file" in await keyboard.receive_data()


async def test_an_fd_of_a_kind_that_can_not_cross_ends_the_client(keyboard: World) -> None:
    fd = os.eventfd(0)
    keyboard.host.send(keymap(1), [fd])
    os.close(fd)
    assert b"can't cross" in await keyboard.receive_data()
    assert await keyboard.receive_data() == b""
    await keyboard.host.wait_until_gone()


async def test_fds_that_no_event_takes_are_bounded(client: World) -> None:
    fd = file_of(b"x")
    for _ in range(MAX_UNCLAIMED_FDS // 128):
        client.host.send(delete_id(2), [fd] * 128)
    await until(lambda: client.context.counters.bytes_to_guest == 12 * (MAX_UNCLAIMED_FDS // 128))
    assert client.context.alive
    client.host.send(delete_id(2), [fd])
    os.close(fd)
    await client.host.wait_until_gone()


async def test_blobs_that_the_guest_does_not_fetch_are_bounded(keyboard: World) -> None:
    fd = file_of(b"x")
    identifiers: list[Identifier] = []
    for _ in range(MAX_UNTAKEN_BLOBS):
        keyboard.host.send(keymap(1), [fd])
        identifiers += (await keyboard.receive()).identifiers
    assert keyboard.context.alive
    assert taken(keyboard, identifiers[0]) == b"x"
    for _ in range(2):
        keyboard.host.send(keymap(1), [fd])
    os.close(fd)
    await keyboard.host.wait_until_gone()


async def test_a_received_blob_is_good_once(keyboard: World) -> None:
    fd = file_of(b"x")
    keyboard.host.send(keymap(1), [fd])
    os.close(fd)
    (identifier,) = (await keyboard.receive()).identifiers
    assert taken(keyboard, identifier) == b"x"
    with pytest.raises(Exception, match=f"no blob {identifier.identifier}"):
        keyboard.context.take_blob(identifier.identifier, 4096)


async def test_identifiers_of_fds_begin_at_2_and_count_up(keyboard: World) -> None:
    fd = file_of(b"x")
    keyboard.host.send(keymap(1) * 3, [fd] * 3)
    os.close(fd)
    received = await keyboard.receive()
    assert [identifier.identifier for identifier in received.identifiers] == [2, 3, 4]


async def test_the_guest_can_not_write_what_the_compositor_shares_with_others(keyboard: World) -> None:
    fd = file_of(b"shared")
    keyboard.host.send(keymap(6), [fd])
    (identifier,) = (await keyboard.receive()).identifiers
    memory: HostMemory = keyboard.context.take_blob(identifier.identifier, 4096)
    memory.write(0, b"broken")
    memory.close()
    assert os.pread(fd, 6, 0) == b"shared"
    os.close(fd)


async def test_the_end_of_the_compositor_is_one_hang_up_after_the_last_event(client: World) -> None:
    client.host.send(delete_id(2))
    client.host.close()
    assert await client.receive_data() == delete_id(2)
    assert await client.receive_data() == b""
    assert not client.context.alive
    silent = client.poll()
    await asyncio.sleep(0)
    assert not silent.done()


async def test_an_error_and_the_end_arrive_in_order(client: World) -> None:
    error = event("wl_display", "error", 1, 1, 3, "you did it")
    client.host.send(error)
    client.host.close()
    assert await client.receive_data() == error
    assert await client.receive_data() == b""


async def test_a_half_message_before_the_end_is_dropped(client: World) -> None:
    client.host.send(delete_id(2) + delete_id(3)[:7])
    client.host.close()
    assert await client.receive_data() == delete_id(2)
    assert await client.receive_data() == b""


async def test_garbage_from_the_compositor_ends_only_this_client(client: World) -> None:
    client.host.send(struct.pack("<IHH", 1, 1, 3) + bytes(4))
    assert b"events" in await client.receive_data()
    assert await client.receive_data() == b""


async def test_a_guest_that_does_not_poll_stops_the_reading_and_loses_nothing(large_ring: World) -> None:
    total = (MAX_PENDING_EVENTS + (1 << 20)) // 12 * 12
    stream = b"".join(delete_id(2 + number % 250) for number in range(total // 12))
    sending = asyncio.create_task(large_ring.host.send_all(stream))
    await until(lambda: large_ring.context.counters.bytes_to_guest > MAX_PENDING_EVENTS)
    for _ in range(100):
        await asyncio.sleep(0)
    assert large_ring.context.counters.bytes_to_guest <= MAX_PENDING_EVENTS + 65536
    received = await large_ring.receive_bytes(total)
    await sending
    assert received == stream


async def test_rings_of_one_client_never_get_more_than_their_size(client: World) -> None:
    stream = b"".join(delete_id(2 + number % 250) for number in range(1000))
    client.host.send(stream)
    lengths = [len(await client.receive_data()) for _ in range(3)]
    assert all(length + 352 <= client.channel_ring.size for length in lengths)
    assert all(a >= b for a, b in pairwise(lengths))
