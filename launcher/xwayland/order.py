"""Keeps Xwayland's two connections in order where that matters: what it was asked for on the X connection
is done before it hears what the compositor says next.

It reads its connections in no order that one could rely on.  Without this, what is clicked right after the
pointer has come would go to whichever X window was on top before, and a key that is pressed right after the
keyboard has come to whichever had it.
"""

from collections.abc import Callable
from typing import Final

from launcher.loop import Timer
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient

_PATIENCE: Final = 0.5
"""Seconds after which the compositor's events go on all the same: an X client may have the server for itself
(GrabServer), and wait for its user's click."""


def _nothing_is_due() -> bool:
    return False


class Order:
    """Of one session."""

    def __init__(self, client: XClient, mediator: Mediator, loop: TimedLoop) -> None:
        self._client = client
        self._mediator = mediator
        self._loop = loop
        self._is_asking = False
        self._is_due: Callable[[], bool] = _nothing_is_due
        self._timer: Timer | None = None

    def hold(self, is_due: Callable[[], bool] = _nothing_is_due) -> bool:
        """To be asked by who handles an event: whether that has to wait (`Verdict.HOLD`).

        It does until the X server has done all that it was asked, and an X client what `is_due` (`look`),
        but for a server or a client that takes too long.
        """
        if self._is_asking:
            return False
        self._is_asking = True
        self._is_due = is_due
        self._client.ask(requests.get_input_focus(), self._answered)
        self._timer = self._loop.call_later(_PATIENCE, self._go_on)
        return True

    def look(self) -> None:
        """Something that was due may be done."""
        if self._timer is not None and not self._is_asking and not self._is_due():
            self._go_on()

    def close(self) -> None:
        """Waits for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _answered(self, _reply: bytes) -> None:
        self._is_asking = False
        self.look()

    def _go_on(self) -> None:
        self.close()
        self._mediator.go_on()
