"""The compositor dies and another takes its place: a running machine shows windows there."""

import pytest
import pytest_asyncio

from crossdomain.vm.guest import Completed
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import RunningDaemon
from tests.system.conftest import GUEST_TESTS, Desktop, until, within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

FLAG = ["crossdomain-run", "python3", "-m", "tests.fakes.flag"]
COLOUR = (0x5A, 0x3C, 0xC8)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def old(machine: Machine, daemon: RunningDaemon, desktop: Desktop) -> Completed:
    """What became of a client of the compositor before; there is another one since."""
    app = await machine.spawn([*FLAG, "old", "336699", "64", "64"], env=GUEST_TESTS)
    assert await within(app.stdout.readline(), what="the window before") == b"shown\n"
    desktop.weston.kill()
    done = await within(app.communicate(b"\n"), what="the end of the client before")
    await until(lambda: daemon.status()["vms"][0]["clients"] == [], what="its end in the daemon")
    desktop.weston.start()
    return done


async def test_clients_of_the_compositor_before_end(old: Completed) -> None:
    assert old.status == 1
    assert b"Disconnected" in old.errors


@pytest.mark.usefixtures("old")
async def test_new_windows_are_on_the_next_compositor(machine: Machine, desktop: Desktop) -> None:
    new = await machine.spawn([*FLAG, "new", bytes(COLOUR).hex(), "120", "90"], env=GUEST_TESTS)
    assert await within(new.stdout.readline(), what="a window on the next compositor") == b"shown\n"
    await desktop.put(await desktop.window(" new'"), 30, 40)
    picture = await desktop.screenshot()
    assert (picture[40:130, 30:150] == COLOUR).all()
    new.close_input()
    assert await within(new.wait(), what="its end") == 0
