"""`python3 -m tests.soak [--seconds N]`: a mix of clients through launcher, daemon and a real Weston.

After every round, when all its clients have gone, the descriptors, memory, mappings, threads, blobs and
pipes of launchers and daemon are counted.  A table says what became of each at the end; the exit status is
1 where one has grown.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing

from tests.soak.desk import Desk, Numbers, running_desk
from tests.soak.growth import LEAST_ROUNDS, Growth, compare
from tests.soak.mix import MIX, Activity, Resident


def soak(desk: Desk, seconds: float, mix: Sequence[Activity] = MIX) -> list[Growth]:
    """Let the mix go on for so long, LEAST_ROUNDS at least; what became of each number."""
    rounds: list[dict[str, Numbers]] = []
    began = shown = time.monotonic()
    with closing(Resident(desk)) as resident:
        while time.monotonic() - began < seconds or len(rounds) < LEAST_ROUNDS:
            for activity in mix:
                activity(desk, len(rounds))
            resident.live(len(rounds))
            desk.wait_until_left(1)
            rounds.append(desk.numbers())
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                print(f"{shown - began:.0f} s, {len(rounds)} rounds", flush=True)
    print(f"{len(rounds)} rounds in {time.monotonic() - began:.0f} s", flush=True)
    return [
        compare(process, number, [numbers[process][number] for numbers in rounds])
        for process, numbers in rounds[0].items()
        for number in numbers
    ]


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.soak")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: %(default).0f)")
    chosen = parser.parse_args(arguments)
    with running_desk() as desk:
        growths = soak(desk, chosen.seconds)
    print(f"{'':23} {'before':>12} {'after':>12}")
    for growth in growths:
        print(growth)
    return 1 if any(growth.is_too_much for growth in growths) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
