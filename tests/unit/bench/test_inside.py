"""What servers beside a client used, as the client's result tells it."""

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.fakes.programs import PYTHON, REPOSITORY

WORK_NS: Final = 30_000_000
CLIENT: Final = """
import json, sys
print("begin", flush=True); assert sys.stdin.readline() == "go\\n"
print("end", flush=True); assert sys.stdin.readline() == "on\\n"
print(json.dumps({"frames": 3, "watched_cpu_ns": 1}))
"""
SERVER: Final = """
import sys, threading, time
def work():
    begun = time.thread_time_ns()
    while time.thread_time_ns() - begun < int(sys.argv[2]):
        pass
    print("done", flush=True)
    sys.stdin.readline()
sys.stdin.readline()
worker = threading.Thread(target=work)
worker.start()
worker.join()
"""


@pytest.mark.parametrize(("watched", "least", "most"), [("", 1, 1000), ("=", 0, 0.5)])
def test_a_result_says_what_the_watched_used(watched: str, least: float, most: float) -> None:
    server_command = [sys.executable, "-c", SERVER, "watched-server", str(WORK_NS)]
    command = [*PYTHON, "tests.bench.inside", f"{watched}watched-server", "--", sys.executable, "-c", CLIENT]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(server_command, stdin=pipe, stdout=pipe, text=True) as server,
        subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) as inside,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        assert inside.stdin is not None
        assert inside.stdout is not None
        assert inside.stdout.readline() == "begin\n"
        # Between the two looks, and of whoever measures nothing is counted.
        server.stdin.write("work\n")
        server.stdin.flush()
        assert server.stdout.readline() == "done\n"
        inside.stdin.write("go\n")
        inside.stdin.flush()
        assert inside.stdout.readline() == "end\n"
        server.stdin.write("end\n")
        server.stdin.flush()
        inside.stdin.write("on\n")
        inside.stdin.flush()
        result = json.loads(inside.stdout.readline())
    assert result["frames"] == 3
    assert least * WORK_NS <= result["watched_cpu_ns"] <= most * WORK_NS
    assert inside.returncode == 0


@pytest.mark.parametrize(("script", "said"), [("", ""), ("print('begin', flush=True); input()", "begin\n")])
def test_a_client_that_ends_before_it_has_measured_fails(script: str, said: str) -> None:
    """Who waits for its word does not wait for ever."""
    command = [*PYTHON, "tests.bench.inside", "nobody", "--", sys.executable, "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) as inside:
        assert inside.stdin is not None
        assert inside.stdout is not None
        inside.stdin.write("go\n")
        inside.stdin.flush()
        assert inside.stdout.read() == said
    assert inside.returncode == 1
