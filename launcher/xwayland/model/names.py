"""The words of EWMH 1.5 and ICCCM for states, types and protocols, as atoms spell them; roles of Wayland."""

from enum import Enum, IntEnum


class Kind(Enum):
    """Which role a surface has, for good (wl_surface)."""

    TOPLEVEL = "xdg_toplevel"
    POPUP = "xdg_popup"
    SUBSURFACE = "wl_subsurface"


class State(Enum):
    """One atom of _NET_WM_STATE."""

    MODAL = "_NET_WM_STATE_MODAL"
    STICKY = "_NET_WM_STATE_STICKY"
    MAXIMIZED_VERT = "_NET_WM_STATE_MAXIMIZED_VERT"
    MAXIMIZED_HORZ = "_NET_WM_STATE_MAXIMIZED_HORZ"
    SKIP_TASKBAR = "_NET_WM_STATE_SKIP_TASKBAR"
    SKIP_PAGER = "_NET_WM_STATE_SKIP_PAGER"
    HIDDEN = "_NET_WM_STATE_HIDDEN"
    FULLSCREEN = "_NET_WM_STATE_FULLSCREEN"
    ABOVE = "_NET_WM_STATE_ABOVE"
    BELOW = "_NET_WM_STATE_BELOW"
    DEMANDS_ATTENTION = "_NET_WM_STATE_DEMANDS_ATTENTION"
    FOCUSED = "_NET_WM_STATE_FOCUSED"


MAXIMIZED = frozenset({State.MAXIMIZED_VERT, State.MAXIMIZED_HORZ})
"""Both axes: what a compositor understands by it."""

ORDER = frozenset({State.ABOVE, State.BELOW})
"""What no compositor lets a client do: it is remembered for the client, and nobody is promised anything."""

BY_CLIENTS = frozenset(State) - {State.FOCUSED}
"""What a window may begin with; who has the keyboard is not for clients to say."""


class WindowType(Enum):
    """One atom of _NET_WM_WINDOW_TYPE."""

    DESKTOP = "_NET_WM_WINDOW_TYPE_DESKTOP"
    DOCK = "_NET_WM_WINDOW_TYPE_DOCK"
    TOOLBAR = "_NET_WM_WINDOW_TYPE_TOOLBAR"
    MENU = "_NET_WM_WINDOW_TYPE_MENU"
    UTILITY = "_NET_WM_WINDOW_TYPE_UTILITY"
    SPLASH = "_NET_WM_WINDOW_TYPE_SPLASH"
    DIALOG = "_NET_WM_WINDOW_TYPE_DIALOG"
    DROPDOWN_MENU = "_NET_WM_WINDOW_TYPE_DROPDOWN_MENU"
    POPUP_MENU = "_NET_WM_WINDOW_TYPE_POPUP_MENU"
    TOOLTIP = "_NET_WM_WINDOW_TYPE_TOOLTIP"
    NOTIFICATION = "_NET_WM_WINDOW_TYPE_NOTIFICATION"
    COMBO = "_NET_WM_WINDOW_TYPE_COMBO"
    DND = "_NET_WM_WINDOW_TYPE_DND"
    NORMAL = "_NET_WM_WINDOW_TYPE_NORMAL"


class Protocol(Enum):
    """One atom of WM_PROTOCOLS."""

    TAKE_FOCUS = "WM_TAKE_FOCUS"
    DELETE_WINDOW = "WM_DELETE_WINDOW"
    PING = "_NET_WM_PING"
    SYNC_REQUEST = "_NET_WM_SYNC_REQUEST"


class Action(Enum):
    """One atom of _NET_WM_ALLOWED_ACTIONS."""

    MOVE = "_NET_WM_ACTION_MOVE"
    RESIZE = "_NET_WM_ACTION_RESIZE"
    MINIMIZE = "_NET_WM_ACTION_MINIMIZE"
    MAXIMIZE_HORZ = "_NET_WM_ACTION_MAXIMIZE_HORZ"
    MAXIMIZE_VERT = "_NET_WM_ACTION_MAXIMIZE_VERT"
    FULLSCREEN = "_NET_WM_ACTION_FULLSCREEN"
    CLOSE = "_NET_WM_ACTION_CLOSE"


class WmState(IntEnum):
    """WM_STATE (ICCCM 4.1.3.1)."""

    WITHDRAWN = 0
    NORMAL = 1
    ICONIC = 3


class Edge(IntEnum):
    """Which edges of a window a resize moves (xdg_toplevel.resize_edge)."""

    NONE = 0
    TOP = 1
    BOTTOM = 2
    LEFT = 4
    TOP_LEFT = 5
    BOTTOM_LEFT = 6
    RIGHT = 8
    TOP_RIGHT = 9
    BOTTOM_RIGHT = 10
