"""Commands of a context: each one well-formed, cut short, over its limits and out of order."""

import struct
from functools import partial
from typing import NoReturn

import pytest

from crossdomain.abi.cross_domain import (
    HEADER,
    NO_IDENTIFIER,
    RING_NONE,
    Command,
    Identifier,
    IdentifierType,
    SendReceive,
    encode_get_image_requirements,
    encode_init,
    encode_poll,
    encode_send,
    encode_write,
    parse_event,
    parse_image_requirements,
)
from crossdomain.context.images import R8, fourcc
from crossdomain.errors import GuestFault, HostFault
from crossdomain.limits import MAX_HELD_FENCES, MAX_IDENTIFIERS
from tests.unit.context.world import CHANNEL_RING_ID, QUERY_RING_ID, GuestPages, World, delete_id, sync, until

INIT_BODIES = {
    16: struct.pack("<II", CHANNEL_RING_ID, 1),
    20: struct.pack("<III", QUERY_RING_ID, CHANNEL_RING_ID, 1),
    24: struct.pack("<IIII", QUERY_RING_ID, CHANNEL_RING_ID, 1, 2),
    36: struct.pack("<III16s", QUERY_RING_ID, CHANNEL_RING_ID, 1, bytes(16)),
}


def command(cmd: int, body: bytes = b"", *, size: int | None = None) -> bytes:
    """Any command, with a `cmd_size` that may lie."""
    return HEADER.pack(cmd, 0, len(body) + 8 if size is None else size, 0) + body


@pytest.mark.parametrize("size", INIT_BODIES)
async def test_each_dialect_of_init_connects_a_client(world: World, size: int) -> None:
    world.context.submit(command(Command.INIT, INIT_BODIES[size]))
    world.send(sync(2))
    assert await world.host.receive(12) == sync(2)
    world.host.send(delete_id(2))
    assert await world.receive_data() == delete_id(2)


async def test_legacy_init_uses_one_ring_for_both(world: World) -> None:
    world.context.submit(command(Command.INIT, INIT_BODIES[16]))
    world.context.submit(encode_get_image_requirements(4096, 1, R8))
    assert parse_image_requirements(world.channel_ring.data).size == 4096


@pytest.mark.parametrize("size", [n for n in range(8, 41) if n not in INIT_BODIES])
async def test_init_of_any_other_size_is_refused(world: World, size: int) -> None:
    with pytest.raises(GuestFault, match="INIT of"):
        world.context.submit(command(Command.INIT, INIT_BODIES[36].ljust(40)[: size - 8]))


async def test_init_needs_rings_that_are_attached(world: World) -> None:
    with pytest.raises(GuestFault, match="resource 99"):
        world.context.submit(encode_init(QUERY_RING_ID, 99))
    with pytest.raises(GuestFault, match="resource 99"):
        world.context.submit(encode_init(99, CHANNEL_RING_ID))
    with pytest.raises(GuestFault, match="resource"):
        world.context.submit(encode_init(RING_NONE, RING_NONE))


async def test_a_ring_has_at_least_a_page(world: World) -> None:
    world.resources.attached[CHANNEL_RING_ID] = GuestPages(4095)
    with pytest.raises(GuestFault, match="a ring of 4095 bytes"):
        world.init()


@pytest.mark.parametrize("channel", [0, 2, 0x10, 0x11, 0x12, 0x13, 0xFFFFFFFF])
async def test_only_wayland_channels_are_offered(world: World, channel: int) -> None:
    with pytest.raises(GuestFault, match="channel type"):
        world.context.submit(encode_init(QUERY_RING_ID, CHANNEL_RING_ID, channel))


async def test_a_second_init_is_refused_and_harmless(client: World) -> None:
    with pytest.raises(GuestFault, match="second INIT"):
        client.init()
    client.send(sync(2))
    assert await client.host.receive(12) == sync(2)


async def test_init_without_a_compositor_is_refused_and_hangs_up(world: World) -> None:
    world.connect = _refuse
    with pytest.raises(HostFault, match="can't be reached"):
        world.init()
    assert (await world.receive()) == SendReceive((), memoryview(b""))


@pytest.mark.parametrize(
    "commands",
    [encode_send(b""), encode_write(NO_IDENTIFIER, b""), encode_get_image_requirements(1, 1, R8)],
)
async def test_before_init_nothing_else_is_possible(world: World, commands: bytes) -> None:
    with pytest.raises(GuestFault, match="before INIT"):
        world.context.submit(commands)


async def test_a_poll_before_init_gets_the_first_event(world: World) -> None:
    polled = world.poll()
    world.init()
    world.host.send(delete_id(2))
    await polled
    assert parse_event(world.channel_ring.data).data == delete_id(2)


@pytest.mark.parametrize("cmd", [0, 5, 6, 8, 9, 10, 11, 12, 13, 14, 255])
async def test_commands_that_are_not_offered_are_refused_and_harmless(client: World, cmd: int) -> None:
    with pytest.raises(GuestFault, match=f"command {cmd} is not offered"):
        client.context.submit(command(cmd, bytes(24)))
    client.send(sync(2))
    assert await client.host.receive(12) == sync(2)


async def test_several_commands_in_one_submit_are_done_in_order(world: World) -> None:
    world.context.submit(
        encode_init(QUERY_RING_ID, CHANNEL_RING_ID)
        + encode_poll()
        + encode_send(sync(2))
        + encode_get_image_requirements(64, 1, R8)
        + encode_send(sync(3))
    )
    assert await world.host.receive(24) == sync(2) + sync(3)
    assert parse_image_requirements(world.query_ring.data).size == 4096


async def test_the_first_bad_command_ends_the_submit(client: World) -> None:
    with pytest.raises(GuestFault):
        client.context.submit(encode_send(sync(2)) + command(99) + encode_send(sync(3)))
    client.send(sync(3))
    assert await client.host.receive(24) == sync(2) + sync(3)


@pytest.mark.parametrize("size", range(8))
async def test_a_cmd_size_below_the_header_is_refused(client: World, size: int) -> None:
    with pytest.raises(GuestFault, match=f"says {size} bytes"):
        client.context.submit(command(Command.POLL, size=size))


async def test_a_cmd_size_beyond_the_submit_is_refused(client: World) -> None:
    with pytest.raises(GuestFault, match="says 9 bytes, and 8 are left"):
        client.context.submit(command(Command.POLL, size=9))


@pytest.mark.parametrize("tail", range(1, 8))
async def test_a_torn_header_at_the_end_is_refused(client: World, tail: int) -> None:
    with pytest.raises(GuestFault, match="less than a command's header"):
        client.context.submit(encode_poll() + bytes(tail))


@pytest.mark.parametrize("length", range(1, 24))
async def test_image_requirements_cut_at_any_length_are_refused(client: World, length: int) -> None:
    whole = encode_get_image_requirements(1, 1, R8)
    with pytest.raises(GuestFault):
        client.context.submit(whole[:length])
    with pytest.raises(GuestFault):
        client.context.submit(command(Command.GET_IMAGE_REQUIREMENTS, whole[8 : max(8, length)]))


@pytest.mark.parametrize("length", range(8, 352, 7))
async def test_a_send_cut_in_its_header_ends_the_client(client: World, length: int) -> None:
    whole = encode_send(sync(2))
    with pytest.raises(GuestFault):
        client.context.submit(command(Command.SEND, whole[8:length]))
    assert await _is_told_off(client)


@pytest.mark.parametrize("missing", range(1, 13))
async def test_a_send_with_less_data_than_it_says_ends_the_client(client: World, missing: int) -> None:
    whole = encode_send(sync(2))
    with pytest.raises(GuestFault, match="12 bytes of data"):
        client.context.submit(command(Command.SEND, whole[8 : len(whole) - missing]))
    assert await _is_told_off(client)


async def test_a_send_takes_28_identifiers_and_no_more(client: World) -> None:
    identifiers = [client.share(100 + n)[1] for n in range(MAX_IDENTIFIERS)]
    client.send(sync(2), *identifiers)
    assert await client.host.receive(12) == sync(2)
    counted = bytearray(encode_send(sync(3), tuple(identifiers)))
    struct.pack_into("<I", counted, 8, MAX_IDENTIFIERS + 1)
    with pytest.raises(GuestFault, match="29 identifiers"):
        client.context.submit(counted)
    assert await _is_told_off(client)


@pytest.mark.parametrize("type_", [0, IdentifierType.WRITE_PIPE, 5, 6, 7, 2**32 - 1])
async def test_identifiers_that_can_not_be_sent_end_the_client(client: World, type_: int) -> None:
    with pytest.raises(GuestFault, match="identifiers of type"):
        client.send(sync(2), Identifier(CHANNEL_RING_ID, type_, 0))
    assert await _is_told_off(client)


async def test_pages_of_the_guest_can_not_be_sent(client: World) -> None:
    with pytest.raises(GuestFault, match="can't be given away"):
        client.send(sync(2), Identifier(CHANNEL_RING_ID, IdentifierType.VIRTGPU_BLOB, 4096))
    assert await _is_told_off(client)


async def test_a_refused_send_leaves_no_fd_behind(client: World) -> None:
    """The fixture that counts fds is the assertion: a good blob before, a read pipe between."""
    good = client.share(100)[1]
    with pytest.raises(GuestFault):
        client.send(
            sync(2),
            good,
            Identifier(0x80000001, IdentifierType.READ_PIPE, 0),
            Identifier(999, IdentifierType.VIRTGPU_BLOB, 0),
        )


@pytest.mark.parametrize("length", range(8, 24))
async def test_a_write_cut_in_its_header_is_refused(client: World, length: int) -> None:
    with pytest.raises(GuestFault, match="WRITE"):
        client.context.submit(command(Command.WRITE, encode_write(2, b"")[8:length]))


async def test_a_write_with_less_data_than_it_says_is_refused(client: World) -> None:
    whole = encode_write(2, b"abc")
    with pytest.raises(GuestFault, match="3 bytes of data where 2"):
        client.context.submit(command(Command.WRITE, whole[8:-1]))


@pytest.mark.parametrize("identifier", [1, 2, 3, 0x40000000, 0x80000000, 0x80000001, 2**32 - 1])
async def test_a_write_to_a_pipe_that_never_was_is_refused(client: World, identifier: int) -> None:
    with pytest.raises(GuestFault, match="WRITE of 1 bytes"):
        client.context.submit(encode_write(identifier, b"x"))


async def test_what_a_client_sends_after_its_end_is_dropped(client: World) -> None:
    client.host.close()
    assert await client.receive_data() == b""
    client.send(sync(2))


async def test_fences_that_are_no_polls_complete_at_once(client: World) -> None:
    completed: list[int | None] = []
    for ring_idx in (None, 0, 2, 63):
        client.context.create_fence(ring_idx, partial(completed.append, ring_idx))
    assert completed == [None, 0, 2, 63]


async def test_every_event_completes_one_poll_and_the_oldest(client: World) -> None:
    first, second = client.poll(), client.poll()
    client.host.send(delete_id(2))
    await first
    assert parse_event(client.channel_ring.data).data == delete_id(2)
    assert not second.done()
    client.host.send(delete_id(3))
    await second
    assert parse_event(client.channel_ring.data).data == delete_id(3)


async def test_the_ring_is_written_before_its_fence_completes(client: World) -> None:
    seen: list[bytes] = []
    client.context.create_fence(1, lambda: seen.append(bytes(parse_event(client.channel_ring.data).data)))
    client.host.send(delete_id(2))
    await until(lambda: bool(seen))
    assert seen == [delete_id(2)]


async def test_polls_are_held_up_to_the_cap_and_one_more_ends_the_client(client: World) -> None:
    polls = [client.poll() for _ in range(MAX_HELD_FENCES)]
    assert not any(poll.done() for poll in polls)
    beyond = client.poll()
    assert beyond.done()
    assert polls[0].done()
    await client.host.wait_until_gone()


async def test_closing_completes_every_fence_and_tells_once(client: World) -> None:
    polls = [client.poll() for _ in range(3)]
    client.context.close()
    client.context.close()
    assert all(poll.done() for poll in polls)
    assert client.poll().done()
    assert client.closed == [client.context]


async def test_a_ring_that_is_taken_away_ends_the_client_without_a_hanging_fence(client: World) -> None:
    poll = client.poll()
    del client.resources.attached[CHANNEL_RING_ID]
    client.host.send(delete_id(2))
    await poll
    await client.host.wait_until_gone()


async def test_image_requirements_without_the_query_ring_are_refused(client: World) -> None:
    del client.resources.attached[QUERY_RING_ID]
    with pytest.raises(GuestFault, match="not attached"):
        client.context.submit(encode_get_image_requirements(1, 1, R8))


async def test_image_requirements_are_good_for_many_blobs_of_exactly_their_size(client: World) -> None:
    client.context.submit(encode_get_image_requirements(640, 480, fourcc("XR24")))
    answer = parse_image_requirements(client.query_ring.data)
    assert (answer.blob_id, answer.strides[0], answer.size) == (2, 2560, 2560 * 480)
    first = client.context.take_blob(answer.blob_id, answer.size)
    second = client.context.take_blob(answer.blob_id, answer.size)
    first.write(0, b"first")
    assert second.read(0, 5) == bytes(5)
    with pytest.raises(GuestFault, match="has 1228800 bytes"):
        client.context.take_blob(answer.blob_id, answer.size + 4096)
    first.close()
    second.close()


async def test_the_physical_device_is_none(client: World) -> None:
    client.context.submit(encode_get_image_requirements(1, 1, R8))
    assert client.query_ring.data[56:64] == struct.pack("<ii", 0, -1)


def _refuse() -> NoReturn:
    raise ConnectionRefusedError(111, "Connection refused")


async def _is_told_off(client: World) -> bool:
    """Whether the guest gets a wl_display.error, then the hang-up, and the compositor sees the end."""
    error = await client.receive_data()
    hang_up = await client.receive_data()
    await client.host.wait_until_gone()
    return error[:8] == struct.pack("<IHH", 1, 0, len(error)) and hang_up == b""
