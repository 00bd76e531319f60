"""Scales, rotations and outputs that come and go: as on a direct connection, on a real sway."""

import asyncio
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from crossdomain.vm.image import Image
from tests.fakes.client import FakeClient
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.follower import Follower
from tests.fakes.launcher import running_launcher
from tests.fakes.pictures import Picture, different, photograph
from tests.fakes.programs import PATTERNS, running_steps
from tests.fakes.sway import OUTPUT, Sway, running_sway
from tests.fakes.weston import Pixels

RUN = (sys.executable, "-c", "from launcher.run import main; main()")
GEOMETRY = (*PATTERNS, "transforms", "viewports", "fractions", "damage_of_both_kinds")


@pytest.fixture
def daemon(runtime_dir: Path, own_sway: Sway) -> Generator[RunningDaemon]:
    with running_daemon(runtime_dir, own_sway.socket_path) as running:
        yield running


async def pictures(sway: Sway, command: tuple[str, ...], environment: dict[str, str]) -> dict[str, Picture]:
    """Every step of the patterns program, which `command` ends in."""

    async def take() -> Pixels:
        return await asyncio.to_thread(sway.screenshot)

    async with running_steps(command, environment) as steps:
        return await photograph(steps, take)


@pytest.mark.parametrize(("scale", "transform"), [("1.5", "flipped-180"), ("1.25", "90")])
async def test_pictures_on_a_scaled_and_turned_output_are_the_same(
    own_sway: Sway, daemon: RunningDaemon, runtime_dir: Path, scale: str, transform: str
) -> None:
    own_sway.swaymsg(f"output {OUTPUT} scale {scale} transform {transform}")
    direct = await pictures(own_sway, GEOMETRY, own_sway.environment)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)}
    environment.pop("WAYLAND_DISPLAY", None)
    # Copied, as from a virtual machine: only then does it matter which pixels a commit has changed.
    options = (f"--channel=local:{daemon.local_socket}", "--buffers=copy")
    proxied = await pictures(own_sway, (*RUN, *options, "--", *GEOMETRY), environment)
    assert different(direct, proxied, series=f"sway-{scale}-{transform}") == []
    assert len({picture.packed for picture in direct.values()}) > 50, "the patterns hardly differ"


class Step(NamedTuple):
    """What happens to the outputs, and what the window is to become: size, scale in 120ths, and output."""

    name: str
    command: str
    size: tuple[int, int]
    scale: int
    output: str
    seen: str = OUTPUT
    """The output to photograph."""


PLAIN: Final = "scale 1 transform normal mode 1024x640"
PLUG: Final = "create_output"
UNPLUG: Final = "output HEADLESS-2 unplug"
HERE: Final = '[title="follower"]'
STEPS: Final = (
    Step("at first", "nop", (1024, 640), 120, "output 1"),
    Step("one and a half", f"output {OUTPUT} scale 1.5", (682, 426), 180, "output 1"),
    Step("turned", f"output {OUTPUT} transform 90", (426, 682), 180, "output 1"),
    Step("another mode", f"output {OUTPUT} mode 800x600", (400, 533), 180, "output 1"),
    Step("mirrored", f"output {OUTPUT} transform flipped", (533, 400), 180, "output 1"),
    Step("an odd scale", f"output {OUTPUT} scale 1.7", (470, 352), 204, "output 1"),
    Step("plugged in", PLUG, (470, 352), 204, "output 1"),
    Step("moved", f"{HERE} move container to output HEADLESS-2", (1024, 640), 120, "output 2", "HEADLESS-2"),
    Step("twice", "output HEADLESS-2 scale 2", (512, 320), 240, "output 2", "HEADLESS-2"),
    Step("unplugged", f"{UNPLUG}; {HERE} focus", (470, 352), 204, "output 1"),
    Step("plugged in again", PLUG, (470, 352), 204, "output 1"),
    Step("as at first", f"output {OUTPUT} {PLAIN}", (1024, 640), 120, "output 1"),
)  # fmt: skip


class Run(NamedTuple):
    """What a client heard and what was seen of it."""

    log: Mapping[str, list[str]]
    pictures: Mapping[str, Picture]


def follow(sway: Sway, socket: str) -> Run:
    """A client lives through all steps."""
    pictures: dict[str, Picture] = {}
    with FakeClient(socket) as client, closing(Follower(client)) as follower:
        follower.draw(0)
        for seed, step in enumerate(STEPS, start=1):
            sway.swaymsg(step.command)
            follower.wait(step.size, step.scale, step.output)
            follower.draw(seed)
            client.round_trip()
            pictures[step.name] = Picture.of(sway.screenshot(step.seen))
        return Run(follower.log(), pictures)


@pytest.mark.parametrize("buffers", ["auto", "copy"])
def test_a_window_follows_its_outputs_as_without_proxy(
    debian: Image, runtime_dir: Path, buffers: str
) -> None:
    """Both runs have a sway of their own: what one did to the outputs is no news for the other."""
    folders = [runtime_dir / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with running_sway(debian, folders[0]) as sway:
        direct = follow(sway, str(sway.socket_path))
    with (
        running_sway(debian, folders[1]) as sway,
        running_daemon(runtime_dir, sway.socket_path) as daemon,
        running_launcher(runtime_dir, daemon.local_socket, f"--buffers={buffers}") as launcher,
    ):
        proxied = follow(sway, launcher.socket)
        launcher.assert_alive()
    assert proxied.log == direct.log
    assert different(direct.pictures, proxied.pictures, series="outputs") == []
    assert len({picture.packed for picture in direct.pictures.values()}) == len(STEPS)
    heard = [line.partition(" ")[0] for line in direct.log["output 1"]]
    assert {"geometry", "mode", "scale", "name", "done"} <= set(heard)
    assert direct.log["registry"] == [
        "output 1 comes", "output 2 comes", "output 2 goes", "output 3 comes",
    ]  # fmt: skip
