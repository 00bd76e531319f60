"""Timelines of a guest's at the compositor: what it is told, what the guest hears, and what it may not."""

import os
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType, encode_write
from crossdomain.abi.points import POINTS, Point, encode_points, parse_points
from crossdomain.context import timelines
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import MAX_PENDING_POINTS, MAX_TIMELINES
from tests.fakes.host_timelines import HostDevice, HostTimeline
from tests.unit.context.test_requests import announce
from tests.unit.context.world import World, request, until

MANAGER: Final = "wp_linux_drm_syncobj_manager_v1"
SURFACE: Final = "wp_linux_drm_syncobj_surface_v1"
OFFERED: Final = ((1, "wl_compositor", 4), (2, MANAGER, 1), (3, "wl_shm", 1))
NEW: Final = Identifier(0, IdentifierType.TIMELINE, 0)
MANAGER_ID, SURFACE_ID, SYNC_ID, TIMELINE = 4, 5, 6, 7
HIGH: Final = 1 << 32


class Guest:
    """A client that knows of points, with a surface that it synchronizes and a timeline."""

    def __init__(self, world: World, device: HostDevice) -> None:
        self.world = world
        self.device = device

    @property
    def timeline(self) -> HostTimeline:
        """The first."""
        return self.device.made[0]

    async def say(self, *requests: bytes) -> None:
        """The compositor gets them as they are."""
        self.world.send(b"".join(requests))
        assert await self.world.host.receive(sum(map(len, requests))) == b"".join(requests)

    async def import_timeline(self, timeline_id: int = TIMELINE) -> None:
        """One more."""
        data = request(MANAGER, "import_timeline", MANAGER_ID, timeline_id, None)
        self.world.send(data, NEW)
        assert await self.world.host.receive(len(data)) == data

    async def set_points(self, acquire: int, release: int) -> None:
        """Of the next commit, on the one timeline."""
        await self.say(point("set_acquire_point", acquire), point("set_release_point", release))

    def tell(self, *points: Point) -> None:
        """These are over in the guest."""
        self.world.context.submit(encode_write(POINTS, encode_points(points)))

    async def hear(self) -> list[Point]:
        """The next word of points."""
        read = await self.world.read()
        assert read.identifier == POINTS
        return list(parse_points(read.data))


def point(name: str, value: int, *, timeline: int = TIMELINE) -> bytes:
    """set_acquire_point or set_release_point."""
    return request(SURFACE, name, SYNC_ID, timeline, *divmod(value, HIGH))


@pytest.fixture
def device() -> HostDevice:
    return HostDevice()


@pytest.fixture
async def knowing(device: HostDevice) -> AsyncGenerator[World]:
    """A client on a host with timelines."""
    made = World(timelines=device)
    made.init()
    yield made
    made.close()
    assert all(timeline.closed for timeline in device.made)


@pytest.fixture
async def guest(knowing: World, device: HostDevice) -> Guest:
    made = Guest(knowing, device)
    made.tell()
    await announce(knowing, *OFFERED)
    await made.say(
        request("wl_registry", "bind", 2, 1, "wl_compositor", 4, 3),
        request("wl_registry", "bind", 2, 2, MANAGER, 1, MANAGER_ID),
        request("wl_compositor", "create_surface", 3, SURFACE_ID),
        request(MANAGER, "get_surface", MANAGER_ID, SYNC_ID, SURFACE_ID),
    )
    await made.import_timeline()
    return made


async def test_a_guest_that_knows_nothing_of_points_does_not_see_the_global(knowing: World) -> None:
    assert MANAGER.encode() not in await announce(knowing, *OFFERED)


async def test_a_guest_that_knows_of_points_sees_the_global(knowing: World) -> None:
    knowing.context.submit(encode_write(POINTS, b""))
    assert MANAGER.encode() in await announce(knowing, *OFFERED)


async def test_where_there_are_no_timelines_nobody_sees_it(client: World) -> None:
    with pytest.raises(GuestFault):
        client.context.submit(encode_write(POINTS, b""))
    assert MANAGER.encode() not in await announce(client, *OFFERED)


async def test_the_compositor_gets_a_timeline_of_the_hosts(guest: Guest) -> None:
    (fd,) = guest.world.host.take_fds()
    assert os.path.samestat(os.fstat(fd), os.fstat(guest.timeline.file))
    os.close(fd)


async def test_a_point_signals_when_the_guest_says_so(guest: Guest) -> None:
    await guest.set_points(HIGH + 1, HIGH + 2)
    assert guest.timeline.signalled == []
    guest.tell(Point(TIMELINE, HIGH + 1))
    assert guest.timeline.signalled == [HIGH + 1]


async def test_points_signal_in_the_order_in_which_the_guest_says_so(guest: Guest) -> None:
    await guest.import_timeline(8)
    await guest.say(point("set_acquire_point", 1), point("set_acquire_point", 3, timeline=8))
    guest.tell(Point(8, 3), Point(TIMELINE, 1))
    assert [timeline.signalled for timeline in guest.device.made] == [[1], [3]]


@pytest.mark.parametrize("told", [Point(TIMELINE, 2), Point(TIMELINE, 7), Point(99, 1)])
async def test_only_what_the_compositor_waits_for_is_signalled(guest: Guest, told: Point) -> None:
    await guest.set_points(1, 2)
    guest.tell(told)
    assert guest.timeline.signalled == []


async def test_a_point_is_signalled_once(guest: Guest) -> None:
    await guest.set_points(1, 2)
    guest.tell(Point(TIMELINE, 1), Point(TIMELINE, 1))
    assert guest.timeline.signalled == [1]


async def test_what_is_no_whole_point_is_passed_over(guest: Guest) -> None:
    await guest.set_points(1, 2)
    data = encode_points([Point(TIMELINE, 1)])
    guest.world.context.submit(encode_write(POINTS, data[:-1]))
    assert guest.timeline.signalled == []


async def test_the_guest_hears_of_what_the_compositor_signals(guest: Guest) -> None:
    await guest.set_points(1, HIGH + 2)
    guest.timeline.release(HIGH + 2)
    assert await guest.hear() == [Point(TIMELINE, HIGH + 2)]
    assert guest.timeline.signalled == []


async def test_several_points_are_told_in_one_word(guest: Guest) -> None:
    await guest.set_points(1, 2)
    await guest.set_points(3, 4)
    for value in (4, 2):
        guest.timeline.release(value)
    await until(lambda: guest.world.context.usage.fds == 0)
    assert sorted(await guest.hear()) == [Point(TIMELINE, 2), Point(TIMELINE, 4)]


async def test_a_guest_that_never_says_so_costs_the_compositor_no_more_than_its_patience(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "GUEST_FENCE_SECONDS", 0.01)
    await guest.set_points(1, 2)
    await until(lambda: guest.timeline.signalled == [1])
    guest.tell(Point(TIMELINE, 1))
    assert guest.timeline.signalled == [1]
    assert guest.world.context.alive


async def test_what_is_pending_when_a_timeline_goes_is_signalled_and_never_told(guest: Guest) -> None:
    await guest.set_points(1, 2)
    await guest.set_points(3, 4)
    await guest.say(request("wp_linux_drm_syncobj_timeline_v1", "destroy", TIMELINE))
    assert (guest.timeline.signalled, guest.timeline.closed) == ([3], True)
    assert guest.world.context.usage.fds == 0


async def test_a_point_that_cannot_be_signalled_when_its_timeline_goes_ends_the_client(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "GUEST_FENCE_SECONDS", 0.01)
    await guest.set_points(1, 2)
    guest.timeline.refuses = True
    with pytest.raises(LimitExceeded, match="can't be signalled: Cannot allocate"):
        guest.world.send(request("wp_linux_drm_syncobj_timeline_v1", "destroy", TIMELINE))
    assert guest.timeline.closed
    await guest.world.host.wait_until_gone()


async def test_a_point_that_cannot_be_signalled_in_time_ends_the_client(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "GUEST_FENCE_SECONDS", 0.01)
    guest.timeline.refuses = True
    await guest.set_points(1, 2)
    await guest.world.host.wait_until_gone()
    assert b"can't be signalled" in await guest.world.receive_data()


async def test_a_timeline_whose_id_another_takes_is_gone(guest: Guest) -> None:
    """The compositor refuses that, but later."""
    await guest.set_points(1, 2)
    await guest.import_timeline()
    assert (guest.timeline.signalled, guest.timeline.closed) == ([1], True)
    assert guest.world.context.usage.fds == 0


async def test_timelines_of_a_launcher_on_this_kernel_are_left_alone(guest: Guest) -> None:
    """What is said of their points passes."""
    _memory, given = guest.world.share(70)
    data = request(MANAGER, "import_timeline", MANAGER_ID, 8, None)
    guest.world.send(data, given)
    assert await guest.world.host.receive(len(data)) == data
    await guest.say(point("set_acquire_point", 1, timeline=8), point("set_release_point", 2, timeline=8))
    assert guest.world.context.usage.fds == 0


async def test_as_many_timelines_as_there_may_be(guest: Guest) -> None:
    for number in range(1, MAX_TIMELINES):
        await guest.import_timeline(TIMELINE + number)
    with pytest.raises(LimitExceeded):
        await guest.import_timeline(TIMELINE + MAX_TIMELINES)
    assert not guest.world.context.alive


async def test_as_many_pending_points_as_there_may_be(guest: Guest) -> None:
    for number in range(MAX_PENDING_POINTS // 2):
        await guest.set_points(2 * number + 1, 2 * number + 2)
    with pytest.raises(LimitExceeded):
        guest.world.send(point("set_acquire_point", 2 * MAX_PENDING_POINTS))
    assert not guest.world.context.alive


async def test_a_timeline_crosses_with_no_other_message(guest: Guest) -> None:
    await guest.say(request("wl_registry", "bind", 2, 3, "wl_shm", 1, 8))
    guest.world.send(b"", NEW)
    with pytest.raises(GuestFault, match="another message"):
        guest.world.send(request("wl_shm", "create_pool", 8, 9, None, 4096))


async def test_without_timelines_there_is_none_to_send(client: World) -> None:
    with pytest.raises(GuestFault, match="no timelines"):
        client.send(b"", NEW)
