"""What the host's compositor writes into memory of the virtual machine arrives there."""

import hashlib

import pytest

from crossdomain.vm.machine import Machine
from tests.system.conftest import GUEST_TESTS, Desktop, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_screenshot_that_the_guest_takes_is_what_the_host_shows(
    machine: Machine, desktop: Desktop
) -> None:
    command = ["crossdomain-run", "python3", "-m", "tests.fakes.flag", "seen", "cc6633", "300", "200"]
    flag = await machine.spawn(command, env=GUEST_TESTS)
    assert await within(flag.stdout.readline(), what="a window") == b"shown\n"
    await desktop.window("seen")
    expected = await desktop.screenshot()
    done = await machine.run(["crossdomain-run", "python3", "-m", "tests.fakes.screenshot"], env=GUEST_TESTS)
    flag.close_input()
    assert await within(flag.wait(), what="its end") == 0
    height, width, _ = expected.shape
    assert (done.errors, done.status) == (b"", 0)
    assert done.output.decode().split() == [
        str(width),
        str(height),
        hashlib.sha256(expected.tobytes()).hexdigest(),
    ]
