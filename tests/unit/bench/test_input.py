"""What is measured of keys: by one clock, and by two."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from crossdomain.errors import HostFault
from crossdomain.vm import image
from crossdomain.vm.headless import HeadlessWeston
from tests.bench import client_run
from tests.bench.guest_input import Key, clock_offset


def test_each_key_is_heard_between_its_press_and_its_commit(tmp_path: Path) -> None:
    program = client_run.build(tmp_path)
    with HeadlessWeston(image.obtain(image.Recipe()), width=640, height=480) as weston:
        with pytest.raises(HostFault, match="no window has the keyboard"):
            weston.seat.time_key(30)
        with subprocess.Popen(
            [program, "--gate", "keys", "3"],
            env={**os.environ, **weston.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stdout.readline() == "begin\n"
            client.stdin.write("\n")
            client.stdin.flush()
            timed = [weston.seat.time_key(30) for _ in range(3)]
            assert client.stdout.readline() == "end\n"
            client.stdin.write("\n")
            client.stdin.flush()
            heard = json.loads(client.stdout.readline())["heard_ns"]
    for (pressed, committed), at in zip(timed, heard, strict=True):
        assert pressed <= at <= committed


@pytest.mark.parametrize("ahead", [-5_000_000, 0, 70_000_000_000])
def test_clocks_are_matched_by_the_narrowest_of_all_keys(ahead: int) -> None:
    ways = [(900, 300), (200, 500), (100, 100), (4000, 120)]
    keys = [Key(at, at + there + ahead, at + there + back) for at, (there, back) in enumerate(ways)]

    assert clock_offset(keys) == ahead
