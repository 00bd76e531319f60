"""When the host is asked for its time, and what becomes of times then; all clocks are the test's."""

from collections.abc import Generator
from time import CLOCK_BOOTTIME

import pytest

from crossdomain.abi.clock import ClockId
from crossdomain.errors import HostFault
from launcher.relay import host_clock
from launcher.relay.host_clock import HostClock, HostClocks
from tests.unit.launcher.fake_channel import FakeChannel

MS = 1_000_000
SECOND = 1_000_000_000


class Machines(FakeChannel):
    """A guest and a host, each with its clocks; asking takes a while, which is shared out unevenly."""

    def __init__(self) -> None:
        super().__init__()
        self.guest = 100 * SECOND
        self.boot = 150 * SECOND
        self.host = 5000 * SECOND

    def pass_time(self, nanoseconds: int) -> None:
        """Let all clocks run."""
        self.guest += nanoseconds
        self.boot += nanoseconds
        self.host += nanoseconds

    def read_ours(self, clock_id: int) -> int:
        """`clock_gettime_ns` of the guest."""
        return self.boot if clock_id == CLOCK_BOOTTIME else self.guest

    def read_clock(self, clock_id: ClockId) -> int:
        """See `Channel`."""
        self.clocks_read.append(clock_id)
        self.pass_time(MS // 5)
        told = self.host
        self.pass_time(4 * MS // 5)
        return told


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Generator[Machines]:
    made = Machines()
    monkeypatch.setattr(host_clock, "clock_gettime_ns", made.read_ours)
    yield made
    made.close()


def test_nobody_is_asked_before_a_time_passes(machines: Machines) -> None:
    HostClock(machines, ClockId.MONOTONIC)
    HostClocks(machines).clock(1)
    assert machines.clocks_read == []


def test_times_are_right_to_half_of_the_quickest_round_trip(machines: Machines) -> None:
    clock = HostClock(machines, ClockId.MONOTONIC)
    clock.offset()
    assert abs(clock.to_guest(machines.host) - machines.guest) <= MS // 2
    assert abs(clock.to_host(machines.guest) - machines.host) <= MS // 2
    assert clock.uncertainty <= MS // 2 + 5 * MS * 200 // 1_000_000


def test_the_host_is_asked_again_only_where_the_answer_is_old(machines: Machines) -> None:
    clock = HostClock(machines, ClockId.MONOTONIC)
    clock.offset()
    first = len(machines.clocks_read)
    for _ in range(300):
        machines.pass_time(SECOND // 60)
        clock.to_guest(machines.host)
        clock.to_host(machines.guest)
    assert len(machines.clocks_read) == first
    machines.pass_time(SECOND // 10)
    clock.to_guest(machines.host)
    assert len(machines.clocks_read) == first + 2


def test_a_guest_that_slept_asks_again(machines: Machines) -> None:
    clock = HostClock(machines, ClockId.MONOTONIC)
    clock.offset()
    machines.host += 3600 * SECOND
    machines.boot += 3600 * SECOND  # CLOCK_MONOTONIC stands still meanwhile
    host, guest = machines.host, machines.guest
    assert abs(clock.to_host(guest) - host) <= MS // 2


def test_a_guest_that_was_stopped_without_knowing_it_sees_it_in_the_first_frame(machines: Machines) -> None:
    clock = HostClock(machines, ClockId.MONOTONIC)
    clock.offset()
    machines.pass_time(2 * SECOND)
    machines.host += 3600 * SECOND
    host, guest = machines.host, machines.guest
    assert abs(clock.to_guest(host) - guest) <= MS // 2
    assert abs(clock.to_host(guest) - host) <= MS // 2


def test_a_host_with_strange_times_is_not_asked_for_each_of_them(machines: Machines) -> None:
    clock = HostClock(machines, ClockId.MONOTONIC)
    for _ in range(600):
        machines.pass_time(SECOND // 60)
        clock.to_guest(machines.host - 3600 * SECOND)
    assert len(machines.clocks_read) < 100


def test_no_time_is_negative(machines: Machines) -> None:
    clock = HostClock(machines, ClockId.MONOTONIC)
    assert clock.to_guest(0) == 0
    machines.host, machines.guest = machines.guest, machines.host
    assert HostClock(machines, ClockId.MONOTONIC).to_host(0) == 0


@pytest.mark.parametrize(
    ("number", "asked"),
    [(0, ClockId.REALTIME), (1, ClockId.MONOTONIC), (4, ClockId.MONOTONIC_RAW), (5, ClockId.REALTIME),
     (6, ClockId.MONOTONIC), (7, ClockId.BOOTTIME), (11, ClockId.TAI)],
)  # fmt: skip
def test_coarse_clocks_are_measured_with_the_exact_ones(
    machines: Machines, number: int, asked: ClockId
) -> None:
    clocks = HostClocks(machines)
    clocks.clock(number).offset()
    assert set(machines.clocks_read) == {asked}
    assert clocks.clock(number) is clocks.clock(asked)


@pytest.mark.parametrize("number", [2, 3, 8, 9, 10, 12, 1 << 31])
def test_a_clock_that_is_no_common_one_is_the_hosts_fault(machines: Machines, number: int) -> None:
    with pytest.raises(HostFault, match=f"clock {number} "):
        HostClocks(machines).clock(number)
