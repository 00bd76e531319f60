"""`python -m tests.fuzz`: every target, ten million executions each, or for a time.

Exit status 1 where something was found.  The inputs that did it are in build/fuzz/, and so are the corpus and
the number of executions, which the next run goes on from: ten million of a target in Python take hours.
Control-C, or SIGTERM, ends it in order.
As many processes run at a time as there are processors, several of one target where others have enough.
"""

import argparse
import itertools
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.fuzz.campaign import NAMES, Bounds, Result, Runner
from tests.fuzz.progress import Progress

_RUNS: Final = 10_000_000
_SLICE_SECONDS: Final = 300
"""How long one process runs at a time: as much is lost where the machine is switched off."""
_LONG: Final = 4
"""One slice of so many has inputs of any length and looks at comparisons, the others are brief."""
_FOLDER: Final = Path("build/fuzz")


class _Campaign:
    """All processes of one call."""

    def __init__(self, folder: Path) -> None:
        self._runner = Runner(folder)
        self._progress = Progress(folder)
        self._found: set[str] = set()
        self._output = threading.Lock()
        self._slices: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    @property
    def status(self) -> int:
        """The exit status."""
        return 1 if self._found else 0

    def stop(self) -> None:
        """See `Runner.stop`."""
        self._runner.stop()

    def run_for(self, name: str, seconds: int) -> None:
        """One process of one target, for a time."""
        self._tell(self._runner.run(name, Bounds(seconds)))

    def run_to(self, names: Iterable[str], runs: int) -> None:
        """Process after process, until each target has been executed so often or has found something."""
        names = tuple(names)
        while not self._runner.stopped:
            name = self._progress.choose((name for name in names if name not in self._found), runs)
            if name is None:
                return
            left = runs - self._progress.total(name).executed
            brief = next(self._slices[name]) % _LONG != 0
            self._tell(self._runner.run(name, Bounds(_SLICE_SECONDS, left, brief=brief)))

    def _tell(self, result: Result) -> None:
        total = self._progress.add(result.name, result.executed, result.seconds)
        with self._output:
            print(f"{result.name:12} {total}{'; FOUND' if result.report else ''}", flush=True)
            if result.report:
                self._found.add(result.name)
                print(result.report, flush=True)


def main() -> int:
    """Fuzzes and reports."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument(
        "--seconds", type=int, default=0, help=f"for each target; 0 runs each {_RUNS:,} times instead"
    )
    parser.add_argument("--runs", type=int, default=_RUNS, help="with earlier runs (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, help="for corpus, findings and counts (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=0, help="at a time (default: one per processor)")
    arguments = parser.parse_args()
    names = arguments.targets or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    campaign = _Campaign(arguments.folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: campaign.stop())
    processes = arguments.processes or os.cpu_count() or 1
    with ThreadPoolExecutor(processes) as pool:
        if arguments.seconds:
            jobs = [pool.submit(campaign.run_for, name, arguments.seconds) for name in names]
        else:
            jobs = [pool.submit(campaign.run_to, names, arguments.runs) for _ in range(processes)]
        for job in jobs:
            job.result()
    return campaign.status


if __name__ == "__main__":
    sys.exit(main())
