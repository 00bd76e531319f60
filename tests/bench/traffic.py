"""Measurements of traffic: round trips, bursts and frames, each through several ways in turn.

The first way is what the others are compared with.  A round takes every way once, so that what the
machine does meanwhile meets all of them; a row is the median of the rounds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.bench import client_run
from tests.bench.client_run import Result, Way
from tests.bench.rows import Row, against, median, percentile

STATISTICS: Final = {"min": 0, "p50": 50, "p99": 99}
"""Of round trips: the row's suffix and the percentile."""


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int
    syncs: int
    requests: int
    frames: int
    starts: int
    idle_seconds: float


class Samples:
    """Numbers by way and metric, one per round."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, way: str, metric: str, value: float) -> None:
        """One round's number."""
        self._values[way, metric].append(value)

    def median(self, way: str, metric: str) -> float:
        """Returns the middle of the rounds' numbers.

        Raises:
            ValueError: there are none.
        """
        return median(self._values.get((way, metric), []))

    def has(self, way: str, metric: str) -> bool:
        """Whether any round had it."""
        return (way, metric) in self._values


class Scene(NamedTuple):
    """A window and what changes in it."""

    name: str
    size: str
    damage: str
    pace: str
    buffers: int

    def arguments(self, frames: int) -> list[str]:
        """Returns the client's arguments for that many frames."""
        return ["frames", str(frames), self.size, self.damage, self.pace, str(self.buffers)]


FULL: Final = Scene("1080p", "1920x1080", "full", "unpaced", 2)
LARGE: Final = FULL._replace(name="2160p", size="3840x2160")
MOVING: Final = Scene("moving", "1920x1080", "moving:64x64", "paced", 2)
SMALL: Final = Scene("small", "1920x1080", "64x64", "paced", 2)


async def measure_sync(ways: Sequence[Way], effort: Effort) -> list[Row]:
    """Round trips of wl_display.sync: rows sync_WAY_min, _p50 and _p99, in us."""
    samples = Samples()
    for _ in range(effort.rounds):
        for way in ways:
            result = await client_run.run(way, "sync", str(effort.syncs))
            for statistic, percent in STATISTICS.items():
                samples.add(way.name, statistic, percentile(result.took_ns, percent) / 1000)
    rows: list[Row] = []
    for statistic in STATISTICS:
        rows += compare_with_first(
            [Row(f"sync_{way.name}_{statistic}", samples.median(way.name, statistic), "us") for way in ways]
        )
    return rows


async def measure_burst(ways: Sequence[Way], effort: Effort) -> list[Row]:
    """24-byte requests until the answer to a last sync: rows burst_WAY, in requests per second."""
    samples = Samples()
    for _ in range(effort.rounds):
        for way in ways:
            result = await client_run.run(way, "burst", str(effort.requests))
            samples.add(way.name, "rate", result.requests * 1e9 / result.wall_ns)
    return compare_with_first(
        [Row(f"burst_{way.name}", samples.median(way.name, "rate"), "requests/s") for way in ways]
    )


async def sample_frames(
    ways: Sequence[Way],
    scene: Scene,
    effort: Effort,
    *,
    watch_parent: bool = False,
    at_most: Mapping[str, int] = MappingProxyType({}),
) -> Samples:
    """Shows frames through every way: metric fps, and per role the ms of CPU per frame.

    Args:
        ways: in turn.
        scene: what is shown.
        effort: rounds, and frames of each.
        watch_parent: whether the client's parent is measured, too.
        at_most: fewer frames for slow ways, by name.
    """
    samples = Samples()
    options = ["--watch-parent"] if watch_parent else []
    for _ in range(effort.rounds):
        for way in ways:
            frames = min(effort.frames, at_most.get(way.name, effort.frames))
            result = await client_run.run(way, *options, *scene.arguments(frames))
            _add_frames(samples, way.name, result)
    return samples


def _add_frames(samples: Samples, way: str, result: Result) -> None:
    samples.add(way, "fps", result.frames * 1e9 / result.wall_ns)
    samples.add(way, "client", result.cpu_ns / 1e6 / result.frames)
    samples.add(way, "parent", result.watched_cpu_ns / 1e6 / result.frames)
    samples.add(way, "client_runs", result.runs / result.frames)
    samples.add(way, "parent_runs", result.watched_runs / result.frames)
    for role, used_ns in result.servers_cpu_ns.items():
        samples.add(way, role, used_ns / 1e6 / result.frames)
    for role, waited_ns in result.servers_waited_ns.items():
        samples.add(way, f"{role}_waited", waited_ns / 1e6 / result.frames)


def rate_rows(ways: Sequence[Way], scene: Scene, samples: Samples) -> list[Row]:
    """Rows frames_WAY_SCENE, in frames per second."""
    return compare_with_first(
        [Row(f"frames_{way.name}_{scene.name}", samples.median(way.name, "fps"), "fps") for way in ways]
    )


def compare_with_first(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows, all but the first with their ratio to it."""
    first, *others = rows
    return [first, *(against(row, first) for row in others)]
