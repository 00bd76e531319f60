"""Times that cross between a virtual machine and its host: how wrong they are, measured.

The truth is found without Wayland: the guest's clock is read over the machine's control line, again and
again, and bounds of both clocks' difference are kept.  When frames were shown is what Weston notes of
its own repaints; when the pointer moved is when it was moved.
"""

import json
import re
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from crossdomain.bridge.clock import ClockOffset
from crossdomain.vm import root
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine
from tests.fakes.pacing import MS, SECOND
from tests.fakes.pictures import EVIDENCE
from tests.system.conftest import Desktop, until, until_true
from tests.system.metronome import MAX_ERROR, Metronome, running_metronome

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def metronome(machine: Machine) -> AsyncGenerator[Metronome]:
    async with running_metronome(machine) as made:
        yield made


@pytest.fixture
def repaints(desktop: Desktop, vm_image: Image, tmp_path: Path) -> Generator[Callable[[], list[int]]]:
    """When Weston showed frames since the test began: ns of CLOCK_MONOTONIC."""
    log = tmp_path / "timeline"
    environment = root.program_environment(desktop.weston.environment)
    with log.open("wb") as output:
        process = subprocess.Popen(
            vm_image.command(["weston-debug", "timeline"]), env=environment, stdout=output
        )

    def read() -> list[int]:
        shown = re.findall(r'"vblank_monotonic":\[(\d+), (\d+)\]', log.read_text(errors="replace"))
        return [int(seconds) * SECOND + int(fraction) for seconds, fraction in shown]

    yield read
    process.terminate()
    process.wait()


def record(name: str, errors: list[int], truth: ClockOffset) -> None:
    """Keep the errors (ns), for a person to look at."""
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    told = {
        "largest_us": max(map(abs, errors)) / 1000,
        "truth_uncertain_by_us": truth.uncertainty / 1000,
        "times": len(errors),
    }
    (EVIDENCE / f"clock-error-{name}.json").write_text(json.dumps(told) + "\n")
    print(f"{name}: {told}")


async def test_frames_are_shown_when_the_guest_is_told(
    metronome: Metronome, repaints: Callable[[], list[int]]
) -> None:

    async def is_noted() -> bool:
        await metronome.ask("frame")
        return bool(repaints())

    await until_true(is_noted, what="the timeline")
    truth = await metronome.measure(metronome.clock_id)
    frames = [await metronome.ask("frame") for _ in range(20)]
    # Weston notes CLOCK_MONOTONIC whatever its presentation clock is.
    base = time.clock_gettime_ns(metronome.clock_id) - time.monotonic_ns()
    last = frames[-1][1] - truth.offset - base
    await until(lambda: repaints()[-1:] >= [last - MAX_ERROR], what="the last repaint in the timeline")
    noted = repaints()
    errors: list[int] = []
    for committed, shown, heard in frames:
        assert committed - MAX_ERROR <= shown <= heard + MAX_ERROR
        theirs = shown - truth.offset - base
        errors.append(min((theirs - at for at in noted), key=abs))
    record("frames-vm", errors, truth)
    assert max(map(abs, errors)) < MAX_ERROR


async def test_the_pointer_moved_when_the_guest_is_told(metronome: Metronome, desktop: Desktop) -> None:
    view = await desktop.put(await desktop.window("paced"), 100, 100)
    truth = await metronome.measure(time.CLOCK_MONOTONIC)
    desktop.seat.move_pointer(view.x + 1, view.y + 10)
    errors: list[int] = []
    for x in range(10, 30):
        before = time.monotonic_ns()
        desktop.seat.move_pointer(view.x + x, view.y + 10)
        after = time.monotonic_ns()
        nanoseconds, milliseconds = await metronome.ask(f"motion {x}")
        assert milliseconds == nanoseconds // MS & 0xFFFFFFFF
        moved = nanoseconds - truth.offset
        # The seat took its time in between.
        errors.append(min(moved - before, 0) + max(moved - after, 0))
    record("input-vm", errors, truth)
    assert max(map(abs, errors)) < MAX_ERROR
