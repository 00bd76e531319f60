"""wp_linux_drm_syncobj_v1 and zwp_linux_explicit_synchronization_v1 as the relay serves them."""

import os
import struct
from collections.abc import Callable, Generator

import pytest

from crossdomain.bridge.fences import Fence
from launcher.relay import waiting
from launcher.relay.sync.fences import SynchronizationError
from launcher.relay.sync.timelines import SurfaceError
from tests.unit.launcher.drawing import Drawing, Painter, own_globals, requests_in
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.fake_copies import FakeCopies
from tests.unit.launcher.fake_timelines import FakeSyncDevice, FakeTimeline

MANAGER = "wp_linux_drm_syncobj_manager_v1"
ZWP = "zwp_linux_explicit_synchronization_v1"


@pytest.fixture
def client(device: FakeSyncDevice) -> Generator[RelayedClient]:
    made = RelayedClient(sync_device=device)
    yield made
    made.close()


class Synced:
    """A surface with a wp_linux_drm_syncobj_surface_v1 and one timeline."""

    def __init__(self, painter: Painter, device: FakeSyncDevice) -> None:
        self.painter = painter
        self.client = painter.client
        self.manager = painter.bind(MANAGER, 1)
        self.surface = painter.surface()
        self.sync = painter.make("wp_linux_drm_syncobj_surface_v1", self.manager, "get_surface", self.surface)
        self.timeline = device.create()
        self.timeline_id = self.import_timeline(self.timeline)

    def import_timeline(self, timeline: FakeTimeline) -> int:
        """A wp_linux_drm_syncobj_timeline_v1 for a timeline."""
        made = self.client.new_id()
        self.painter.kinds[made] = "wp_linux_drm_syncobj_timeline_v1"
        fds = [os.dup(timeline.fd)]
        self.client.say(request(MANAGER, "import_timeline", self.manager, made, None), fds=fds)
        return made

    def points(self, acquire: int, release: int) -> None:
        """Sets both points of the one timeline."""
        self.painter.say(
            self.sync, "set_acquire_point", self.timeline_id, acquire >> 32, acquire & 0xFFFFFFFF
        )
        self.painter.say(
            self.sync, "set_release_point", self.timeline_id, release >> 32, release & 0xFFFFFFFF
        )

    def show(self, acquire: int, release: int) -> int:
        """Commits a new buffer of a device's; the buffer."""
        buffer, _ = self.painter.buffer()
        self.points(acquire, release)
        self.painter.show(self.surface, buffer)
        return buffer

    @property
    def commits(self) -> int:
        """How many commits the host got."""
        self.client.serve()
        found = [(object_id, name) for object_id, name, _ in requests_in(self.client.channel.sent)]
        return found.count((self.surface, "commit"))


@pytest.fixture
def synced(painter: Painter, device: FakeSyncDevice) -> Synced:
    return Synced(painter, device)


def error_of(client: RelayedClient) -> tuple[int, int]:
    """Object and code of the error that ended the client."""
    heard = client.hear()
    assert client.closed
    at = heard.rindex(struct.pack("<IH", 1, 0))
    object_id, code = struct.unpack_from("<II", heard, at + 8)
    return object_id, code


def test_both_globals_are_announced_where_there_are_timelines(client: RelayedClient) -> None:
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    client.channel.deliver(event("wl_registry", "global", registry, 1, "wl_compositor", 5))
    heard = client.hear()
    names = dict(own_globals(heard))
    assert event("wl_registry", "global", registry, names[MANAGER], MANAGER, 1) in heard
    assert event("wl_registry", "global", registry, names[ZWP], ZWP, 2) in heard


def test_neither_is_announced_where_there_are_none() -> None:
    client = RelayedClient()
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    offered = [(1, "wl_compositor", 5), (2, MANAGER, 1), (3, ZWP, 2)]
    client.channel.deliver(b"".join(event("wl_registry", "global", registry, *offer) for offer in offered))
    heard = client.hear()
    assert event("wl_registry", "global", registry, 1, "wl_compositor", 5) in heard
    assert MANAGER.encode() not in heard
    assert ZWP.encode() not in heard
    client.close()


def test_the_compositors_own_are_hidden(client: RelayedClient) -> None:
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    offered = [(2, MANAGER, 1), (3, ZWP, 2)]
    client.channel.deliver(b"".join(event("wl_registry", "global", registry, *offer) for offer in offered))
    assert client.hear() == b""


def test_a_commit_waits_for_its_acquire_point(synced: Synced) -> None:
    synced.show(3, 4)
    assert synced.commits == 0
    synced.timeline.reach(2)
    assert synced.commits == 0
    synced.timeline.reach(3)
    assert synced.commits == 1


def test_points_have_64_bits(synced: Synced) -> None:
    synced.show(5 << 32, (5 << 32) + 1)
    synced.timeline.reach(1 << 32)
    assert synced.commits == 0
    synced.timeline.reach(5 << 32)
    assert synced.commits == 1
    assert synced.timeline.signalled == [(5 << 32) + 1]


def test_what_the_client_says_counts_and_not_what_the_kernel_knows(synced: Synced) -> None:
    synced.timeline.reach(1)
    synced.show(1, 2)
    assert synced.commits == 1


def test_the_release_point_is_signalled_when_the_pixels_are_copied_and_not_before(synced: Synced) -> None:
    synced.show(1, 2)
    synced.client.serve()
    assert synced.timeline.signalled == []
    synced.timeline.reach(1)
    assert synced.commits == 1
    assert synced.timeline.signalled == [2]


def test_the_pixels_are_copied_when_the_release_point_is_signalled(synced: Synced) -> None:
    seen: list[bytes] = []
    synced.timeline.watch = lambda: seen.append(bytes(synced.client.channel.memories[-1].buffer[:4]))
    buffer = synced.show(1, 2)
    synced.painter.paint(buffer, 7)
    synced.timeline.reach(1)
    assert synced.commits == 1
    assert seen == [b"\7" * 4]


def test_where_the_host_copies_the_release_point_waits_for_the_compositor(
    device: FakeSyncDevice, drawing: Drawing
) -> None:
    channel = FakeChannel()
    channel.host_copies = FakeCopies(channel)
    client = RelayedClient(channel, sync_device=device)
    painter = Painter(client, drawing)
    synced = Synced(painter, device)
    buffer, _ = painter.buffer(pool_size=1 << 16)
    synced.points(1, 2)
    painter.show(synced.surface, buffer)
    synced.timeline.reach(1)
    assert synced.commits == 1
    assert client.stats.totals().buffers == {"shm-pages": 1}
    assert synced.timeline.signalled == []
    channel.deliver(event("wl_buffer", "release", buffer))
    client.serve()
    assert synced.timeline.signalled == [2]
    painter.close()
    client.close()


def test_commits_of_a_surface_stay_in_order(synced: Synced) -> None:
    for point in (2, 4, 6):
        synced.show(point, point + 1)
    assert synced.commits == 0
    synced.timeline.reach(2)
    assert synced.commits == 1
    synced.timeline.reach(6)
    assert synced.commits == 3
    assert synced.timeline.signalled == [3, 5, 7]


def test_a_commit_without_a_buffer_needs_no_points(synced: Synced) -> None:
    synced.painter.say(synced.surface, "set_buffer_scale", 2)
    synced.painter.say(synced.surface, "commit")
    synced.painter.say(synced.surface, "attach", 0, 0, 0)
    synced.painter.say(synced.surface, "commit")
    assert synced.commits == 2


def test_points_set_twice_are_the_last(synced: Synced) -> None:
    synced.points(1, 2)
    synced.show(3, 4)
    synced.timeline.reach(1)
    assert synced.commits == 0
    synced.timeline.reach(3)
    assert synced.timeline.signalled == []
    assert synced.commits == 1
    assert synced.timeline.signalled == [4]


def test_a_timeline_lives_as_long_as_a_point_of_it_is_needed(synced: Synced) -> None:
    synced.show(1, 2)
    synced.painter.say(synced.timeline_id, "destroy")
    synced.timeline.reach(1)
    assert synced.commits == 1
    assert synced.timeline.signalled == [2]
    assert synced.timeline.users == 0


def test_a_fence_that_never_signals_is_given_up_and_released(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FENCE_SECONDS", 0.01)
    synced.show(1, 2)
    synced.client.loop.drain(lambda: not synced.timeline.signalled, 30)
    assert synced.timeline.signalled == [2]
    synced.timeline.reach(3)
    synced.show(3, 4)
    assert synced.commits == 1
    assert not synced.client.closed


def test_what_is_destroyed_lets_nobody_wait(synced: Synced) -> None:
    synced.points(1, 2)
    synced.painter.say(synced.sync, "destroy")
    synced.painter.say(synced.timeline_id, "destroy")
    synced.painter.say(synced.manager, "destroy")
    synced.painter.say(synced.surface, "destroy")
    synced.client.serve()
    assert synced.timeline.users == 0
    assert not synced.client.closed


def test_a_client_that_leaves_while_it_waits_leaves_no_timeline(synced: Synced) -> None:
    synced.show(1, 2)
    synced.show(3, 4)
    synced.client.socket.close()
    synced.client.serve()
    assert synced.client.closed
    assert synced.timeline.users == 0


def _nothing_set(synced: Synced) -> None:
    synced.painter.show(synced.surface, synced.painter.buffer()[0])


def _no_release(synced: Synced) -> None:
    synced.painter.say(synced.sync, "set_acquire_point", synced.timeline_id, 0, 1)
    _nothing_set(synced)


def _no_buffer(synced: Synced) -> None:
    synced.points(1, 2)
    synced.painter.say(synced.surface, "commit")


def _null_buffer(synced: Synced) -> None:
    synced.points(1, 2)
    synced.painter.say(synced.surface, "attach", 0, 0, 0)
    synced.painter.say(synced.surface, "commit")


def _shm_buffer(synced: Synced) -> None:
    synced.points(1, 2)
    synced.painter.show(synced.surface, synced.painter.buffer(drawn=False)[0])


def _conflict(synced: Synced) -> None:
    synced.show(2, 2)


def _surface_gone(synced: Synced) -> None:
    synced.painter.say(synced.surface, "destroy")
    synced.painter.say(synced.sync, "set_acquire_point", synced.timeline_id, 0, 1)


@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        (_nothing_set, SurfaceError.NO_ACQUIRE_POINT),
        (_no_release, SurfaceError.NO_RELEASE_POINT),
        (_no_buffer, SurfaceError.NO_BUFFER),
        (_null_buffer, SurfaceError.NO_BUFFER),
        (_shm_buffer, SurfaceError.UNSUPPORTED_BUFFER),
        (_conflict, SurfaceError.CONFLICTING_POINTS),
        (_surface_gone, SurfaceError.NO_SURFACE),
    ],
)
def test_a_mistake_is_the_protocols_error(
    synced: Synced, mistake: Callable[[Synced], None], code: SurfaceError
) -> None:
    mistake(synced)
    assert error_of(synced.client) == (synced.sync, code)


def test_a_surface_is_synchronized_once(synced: Synced) -> None:
    synced.painter.make("wp_linux_drm_syncobj_surface_v1", synced.manager, "get_surface", synced.surface)
    assert error_of(synced.client) == (synced.manager, 0)


def test_a_surface_may_be_synchronized_anew(synced: Synced) -> None:
    synced.painter.say(synced.sync, "destroy")
    synced.painter.make("wp_linux_drm_syncobj_surface_v1", synced.manager, "get_surface", synced.surface)
    assert synced.client.hear() is not None
    assert not synced.client.closed


def test_what_is_no_timeline_is_refused(synced: Synced) -> None:
    other = FakeTimeline()
    synced.import_timeline(other)
    other.discard()
    assert error_of(synced.client) == (synced.manager, 1)


class Fenced:
    """A surface with a zwp_linux_surface_synchronization_v1; eventfds take the place of sync files."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self.client = painter.client
        self.manager = painter.bind(ZWP, 2)
        self.surface = painter.surface()
        self.sync = painter.make(
            "zwp_linux_surface_synchronization_v1", self.manager, "get_synchronization", self.surface
        )

    def set_fence(self) -> int:
        """Sets an acquire fence; what signals it, which is the caller's."""
        fd = os.eventfd(0)
        data = request("zwp_linux_surface_synchronization_v1", "set_acquire_fence", self.sync, None)
        self.client.say(data, fds=[os.dup(fd)])
        return fd

    def get_release(self) -> int:
        """Asks for a zwp_linux_buffer_release_v1."""
        return self.painter.make("zwp_linux_buffer_release_v1", self.sync, "get_release")

    def show(self) -> int:
        """Commits a new buffer of a device's; the buffer."""
        buffer, _ = self.painter.buffer()
        self.painter.show(self.surface, buffer)
        return buffer

    def commits(self) -> int:
        """How many commits the host got."""
        self.client.serve()
        found = [(object_id, name) for object_id, name, _ in requests_in(self.client.channel.sent)]
        return found.count((self.surface, "commit"))


@pytest.fixture
def fenced(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> Fenced:
    monkeypatch.setattr(Fence, "of_sync_file", Fence.of_eventfd)
    return Fenced(painter)


def released(release: int) -> bytes:
    """What tells a client of a release; the id is free when the host has nothing there any more."""
    return event("zwp_linux_buffer_release_v1", "immediate_release", release)


def test_a_commit_waits_for_its_acquire_fence(fenced: Fenced) -> None:
    fd = fenced.set_fence()
    fenced.show()
    assert fenced.commits() == 0
    os.eventfd_write(fd, 1)
    os.close(fd)
    assert fenced.commits() == 1


def test_a_release_is_told_when_the_pixels_are_copied_and_not_before(fenced: Fenced) -> None:
    fd = fenced.set_fence()
    release = fenced.get_release()
    fenced.show()
    assert fenced.client.hear() == b""
    os.eventfd_write(fd, 1)
    os.close(fd)
    assert fenced.commits() == 1
    assert fenced.client.hear() == released(release)
    # The stand-in of its id has ended: the client may use it again.
    fenced.client.channel.deliver(event("wl_display", "delete_id", 1, release))
    assert fenced.client.hear() == event("wl_display", "delete_id", 1, release)


def test_a_fence_counts_for_one_commit(fenced: Fenced) -> None:
    fd = fenced.set_fence()
    os.eventfd_write(fd, 1)
    os.close(fd)
    fenced.show()
    fenced.show()
    assert fenced.commits() == 1


def test_without_a_fence_the_buffers_own_counts(fenced: Fenced) -> None:
    release = fenced.get_release()
    buffer, drawing = fenced.painter.buffer()
    fenced.painter.show(fenced.surface, buffer)
    assert fenced.commits() == 0
    os.eventfd_write(drawing, 1)
    assert fenced.commits() == 1
    assert fenced.client.hear() == released(release)


def test_a_release_that_no_commit_follows_is_told_at_the_end(fenced: Fenced) -> None:
    release = fenced.get_release()
    fenced.painter.say(fenced.surface, "destroy")
    assert fenced.client.hear() == released(release)


def test_a_client_that_leaves_with_a_fence_leaves_nothing(fenced: Fenced) -> None:
    os.close(fenced.set_fence())
    fenced.show()
    os.close(fenced.set_fence())
    fenced.client.socket.close()
    fenced.client.serve()
    assert fenced.client.closed


def _second_fence(fenced: Fenced) -> None:
    os.close(fenced.set_fence())
    os.close(fenced.set_fence())


def _second_release(fenced: Fenced) -> None:
    fenced.get_release()
    fenced.get_release()


def _fence_without_surface(fenced: Fenced) -> None:
    fenced.painter.say(fenced.surface, "destroy")
    os.close(fenced.set_fence())


def _release_without_surface(fenced: Fenced) -> None:
    fenced.painter.say(fenced.surface, "destroy")
    fenced.get_release()


def _fence_for_shm(fenced: Fenced) -> None:
    os.close(fenced.set_fence())
    fenced.painter.show(fenced.surface, fenced.painter.buffer(drawn=False)[0])


def _fence_without_buffer(fenced: Fenced) -> None:
    os.close(fenced.set_fence())
    fenced.painter.say(fenced.surface, "commit")


@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        (_second_fence, SynchronizationError.DUPLICATE_FENCE),
        (_second_release, SynchronizationError.DUPLICATE_RELEASE),
        (_fence_without_surface, SynchronizationError.NO_SURFACE),
        (_release_without_surface, SynchronizationError.NO_SURFACE),
        (_fence_for_shm, SynchronizationError.UNSUPPORTED_BUFFER),
        (_fence_without_buffer, SynchronizationError.NO_BUFFER),
    ],
)
def test_a_mistake_with_fences_is_the_protocols_error(
    fenced: Fenced, mistake: Callable[[Fenced], None], code: SynchronizationError
) -> None:
    mistake(fenced)
    assert error_of(fenced.client) == (fenced.sync, code)


def test_what_is_no_sync_file_is_refused(painter: Painter) -> None:
    fenced = Fenced(painter)
    os.close(fenced.set_fence())
    assert error_of(painter.client) == (fenced.sync, SynchronizationError.INVALID_FENCE)


def test_a_surface_has_one_synchronization(fenced: Fenced) -> None:
    fenced.painter.make(
        "zwp_linux_surface_synchronization_v1", fenced.manager, "get_synchronization", fenced.surface
    )
    assert error_of(fenced.client) == (fenced.manager, 0)


def test_managers_may_go_before_what_they_made(fenced: Fenced) -> None:
    fenced.painter.say(fenced.manager, "destroy")
    fd = fenced.set_fence()
    os.eventfd_write(fd, 1)
    os.close(fd)
    fenced.show()
    assert fenced.commits() == 1


def test_a_mistake_in_one_protocol_leaves_no_fence_of_the_other(fenced: Fenced) -> None:
    """A surface may be synchronized by both."""
    painter = fenced.painter
    manager = painter.bind(MANAGER, 1)
    sync = painter.make("wp_linux_drm_syncobj_surface_v1", manager, "get_surface", fenced.surface)
    os.close(fenced.set_fence())
    fenced.show()
    assert error_of(fenced.client) == (sync, SurfaceError.NO_ACQUIRE_POINT)
