"""The loop's rounds in C: they serve open lanes (`launcher.lane`), and call handlers for all else.

`launcher.loop` has them from the first lane on: what it needs before an application starts is less.
"""

import errno
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from crossdomain.native import ffi, lib

if TYPE_CHECKING:
    from crossdomain.native._core import LoopPointer


class Rounds:
    """One epoll's, in the thread that waits there."""

    __slots__ = ("pointer",)

    def __init__(self, epoll_fd: int) -> None:
        """The epoll stays the caller's; its entries' data are their fds."""
        pointer = lib.xd_loop_create(epoll_fd)
        if not pointer:
            raise MemoryError
        self.pointer: Final[LoopPointer] = ffi.gc(pointer, lib.xd_loop_free)
        """For `launcher.lane`."""

    def serve(self, patience: float | None, handlers: Mapping[int, Callable[[int], None]]) -> int:
        """Waits for so many seconds (None: for ever) until something is ready, and serves that.

        Returns how many handlers were called, and how often a lane needed none.
        """
        pointer = self.pointer
        served = pointer.served
        called = 0
        found = self._wait(patience)
        while found:
            handlers[pointer.fd](pointer.events)
            called += 1
            found = lib.xd_loop_next(pointer)
        return called + pointer.served - served

    def forget(self, fd: int) -> None:
        """The fd leaves the epoll: what is ready of it in this round is nobody's."""
        lib.xd_loop_detach(self.pointer, fd)

    def _wait(self, patience: float | None) -> int:
        deadline = None if patience is None else time.monotonic() + patience
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            found = lib.xd_loop_wait(self.pointer, -1 if left is None else math.ceil(left * 1000))
            if found >= 0:
                return found
            if found != -errno.EINTR:
                raise OSError(-found, os.strerror(-found))
