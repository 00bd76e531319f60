"""The benchmark's arithmetic."""

import json
from pathlib import Path

import pytest

from tests.bench.rows import (
    TAIL_TOLERANCE,
    TOLERANCE,
    Row,
    against,
    encode_ratios,
    encode_rows,
    find_falls,
    format_number,
    format_row,
    load_ratios,
    median,
    percentile,
)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.1, 100), (100, 100)]
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_percentile_of_one_sample_is_that_sample() -> None:
    assert [percentile([7], percent) for percent in (0, 50, 99, 100)] == [7, 7, 7, 7]


def test_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert median([4, 1, 3, 2]) == 2.5


def test_median_of_an_odd_number_is_not_moved_by_an_outlier() -> None:
    assert median([1, 2, 1_000_000]) == 2


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)
    with pytest.raises(ValueError, match="no samples"):
        median([])


def test_ratio_is_value_over_baseline() -> None:
    row = against(Row("sync_local_p50", 30.0, "us"), Row("sync_direct_p50", 10.0, "us"))

    assert row == Row("sync_local_p50", 30.0, "us", "sync_direct_p50", 3.0)


def test_zero_baseline_gives_no_ratio() -> None:
    assert against(Row("a", 1.0, "us"), Row("b", 0.0, "us")).ratio is None


def test_slower_row_falls_by_the_factor_of_its_ratios() -> None:
    (fall,) = find_falls([Row("a", 1.0, "us", "b", 4.0)], {"a": 2.0})

    assert (fall.row.name, fall.committed, fall.factor) == ("a", 2.0, 2.0)


def test_row_where_more_is_better_falls_when_its_ratio_drops() -> None:
    (fall,) = find_falls([Row("a", 1.0, "fps", "b", 0.5)], {"a": 1.0})

    assert fall.factor == 2.0


@pytest.mark.parametrize(("ratio", "fell"), [(TOLERANCE, 0), (TOLERANCE * 1.01, 1)])
def test_row_falls_just_above_the_tolerance(ratio: float, fell: int) -> None:
    assert len(find_falls([Row("a", 1.0, "us", "b", ratio)], {"a": 1.0})) == fell


@pytest.mark.parametrize(("ratio", "fell"), [(TAIL_TOLERANCE, 0), (TAIL_TOLERANCE * 1.01, 1)])
def test_tail_of_the_latency_may_swing_further(ratio: float, fell: int) -> None:
    assert len(find_falls([Row("a_p99", 1.0, "us", "b", ratio)], {"a_p99": 1.0})) == fell


@pytest.mark.parametrize("unit", ["us", "fps", "requests/s", "GB/s", "KiB"])
def test_row_within_tolerance_has_not_fallen(unit: str) -> None:
    assert not find_falls([Row("a", 1.0, unit, "b", 1.0)], {"a": 1.0})


@pytest.mark.parametrize("unit", ["requests/s", "us"])
def test_better_row_has_not_fallen(unit: str) -> None:
    better = 10.0 if unit == "requests/s" else 0.1

    assert not find_falls([Row("a", 1.0, unit, "b", better)], {"a": 1.0})


def test_rows_without_a_ratio_or_a_committed_one_are_not_compared() -> None:
    assert not find_falls([Row("new", 1.0, "us", "b", 9.0), Row("a", 1.0, "us")], {"a": 1.0})


def test_row_that_fell_to_zero_fell_infinitely() -> None:
    (fall,) = find_falls([Row("a", 0.0, "fps", "b", 0.0)], {"a": 1.0})

    assert fall.factor == float("inf")


def test_json_is_a_list_of_rows_with_the_five_members_and_what_else_is_known() -> None:
    rows = json.loads(
        encode_rows([Row("a", 1.5, "us"), Row("b", 3.0, "us", "a", 2.0)], lambda row: {"n": row.name})
    )

    assert rows == [
        {"name": "a", "value": 1.5, "unit": "us", "baseline": None, "ratio": None, "n": "a"},
        {"name": "b", "value": 3.0, "unit": "us", "baseline": "a", "ratio": 2.0, "n": "b"},
    ]


def test_committed_ratios_are_read_back_to_three_digits(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"

    path.write_text(encode_ratios({"b": 1.23456, "a": 0.5}))

    assert load_ratios(path) == {"b": 1.23, "a": 0.5}


def test_no_committed_file_means_no_ratios(tmp_path: Path) -> None:
    assert load_ratios(tmp_path / "missing.json") == {}


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.123456, "0.123"), (12.345, "12.3"), (123.45, "123"), (1234567.8, "1,234,568"), (0, "0")],
)
def test_numbers_have_three_significant_digits(number: float, text: str) -> None:
    assert format_number(number) == text


def test_rows_line_up_and_name_their_baseline() -> None:
    lines = [format_row(row, 6) for row in (Row("a", 1.0, "us"), Row("longer", 2.0, "us", "a", 2.0))]

    assert lines == ["a               1 us", "longer          2 us               2x a"]
