"""`python3 -m tests.chaos [--seconds N] [--kills N] [--seed N]`: kill -9 for everybody, at random moments.

There is traffic meanwhile, and the first kills are one of each kind.  After each one whoever needed the one
killed ends, by itself; everybody else goes on, which the screen shows; and no process and no zombie is left.
Now and then, and at the end, what daemon, launchers and compositor hold is compared with what they held at
first.  The seed is printed: the same one kills the same ones, after the same delays.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path

from tests.chaos.aftermath import Aftermath, adopt_orphans
from tests.chaos.kills import KILLS, Kill
from tests.chaos.stage import Stage
from tests.chaos.tally import tally

_DELAY_SECONDS = 0.3
"""The most that passes between a beginning and the end."""
_ROUNDS_BETWEEN_COUNTS = 25


def chaos(seconds: float, most: int, seed: int) -> Counter[str]:
    """Kills for so long, and so often at most; how often each was killed.

    Raises:
        TimeoutError: something hung, or did not go away.
        AssertionError: something was lost, or grew.
    """
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="xd-") as folder:
        stage = Stage(Path(folder))
        try:
            _rounds(stage, chance, killed, seconds, most)
        except BaseException:
            print(f"after {dict(killed)}:\n{stage.last_words()}", flush=True)
            raise
        finally:
            stage.end()
    return killed


def _rounds(stage: Stage, chance: random.Random, killed: Counter[str], seconds: float, most: int) -> None:
    stage.start()
    aftermath = Aftermath(stage)
    aftermath.count()
    kills = _draw(chance)
    deadline = time.monotonic() + seconds
    while killed.total() < most and time.monotonic() < deadline:
        kill = next(kills)
        aftermath.begin_pictures()
        time.sleep(chance.random() * _DELAY_SECONDS)  # the moment is what is random
        killed[kill.name] += 1
        fallen = kill.strike(stage, chance)
        aftermath.check(kill.name, fallen)
        stage.start()
        if killed.total() % _ROUNDS_BETWEEN_COUNTS == 0:
            aftermath.count()
            print(f"{killed.total()} kills", flush=True)
    aftermath.count()


def _draw(chance: random.Random) -> Generator[Kill]:
    """Each kind once, and then for ever: what clients leave is seen in servers that were not killed since."""
    yield from KILLS
    while True:
        yield from chance.choices(KILLS, [kill.weight for kill in KILLS])


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: %(default).0f)")
    parser.add_argument("--kills", type=int, default=1 << 32, help="how many at most (default: no limit)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", flush=True)
    killed = chaos(chosen.seconds, chosen.kills, chosen.seed)
    print(tally(killed, (kill.name for kill in KILLS)))
    print(f"{killed.total()} kills, and nobody else noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
