"""Machines come and go, well and badly, and the daemon serves the next one."""

import pytest

from crossdomain.errors import HostFault
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import RunningDaemon
from tests.system.conftest import GUEST_TESTS, Desktop, machine_config, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

FLAG = ["crossdomain-run", "python3", "-m", "tests.fakes.flag"]


async def test_machines_that_end_or_die_leave_the_daemon_serving_the_next(
    vm_image: Image, machine: Machine, daemon: RunningDaemon, desktop: Desktop
) -> None:
    resident = await machine.spawn([*FLAG, "resident", "336699", "64", "64"], env=GUEST_TESTS)
    assert await within(resident.stdout.readline(), what="the first machine's window") == b"shown\n"
    vms, fds = len(daemon.status()["vms"]), daemon.footprint.fds

    async with Machine(machine_config(vm_image, daemon)) as second:
        guest = await second.spawn([*FLAG, "second", "996633", "64", "64"], env=GUEST_TESTS)
        assert await within(guest.stdout.readline(), what="the second machine's window") == b"shown\n"
        await desktop.window(" second'")
        await second.kill()
        with pytest.raises(HostFault):
            await within(guest.wait(), what="the news of its end")
        await desktop.no_window(" second'")
    await until(lambda: len(daemon.status()["vms"]) == vms, what="the dead machine's end in the daemon")
    await until(lambda: daemon.footprint.fds <= fds, what="its fds to go")

    async with Machine(machine_config(vm_image, daemon)) as third:
        done = await third.run([*FLAG, "third", "669933", "64", "64"], data=b"", env=GUEST_TESTS)
        assert (done.status, done.output) == (0, b"shown\n")
    await until(lambda: len(daemon.status()["vms"]) == vms, what="the ended machine's end in the daemon")
    await until(lambda: daemon.footprint.fds <= fds, what="its fds to go")

    await resident.write(b"\n")
    assert await within(resident.stdout.readline(), what="the first machine") == b"here\n"
    resident.close_input()
    assert await within(resident.wait(), what="its end") == 0
