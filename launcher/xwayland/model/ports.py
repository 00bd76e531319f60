"""What the model asks of the world: the seams behind which are X and Wayland, or the tests.

Everything is asked for, nothing is waited for; an X window may be gone at any instant, and then a
request does nothing.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from launcher.xwayland.model.geometry import Extents, Rectangle, Size
from launcher.xwayland.model.names import Action, Edge, State, WmState
from launcher.xwayland.model.names import Protocol as WmProtocol

if TYPE_CHECKING:
    from launcher.xwayland.model.window import Window


class XPort(Protocol):
    """The X server, as the window manager uses it.  Windows are their numbers; px of the X screen."""

    def map_window(self, window: int) -> None:
        """Maps a window."""
        ...

    def unmap_window(self, window: int) -> None:
        """Unmaps a window."""
        ...

    def configure_window(self, window: int, rectangle: Rectangle) -> None:
        """Moves and resizes a window, and takes its border away."""
        ...

    def begin_resize(self, window: int, counter: int) -> bool:
        """A window's client is about to get a new size: returns whether it will tell when it has drawn that.

        `counter` is its _NET_WM_SYNC_REQUEST_COUNTER; until then nothing of the window is committed.
        """
        ...

    def move_window(self, window: int, x: int, y: int) -> None:
        """Moves a window, and nothing else."""
        ...

    def notify_configured(self, window: int, rectangle: Rectangle) -> None:
        """Tells a client its geometry, which has not changed (ICCCM 4.1.5)."""
        ...

    def raise_window(self, window: int) -> None:
        """Puts a window on top of all others."""
        ...

    def set_input_focus(self, window: int) -> None:
        """Gives a window the keyboard; 0: nobody has it."""
        ...

    def offer_focus(self, window: int) -> None:
        """Sends WM_TAKE_FOCUS with the server's time, later than what was asked for before."""
        ...

    def send_protocol(self, window: int, protocol: WmProtocol, *data: int) -> None:
        """Sends a WM_PROTOCOLS message; its time is filled in."""
        ...

    def hear_mappings(self, *, wanted: bool) -> None:
        """Whether to tell when a client maps a window that is mapped, as a wish to have it back."""
        ...

    def kill_client(self, window: int) -> None:
        """Ends the connection of the client that made a window."""
        ...

    def end_process(self, window: int, pid: int) -> None:
        """Ends the client that made a window, which hangs: its process too where `pid` is certainly its own.

        `pid` is its _NET_WM_PID, 0 where it has none.
        """
        ...

    def set_desktop(self, window: int) -> None:
        """Writes _NET_WM_DESKTOP: there is one."""
        ...

    def set_wm_state(self, window: int, state: WmState) -> None:
        """Writes WM_STATE."""
        ...

    def set_net_states(self, window: int, states: Iterable[State]) -> None:
        """Writes _NET_WM_STATE."""
        ...

    def set_allowed_actions(self, window: int, actions: Iterable[Action]) -> None:
        """Writes _NET_WM_ALLOWED_ACTIONS."""
        ...

    def set_frame_extents(self, window: int, extents: Extents) -> None:
        """Writes _NET_FRAME_EXTENTS."""
        ...

    def set_active_window(self, window: int) -> None:
        """Writes _NET_ACTIVE_WINDOW; 0 for none."""
        ...

    def set_client_lists(self, mapped: Iterable[int], stacked: Iterable[int]) -> None:
        """Writes _NET_CLIENT_LIST and _NET_CLIENT_LIST_STACKING."""
        ...

    def forget_client_state(self, window: int) -> None:
        """Tells a client that its window is withdrawn (ICCCM 4.1.4), and on no desktop any more (EWMH)."""
        ...


class ShellState(Enum):
    """One state in xdg_toplevel.configure that matters here."""

    MAXIMIZED = 1
    FULLSCREEN = 2
    RESIZING = 3
    ACTIVATED = 4
    TILED_LEFT = 5
    TILED_RIGHT = 6
    TILED_TOP = 7
    TILED_BOTTOM = 8
    SUSPENDED = 9


class Configure(NamedTuple):
    """What the compositor wants of a toplevel; a side of 0 is the client's to choose.

    `serial` is to be given to `ack`; `size` is that of the window with its frame.
    """

    serial: int
    size: Size
    states: frozenset[ShellState]


class FrameKind(Enum):
    """Who draws what is around a window."""

    NONE = 0
    """Nobody, or the window itself."""
    HOST = 1
    """The compositor."""
    OURS = 2


class RolePort(Protocol):
    """A wl_surface with a role."""

    def release(self) -> None:
        """Lets Xwayland's contents go on, which were held back until now."""
        ...

    def pulse(self) -> None:
        """Lets Xwayland commit once more although its contents are held back."""
        ...

    def commit(self) -> None:
        """Applies what was set, now or with Xwayland's commit if one is under way."""
        ...

    def destroy(self) -> None:
        """Takes the role away; nothing is called afterwards."""
        ...


class ToplevelPort(RolePort, Protocol):
    """An xdg_toplevel of the compositor's."""

    def update(self, window: "Window") -> None:
        """Tells the compositor a window's title, class, parent, limits and the like, where they changed."""
        ...

    def set_maximized(self, *, maximized: bool) -> None:
        """Asks for it, or for its end."""
        ...

    def set_fullscreen(self, *, fullscreen: bool) -> None:
        """Asks for it, or for its end."""
        ...

    def set_minimized(self, heard: Callable[[], None]) -> None:
        """Asks for it; `heard` is called, later, once the compositor has told what it did until then."""
        ...

    def move(self) -> None:
        """Lets the user move the window with the button, the finger or the pen that is down; else nothing."""
        ...

    def resize(self, edge: Edge) -> None:
        """Lets the user resize the window in the same way."""
        ...

    def restore(self, denied: Callable[[], None]) -> None:
        """Asks to be shown again after `set_minimized`; `denied` is called where nothing has come of it."""
        ...

    def activate(self, token: str = "") -> None:
        """Asks for the keyboard, where there is a way to: by a token, or by what the user did last."""
        ...

    def demand_attention(self) -> None:
        """Lets the compositor show that the window wants to be looked at, where there is a way to."""
        ...

    def ack(self, serial: int) -> None:
        """What is committed next is the answer to that Configure."""
        ...

    def set_frame(self, kind: FrameKind) -> None:
        """Asks for a kind of frame; `frame_kind` tells what became of it."""
        ...

    def frame_kind(self) -> FrameKind:
        """Who draws the frame."""
        ...

    def show(self, content: Size, frame: Extents, states: frozenset[ShellState]) -> None:
        """Draws the frame around contents of that size, and tells where the window ends.

        Negative extents: parts of the contents that do not count as the window (a shadow).
        """
        ...


class PopupPort(RolePort, Protocol):
    """An xdg_popup, or a wl_subsurface where that fits better."""

    def update(self, window: "Window") -> None:
        """Tells the compositor how a window's contents are to look, where that has changed."""
        ...

    def move(self, rectangle: Rectangle) -> None:
        """Puts it elsewhere; the position is relative to the parent's contents."""
        ...


class ShellPort(Protocol):
    """The compositor's side."""

    def create_toplevel(self, window: "Window") -> ToplevelPort:
        """Gives a window's surface the role of a toplevel; a Configure follows."""
        ...

    def create_popup(self, window: "Window", parent: "Window", rectangle: Rectangle) -> PopupPort:
        """Gives a window's surface a role on top of a parent; a position relative to it follows."""
        ...

    def create_subsurface(self, window: "Window", parent: "Window", rectangle: Rectangle) -> PopupPort:
        """Makes a window's surface a part of a parent's, exactly where it is asked for."""
        ...
