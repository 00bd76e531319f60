"""Rows about the CPU of a frame on each way that buffers can take, beside waypipe in the same machine.

frame_SCENE_cpu_PATH is what launcher and daemon use for a frame that is damaged whole; both halves of
`waypipe -c none` are frame_SCENE_cpu_waypipe_vm and _both_sides, for wl_shm, up to a compositor in that VM.

In the VM the daemon runs on this machine, and the launcher is emulated as the client and waypipe are.  On a
machine with both sides in it all are emulated; the guest's kernel is played there by other threads of the
launcher, which do not count: what it takes to ask them does.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.bench.guest_ways import CLIENT, GUEST_DISPLAY, InGuest, InsideWay, Server, ThroughVm
from tests.bench.paths import DMABUF_CLIENT
from tests.bench.rows import Row, against
from tests.bench.traffic import Effort, Scene, sample_frames
from tests.fakes.both_sides import ENVIRONMENT, THROUGH_GUEST, THROUGH_LOCAL, BothSides

_SOCKET: Final = "/tmp/bench-waypipe"
_WAYPIPE_FRAMES: Final = 3
"""One of 3840 x 2160 takes it seconds on an emulated processor, and each as long as the one before."""
_SERVES: Final = ("sh", "-c", f"until test -S {_SOCKET}; do sleep 0.1; done")


async def measure_vm(guest: InGuest, vm: ThroughVm, scene: Scene, effort: Effort) -> list[Row]:
    """The ways of a VM's buffers: pages that the host copies, blobs, and copies in the guest."""
    ways = [
        vm.watched("pages", [CLIENT]),
        vm.watched("copy", [CLIENT], "--buffers=copy", suffix="_vm"),
        vm.watched("dmabuf-pages", [*DMABUF_CLIENT, "heap"]),
        vm.watched("dmabuf-blob", [*DMABUF_CLIENT, "blob"]),
        vm.watched("dmabuf-copy", [*DMABUF_CLIENT, "heap"], "--buffers=copy"),
    ]
    server = Server(guest.machine, {"WAYLAND_DISPLAY": GUEST_DISPLAY})
    async with _waypipe(server) as waypipe:
        return await _measure(ways, waypipe, (scene, "vm"), effort)


async def measure_both_sides(both: BothSides, scene: Scene, effort: Effort) -> list[Row]:
    """The ways on which the compositor reads the client's own memory as dmabufs."""
    server = Server(both.machine, ENVIRONMENT)
    daemon = "crossdomain.cli host"
    ways = [
        InsideWay(server, "guest", THROUGH_GUEST[:-1], [CLIENT], ("=tests.fakes.guest_kernel", daemon)),
        InsideWay(
            server, "local", THROUGH_LOCAL[:-1], [*DMABUF_CLIENT, "udmabuf"], ("launcher.start", daemon)
        ),
    ]
    async with _waypipe(server) as waypipe:
        return await _measure(ways, waypipe, (scene, "both_sides"), effort)


@asynccontextmanager
async def _waypipe(server: Server) -> AsyncGenerator[InsideWay]:
    """Runs waypipe's half at the compositor until the block ends; its other half is the way's."""
    arguments = ["waypipe", "-c", "none", "-s", _SOCKET]
    near = await server.machine.spawn([*arguments, "client"], env=server.environment)
    await server.machine.run(_SERVES, timeout=60)
    yield InsideWay(server, "waypipe", [*arguments, "server"], [CLIENT], ("waypipe",), counts=False)
    near.kill()
    await near.wait()


async def _measure(
    ways: Sequence[InsideWay], waypipe: InsideWay, scene: tuple[Scene, str], effort: Effort
) -> list[Row]:
    shown, place = scene
    samples = await sample_frames([waypipe, *ways], shown, effort, at_most={waypipe.name: _WAYPIPE_FRAMES})
    begin = f"frame_{shown.name}_cpu"
    baseline = Row(f"{begin}_waypipe_{place}", samples.median(waypipe.name, "parent"), "ms/frame")
    rows = [baseline]
    for way in ways:
        on_host = samples.median(way.name, "daemon") if samples.has(way.name, "daemon") else 0.0
        cost = samples.median(way.name, "parent") + on_host
        rows.append(against(Row(f"{begin}_{await way.path()}", cost, "ms/frame"), baseline))
    return rows
