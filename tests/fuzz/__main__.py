"""`python -m tests.fuzz`: every target, ten million executions each, or for a time.

Exit status 1 where something was found.  The inputs that did it are in build/fuzz/, and so is the corpus,
which the next run goes on from.  As many targets run at a time as there are processors.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from tests.fuzz.campaign import NAMES, Bounds, run

_RUNS: Final = 10_000_000
_FOLDER: Final = Path("build/fuzz")


def main() -> int:
    """Fuzzes and reports."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument(
        "--seconds", type=int, default=0, help=f"for each target; 0 runs each {_RUNS:,} times instead"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    bounds = Bounds(arguments.seconds, 0 if arguments.seconds else _RUNS)
    found = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        campaigns = [pool.submit(run, name, bounds, _FOLDER) for name in arguments.targets or NAMES]
        for campaign in as_completed(campaigns):
            result = campaign.result()
            print(result, flush=True)
            if result.report:
                found += 1
                print(result.report, flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
