"""A picture is the same from inside the VM and without any proxy, pixel for pixel."""

import asyncio
import json
import os
from typing import Final

import pytest

from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import Footprint, RunningDaemon
from tests.fakes.holdings import READABLE
from tests.fakes.pictures import different, photograph
from tests.fakes.pool_storm import COLOUR, HEIGHT, MANY, WIDTH
from tests.fakes.programs import PATTERNS, running_steps
from tests.fakes.weston import Pixels
from tests.system.conftest import GUEST_TESTS, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

PLACE = (40, 30)
STATS: Final = "/tmp/storm.json"


class GuestSteps:
    """The patterns program in the guest; see `tests.fakes.pictures.Steps`."""

    def __init__(self, process: GuestProcess) -> None:
        self.process = process

    async def read_line(self) -> str:
        line = await self.process.stdout.readline()
        assert line, f"the program has ended: {(await self.process.stderr.read()).decode()}"
        return line.decode().rstrip("\n")

    async def write_line(self) -> None:
        await self.process.write(b"\n")


@pytest.mark.parametrize(("buffers", "paths"), [("auto", {"shm-pages", "shm-copy"}), ("copy", {"shm-copy"})])
async def test_every_pattern_looks_as_without_proxy(
    machine: Machine, desktop: Desktop, buffers: str, paths: set[str]
) -> None:
    label = "patterns'"  # the end of it: what the host puts before a VM's titles is another matter

    async def take() -> Pixels:
        # It is moved once: a move would make Weston draw
        # all of it, and hide damage that never arrived.
        view = await desktop.window(label)
        if (view.x, view.y) != PLACE:
            await desktop.put(view, *PLACE)
        return await desktop.screenshot()

    environment = {**os.environ, **desktop.weston.environment}
    async with running_steps((*PATTERNS, "--windowed"), environment) as steps:
        direct = await photograph(steps, take)
    await desktop.no_window(label)
    options = [f"--buffers={buffers}", "--stats=/tmp/stats.json"]
    command = ["crossdomain-run", *options, "python3", "-m", "tests.fakes.patterns", "--windowed"]
    process = await machine.spawn(command, env=GUEST_TESTS)
    proxied = await photograph(GuestSteps(process), take)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert different(direct, proxied, series=f"vm-{buffers}") == []
    stats = await machine.run(["cat", "/tmp/stats.json"])
    assert set(json.loads(stats.output)["buffers"]) == paths
    assert len({picture.packed for picture in direct.values()}) > 100, "the patterns hardly differ"


async def test_a_window_is_right_after_thousands_of_buffers_at_a_time(
    machine: Machine, daemon: RunningDaemon, desktop: Desktop
) -> None:
    def host_is_idle() -> bool:
        return [vm["clients"] for vm in daemon.status()["vms"]] == [[]]

    await until(host_is_idle, what="an idle daemon")
    before, fds = daemon.holdings(), (daemon.footprint.fds, Footprint.of(desktop.weston.pid).fds)
    await machine.run(READABLE, user="root")
    cases = ("calm", "resizes", "growth", "thousands")
    storm = ("python3", "-m", "tests.fakes.pool_storm", "--holdings", "-", *cases)
    process = await machine.spawn(["crossdomain-run", f"--stats={STATS}", *storm], env=GUEST_TESTS)
    for case in cases:
        shown = await within(process.stdout.readline(), seconds=400, what=f"the last buffer of {case}")
        assert shown == f"{case}\n".encode()
        pixels = await desktop.screenshot()
        assert (pixels == list(COLOUR[::-1])).all(axis=-1).sum() == WIDTH * HEIGHT
        await process.write(b"\n")
    held = await within(process.stdout.read(), what="what is held")
    assert held == b"holds what it held\n"
    assert await within(process.wait(), what="its end") == 0
    *_others, thousands = json.loads(await machine.pull(STATS))["per_client"]
    assert thousands["buffers"] == {"shm-pages": MANY + 1}
    await until(lambda: daemon.holdings() == before, what="the host's resources to go")
    await until(
        lambda: (daemon.footprint.fds, Footprint.of(desktop.weston.pid).fds) == fds, what="its fds to go"
    )
