"""`python3 -m tests.chaos [--seconds N] [--seed N]`: kill -9 for everybody, at random moments, under traffic.

After each kill: whoever needed the one killed ends, by itself; everybody else goes on, which the screen
shows; no process and no zombie is left.  Now and then, and at the end, what daemon, launcher and compositor
hold is compared with what they held at first.  The seed is printed; the same one kills the same ones, at the
same delays.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.aftermath import Aftermath, adopt_orphans
from tests.chaos.kills import KILLS
from tests.chaos.stage import Stage

_DELAY_SECONDS = 0.3
"""The most that passes between a beginning and the end."""
_ROUNDS_BETWEEN_COUNTS = 25


def chaos(seconds: float, seed: int) -> Counter[str]:
    """Kills for so long; how often each was killed.

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
            _rounds(stage, chance, killed, time.monotonic() + seconds)
        except BaseException:
            print(f"after {dict(killed)}:\n{stage.last_words()}", flush=True)
            raise
        finally:
            stage.end()
    return killed


def _rounds(stage: Stage, chance: random.Random, killed: Counter[str], deadline: float) -> None:
    stage.start()
    aftermath = Aftermath(stage)
    aftermath.count()
    while time.monotonic() < deadline:
        (kill,) = chance.choices(KILLS, [kill.weight for kill in KILLS])
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


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: %(default).0f)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", flush=True)
    killed = chaos(chosen.seconds, chosen.seed)
    print(", ".join(f"{number} {name}" for name, number in killed.items()))
    print(f"{killed.total()} kills, and nobody else noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
