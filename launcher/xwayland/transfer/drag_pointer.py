"""X's pointer during a drag that an X client began: it has to go where the client finds the right window.

What the client finds is asked for on the window manager's X connection, and the pointer moves on the
Wayland connection.  So it moves when the X server has answered that all that was asked is done.
"""

from collections.abc import Callable
from typing import Final

from launcher.xwayland.model.window import Window
from launcher.xwayland.wayland.stand_in import StandIn
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient

_FIXED: Final = 256
"""One px, 24.8 fixed."""


class DragPointer:
    """One pointer.  Places are px, 24.8 fixed."""

    def __init__(self, client: XClient, stand_in: StandIn, origin: Window | None) -> None:
        """`origin` is the window that the drag began on."""
        self._client = client
        self.stand_in = stand_in
        self._origin = origin
        self._place = (stand_in.x, stand_in.y)
        self._is_asking = False
        self._is_stale = False
        self._release: Callable[[], None] | None = None
        self.is_released = False

    def enter(self, window: Window | None, x: int, y: int) -> None:
        """Moves to a place of a window that was put there just now."""
        self._is_stale = True
        self.move(window, x, y)

    def move(self, window: Window | None, x: int, y: int) -> None:
        """Moves to a place of a window."""
        if window is not None and self._origin is not None:
            x += (_left(window) - _left(self._origin)) * _FIXED
            y += (_top(window) - _top(self._origin)) * _FIXED
        self._place = (x, y)
        self._ask()

    def nudge(self) -> None:
        """Moves as little as makes the client look what is below."""
        x, y = self._place
        self._place = (x - _FIXED if x >= _FIXED else x + _FIXED, y)
        self._is_stale = True
        self._ask()

    def release(self, released: Callable[[], None]) -> None:
        """Releases the button when all else is done; `released` is called then."""
        if not self.is_released and self._release is None:
            self._release = released
            self._is_stale = True
            self._ask()

    def end(self) -> None:
        """Releases the button, if it was not yet, and gives the pointer back; may be called again."""
        self._release = None
        if not self.is_released:
            self.is_released = True
            self.stand_in.release()
        self.stand_in.end()

    def _ask(self) -> None:
        if not self._is_asking:
            self._is_asking = True
            self._is_stale = False
            self._client.ask(requests.get_input_focus(), self._answered)

    def _answered(self, _reply: bytes) -> None:
        self._is_asking = False
        if self._is_stale:
            self._ask()
            return
        if self.is_released:
            return
        if self._place != (self.stand_in.x, self.stand_in.y):
            self.stand_in.move(*self._place)
        released, self._release = self._release, None
        if released is not None:
            self.end()
            released()


def _left(window: Window) -> int:
    return window.rectangle.x + window.border_width


def _top(window: Window) -> int:
    return window.rectangle.y + window.border_width
