"""What the rows are meant to reach: as ratios to what they are measured against, or as they stand.

A row that misses its target is told; that costs nothing, because some wait for work that is still to be done.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.bench.rows import Row, format_number

_MIB_IN_KIB: Final = 1024


class Target(NamedTuple):
    """The worst that is good enough."""

    limit: float
    is_ratio: bool = True
    """Of the row's ratio; otherwise of its value, in the row's unit."""


def _value(limit: float) -> Target:
    return Target(limit, is_ratio=False)


TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "sync_local_p50": Target(5),
        "sync_local_min": Target(4),
        "sync_local_p99": Target(3),
        "burst_local": Target(0.9),
        "sync_vm_p50": Target(1.5),
        "sync_vm_p99": Target(1.8),
        "burst_vm": Target(0.9),
        "frames_vm_1080p": Target(1.5),
        "frames_vm_small": Target(0.98),
        "launcher_cpu_1080p": Target(0.10),
        "launcher_cpu_small": Target(0.15),
        "daemon_cpu_small": Target(0.3),
        "instructions_per_message": _value(2500),
        "instructions_per_message_copy": _value(2500),
        "handled_shm_pages": _value(0.1),
        "handled_shm_pages_small": _value(0.1),
        "frame_1080p_cpu_shm_shared": Target(0.05),
        "frame_1080p_cpu_shm_copy": Target(0.15),
        "frame_small_damage": Target(1.1),
        "copy_whole_rows": Target(0.9),
        "copy_narrow": Target(0.7),
        "start_cold": Target(2.5),
        "start_warm": Target(1.3),
        "start_cold_vm": Target(2.5),
        "start_warm_vm": Target(1.3),
        "first_frame_foot_vm": Target(1.3),
        "first_frame_foot_vm_warm": Target(1.3),
        "rss_launcher": _value(25 * _MIB_IN_KIB),
        "rss_daemon": _value(40 * _MIB_IN_KIB),
        "rss_per_client": _value(300),
        "idle_wakeups": _value(0),
        "scale_200": Target(1.2),
        "blob_cycle_vm": _value(2.5),
    }
)
"""By row."""


def reaches(row: Row) -> bool | None:
    """Whether a row reaches its target; None where it has none, or no ratio."""
    target = TARGETS.get(row.name)
    found = None if target is None else row.ratio if target.is_ratio else row.value
    if target is None or found is None:
        return None
    return found >= target.limit if row.more_is_better else found <= target.limit


def explain_misses(rows: Iterable[Row]) -> list[str]:
    """Returns a line for each row that misses its target."""
    return [_explain(row, TARGETS[row.name]) for row in rows if reaches(row) is False]


def _explain(row: Row, target: Target) -> str:
    found, unit = (row.ratio or 0.0, "x") if target.is_ratio else (row.value, f" {row.unit}")
    bound = "at least" if row.more_is_better else "at most"
    meant = f"meant to be {bound} {format_number(target.limit)}"
    return f"misses: {row.name} is {format_number(found)}{unit}, {meant}"
