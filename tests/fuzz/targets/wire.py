"""The walker in C against the one in Python: what clients and compositors may say, and who owns which id."""

from random import Random
from typing import Final

from crossdomain.wire.engine import Direction, Walker
from crossdomain.wire.native import NativeWalker
from crossdomain.wire.tables import load
from crossdomain.wire.walker import PythonWalker
from tests.fuzz.source import Source
from tests.unit.wire.test_walkers_agree import (
    IDS,
    INTEREST,
    described,
    outcome_of_own,
    outcome_of_release,
    state,
)
from tests.unit.wire.traffic import Traffic

_OWN, _RELEASE, _REQUEST, _EVENT = range(4)
_DELETES: Final = (0, 1, 2, 0xFFFF, 0x10000)


def run(data: bytes) -> None:
    """One conversation."""
    source = Source(data)
    strict = source.flag()
    oracle: Walker = PythonWalker(load(), INTEREST, strict=strict)
    native: Walker = NativeWalker(load(), INTEREST, strict=strict)
    while source.left:
        match source.byte() % 4:
            case 0:
                object_id, deletes = source.choice(IDS), source.choice(_DELETES)
                assert outcome_of_own(native, object_id, deletes) == outcome_of_own(
                    oracle, object_id, deletes
                )
            case 1:
                object_id = source.choice(IDS)
                assert outcome_of_release(native, object_id) == outcome_of_release(oracle, object_id)
            case kind:
                direction, said = Direction(kind - _REQUEST), source.any_block()
                assert described(native.walk(direction, said)) == described(oracle.walk(direction, said))
    assert state(native) == state(oracle)


def seeds() -> list[bytes]:
    """Conversations of many interfaces, each message a step."""
    return [_conversation(Random(seed), strict=bool(seed & 1)) for seed in range(24)]


def _conversation(random: Random, *, strict: bool) -> bytes:
    walker = PythonWalker(load(), INTEREST, strict=strict)
    traffic = Traffic(load(), random, walker)
    steps = bytes([strict]) + _step(Direction.REQUEST, opening := traffic.opening())
    walker.walk(Direction.REQUEST, opening)
    for _ in range(12):
        direction, message = traffic.message()
        walker.walk(direction, message)
        steps += _step(direction, message)
    return steps


def _step(direction: Direction, message: bytes) -> bytes:
    return bytes([_REQUEST + direction]) + len(message).to_bytes(2, "little") + message
