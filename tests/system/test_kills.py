"""Launchers and clients of a guest are killed at random moments, while they draw: nothing is left of them."""

import random
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.machine import Machine
from tests.bench import client_run
from tests.fakes.daemon import Footprint, RunningDaemon
from tests.system.conftest import GUEST_TESTS, PROCESSES, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

CLIENT: Final = "/tmp/drawer"
KILLS: Final = 6
SEED: Final = 5
ROUND: Final = f"""\
crossdomain-run {CLIENT} frames 1000000 64x64 full paced 2 &
launcher=$!
sleep "$2"
client=$(pgrep -P $launcher)
case $1 in
launcher) kill -9 $launcher ;;
client) kill -9 ${{client:-$launcher}} ;;
both) kill -9 $launcher $client ;;
esac
wait
while pgrep -r R,S,D,T -x drawer >/dev/null; do sleep 0.1; done
"""
"""Kills who is named after so many seconds; ends when all has that was started.  Init reaps when it likes."""


async def test_what_is_killed_in_a_guest_leaves_nothing_and_others_go_on(
    machine: Machine, daemon: RunningDaemon, desktop: Desktop, tmp_path: Path
) -> None:
    await machine.push(CLIENT, client_run.build(tmp_path).read_bytes(), mode=0o755)
    flag = ["crossdomain-run", "python3", "-m", "tests.fakes.flag", "witness", "2468ac", "80", "60"]
    witness = await machine.spawn(flag, env=GUEST_TESTS)
    assert await within(witness.stdout.readline(), what="the window of the witness") == b"shown\n"
    await desktop.put(await desktop.window(" witness'"), 20, 20)
    resources = daemon.status()["vms"][0]["resources"]
    before, qemu_before = daemon.footprint, Footprint.of(machine.pid)
    processes = (await machine.run(["sh", "-c", PROCESSES])).output

    chance = random.Random(SEED)
    for _ in range(KILLS):
        whom, delay = chance.choice(["launcher", "client", "both"]), chance.random() * 2
        done = await machine.run(["sh", "-c", ROUND, "sh", whom, f"{delay:.2f}"], timeout=120)
        assert done.status == 0, done.errors
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
