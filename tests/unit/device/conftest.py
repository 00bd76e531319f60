"""Fixtures of the device's tests."""

from collections.abc import AsyncGenerator

import pytest

from tests.fakes.stub_vm import Vm, running_vm


@pytest.fixture
async def vm() -> AsyncGenerator[Vm]:
    """A VM as QEMU runs one."""
    async with running_vm() as running:
        yield running


@pytest.fixture(params=["memory-slots", "memory-table"])
async def any_vm(request: pytest.FixtureRequest) -> AsyncGenerator[Vm]:
    """A VM of each way to tell the back-end of memory: QEMU's and crosvm's."""
    async with running_vm(memory_slots=request.param == "memory-slots") as running:
        yield running
