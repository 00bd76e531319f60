"""What is measured, in order: which rows each measurement makes, and how it takes them.

The names of the rows stay; a row may be added.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import (
    client_run,
    copying,
    footprint,
    forwarded_fences,
    frames,
    guest_fences,
    guest_frames,
    guest_input,
    guest_start,
    instructions,
    path_costs,
    paths,
    traffic,
    x11,
)
from tests.bench.client_run import BenchError, Way
from tests.bench.guest_ways import InGuest, RelayInGuest, ThroughVm, guest_ways
from tests.bench.host_ways import Bench, Direct, Local, Relay, Waypipe, running_daemon, running_waypipe
from tests.bench.rows import Row
from tests.bench.traffic import FULL, LARGE, SMALL, Effort
from tests.fakes.both_sides import BothSides
from tests.fakes.weston import running_weston


class HostWays(NamedTuple):
    """The ways on this machine."""

    direct: Direct
    local: Local
    local_copy: Local
    """The same with buffers that are copied, as a VM's are."""
    waypipe: Waypipe | None
    """None where it is not installed."""
    relay: Relay

    @property
    def proxies(self) -> list[Way]:
        """All that are not direct."""
        return [self.local, *([self.waypipe] if self.waypipe else [])]

    @property
    def all(self) -> list[Way]:
        """Direct first."""
        return [self.direct, *self.proxies]

    @property
    def locals(self) -> list[Local]:
        """Every way of buffers over the local channel."""
        return [self.local, self.local_copy]


class VmWays(NamedTuple):
    """The ways inside a VM."""

    guest: InGuest
    vm: ThroughVm
    relay: RelayInGuest
    host: Direct

    @property
    def both(self) -> tuple[InGuest, ThroughVm]:
        """Without us, and through us."""
        return self.guest, self.vm


@dataclass(frozen=True, slots=True)
class HostMeasurement:
    """Makes rows on this machine; `rows` are patterns of their names."""

    rows: tuple[str, ...]
    take: Callable[[HostWays, Effort], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class VmMeasurement:
    """Makes rows in the VM; `rows` are patterns of their names."""

    rows: tuple[str, ...]
    take: Callable[[VmWays, Effort], Awaitable[list[Row]]]


@dataclass(frozen=True, slots=True)
class BothSidesMeasurement:
    """Makes rows in a VM with both sides in it; `rows` are patterns of their names."""

    rows: tuple[str, ...]
    take: Callable[[BothSides, Effort], Awaitable[list[Row]]]


def _sync_rows(*ways: str) -> tuple[str, ...]:
    return tuple(f"sync_{way}_{statistic}" for statistic in traffic.STATISTICS for way in ways)


def _cpu_rows(scene: str, *paths: str) -> tuple[str, ...]:
    return tuple(f"frame_{scene}_cpu_{path}" for path in paths)


def _vm_frame_rows(scene: str) -> tuple[str, ...]:
    rates = (f"frames_{way}_{scene}" for way in ("guest", "vm", "relay_vm", "host"))
    costs = (f"*_{what}_{scene}{suffix}" for what in ("cpu", "runs") for suffix in ("", "_vm"))
    return (*rates, *costs, f"*vmm_waited_{scene}")


_VM_PATHS: Final = (
    *("waypipe_vm", "shm_pages", "shm_copy_vm"),
    *("dmabuf_pages", "dmabuf_blob", "dmabuf_copy"),
)
FULL_EFFORT: Final = Effort(rounds=5, syncs=3000, requests=100_000, frames=300, starts=15, idle_seconds=5.0)
SHORT_EFFORT: Final = Effort(rounds=2, syncs=1000, requests=50_000, frames=60, starts=5, idle_seconds=2.0)

HOST: Final[tuple[HostMeasurement, ...]] = (
    HostMeasurement(
        _sync_rows("direct", "local", "waypipe", "relay"),
        lambda ways, effort: traffic.measure_sync([*ways.all, ways.relay], effort),
    ),
    HostMeasurement(
        ("burst_direct", "burst_local", "burst_waypipe", "burst_relay"),
        lambda ways, effort: traffic.measure_burst([*ways.all, ways.relay], effort),
    ),
    HostMeasurement(
        (
            "frames_direct_1080p",
            "frames_local_1080p",
            "frames_waypipe_1080p",
            *_cpu_rows("1080p", "waypipe", "shm_shared", "shm_copy"),
            "*_1080p_local*",
            "frames_local_copy_1080p",
        ),
        lambda ways, effort: frames.measure_frames([*ways.all, ways.local_copy], ways.locals, FULL, effort),
    ),
    HostMeasurement(
        (
            "frames_direct_2160p",
            "frames_local_2160p",
            "frames_waypipe_2160p",
            *_cpu_rows("2160p", "waypipe", "shm_shared", "shm_copy"),
            "*_2160p_local*",
            "frames_local_copy_2160p",
        ),
        lambda ways, effort: frames.measure_frames(
            [*ways.all, ways.local_copy], ways.locals, LARGE, _large(effort)
        ),
    ),
    HostMeasurement(
        (
            "frames_direct_small",
            "frames_local_small",
            "frames_waypipe_small",
            "frame_small_cpu_*",
            "*_small_local*",
            "frames_local_copy_small",
            "*_small_relay",
        ),
        lambda ways, effort: frames.measure_frames(
            [*ways.all, ways.local_copy, ways.relay], ways.locals, SMALL, _paced(effort)
        ),
    ),
    HostMeasurement(
        ("frame_small_damage*",),
        lambda ways, effort: frames.measure_window_size(ways.local, _paced(effort)),
    ),
    HostMeasurement(("scale_*",), lambda ways, effort: frames.measure_scale(ways.local, _paced(effort))),
    HostMeasurement(
        (
            "copied_guest_shm_shared*",
            "copied_guest_shm_copy",
            "copied_guest_shm_copy_small",
            "copied_guest_shm_copy_moving*",
        ),
        lambda ways, effort: frames.measure_copies(ways.local, ways.local_copy, effort),
    ),
    HostMeasurement(
        ("instructions_per_message*",),
        lambda ways, _effort: instructions.measure_instructions(ways.local, ways.local_copy),
    ),
    HostMeasurement(("copy_*", "memcpy_*"), lambda _ways, _effort: copying.measure_copying()),
    HostMeasurement(
        ("start_python", "start_cold", "start_warm", "start_waypipe"),
        lambda ways, effort: footprint.measure_start(ways.local, ways.waypipe, effort),
    ),
    HostMeasurement(
        ("x11_start_*", "x11_first_frame_local"), lambda ways, effort: x11.measure_start(ways.local, effort)
    ),
    HostMeasurement(("x11perf_*",), lambda ways, effort: x11.measure_operations(ways.local, effort)),
    HostMeasurement(("rss_*",), lambda ways, _: footprint.measure_memory(ways.local, ways.waypipe)),
    HostMeasurement(("idle_wakeups*",), lambda ways, effort: footprint.measure_idle(ways.proxies, effort)),
)

VM: Final[tuple[VmMeasurement, ...]] = (
    VmMeasurement(
        _sync_rows("guest", "vm"), lambda ways, effort: traffic.measure_sync(ways.both, _emulated(effort))
    ),
    VmMeasurement(
        ("burst_guest", "burst_vm"), lambda ways, effort: traffic.measure_burst(ways.both, _emulated(effort))
    ),
    VmMeasurement(
        _vm_frame_rows("1080p"),
        lambda ways, effort: guest_frames.measure_frames(ways, FULL, _emulated(effort)),
    ),
    VmMeasurement(
        _vm_frame_rows("2160p"),
        lambda ways, effort: guest_frames.measure_frames(ways, LARGE, _large(effort)),
    ),
    VmMeasurement(
        _vm_frame_rows("small"),
        lambda ways, effort: guest_frames.measure_frames(ways, SMALL, _emulated(effort)),
    ),
    VmMeasurement(
        ("copied_guest_shm_pages*", "copied_host_shm_pages*", "handled_shm_pages*"),
        lambda ways, effort: guest_frames.measure_copies(ways.vm, _emulated(effort)),
    ),
    VmMeasurement(
        ("copied_*_dmabuf_pages", "copied_*_dmabuf_blob", "copied_*_dmabuf_copy", "copied_*_shm_copy_vm"),
        lambda ways, _effort: paths.measure_vm(ways.vm),
    ),
    VmMeasurement(
        _cpu_rows("1080p", *_VM_PATHS),
        lambda ways, effort: path_costs.measure_vm(ways.guest, ways.vm, FULL, _few(effort)),
    ),
    VmMeasurement(
        _cpu_rows("2160p", *_VM_PATHS),
        lambda ways, effort: path_costs.measure_vm(ways.guest, ways.vm, LARGE, _few(_large(effort))),
    ),
    VmMeasurement(
        ("fence_to_commit", "fence_round_trip"),
        lambda ways, effort: guest_fences.measure_fences(ways.vm, _emulated(effort)),
    ),
    VmMeasurement(
        ("fence_trip_*", "fence_forwarded_*"),
        lambda ways, _effort: forwarded_fences.measure_forwarded(ways.guest),
    ),
    VmMeasurement(
        ("input_*",),
        lambda ways, effort: guest_input.measure_input(ways.both, _emulated(effort)),
    ),
    VmMeasurement(
        ("first_frame_foot_*",),
        lambda ways, effort: guest_start.measure_first_frame(ways.vm, _emulated(effort)),
    ),
    VmMeasurement(("blob_cycle_vm",), lambda ways, _effort: guest_start.measure_blob_cycle(ways.vm)),
    VmMeasurement(
        ("start_python_vm", "start_cold_vm", "start_warm_vm"),
        lambda ways, effort: guest_start.measure_start(
            ways.vm, effort._replace(starts=min(effort.starts, 7))
        ),
    ),
)


BOTH_SIDES: Final[tuple[BothSidesMeasurement, ...]] = (
    BothSidesMeasurement(
        ("copied_*_shm_dmabuf", "copied_*_dmabuf_shared"),
        lambda both, _effort: paths.measure_both_sides(both),
    ),
    BothSidesMeasurement(
        _cpu_rows("1080p", "waypipe_both_sides", "shm_dmabuf", "dmabuf_shared"),
        lambda both, effort: path_costs.measure_both_sides(both, FULL, _few(effort)),
    ),
    BothSidesMeasurement(
        _cpu_rows("2160p", "waypipe_both_sides", "shm_dmabuf", "dmabuf_shared"),
        lambda both, effort: path_costs.measure_both_sides(both, LARGE, _few(_large(effort))),
    ),
)


def _large(effort: Effort) -> Effort:
    """Fewer frames where each is four times as large."""
    return effort._replace(rounds=min(effort.rounds, 2), frames=min(effort.frames, 40))


def _few(effort: Effort) -> Effort:
    """Few frames where each of many ways takes them, and an emulated processor draws them."""
    return effort._replace(rounds=min(effort.rounds, 2), frames=min(effort.frames, 60))


def _paced(effort: Effort) -> Effort:
    """Fewer rounds where the compositor's clock decides how long a round takes."""
    return effort._replace(rounds=min(effort.rounds, 3))


def _emulated(effort: Effort) -> Effort:
    """Less work where an emulated processor does it."""
    return effort._replace(
        rounds=min(effort.rounds, 3),
        syncs=min(effort.syncs, 1500),
        requests=min(effort.requests, 50_000),
        frames=min(effort.frames, 150),
    )


def wanted(rows: Sequence[str], only: Sequence[str]) -> bool:
    """Whether one of the patterns `rows` may name what one of `only` does; all are wanted without `only`."""
    return not only or any(
        fnmatchcase(name, pattern) or fnmatchcase(pattern, name) for name in only for pattern in rows
    )


@asynccontextmanager
async def host_ways(client: Path, say: Callable[[str], None]) -> AsyncGenerator[HostWays]:
    """Starts a Weston, our daemon and, if it is installed, waypipe."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        weston = stack.enter_context(running_weston(folder, width=1920, height=1080))
        bench = Bench(client, weston, folder)
        daemon = stack.enter_context(running_daemon(bench.environment, folder))
        local, local_copy = Local(bench, daemon), Local(bench, daemon, copies=True)
        try:
            waypipe = stack.enter_context(running_waypipe(bench))
        except BenchError as error:
            say(f"no rows of waypipe: {error}")
            waypipe = None
        relay = Relay(bench, client_run.build_relay(client.parent))
        direct = Direct("direct", client, bench.environment, weston.process.pid)
        yield HostWays(direct, local, local_copy, waypipe, relay)


@asynccontextmanager
async def vm_ways(client: Path) -> AsyncGenerator[VmWays]:
    """Boots a VM, and starts what it needs on this machine."""
    with tempfile.TemporaryDirectory(prefix="bench-vm-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o700)
        relay = client_run.build_relay(client.parent)
        async with guest_ways(client, relay, folder) as ways:
            yield VmWays(*ways)
