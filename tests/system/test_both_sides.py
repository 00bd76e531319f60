"""Both sides inside one virtual machine, whose kernel has udmabuf: clients' pages are read in place.

There is no VM in the VM: the launcher's kernel, and a guest with scattered memory, are `tests.fakes`'.  The
daemon, udmabuf, and a Weston that draws with GL and imports dmabufs, are real.
"""

from collections.abc import AsyncGenerator
from typing import Final

import pytest
import pytest_asyncio

from crossdomain.limits import MAX_SHOWN_BUFFERS
from crossdomain.vm.machine import Machine
from tests.fakes.both_sides import DISPLAY, GPU, THROUGH_GUEST, THROUGH_LOCAL, BothSides, running_both_sides

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both_sides(machine: Machine) -> AsyncGenerator[BothSides]:
    async with running_both_sides(machine) as running:
        yield running


PATTERNS: Final = (
    *("tests.fakes.patterns", f"--on={DISPLAY}"),
    *("damage_of_both_kinds", "one_buffer_on_two_surfaces"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def direct(both_sides: BothSides) -> list[str]:
    """What the patterns look like without a proxy."""
    return (await both_sides.run_module(*PATTERNS)).splitlines()


async def test_pictures_read_in_place_are_those_without_proxy(
    both_sides: BothSides, direct: list[str]
) -> None:
    proxied = (await both_sides.run_module(*PATTERNS, through=THROUGH_GUEST)).splitlines()
    assert [line for line in proxied if line not in direct] == []
    assert len(proxied) == len(direct) > 7
    assert (await both_sides.buffers())["shm-dmabuf"] >= 3
    assert (await both_sides.stats())["bytes_copied"] == 0


async def test_dmabufs_of_the_same_kernel_are_read_in_place(both_sides: BothSides, direct: list[str]) -> None:
    dmabufs = (*PATTERNS, "--dmabufs=udmabuf")
    proxied = (await both_sides.run_module(*dmabufs, through=THROUGH_LOCAL)).splitlines()
    assert [line for line in proxied if line not in direct] == []
    assert len(proxied) == len(direct)
    assert (await both_sides.buffers())["dmabuf-shared"] >= 3


@pytest.mark.parametrize("rows", [1, 1024])
async def test_scattered_pages_are_read_in_place(both_sides: BothSides, rows: int) -> None:
    assert await both_sides.run_module("tests.fakes.scattered", GPU, DISPLAY, str(rows)) == "YES whole\n"


async def test_more_runs_than_udmabuf_takes_are_copied(both_sides: BothSides) -> None:
    assert await both_sides.run_module("tests.fakes.scattered", GPU, DISPLAY, "1025") == "NO whole\n"


SMALL, WHOLE = 256 * 64, 1024 * 640
"""Pixels of the screen that are a storm's window."""
STORMS: Final = {
    "resizes": SMALL,
    "growth": SMALL,
    "large_buffers": SMALL,
    "film": WHOLE,
    "beyond": WHOLE,
    "punched": SMALL,
}


async def test_a_client_that_is_hard_on_its_buffers_is_shown_as_it_should(both_sides: BothSides) -> None:
    storm = ("tests.fakes.pool_storm", DISPLAY)
    shown = await both_sides.run_module(*storm, *STORMS, through=THROUGH_GUEST)
    assert shown.splitlines() == [f"{case} {pixels}" for case, pixels in STORMS.items()]
    buffers = dict(zip(STORMS, await both_sides.buffers_per_client(), strict=True))
    assert (buffers["film"], buffers["beyond"]) == ({"shm-dmabuf": 3}, {"shm-copy": 1})
    assert buffers["large_buffers"]["shm-dmabuf"] == MAX_SHOWN_BUFFERS
    assert buffers["punched"]["shm-copy"] == 1
