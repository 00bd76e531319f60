"""How fast a client and a VM may go, with clocks in the test's hands."""

from dataclasses import replace

import pytest

from crossdomain.context.pace import BURST_SECONDS, Pace, Rate, Speed
from crossdomain.context.quotas import VmQuotas


class Clocks:
    """What time it is, and how long this process has run: s."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.used = 50.0

    def pass_time(self, seconds: float, busy: float = 0.0) -> None:
        self.now += seconds
        self.used += busy


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_burst_is_free_and_the_rest_waits_for_its_turn(clocks: Clocks) -> None:
    rate = Rate(100, lambda: clocks.now)
    assert rate.spend(100 * BURST_SECONDS) == 0
    assert rate.spend(50) == pytest.approx(0.5)
    clocks.pass_time(0.5)
    assert rate.spend(100) == pytest.approx(1.0)


def test_silence_is_saved_up_for_one_burst_alone(clocks: Clocks) -> None:
    rate = Rate(100, lambda: clocks.now)
    rate.spend(100 * BURST_SECONDS + 1)
    clocks.pass_time(1e6)
    assert rate.spend(1) == 0
    assert rate.spend(100 * BURST_SECONDS) == 0
    assert rate.spend(1) == pytest.approx(0.01)


def test_another_rate_holds_at_once(clocks: Clocks) -> None:
    rate = Rate(1000, lambda: clocks.now)
    rate.set(10)
    assert rate.spend(10 * BURST_SECONDS) == 0
    assert rate.spend(10) == pytest.approx(1.0)


def test_a_vm_rests_once_for_what_its_clients_sent_together(clocks: Clocks) -> None:
    pace = Pace(replace(VmQuotas(), messages_per_second=100), lambda: clocks.now, lambda: clocks.used)
    pace.spend(int(100 * BURST_SECONDS))
    assert pace.rest() == (0.0, "vm.messages_per_second")
    pace.spend(100)
    seconds, quota = pace.rest()
    assert (round(seconds, 6), quota) == (1.0, "vm.messages_per_second")
    assert pace.rest() == (0.0, "vm.messages_per_second")


def test_a_vm_rests_where_it_has_had_its_share_of_the_processor(clocks: Clocks) -> None:
    pace = Pace(replace(VmQuotas(), cpu_percent=25), lambda: clocks.now, lambda: clocks.used)
    clocks.pass_time(10.0, busy=2.5)
    assert pace.rest()[0] == 0
    clocks.pass_time(1.0, busy=1.0)
    # It had half a second to spare and earned a quarter; it has to earn another.
    seconds, quota = pace.rest()
    assert (round(seconds, 6), quota) == (1.0, "vm.cpu_percent")
    clocks.pass_time(1.0)
    assert pace.rest()[0] == 0


def test_a_whole_processor_is_no_limit(clocks: Clocks) -> None:
    pace = Pace(VmQuotas(), lambda: clocks.now, lambda: clocks.used)
    clocks.pass_time(100.0, busy=100.0)
    assert pace.rest()[0] == 0


def test_speed_is_since_the_last_look_that_was_a_second_ago(clocks: Clocks) -> None:
    speed = Speed(lambda: clocks.now)
    clocks.now += 10
    assert speed.look(50) == 5.0
    clocks.now += 0.5
    assert speed.look(61) == 61 / 10.5
    clocks.now += 1.5
    assert speed.look(70) == 10.0
    clocks.now += 5
    assert speed.look(70) == 0.0


def test_speed_of_what_has_just_begun_is_told_as_of_a_second(clocks: Clocks) -> None:
    speed = Speed(lambda: clocks.now)
    clocks.now += 0.01
    assert speed.look(50) == 50.0
