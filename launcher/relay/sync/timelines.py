"""wp_linux_drm_syncobj_v1: acquire and release are points of timelines of the guest's kernel."""

import os
from enum import IntEnum
from struct import Struct
from typing import Final, Protocol

from crossdomain.bridge.fences import Fence
from crossdomain.wire import Record, WireFault
from launcher.relay.messages import (
    DROP_REQUEST,
    Anchor,
    Host,
    RequestHandler,
    Route,
    ToHost,
)
from launcher.relay.stand_ins import StandIns
from launcher.relay.sync.commits import Commits
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

    __slots__ = ("_timeline", "_users")

    def __init__(self, timeline: Timeline) -> None:
        """Takes ownership of `timeline`; the caller is its first user."""
        self._timeline = timeline
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
        if not self._users:
            self._timeline.close()


class _Point:
    """One point of a timeline; a `surface.Acquire` or a `surface.PendingRelease`."""

    __slots__ = ("point", "timeline")

    def __init__(self, timeline: _SharedTimeline, point: int) -> None:
        timeline.use()
        self.timeline = timeline
        self.point = point

    def take(self) -> Fence:
        """See `Acquire`."""
        try:
            return self.timeline.fence(self.point)
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

    __slots__ = ()

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

    def __init__(self, host: Host, device: SyncDevice, commits: Commits) -> None:
        """`device` stays the caller's."""
        self._device = device
        self._commits = commits
        self._stand_ins = StandIns(host)
        self._timelines: dict[int, _SharedTimeline] = {}
        self._surfaces: Synchronizations[_SyncSurface] = Synchronizations()

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """See `EmulatedGlobal`."""
        del version, anchor
        return ToHost(self._stand_ins.create(object_id))

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
        return DROP_REQUEST

    def _handle_get_surface(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        object_id, surface_id = _NEW_AND_SURFACE.unpack_from(data, record.offset)
        if self._surfaces.has(surface_id):
            text = f"surface {surface_id} has explicit synchronization already"
            raise WireFault(record.object_id, ManagerError.SURFACE_EXISTS, text)
        surface = _SyncSurface(object_id, surface_id)
        self._surfaces.add(object_id, surface)
        self._commits.add(surface_id, surface)
        return ToHost(self._stand_ins.create(object_id))

    def _handle_import_timeline(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        (object_id,) = _NEW.unpack_from(data, record.offset)
        (fd,) = fds
        try:
            self._timelines[object_id] = _SharedTimeline(self._device.import_timeline(fd))
        except OSError as error:
            text = f"the timeline can't be imported: {error.strerror}"
            raise WireFault(record.object_id, ManagerError.INVALID_TIMELINE, text) from None
        finally:
            os.close(fd)
        return ToHost(self._stand_ins.create(object_id))

    def _handle_destroy_timeline(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._timelines.pop(record.object_id).leave()
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    def _handle_destroy_surface(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._commits.remove(self._surfaces.remove(record.object_id))
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

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
