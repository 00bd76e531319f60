"""Rows about fences that the compositor waits for itself: a sway 1.12 in the VM, which has the protocol.

fence_forwarded_WAY are microseconds from an acquire point's end to word of the commit that it held back; that
goes the same way.  fence_trip_WAY is a round trip of that client.  The ways: straight to sway, the local
channel, and a guest, whose kernel `tests.fakes.guest_kernel` plays.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.client_run import BenchError
from tests.bench.guest_ways import InGuest
from tests.bench.rows import Row, against
from tests.fakes.both_sides import (
    DISPLAY,
    ENVIRONMENT,
    THROUGH_GUEST,
    THROUGH_LOCAL,
    BothSides,
    running_with_sway,
)
from tests.fakes.forky import FORKY, mount_forky

_CLIENT: Final = ("python3", "-m", "tests.fakes.early_painter", DISPLAY, "latency")
_WAYS: Final = {"direct": (), "local": (*THROUGH_LOCAL, "--"), "guest": (*THROUGH_GUEST, "--")}
_SECONDS: Final = 120.0


async def measure_forwarded(guest: InGuest) -> list[Row]:
    """The latency on each way."""
    machine = guest.machine
    await mount_forky(machine)
    await machine.run(["chmod", "-R", "a+rw", "/dev/dri", "/dev/udmabuf"], user="root")
    rows: list[Row] = []
    async with running_with_sway(machine, FORKY) as sway:
        for way, through in _WAYS.items():
            latency, trip = await _latency(sway, through)
            round_trip = Row(f"fence_trip_{way}", trip, "us")
            rows += [round_trip, against(Row(f"fence_forwarded_{way}", latency, "us"), round_trip)]
    return rows


async def _latency(sway: BothSides, through: Sequence[str]) -> tuple[float, float]:
    """From the fence's end, and of a round trip; us."""
    done = await sway.machine.run([*through, *_CLIENT], env=ENVIRONMENT, timeout=_SECONDS)
    if done.status != 0:
        raise BenchError(f"fences in sway: {done.errors.decode(errors='replace')[-300:]}")
    latency, trip = done.output.decode().split()[:2]
    return float(latency), float(trip)
