"""Percentiles out of classes: at most a quarter too large, never too small."""

import pytest

from crossdomain.context.latency import Latency


def test_nothing_took_no_time() -> None:
    assert Latency().percentile(50) == 0


@pytest.mark.parametrize("microseconds", [1, 2, 3, 7, 100, 999, 1000, 16_667, 10_000_000])
def test_a_class_is_a_quarter_wide(microseconds: int) -> None:
    latency = Latency()
    latency.add(microseconds / 1e6 + 1e-9)
    assert microseconds <= latency.percentile(50) <= max(microseconds + 1, microseconds * 1.25)


def test_percentiles_are_those_of_the_sorted_times() -> None:
    latency = Latency()
    for number in range(1, 101):
        latency.add(number / 1000)
    assert 50_000 <= latency.percentile(50) <= 62_500
    assert 95_000 <= latency.percentile(95) <= 118_750
    assert latency.percentile(50) < latency.percentile(95) <= latency.percentile(99)


def test_an_age_is_counted_too() -> None:
    latency = Latency()
    latency.add(1e9)
    assert latency.percentile(99) > 10**9
