"""The world behind the window manager's model: an X server and a compositor that note what they are asked.

The compositor's half knows the rules of xdg-shell, and fails a test that lets the model break one.
"""

from collections.abc import Callable, Iterable
from typing import Final

from launcher.xwayland.model.geometry import Extents, Rectangle, Size
from launcher.xwayland.model.names import Action, Edge, Protocol, State, WmState
from launcher.xwayland.model.ports import Configure, FrameKind, ShellState
from launcher.xwayland.model.window import Window


class FakeX:
    """`model.ports.XPort`: remembers the last of everything."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.geometry: dict[int, Rectangle] = {}
        self.wm_states: dict[int, WmState] = {}
        self.net_states: dict[int, set[State]] = {}
        self.actions: dict[int, set[Action]] = {}
        self.extents: dict[int, Extents] = {}
        self.hears_mappings = False
        self.focus = 0
        self.active = 0
        self.clients: list[int] = []
        self.stacked: list[int] = []

    def map_window(self, window: int) -> None:
        self.asked.append(("map", window))

    def unmap_window(self, window: int) -> None:
        self.asked.append(("unmap", window))

    def configure_window(self, window: int, rectangle: Rectangle) -> None:
        assert 1 <= rectangle.width <= 32767
        assert 1 <= rectangle.height <= 32767
        self.geometry[window] = rectangle

    def begin_resize(self, window: int, counter: int) -> bool:
        assert counter
        self.asked.append(("resize", window, counter))
        return True

    def move_window(self, window: int, x: int, y: int) -> None:
        self.asked.append(("move", window, x, y))

    def notify_configured(self, window: int, rectangle: Rectangle) -> None:
        self.asked.append(("notify", window, rectangle))

    def raise_window(self, window: int) -> None:
        self.asked.append(("raise", window))

    def set_input_focus(self, window: int) -> None:
        self.focus = window

    def offer_focus(self, window: int) -> None:
        self.asked.append(("offer focus", window))

    def send_protocol(self, window: int, protocol: Protocol, *data: int) -> None:
        self.asked.append(("protocol", window, protocol, *data))

    def hear_mappings(self, *, wanted: bool) -> None:
        assert wanted != self.hears_mappings
        self.hears_mappings = wanted

    def kill_client(self, window: int) -> None:
        self.asked.append(("kill", window))

    def end_process(self, window: int, pid: int) -> None:
        self.asked.append(("end", window, pid))

    def set_desktop(self, window: int) -> None:
        self.asked.append(("desktop", window))

    def set_wm_state(self, window: int, state: WmState) -> None:
        self.wm_states[window] = state

    def set_net_states(self, window: int, states: Iterable[State]) -> None:
        self.net_states[window] = set(states)

    def set_allowed_actions(self, window: int, actions: Iterable[Action]) -> None:
        self.actions[window] = set(actions)

    def set_frame_extents(self, window: int, extents: Extents) -> None:
        assert min(extents) >= 0
        self.extents[window] = extents

    def set_active_window(self, window: int) -> None:
        self.active = window

    def set_client_lists(self, mapped: Iterable[int], stacked: Iterable[int]) -> None:
        self.clients, self.stacked = list(mapped), list(stacked)
        assert sorted(self.clients) == sorted(self.stacked)

    def forget_client_state(self, window: int) -> None:
        self.wm_states[window] = WmState.WITHDRAWN
        self.net_states[window] = set()


class _FakeRole:
    """What is the same for all roles."""

    def __init__(self, shell: "FakeShell", window: Window) -> None:
        assert window.surface is not None, "a role without a surface"
        assert window.surface not in shell.roles, "a surface with two roles"
        shell.roles[window.surface] = self.as_role()
        self.shell = shell
        self.window = window
        self.surface: object = window.surface
        self.alive: bool = True
        self.released: bool = False

    def as_role(self) -> "FakeToplevel | FakePopup":
        """Itself, as one of the two kinds that there are."""
        assert isinstance(self, FakeToplevel | FakePopup)
        return self

    def release(self) -> None:
        assert self.alive
        self.released = True

    def pulse(self) -> None:
        assert self.alive
        assert not self.released

    def commit(self) -> None:
        assert self.alive

    def destroy(self) -> None:
        assert self.alive
        on_it = [other for other in self.shell.roles.values() if getattr(other, "parent", None) is self]
        assert not on_it, "a role was destroyed below a popup"
        self.alive = False
        del self.shell.roles[self.surface]


class FakeToplevel(_FakeRole):
    """`model.ports.ToplevelPort`."""

    def __init__(self, shell: "FakeShell", window: Window) -> None:
        super().__init__(shell, window)
        self.sent: list[int] = []
        self.acked: int = 0
        self.kind: FrameKind = FrameKind.NONE
        self.asked: list[tuple[str, object]] = []
        self.shown: tuple[Size, Extents, frozenset[ShellState]] | None = None
        self.hears: list[Callable[[], None]] = []
        self.denies: list[Callable[[], None]] = []

    def next_configure(self, size: Size, states: frozenset[ShellState]) -> Configure:
        """What a compositor sends next."""
        self.shell.serial += 1
        self.sent.append(self.shell.serial)
        return Configure(self.shell.serial, size, states)

    def release(self) -> None:
        assert self.acked, "contents before the first configure was answered"
        super().release()

    def update(self, window: Window) -> None:
        assert self.alive
        assert window is self.window

    def set_maximized(self, *, maximized: bool) -> None:
        assert self.alive
        self.asked.append(("maximized", maximized))

    def set_fullscreen(self, *, fullscreen: bool) -> None:
        assert self.alive
        self.asked.append(("fullscreen", fullscreen))

    def set_minimized(self, heard: Callable[[], None]) -> None:
        assert self.alive
        self.asked.append(("minimized", True))
        self.hears.append(heard)

    def hear(self) -> None:
        """All that it was asked is carried out."""
        hears, self.hears = self.hears, []
        for heard in hears:
            heard()

    def move(self) -> None:
        assert self.alive
        self.asked.append(("move", True))

    def resize(self, edge: Edge) -> None:
        assert self.alive
        self.asked.append(("resize", edge))

    def restore(self, denied: Callable[[], None]) -> None:
        assert self.alive
        self.asked.append(("restored", True))
        self.denies.append(denied)

    def deny(self) -> None:
        """Nothing has come of what it was asked for."""
        denies, self.denies = self.denies, []
        for denied in denies:
            denied()

    def activate(self, token: str = "") -> None:
        assert self.alive
        self.asked.append(("activate", token))

    def demand_attention(self) -> None:
        assert self.alive
        self.asked.append(("attention", True))

    def ack(self, serial: int) -> None:
        assert self.alive
        assert serial in self.sent, "an answer to what was not asked, or a second one"
        assert serial > self.acked
        self.acked = serial

    def set_frame(self, kind: FrameKind) -> None:
        assert self.alive
        self.kind = kind

    def frame_kind(self) -> FrameKind:
        return self.kind

    def show(self, content: Size, frame: Extents, states: frozenset[ShellState]) -> None:
        assert self.alive
        self.shown = (content, frame, states)


class FakePopup(_FakeRole):
    """`model.ports.PopupPort`."""

    def __init__(self, shell: "FakeShell", window: Window, parent: Window, rectangle: Rectangle) -> None:
        super().__init__(shell, window)
        port = None if parent.role is None else parent.role.port
        assert port is not None, "a popup on nothing"
        carrier = next((role for role in shell.roles.values() if role is port), None)
        assert carrier is not None, "a popup on what is gone"
        assert carrier.released, "a popup on what is not shown yet"
        self.parent: _FakeRole = carrier
        self.place: Rectangle = rectangle

    def update(self, window: Window) -> None:
        assert self.alive
        assert window is self.window

    def move(self, rectangle: Rectangle) -> None:
        assert self.alive
        self.place = rectangle


class FakeShell:
    """`model.ports.ShellPort`."""

    def __init__(self) -> None:
        self.roles: Final[dict[object, FakeToplevel | FakePopup]] = {}
        self.serial = 0
        self._kinds: dict[object, str] = {}
        """What kind of role each surface has had, which it keeps for good (wl_surface)."""

    def create_toplevel(self, window: Window) -> FakeToplevel:
        self._take(window, "xdg_toplevel")
        return FakeToplevel(self, window)

    def create_popup(self, window: Window, parent: Window, rectangle: Rectangle) -> FakePopup:
        self._take(window, "xdg_popup")
        return FakePopup(self, window, parent, rectangle)

    def create_subsurface(self, window: Window, parent: Window, rectangle: Rectangle) -> FakePopup:
        self._take(window, "wl_subsurface")
        return FakePopup(self, window, parent, rectangle)

    def _take(self, window: Window, kind: str) -> None:
        assert self._kinds.setdefault(window.surface, kind) == kind, "a surface with a second kind of role"
