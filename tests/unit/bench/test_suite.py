"""Which measurement makes which rows, and how the CPU of a frame becomes rows."""

import pytest

from tests.bench import suite
from tests.bench.__main__ import format_fall
from tests.bench.frames import cost_rows
from tests.bench.rows import Fall, Row
from tests.bench.suite import wanted
from tests.bench.targets import TARGETS
from tests.bench.traffic import FULL, Samples, compare_with_first


@pytest.mark.parametrize("only", ["sync_local_p50", "sync_*", "*_p50", "sync_waypipe_min"])
def test_measurement_is_chosen_by_a_row_or_a_pattern(only: str) -> None:
    assert wanted(suite.HOST[0].rows, [only])


def test_measurement_of_other_rows_is_not_chosen() -> None:
    assert not wanted(("sync_direct_*", "sync_local_*"), ["sync_vm_p50", "burst_local"])


def test_everything_is_chosen_without_a_pattern() -> None:
    assert all(wanted(measurement.rows, []) for measurement in suite.HOST)
    assert all(wanted(measurement.rows, []) for measurement in suite.VM)
    assert all(wanted(measurement.rows, []) for measurement in suite.BOTH_SIDES)


@pytest.mark.parametrize(
    ("row", "host", "vm", "both_sides"),
    [
        ("sync_local_p50", 1, 0, 0),
        ("sync_vm_p99", 0, 1, 0),
        ("burst_vm", 0, 1, 0),
        ("frames_vm_small", 0, 1, 0),
        ("launcher_cpu_1080p", 0, 1, 0),
        ("launcher_runs_small", 0, 1, 0),
        ("daemon_cpu_small", 0, 1, 0),
        ("launcher_cpu_small_local", 1, 0, 0),
        ("frame_1080p_cpu_shm_copy", 1, 0, 0),
        ("frame_small_damage", 1, 0, 0),
        ("copied_guest_shm_copy", 1, 0, 0),
        ("copied_host_dmabuf_pages", 0, 1, 0),
        ("copied_guest_shm_copy_vm", 0, 1, 0),
        ("frame_2160p_cpu_shm_copy", 1, 0, 0),
        ("daemon_cpu_2160p", 0, 1, 0),
        ("copy_narrow", 1, 0, 0),
        ("start_cold", 1, 0, 0),
        ("scale_200", 1, 0, 0),
        ("start_cold_vm", 0, 1, 0),
        ("first_frame_foot_vm", 0, 1, 0),
        ("blob_cycle_vm", 0, 1, 0),
        ("fence_to_commit", 0, 1, 0),
        ("start_warm", 1, 0, 0),
        ("start_warm_vm", 0, 1, 0),
        ("rss_per_client", 1, 0, 0),
        ("idle_wakeups", 1, 0, 0),
        ("frame_1080p_cpu_waypipe", 1, 0, 0),
        ("frame_1080p_cpu_shm_shared", 1, 0, 0),
        ("frame_1080p_cpu_waypipe_vm", 0, 1, 0),
        ("frame_2160p_cpu_shm_pages", 0, 1, 0),
        ("frame_1080p_cpu_shm_copy_vm", 0, 1, 0),
        ("frame_2160p_cpu_dmabuf_blob", 0, 1, 0),
        ("frame_1080p_cpu_waypipe_both_sides", 0, 0, 1),
        ("frame_2160p_cpu_shm_dmabuf", 0, 0, 1),
        ("frame_1080p_cpu_dmabuf_shared", 0, 0, 1),
        ("copied_host_shm_dmabuf", 0, 0, 1),
    ],
)
def test_each_published_row_has_one_measurement(row: str, host: int, vm: int, both_sides: int) -> None:
    counts = [
        sum(wanted(measurement.rows, [row]) for measurement in suite.HOST),
        sum(wanted(measurement.rows, [row]) for measurement in suite.VM),
        sum(wanted(measurement.rows, [row]) for measurement in suite.BOTH_SIDES),
    ]

    assert counts == [host, vm, both_sides]


@pytest.mark.parametrize("row", TARGETS)
def test_each_row_with_a_target_has_one_measurement(row: str) -> None:
    host = [measurement.rows for measurement in suite.HOST]
    vm = [measurement.rows for measurement in suite.VM]
    both = [measurement.rows for measurement in suite.BOTH_SIDES]
    assert sum(wanted(rows, [row]) for rows in host + vm + both) == 1


def test_rows_are_compared_with_the_first() -> None:
    rows = compare_with_first([Row("direct", 2.0, "us"), Row("local", 6.0, "us"), Row("waypipe", 8.0, "us")])

    assert [(row.baseline, row.ratio) for row in rows] == [(None, None), ("direct", 3.0), ("direct", 4.0)]


def test_cpu_of_a_frame_is_launcher_and_daemon_against_waypipe() -> None:
    samples = Samples()
    for role, cpu_ms in (("launcher", 1.0), ("daemon", 0.5), ("client", 2.0), ("compositor", 1.0)):
        samples.add("local", role, cpu_ms)
    waypipe = Row("frame_1080p_cpu_waypipe", 15.0, "ms/frame")

    rows = {row.name: row for row in cost_rows(FULL, samples, ("local", "shm_copy"), waypipe)}

    assert rows["frame_1080p_cpu_shm_copy"] == Row(
        "frame_1080p_cpu_shm_copy", 1.5, "ms/frame", "frame_1080p_cpu_waypipe", 0.1
    )
    assert rows["launcher_cpu_1080p_local"].ratio == 0.5
    assert rows["daemon_cpu_1080p_local"].ratio == 0.5


def test_cpu_of_a_frame_without_waypipe_has_no_ratio() -> None:
    samples = Samples()
    for role in ("launcher", "daemon", "client", "compositor"):
        samples.add("local", role, 1.0)

    rows = {row.name: row for row in cost_rows(FULL, samples, ("local", "shm_copy"), None)}

    assert rows["frame_1080p_cpu_shm_copy"].ratio is None


def test_median_of_rounds_is_per_way_and_metric() -> None:
    samples = Samples()
    for value in (3.0, 1.0, 100.0):
        samples.add("local", "fps", value)
    samples.add("direct", "fps", 7.0)

    assert (samples.median("local", "fps"), samples.median("direct", "fps")) == (3.0, 7.0)
    assert not samples.has("waypipe", "fps")


def test_fall_names_the_row_and_both_ratios() -> None:
    line = format_fall(Fall(Row("sync_local_p50", 40.0, "us", "sync_direct_p50", 4.0), 2.0, 2.0))

    assert line == "fell: sync_local_p50 is 4x sync_direct_p50, was 2x"
