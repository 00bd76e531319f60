"""Who has the keyboard: the compositor decides, X is told (ICCCM 4.1.7)."""

from collections.abc import Callable

from launcher.xwayland.model.names import Protocol
from launcher.xwayland.model.placement import client_of
from launcher.xwayland.model.ports import XPort
from launcher.xwayland.model.window import Window


class Focus:
    """The X input focus."""

    def __init__(self, x: XPort) -> None:
        self._x = x
        self.window: Window | None = None
        """The toplevel that has the keyboard."""
        self.is_due = False
        """Whether that is to take X's focus itself, was asked to, and has not yet."""
        self.taken: Callable[[], None] = lambda: None
        """Called when nothing is due any more."""
        self._holder: Window | None = None
        """The toplevel that has X's focus, as far as X has told."""
        self._way = (False, False)
        """How the window with the keyboard takes it: whether it is given it, whether it is asked to."""

    def set(self, window: Window | None) -> None:
        """The compositor has given the keyboard to a toplevel, or taken it from all of them."""
        if window is self.window:
            return
        self.window = window
        self._x.set_active_window(0 if window is None else window.window)
        if window is None:
            self._x.set_input_focus(0)
            self._settle()
        else:
            self._give(window)

    def refresh(self, window: Window) -> None:
        """Properties of a window have changed: perhaps how it takes the keyboard that it has."""
        if window is self.window and _way_of(window) != self._way:
            self._give(window)

    def change_holder(self, window: Window, *, gained: bool) -> None:
        """X's focus has come to a toplevel, or to a part of it; or has left it."""
        if gained:
            self._holder = window
            if self.window is not None and client_of(window.window) == client_of(self.window.window):
                self._settle()
        elif self._holder is window:
            self._holder = None

    def _give(self, window: Window) -> None:
        """Passive and locally active windows get the focus; those with WM_TAKE_FOCUS are asked to take it.

        What neither gets nor takes it must not be typed into another window.
        """
        gets, takes = self._way = _way_of(window)
        if gets:
            self._x.set_input_focus(window.window)
        elif not takes:
            self._x.set_input_focus(0)
        if takes:
            self._x.offer_focus(window.window)
        if takes and not gets and self._holder is not window:
            self.is_due = True
        else:
            self._settle()

    def _settle(self) -> None:
        if self.is_due:
            self.is_due = False
            self.taken()


def _way_of(window: Window) -> tuple[bool, bool]:
    gets = window.wm_hints.accepts_input or window.override_redirect
    return gets, Protocol.TAKE_FOCUS in window.protocols
