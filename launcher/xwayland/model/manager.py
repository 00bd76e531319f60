"""The window manager: all windows, and what becomes of them.

`x11` calls it with what X clients do, `shell` with what the compositor and its user do.  It answers
through the ports.  Requests of clients that need a decision (ConfigureRequest, client messages) are
in `requests`.
"""

from collections import Counter, OrderedDict
from typing import Final

from launcher.xwayland.limits import MAX_WINDOWS
from launcher.xwayland.model.focus import Focus
from launcher.xwayland.model.frame import FrameMetrics, extents_of
from launcher.xwayland.model.geometry import Extents, Rectangle, Screen, Size, on_screen
from launcher.xwayland.model.names import MAXIMIZED, Kind, Protocol, State, WmState
from launcher.xwayland.model.placement import (
    choose_role,
    client_of,
    initial_place,
    keep_kind,
    root_of,
    shown_parent,
)
from launcher.xwayland.model.popup import Popup, relative_place
from launcher.xwayland.model.ports import Configure, FrameKind, ShellPort, ShellState, XPort
from launcher.xwayland.model.stacking import Stack
from launcher.xwayland.model.toplevel import Toplevel
from launcher.xwayland.model.window import Window

_MAX_DISMISSALS: Final = 3
"""How often a popup comes again that the compositor does not want."""


class Manager:
    """All windows of one X server."""

    def __init__(self, x: XPort, shell: ShellPort, metrics: FrameMetrics) -> None:
        self.x = x
        self._shell = shell
        self._metrics = metrics
        self.windows: dict[int, Window] = {}
        """Children of the root, whatever their state."""
        self.screen = Screen(1, 1)
        self.stack = Stack(x.raise_window)
        self.focus = Focus(x)
        self._recent: OrderedDict[Window, None] = OrderedDict()
        self._managed: dict[Window, None] = {}
        self._orphans: dict[Window, None] = {}
        self._closing: set[Window] = set()
        self._iconic: set[Window] = set()
        self._shares: Counter[int] = Counter()
        """How many windows each X client shows."""
        self._unseen: dict[Window, None] = {}
        """Windows that could get no wl_surface, but for which there will be one."""
        self._pointer: Window | None = None
        """The window that the pointer was on last."""
        self._lists_changed = False

    def resize_screen(self, size: Size) -> None:
        """The X screen has another size."""
        self._keep_windows(self.screen._replace(width=size.width, height=size.height))

    def place_outputs(self, outputs: tuple[Rectangle, ...]) -> None:
        """Outputs have come, gone or changed."""
        self._keep_windows(self.screen._replace(outputs=outputs))

    def _keep_windows(self, screen: Screen) -> None:
        """Has windows stay where they can be pointed at."""
        self.screen = screen
        for window in self._managed:
            place = on_screen(window.rectangle, screen)
            if place != window.rectangle and isinstance(window.role, Toplevel):
                window.rectangle = place
                self.x.move_window(window.window, place.x, place.y)

    # What X clients do.

    def create(
        self, window: int, rectangle: Rectangle, border_width: int, *, override_redirect: bool
    ) -> Window:
        """A window was made; returns its record, to be filled with its properties."""
        record = Window(window, rectangle, border_width, override_redirect=override_redirect)
        self.windows[window] = record
        return record

    def destroy(self, window: int) -> None:
        """A window is gone."""
        record = self.windows.pop(window, None)
        if record is not None:
            self._hide(record)
            self._closing.discard(record)
            self.focus.change_holder(record, gained=False)

    def request_map(self, window: Window) -> None:
        """A client wants its window mapped; its properties are known."""
        if not self.admit(window):
            return
        if not window.mapped and not window.override_redirect:
            self._prepare(window)
        window.is_ready = True
        self.x.map_window(window.window)

    def map(self, window: Window, *, override_redirect: bool) -> None:
        """A window is mapped."""
        window.override_redirect = override_redirect
        window.mapped = True
        window.is_new = True
        window.dismissals = 0
        self.stack.add(window.window)
        if not override_redirect:
            self._managed[window] = None
            self._set_state(window, WmState.NORMAL)
            self._raise_pointer()
        self._lists_changed = True
        self.assign_role(window)

    def unmap(self, window: Window) -> None:
        """A window is unmapped, or its client has withdrawn it."""
        managed = window in self._managed
        self._hide(window)
        window.is_ready = False
        if managed:
            window.states.clear()
            window.unmaximized = None
            window.wm_state = WmState.WITHDRAWN
            self.x.forget_client_state(window.window)

    def move(self, window: Window, rectangle: Rectangle, border_width: int) -> None:
        """A window's place on the X screen is known."""
        window.border_width = border_width
        # All others have the place that we gave them last; what is told may be older than that.
        if window.override_redirect:
            window.rectangle = rectangle
        self._place_children(window)

    def refresh(self, window: Window) -> None:
        """Some of its properties have changed."""
        if isinstance(window.role, Toplevel):
            window.role.port.update(window)
            window.role.port.set_frame(self._frame_kind(window))
            window.role.refresh()
            self._look_for_urgency(window, window.role)
            self.x.set_allowed_actions(window.window, window.actions)
            self.focus.refresh(window)
        elif isinstance(window.role, Popup):
            window.role.port.update(window)

    def drawn(self, window: Window) -> None:
        """A client has drawn the size that its window got last, or does not tell (XPort.begin_resize)."""
        if isinstance(window.role, Toplevel):
            window.role.drawn()

    # What Xwayland does.

    def set_surface(self, window: Window, surface: object | None) -> None:
        """A window has a wl_surface, or none any more."""
        self._drop_role(window)
        if surface != window.surface:
            window.kind = None
        window.surface = surface
        self.assign_role(window)

    def lack_surface(self, window: Window) -> None:
        """There are so many surfaces that the one of this window can't be shown."""
        self._unseen[window] = None

    def show_unseen(self) -> None:
        """There is room again: Xwayland makes another surface for a window that is mapped anew."""
        unseen, self._unseen = self._unseen, {}
        for window in unseen:
            if window.mapped and window.is_admitted:
                self.x.unmap_window(window.window)
                self.x.map_window(window.window)

    def commit(self, window: Window, size: Size) -> None:
        """Xwayland commits contents of that size."""
        if isinstance(window.role, Toplevel):
            window.role.commits(size)

    # What the compositor and its user do.

    def configure(self, window: Window, configure: Configure) -> None:
        """The compositor configures a toplevel."""
        if isinstance(window.role, Toplevel):
            window.role.configure(configure)

    def allow_icon(self, window: Window, *, allowed: bool) -> None:
        """The compositor tells whether it iconifies a toplevel."""
        if window.is_iconifiable != allowed:
            window.is_iconifiable = allowed
            self.x.set_allowed_actions(window.window, window.actions)

    def configure_popup(self, window: Window, x: int, y: int) -> None:
        """The compositor has placed a popup."""
        if isinstance(window.role, Popup):
            window.role.configure(x, y)

    def dismiss_popup(self, window: Window) -> None:
        """The compositor has closed a popup; its client did not want that, so it comes again."""
        if isinstance(window.role, Popup):
            self._drop_role(window)
            window.dismissals += 1
            if window.dismissals <= _MAX_DISMISSALS:
                self.assign_role(window)

    def renew_popup(self, window: Window) -> None:
        """A popup is somewhere else now, where the compositor can't move it."""
        if isinstance(window.role, Popup):
            self._drop_role(window)
            self.assign_role(window)

    def close(self, window: Window) -> None:
        """The user wants a window closed; who did not answer the last time is ended."""
        if window in self._closing:
            self.x.end_process(window.window, window.pid)
            return
        if Protocol.DELETE_WINDOW not in window.protocols:
            self.x.kill_client(window.window)
            return
        self.x.send_protocol(window.window, Protocol.DELETE_WINDOW)
        if Protocol.PING in window.protocols:
            self._closing.add(window)
            self.x.send_protocol(window.window, Protocol.PING, window.window)

    def answer_ping(self, window: Window) -> None:
        """A client has shown that it is alive."""
        self._closing.discard(window)

    def minimize(self, window: Window) -> None:
        """The user, or the client, wants a window out of the way."""
        # A client that believes itself to be out of sight draws no more.
        if isinstance(window.role, Toplevel) and window.is_iconifiable:
            window.role.minimize()
            window.states.add(State.HIDDEN)
            self._set_state(window, WmState.ICONIC)
            self.x.set_net_states(window.window, window.states)

    def restore(self, window: Window) -> None:
        """The client wants a window back that is out of the way (ICCCM 4.1.4)."""
        role = window.role
        if isinstance(role, Toplevel) and State.HIDDEN in window.states:
            role.port.restore(lambda: self._show_anew(window, role))

    def _show_anew(self, window: Window, role: Toplevel) -> None:
        """The compositor does not give a window back; but whatever is new is shown."""
        if window.role is not role or State.HIDDEN not in window.states:
            return
        window.states.discard(State.HIDDEN)
        self._set_state(window, WmState.NORMAL)
        self.x.set_net_states(window.window, window.states)
        self._drop_role(window)
        self.assign_role(window)

    def enter_pointer(self, window: Window) -> None:
        """The pointer is on a window."""
        self._pointer = root_of(window)
        self._use(self._pointer)
        self._raise_pointer()

    def enter_keyboard(self, window: Window | None) -> None:
        """The keyboard is a window's, or nobody's."""
        root = None if window is None else root_of(window)
        if root is not None:
            self._use(root)
            self._raise(root, with_dialogs=True)
            self._raise_pointer()
        before = self.focus.window
        self.focus.set(root)
        for changed in {before, root} - {None}:
            if changed is not None:
                self._update_focused(changed)

    # Lists of windows.

    @property
    def recent(self) -> list[Window]:
        """Windows with a role, the one that was used last first."""
        return list(reversed(self._recent))

    def flush_lists(self) -> None:
        """Publishes the lists of windows where they changed; to be called when all else is done."""
        if self._lists_changed:
            self._lists_changed = False
            managed = [window.window for window in self._managed]
            known = set(managed)
            self.x.set_client_lists(managed, [window for window in self.stack if window in known])

    # `toplevel.ToplevelHost`.

    def toplevel_ready(self, window: Window) -> None:
        """See `toplevel.ToplevelHost`."""
        if window.is_new:
            window.is_new = False
            if window.starts_iconic:
                self.minimize(window)
        if isinstance(window.role, Toplevel):
            if window.startup_id:
                window.role.port.activate(window.startup_id)
            self._look_for_urgency(window, window.role)
        for orphan in tuple(self._orphans):
            self.assign_role(orphan)
        for other in self._managed:
            if other.transient_for == window.window and isinstance(other.role, Toplevel):
                other.role.port.update(other)

    def toplevel_configured(self, window: Window, states: frozenset[ShellState]) -> None:
        """See `toplevel.ToplevelHost`."""
        before = set(window.states)
        if ShellState.MAXIMIZED in states or window.states >= MAXIMIZED:
            # One axis alone is no business of the compositor's.
            _switch(window.states, MAXIMIZED, on=ShellState.MAXIMIZED in states)
        _switch(window.states, {State.FULLSCREEN}, on=ShellState.FULLSCREEN in states)
        if ShellState.ACTIVATED in states:
            window.states.discard(State.HIDDEN)
            window.states.discard(State.DEMANDS_ATTENTION)
            self._set_state(window, WmState.NORMAL)
        if window.states != before:
            self.x.set_net_states(window.window, window.states)

    # Roles.

    def assign_role(self, window: Window) -> None:
        """Gives a window its role as soon as it can have one."""
        self._orphans.pop(window, None)
        if window.role is not None or not window.mapped or window.surface is None or not window.is_ready:
            return
        if not self.admit(window):
            return
        chosen = choose_role(window, self.windows, self.recent, self.focus.window)
        kind, parent = keep_kind(*chosen, window.kind)
        if kind is Kind.TOPLEVEL:
            window.kind = kind
            self._make_toplevel(window)
        elif parent is None or not _can_carry(parent):
            self._orphans[window] = None
        else:
            window.kind = kind
            self._make_popup(window, parent, kind)

    def _make_toplevel(self, window: Window) -> None:
        port = self._shell.create_toplevel(window)
        window.role = Toplevel(window, port, self.x, self, self._metrics)
        port.update(window)
        port.set_frame(self._frame_kind(window))
        if window.states >= MAXIMIZED:
            port.set_maximized(maximized=True)
        if State.FULLSCREEN in window.states:
            port.set_fullscreen(fullscreen=True)
        port.commit()
        self._use(window)

    def _make_popup(self, window: Window, parent: Window, kind: Kind) -> None:
        place = relative_place(window, parent)
        create = self._shell.create_popup if kind is Kind.POPUP else self._shell.create_subsurface
        port = create(window, parent, place)
        port.update(window)
        window.role = Popup(window, parent, port, place, self.x)
        self._use(window)
        if kind is Kind.SUBSURFACE:
            window.role.configure(place.x, place.y)

    def _drop_role(self, window: Window) -> None:
        """Takes a role away, after those of the windows on top, which look for another parent then."""
        if window.role is None:
            return
        on_top = self._find_on_top(window)
        for other in reversed(on_top):
            self._take_role(other)
        self._take_role(window)
        for other in on_top:
            self.assign_role(other)

    def _find_on_top(self, window: Window) -> list[Window]:
        """Returns the windows on top of a window, each one behind the one that it is on."""
        found: list[Window] = []
        for other in tuple(self._recent):
            if isinstance(other.role, Popup) and other.role.parent is window:
                found += [other, *self._find_on_top(other)]
        return found

    def _take_role(self, window: Window) -> None:
        role, window.role = window.role, None
        if role is not None:
            role.port.destroy()
        self._recent.pop(window, None)
        if self.focus.window is window:
            self.focus.set(None)

    def _hide(self, window: Window) -> None:
        """The window is not to be seen any more."""
        window.mapped = False
        self._orphans.pop(window, None)
        self._unseen.pop(window, None)
        self._drop_role(window)
        self._note_iconic(window, is_iconic=False)
        self.stack.remove(window.window)
        self._managed.pop(window, None)
        if window.is_admitted:
            window.is_admitted = False
            self._shares -= Counter((client_of(window.window),))
        self._lists_changed = True
        if self._pointer is window:
            self._pointer = None

    def _place_children(self, window: Window) -> None:
        if isinstance(window.role, Popup):
            window.role.refresh()
        for other in tuple(self._recent):
            if isinstance(other.role, Popup) and other.role.parent is window:
                other.role.refresh()

    def admit(self, window: Window) -> bool:
        """Returns whether a window's client may show it, beside its others; asked before it costs more.

        Whoever takes all that it can leaves twice as much: so there is room for another one's first windows.
        """
        client = client_of(window.window)
        if not window.is_admitted and 2 * self._shares[client] < MAX_WINDOWS - self._shares.total():
            window.is_admitted = True
            self._shares[client] += 1
        return window.is_admitted

    # Details.

    def _prepare(self, window: Window) -> None:
        """Gives a window that is about to be mapped its place, and takes its border away."""
        extents = self._expected_extents(window)
        parent = shown_parent(window, self.windows)
        window.rectangle = initial_place(window, self.screen, extents, parent)
        window.border_width = 0
        self.x.configure_window(window.window, window.rectangle)
        self.x.set_net_states(window.window, window.states)
        self.x.set_allowed_actions(window.window, window.actions)
        self.x.set_frame_extents(window.window, extents)
        self.x.set_desktop(window.window)

    def expected_extents(self, window: Window) -> Extents:
        """Returns the frame that a window will have as far as one can know (_NET_REQUEST_FRAME_EXTENTS)."""
        return self._expected_extents(window)

    def _expected_extents(self, window: Window) -> Extents:
        extents = extents_of(window, self._frame_kind(window), frozenset(), self._metrics)
        return Extents(*(max(0, side) for side in extents))

    def _frame_kind(self, window: Window) -> FrameKind:
        return FrameKind.OURS if window.wants_frame else FrameKind.NONE

    def _set_state(self, window: Window, state: WmState) -> None:
        if window.wm_state is not state:
            window.wm_state = state
            self._note_iconic(window, is_iconic=state is WmState.ICONIC)
            self.x.set_wm_state(window.window, state)

    def _note_iconic(self, window: Window, *, is_iconic: bool) -> None:
        before = bool(self._iconic)
        if is_iconic:
            self._iconic.add(window)
        else:
            self._iconic.discard(window)
        if before != bool(self._iconic):
            self.x.hear_mappings(wanted=not before)

    def _look_for_urgency(self, window: Window, role: Toplevel) -> None:
        if role.configured:
            role.demand_attention(urgent=window.is_urgent and self.focus.window is not window)

    def _use(self, window: Window) -> None:
        if window.role is not None:
            self._recent[window] = None
            self._recent.move_to_end(window)

    def _raise_pointer(self) -> None:
        """Puts the window that the pointer is on above all others: X knows by that who gets what is clicked.

        Its dialogs too: they lie elsewhere on the compositor's screen than on X's.
        """
        if self._pointer is not None:
            self._raise(self._pointer, with_dialogs=False)

    def _raise(self, window: Window, *, with_dialogs: bool) -> None:
        """Puts a window and what is open on it on top, in this order."""
        group = [window.window]
        for number in self.stack:
            other = self.windows.get(number)
            if other is None or other is window:
                continue
            above = isinstance(other.role, Popup) and root_of(other) is window
            if above or (with_dialogs and shown_parent(other, self.windows) is window):
                group.append(number)
        if self.stack.raise_group(group):
            self._lists_changed = True

    def _update_focused(self, window: Window) -> None:
        before = set(window.states)
        _switch(window.states, {State.FOCUSED}, on=self.focus.window is window)
        if window in self._managed and window.states != before:
            self.x.set_net_states(window.window, window.states)


def _can_carry(parent: Window) -> bool:
    """Whether a popup can be put on a window now."""
    return parent.role is not None and parent.role.configured


def _switch(states: set[State], which: frozenset[State] | set[State], *, on: bool) -> None:
    if on:
        states |= which
    else:
        states -= which
