"""The metronome program in a guest, and how far the guest's clocks are ahead of the host's."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from crossdomain.bridge.clock import ClockOffset, Reading
from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.machine import Machine
from tests.fakes.pacing import MS
from tests.system.conftest import GUEST_TESTS, within

MAX_ERROR: Final = 5 * MS
"""Nanoseconds, with the emulator on a loaded machine; on a quiet one it is a tenth of that."""

_READINGS: Final = 40


class Metronome:
    """The metronome program in the guest."""

    def __init__(self, process: GuestProcess) -> None:
        self.process = process
        self.clock_id = -1

    async def ask(self, question: str) -> list[int]:
        """The numbers that it answers with."""
        await self.process.write(f"{question}\n".encode())
        line = await within(self.process.stdout.readline(), what=f"an answer to {question!r}")
        return [int(number) for number in line.split()]

    async def measure(self, clock_id: int) -> ClockOffset:
        """How far the guest's clock is ahead of the host's."""
        offset = ClockOffset()
        for _ in range(_READINGS):
            before = time.clock_gettime_ns(clock_id)
            (guest,) = await self.ask(f"now {clock_id}")
            offset.add(Reading(before, guest, time.clock_gettime_ns(clock_id)))
        return offset


@asynccontextmanager
async def running_metronome(machine: Machine) -> AsyncGenerator[Metronome]:
    """Run it until the block ends."""
    process = await machine.spawn(
        ["crossdomain-run", "python3", "-m", "tests.fakes.metronome"], env=GUEST_TESTS
    )
    made = Metronome(process)
    line = await within(process.stdout.readline(), what="a window")
    assert line.startswith(b"clock "), (await process.stderr.read()).decode()
    made.clock_id = int(line.split()[1])
    yield made
    process.close_input()
    assert await within(process.wait(), what="its end") == 0
