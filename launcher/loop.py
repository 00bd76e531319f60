"""The launcher's event loop: fds and handlers on one epoll, and timers.

asyncio would cost more time to import than everything else that the launcher does until
the application starts.  An idle launcher has no timer, and is never woken.
"""

from __future__ import annotations

import heapq
import select
import time

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

    from launcher.rounds import Rounds

    Handler: TypeAlias = Callable[[int], None]
    """Called with the events that are ready, as a bit set."""

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT
GONE: Final = select.EPOLLHUP | select.EPOLLERR
"""Reported whether asked for or not: a handler that gets it has to read to the end or to let the fd go."""

_TIMER_SLACK: Final = 0.001
"""Seconds that a timer may be early: epoll counts in milliseconds, and a round for nothing helps nobody."""


class Timer:
    """A call to come; `cancel` may be called at any time."""

    __slots__ = ("_callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        """Seconds of the monotonic clock."""
        self._callback: Callable[[], None] | None = callback

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when

    @property
    def is_cancelled(self) -> bool:
        """Whether nothing will be called."""
        return self._callback is None

    def cancel(self) -> None:
        """It is not called any more."""
        self._callback = None

    def fire(self) -> None:
        """Calls it, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Loop:
    """Calls the handlers of ready fds, one round after the other, in the thread that runs it.

    The loop owns no fd but its epoll's; whoever added an fd removes it before closing it.
    """

    __slots__ = ("_epoll", "_handlers", "_removed", "_stopped", "_timers", "has_lanes", "rounds")

    def __init__(self, *, has_lanes: bool = True) -> None:
        """Without lanes all messages are Python's: for tests that compare the two."""
        self.has_lanes = has_lanes
        self.rounds: Rounds | None = None
        """Who waits instead of us, from the first lane on (`launcher.lane`)."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._removed: set[int] = set()
        """In this round."""
        self._stopped = False
        self._timers: list[Timer] = []

    def fileno(self) -> int:
        """Returns the epoll, which stays the loop's."""
        return self._epoll.fileno()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls `callback` once, from the loop."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def add(self, fd: int, events: int, handler: Handler) -> None:
        """Calls `handler` whenever one of `events` is there (level-triggered)."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Waits for other events on an fd that was added; 0 leaves GONE alone."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forgets an fd that was added."""
        self._removed.add(fd)
        del self._handlers[fd]
        if self.rounds is not None:
            self.rounds.forget(fd)
        self._epoll.unregister(fd)

    def run(self) -> None:
        """Serves until `stop` is called."""
        while not self._stopped:
            self._round(None)

    def poll(self) -> None:
        """Serves what is ready now."""
        self._round(0)

    def drain(
        self, busy: Callable[[], bool], seconds: float, progress: Callable[[], int] = lambda: 0
    ) -> None:
        """Serves what is ready now, and what comes while `busy`: until `stop` is called again.

        Gives up after so long without a change of `progress`.
        """
        self._stopped = False
        before = progress()
        left = seconds
        deadline = time.monotonic() + seconds
        while left > 0 and not self._stopped and (self._round(0) or (busy() and self._round(left))):
            if progress() != before:
                before = progress()
                deadline = time.monotonic() + seconds
            left = deadline - time.monotonic()

    def stop(self) -> None:
        """Lets `run` or `drain` return after the current round."""
        self._stopped = True

    def close(self) -> None:
        """Gives the epoll up; the loop can't be used any more."""
        self._handlers.clear()
        self._timers.clear()
        self._epoll.close()

    def _round(self, timeout: float | None) -> int:
        """Returns how many handlers and timers were called."""
        self._removed.clear()
        patience = self._patience(timeout) if self._timers else timeout
        called = self._poll(patience) if self.rounds is None else self.rounds.serve(patience, self._handlers)
        return called + (self._fire_timers() if self._timers else 0)

    def _poll(self, patience: float | None) -> int:
        ready = self._epoll.poll(patience)
        for fd, events in ready:
            # An earlier handler of this round may have removed it.  If the number is in use again, what is
            # ready belongs to the fd before: a client that has just come must not be taken for gone.
            if fd not in self._removed:
                self._handlers[fd](events)
        return len(ready)

    def _patience(self, timeout: float | None) -> float | None:
        """Returns how long may be waited, s."""
        while self._timers and self._timers[0].is_cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            return timeout
        left = max(0.0, self._timers[0].when - time.monotonic())
        return left if timeout is None else min(left, timeout)

    def _fire_timers(self) -> int:
        due = time.monotonic() + _TIMER_SLACK
        fired = 0
        while self._timers and self._timers[0].when <= due:
            heapq.heappop(self._timers).fire()
            fired += 1
        return fired
