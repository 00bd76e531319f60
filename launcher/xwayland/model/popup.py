"""A window on top of another: menus, tooltips, combo boxes, drag icons.

They place themselves on the X screen (override_redirect), where their parent's place is known; the
compositor is told the difference.  Where it moves a popup to keep it on the screen, the X window
follows, so that whatever opens from there opens at the right place again.
"""

from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.ports import PopupPort, XPort
from launcher.xwayland.model.window import Window


class Popup:
    """A window's role on top of `parent`."""

    __slots__ = ("_asked", "_x", "configured", "parent", "port", "window")

    def __init__(self, window: Window, parent: Window, port: PopupPort, asked: Rectangle, x: XPort) -> None:
        """`asked` is where it was put, relative to the parent's contents."""
        self.window = window
        self.parent = parent
        self.port = port
        self._asked = asked
        self._x = x
        self.configured = False

    def configure(self, x: int, y: int) -> None:
        """The compositor has put it there, relative to the parent's contents."""
        moved_x, moved_y = x - self._asked.x, y - self._asked.y
        if moved_x or moved_y:
            rectangle = self.window.rectangle
            self.window.rectangle = rectangle._replace(x=rectangle.x + moved_x, y=rectangle.y + moved_y)
            self._asked = self._asked._replace(x=x, y=y)
            self._x.move_window(self.window.window, self.window.rectangle.x, self.window.rectangle.y)
        if not self.configured:
            self.configured = True
            self.port.release()

    def refresh(self) -> None:
        """Its own place on the X screen, or its parent's, has changed."""
        asked = relative_place(self.window, self.parent)
        if asked != self._asked:
            self._asked = asked
            self.port.move(asked)


def relative_place(window: Window, parent: Window) -> Rectangle:
    """Returns a window's place relative to the upper left corner of its parent's contents."""
    place, origin = window.outer, parent.outer
    return Rectangle(place.x - origin.x, place.y - origin.y, place.width, place.height)
