"""Where the kernel has no room for what is sent, though the socket has: no event tells when it has again.

Descriptors that nobody has received yet count for the user that sends them (unix(7), ETOOMANYREFS), so
one who does not receive can keep others waiting.
"""

import asyncio
import errno
from collections.abc import Callable
from typing import Final

RETRY_SECONDS: Final = 0.01
"""When it is tried again."""

_CROWDED: Final = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})


def is_crowded(error: OSError) -> bool:
    """Whether what could not be sent may be sent later."""
    return error.errno in _CROWDED


class Room:
    """When one socket takes more: the loop tells, or it is tried again where the kernel is crowded."""

    __slots__ = ("_fd", "_found", "_is_watched", "_loop", "_retry")

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, found: Callable[[], None]) -> None:
        """`found` is called while it is waited for; `stop` before the fd is closed."""
        self._loop = loop
        self._fd = fd
        self._found = found
        self._is_watched = False
        self._retry: asyncio.TimerHandle | None = None

    def wait(self, error: OSError) -> bool:
        """Waits for room after this error; returns False where there will never be any."""
        crowded = is_crowded(error)
        if not crowded and not isinstance(error, BlockingIOError):
            return False
        if crowded:
            self.stop()
            self._retry = self._loop.call_later(RETRY_SECONDS, self._found)
        elif not self._is_watched:
            self._is_watched = True
            self._loop.add_writer(self._fd, self._found)
        return True

    def stop(self) -> None:
        """Waits no more.  May be called again."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_writer(self._fd)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
