"""Timelines in the test's hands, which a client's fds lead to."""

import errno
import os
from collections.abc import Callable

from crossdomain.bridge.fences import Fence


class FakeTimeline:
    """One timeline; the fd that leads to it is a memory file of its own."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("timeline")
        self.signalled: list[int] = []
        """Points that the relay has signalled, in order."""
        self.watch: Callable[[], None] = lambda: None
        """Called whenever the relay signals a point."""
        self.users = 0
        """How often it is imported and not closed."""
        self._waiting: list[tuple[int, int]] = []
        self._reached = 0

    def reach(self, point: int) -> None:
        """A device has come to that point."""
        self._reached = max(self._reached, point)
        for wanted, eventfd in self._waiting:
            if wanted <= self._reached:
                os.eventfd_write(eventfd, 1)

    def fence(self, point: int, /) -> Fence:
        """See `Timeline`."""
        eventfd = os.eventfd(point <= self._reached, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._waiting.append((point, eventfd))
        return Fence.of_eventfd(os.dup(eventfd))

    def signal(self, point: int, /) -> None:
        """See `Timeline`."""
        assert self.users, "the timeline is closed"
        self.signalled.append(point)
        self.watch()

    def close(self) -> None:
        """See `Timeline`."""
        self.users -= 1

    def discard(self) -> None:
        """Gives the test's fds up."""
        os.close(self.fd)
        for _point, eventfd in self._waiting:
            os.close(eventfd)


class FakeSyncDevice:
    """A device that knows the timelines it has made."""

    def __init__(self) -> None:
        self.timelines: list[FakeTimeline] = []

    def create(self) -> FakeTimeline:
        """One more."""
        self.timelines.append(FakeTimeline())
        return self.timelines[-1]

    def import_timeline(self, fd: int, /) -> FakeTimeline:
        """See `SyncDevice`."""
        for timeline in self.timelines:
            if os.path.samestat(os.fstat(fd), os.fstat(timeline.fd)):
                timeline.users += 1
                return timeline
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def close(self) -> None:
        """Gives all up."""
        for timeline in self.timelines:
            timeline.discard()
