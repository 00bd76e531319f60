"""The launcher's event loop with timers, for the process of the X11 side."""

import heapq
import time
from collections.abc import Callable
from typing import Final

from launcher.loop import Loop

_NEVER: Final = None


class Timer:
    """A call to come; `cancel` may be called at any time."""

    __slots__ = ("_callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        """Seconds of the monotonic clock."""
        self._callback: Callable[[], None] | None = callback

    def __lt__(self, other: "Timer") -> bool:
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


class TimedLoop(Loop):
    """Serves fds and timers, and calls `after_round` when all that is ready has been served."""

    __slots__ = ("_ended", "_timers", "after_round")

    def __init__(self) -> None:
        super().__init__()
        self._timers: list[Timer] = []
        self._ended = False
        self.after_round: Callable[[], None] = lambda: None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Calls `callback` once, from the loop."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def run(self) -> None:
        """Serves until `stop` is called."""
        while not self._ended:
            self._round(self._patience())
            now = time.monotonic()
            while self._timers and self._timers[0].when <= now:
                heapq.heappop(self._timers).fire()
            self.after_round()

    def stop(self) -> None:
        """Lets `run` return after the current round."""
        self._ended = True

    def _patience(self) -> float | None:
        """Returns how long may be waited, s."""
        while self._timers and self._timers[0].is_cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            return _NEVER
        return max(0.0, self._timers[0].when - time.monotonic())


class Patience:
    """Calls `ended` when nothing has happened for some time; being told of what happens costs little."""

    __slots__ = ("_deadline", "_ended", "_loop", "_seconds", "_timer")

    def __init__(self, loop: TimedLoop, seconds: float, ended: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ended = ended
        self._deadline: float | None = None
        self._timer: Timer | None = None

    def renew(self) -> None:
        """Something has happened: the time begins anew."""
        self._deadline = time.monotonic() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def pause(self) -> None:
        """Nothing needs to happen until `renew`."""
        self._deadline = None

    def end(self) -> None:
        """It is over."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = self._deadline - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._ended()
