"""`make bench`: measures, prints a table, writes build/bench.json and names the rows that fell.

The JSON is a list of rows {name, value, unit, baseline, ratio}; their names stay.  A measurement that
does not come about is reported, costs only its own rows, and makes the exit status 1.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.errors import CrossDomainError
from tests.bench import client_run, copying, footprint, frames, traffic
from tests.bench.client_run import BenchError, Way
from tests.bench.host_ways import Bench, Direct, Local, Waypipe, running_daemon, running_waypipe
from tests.bench.rows import (
    TOLERANCE,
    Fall,
    Row,
    encode_ratios,
    encode_rows,
    find_falls,
    format_number,
    format_row,
    load_ratios,
)
from tests.bench.traffic import FULL, SMALL, Effort
from tests.fakes.weston import running_weston

_ROOT: Final = Path(__file__).parents[2]
_BASELINE: Final = Path(__file__).with_name("baseline.json")

_EFFORT: Final = Effort(rounds=5, syncs=3000, requests=100_000, frames=300, starts=15, idle_seconds=5.0)
_SHORT: Final = Effort(rounds=2, syncs=1000, requests=50_000, frames=60, starts=5, idle_seconds=2.0)

_NAME_WIDTH: Final = 32


class Measurement(NamedTuple):
    """Something that makes rows; `rows` are patterns of their names."""

    rows: tuple[str, ...]
    take: Callable[[], Awaitable[list[Row]]]


class Outcome(NamedTuple):
    """What a run of the benchmark came to."""

    rows: list[Row]
    problems: list[str]


def wanted(measurement: Measurement, only: Sequence[str]) -> bool:
    """Whether it makes a row that a pattern of `only` names; all are wanted where there is none."""
    return not only or any(
        fnmatchcase(name, pattern) or fnmatchcase(pattern, name)
        for name in only
        for pattern in measurement.rows
    )


def host_measurements(
    direct: Direct, local: Local, waypipe: Waypipe | None, effort: Effort
) -> list[Measurement]:
    """What is measured on this machine without a VM."""
    ways: list[Way] = [direct, local, *([waypipe] if waypipe else [])]
    idle: list[Way] = [local, *([waypipe] if waypipe else [])]
    return [
        Measurement(
            ("sync_direct_*", "sync_local_*", "sync_waypipe_*"), lambda: traffic.measure_sync(ways, effort)
        ),
        Measurement(
            ("burst_direct", "burst_local", "burst_waypipe"), lambda: traffic.measure_burst(ways, effort)
        ),
        Measurement(
            (
                "frames_direct_1080p",
                "frames_local_1080p",
                "frames_waypipe_1080p",
                "frame_1080p_cpu_*",
                "*_cpu_1080p_local",
            ),
            lambda: frames.measure_frames(ways, local, FULL, effort),
        ),
        Measurement(
            (
                "frames_direct_small",
                "frames_local_small",
                "frames_waypipe_small",
                "frame_small_cpu_*",
                "*_cpu_small_local",
            ),
            lambda: frames.measure_frames(ways, local, SMALL, effort._replace(rounds=min(effort.rounds, 3))),
        ),
        Measurement(
            ("frame_small_damage*",),
            lambda: frames.measure_window_size(local, effort._replace(rounds=min(effort.rounds, 3))),
        ),
        Measurement(("copied_guest_*",), lambda: frames.measure_copies(local, effort)),
        Measurement(("copy_*",), lambda: copying.measure_copying(effort)),
        Measurement(
            ("start_python", "start_cold", "start_waypipe"),
            lambda: footprint.measure_start(local, waypipe, effort),
        ),
        Measurement(("rss_*",), lambda: footprint.measure_memory(local, waypipe)),
        Measurement(("idle_wakeups*",), lambda: footprint.measure_idle(idle, effort)),
    ]


@asynccontextmanager
async def host_ways(client: Path) -> AsyncGenerator[tuple[Direct, Local, Waypipe | None]]:
    """Starts a Weston, our daemon and, if it is installed, waypipe."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        weston = stack.enter_context(running_weston(folder, width=1920, height=1080))
        bench = Bench(client, weston, folder)
        local = Local(bench, stack.enter_context(running_daemon(bench)))
        try:
            waypipe = stack.enter_context(running_waypipe(bench))
        except BenchError as error:
            say(f"no rows of waypipe: {error}")
            waypipe = None
        yield Direct(bench), local, waypipe


async def measure(options: argparse.Namespace) -> Outcome:
    """Takes every measurement that was asked for."""
    outcome = Outcome([], [])
    client = client_run.build(_ROOT / "build" / "bench")
    effort = _SHORT if options.short else _EFFORT
    async with host_ways(client) as (direct, local, waypipe):
        for measurement in host_measurements(direct, local, waypipe, effort):
            if wanted(measurement, options.only):
                await _take(measurement, outcome)
    return outcome


async def _take(measurement: Measurement, outcome: Outcome) -> None:
    started = time.monotonic()
    try:
        rows = await measurement.take()
    except (BenchError, CrossDomainError, TimeoutError, OSError) as error:
        problem = f"{', '.join(measurement.rows)}: {error}"
        outcome.problems.append(problem)
        say(f"FAILED {problem}")
        return
    outcome.rows.extend(rows)
    say("\n".join(format_row(row, _NAME_WIDTH) for row in rows))
    say(f"{'':{_NAME_WIDTH}}  ({time.monotonic() - started:.0f} s)")


def say(text: str) -> None:
    """Prints at once: some measurements take a minute."""
    print(text, flush=True)


def format_fall(fall: Fall) -> str:
    """Returns the line about a row that fell."""
    ratio = format_number(fall.row.ratio or 0.0)
    return f"fell: {fall.row.name} is {ratio}x {fall.row.baseline}, was {format_number(fall.committed)}x"


def report(outcome: Outcome, options: argparse.Namespace) -> int:
    """Writes the JSON, says what fell, and returns the exit status."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(encode_rows(outcome.rows))
    falls = find_falls(outcome.rows, load_ratios(_BASELINE), TOLERANCE)
    for fall in falls:
        say(format_fall(fall))
    if options.write_baseline:
        ratios = {row.name: row.ratio for row in outcome.rows if row.ratio is not None}
        _BASELINE.write_text(encode_ratios({**load_ratios(_BASELINE), **ratios}))
    gross = [fall for fall in falls if fall.factor > options.fail_at]
    say(f"{len(outcome.rows)} rows in {options.json}, {len(falls)} fell, {len(outcome.problems)} failed")
    return 1 if outcome.problems or gross else 0


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--short", action="store_true", help="fewer and shorter rounds, for a quick look and CI"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help="only what makes this row (a pattern; repeatable)",
    )
    parser.add_argument("--no-vm", action="store_true", help="leave out the rows that need a VM")
    parser.add_argument(
        "--json", type=Path, default=_ROOT / "build" / "bench.json", metavar="FILE", help="where the rows go"
    )
    parser.add_argument(
        "--fail-at", type=float, default=float("inf"), metavar="FACTOR",
        help="exit with status 1 where a row is more than FACTOR times worse than its committed ratio",
    )  # fmt: skip
    parser.add_argument(
        "--write-baseline",
        action="store_true",
        help="commit to this run's ratios: write tests/bench/baseline.json",
    )
    return parser.parse_args(arguments)


def main() -> int:
    """Runs the benchmark; returns its exit status."""
    options = parse_arguments(sys.argv[1:])
    return report(asyncio.run(measure(options)), options)


if __name__ == "__main__":
    sys.exit(main())
