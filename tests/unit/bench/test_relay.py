"""The relay that our ways are measured beside, between the benchmark's client and a real compositor."""

import subprocess
from pathlib import Path

import pytest

from tests.bench import client_run
from tests.bench.host_ways import Bench, Relay
from tests.bench.traffic import SMALL
from tests.fakes.weston import Weston


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The compiled client and relay."""
    folder = tmp_path_factory.mktemp("bench")
    return client_run.build(folder), client_run.build_relay(folder)


@pytest.fixture
def relay(programs: tuple[Path, Path], weston: Weston, runtime_dir: Path) -> Relay:
    """The way through it."""
    client, program = programs
    return Relay(Bench(client, weston, runtime_dir), program)


async def test_round_trips_cross_it(relay: Relay) -> None:
    result = await client_run.run(relay, "sync", "50")

    assert len(result.took_ns) == 50


async def test_a_burst_of_many_buffers_crosses_it(relay: Relay) -> None:
    result = await client_run.run(relay, "burst", "50000")

    assert result.requests == 50000


async def test_pixels_of_shared_memory_cross_it(relay: Relay) -> None:
    result = await client_run.run(relay, "--watch-parent", *SMALL.arguments(5))

    assert result.frames == 5
    assert result.watched_cpu_ns > 0


async def test_it_is_two_processes_beside_the_client(relay: Relay) -> None:
    process = await relay.start(["--gate", "sync", "1"])
    assert await process.read_line() == "begin"

    servers = relay.servers(process)
    await process.kill()

    assert servers["launcher"] == [process.pid]
    assert len(servers["daemon"]) == 1


def test_its_status_is_the_command_s(programs: tuple[Path, Path], weston: Weston, runtime_dir: Path) -> None:
    client, program = programs
    command: list[str | Path] = [program, weston.socket_path, runtime_dir / "own", client, "sync", "1"]

    done = subprocess.run(command, capture_output=True, check=False, timeout=30)

    assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_command_it_says_how_it_is_called(programs: tuple[Path, Path]) -> None:
    done = subprocess.run([programs[1], "a", "b"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: bench-relay ")
