"""A picture is the same with and without the proxy, pixel for pixel, over the channel without a VM.

Both where the compositor gets the client's own memory and where it gets copies.  Copies are made for both
kinds of compositor: one that reads a buffer as long as it shows it, and one that gives it back once it has
uploaded it, so that all buffers of a surface share a mirror.
"""

import asyncio
import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.pictures import Picture, different, photograph
from tests.fakes.programs import PATTERNS, running_steps
from tests.fakes.weston import Pixels, Weston, running_weston

PATHS = {"auto": "shm-shared", "copy": "shm-copy"}
"""What each choice of --buffers is counted as."""

RUN = (sys.executable, "-c", "from launcher.run import main; main()")


@pytest.fixture
def weston(request: pytest.FixtureRequest, runtime_dir: Path) -> Generator[Weston]:
    folder = runtime_dir / "weston"
    folder.mkdir()
    with running_weston(folder, renderer=request.param) as running:
        yield running


@pytest.fixture
def daemon(runtime_dir: Path, weston: Weston) -> Generator[RunningDaemon]:
    with running_daemon(runtime_dir, weston.socket_path) as running:
        yield running


async def pictures(
    weston: Weston, command: tuple[str, ...], environment: dict[str, str]
) -> dict[str, Picture]:
    """Every step of the patterns program, which `command` ends in."""

    async def take() -> Pixels:
        return await asyncio.to_thread(weston.screenshot)

    async with running_steps(command, environment) as steps:
        return await photograph(steps, take)


@pytest.mark.parametrize("weston", ["pixman", "gl"], indirect=True)
async def test_every_pattern_of_dmabufs_looks_as_one_of_shared_memory(
    weston: Weston, daemon: RunningDaemon, runtime_dir: Path
) -> None:
    scenarios = ("formats", "sizes", "short_lived", "damage", "without_attach", "one_buffer_on_two_surfaces")
    direct = await pictures(weston, (*PATTERNS, *scenarios), weston.environment)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)}
    environment.pop("WAYLAND_DISPLAY", None)
    stats = runtime_dir / "stats.json"
    options = (f"--channel=local:{daemon.local_socket}", f"--stats={stats}")
    proxied = await pictures(
        weston, (*RUN, *options, "--", *PATTERNS, *scenarios, "--dmabufs=file"), environment
    )
    assert different(direct, proxied, series="local-dmabufs") == []
    assert json.loads(stats.read_text())["buffers"]["dmabuf-copy"] > 40
    assert len({picture.packed for picture in direct.values()}) > 30, "the patterns hardly differ"


@pytest.mark.parametrize(
    ("weston", "buffers"), [("pixman", "auto"), ("pixman", "copy"), ("gl", "copy")], indirect=["weston"]
)
async def test_every_pattern_looks_as_without_proxy(
    weston: Weston, buffers: str, daemon: RunningDaemon, runtime_dir: Path
) -> None:
    direct = await pictures(weston, PATTERNS, weston.environment)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)}
    environment.pop("WAYLAND_DISPLAY", None)
    channel = f"--channel=local:{daemon.local_socket}"
    stats = runtime_dir / "stats.json"
    command = (*RUN, channel, f"--buffers={buffers}", f"--stats={stats}", "--", *PATTERNS)
    proxied = await pictures(weston, command, environment)
    assert different(direct, proxied, series="local") == []
    assert list(json.loads(stats.read_text())["buffers"]) == [PATHS[buffers]]
    assert len({picture.packed for picture in direct.values()}) > 100, "the patterns hardly differ"
