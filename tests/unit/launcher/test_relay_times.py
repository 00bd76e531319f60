"""Times in messages: translated where they are times of a clock, and untouched where they are none."""

import inspect
import time
from collections.abc import Generator, Iterator
from typing import Final
from xml.etree import ElementTree

import pytest

from crossdomain.abi.clock import ClockId
from crossdomain.wire.codec import decode_arguments
from crossdomain.wire.policy import load
from launcher.relay.input_times import MICROSECONDS, MILLISECONDS
from launcher.relay.times import TIMED_GLOBALS
from protocols.generate import EXCLUDED_MODULES, OWN_PROTOCOLS, installed_interfaces
from tests.unit.launcher.fake_channel import TABLES, FakeChannel, RelayedClient, event, request

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000
AHEAD: Final = 98_765 * SECOND + 432_100_987
"""Nanoseconds of the host's clock ahead of the guest's."""
TOLERANCE: Final = 50 * MS
"""On a loaded machine a reading may take long; what is tested here is the arithmetic."""


def triple(nanoseconds: int) -> tuple[int, int, int]:
    seconds, fraction = divmod(nanoseconds, SECOND)
    return seconds >> 32, seconds & 0xFFFFFFFF, fraction


def nanoseconds(high: object, low: object, fraction: object) -> int:
    assert isinstance(high, int)
    assert isinstance(low, int)
    assert isinstance(fraction, int)
    return (high << 32 | low) * SECOND + fraction


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@pytest.fixture
def ahead() -> Generator[RelayedClient]:
    """A client of a host whose clocks are ahead."""
    channel = FakeChannel()
    channel.clock_ahead = AHEAD
    made = RelayedClient(channel)
    yield made
    made.close()


class Presenting:
    """A client with a presentation, a surface, and a commit timer."""

    def __init__(self, client: RelayedClient) -> None:
        self.client = client
        self.presentation = client.bind("wp_presentation", 2)
        compositor = client.bind("wl_compositor", 6)
        timing = client.bind("wp_commit_timing_manager_v1", 1)
        self.surface, self.timer = client.new_id(), client.new_id()
        client.say(
            request("wl_compositor", "create_surface", compositor, self.surface),
            request("wp_commit_timing_manager_v1", "get_timer", timing, self.timer, self.surface),
        )
        client.hear()

    def told(self, message: bytes) -> bytes:
        """What the client gets for an event of the host's."""
        self.client.channel.deliver(message)
        return self.client.hear()

    def presented(self, host_time: int) -> bytes:
        """What the client gets for a frame shown at that time."""
        feedback = self.client.new_id()
        self.client.say(request("wp_presentation", "feedback", self.presentation, self.surface, feedback))
        return self.told(
            event("wp_presentation_feedback", "presented", feedback, *triple(host_time), 16_666_666, 7, 9, 3)
        )

    def target(self, *time_: int) -> tuple[object, ...]:
        """The time that the host gets for a target of the client's."""
        self.client.channel.sends.clear()
        self.client.say(request("wp_commit_timer_v1", "set_timestamp", self.timer, *time_))
        return decode_arguments(TABLES.interface("wp_commit_timer_v1").requests[0], self.client.channel.sent)


def test_a_frames_time_is_heard_in_the_guests_clock_and_the_rest_as_it_was(ahead: RelayedClient) -> None:
    presenting = Presenting(ahead)
    clock_id = event("wp_presentation", "clock_id", presenting.presentation, ClockId.MONOTONIC)
    assert presenting.told(clock_id) == clock_id
    shown = now()
    heard = presenting.presented(shown + AHEAD)
    *time_, refresh, seq_hi, seq_lo, flags = decode_arguments(
        TABLES.interface("wp_presentation_feedback").events[1], heard
    )
    assert abs(nanoseconds(*time_) - shown) < TOLERANCE
    assert (refresh, seq_hi, seq_lo, flags) == (16_666_666, 7, 9, 3)


def test_targets_and_frames_are_the_inverse_of_each_other(ahead: RelayedClient) -> None:
    presenting = Presenting(ahead)
    presenting.told(event("wp_presentation", "clock_id", presenting.presentation, ClockId.MONOTONIC))
    target = now() + 20 * MS
    theirs = nanoseconds(*presenting.target(*triple(target)))
    assert abs(theirs - AHEAD - target) < TOLERANCE
    back = decode_arguments(
        TABLES.interface("wp_presentation_feedback").events[1], presenting.presented(theirs)
    )
    assert nanoseconds(*back[:3]) == target


@pytest.mark.parametrize("clock_id", [ClockId.REALTIME, ClockId.MONOTONIC_RAW])
def test_the_clock_is_the_compositors_choice(ahead: RelayedClient, clock_id: ClockId) -> None:
    presenting = Presenting(ahead)
    presenting.told(event("wp_presentation", "clock_id", presenting.presentation, clock_id))
    assert set(ahead.channel.clocks_read) == {clock_id}
    shown = time.clock_gettime_ns(clock_id)
    heard = decode_arguments(
        TABLES.interface("wp_presentation_feedback").events[1], presenting.presented(shown + AHEAD)
    )
    assert abs(nanoseconds(*heard[:3]) - shown) < TOLERANCE


def test_an_unknown_clock_costs_the_client_that_asked(ahead: RelayedClient) -> None:
    presenting = Presenting(ahead)
    heard = presenting.told(event("wp_presentation", "clock_id", presenting.presentation, 99))
    assert b"clock 99 can't be translated" in heard
    assert ahead.closed


@pytest.mark.parametrize("time_", [(0, 5, SECOND), (0, 5, 0xFFFFFFFF)])
def test_no_time_at_all_is_the_compositors_to_judge(
    ahead: RelayedClient, time_: tuple[int, int, int]
) -> None:
    presenting = Presenting(ahead)
    assert presenting.target(*time_) == time_
    feedback = ahead.new_id()
    ahead.say(request("wp_presentation", "feedback", presenting.presentation, presenting.surface, feedback))
    odd = event("wp_presentation_feedback", "presented", feedback, *time_, 0, 0, 0, 0)
    assert presenting.told(odd) == odd


def test_the_farthest_target_stays_the_farthest(ahead: RelayedClient) -> None:
    farthest = (0xFFFFFFFF, 0xFFFFFFFF, 999_999_999)
    assert Presenting(ahead).target(*farthest)[:2] == farthest[:2]


def test_frame_callbacks_pass_as_they_come(ahead: RelayedClient) -> None:
    presenting = Presenting(ahead)
    callback = ahead.new_id()
    ahead.say(request("wl_surface", "frame", presenting.surface, callback))
    done = event("wl_callback", "done", callback, 123_456)
    assert presenting.told(done) == done


def test_a_host_that_does_not_tell_its_time_offers_no_times() -> None:
    client = RelayedClient(FakeChannel(has_clock=False))
    try:
        registry = client.new_id()
        client.say(request("wl_display", "get_registry", 1, registry))
        for name, interface in enumerate((*TIMED_GLOBALS, "wp_fifo_manager_v1")):
            client.channel.deliver(event("wl_registry", "global", registry, name, interface, 1))
        assert client.hear() == event("wl_registry", "global", registry, 3, "wp_fifo_manager_v1", 1)
        client.say(request("wl_registry", "bind", registry, 0, TIMED_GLOBALS[0], 1, client.new_id()))
        assert b"invalid global" in client.hear()
    finally:
        client.close()


class Pointing:
    """A client with a pointer, a relative one too, and perhaps its timestamps."""

    def __init__(self, client: RelayedClient) -> None:
        self.client = client
        seat, relative_manager = client.bind("wl_seat", 8), client.bind("zwp_relative_pointer_manager_v1", 1)
        self.manager = client.bind("zwp_input_timestamps_manager_v1", 1)
        self.pointer, self.relative, self.timestamps = client.new_id(), client.new_id(), client.new_id()
        client.say(
            request("wl_seat", "get_pointer", seat, self.pointer),
            request(
                "zwp_relative_pointer_manager_v1",
                "get_relative_pointer",
                relative_manager,
                self.relative,
                self.pointer,
            ),
        )
        client.hear()

    def subscribe(self) -> None:
        """Ask for nanoseconds."""
        name = "get_pointer_timestamps"
        self.client.say(
            request("zwp_input_timestamps_manager_v1", name, self.manager, self.timestamps, self.pointer)
        )

    def told(self, *messages: bytes) -> bytes:
        """What the client gets for events of the host's."""
        self.client.channel.deliver(b"".join(messages))
        return self.client.hear()

    def motion(self, milliseconds: int) -> bytes:
        return event("wl_pointer", "motion", self.pointer, milliseconds & 0xFFFFFFFF, 256, 512)

    def relative_motion(self, microseconds: int) -> bytes:
        high, low = microseconds >> 32, microseconds & 0xFFFFFFFF
        name = "relative_motion"
        return event("zwp_relative_pointer_v1", name, self.relative, high, low, 1, 2, 3, 4)

    def timestamp(self, nanoseconds_: int) -> bytes:
        return event("zwp_input_timestamps_v1", "timestamp", self.timestamps, *triple(nanoseconds_))


def test_input_times_pass_as_they_come_for_a_client_that_asks_for_no_nanoseconds(
    ahead: RelayedClient,
) -> None:
    pointing = Pointing(ahead)
    events = pointing.motion(5) + pointing.relative_motion(1 << 40)
    assert pointing.told(events) == events
    assert ahead.channel.clocks_read == []


def test_nanoseconds_and_milliseconds_of_one_event_are_the_same_time(ahead: RelayedClient) -> None:
    pointing = Pointing(ahead)
    pointing.subscribe()
    for fraction in (0, 1, MS - 1, 432_100_987 % MS, 432_100_987 % MS - 1, MS // 2):
        moved = now() // MS * MS + fraction
        theirs = moved + AHEAD
        heard = pointing.told(pointing.timestamp(theirs), pointing.motion(theirs // MS))
        stamp = decode_arguments(TABLES.interface("zwp_input_timestamps_v1").events[0], heard[:20])
        ours = nanoseconds(*stamp)
        assert abs(ours - moved) < TOLERANCE
        assert heard[20:] == pointing.motion(ours // MS)


def test_devices_without_a_subscription_keep_the_same_clock(ahead: RelayedClient) -> None:
    pointing = Pointing(ahead)
    pointing.subscribe()
    moved = now()
    theirs = moved + AHEAD
    heard = pointing.told(pointing.relative_motion(theirs // 1000), pointing.motion(theirs // MS))
    relative = decode_arguments(TABLES.interface("zwp_relative_pointer_v1").events[0], heard[:32])
    high, low, *rest = relative
    assert isinstance(high, int)
    assert isinstance(low, int)
    assert abs((high << 32 | low) * 1000 - moved) < TOLERANCE
    assert rest == [1, 2, 3, 4]
    milliseconds = decode_arguments(TABLES.interface("wl_pointer").events[2], heard[32:])[0]
    assert isinstance(milliseconds, int)
    assert abs(milliseconds - (moved // MS & 0xFFFFFFFF)) < TOLERANCE // MS


def test_milliseconds_that_wrapped_around_are_no_surprise(ahead: RelayedClient) -> None:
    pointing = Pointing(ahead)
    pointing.subscribe()
    heard = pointing.told(pointing.motion(3))
    milliseconds = decode_arguments(TABLES.interface("wl_pointer").events[2], heard)[0]
    assert isinstance(milliseconds, int)
    assert abs(milliseconds - ((3 - AHEAD // MS) & 0xFFFFFFFF)) < TOLERANCE // MS


# Nothing that is a time is forgotten: the sources keep the arguments' names, which the tables do not.


def named_arguments(direction: str) -> Iterator[tuple[str, str, list[str]]]:
    """Interface, message and names of its arguments, of all requests or events."""
    for path in OWN_PROTOCOLS:
        for own in ElementTree.parse(path).iter("interface"):
            for child in own.iter(direction.removesuffix("s")):
                yield own.attrib["name"], child.attrib["name"], [a.attrib["name"] for a in child.iter("arg")]
    for module, interface in installed_interfaces():
        messages = interface.requests if direction == "requests" else interface.events
        for message in messages if module not in EXCLUDED_MODULES else ():
            yield interface.name, message.name, list(inspect.signature(message.py_func).parameters)[1:]


def test_every_time_of_a_clock_is_translated(client: RelayedClient) -> None:
    with_times = {
        (interface, message): names[:3] == ["tv_sec_hi", "tv_sec_lo", "tv_nsec"]
        for direction in ("requests", "events")
        for interface, message, names in named_arguments(direction)
        if any(name.startswith("tv_") for name in names)
    }
    assert all(with_times.values()), "their times are not where they are looked for"
    parts = client.connection.parts
    translated = {(name, message) for name, _direction, message in parts.interest}
    assert set(with_times) - translated == set()
    assert len(with_times) >= 5


def test_every_time_of_input_is_known() -> None:
    found = {
        (interface, message): names.index("time")
        for interface, message, names in named_arguments("events")
        if "time" in names
    }
    assert found == MILLISECONDS
    relative = [(i, m) for i, m, names in named_arguments("events") if names[:1] == ["utime_hi"]]
    assert relative == [MICROSECONDS]


def test_what_is_hidden_without_a_clock_is_in_the_policy() -> None:
    assert all(load().rules[name].version for name in TIMED_GLOBALS)
    assert not any(name in load().without(TIMED_GLOBALS).rules for name in TIMED_GLOBALS)
