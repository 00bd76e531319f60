"""wp_linux_drm_syncobj_v1: acquire and release are points of timelines of the guest's kernel.

A compositor that knows the protocol, too, is told of them (`host_timelines`), under the ids of the client's
objects.  A surface has its object there only as long as the buffers that it shows are synchronized by the
compositor, which takes no others then.
"""

import os
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final, Protocol

from crossdomain.abi.points import Point
from crossdomain.bridge.fences import Fence
from crossdomain.wire import Record, WireFault
from launcher.relay.messages import (
    DROP_REQUEST,
    Anchor,
    RequestHandler,
    Route,
    ToHost,
)
from launcher.relay.stand_ins import StandIns
from launcher.relay.sync.commits import Commits
from launcher.relay.sync.host_timelines import HostTimelines
from launcher.relay.sync.surface import Attached, Synchronization, Synchronizations

_NEW: Final = Struct("<8xI")
_NEW_AND_SURFACE: Final = Struct("<8xII")
_POINT: Final = Struct("<8xIII")
"""timeline, point's high and low 32 bits."""


class ManagerError(IntEnum):
    """Codes of wp_linux_drm_syncobj_manager_v1.error."""

    SURFACE_EXISTS = 0
    INVALID_TIMELINE = 1


class SurfaceError(IntEnum):
    """Codes of wp_linux_drm_syncobj_surface_v1.error."""

    NO_SURFACE = 1
    UNSUPPORTED_BUFFER = 2
    NO_BUFFER = 3
    NO_ACQUIRE_POINT = 4
    NO_RELEASE_POINT = 5
    CONFLICTING_POINTS = 6


class Timeline(Protocol):
    """See `crossdomain.bridge.syncobj.Timeline`."""

    def fence(self, point: int, /) -> Fence:
        """A fence that is over when `point` has signalled."""
        ...

    def signal(self, point: int, /) -> None:
        """`point` and all before it have signalled."""
        ...

    def close(self) -> None:
        """Forgets it."""
        ...


class SyncDevice(Protocol):
    """See `crossdomain.bridge.syncobj.SyncDevice`."""

    def import_timeline(self, fd: int, /) -> Timeline:
        """The timeline behind an fd, which stays the caller's."""
        ...


class _SharedTimeline:
    """A timeline of the client's, kept as long as a point of it may be signalled."""

    __slots__ = ("_timeline", "_users", "at_host", "object_id")

    def __init__(self, timeline: Timeline, object_id: int) -> None:
        """Takes ownership of `timeline`; the caller is its first user."""
        self._timeline = timeline
        self.object_id = object_id
        self.at_host: HostTimelines | None = None
        """Where the compositor has it, too."""
        self._users = 1

    def fence(self, point: int) -> Fence:
        """A fence of that point."""
        return self._timeline.fence(point)

    def signal(self, point: int) -> None:
        """The client is told of that point."""
        self._timeline.signal(point)

    def use(self) -> None:
        """One more needs it."""
        self._users += 1

    def leave(self) -> None:
        """One less does."""
        self._users -= 1
        if self._users:
            return
        self._timeline.close()
        if self.at_host is not None:
            self.at_host.leave_timeline(self.object_id)


class _Point:
    """One point of a timeline; a `surface.Acquire`, a `surface.PendingRelease` and a `NamedPoint`."""

    __slots__ = ("point", "timeline")

    def __init__(self, timeline: _SharedTimeline, point: int) -> None:
        timeline.use()
        self.timeline = timeline
        self.point = point

    @property
    def named(self) -> Point:
        """See `NamedPoint`."""
        return Point(self.timeline.object_id, self.point)

    def fence(self) -> Fence:
        """See `NamedPoint`."""
        return self.timeline.fence(self.point)

    @property
    def is_over(self) -> bool:
        """Whether it has signalled."""
        fence = self.fence()
        try:
            return not fence.is_pending
        finally:
            fence.close()

    def take(self) -> Fence:
        """See `Acquire`."""
        try:
            return self.fence()
        finally:
            self.drop()

    def drop(self) -> None:
        """Nobody needs it."""
        self.timeline.leave()

    def signal(self) -> None:
        """The buffer may be used again."""
        self.timeline.signal(self.point)
        self.drop()

    def cancel(self) -> None:
        """Nothing is to be told of it."""
        self.drop()


class _SyncSurface(Synchronization[_Point, _Point]):
    """One wp_linux_drm_syncobj_surface_v1."""

    __slots__ = ("_at_host", "_host", "_is_on_host", "_manager_id")

    def __init__(self, object_id: int, surface_id: int, host: HostTimelines | None, manager_id: int) -> None:
        """`manager_id` is the client's, which `host` may have, too."""
        super().__init__(object_id, surface_id)
        self._host = host
        self._manager_id = manager_id
        self._is_on_host = False
        self._at_host: list[_Point] = []
        """Acquire points that the compositor may still wait for."""

    def begin(self, attached: Attached) -> list[Fence]:
        """See `SurfaceSync`."""
        host = self._host
        if host is not None:
            self._drop_at_host([point for point in self._at_host if not host.waits_for(point)])
        return super().begin(attached)

    def can_leave(self, acquire: _Point, release: _Point) -> bool:
        """See `Synchronization`."""
        host = self._host
        if host is None or acquire.timeline.at_host is None or release.timeline.at_host is None:
            return False
        return host.has_room and (self._is_on_host or host.has_manager(self._manager_id))

    def leave(self, acquire: _Point, release: _Point) -> ToHost:
        """See `Synchronization`."""
        host, surface_id = self._host, self.surface_id
        if host is None or surface_id is None:
            acquire.drop()
            release.cancel()
            return DROP_REQUEST
        made = b""
        if not self._is_on_host:
            made = host.make_surface(self._manager_id, self._object_id, surface_id)
            self._is_on_host = True
        self._at_host.append(_Point(acquire.timeline, acquire.point))
        return ToHost(made + host.tell(self._object_id, acquire, release))

    def awaited_at_host(self) -> Iterator[Fence]:
        """See `Synchronization`."""
        return (point.fence() for point in self._at_host)

    def forget(self) -> None:
        """See `SurfaceSync`."""
        super().forget()
        self._drop_at_host(self._at_host)

    def _drop_at_host(self, points: list[_Point]) -> None:
        kept = [point for point in self._at_host if point not in points]
        for point in points:
            point.drop()
        self._at_host = kept

    def keep(self) -> ToHost | None:
        """See `Synchronization`."""
        if self._host is None or not self._is_on_host:
            return None
        # A compositor forgets whom to tell of releases with the object, for commits that it still holds.
        self._host.tell_again([point.named for point in self._at_host])
        self._drop_at_host(self._at_host)
        self._is_on_host = False
        return ToHost(self._host.leave_surface(self._object_id))

    def check(self, attached: Attached) -> None:
        """See `Synchronization`."""
        acquire, release = self.acquire, self.release
        if not (attached.attaches and attached.is_shown):
            if acquire is not None or release is not None:
                raise self.fault(SurfaceError.NO_BUFFER, "points without a buffer")
            return
        if not attached.is_dmabuf:
            raise self.fault(SurfaceError.UNSUPPORTED_BUFFER, "the buffer is no dmabuf")
        if acquire is None:
            raise self.fault(SurfaceError.NO_ACQUIRE_POINT, "a buffer without an acquire point")
        if release is None:
            raise self.fault(SurfaceError.NO_RELEASE_POINT, "a buffer without a release point")
        if acquire.timeline is release.timeline and acquire.point >= release.point:
            text = f"acquire point {acquire.point} is not before release point {release.point}"
            raise self.fault(SurfaceError.CONFLICTING_POINTS, text)


class Timelines:
    """wp_linux_drm_syncobj_manager_v1 of one client; a `messages.Part` and a `messages.EmulatedGlobal`."""

    interface = "wp_linux_drm_syncobj_manager_v1"
    behind = "wl_compositor"
    version = 1

    def __init__(
        self,
        stand_ins: StandIns,
        device: SyncDevice,
        commits: Commits,
        at_host: HostTimelines | None = None,
    ) -> None:
        """`device` stays the caller's, as `at_host`, of which `stand_ins` are, too."""
        self._device = device
        self._commits = commits
        self._stand_ins = stand_ins
        self._at_host = at_host
        self._timelines: dict[int, _SharedTimeline] = {}
        self._surfaces: Synchronizations[_SyncSurface] = Synchronizations()

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """See `EmulatedGlobal`."""
        del version
        bound = None if self._at_host is None else self._at_host.bind(anchor, object_id)
        return ToHost(self._stand_ins.create(object_id)) if bound is None else bound

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        manager, surface = "wp_linux_drm_syncobj_manager_v1", "wp_linux_drm_syncobj_surface_v1"
        return {
            (manager, "destroy"): self._handle_destroy,
            (manager, "get_surface"): self._handle_get_surface,
            (manager, "import_timeline"): self._handle_import_timeline,
            ("wp_linux_drm_syncobj_timeline_v1", "destroy"): self._handle_destroy_timeline,
            (surface, "destroy"): self._handle_destroy_surface,
            (surface, "set_acquire_point"): self._handle_set_acquire_point,
            (surface, "set_release_point"): self._handle_set_release_point,
        }

    def close(self) -> None:
        """Gives all timelines up."""
        self._surfaces.close()
        for timeline in self._timelines.values():
            timeline.leave()
        self._timelines.clear()

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST if self._at_host is None else self._at_host.leave_manager(record.object_id)

    def _handle_get_surface(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        object_id, surface_id = _NEW_AND_SURFACE.unpack_from(data, record.offset)
        if self._surfaces.has(surface_id):
            text = f"surface {surface_id} has explicit synchronization already"
            raise WireFault(record.object_id, ManagerError.SURFACE_EXISTS, text)
        surface = _SyncSurface(object_id, surface_id, self._at_host, record.object_id)
        self._surfaces.add(object_id, surface)
        self._commits.add(surface_id, surface)
        return ToHost(self._stand_ins.create(object_id))

    def _handle_import_timeline(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        (object_id,) = _NEW.unpack_from(data, record.offset)
        (fd,) = fds
        try:
            timeline = self._import(record.object_id, fd)
            shared = self._timelines[object_id] = _SharedTimeline(timeline, object_id)
            if self._at_host is not None:
                given = self._at_host.import_timeline(record.object_id, object_id, fd)
                if given is not None:
                    shared.at_host = self._at_host
                    return given
        finally:
            os.close(fd)
        return ToHost(self._stand_ins.create(object_id))

    def _import(self, manager_id: int, fd: int) -> Timeline:
        try:
            return self._device.import_timeline(fd)
        except OSError as error:
            text = f"the timeline can't be imported: {error.strerror}"
            raise WireFault(manager_id, ManagerError.INVALID_TIMELINE, text) from None

    def _handle_destroy_timeline(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._timelines.pop(record.object_id).leave()
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    def _handle_destroy_surface(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        surface = self._surfaces.remove(record.object_id)
        self._commits.remove(surface)
        self._stand_ins.leave(record.object_id)
        return surface.keep() or DROP_REQUEST

    def _handle_set_acquire_point(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        surface, point = self._point(record, data)
        if surface.acquire is not None:
            surface.acquire.drop()
        surface.acquire = point
        return DROP_REQUEST

    def _handle_set_release_point(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        surface, point = self._point(record, data)
        if surface.release is not None:
            surface.release.drop()
        surface.release = point
        return DROP_REQUEST

    def _point(self, record: Record, data: memoryview) -> tuple[_SyncSurface, _Point]:
        timeline_id, high, low = _POINT.unpack_from(data, record.offset)
        surface = self._surfaces[record.object_id]
        if surface.surface_id is None:
            raise surface.fault(SurfaceError.NO_SURFACE, "the surface is gone")
        return surface, _Point(self._timelines[timeline_id], high << 32 | low)
