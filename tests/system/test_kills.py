"""What runs in a guest is killed at random moments: nothing is left of it, and others go on."""

import random
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.machine import Machine
from tests.chaos.machines import IN_GUEST, push_drawer, strike
from tests.fakes.daemon import Footprint, RunningDaemon
from tests.system.conftest import GUEST_TESTS, PROCESSES, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SEED: Final = 5


async def test_what_is_killed_in_a_guest_leaves_nothing_and_others_go_on(
    machine: Machine, daemon: RunningDaemon, desktop: Desktop, tmp_path: Path
) -> None:
    await push_drawer(machine, tmp_path)
    flag = ["crossdomain-run", "python3", "-m", "tests.fakes.flag", "witness", "2468ac", "80", "60"]
    witness = await machine.spawn(flag, env=GUEST_TESTS)
    assert await within(witness.stdout.readline(), what="the window of the witness") == b"shown\n"
    await desktop.put(await desktop.window(" witness'"), 20, 20)
    resources = daemon.status()["vms"][0]["resources"]
    before, qemu_before = daemon.footprint, Footprint.of(machine.pid)
    processes = (await machine.run(["sh", "-c", PROCESSES])).output

    chance = random.Random(SEED)
    for whom in IN_GUEST:
        await strike(machine, [whom], chance)
        await witness.write(b"\n")
        assert await within(witness.stdout.readline(), what="the witness") == b"here\n"

    await until(lambda: len(daemon.status()["vms"][0]["clients"]) == 1, what="the clients' end")
    await until(lambda: daemon.status()["vms"][0]["resources"] == resources, what="the end of their memory")
    assert daemon.footprint.fds <= before.fds
    assert Footprint.of(machine.pid).fds <= qemu_before.fds
    assert (await machine.run(["sh", "-c", PROCESSES])).output == processes
    picture = await desktop.screenshot()
    assert (picture[20:80, 20:100] == (0x24, 0x68, 0xAC)).all()
    witness.close_input()
    assert await within(witness.wait(), what="its end") == 0
