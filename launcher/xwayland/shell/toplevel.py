"""A window's xdg_toplevel (xdg-shell): `model.ports.ToplevelPort` in Wayland's words."""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crossdomain.wire.codec import Value, integer
from launcher.xwayland.decorations.frame import Frame
from launcher.xwayland.decorations.layout import BUTTONS, FrameState, Part
from launcher.xwayland.model.geometry import NO_EXTENTS, Extents, Size
from launcher.xwayland.model.names import Edge, State
from launcher.xwayland.model.placement import shown_parent
from launcher.xwayland.model.ports import Configure, FrameKind, ShellState
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.icon import Icon
from launcher.xwayland.shell.look import Look
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.surfaces import Surface

if TYPE_CHECKING:
    from launcher.xwayland.shell.shell import Shell

_KNOWN_STATES: Final = frozenset(state.value for state in ShellState)
_MINIMIZE: Final = 4
"""xdg_toplevel.wm_capabilities."""
_CLIENT_SIDE: Final = 1
_SERVER_SIDE: Final = 2
"""zxdg_toplevel_decoration_v1.mode."""


class ToplevelRole:
    """One xdg_toplevel and what belongs to it."""

    def __init__(self, shell: "Shell", window: Window, surface: Surface) -> None:
        self._shell = shell
        self.window = window
        self.surface = surface
        surface.owner = self
        self.xdg_surface = shell.objects["xdg_wm_base"].create("get_xdg_surface", surface.entry)
        self.xdg_surface.handlers["configure"] = self._handle_configure
        self.toplevel = self.xdg_surface.create("get_toplevel")
        self.toplevel.handlers["configure"] = self._handle_toplevel
        self.toplevel.handlers["close"] = self._handle_close
        self.toplevel.handlers["wm_capabilities"] = self._handle_capabilities
        self._icon = Icon(shell.icons, self.toplevel)
        self._look = Look(shell, window, surface)
        self._size = Size(0, 0)
        self._states: frozenset[ShellState] = frozenset()
        self._sent: dict[str, object] = {}
        self._parent: ToplevelRole | None = None
        """As the compositor was told."""
        self._decoration: Proxy | None = None
        self._dialog: Proxy | None = None
        self._wanted_kind = FrameKind.NONE
        self._mode = 0
        self._geometry: tuple[int, int, int, int] | None = None
        self._frame: Frame | None = None
        self._shown: tuple[Size, Extents, frozenset[ShellState]] | None = None

    # `model.ports.ToplevelPort`.

    def update(self, window: Window) -> None:
        """See `model.ports.ToplevelPort`."""
        self._set("set_title", window.title)
        self._set("set_app_id", window.application)
        self._set_parent(window)
        self._set_limits(window)
        self._icon.set(window.icons)
        changed = self._look.update()
        if self._draw() or changed:
            self.surface.commit()

    def set_maximized(self, *, maximized: bool) -> None:
        """See `model.ports.ToplevelPort`."""
        self.toplevel.send("set_maximized" if maximized else "unset_maximized")

    def set_fullscreen(self, *, fullscreen: bool) -> None:
        """See `model.ports.ToplevelPort`."""
        if fullscreen:
            self.toplevel.send("set_fullscreen", None)
        else:
            self.toplevel.send("unset_fullscreen")

    def set_minimized(self, heard: Callable[[], None]) -> None:
        """See `model.ports.ToplevelPort`."""
        self.toplevel.send("set_minimized")
        # Weston configures what it did for a batch of requests after it has answered them all.
        self._shell.settle(lambda: self._shell.settle(heard))

    def move(self) -> None:
        """See `model.ports.ToplevelPort`."""
        held = self._shell.seats.held
        if held is not None:
            self.toplevel.send("move", *held)

    def resize(self, edge: Edge) -> None:
        """See `model.ports.ToplevelPort`."""
        held = self._shell.seats.held
        if held is not None:
            self.toplevel.send("resize", *held, int(edge))

    def restore(self, denied: Callable[[], None]) -> None:
        """See `model.ports.ToplevelPort`."""

        def asked() -> None:
            # Compositors configure what has come of it after they have answered.
            self._shell.settle(lambda: self._shell.settle(denied))

        if not self._shell.activation.ask(self.window, self.surface, asked):
            denied()

    def activate(self, token: str = "") -> None:
        """See `model.ports.ToplevelPort`."""
        if token:
            self._shell.activation.activate(self.surface, token)
        else:
            self._shell.activation.ask(self.window, self.surface)

    def demand_attention(self) -> None:
        """See `model.ports.ToplevelPort`."""
        self._shell.activation.demand_attention(self.window, self.surface)

    def ack(self, serial: int) -> None:
        """See `model.ports.ToplevelPort`."""
        self.xdg_surface.send("ack_configure", serial)

    def set_frame(self, kind: FrameKind) -> None:
        """See `model.ports.ToplevelPort`."""
        self._wanted_kind = kind
        manager = self._shell.objects.find("zxdg_decoration_manager_v1")
        if manager is None:
            return
        if self._decoration is None:
            self._decoration = manager.create("get_toplevel_decoration", self.toplevel)
            self._decoration.handlers["configure"] = self._handle_decoration
        mode = _SERVER_SIDE if kind is FrameKind.OURS else _CLIENT_SIDE
        if self._sent.get("mode") != mode:
            self._sent["mode"] = mode
            self._decoration.send("set_mode", mode)

    def frame_kind(self) -> FrameKind:
        """See `model.ports.ToplevelPort`."""
        if self._mode == _SERVER_SIDE and self._wanted_kind is not FrameKind.NONE:
            return FrameKind.HOST
        return self._wanted_kind

    def show(self, content: Size, frame: Extents, states: frozenset[ShellState]) -> None:
        """See `model.ports.ToplevelPort`."""
        geometry = (
            -frame.left,
            -frame.top,
            max(1, content.width + frame.left + frame.right),
            max(1, content.height + frame.top + frame.bottom),
        )
        if geometry != self._geometry:
            self._geometry = geometry
            self.xdg_surface.send("set_window_geometry", *geometry)
        self._set_limits(self.window)
        self._shown = (content, frame, states)
        self._draw()

    def release(self) -> None:
        """See `model.ports.RolePort`."""
        if self._shell.objects.places_contents:
            self.surface.entering = self._claim_place
        self.surface.release()

    def pulse(self) -> None:
        """See `model.ports.RolePort`."""
        self.surface.pulse()

    def commit(self) -> None:
        """See `model.ports.RolePort`."""
        self.surface.commit()

    def destroy(self) -> None:
        """See `model.ports.RolePort`."""
        if self._frame is not None:
            self._frame.close()
        if self._dialog is not None:
            self._dialog.send("destroy")
        if self._decoration is not None:
            self._decoration.send("destroy")
        self._icon.destroy()
        self._look.destroy()
        self.toplevel.send("destroy")
        self.xdg_surface.send("destroy")
        self.surface.owner = None
        self.surface.entering = None
        self.surface.hold()

    def is_on(self, other: "ToplevelRole") -> bool:
        """Whether it is another one, or has that as a parent or its parent's, as the compositor was told."""
        at: ToplevelRole | None = self
        while at is not None and at is not other:
            at = at._parent
        return at is not None

    # `decorations.frame.Actions`, with `move` and `resize` from above.

    def close(self) -> None:
        """See `decorations.frame.Actions`."""
        self._shell.manager.close(self.window)

    def toggle_maximized(self) -> None:
        """See `decorations.frame.Actions`."""
        self.set_maximized(maximized=ShellState.MAXIMIZED not in self._states)

    def minimize(self) -> None:
        """See `decorations.frame.Actions`."""
        self._shell.manager.minimize(self.window)

    def show_menu(self, x: int, y: int) -> None:
        """See `decorations.frame.Actions`."""
        last = self._shell.seats.last_input
        if last is not None:
            self.toplevel.send("show_window_menu", last[0], last[1], x, y)

    # `wayland.surfaces.Owner`.

    def surface_commits(self, surface: Surface) -> None:
        """See `wayland.surfaces.Owner`."""
        self._shell.manager.commit(self.window, Size(surface.width, surface.height))

    def surface_destroyed(self, surface: Surface) -> None:
        """See `wayland.surfaces.Owner`."""
        surface.alive = False
        self._shell.manager.set_surface(self.window, None)

    # Events.

    def _handle_toplevel(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._size = Size(max(0, integer(values[0])), max(0, integer(values[1])))
        self._states = frozenset(ShellState(each) for each in _numbers(values[2]) if each in _KNOWN_STATES)

    def _handle_capabilities(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._shell.manager.allow_icon(self.window, allowed=_MINIMIZE in _numbers(values[0]))

    def _handle_configure(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        configure = Configure(integer(values[0]), self._size, self._states)
        self._shell.manager.configure(self.window, configure)

    def _handle_close(self, _values: tuple[Value, ...], _fds: list[int]) -> None:
        self._shell.manager.close(self.window)

    def _handle_decoration(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self._mode = integer(values[0])
        self._shell.manager.refresh(self.window)

    # Details.

    def _claim_place(self) -> None:
        """Has the compositor find a place for the frame as well (`Objects.places_contents`)."""
        viewporter = self._shell.objects.find("wp_viewporter")
        if self._frame is None or self._shown is None or viewporter is None or self.surface.has_viewport:
            return
        _, extents, states = self._shown
        if ShellState.MAXIMIZED in states:
            return
        size = (
            self.surface.width + extents.left + extents.right,
            self.surface.height + extents.top + extents.bottom,
        )
        blank = self._shell.studio.solid(0).proxy
        self.surface.claim(blank, viewporter, size, (extents.left, extents.top))

    def _draw(self) -> bool:
        """Draws the frame, where it is ours to draw; returns whether it has changed."""
        if self._shown is None:
            return False
        content, extents, states = self._shown
        if self.frame_kind() is not FrameKind.OURS or ShellState.FULLSCREEN in states:
            if self._frame is not None:
                self._frame.close()
                self._frame = None
            return False
        if self._frame is None:
            self._frame = Frame(self._shell.studio, self.surface, self)
        window = self.window
        wanted = {
            Part.CLOSE: window.can_close,
            Part.MAXIMIZE: window.can_maximize,
            Part.MINIMIZE: window.can_minimize,
        }
        state = FrameState(
            content,
            extents,
            window.title,
            tuple(part for part in BUTTONS if wanted[part]),
            active=ShellState.ACTIVATED in states,
            maximized=ShellState.MAXIMIZED in states,
            resizable=window.can_resize,
        )
        return self._frame.update(state)

    def _set(self, request: str, value: str) -> None:
        if self._sent.get(request) != value:
            self._sent[request] = value
            self.toplevel.send(request, value)

    def _set_parent(self, window: Window) -> None:
        parent = shown_parent(window, self._shell.manager.windows)
        port = None if parent is None or parent.role is None else parent.role.port
        # A circle would be the client's end (xdg_toplevel.invalid_parent): who closes it has no parent.
        role = port if isinstance(port, ToplevelRole) and not port.is_on(self) else None
        toplevel = None if role is None else role.toplevel
        if role is not self._parent:
            self._parent = role
            self.toplevel.send("set_parent", toplevel)
        self._set_modal(modal=toplevel is not None and (State.MODAL in window.states or window.motif.modal))

    def _set_modal(self, *, modal: bool) -> None:
        manager = self._shell.objects.find("xdg_wm_dialog_v1")
        if manager is None or self._sent.get("modal", False) == modal:
            return
        self._sent["modal"] = modal
        if self._dialog is None:
            self._dialog = manager.create("get_xdg_dialog", self.toplevel)
        self._dialog.send("set_modal" if modal else "unset_modal")

    def _set_limits(self, window: Window) -> None:
        frame = NO_EXTENTS if window.role is None else _extents_of(window)
        hints = window.hints
        smallest = (
            max(0, hints.minimum.width + frame.left + frame.right),
            max(0, hints.minimum.height + frame.top + frame.bottom),
        )
        largest = (0, 0)
        if hints.has_maximum:
            largest = (
                max(smallest[0], hints.maximum.width + frame.left + frame.right),
                max(smallest[1], hints.maximum.height + frame.top + frame.bottom),
            )
        for request, size in (("set_min_size", smallest), ("set_max_size", largest)):
            if self._sent.get(request, (0, 0)) != size:
                self._sent[request] = size
                self.toplevel.send(request, *size)


def _numbers(array: Value) -> tuple[int, ...]:
    data = array if isinstance(array, bytes) else b""
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) & ~3])


def _extents_of(window: Window) -> Extents:
    extents = getattr(window.role, "extents", NO_EXTENTS)
    return extents if isinstance(extents, Extents) else NO_EXTENTS
