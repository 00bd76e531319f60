"""Whether a row reaches its target, and what is said where it does not."""

import pytest

from tests.bench.__main__ import target_members
from tests.bench.rows import Row
from tests.bench.targets import explain_misses, reaches


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("start_cold", 40.0, "ms", "start_python", 2.5), True),
        (Row("start_cold", 40.0, "ms", "start_python", 2.51), False),
        (Row("copy_narrow", 20.0, "GB/s", "memcpy_narrow", 0.7), True),
        (Row("copy_narrow", 20.0, "GB/s", "memcpy_narrow", 0.69), False),
        (Row("blob_cycle_vm", 2.5, "ms"), True),
        (Row("blob_cycle_vm", 2.6, "ms"), False),
        (Row("start_cold", 40.0, "ms"), None),
        (Row("start_python", 16.0, "ms"), None),
    ],
)
def test_a_target_is_the_worst_that_is_good_enough(row: Row, expected: bool | None) -> None:
    assert reaches(row) is expected


def test_the_json_says_what_was_meant_and_whether_it_came_about() -> None:
    assert target_members(Row("rss_per_client", 301.0, "KiB")) == {"target": 300, "reaches_target": False}
    assert target_members(Row("rss_python", 301.0, "KiB")) == {"target": None, "reaches_target": None}


def test_only_what_misses_is_told() -> None:
    rows = [
        Row("start_cold", 50.0, "ms", "start_python", 3.0),
        Row("start_warm", 16.0, "ms", "start_python", 1.0),
        Row("burst_local", 1.0, "requests/s", "burst_direct", 0.5),
        Row("idle_wakeups", 2.0, "1/s"),
    ]
    assert explain_misses(rows) == [
        "misses: start_cold is 3x, meant to be at most 2.5",
        "misses: burst_local is 0.5x, meant to be at least 0.9",
        "misses: idle_wakeups is 2 1/s, meant to be at most 0",
    ]
