"""Rows about input: from a key that the compositor is given to the client in the guest, and to its answer.

The compositor's and the guest's clocks have nothing to do with each other.  What is between them lies between
`heard - committed` and `heard - pressed` of every key; the narrowest of all keys is halved.  The answer, a
commit that the client makes of each key, is timed by the compositor's clock alone.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.bench import client_run
from tests.bench.guest_ways import InGuest, ThroughVm
from tests.bench.rows import Row, percentile
from tests.bench.traffic import Effort, Samples, compare_with_first

_KEY: Final = 30
"""The evdev code of the A key."""
_WARM: Final = 10
"""Keys before those that count."""
_STATISTICS: Final = {"p50": 50, "p99": 99}


class Key(NamedTuple):
    """One key, ns: `pressed` and `committed` by the compositor's clock, `heard` by the client's."""

    pressed: int
    heard: int
    committed: int


async def measure_input(ways: tuple[InGuest, ThroughVm], effort: Effort) -> list[Row]:
    """Microseconds from a key to the client, rows input_WAY_*, and to its answer, rows input_answer_WAY_*."""
    samples = Samples()
    for _ in range(effort.rounds):
        for way in ways:
            keys = await _press_keys(way, effort.syncs // 5)
            offset = 0 if isinstance(way, InGuest) else clock_offset(keys)
            heard = [key.heard - key.pressed - offset for key in keys]
            answered = [key.committed - key.pressed for key in keys]
            for statistic, percent in _STATISTICS.items():
                samples.add(way.name, statistic, percentile(heard, percent) / 1000)
                samples.add(way.name, f"answer_{statistic}", percentile(answered, percent) / 1000)
    rows: list[Row] = []
    for metric in (*_STATISTICS, *(f"answer_{statistic}" for statistic in _STATISTICS)):
        rows += compare_with_first(
            [Row(_name(way.name, metric), samples.median(way.name, metric), "us") for way in ways]
        )
    return rows


def clock_offset(keys: Sequence[Key]) -> int:
    """How far the client's clock is ahead of the compositor's, ns, as far as `keys` tell.

    It is wrong by half of the quickest answer at most.

    Raises:
        ValueError: there are no keys.
    """
    return (
        max(key.heard - key.committed for key in keys) + min(key.heard - key.pressed for key in keys)
    ) // 2


def _name(way: str, metric: str) -> str:
    prefix, _, statistic = metric.rpartition("_")
    return f"input_{prefix}_{way}_{statistic}" if prefix else f"input_{way}_{statistic}"


async def _press_keys(way: InGuest | ThroughVm, count: int) -> list[Key]:
    """Presses one key after the other, each when the last was answered."""
    timed: list[tuple[int, int]] = []

    async def press() -> None:
        while len(timed) < _WARM + count:
            timed.append(await way.time_key(_KEY))

    result = await client_run.run(way, "keys", str(_WARM + count), meanwhile=press)
    both = zip(timed, result.heard_ns, strict=True)
    return [Key(pressed, heard, committed) for (pressed, committed), heard in both][_WARM:]
