"""Explicit synchronization where the compositor has it, too, and reads buffers in place: it waits itself."""

import os
from collections.abc import Generator
from typing import Final

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.abi.pages import Verdict
from crossdomain.abi.points import POINTS, Point, encode_points, parse_points
from crossdomain.limits import MAX_PENDING_POINTS
from launcher.relay.sync import watches
from tests.unit.launcher.drawing import Drawing, HostIds, Painter, requests_in
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.fake_copies import FakeCopies
from tests.unit.launcher.fake_timelines import FakeSyncDevice, FakeTimeline

MANAGER: Final = "wp_linux_drm_syncobj_manager_v1"
SURFACE: Final = "wp_linux_drm_syncobj_surface_v1"
TIMELINE: Final = "wp_linux_drm_syncobj_timeline_v1"
NAME: Final = 41
"""The compositor's name of the global."""
WIDTH, HEIGHT = 256, 64
"""64 KiB: the least that is read in place."""
NEW: Final = Identifier(0, IdentifierType.TIMELINE, 0)
HIGH: Final = 1 << 32


@pytest.fixture
def channel() -> FakeChannel:
    made = FakeChannel()
    made.has_points = True
    made.host_copies = FakeCopies(made)
    return made


@pytest.fixture
def client(channel: FakeChannel, device: FakeSyncDevice) -> Generator[RelayedClient]:
    made = RelayedClient(channel, sync_device=device)
    yield made
    made.close()


class Pictures(Painter):
    """A client that draws what the compositor reads in place, and what it does not."""

    def __init__(self, client: RelayedClient, drawing: Drawing, copies: FakeCopies) -> None:
        super().__init__(client, drawing)
        self._drawing_of = drawing
        self._copies = copies
        self.offer(NAME, MANAGER, 1)
        assert client.hear() == b""

    def offer(self, name: int, interface: str, version: int) -> None:
        """The compositor has one more global."""
        self.client.channel.deliver(event("wl_registry", "global", self.registry, name, interface, version))

    def picture(self, *, in_place: bool = True) -> int:
        """A new buffer that a device draws into."""
        self._copies.verdicts = [Verdict.YES if in_place else Verdict.NO]
        fd = os.memfd_create("picture")
        size = WIDTH * HEIGHT * 4
        os.ftruncate(fd, size)
        pool = self.client.new_id()
        self.kinds[pool] = "wl_shm_pool"
        self._drawing_of.begin(pool)
        self.client.say(request("wl_shm", "create_pool", self.globals["wl_shm"], pool, None, size), fds=[fd])
        return self.make("wl_buffer", pool, "create_buffer", 0, WIDTH, HEIGHT, WIDTH * 4, 1)

    def said(self, *names: str) -> list[tuple[int, str]]:
        """Which of these requests the compositor got since the last time, and of which object."""
        self.client.serve()
        sent = self.client.channel.sent
        HostIds().hear(sent)
        found = [(object_id, name) for object_id, name, _ in requests_in(sent) if name in names]
        new = found[self._seen.get(names, 0) :]
        self._seen[names] = len(found)
        return new

    _seen: dict[tuple[str, ...], int] = {}  # noqa: RUF012 (replaced by each fixture)


@pytest.fixture
def pictures(
    client: RelayedClient, drawing: Drawing, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> Generator[Pictures]:
    monkeypatch.setattr(Pictures, "_seen", {})
    assert isinstance(channel.host_copies, FakeCopies)
    made = Pictures(client, drawing, channel.host_copies)
    yield made
    made.close()


class Synced:
    """A surface with points on two timelines of one device."""

    def __init__(self, pictures: Pictures, device: FakeSyncDevice) -> None:
        self.pictures = pictures
        self.client = pictures.client
        self.manager = pictures.bind(MANAGER, 1)
        self.surface = pictures.surface()
        self.sync = pictures.make(SURFACE, self.manager, "get_surface", self.surface)
        self.acquire, self.release = device.create(), device.create()
        self.acquire_id, self.release_id = self.import_(self.acquire), self.import_(self.release)

    def import_(self, timeline: FakeTimeline) -> int:
        """A timeline of the client's."""
        made = self.client.new_id()
        self.pictures.kinds[made] = TIMELINE
        data = request(MANAGER, "import_timeline", self.manager, made, None)
        self.client.say(data, fds=[os.dup(timeline.fd)])
        return made

    def commit(self, acquire: int, release: int, *, in_place: bool = True) -> int:
        """Commits a new buffer with these points; the buffer."""
        buffer = self.pictures.picture(in_place=in_place)
        for name, timeline, point in (
            ("set_acquire_point", self.acquire_id, acquire),
            ("set_release_point", self.release_id, release),
        ):
            self.pictures.say(self.sync, name, timeline, *divmod(point, HIGH))
        self.pictures.show(self.surface, buffer)
        return buffer

    def told(self) -> list[Point]:
        """The points that the host was told of."""
        self.client.serve()
        writes = [write for write in self.client.channel.writes if write.identifier == POINTS]
        return [point for write in writes for point in parse_points(write.data)]

    def hear(self, *points: Point) -> None:
        """The host tells of points."""
        self.client.channel.deliver_read(POINTS, encode_points(points))
        self.client.serve()

    def steps(self) -> list[str]:
        """What the compositor got of explicit synchronization and commits, since the last time."""
        names = ("get_surface", "set_acquire_point", "set_release_point", "commit", "destroy")
        ours = {self.sync, self.surface}
        return [
            name
            for object_id, name in self.pictures.said(*names)
            if object_id in ours or name == "get_surface"
        ]


LEFT: Final = ["set_acquire_point", "set_release_point", "commit"]
"""A commit that the compositor waits for itself."""


@pytest.fixture
def synced(pictures: Pictures, device: FakeSyncDevice) -> Synced:
    made = Synced(pictures, device)
    made.steps()
    return made


def test_a_timeline_is_made_on_the_host(synced: Synced, channel: FakeChannel) -> None:
    assert channel.identifiers == [NEW, NEW]
    assert request(MANAGER, "import_timeline", synced.manager, synced.acquire_id, None) in channel.sent


def test_on_one_kernel_the_compositor_gets_the_clients_timelines(
    pictures: Pictures, device: FakeSyncDevice, channel: FakeChannel
) -> None:
    channel.shares_fences = True
    synced = Synced(pictures, device)
    inodes = [os.fstat(fd).st_ino for fd in channel.shared_fences]
    assert inodes == [os.fstat(timeline.fd).st_ino for timeline in (synced.acquire, synced.release)]
    assert {identifier.type for identifier in channel.identifiers} == {IdentifierType.VIRTGPU_SYNC}
    synced.commit(1, 2)
    assert synced.steps()[-3:] == LEFT
    synced.acquire.reach(1)
    assert synced.told() == []
    assert synced.release.signalled == []


def test_a_commit_of_a_buffer_in_place_does_not_wait(synced: Synced) -> None:
    synced.commit(HIGH + 1, HIGH + 2)
    assert synced.steps() == ["get_surface", *LEFT]
    sent = synced.client.channel.sent
    assert request(SURFACE, "set_acquire_point", synced.sync, synced.acquire_id, 1, 1) in sent
    assert request(SURFACE, "set_release_point", synced.sync, synced.release_id, 1, 2) in sent
    assert synced.told() == []


def test_the_host_is_told_when_a_point_has_signalled(synced: Synced) -> None:
    synced.commit(1, 2)
    synced.commit(3, 4)
    synced.acquire.reach(1)
    assert synced.told() == [Point(synced.acquire_id, 1)]
    synced.acquire.reach(3)
    assert synced.told() == [Point(synced.acquire_id, 1), Point(synced.acquire_id, 3)]


def test_a_release_point_signals_when_the_host_tells_of_it(synced: Synced) -> None:
    buffer = synced.commit(1, 2)
    synced.commit(3, 4)
    synced.client.channel.deliver(event("wl_buffer", "release", buffer))
    synced.client.serve()
    assert synced.release.signalled == []
    synced.hear(Point(synced.release_id, 4))
    assert synced.release.signalled == [4]
    synced.hear(Point(synced.release_id, 2), Point(synced.release_id, 2), Point(99, 2))
    assert synced.release.signalled == [4, 2]


def test_a_commit_of_a_buffer_that_is_copied_waits_here(synced: Synced) -> None:
    synced.commit(1, 2, in_place=False)
    assert synced.steps() == []
    synced.acquire.reach(1)
    assert synced.steps() == ["commit"]
    assert synced.told() == []


def test_a_surface_may_change_between_the_two(synced: Synced) -> None:
    """The compositor takes no other buffers on a surface that it synchronizes."""
    synced.acquire.reach(100)
    synced.commit(1, 2)
    synced.commit(3, 4)
    assert synced.steps() == ["get_surface", *LEFT, *LEFT]
    synced.commit(5, 6, in_place=False)
    assert synced.steps() == ["destroy", "commit"]
    synced.client.channel.deliver(event("wl_display", "delete_id", 1, synced.sync) * 2)
    synced.commit(7, 8, in_place=False)
    assert synced.steps() == ["commit"]
    synced.commit(9, 10)
    assert synced.steps() == ["get_surface", *LEFT]


def test_a_change_waits_until_the_compositor_waits_no_more(synced: Synced, device: FakeSyncDevice) -> None:
    """It would forget whom to tell of the release of what it still holds."""
    late = synced.import_(later := device.create())
    synced.commit(1, 2)
    synced.steps()
    synced.acquire_id = late
    synced.commit(1, 4, in_place=False)
    later.reach(1)
    assert synced.steps() == []
    synced.client.channel.writes.clear()
    synced.acquire.reach(1)
    assert synced.steps() == ["destroy", "commit"]
    told = [write.data for write in synced.client.channel.writes]
    assert told[0] == encode_points([Point(late - 2, 1)])


def test_a_commit_that_shows_nothing_new_says_nothing_of_points(synced: Synced) -> None:
    synced.commit(1, 2)
    synced.steps()
    synced.pictures.say(synced.surface, "commit")
    synced.pictures.say(synced.surface, "attach", 0, 0, 0)
    synced.pictures.say(synced.surface, "commit")
    assert synced.steps() == ["commit", "commit"]


def test_what_follows_a_commit_that_waits_here_stays_behind_it(synced: Synced) -> None:
    synced.commit(3, 4, in_place=False)
    synced.commit(1, 2)
    assert synced.steps() == []
    synced.acquire.reach(3)
    assert synced.steps() == ["commit", "get_surface", *LEFT]


def test_a_fence_that_never_signals_is_told_of_all_the_same(
    synced: Synced, device: FakeSyncDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "FENCE_SECONDS", 0.01)
    synced.commit(1, 2)
    synced.client.loop.drain(lambda: not synced.told(), 30)
    assert synced.told() == [Point(synced.acquire_id, 1)]
    synced.steps()
    late = synced.import_(later := device.create())
    later.reach(1)
    synced.acquire_id = late
    synced.commit(1, 4, in_place=False)
    assert synced.steps() == ["destroy", "commit"]
    assert len(synced.told()) == 1
    assert not synced.client.closed


def test_more_points_than_the_host_takes_wait_here(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    # However long so many commits take here: none is given up.
    monkeypatch.setattr(watches, "FENCE_SECONDS", 3600.0)
    most = MAX_PENDING_POINTS // 4
    for number in range(most):
        synced.commit(2 * number + 1, 2 * number + 2)
    assert synced.steps().count("commit") == most
    synced.commit(1000, 1001)
    assert synced.steps() == []
    synced.acquire.reach(1000)
    assert synced.steps() == ["destroy", "commit"]


def test_a_timeline_goes_when_none_of_its_points_is_pending(synced: Synced) -> None:
    synced.commit(1, 2)
    synced.pictures.say(synced.acquire_id, "destroy")
    synced.pictures.say(synced.release_id, "destroy")
    pictures = synced.pictures
    gone = [request(TIMELINE, "destroy", each) for each in (synced.acquire_id, synced.release_id)]
    assert not any(each in synced.client.channel.sent for each in gone)
    synced.acquire.reach(1)
    synced.told()
    pictures.say(synced.surface, "commit")
    assert [each in synced.client.channel.sent for each in gone] == [True, False]
    synced.hear(Point(synced.release_id, 2))
    pictures.say(synced.surface, "commit")
    assert [each in synced.client.channel.sent for each in gone] == [True, True]
    assert (synced.acquire.users, synced.release.users) == (0, 0)
    synced.client.hear()
    freed = [event("wl_display", "delete_id", 1, each) for each in (synced.acquire_id, synced.release_id)]
    synced.client.channel.deliver(freed[0])
    assert synced.client.hear() == freed[0]
    synced.client.channel.deliver(freed[1])
    assert synced.client.hear() == freed[1]


@pytest.mark.parametrize("shares_fences", [False, True])
def test_a_timeline_that_is_gone_before_its_commit_is_there_for_it(
    pictures: Pictures, device: FakeSyncDevice, channel: FakeChannel, *, shares_fences: bool
) -> None:
    channel.shares_fences = shares_fences
    synced = Synced(pictures, device)
    synced.acquire.reach(1)
    for name, timeline in (
        ("set_acquire_point", synced.acquire_id),
        ("set_release_point", synced.release_id),
    ):
        pictures.say(synced.sync, name, timeline, 0, 1)
        pictures.say(timeline, "destroy")
    pictures.show(synced.surface, pictures.picture())
    synced.told()
    sent = channel.sent
    commit = sent.index(request("wl_surface", "commit", synced.surface))
    pictures.say(synced.surface, "commit")
    synced.hear(Point(synced.release_id, 1))
    pictures.say(synced.surface, "commit")
    gone = [request(TIMELINE, "destroy", each) for each in (synced.acquire_id, synced.release_id)]
    assert all(channel.sent.index(each) > commit for each in gone)


def test_what_the_client_destroys_goes_on_the_host(synced: Synced) -> None:
    synced.commit(1, 2)
    synced.steps()
    for object_id in (synced.sync, synced.manager):
        synced.pictures.say(object_id, "destroy")
    sent = synced.client.channel.sent
    assert request(SURFACE, "destroy", synced.sync) in sent
    assert request(MANAGER, "destroy", synced.manager) in sent
    assert not synced.client.closed


def test_without_its_manager_a_surface_waits_here(synced: Synced) -> None:
    synced.pictures.say(synced.manager, "destroy")
    synced.commit(1, 2)
    assert "commit" not in synced.steps()
    synced.acquire.reach(1)
    assert synced.steps() == ["commit"]


def test_a_compositor_that_has_it_no_more_is_not_told(pictures: Pictures, device: FakeSyncDevice) -> None:
    pictures.client.channel.deliver(event("wl_registry", "global_remove", pictures.registry, NAME))
    synced = Synced(pictures, device)
    synced.steps()
    synced.commit(1, 2)
    assert synced.steps() == []


def test_a_client_that_leaves_leaves_no_timeline(synced: Synced) -> None:
    synced.commit(1, 2)
    synced.client.socket.close()
    synced.client.serve()
    assert synced.client.closed
    assert (synced.acquire.users, synced.release.users) == (0, 0)
