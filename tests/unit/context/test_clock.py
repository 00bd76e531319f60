"""A guest that asks for the host's time gets it, and nothing else."""

import struct
import time

import pytest

from crossdomain.abi.clock import ClockId, encode_get_clock, parse_clock
from crossdomain.abi.cross_domain import Command
from crossdomain.errors import GuestFault
from tests.unit.context.world import World, delete_id, sync


@pytest.mark.parametrize("clock_id", ClockId)
async def test_each_clock_is_told_in_the_query_ring(client: World, clock_id: ClockId) -> None:
    before = time.clock_gettime_ns(clock_id)
    client.context.submit(encode_get_clock(clock_id))
    told = parse_clock(client.query_ring.data, clock_id)
    assert before <= told <= time.clock_gettime_ns(clock_id)


@pytest.mark.parametrize(
    "command",
    [
        struct.pack("<BBHI", Command.GET_CLOCK, 0, 8, 0),
        struct.pack("<BBHIII", Command.GET_CLOCK, 0, 16, 0, 2, 0),
        struct.pack("<BBHIII", Command.GET_CLOCK, 0, 16, 0, 0x80000001, 0),
    ],
    ids=["short", "cpu time", "device"],
)
async def test_a_bad_question_is_refused_and_the_client_lives(client: World, command: bytes) -> None:
    ring = bytes(client.query_ring.data)
    with pytest.raises(GuestFault):
        client.context.submit(command)
    assert bytes(client.query_ring.data) == ring
    client.send(sync(2))
    assert await client.host.receive(12) == sync(2)
    client.host.send(delete_id(2))
    assert await client.receive_data() == delete_id(2)


async def test_nothing_is_told_before_init(world: World) -> None:
    with pytest.raises(GuestFault, match="before INIT"):
        world.context.submit(encode_get_clock(ClockId.MONOTONIC))
