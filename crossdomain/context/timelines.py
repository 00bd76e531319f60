"""Timelines of a guest's that the compositor knows: each is one of this kernel's (`crossdomain.abi.points`).

The guest's messages name them as they are.  On their way the points are noted: the compositor's wait for
a point of the guest's has an end, whatever the guest does, and the guest is told of each point that the
compositor signals.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from crossdomain.abi.cross_domain import Buffer, encode_read
from crossdomain.abi.points import POINTS, Point, encode_points, most_points, parse_points
from crossdomain.bridge.fences import Fence
from crossdomain.context.edits import REQUEST, Messages, Passing, find
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import GUEST_FENCE_SECONDS, MAX_PENDING_POINTS, MAX_TIMELINES
from crossdomain.wire.codec import decode_arguments, integer

_log = logging.getLogger("crossdomain.context")

MANAGER: Final = "wp_linux_drm_syncobj_manager_v1"
"""The global that a guest sees which knows of points."""
_TIMELINE: Final = "wp_linux_drm_syncobj_timeline_v1"
_SURFACE: Final = "wp_linux_drm_syncobj_surface_v1"
_IMPORT: Final = find(MANAGER, REQUEST, "import_timeline")
_SET_POINT: Final = find(_SURFACE, REQUEST, "set_acquire_point")
"""set_release_point has the same arguments."""


class Timeline(Protocol):
    """See `crossdomain.bridge.syncobj.Timeline`."""

    def fence(self, point: int, /) -> Fence:
        """A fence that is over when `point` has signalled."""
        ...

    def signal(self, point: int, /) -> None:
        """`point` and all before it have signalled."""
        ...

    def export(self) -> int:
        """A new fd of it, which is the caller's."""
        ...

    def close(self) -> None:
        """Forgets it; the compositor keeps it."""
        ...


class TimelineMaker(Protocol):
    """See `crossdomain.bridge.syncobj.SyncDevice`."""

    def create_timeline(self) -> Timeline:
        """A new one, which is the caller's."""
        ...


class _Mirrored:
    """A timeline that a guest has, too."""

    __slots__ = ("awaited", "promised", "timeline")

    def __init__(self, timeline: Timeline) -> None:
        """Takes ownership."""
        self.timeline = timeline
        self.promised: dict[int, asyncio.TimerHandle] = {}
        """Points that the guest has to tell of, and what happens where it does not."""
        self.awaited: dict[int, Fence] = {}
        """Points that the compositor signals."""


class GuestTimelines:
    """Those of one client; also an `outbox.Source` of what is told of them."""

    def __init__(self) -> None:
        """The guest has none before `open`."""
        self.queued = False
        self._maker: TimelineMaker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: Callable[[], None] = _nobody
        self._guard: Callable[[Callable[[], None]], None] = _unguarded
        self._name = ""
        self._sent: dict[int, Timeline] = {}
        """By fd: on their way to the walk."""
        self._timelines: dict[int, _Mirrored] = {}
        """By the id of the guest's object."""
        self._signalled: deque[Point] = deque()
        """What the guest is not told of yet."""

    @property
    def descriptors(self) -> int:
        """Fds that are held for points of the compositor's."""
        return sum(len(mirrored.awaited) for mirrored in self._timelines.values())

    def open(
        self,
        maker: TimelineMaker,
        name: str,
        wake: Callable[[], None],
        guard: Callable[[Callable[[], None]], None],
    ) -> None:
        """The guest may have timelines from now on; the running loop is the one that waits for points.

        Args:
            maker: where they are made; stays the caller's.
            name: the client's, for log lines.
            wake: is called when there is an event for the guest.
            guard: calls what the loop brings; a fault in it ends the client.
        """
        self._maker = maker
        self._name = name
        self._wake = wake
        self._guard = guard
        self._loop = asyncio.get_running_loop()

    def create(self) -> int:
        """A new timeline for import_timeline; returns its fd, which is the caller's.

        Raises:
            GuestFault: there are none here.
            LimitExceeded: it has too many.
            OSError: the kernel has no more.
        """
        if self._maker is None:
            raise GuestFault("there are no timelines here")
        if len(self._timelines) + len(self._sent) >= MAX_TIMELINES:
            raise LimitExceeded(f"more than {MAX_TIMELINES} timelines")
        timeline = self._maker.create_timeline()
        try:
            fd = timeline.export()
        except OSError:
            timeline.close()
            raise
        self._sent[fd] = timeline
        return fd

    def check(self, fds: Sequence[int]) -> None:
        """Whether the fds of a message other than import_timeline may cross.

        Raises:
            GuestFault: one of them is of a timeline that was made for it.
        """
        if self._sent and not self._sent.keys().isdisjoint(fds):
            raise GuestFault("a timeline was sent with another message than import_timeline")

    def signal(self, data: Buffer) -> None:
        """A WRITE of POINTS: these are over in the guest.  What is not waited for any more is passed over.

        Raises:
            LimitExceeded: the kernel refuses.
        """
        for timeline_id, point in parse_points(data):
            mirrored = self._timelines.get(timeline_id)
            timer = None if mirrored is None else mirrored.promised.pop(point, None)
            if mirrored is None or timer is None:
                continue
            timer.cancel()
            _signal(mirrored.timeline, point)

    def next_event(self, room: int) -> bytes | None:
        """See `outbox.Source`."""
        count = min(len(self._signalled), most_points(room))
        if not count:
            return None
        return encode_read(POINTS, encode_points(self._signalled.popleft() for _ in range(count)))

    def close(self) -> None:
        """Forgets all; what the compositor waits for then is its affair: the client is over.

        May be called again.
        """
        while self._timelines:
            self._forget(self._timelines.popitem()[1])
        while self._sent:
            self._sent.popitem()[1].close()
        self._signalled.clear()

    def handle_import(self, request: Passing) -> None:
        """wp_linux_drm_syncobj_manager_v1.import_timeline."""
        timeline_id = integer(decode_arguments(_IMPORT, request.data)[0])
        # An id in use is the compositor's to refuse, which takes a while.
        self._end(timeline_id)
        timeline = self._sent.pop(request.fds[0], None) if request.fds else None
        if timeline is not None:
            self._timelines[timeline_id] = _Mirrored(timeline)

    def handle_destroy(self, request: Passing) -> None:
        """wp_linux_drm_syncobj_timeline_v1.destroy."""
        self._end(request.object_id)

    def handle_acquire(self, request: Passing) -> None:
        """wp_linux_drm_syncobj_surface_v1.set_acquire_point."""
        named, mirrored = self._named(request)
        if mirrored is None or self._loop is None or named.point in mirrored.promised:
            return
        give_up = partial(self._give_up, mirrored, named.point)
        mirrored.promised[named.point] = self._loop.call_later(GUEST_FENCE_SECONDS, self._guard, give_up)

    def handle_release(self, request: Passing) -> None:
        """wp_linux_drm_syncobj_surface_v1.set_release_point."""
        named, mirrored = self._named(request)
        if mirrored is None or self._loop is None or named.point in mirrored.awaited:
            return
        try:
            fence = mirrored.timeline.fence(named.point)
        except OSError as error:
            raise LimitExceeded(f"a point can't be waited for: {error.strerror}") from error
        mirrored.awaited[named.point] = fence
        self._loop.add_reader(fence.fileno(), self._guard, partial(self._released, named, mirrored))

    def _end(self, timeline_id: int) -> None:
        """The guest names it no more, if there is one: the compositor gets what it waits for."""
        mirrored = self._timelines.pop(timeline_id, None)
        if mirrored is None:
            return
        try:
            if mirrored.promised:
                _signal(mirrored.timeline, max(mirrored.promised))
        finally:
            self._forget(mirrored)

    def _named(self, request: Passing) -> tuple[Point, _Mirrored | None]:
        """The point that a request names, and its timeline, where that is a guest's."""
        timeline_id, high, low = (integer(value) for value in decode_arguments(_SET_POINT, request.data))
        mirrored = self._timelines.get(timeline_id)
        if mirrored is not None and self._pending >= MAX_PENDING_POINTS:
            raise LimitExceeded(f"more than {MAX_PENDING_POINTS} points that are not signalled")
        return Point(timeline_id, high << 32 | low), mirrored

    @property
    def _pending(self) -> int:
        pending = (len(found.promised) + len(found.awaited) for found in self._timelines.values())
        return sum(pending) + len(self._signalled)

    def _give_up(self, mirrored: _Mirrored, point: int) -> None:
        text = "%s: a fence of the guest's is not over after %s s: the compositor waits no more"
        _log.warning(text, self._name, GUEST_FENCE_SECONDS)
        del mirrored.promised[point]
        _signal(mirrored.timeline, point)

    def _released(self, named: Point, mirrored: _Mirrored) -> None:
        self._stop_waiting(mirrored.awaited.pop(named.point))
        self._signalled.append(named)
        self._wake()

    def _stop_waiting(self, fence: Fence) -> None:
        if self._loop is not None:
            self._loop.remove_reader(fence.fileno())
        fence.close()

    def _forget(self, mirrored: _Mirrored) -> None:
        for timer in mirrored.promised.values():
            timer.cancel()
        while mirrored.awaited:
            self._stop_waiting(mirrored.awaited.popitem()[1])
        mirrored.timeline.close()


def _signal(timeline: Timeline, point: int) -> None:
    try:
        timeline.signal(point)
    except OSError as error:
        raise LimitExceeded(f"a point can't be signalled: {error.strerror}") from error


def _nobody() -> None:
    """Nobody is told."""


def _unguarded(call: Callable[[], None]) -> None:
    call()


HANDLERS: Final[Messages[GuestTimelines]] = {
    (MANAGER, REQUEST, "import_timeline"): GuestTimelines.handle_import,
    (_TIMELINE, REQUEST, "destroy"): GuestTimelines.handle_destroy,
    (_SURFACE, REQUEST, "set_acquire_point"): GuestTimelines.handle_acquire,
    (_SURFACE, REQUEST, "set_release_point"): GuestTimelines.handle_release,
}
