"""The short form of `make chaos`."""

import subprocess
import sys

from tests.chaos.kills import KILLS
from tests.fakes.programs import REPOSITORY


def test_whoever_is_killed_nobody_else_notices() -> None:
    command = [sys.executable, "-m", "tests.chaos", f"--kills={len(KILLS)}", "--seed=1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert f"{len(KILLS)} kills, and nobody else noticed" in done.stdout
    assert [f"     1 x {kill.name}" in done.stdout for kill in KILLS] == [True] * len(KILLS)
