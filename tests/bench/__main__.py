"""`make bench`: measures, prints a table, writes build/bench.json and names the rows that fell.

The JSON is a list of rows {name, value, unit, baseline, ratio, target, reaches_target}; `baseline` names the
row of the same run that the ratio is against, `target` is meant for the ratio, or for the value of some.  A
measurement that does not come about is reported, costs only its own rows, and makes the exit status 1.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Final

from crossdomain.errors import CrossDomainError, EnvironmentFault
from tests.bench import client_run, paths, suite
from tests.bench.client_run import BenchError
from tests.bench.rows import (
    Fall,
    Row,
    encode_ratios,
    encode_rows,
    find_falls,
    format_number,
    format_row,
    load_ratios,
)
from tests.bench.targets import TARGETS, explain_misses, reaches
from tests.bench.traffic import Effort

_ROOT: Final = Path(__file__).parents[2]
_BASELINE: Final = Path(__file__).with_name("baseline.json")
_NAME_WIDTH: Final = 28


class Run:
    """One run of the benchmark: collects rows, and prints them as they come."""

    def __init__(self, effort: Effort, only: Sequence[str]) -> None:
        self.rows: list[Row] = []
        self.problems: list[str] = []
        self._effort = effort
        self._only = only

    async def measure_host(self, client: Path) -> None:
        """Takes what needs no VM."""
        chosen = [measurement for measurement in suite.HOST if suite.wanted(measurement.rows, self._only)]
        if chosen:
            async with suite.host_ways(client, say) as ways:
                for measurement in chosen:
                    await self._take(measurement.rows, measurement.take(ways, self._effort))

    async def measure_vm(self, client: Path) -> None:
        """Takes what needs one."""
        chosen = [measurement for measurement in suite.VM if suite.wanted(measurement.rows, self._only)]
        if chosen:
            say("booting a VM")
            async with suite.vm_ways(client) as ways:
                for measurement in chosen:
                    await self._take(measurement.rows, measurement.take(ways, self._effort))

    async def measure_both_sides(self, client: Path) -> None:
        """Takes what needs a VM with a host in it."""
        chosen = [
            measurement for measurement in suite.BOTH_SIDES if suite.wanted(measurement.rows, self._only)
        ]
        if chosen:
            say("booting a VM for both sides")
            async with paths.both_sides(client) as both:
                for measurement in chosen:
                    await self._take(measurement.rows, measurement.take(both, self._effort))

    async def _take(self, names: Sequence[str], taken: Awaitable[list[Row]]) -> None:
        started = time.monotonic()
        try:
            rows = await taken
        except (BenchError, CrossDomainError, TimeoutError, OSError) as error:
            self.problems.append(f"{', '.join(names)}: {error}")
            say(f"FAILED {self.problems[-1]}")
            return
        self.rows.extend(rows)
        say("\n".join(format_row(row, _NAME_WIDTH) for row in rows))
        say(f"{'':{_NAME_WIDTH}}  ({time.monotonic() - started:.0f} s)")


def say(text: str) -> None:
    """Prints at once: some measurements take a minute."""
    print(text, flush=True)


def format_fall(fall: Fall) -> str:
    """Returns the line about a row that fell."""
    ratio = format_number(fall.row.ratio or 0.0)
    return f"fell: {fall.row.name} is {ratio}x {fall.row.baseline}, was {format_number(fall.committed)}x"


def target_members(row: Row) -> dict[str, object]:
    """Returns what a row's object in the JSON says of its target."""
    target = TARGETS.get(row.name)
    return {"target": None if target is None else target.limit, "reaches_target": reaches(row)}


def report(run: Run, options: argparse.Namespace) -> int:
    """Writes the JSON, says what fell, and returns the exit status."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(encode_rows(run.rows, target_members))
    committed = load_ratios(_BASELINE)
    falls = find_falls(run.rows, committed)
    for line in (*map(format_fall, falls), *explain_misses(run.rows)):
        say(line)
    if options.write_baseline:
        ratios = {row.name: row.ratio for row in run.rows if row.ratio is not None}
        _BASELINE.write_text(encode_ratios({**committed, **ratios}))
    say(f"{len(run.rows)} rows in {options.json}, {len(falls)} fell, {len(run.problems)} failed")
    gross = any(fall.factor > options.fail_at for fall in falls)
    return 1 if run.problems or gross else 0


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
        help="only the measurement that makes this row; a pattern such as 'sync_*' too; may be repeated",
    )
    parser.add_argument("--no-vm", action="store_true", help="leave out the rows that need a VM")
    parser.add_argument(
        "--json",
        type=Path,
        default=_ROOT / "build" / "bench.json",
        metavar="FILE",
        help="where the rows go (default: build/bench.json)",
    )
    parser.add_argument(
        "--fail-at",
        type=float,
        default=float("inf"),
        metavar="FACTOR",
        help="exit with status 1 where a row is more than FACTOR times worse than its committed ratio",
    )
    parser.add_argument(
        "--write-baseline",
        action="store_true",
        help="put this run's ratios into tests/bench/baseline.json, to be committed",
    )
    return parser.parse_args(arguments)


async def measure(options: argparse.Namespace) -> Run:
    """Takes every measurement that was asked for."""
    run = Run(suite.SHORT_EFFORT if options.short else suite.FULL_EFFORT, options.only)
    client = client_run.build(_ROOT / "build" / "bench")
    await run.measure_host(client)
    if not options.no_vm:
        await run.measure_vm(client)
        await run.measure_both_sides(client)
    return run


def main() -> int:
    """Runs the benchmark; returns its exit status."""
    options = parse_arguments(sys.argv[1:])
    try:
        run = asyncio.run(measure(options))
    except EnvironmentFault as fault:
        print(f"bench: {fault}: {fault.hint}", file=sys.stderr)
        return 1
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return report(run, options)


if __name__ == "__main__":
    sys.exit(main())
