"""What clients ask of the window manager: ConfigureRequest, and client messages of ICCCM and EWMH."""

from enum import Enum, IntEnum, IntFlag
from typing import Final, NamedTuple

from launcher.xwayland.model.geometry import (
    NO_EXTENTS,
    Extents,
    Gravity,
    Rectangle,
    Size,
    client_position,
    constrain,
    on_screen,
)
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.names import BY_CLIENTS, MAXIMIZED, Edge, State
from launcher.xwayland.model.popup import Popup
from launcher.xwayland.model.properties import MotifFunction
from launcher.xwayland.model.toplevel import Toplevel
from launcher.xwayland.model.window import Window

_SOURCE_SHIFT: Final = 8
_GRAVITY_MASK: Final = 0xFF


class ConfigureMask(IntFlag):
    """Which values of a ConfigureRequest are meant."""

    X = 1
    Y = 2
    WIDTH = 4
    HEIGHT = 8
    BORDER_WIDTH = 16


class Wish(NamedTuple):
    """What a client wants its window to be; only what `mask` has is meant."""

    mask: ConfigureMask
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0
    border_width: int = 0


class Change(Enum):
    """The action of a _NET_WM_STATE message."""

    REMOVE = 0
    ADD = 1
    TOGGLE = 2


class Direction(IntEnum):
    """The direction of a _NET_WM_MOVERESIZE message."""

    MOVE = 8
    SIZE_KEYBOARD = 9
    MOVE_KEYBOARD = 10
    CANCEL = 11
    """Nothing is to be done: the compositor ends a drag by itself with the button."""


_EDGES: Final = {
    0: Edge.TOP_LEFT,
    1: Edge.TOP,
    2: Edge.TOP_RIGHT,
    3: Edge.RIGHT,
    4: Edge.BOTTOM_RIGHT,
    5: Edge.BOTTOM,
    6: Edge.BOTTOM_LEFT,
    7: Edge.LEFT,
    Direction.SIZE_KEYBOARD: Edge.BOTTOM_RIGHT,
}
"""By the direction of a _NET_WM_MOVERESIZE message."""

_KEPT: Final = frozenset(
    {
        State.MODAL,
        State.STICKY,
        State.SKIP_TASKBAR,
        State.SKIP_PAGER,
        State.ABOVE,
        State.BELOW,
        State.DEMANDS_ATTENTION,
    }
)
"""States that we only remember and show: no compositor lets a client set them."""


class Requests:
    """Decides what clients get of what they ask for."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def configure(self, window: Window, wish: Wish) -> None:
        """ConfigureRequest (ICCCM 4.1.5)."""
        if window.role is None:
            self._configure_hidden(window, wish)
            return
        if isinstance(window.role, Popup):
            self._grant(window, self._wanted(window, wish, Gravity.STATIC))
            return
        self._configure_toplevel(window, window.role, wish, window.hints.gravity)

    def move_resize(self, window: Window, flags: int, x: int, y: int, width: int, height: int) -> None:
        """_NET_MOVERESIZE_WINDOW."""
        number = flags & _GRAVITY_MASK
        gravity = Gravity(number) if 1 <= number <= Gravity.STATIC else window.hints.gravity
        wish = Wish(ConfigureMask(flags >> _SOURCE_SHIFT & 0xF), x, y, width, height)
        if isinstance(window.role, Toplevel):
            self._configure_toplevel(window, window.role, wish, gravity)

    def change_states(self, window: Window, change: Change, states: frozenset[State]) -> None:
        """_NET_WM_STATE."""
        on = change is Change.ADD or (change is Change.TOGGLE and not states <= window.states)
        before = set(window.states)
        if window.role is None:
            # What counts then is what it has when it is mapped.
            self._switch(window, states & BY_CLIENTS, on=on)
        else:
            self._switch(window, states & _KEPT, on=on)
            self._ask(window, states, on=on)
        if window.states != before:
            self._manager.x.set_net_states(window.window, window.states)
            self._manager.refresh(window)

    def iconify(self, window: Window) -> None:
        """WM_CHANGE_STATE to IconicState."""
        if isinstance(window.role, Toplevel):
            self._manager.minimize(window)

    def activate(self, window: Window) -> None:
        """_NET_ACTIVE_WINDOW."""
        if State.HIDDEN in window.states:
            self._manager.restore(window)
        elif isinstance(window.role, Toplevel):
            window.role.port.activate()

    def close(self, window: Window) -> None:
        """_NET_CLOSE_WINDOW."""
        if window.role is not None:
            self._manager.close(window)

    def drag(self, window: Window, direction: int) -> None:
        """_NET_WM_MOVERESIZE: the client's own title bar or grip was taken with the pointer.

        Where it was to be done by keyboard, a pointer with a button down does it as well, as it can with
        other window managers; without one it is not done, for xdg-shell knows no other way.
        """
        if not isinstance(window.role, Toplevel):
            return
        if direction in (Direction.MOVE, Direction.MOVE_KEYBOARD):
            if window.motif.allows(MotifFunction.MOVE):
                window.role.port.move()
        elif direction in _EDGES and window.can_resize:
            window.role.port.resize(_EDGES[direction])

    def tell_frame_extents(self, window: Window) -> None:
        """_NET_REQUEST_FRAME_EXTENTS: a client wants to know before it maps its window."""
        self._manager.x.set_frame_extents(window.window, self._manager.expected_extents(window))

    def _configure_hidden(self, window: Window, wish: Wish) -> None:
        """A window that is not shown gets what it wants; its frame counts as soon as it is to be shown."""
        if wish.mask & ConfigureMask.BORDER_WIDTH:
            window.border_width = min(wish.border_width, 0xFFFF)
        is_framed = window.is_ready and not window.override_redirect
        gravity = window.hints.gravity if is_framed else Gravity.STATIC
        window.rectangle = self._wanted(window, wish, gravity)
        self._manager.x.configure_window(window.window, window.rectangle)

    def _configure_toplevel(self, window: Window, role: Toplevel, wish: Wish, gravity: Gravity) -> None:
        wanted = self._wanted(window, wish, gravity)
        wanted = on_screen(wanted, self._manager.screen)
        if role.is_exact:
            wanted = wanted._replace(width=window.rectangle.width, height=window.rectangle.height)
        self._grant(window, wanted)
        role.client_resized(wanted.size)

    def _grant(self, window: Window, wanted: Rectangle) -> None:
        same_size = wanted.size == window.rectangle.size
        moved = wanted != window.rectangle
        window.rectangle = wanted
        if moved:
            self._manager.x.configure_window(window.window, wanted)
        if same_size:
            # ICCCM 4.1.5: it is told in any case, in coordinates of the root.
            self._manager.x.notify_configured(window.window, wanted)

    def _wanted(self, window: Window, wish: Wish, gravity: Gravity) -> Rectangle:
        x, y, width, height = window.rectangle
        if wish.mask & (ConfigureMask.WIDTH | ConfigureMask.HEIGHT):
            width = wish.width if wish.mask & ConfigureMask.WIDTH else width
            height = wish.height if wish.mask & ConfigureMask.HEIGHT else height
            width, height = constrain(Size(width, height), window.hints, exactly=True)
        placed = client_position(wish.x, wish.y, gravity, self._extents(window))
        if wish.mask & ConfigureMask.X:
            x = placed[0]
        if wish.mask & ConfigureMask.Y:
            y = placed[1]
        return Rectangle(x, y, width, height)

    def _extents(self, window: Window) -> Extents:
        if isinstance(window.role, Toplevel):
            return Extents(*(max(0, side) for side in window.role.extents))
        if window.role is None:
            return self._manager.expected_extents(window)
        return NO_EXTENTS

    def _ask(self, window: Window, states: frozenset[State], *, on: bool) -> None:
        """Asks the compositor for what only it can do; its next Configure tells what became of it."""
        if not isinstance(window.role, Toplevel):
            return
        port = window.role.port
        if State.FULLSCREEN in states:
            port.set_fullscreen(fullscreen=on)
        if states & MAXIMIZED:
            self._maximize(window, window.role, states & MAXIMIZED, on=on)
        if State.HIDDEN in states:
            if on:
                self._manager.minimize(window)
            else:
                self._manager.restore(window)

    def _maximize(self, window: Window, role: Toplevel, axes: frozenset[State], *, on: bool) -> None:
        """Both axes are the compositor's to maximise, one alone is a size of our own."""
        if axes | window.states >= MAXIMIZED and (on or window.states >= MAXIMIZED):
            role.port.set_maximized(maximized=on)
            return
        self._switch(window, axes, on=on)
        size = window.rectangle.size
        if on:
            window.unmaximized = window.unmaximized or size
            size = constrain(self._along(axes, window.rectangle, self._extents(window)), window.hints)
        elif window.unmaximized is not None:
            size, window.unmaximized = window.unmaximized, None
        wanted = window.rectangle._replace(width=size.width, height=size.height)
        self._grant(window, on_screen(wanted, self._manager.screen))
        role.client_resized(size)

    def _along(self, axes: frozenset[State], place: Rectangle, extents: Extents) -> Size:
        """Returns a window's size with one side as long as its output leaves it."""
        part = self._manager.screen.part_for(place)
        if State.MAXIMIZED_VERT in axes:
            return place.size._replace(height=part.height - extents.top - extents.bottom)
        return place.size._replace(width=part.width - extents.left - extents.right)

    def _switch(self, window: Window, states: frozenset[State], *, on: bool) -> None:
        if on:
            window.states |= states
        else:
            window.states -= states
