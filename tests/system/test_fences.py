"""Fences inside a virtual machine: the kernel's own, and how they cross."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from crossdomain.vm.machine import Machine
from tests.fakes.kernel_fences import CASES
from tests.system.conftest import GUEST_TESTS

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


@pytest.mark.parametrize("case", CASES)
async def test_the_kernels_fences(vgem: Machine, case: str) -> None:
    done = await vgem.run(["python3", "-m", "tests.fakes.kernel_fences", case], env=GUEST_TESTS)
    assert (done.status, done.errors.decode()) == (0, "")
