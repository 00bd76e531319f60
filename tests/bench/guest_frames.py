"""Rows about frames from inside a VM: rates, and what launcher and daemon cost beside client and Weston."""

from tests.bench.guest_ways import InGuest, ThroughVm
from tests.bench.rows import Row, against
from tests.bench.traffic import Effort, Samples, Scene, rate_rows, sample_frames


async def measure_frames(guest: InGuest, vm: ThroughVm, scene: Scene, effort: Effort) -> list[Row]:
    """Frames through us beside the same on the Weston inside the guest.

    The launcher's CPU is compared with the client's own, both in the guest; the daemon's with that of
    the Weston on the host.
    """
    ways = (guest, vm)
    samples = await sample_frames(ways, scene, effort, watch_parent=True)
    return [*rate_rows(ways, scene, samples), *_cost_rows(scene, samples)]


def _cost_rows(scene: Scene, samples: Samples) -> list[Row]:
    def row(name: str, role: str) -> Row:
        return Row(name, samples.median("vm", role), "ms/frame")

    client = row(f"client_cpu_{scene.name}_vm", "client")
    compositor = row(f"compositor_cpu_{scene.name}_vm", "compositor")
    return [
        client,
        compositor,
        against(row(f"launcher_cpu_{scene.name}", "parent"), client),
        against(row(f"daemon_cpu_{scene.name}", "daemon"), compositor),
    ]
