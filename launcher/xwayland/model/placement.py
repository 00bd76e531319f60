"""Where windows go: on which parent, and where on the X screen.

The X screen is only a place for X clients to reckon in: no compositor tells where its windows
really are.  What counts is that a menu is where its client reckons it to be, relative to the window
that it belongs to.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from launcher.xwayland.limits import MAX_TREE_DEPTH
from launcher.xwayland.model.geometry import Extents, Rectangle, Screen, client_position, on_screen
from launcher.xwayland.model.names import Kind, WindowType
from launcher.xwayland.model.popup import Popup
from launcher.xwayland.model.toplevel import Toplevel
from launcher.xwayland.model.window import Window

_CLIENT_MASK: Final = ~0x1FFFFF
"""A resource's number without the bits that its client chooses (xserver, RESOURCE_AND_CLIENT_COUNT)."""
_EXACT_TYPES: Final = frozenset({WindowType.DND, WindowType.NOTIFICATION, WindowType.SPLASH})
"""Types that a compositor should not move to where it thinks fit."""
_ON_WINDOWS: Final = frozenset(
    {
        WindowType.MENU,
        WindowType.DROPDOWN_MENU,
        WindowType.POPUP_MENU,
        WindowType.COMBO,
        WindowType.TOOLTIP,
        WindowType.DND,
    }
)
"""Types that always belong to another window."""


def client_of(window: int) -> int:
    """Returns what is the same for all windows of one X client."""
    return window & _CLIENT_MASK


def choose_role(
    window: Window, windows: Mapping[int, Window], recent: Sequence[Window], focused: Window | None
) -> tuple[Kind, Window | None]:
    """Returns a window's role and the parent that it needs.

    `recent`: shown windows, the one that was used last first.
    """
    if not window.override_redirect:
        return Kind.TOPLEVEL, None
    parent = _find_parent(window, windows, recent, focused)
    if parent is None:
        return Kind.TOPLEVEL, None
    if window.type in _EXACT_TYPES or not _frame_of(parent).touches(window.outer):
        return Kind.SUBSURFACE, root_of(parent)
    return Kind.POPUP, parent


def keep_kind(kind: Kind, parent: Window | None, before: Kind | None) -> tuple[Kind, Window | None]:
    """Returns what a chosen role becomes for a surface that has had one of the kind `before`, which it keeps.

    What was on a window and now has none stays without a role: its parent is None then.
    """
    if before in (None, kind):
        return kind, parent
    if before is Kind.SUBSURFACE and parent is not None:
        return before, root_of(parent)
    return before, None if before is Kind.TOPLEVEL else parent


def root_of(window: Window) -> Window:
    """Returns the toplevel that a window is on."""
    for _ in range(MAX_TREE_DEPTH):
        if not isinstance(window.role, Popup):
            break
        window = window.role.parent
    return window


def shown_parent(window: Window, windows: Mapping[int, Window]) -> Window | None:
    """Returns the nearest toplevel that a window is transient for; circles lead nowhere.

    A dialog that names no window that we know, the root for one, is transient for its group (EWMH,
    Implementation notes).
    """
    if window.is_group_dialog and window.transient_for not in windows:
        return _shown_of_group(window, windows)
    seen = {window.window}
    following = window.transient_for
    for _ in range(MAX_TREE_DEPTH):
        parent = windows.get(following)
        if parent is None or parent.window in seen:
            return None
        if isinstance(parent.role, Toplevel):
            return parent
        seen.add(parent.window)
        following = parent.transient_for
    return None


def _shown_of_group(window: Window, windows: Mapping[int, Window]) -> Window | None:
    """Returns the leader of a window's group, or the latest of its main windows, where one is shown."""
    if not window.group:
        return None
    leader = windows.get(window.group)
    if leader is not None and leader is not window and isinstance(leader.role, Toplevel):
        return None if leader.transient_for or leader.is_group_dialog else leader
    for other in reversed(list(windows.values())):
        is_main = not other.transient_for and not other.is_group_dialog
        if other.group == window.group and is_main and isinstance(other.role, Toplevel):
            return other
    return None


def initial_place(window: Window, screen: Screen, extents: Extents, parent: Window | None) -> Rectangle:
    """Returns where on the X screen a new toplevel goes: where it asks to be, else in an output's middle.

    It is all on one, with its frame's title where there is room.
    """
    x, y, width, height = window.rectangle
    if window.hints.positioned:
        x, y = client_position(x, y, window.hints.gravity, extents, window.border_width)
    else:
        around = screen.part_for(Rectangle(0, 0, width, height)) if parent is None else parent.rectangle
        x = around.x + (around.width - width) // 2
        y = around.y + (around.height - height) // 2
    place = Rectangle(max(x, extents.left), max(y, extents.top), width, height)
    return on_screen(place, screen)


def _find_parent(
    window: Window, windows: Mapping[int, Window], recent: Sequence[Window], focused: Window | None
) -> Window | None:
    """Returns the window that an override-redirect one belongs to.

    Toplevels come before menus, so that a menu can stay when the one beside it closes; only a submenu that
    is beside its window needs a menu as parent.  Input methods' windows belong to nobody of their client.
    """
    others = [other for other in recent if other is not window and other.role is not None]
    own = [other for other in others if client_of(other.window) == client_of(window.window)]
    toplevels = [other for other in own if isinstance(other.role, Toplevel)]
    named = windows.get(window.transient_for)
    if named is not None and named in others and isinstance(named.role, Toplevel):
        toplevels.insert(0, named)
    touching = _first_touching(window, [*toplevels, *own])
    if touching is not None:
        return touching
    if toplevels and (toplevels[0] is named or window.type in _ON_WINDOWS):
        return toplevels[0]
    if focused is not None and focused in others and _frame_of(focused).touches(window.outer):
        return focused
    return None


def _first_touching(window: Window, others: Iterable[Window]) -> Window | None:
    place = window.outer
    for other in others:
        if _frame_of(other).touches(place):
            return other
    return None


def _frame_of(window: Window) -> Rectangle:
    """Returns what a window covers with its frame."""
    if isinstance(window.role, Toplevel):
        return window.outer.grown(window.role.extents)
    return window.outer
