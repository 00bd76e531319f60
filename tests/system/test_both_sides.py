"""Both sides inside one virtual machine, whose kernel has udmabuf: clients' pages are read in place.

There is no VM in the VM: the launcher's kernel, and a guest with scattered memory, are `tests.fakes`'.  The
daemon, udmabuf, and a Weston that draws with GL and imports dmabufs, are real.
"""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from crossdomain.host.control import control_socket
from crossdomain.limits import MAX_SHOWN_BUFFERS
from crossdomain.vm.demo import App, describe_app
from crossdomain.vm.machine import Machine
from tests.fakes.both_sides import (
    DISPLAY,
    ENVIRONMENT,
    GPU,
    THROUGH_GUEST,
    THROUGH_LOCAL,
    BothSides,
    running_both_sides,
)
from tests.fakes.holdings import READABLE
from tests.fakes.pool_storm import CALM_FRAMES, SIZE
from tests.system.conftest import within

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both_sides(machine: Machine) -> AsyncGenerator[BothSides]:
    async with running_both_sides(machine) as running:
        yield running


PATTERNS: Final = (
    *("tests.fakes.patterns", f"--on={DISPLAY}"),
    *("damage_of_both_kinds", "one_buffer_on_two_surfaces", "planes"),
)
PLANES: Final = 2
"""Buffers of NV12, of even and of odd size."""


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
    assert (await both_sides.buffers())["shm-dmabuf"] >= 3 + PLANES
    assert (await both_sides.stats())["bytes_copied"] == 0


async def test_dmabufs_of_the_same_kernel_are_read_in_place(both_sides: BothSides, direct: list[str]) -> None:
    """Planes are in one of them, and in one for each."""
    dmabufs = (*PATTERNS, "--dmabufs=udmabuf,udmabuf+udmabuf")
    proxied = (await both_sides.run_module(*dmabufs, through=THROUGH_LOCAL)).splitlines()
    assert [line for line in proxied if line not in direct] == []
    assert len(proxied) == len(direct)
    assert (await both_sides.buffers())["dmabuf-shared"] >= 3 + PLANES


@pytest.mark.parametrize("rows", [1, 1024])
async def test_scattered_pages_are_read_in_place(both_sides: BothSides, rows: int) -> None:
    assert await both_sides.run_module("tests.fakes.scattered", GPU, DISPLAY, str(rows)) == "YES whole\n"


async def test_more_runs_than_udmabuf_takes_are_copied(both_sides: BothSides) -> None:
    assert await both_sides.run_module("tests.fakes.scattered", GPU, DISPLAY, "1025") == "NO whole\n"


SMALL, WHOLE = 256 * 64, 1024 * 640
"""Pixels of the screen that are a storm's window."""
STORMS: Final = {
    "calm": SMALL,
    "resizes": SMALL,
    "growth": SMALL,
    "large_buffers": SMALL,
    "film": WHOLE,
    "beyond": WHOLE,
    "punched": SMALL,
    "refilled": SMALL,
}


async def test_a_client_that_is_hard_on_its_buffers_is_shown_as_it_should(both_sides: BothSides) -> None:
    await both_sides.machine.run(READABLE, user="root")
    storm = ("tests.fakes.pool_storm", f"--holdings={control_socket(Path(GPU))}", DISPLAY)
    shown = await both_sides.run_module(*storm, *STORMS, through=THROUGH_GUEST)
    *cases, end = shown.splitlines()
    assert cases == [f"{case} {pixels}" for case, pixels in STORMS.items()]
    assert end == "holds what it held", shown
    buffers = dict(zip(STORMS, await both_sides.buffers_per_client(), strict=True))
    assert (buffers["film"], buffers["beyond"]) == ({"shm-dmabuf": 3}, {"shm-copy": 1})
    assert buffers["large_buffers"]["shm-dmabuf"] == MAX_SHOWN_BUFFERS
    assert (buffers["punched"]["shm-copy"], buffers["refilled"]["shm-copy"]) == (1, 1)


async def test_buffers_in_place_and_what_was_copied_before_are_counted_per_client(
    both_sides: BothSides,
) -> None:
    storm = ("python3", "-m", "tests.fakes.pool_storm", "-", "calm")
    app = await both_sides.machine.spawn([*THROUGH_GUEST, "--", *storm], env=ENVIRONMENT)
    assert await within(app.stdout.readline(), what="a window that is read in place") == b"calm\n"
    status = ("python3", "-m", "crossdomain.cli", "host", f"--socket={GPU}", "status")
    told = json.loads((await both_sides.run(*status, "--json")).output)
    exposed = (await both_sides.run(*status, "--prometheus")).output.decode()
    await app.write(b"\n")
    assert await within(app.wait(), what="its end") == 0
    ((client,),) = (vm["clients"] for vm in told["vms"])
    counted = await both_sides.stats()
    assert counted["buffers"] == {"shm-dmabuf": 1}
    assert client["buffers_shown"] == 1
    assert 0 < client["bytes_copied"] == counted["bytes_copied_host"] == client["copies"] * SIZE
    assert counted["bytes_copied_by_path"] == {"shm-pages": client["bytes_copied"]}
    series = [
        line.rpartition(" ") for line in exposed.splitlines() if line.startswith("crossdomain_client_b")
    ]
    values = {name.partition("{")[0]: int(value) for name, _, value in series}
    assert values["crossdomain_client_buffers_shown_total"] == 1
    assert values["crossdomain_client_bytes_copied_total"] == client["bytes_copied"]
    report = describe_app(App("storm", storm, "storm", 1), counted)
    assert (report["buffer_path"], report["buffers"]) == ("shm-dmabuf", {"shm-dmabuf": 1})
    assert report["bytes_copied"] == sum(report["bytes_copied_by_path"].values()) == client["bytes_copied"]
    assert (report["bytes_copied_guest"], report["bytes_damaged"]) == (0, CALM_FRAMES * SIZE)


async def test_a_weston_stands_still_until_a_fence_is_over(both_sides: BothSides) -> None:
    """Why the launcher waits for them, in the compositor's place: docs/explicit-sync.md."""
    vgem = ["sh", "-e", "-c", "modprobe vgem; chmod a+rw /dev/dri/*"]
    assert (await both_sides.machine.run(vgem, user="root")).status == 0
    told = await both_sides.run_module("tests.fakes.standstill", DISPLAY)
    assert told == f"stands still\n{SMALL}\n"
    assert (await both_sides.machine.run(["modprobe", "-r", "vgem"], user="root")).status == 0
