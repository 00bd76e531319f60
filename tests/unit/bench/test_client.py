"""The benchmark's client, on a real compositor without any proxy."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.bench import client_run
from tests.bench.client_run import BenchError, parse_result
from tests.bench.host_ways import Direct
from tests.bench.traffic import Scene
from tests.fakes.weston import Weston


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client."""
    return client_run.build(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def direct(client: Path, weston: Weston) -> Direct:
    """The way without a proxy."""
    return Direct("direct", client, weston.environment, weston.process.pid)


async def test_sync_takes_as_many_samples_as_asked_for(direct: Direct) -> None:
    result = await client_run.run(direct, "sync", "50")

    assert len(result.took_ns) == 50
    assert 0 < min(result.took_ns) <= sum(result.took_ns) <= result.wall_ns


async def test_burst_counts_its_requests(direct: Direct) -> None:
    result = await client_run.run(direct, "burst", "20000")

    assert result.requests == 20000
    assert result.wall_ns > 0


async def test_many_clients_show_as_many_frames_as_asked_for_at_that_rate(direct: Direct) -> None:
    result = await client_run.run(direct, "many", "3", "4", "50")

    assert (result.clients, result.frames) == (3, 12)
    assert result.wall_ns >= 11 * (1_000_000_000 // 50 // 3)


async def test_frames_report_exactly_the_damage(direct: Direct) -> None:
    result = await client_run.run(direct, *Scene("", "320x200", "64x64", "paced", 2).arguments(5))

    assert (result.frames, result.bytes_damaged) == (5, 5 * 64 * 64 * 4)


async def test_first_frame_of_each_buffer_damages_the_whole_window(direct: Direct) -> None:
    result = await client_run.run(direct, *Scene("", "320x200", "64x64", "paced", 2).arguments(1))

    whole, little = 320 * 200 * 4, 64 * 64 * 4
    assert result.bytes_damaged_warm == 2 * whole + 10 * little


async def test_unpaced_frames_go_as_fast_as_buffers_are_released(direct: Direct) -> None:
    result = await client_run.run(direct, *Scene("", "64x64", "full", "unpaced", 2).arguments(30))

    assert (result.frames, result.bytes_damaged) == (30, 30 * 64 * 64 * 4)


async def test_servers_are_sampled_while_the_client_works(direct: Direct) -> None:
    result = await client_run.run(direct, "sync", "500")

    assert result.servers_cpu_ns["compositor"] > 0


async def test_held_clients_stay_until_the_block_ends(direct: Direct) -> None:
    async with client_run.holding(direct, 5) as process:
        (compositor,) = direct.servers(process)["compositor"]

    assert compositor > 0
    assert await process.wait() == 0


async def test_client_without_a_compositor_says_so(client: Path, weston: Weston, runtime_dir: Path) -> None:
    nowhere = {**weston.environment, "XDG_RUNTIME_DIR": str(runtime_dir), "WAYLAND_DISPLAY": "none"}

    done = subprocess.run([client, "sync", "1"], env=nowhere, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "connect to" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["sync"], ["sync", "0"], ["sync", "x"], ["frames", "3"], ["dance", "3"], ["--loud", "sync", "3"]],
)
def test_wrong_arguments_end_the_client_with_a_line(client: Path, arguments: list[str]) -> None:
    done = subprocess.run([client, *arguments], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bench-client: ")


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(BenchError, match="said"):
        parse_result("bench-client: the compositor hung up")
    with pytest.raises(BenchError, match="said"):
        parse_result(json.dumps({"wall_ns": 1, "cpu_ns": 1, "unheard_of": 1}))
