"""Explicit synchronization of a compositor that has it: a sway 1.12 that draws with GL (`make fences`).

All is in one virtual machine, whose kernel has udmabuf and timelines.  Through the local channel sway gets
the client's own timelines.  Through a guest (`tests.fakes.guest_kernel`) it gets the daemon's: the frontend
and the kernel's half of the driver are fakes, the rest is real.
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
from tests.fakes.forky import FORKY

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

PAINTER: Final = ("tests.fakes.early_painter", DISPLAY)
EXPECTED: Final = ("early", "late", "out_of_order", "released")
"""Of the compositor, whoever its client is."""
PROXIED: Final = (*EXPECTED, "copied")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sway(machine: Machine) -> AsyncGenerator[BothSides]:
    """Sway, and a daemon on it."""
    done = await machine.run(["chmod", "-R", "a+rw", "/dev/dri", "/dev/udmabuf"], user="root")
    assert done.status == 0
    async with running_with_sway(machine, FORKY) as running:
        yield running


@pytest.mark.parametrize(
    ("through", "cases"),
    [
        ((), EXPECTED),
        (THROUGH_LOCAL, PROXIED),
        # What never signals costs a frame, and no more.
        (THROUGH_GUEST, (*PROXIED, "never", "late")),
    ],
    ids=["direct", "local", "guest"],
)
async def test_the_compositor_waits_for_what_it_reads_in_place(
    sway: BothSides, through: Sequence[str], cases: Sequence[str]
) -> None:
    assert (await sway.run_module(*PAINTER, *cases, through=through)).split() == list(cases)
