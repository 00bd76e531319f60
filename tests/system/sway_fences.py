"""`make fences`: explicit synchronization of a compositor that has it, a sway 1.12 that draws with GL.

All is in one virtual machine, whose kernel has udmabuf and timelines.  Through the local channel sway gets
the client's own timelines.  Through a guest (`tests.fakes.guest_kernel`) it gets the daemon's: the frontend
and the kernel's half of the driver are fakes, the rest is real.  It takes two minutes, half a minute of them
for sway to start, so this is no part of `make test`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import pytest
import pytest_asyncio

from crossdomain.vm.machine import Machine
from tests.fakes.both_sides import (
    DISPLAY,
    THROUGH_GUEST,
    THROUGH_LOCAL,
    BothSides,
    running_with_sway,
)
from tests.system.conftest import FORKY

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

PAINTER: Final = ("tests.fakes.early_painter", DISPLAY)
CASES: Final = ("early", "copied", "late", "out_of_order", "released")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sway(machine: Machine) -> AsyncGenerator[BothSides]:
    """Sway, and a daemon on it."""
    done = await machine.run(["chmod", "-R", "a+rw", "/dev/dri", "/dev/udmabuf"], user="root")
    assert done.status == 0
    async with running_with_sway(machine, FORKY) as running:
        yield running


async def test_without_proxy(sway: BothSides) -> None:
    """What the cases expect of the compositor holds."""
    shown = await sway.run_module(*PAINTER, "early", "late", "out_of_order", "released")
    assert shown.split() == ["early", "late", "out_of_order", "released"]


@pytest.mark.parametrize("through", [THROUGH_LOCAL, THROUGH_GUEST], ids=["local", "guest"])
async def test_the_compositor_waits_for_what_it_reads_in_place(
    sway: BothSides, through: Sequence[str]
) -> None:
    assert (await sway.run_module(*PAINTER, *CASES, through=through)).split() == list(CASES)


async def test_a_fence_of_a_guests_that_never_signals_costs_a_frame(sway: BothSides) -> None:
    assert await sway.run_module(*PAINTER, "never", "late", through=THROUGH_GUEST) == "never\nlate\n"


@pytest.mark.parametrize("through", [(), THROUGH_LOCAL, THROUGH_GUEST], ids=["direct", "local", "guest"])
async def test_how_long_the_end_of_a_fence_takes(sway: BothSides, through: Sequence[str]) -> None:
    """In microseconds; of the compositor it takes one repaint at most."""
    latency, trip = (await sway.run_module(*PAINTER, "latency", through=through)).split()[:2]
    print(f"fence_to_commit {latency} us, round trip {trip} us")
    assert 0 < int(latency) < 1_000_000
