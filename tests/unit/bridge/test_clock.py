"""The offset between two clocks is as exact as its readings allow, and never pretends to be more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdomain.bridge.clock import DRIFT_PPM, ClockOffset, Reading
from crossdomain.errors import LocalError

MS = 1_000_000


def reading(at: int, offset: int, there: int, back: int) -> Reading:
    """A reading begun at our time `at`, with the delays of question and answer; all in ns."""
    return Reading(at, at + there + offset, at + there + back)


delays = st.integers(0, 20 * MS)
offsets = st.integers(-(10**18), 10**18)


@given(offset=offsets, delay_pairs=st.lists(st.tuples(delays, delays), min_size=1, max_size=8))
def test_the_offset_is_within_its_bounds_however_the_delays_are_shared_out(
    offset: int, delay_pairs: list[tuple[int, int]]
) -> None:
    clock = ClockOffset()
    at = 0
    for there, back in delay_pairs:
        clock.add(reading(at, offset, there, back))
        at += there + back
    assert abs(clock.offset - offset) <= clock.uncertainty
    # The quickest reading decides, but for the drift that is allowed since.
    quickest = min(there + back for there, back in delay_pairs)
    assert clock.uncertainty <= quickest // 2 + 1 + at * DRIFT_PPM // 1_000_000


def test_a_slow_reading_spoils_nothing() -> None:
    clock = ClockOffset()
    clock.add(reading(0, 5000, 100, 100))
    clock.add(reading(200, 5000, 0, 80 * MS))
    assert abs(clock.offset - 5000) <= 100 + 80 * MS * DRIFT_PPM // 1_000_000


@given(ppm=st.integers(-DRIFT_PPM, DRIFT_PPM), delay_pairs=st.lists(st.tuples(delays, delays), min_size=40))
def test_clocks_that_drift_apart_are_followed(ppm: int, delay_pairs: list[tuple[int, int]]) -> None:
    clock = ClockOffset()
    for number, (there, back) in enumerate(delay_pairs):
        at = number * 5000 * MS
        offset = 10**12 + at * ppm // 1_000_000
        clock.add(reading(at, offset, there, back))
        # The clocks part during the reading too.
        assert abs(clock.offset - offset) <= clock.uncertainty + 40 * MS * DRIFT_PPM // 1_000_000


@given(jump=st.integers(41 * MS, 10**15) | st.integers(-(10**15), -41 * MS))
def test_a_clock_that_was_set_is_believed_at_once(jump: int) -> None:
    clock = ClockOffset()
    clock.add(reading(0, 7, MS, MS))
    clock.add(reading(10 * MS, 7 + jump, MS, MS))
    assert abs(clock.offset - (7 + jump)) <= clock.uncertainty <= MS


def test_without_a_reading_there_is_no_offset() -> None:
    with pytest.raises(LocalError):
        _ = ClockOffset().offset
