"""The walker in C against the one in Python: what clients and compositors may say, and who owns which id."""

from functools import cache
from random import Random
from typing import Final

from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import load
from crossdomain.wire.walker import PythonWalker
from tests.fuzz.source import Source
from tests.unit.context.world import request, sync
from tests.unit.wire.test_walkers_agree import IDS, INTEREST, Pair
from tests.unit.wire.traffic import Traffic, bind, get_registry

_WALK: Final = 4
"""Steps from this one on are messages, of either direction."""
_MESSAGES: Final = 8
"""Of a conversation among the seeds."""
_DELETES: Final = (0, 1, 2, 0xFFFF, 0x10000)


def run(data: bytes) -> None:
    """One conversation."""
    source = Source(data)
    pair = Pair(strict=source.flag())
    if source.flag():
        pair.watch_quietly()
    if source.flag():
        pair.step(Direction.REQUEST, _opening())
    while source.left:
        match source.byte() % 8:
            case 0:
                pair.own(source.choice(IDS), source.choice(_DELETES))
            case 1:
                pair.release(source.choice(IDS))
            case 2:
                pair.adopt(source.choice(IDS))
            case 3 if source.flag():
                pair.quieten(source.choice(IDS))
            case 3:
                pair.stir(source.choice(IDS))
                pair.take_ended()
            case kind:
                pair.step(Direction(kind & 1), source.any_block())
    pair.compare()


def seeds() -> list[bytes]:
    """Conversations of many interfaces, each message a step; clients that have all that they may."""
    binds = get_registry(load()) + bind(load(), "wl_compositor", 3)
    surfaces = b"".join(request("wl_compositor", "create_surface", 3, 4 + number) for number in range(9))
    many = b"".join(sync(3 + number) for number in range(38))
    greedy = [bytes([strict, 0, 0]) + _step(Direction.REQUEST, binds + surfaces) for strict in (0, 1)]
    return [
        *greedy,
        bytes([1, 0, 0]) + _step(Direction.REQUEST, get_registry(load()) + many),
        *(_conversation(Random(seed), strict=bool(seed & 1)) for seed in range(24)),
    ]


def _conversation(random: Random, *, strict: bool) -> bytes:
    walker = PythonWalker(load(), INTEREST, strict=strict)
    traffic = Traffic(load(), random, walker)
    steps = bytes([strict, random.randrange(2), 1])
    walker.walk(Direction.REQUEST, _opening())
    for _ in range(_MESSAGES):
        direction, message = traffic.message()
        walker.walk(direction, message)
        steps += _step(direction, message)
    return steps


@cache
def _opening() -> bytes:
    """The registry and a few objects, as what is said of a flag."""
    return Traffic(load(), Random(0), PythonWalker(load(), INTEREST, strict=True)).opening()


def _step(direction: Direction, message: bytes) -> bytes:
    return bytes([_WALK + direction]) + len(message).to_bytes(2, "little") + message
