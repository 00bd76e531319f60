"""A host's device with timelines, in the test's hands: `crossdomain.context.timelines.TimelineMaker`."""

import errno
import os

from crossdomain.bridge.fences import Fence


class HostTimeline:
    """One of this kernel's, which is the test's."""

    def __init__(self) -> None:
        self.file = os.memfd_create("timeline")
        self.signalled: list[int] = []
        self.refuses = False
        """Whether the kernel has no memory for a signal."""
        self.closed = False
        self._waiting: dict[int, int] = {}

    def fence(self, point: int, /) -> Fence:
        """See `timelines.Timeline`."""
        if point not in self._waiting:
            self._waiting[point] = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return Fence.of_eventfd(os.dup(self._waiting[point]))

    def signal(self, point: int, /) -> None:
        """See `timelines.Timeline`."""
        assert not self.closed
        if self.refuses:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.signalled.append(point)

    def release(self, point: int) -> None:
        """The compositor signals a point."""
        os.eventfd_write(self._waiting[point], 1)

    def export(self) -> int:
        """See `timelines.Timeline`."""
        return os.dup(self.file)

    def close(self) -> None:
        """See `timelines.Timeline`."""
        assert not self.closed
        self.closed = True
        for fd in (self.file, *self._waiting.values()):
            os.close(fd)


class HostDevice:
    """What timelines are made on."""

    def __init__(self) -> None:
        self.made: list[HostTimeline] = []

    def create_timeline(self) -> HostTimeline:
        """See `timelines.TimelineMaker`."""
        self.made.append(HostTimeline())
        return self.made[-1]
