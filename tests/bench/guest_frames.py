"""Rows about frames from inside a VM: rates, and what launcher and daemon cost beside client and Weston."""

from typing import NamedTuple

from tests.bench import client_run
from tests.bench.client_run import BenchError
from tests.bench.frames import path_in
from tests.bench.guest_ways import InGuest, RelayInGuest, ThroughVm
from tests.bench.host_ways import Direct
from tests.bench.rows import Row, against
from tests.bench.traffic import FULL, SMALL, Effort, Samples, Scene, rate_rows, sample_frames


async def measure_frames(
    ways: tuple[InGuest, ThroughVm, RelayInGuest, Direct], scene: Scene, effort: Effort
) -> list[Row]:
    """Frames through us beside the same on the Weston inside the guest.

    The launcher's CPU is compared with the client's own, both in the guest, and so is how often each got a
    CPU, which is what a frame costs under TCG; the daemon's CPU with that of the Weston on the host.  Rows
    relay_cpu_SCENE_vm and relay_runs_SCENE_vm are what a process in the launcher's place costs at least.
    Rows vmm_waited_SCENE and relay_vmm_waited_SCENE say how long QEMU's threads waited meanwhile for a CPU of
    this machine: while an emulated CPU does, its time goes on for what runs on it.  Row frames_host_SCENE is
    the rate of the same client without a VM: the host's compositor shows nobody with its buffers more often.
    """
    samples = await sample_frames(ways, scene, effort, watch_parent=True)
    return [*rate_rows(ways, scene, samples), *_cost_rows(scene, samples)]


async def measure_copies(vm: ThroughVm, effort: Effort) -> list[Row]:
    """Bytes that the launcher and the host copied per byte that the client damaged, and what was Python's.

    The difference of a short and a longer run, as on this machine: rows handled_PATH say how often a frame
    needed Python in the launcher.
    """
    rows: list[Row] = []
    for scene in (FULL, SMALL):
        short = await _count_bytes(vm, scene, effort.frames // 10)
        long = await _count_bytes(vm, scene, effort.frames // 2)
        damaged = long.damaged - short.damaged
        suffix = f"{long.path}{'' if scene is FULL else f'_{scene.name}'}"
        for place, copied in (("guest", long.guest - short.guest), ("host", long.host - short.host)):
            ratio = copied / damaged
            rows.append(Row(f"copied_{place}_{suffix}", ratio, "B/B", "damaged bytes", ratio))
        handled = (long.handled - short.handled) / (long.frames - short.frames)
        rows.append(Row(f"handled_{suffix}", handled, "times/frame"))
    return rows


class _Copied(NamedTuple):
    """What one run copied, in bytes, the way that its buffers took, and how often Python was needed."""

    guest: int
    host: int
    damaged: int
    path: str
    frames: int
    handled: int


async def _count_bytes(vm: ThroughVm, scene: Scene, frames: int) -> _Copied:
    result = await client_run.run(vm, *scene.arguments(frames))
    stats = await vm.stats()
    counted = [stats[name] for name in ("bytes_copied", "bytes_copied_host", "handled")]
    numbers = [number for number in counted if isinstance(number, int)]
    if len(numbers) != len(counted):
        raise BenchError(f"the launcher counted {counted!r}")
    guest, host, handled = numbers
    damaged = result.bytes_damaged + result.bytes_damaged_warm
    return _Copied(guest, host, damaged, path_in(stats), result.frames, handled)


def _cost_rows(scene: Scene, samples: Samples) -> list[Row]:
    def row(name: str, role: str, unit: str = "ms/frame", way: str = "vm") -> Row:
        return Row(name, samples.median(way, role), unit)

    client = row(f"client_cpu_{scene.name}_vm", "client")
    compositor = row(f"compositor_cpu_{scene.name}_vm", "compositor")
    client_runs = row(f"client_runs_{scene.name}_vm", "client_runs", "times/frame")
    return [
        client,
        client_runs,
        compositor,
        against(row(f"launcher_cpu_{scene.name}", "parent"), client),
        against(row(f"launcher_runs_{scene.name}", "parent_runs", "times/frame"), client_runs),
        against(row(f"daemon_cpu_{scene.name}", "daemon"), compositor),
        against(row(f"relay_cpu_{scene.name}_vm", "parent", way="relay_vm"), client),
        against(row(f"relay_runs_{scene.name}_vm", "parent_runs", "times/frame", "relay_vm"), client_runs),
        row(f"vmm_waited_{scene.name}", "vmm_waited"),
        row(f"relay_vmm_waited_{scene.name}", "vmm_waited", way="relay_vm"),
    ]
