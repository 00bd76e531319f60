"""Fences inside a virtual machine: the kernel's own, and how they cross."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.kernel_fences import CASES
from tests.system.conftest import GUEST_TESTS, Desktop, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vgem(machine: Machine) -> AsyncGenerator[Machine]:
    """The machine, with a device whose fences are a test's."""
    await as_root(machine, "modprobe vgem; chmod 666 /dev/dri/*")
    yield machine
    await as_root(machine, "modprobe -r vgem")


async def as_root(machine: Machine, script: str) -> None:
    """Runs a shell script that has to succeed."""
    done = await machine.run(["sh", "-e", "-c", script], user="root")
    assert (done.status, done.errors) == (0, b"")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def painter(vgem: Machine) -> AsyncGenerator[GuestProcess]:
    """A client whose pictures are finished when the test says so."""
    command = ["crossdomain-run", "python3", "-m", "tests.fakes.late_painter"]
    process = await vgem.spawn(command, env=GUEST_TESTS)
    assert await told(process) == "ready", await process.stderr.read()
    yield process
    process.close_input()
    assert await within(process.wait(), what="its end") == 0


async def told(process: GuestProcess) -> str:
    """The next line that it prints."""
    line = await within(process.stdout.readline(), what="an answer of the guest's")
    return line.decode().strip()


async def ask(process: GuestProcess, question: str) -> str:
    """What it answers."""
    await process.write(f"{question}\n".encode())
    return await told(process)


async def colours(desktop: Desktop, label: str) -> set[str]:
    """All colours of a window."""
    picture = await desktop.picture_of(await desktop.window(label))
    return {bytes(pixel[:3]).hex() for row in picture for pixel in row}


@pytest.mark.parametrize(
    ("way", "colour"),
    [("implicit", "00ff00"), ("point", "ff0000"), ("fence", "00ffff"), ("implicit", "ffff00")],
)
async def test_nothing_is_shown_before_it_is_finished(
    painter: GuestProcess, desktop: Desktop, way: str, colour: str
) -> None:
    before = await colours(desktop, "late'")
    assert await ask(painter, f"{way} {colour}") == "waiting"
    assert await colours(desktop, "late'") == before
    assert await colours(desktop, "punctual'") == {colour}
    assert await ask(painter, "finish") == "shown"
    assert await colours(desktop, "late'") == {colour}


async def test_a_fence_that_never_signals_costs_a_frame_and_not_the_window(
    painter: GuestProcess, desktop: Desktop
) -> None:
    before = await colours(desktop, "late'")
    assert await ask(painter, "implicit 112233") == "waiting"
    assert await ask(painter, "implicit 445566") == "waiting"
    assert await ask(painter, "finish") == "shown"
    assert await colours(desktop, "late'") == {"445566"}
    assert before != {"445566"}
    assert b"loses a frame" in await within(painter.stderr.readline(), what="a word about it")


@pytest.mark.parametrize("case", CASES)
async def test_the_kernels_fences(vgem: Machine, case: str) -> None:
    done = await vgem.run(["python3", "-m", "tests.fakes.kernel_fences", case], env=GUEST_TESTS)
    assert (done.status, done.errors.decode()) == (0, "")
