"""What instrumented Python calls counts branches, tells comparisons, and changes neither."""

import ctypes
import operator
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import tracer
from tests.fuzz.tracer import Tracer

COUNT = 4
NUMBERS = (0, 7, -1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 70, 7.0, "7", b"7", None)
OPERATORS = (operator.eq, operator.ne)
"""2 and 3 for C."""


class Counting:
    """A tracer with counters of the test's own."""

    def __init__(self, built: Tracer) -> None:
        self.counters = (ctypes.c_uint8 * COUNT)()
        self.told: list[tuple[int, int]] = []
        self._tell = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)(self._note)
        self.tracer = built
        address = ctypes.cast(self._tell, ctypes.c_void_p).value
        assert address is not None
        built.begin(ctypes.addressof(self.counters), COUNT, address, 0)

    def _note(self, left: int, right: int) -> None:
        self.told.append((left, right))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Tracer:
    return tracer.load(tracer.build(tmp_path_factory.mktemp("tracer")))


@pytest.fixture
def counting(built: Tracer) -> Iterator[Counting]:
    yield Counting(built)
    built.begin(0, 0, 0, 0)


def test_a_branch_counts_each_time(counting: Counting) -> None:
    for number in (1, 3, 1):
        assert ~counting.tracer.Counter(number)
    assert list(counting.counters) == [0, 2, 0, 1]


def test_a_count_stops_at_its_most(counting: Counting) -> None:
    counter = counting.tracer.Counter(0)
    for _ in range(300):
        assert ~counter is counter
    assert counting.counters[0] == 255


def test_a_branch_without_a_counter_is_nothing(counting: Counting) -> None:
    assert ~counting.tracer.Counter(COUNT)
    assert list(counting.counters) == [0] * COUNT


def test_a_comparison_comes_to_the_same(counting: Counting) -> None:
    pairs = [(left, right) for left in NUMBERS for right in NUMBERS]
    for code, compare in enumerate(OPERATORS, 2):
        traced = [counting.tracer.compare(left, right, code, 0, False) for left, right in pairs]
        assert traced == [compare(left, right) for left, right in pairs]


def test_an_order_comes_to_the_same(counting: Counting) -> None:
    orders = {0: operator.lt, 1: operator.le, 4: operator.gt, 5: operator.ge}
    traced = [counting.tracer.compare(3, 5, code, 0, True) for code in orders]
    assert traced == [compare(3, 5) for compare in orders.values()]


def test_numbers_of_32_bits_that_differ_are_told(counting: Counting) -> None:
    for left, right in ((3, 5), (5, 5), (-1, 5), (1 << 32, 5), ((1 << 32) - 1, 0), ("3", 5)):
        counting.tracer.compare(left, right, 2, 0, False)
    assert counting.told == [(3, 5), ((1 << 32) - 1, 0)]


def test_it_is_built_once(tmp_path: Path) -> None:
    built = tracer.build(tmp_path)
    made = built.stat().st_mtime_ns
    assert tracer.build(tmp_path) == built
    assert built.stat().st_mtime_ns == made
