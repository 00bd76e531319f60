"""One X window, child of the root: what is known of it, and what follows from that."""

from typing import TYPE_CHECKING, Final

from launcher.xwayland.model.geometry import NO_EXTENTS, NO_HINTS, Extents, Rectangle, Size, SizeHints
from launcher.xwayland.model.names import Action, Kind, Protocol, State, WindowType, WmState
from launcher.xwayland.model.properties import (
    IconImage,
    InitialState,
    MotifDecoration,
    MotifFunction,
    MotifHints,
    WmClass,
    WmHints,
)
from launcher.xwayland.model.shape import Shape

if TYPE_CHECKING:
    from launcher.xwayland.model.popup import Popup
    from launcher.xwayland.model.toplevel import Toplevel

_BARE_TYPES: Final = frozenset(
    {
        WindowType.DESKTOP,
        WindowType.DOCK,
        WindowType.SPLASH,
        WindowType.TOOLTIP,
        WindowType.NOTIFICATION,
        WindowType.DROPDOWN_MENU,
        WindowType.POPUP_MENU,
        WindowType.COMBO,
        WindowType.DND,
    }
)
"""Types that no window manager decorates."""


class Window:
    """A window's record; who changes it tells `manager`, which acts."""

    __slots__ = (
        "border_width",
        "dismissals",
        "gtk_extents",
        "hints",
        "icons",
        "is_admitted",
        "is_iconifiable",
        "is_new",
        "is_ready",
        "is_requested",
        "kind",
        "leader",
        "mapped",
        "modes",
        "motif",
        "name",
        "net_name",
        "opacity",
        "override_redirect",
        "pid",
        "protocols",
        "rectangle",
        "role",
        "shape",
        "startup_id",
        "states",
        "surface",
        "sync_counter",
        "transient_for",
        "types",
        "unmaximized",
        "window",
        "wm_class",
        "wm_hints",
        "wm_state",
    )

    def __init__(
        self, window: int, rectangle: Rectangle, border_width: int, *, override_redirect: bool
    ) -> None:
        self.window = window
        self.rectangle = rectangle
        """Inside its border; px of the X screen."""
        self.border_width = border_width
        self.override_redirect = override_redirect
        self.mapped = False
        self.is_new = False
        """Whether nothing was shown of it since it was mapped."""
        self.dismissals = 0
        """How often the compositor has closed it since it was mapped."""
        self.is_ready = False
        """Whether its properties were read since it was mapped, or asked to be."""
        self.is_admitted = False
        """Whether it counts among those that its client may show."""
        self.is_requested = False
        """Whether it asked to be mapped, and is to be once it is ready."""
        self.surface: object | None = None
        """Its wl_surface, which only the shell looks into."""
        self.kind: Kind | None = None
        """Of the roles that its surface has had."""
        self.role: Toplevel | Popup | None = None
        self.wm_state = WmState.WITHDRAWN
        self.states: set[State] = set()
        self.name = ""
        self.net_name = ""
        self.wm_class = WmClass("", "")
        self.hints: SizeHints = NO_HINTS
        self.wm_hints = WmHints()
        self.motif = MotifHints()
        self.types: tuple[WindowType, ...] = ()
        self.protocols: frozenset[Protocol] = frozenset()
        self.transient_for = 0
        self.leader = 0
        self.gtk_extents: Extents | None = None
        self.icons: tuple[IconImage, ...] = ()
        self.pid = 0
        self.startup_id = ""
        self.sync_counter = 0
        self.unmaximized: Size | None = None
        """Its size before one axis was maximised, where one is."""
        self.modes: tuple[Rectangle, ...] = ()
        """Where its client takes outputs to have another mode (RandR), and how large they are to it then."""
        self.opacity = 1.0
        self.is_iconifiable = True
        """Whether the compositor iconifies it, as far as it has said."""
        self.shape: Shape | None = None
        """What it covers of its rectangle, None for all of it."""

    def __repr__(self) -> str:
        return f"window {self.window:#x}"

    @property
    def title(self) -> str:
        """What the title bar shows (EWMH: the newer property counts)."""
        return self.net_name or self.name

    @property
    def application(self) -> str:
        """What the compositor takes as app id."""
        return self.wm_class.name or self.wm_class.instance

    @property
    def outer(self) -> Rectangle:
        """Its rectangle with its border: what its surface shows."""
        x, y, width, height = self.rectangle
        return Rectangle(x, y, width + 2 * self.border_width, height + 2 * self.border_width)

    @property
    def starts_iconic(self) -> bool:
        """Whether it wants to begin as an icon."""
        return self.wm_hints.initial_state is InitialState.ICONIC or State.HIDDEN in self.states

    @property
    def type(self) -> WindowType:
        """The first of its types that we know (EWMH, _NET_WM_WINDOW_TYPE)."""
        if self.types:
            return self.types[0]
        if self.transient_for and not self.override_redirect:
            return WindowType.DIALOG
        return WindowType.NORMAL

    @property
    def wants_frame(self) -> bool:
        """Whether somebody has to decorate it."""
        if self.override_redirect or self.gtk_extents is not None or self.type in _BARE_TYPES:
            return False
        decorations = self.motif.decorations
        return decorations is None or bool(decorations & (MotifDecoration.TITLE | MotifDecoration.BORDER))

    @property
    def wants_title(self) -> bool:
        """Whether its frame has a title bar, and not a border alone."""
        decorations = self.motif.decorations
        return self.wants_frame and (decorations is None or bool(decorations & MotifDecoration.TITLE))

    @property
    def group(self) -> int:
        """The leader of its group: by WM_HINTS, or of its client (WM_CLIENT_LEADER); 0: none."""
        return self.wm_hints.group or self.leader

    @property
    def is_group_dialog(self) -> bool:
        """Whether it is transient for its group where it is for no window alone."""
        return bool(self.transient_for) or WindowType.DIALOG in self.types or State.MODAL in self.states

    @property
    def shadow(self) -> Extents:
        """What it draws itself outside of what counts as the window (_GTK_FRAME_EXTENTS)."""
        return NO_EXTENTS if self.gtk_extents is None else self.gtk_extents

    @property
    def can_resize(self) -> bool:
        """Whether it has more than one size."""
        return not self.hints.is_fixed and self.motif.allows(MotifFunction.RESIZE)

    @property
    def can_maximize(self) -> bool:
        """Whether it makes sense to offer that."""
        return self.can_resize and self.motif.allows(MotifFunction.MAXIMIZE)

    @property
    def can_minimize(self) -> bool:
        """Whether it makes sense to offer that."""
        return self.is_iconifiable and self.motif.allows(MotifFunction.MINIMIZE) and not self.transient_for

    @property
    def can_close(self) -> bool:
        """Whether the user may close it."""
        return self.motif.allows(MotifFunction.CLOSE)

    @property
    def tells_drawn(self) -> bool:
        """Whether its client says when it has drawn a new size (EWMH, _NET_WM_SYNC_REQUEST)."""
        return Protocol.SYNC_REQUEST in self.protocols and self.sync_counter != 0

    @property
    def is_urgent(self) -> bool:
        """Whether it wants to be looked at."""
        return self.wm_hints.urgent or State.DEMANDS_ATTENTION in self.states

    @property
    def actions(self) -> list[Action]:
        """_NET_WM_ALLOWED_ACTIONS."""
        found: list[Action] = []
        if self.motif.allows(MotifFunction.MOVE):
            found.append(Action.MOVE)
        if self.can_resize:
            found += [Action.RESIZE, Action.FULLSCREEN]
        if self.can_maximize:
            found += [Action.MAXIMIZE_HORZ, Action.MAXIMIZE_VERT]
        if self.can_minimize:
            found.append(Action.MINIMIZE)
        if self.can_close:
            found.append(Action.CLOSE)
        return found
