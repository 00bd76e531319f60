"""Who has the keyboard: the compositor decides, X is told (ICCCM 4.1.7)."""

from launcher.xwayland.model.names import Protocol
from launcher.xwayland.model.ports import XPort
from launcher.xwayland.model.window import Window


class Focus:
    """The X input focus."""

    def __init__(self, x: XPort) -> None:
        self._x = x
        self.window: Window | None = None
        """The toplevel that has the keyboard."""

    def set(self, window: Window | None) -> None:
        """The compositor has given the keyboard to a toplevel, or taken it from all of them."""
        if window is self.window:
            return
        self.window = window
        self._x.set_active_window(0 if window is None else window.window)
        if window is None:
            self._x.set_input_focus(0)
        else:
            self._give(window)

    def give_again(self) -> None:
        """The window with the keyboard has changed how it takes it."""
        if self.window is not None:
            self._give(self.window)

    def _give(self, window: Window) -> None:
        """Passive and locally active windows get the focus; those with WM_TAKE_FOCUS are asked to take it.

        What neither gets nor takes it must not be typed into another window.
        """
        if window.wm_hints.accepts_input or window.override_redirect:
            self._x.set_input_focus(window.window)
        elif Protocol.TAKE_FOCUS not in window.protocols:
            self._x.set_input_focus(0)
        if Protocol.TAKE_FOCUS in window.protocols:
            self._x.offer_focus(window.window)
