"""GET_CLOCK: its layout, and what neither side takes for one."""

import struct

import pytest

from crossdomain.abi import clock
from crossdomain.abi.clock import ClockId
from crossdomain.errors import GuestFault, HostFault


def test_the_question_is_sixteen_bytes() -> None:
    assert clock.encode_get_clock(ClockId.TAI) == struct.pack("<BBHIII", 0xF0, 0, 16, 0, 11, 0)


@pytest.mark.parametrize("clock_id", ClockId)
def test_each_clock_is_asked_for_and_told(clock_id: ClockId) -> None:
    assert clock.parse_get_clock(memoryview(clock.encode_get_clock(clock_id))) is clock_id
    assert clock.parse_clock(clock.encode_clock(clock_id, 1 << 62), clock_id) == 1 << 62


@pytest.mark.parametrize("size", [8, 12, 15, 17, 20])
def test_a_question_of_another_size_is_the_guests_fault(size: int) -> None:
    with pytest.raises(GuestFault, match=f"GET_CLOCK of {size} bytes"):
        clock.parse_get_clock(memoryview(clock.encode_get_clock(ClockId.MONOTONIC).ljust(20)[:size]))


@pytest.mark.parametrize("clock_id", [2, 3, 5, 6, 8, 9, 12, 0xFFFFFFFF])
def test_clocks_of_processes_and_devices_are_not_told(clock_id: int) -> None:
    with pytest.raises(GuestFault, match="is not told"):
        clock.parse_get_clock(memoryview(struct.pack("<BBHIII", 0xF0, 0, 16, 0, clock_id, 0)))


@pytest.mark.parametrize(
    "answer", [b"", bytes(15), bytes(64), clock.encode_clock(ClockId.REALTIME, 1)], ids=len
)
def test_what_is_no_answer_is_the_hosts_fault(answer: bytes) -> None:
    with pytest.raises(HostFault):
        clock.parse_clock(answer, ClockId.MONOTONIC)
