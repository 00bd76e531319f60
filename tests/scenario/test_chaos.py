"""The short form of `make chaos`."""

import subprocess
import sys

from tests.fakes.programs import REPOSITORY

SECONDS = 10
LEAST_KILLS = 3


def test_whoever_is_killed_nobody_else_notices() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seconds", str(SECONDS), "--seed", "7"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    kills = int(done.stdout.splitlines()[-1].split()[0])
    assert kills >= LEAST_KILLS
