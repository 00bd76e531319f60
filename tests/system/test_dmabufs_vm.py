"""Buffers of the guest's own dmabufs look as those of shared memory do, whatever they were allocated from."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.machine import Machine
from tests.fakes.capture import capture
from tests.fakes.pictures import Picture, different, photograph
from tests.fakes.programs import PATTERNS, running_steps
from tests.fakes.weston import Pixels
from tests.fakes.weston16 import running_weston16
from tests.system.conftest import GUEST_TESTS, Desktop, shown_on, until_true, within
from tests.system.test_pixels_vm import PLACE, GuestSteps

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

SCENARIOS: Final = ("formats", "sizes", "damage", "without_attach", "one_buffer_on_two_surfaces")
LABEL: Final = "patterns'"


async def take(desktop: Desktop) -> Pixels:
    view = await desktop.window(LABEL)
    if (view.x, view.y) != PLACE:
        await desktop.put(view, *PLACE)
    return await desktop.screenshot()


async def test_every_kind_of_dmabuf_looks_as_shared_memory_does(machine: Machine, desktop: Desktop) -> None:
    loaded = await machine.run(["modprobe", "vgem"], user="root")
    assert loaded.status == 0, loaded.errors
    environment = {**os.environ, **desktop.weston.environment}
    async with running_steps((*PATTERNS, "--windowed", *SCENARIOS), environment) as steps:
        direct = await photograph(steps, lambda: take(desktop))
    await desktop.no_window(LABEL)
    command = ["crossdomain-run", "--stats=/tmp/dmabufs.json", "python3", "-m", "tests.fakes.patterns"]
    options = ["--windowed", "--dmabufs=udmabuf,heap,vgem,blob,image", *SCENARIOS]
    process = await machine.spawn([*command, *options], env=GUEST_TESTS, user="root")
    proxied: dict[str, Picture] = await photograph(GuestSteps(process), lambda: take(desktop))
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert different(direct, proxied, series="vm-dmabufs") == []
    stats = await machine.run(["cat", "/tmp/dmabufs.json"])
    assert json.loads(stats.output)["buffers"] == {"dmabuf-copy": 4, "dmabuf-pages": 14, "dmabuf-blob": 11}


KIOSK: Final = "[core]\nidle-time=0\nshell=kiosk-shell.so\n"
"""A shell that gives each window the middle of the screen."""
FOREIGN: Final = "--dmabufs=heap+udmabuf,vgem,udmabuf+vgem,blob+heap"
WAYS: Final = {
    "dmabuf-blob": ("--buffers=auto", "--dmabufs=image"),
    "dmabuf-pages": ("--buffers=auto", FOREIGN),
    "dmabuf-copy": ("--buffers=copy", FOREIGN),
}
"""What makes buffers go that way."""


async def test_planes_look_as_shared_memory_does(machine: Machine, compositor: Path) -> None:
    """NV12 and P010, of even and of odd size, in one dmabuf or in one for each plane."""
    await machine.run(["modprobe", "vgem"], user="root")
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with running_weston16(folder, renderer="gl", configuration=KIOSK) as weston:

        async def look() -> Pixels:
            return await asyncio.to_thread(capture, weston.socket_path)

        environment = {**os.environ, **weston.environment}
        async with running_steps((*PATTERNS, "planes"), environment) as steps:
            direct = await photograph(steps, look)
        with shown_on(compositor, weston.socket_path):
            found = [await _show_planes(machine, direct, way, look) for way in WAYS]
    shutil.rmtree(folder)
    assert len(direct) == 4
    assert found == [{way: 4} for way in WAYS]


async def _show_planes(
    machine: Machine, direct: Mapping[str, Picture], way: str, look: Callable[[], Awaitable[Pixels]]
) -> dict[str, int]:
    """Show the same in the guest on one of `WAYS`; which way the buffers went."""
    buffers, dmabufs = WAYS[way]
    launcher = ["crossdomain-run", buffers, "--stats=/tmp/planes.json"]
    patterns = ["python3", "-m", "tests.fakes.patterns", dmabufs, "planes"]
    process = await machine.spawn([*launcher, *patterns], env=GUEST_TESTS, user="root")
    proxied = await photograph(GuestSteps(process), look)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert different(direct, proxied, series=f"vm-{way}") == []
    counted: dict[str, int] = json.loads(await machine.pull("/tmp/planes.json"))["buffers"]
    return counted


async def test_an_egl_application_draws_without_a_gpu(machine: Machine, desktop: Desktop) -> None:
    """Mesa looks at the device that dmabufs' feedback and wl_drm name, finds no GPU, and does without."""
    app = await machine.spawn(["crossdomain-run", "weston-simple-egl"])
    view = await desktop.put(await desktop.window("simple-egl", seconds=180), 20, 20)
    first = await desktop.picture_of(view)

    async def moved() -> bool:
        return bool((await desktop.picture_of(view) != first).any())

    await until_true(moved, what="a triangle that turns")
    app.send_signal(15)
    await within(app.wait(), what="its end")
    await desktop.no_window("simple-egl")
