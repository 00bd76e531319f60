"""The launcher's event loop and its timers, for the process of the X11 side."""

import time
from collections.abc import Callable

from launcher.loop import Loop, Timer


class TimedLoop(Loop):
    """Serves fds and timers, and calls `after_round` when all that is ready has been served."""

    __slots__ = ("_ended", "after_round")

    def __init__(self) -> None:
        super().__init__()
        self._ended = False
        self.after_round: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Serves until `stop` is called."""
        while not self._ended:
            self._round(None)
            self.after_round()

    def stop(self) -> None:
        """Lets `run` return after the current round."""
        self._ended = True


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
