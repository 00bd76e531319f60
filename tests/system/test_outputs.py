"""A terminal of a virtual machine follows the outputs of its host: scaled, turned, plugged in, unplugged."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.image import Image
from tests.applications.outputs import CHANGES, DIFFERENT, PROGRAMS, pictures_of_direct
from tests.fakes.pictures import Picture
from tests.fakes.stage import await_window
from tests.fakes.sway import OUTPUT, Sway
from tests.fakes.weston import wait_until
from tests.system.conftest import PATIENCE, SwayGuest

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

AS_BEFORE: Final = "output {} scale 1 transform normal mode {}x{}"


def follow(sway: Sway, expected: Mapping[str, Picture]) -> None:
    """Make one change after the other; each time the window must become what it is without a machine."""
    await_window(sway, "still", seconds=PATIENCE)
    for name, command, output in CHANGES:
        sway.swaymsg(command)

        def looks_right(name: str = name, output: str = output) -> bool:
            return Picture.of(sway.screenshot(output)) == expected[name]

        wait_until(looks_right, seconds=PATIENCE, what=f"the window {name}", every=0.1)


async def test_a_terminal_follows_its_outputs(guest: SwayGuest, debian: Image, runtime_dir: Path) -> None:
    argv = PROGRAMS["foot"]
    expected = await asyncio.to_thread(pictures_of_direct, debian, runtime_dir, argv, guest.sway.size)
    assert len({picture.packed for picture in expected.values()}) >= DIFFERENT
    async with guest.running(argv):
        await asyncio.to_thread(follow, guest.sway, expected)
    guest.sway.swaymsg(AS_BEFORE.format(OUTPUT, *guest.sway.size))
