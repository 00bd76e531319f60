"""Rows about the bytes that are copied, on each way that buffers can take.

For each byte that the client damages: copied_guest_PATH in the guest (or container), copied_host_PATH by the
host.  The difference of a short and a longer run, so that each buffer's first, full copy is left out.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from crossdomain.vm.machine import Machine, MachineConfig
from tests.bench.client_run import BenchError
from tests.bench.frames import path_in
from tests.bench.guest_ways import CLIENT, ThroughVm, choose_image
from tests.bench.rows import Row
from tests.bench.traffic import FULL
from tests.fakes.both_sides import THROUGH_GUEST, THROUGH_LOCAL, BothSides, running_both_sides
from tests.fakes.guest_tests import share_of_tests

_SHORT, _LONG = 8, 24
"""Frames of the two runs: enough to settle, few for an emulated machine."""
_TRIES: Final = 2
_MEMORY_MIB: Final = 3072
"""A picture of 3840 x 2160 is 32 MiB, of which waypipe's halves keep copies, and the compositor, too."""
_DAMAGED: Final = (_LONG - _SHORT) * 1920 * 1080 * 4

DMABUF_CLIENT: Final = ("python3", "-m", "tests.fakes.dmabuf_frames")
"""A kind of dmabufs follows, and the arguments of the other client."""

Frames: TypeAlias = Callable[[int], Sequence[str]]
"""The command that shows so many frames of 1920 x 1080, damaged whole."""
Run: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, object]]]
"""Runs a command through a launcher; what that has counted."""


async def measure_vm(vm: ThroughVm) -> list[Row]:
    """The ways of a VM's dmabufs, and of what the host can't see."""

    async def run(command: Sequence[str]) -> Mapping[str, object]:
        return await vm.count(command)

    async def run_copying(command: Sequence[str]) -> Mapping[str, object]:
        return await vm.count(command, "--buffers=copy")

    return [
        *await _copied(run, _of_dmabufs("heap")),
        *await _copied(run, _of_dmabufs("blob")),
        *await _copied(run_copying, _of_dmabufs("heap")),
        *await _copied(run_copying, _of_shm, "_vm"),
    ]


async def measure_both_sides(both: BothSides) -> list[Row]:
    """The ways on which the compositor reads the clients' own memory as dmabufs."""

    async def run(command: Sequence[str], through: Sequence[str]) -> Mapping[str, object]:
        await both.run(*through, "--", *command)
        return await both.stats()

    return [
        *await _copied(lambda command: run(command, THROUGH_GUEST), _of_shm),
        *await _copied(lambda command: run(command, THROUGH_LOCAL), _of_dmabufs("udmabuf")),
    ]


@asynccontextmanager
async def both_sides(client: Path) -> AsyncGenerator[BothSides]:
    """Boots a VM with both sides in it, with a small screen.

    What the compositor draws is not measured, and of 3840 x 2160 px an emulated processor draws for a minute.
    """
    made, use_kvm = await choose_image()
    config = MachineConfig(made, memory=_MEMORY_MIB, kvm=use_kvm, shares=(share_of_tests(made),))
    async with Machine(config) as machine:
        await machine.push(CLIENT, client.read_bytes(), mode=0o755)
        async with running_both_sides(machine, width=640, height=360, shell="desktop") as both:
            yield both


async def _copied(run: Run, frames: Frames, suffix: str = "") -> list[Row]:
    short, long = [
        # How many frames go by until the compositor has agreed to read in place is chance.
        min([_counts(await run(frames(count))) for _ in range(_TRIES)])
        for count in (_SHORT, _LONG)
    ]
    copied = {"guest": long.guest - short.guest, "host": long.host - short.host}
    return [
        Row(f"copied_{place}_{long.path}{suffix}", size / _DAMAGED, "B/B", "damaged bytes", size / _DAMAGED)
        for place, size in copied.items()
    ]


class _Counts(NamedTuple):
    """Bytes that one run copied, and the way that its buffers took."""

    guest: int
    host: int
    path: str


def _counts(stats: Mapping[str, object]) -> _Counts:
    guest, host = stats.get("bytes_copied"), stats.get("bytes_copied_host")
    if not isinstance(guest, int) or not isinstance(host, int):
        raise BenchError(f"the launcher counted {guest!r} and {host!r} bytes")
    return _Counts(guest, host, path_in(stats))


def _of_shm(frames: int) -> Sequence[str]:
    return [CLIENT, *FULL.arguments(frames)]


def _of_dmabufs(kind: str) -> Frames:
    return lambda frames: [*DMABUF_CLIENT, kind, *FULL.arguments(frames)]
