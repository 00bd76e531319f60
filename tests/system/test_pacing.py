"""fifo and commit timing of a virtual machine's client, on a Weston 16: what older compositors lack."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.fakes.daemon import running_daemon
from tests.fakes.pacing import BURST, MS, SECOND
from tests.fakes.weston16 import running_weston16
from tests.system.conftest import machine_config
from tests.system.metronome import MAX_ERROR, Metronome, running_metronome

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def metronome(vm_image: Image, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Metronome]:
    folder: Path = tmp_path_factory.mktemp("w16")
    (folder / "weston").mkdir()
    with (
        running_weston16(folder / "weston") as weston,
        running_daemon(folder, weston.socket_path) as daemon,
    ):
        async with Machine(machine_config(vm_image, daemon)) as machine, running_metronome(machine) as made:
            yield made
        daemon.assert_alive()


async def test_a_burst_is_shown_frame_by_frame_only_with_fifo(metronome: Metronome) -> None:
    assert await metronome.ask("burst 1") == [BURST]
    (shown,) = await metronome.ask("burst 0")
    assert shown < BURST


async def test_a_frame_is_not_shown_before_its_target(metronome: Metronome) -> None:
    for wait in (100, 250, 500):
        target, _, shown, heard = await metronome.ask(f"after {wait * MS}")
        # The host's clock says when it is shown, the guest's when that is heard of.
        assert target - MAX_ERROR <= shown
        assert target - MAX_ERROR <= heard < target + 10 * SECOND
