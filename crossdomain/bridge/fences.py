"""A fence as both halves know it: something pending that becomes readable when it is over.

Whatever it was made from, a poll, an asyncio loop's `add_reader` or the launcher's loop waits for it
through `fileno`.  A fence has no timeout of its own: whoever waits sets one (`crossdomain.limits`), because
what a guest or a client has to finish may never be.

    a sync file, such as the out-fence of a virtio-gpu ring    Fence.of_sync_file
    what is being written into a dmabuf                        Fence.of_writers
    a point of a timeline                                      syncobj.Timeline.fence
    an eventfd                                                 Fence.of_eventfd
"""

import os
import select
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from enum import Enum, auto
from typing import Final, Self

from crossdomain.bridge import sync_file

_EVENTFD_LINK: Final = "anon_inode:[eventfd]"
_SYNC_FILE_LINK: Final = "anon_inode:sync_file"
_TIMELINE_LINK: Final = "anon_inode:syncobj_file"
_SIGNALLED_STATUS: Final = 1


class FenceState(Enum):
    """What is known about what a fence stands for."""

    PENDING = auto()
    SIGNALLED = auto()
    FAILED = auto()
    """It is over, and its result is not to be relied on: the device was reset, or timed out."""


class Fence:
    """One fence, which owns its fd."""

    __slots__ = ("_fd", "_has_failed")

    def __init__(self, fd: int, has_failed: Callable[[int], bool]) -> None:
        """Takes ownership of `fd`, which is readable when the fence is over; `has_failed` is asked then."""
        self._fd = fd
        self._has_failed = has_failed

    @classmethod
    def of_sync_file(cls, fd: int) -> Self:
        """A fence of the kernel's.

        Takes ownership of `fd`; it is closed where this raises.

        Raises:
            OSError: it is no sync file.
        """
        try:
            sync_file.status(fd)
        except OSError:
            os.close(fd)
            raise
        return cls(fd, lambda fd: sync_file.status(fd) != _SIGNALLED_STATUS)

    @classmethod
    def of_eventfd(cls, fd: int) -> Self:
        """A fence that signals when somebody writes the eventfd, which nobody reads.

        Takes ownership of `fd`, which has to be one (`is_eventfd`).
        """
        return cls(fd, _never)

    @classmethod
    def of_any(cls, fd: int) -> Self:
        """A fence of whichever kind of fd it is.

        Takes ownership of `fd`; it is closed where this raises.

        Raises:
            OSError: it is neither a sync file nor an eventfd.
        """
        return cls.of_eventfd(fd) if is_eventfd(fd) else cls.of_sync_file(fd)

    @classmethod
    def of_writers(cls, dmabuf: int) -> Self:
        """What is being written into a dmabuf now; the fd stays the caller's, and has to be a dmabuf's."""
        return cls(sync_file.written(dmabuf), _never)

    @property
    def state(self) -> FenceState:
        """What is known now; does not block."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(0):
            return FenceState.PENDING
        return FenceState.FAILED if self._has_failed(self._fd) else FenceState.SIGNALLED

    @property
    def is_pending(self) -> bool:
        """Whether it is not over."""
        return self.state is FenceState.PENDING

    def fileno(self) -> int:
        """Readable when the fence is over, and from then on; the fence's own."""
        return self._fd

    def detach(self) -> int:
        """Returns the fd, which is the caller's; the fence is closed."""
        fd, self._fd = self._fd, -1
        return fd

    def close(self) -> None:
        """Forgets it, pending or not; may be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def gather(fences: Iterable[Fence]) -> list[Fence]:
    """Returns all that are made, which are the caller's; where one can't be made, none stays."""
    with ExitStack() as made:
        gathered = [made.enter_context(closing(fence)) for fence in fences]
        made.pop_all()
    return gathered


def is_fence(fd: int) -> bool:
    """Whether `Fence.of_any` would take `fd`, which stays the caller's."""
    return os.readlink(f"/proc/self/fd/{fd}") in (_EVENTFD_LINK, _SYNC_FILE_LINK)


def is_shareable(fd: int) -> bool:
    """Whether `fd`, which stays the caller's, is a sync file or a timeline of DRM's."""
    return os.readlink(f"/proc/self/fd/{fd}") in (_SYNC_FILE_LINK, _TIMELINE_LINK)


def is_eventfd(fd: int) -> bool:
    """Whether `fd`, which stays the caller's, is an eventfd."""
    return os.readlink(f"/proc/self/fd/{fd}") == _EVENTFD_LINK


def _never(_fd: int) -> bool:
    return False
