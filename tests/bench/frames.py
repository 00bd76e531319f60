"""Rows about frames on this machine: rates, CPU and bytes copied."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.bench import client_run
from tests.bench.client_run import BenchError, Way
from tests.bench.host_ways import Local, gl_way
from tests.bench.rows import Row, against, median
from tests.bench.traffic import FULL, MOVING, SMALL, Effort, Samples, Scene, rate_rows, sample_frames

_LARGE_WINDOW = SMALL._replace(name="small_2160p", size="3840x2160")
_MANY: Final = 200
_SCALE_FRAMES: Final = 30
"""Of each client."""
_SCALE_RATE: Final = 10
"""Frames per second of each client."""
_LITTLE_WINDOW = SMALL._replace(name="small_480p", size="640x480")


async def measure_frames(
    ways: Sequence[Way], locals_: Sequence[Local], scene: Scene, effort: Effort
) -> list[Row]:
    """Rates of every way, and what launcher and daemon cost beside waypipe, the client and Weston.

    The rows frame_SCENE_cpu_PATH are named by the ways that the buffers took, as the launcher counts them;
    rows launcher_cpu_SCENE_relay and daemon_cpu_SCENE_relay are what processes in these places cost at least.
    """
    samples = await sample_frames(ways, scene, effort)
    rows = rate_rows(ways, scene, samples)
    waypipe = None
    if samples.has("waypipe", "proxy"):
        waypipe = Row(f"frame_{scene.name}_cpu_waypipe", samples.median("waypipe", "proxy"), "ms/frame")
        rows.append(waypipe)
    for local in locals_:
        rows += cost_rows(scene, samples, (local.name, path_of(local)), waypipe)
    return [*rows, *(_role_rows(scene, samples, "relay") if samples.has("relay", "daemon") else ())]


def cost_rows(scene: Scene, samples: Samples, way: tuple[str, str], waypipe: Row | None) -> list[Row]:
    """Returns the CPU of every role per frame over one local channel; `way` is its name and its buffers'."""
    name, path = way
    used = samples.median(name, "launcher") + samples.median(name, "daemon")
    both = Row(f"frame_{scene.name}_cpu_{path}", used, "ms/frame")
    return [*_role_rows(scene, samples, name), both if waypipe is None else against(both, waypipe)]


def _role_rows(scene: Scene, samples: Samples, name: str) -> list[Row]:
    def cost(role: str) -> Row:
        return Row(f"{role}_cpu_{scene.name}_{name}", samples.median(name, role), "ms/frame")

    launcher, daemon, client, compositor = map(cost, ("launcher", "daemon", "client", "compositor"))
    return [client, compositor, against(launcher, client), against(daemon, compositor)]


def path_of(local: Local) -> str:
    """As `path_in`, of the last run."""
    return path_in(local.stats())


def path_in(stats: Mapping[str, object]) -> str:
    """Returns the way that a launcher's buffers took, fit for a row's name.

    Raises:
        BenchError: they took none or several.
    """
    buffers = stats.get("buffers")
    if not isinstance(buffers, dict) or len(buffers) != 1:  # pyright: ignore[reportUnknownArgumentType]
        raise BenchError(f"the launcher counted the buffers {buffers!r}: not one path")
    return str(next(iter(buffers))).replace("-", "_")  # pyright: ignore[reportUnknownArgumentType]


async def measure_window_size(local: Local, effort: Effort) -> list[Row]:
    """The CPU of launcher and daemon for the same small damage in a large window and in a little one."""
    large, little = [await _both_cpu(local, scene, effort) for scene in (_LARGE_WINDOW, _LITTLE_WINDOW)]
    baseline = Row("frame_small_damage_480p", little, "ms/frame")
    return [baseline, against(Row("frame_small_damage", large, "ms/frame"), baseline)]


async def _both_cpu(local: Local, scene: Scene, effort: Effort) -> float:
    samples = await sample_frames([local], scene, effort)
    return samples.median(local.name, "launcher") + samples.median(local.name, "daemon")


async def measure_scale(local: Local, effort: Effort) -> list[Row]:
    """The CPU of launcher and daemon per frame, of one client at 10 frames a second and of 200."""
    one = Row("scale_1", await _cpu_among(local, 1, effort), "ms/frame")
    return [one, against(Row(f"scale_{_MANY}", await _cpu_among(local, _MANY, effort), "ms/frame"), one)]


async def _cpu_among(local: Local, clients: int, effort: Effort) -> float:
    samples: list[float] = []
    for _ in range(effort.rounds):
        result = await client_run.run(local, "many", str(clients), str(_SCALE_FRAMES), str(_SCALE_RATE))
        used = result.servers_cpu_ns["launcher"] + result.servers_cpu_ns["daemon"]
        samples.append(used / result.frames / 1e6)
    return median(samples)


async def measure_copies(local: Local, local_copy: Local, effort: Effort) -> list[Row]:
    """Bytes that the launcher copied per byte that the client damaged.

    The difference of a short and a longer run, so that each buffer's first, full copy is left out.
    """
    rows = [await _copied(local, scene, effort) for scene in (FULL, SMALL)]
    rows += [await _copied(local_copy, scene, effort) for scene in (FULL, SMALL, MOVING)]
    with gl_way(local_copy) as through_gl:
        rows.append(await _copied(through_gl, MOVING, effort, "_gl"))
    return rows


async def _copied(local: Local, scene: Scene, effort: Effort, kind: str = "") -> Row:
    short = await _count_bytes(local, scene, effort.frames // 10)
    long = await _count_bytes(local, scene, effort.frames // 2)
    ratio = (long[0] - short[0]) / (long[1] - short[1])
    suffix = "" if scene is FULL else f"_{scene.name}"
    return Row(f"copied_guest_{path_of(local)}{suffix}{kind}", ratio, "B/B", "damaged bytes", ratio)


async def _count_bytes(local: Local, scene: Scene, frames: int) -> tuple[int, int]:
    result = await client_run.run(local, *scene.arguments(frames))
    copied = local.stats()["bytes_copied"]
    if not isinstance(copied, int):
        raise BenchError(f"the launcher counted {copied!r} bytes")
    return copied, result.bytes_damaged + result.bytes_damaged_warm
