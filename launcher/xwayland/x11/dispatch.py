"""What happens on the X connection, told to the model."""

from collections.abc import Callable
from typing import Final

from crossdomain.errors import HostFault
from launcher.xwayland.association import Association
from launcher.xwayland.model.geometry import Rectangle, Size
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.names import State, WmState
from launcher.xwayland.model.requests import Change, ConfigureMask, Requests, Wish
from launcher.xwayland.model.window import Window
from launcher.xwayland.reading import FRAME_PROPERTIES
from launcher.xwayland.x11 import events, requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.loader import Loader
from launcher.xwayland.x11.postponed import Postponed
from launcher.xwayland.x11.requests import EventMask
from launcher.xwayland.x11.server_time import ServerTime
from launcher.xwayland.x11.shapes import Shapes

_STATES: Final = {state.value: state for state in State}


class Dispatch:
    """Hands events to the model."""

    def __init__(
        self, client: XClient, manager: Manager, association: Association, server_time: ServerTime
    ) -> None:
        self._client = client
        self._manager = manager
        self._server_time = server_time
        self._association = association
        self._requests = Requests(manager)
        self._loader = Loader(client, manager.windows.get)
        self._postponed = Postponed(self._loader, manager.windows.get, client.atoms, self._carry_out)
        self._shapes = Shapes(client, manager.windows.get, manager.refresh)
        self.screen_changed: Callable[[Size], None] = lambda _size: None
        self.alarm_event: Callable[[events.AlarmNotify], None] = lambda _event: None
        self.window_gone: Callable[[int], None] = lambda _window: None
        """Called for each child of the root that is no more."""
        self.selection_event: Callable[[events.Event], None] = lambda _event: None
        """Gets what belongs to selections."""
        self.watches: Callable[[int], bool] = lambda _window: False
        """Whether a window's properties belong to selections."""
        self.other_message: Callable[[events.ClientMessage, str], None] = lambda _event, _type: None
        """Gets the client messages that are not the window manager's."""

    def handle(self, data: bytes) -> None:
        """Takes an event, whole."""
        if events.event_code(data) == events.PROPERTY_NOTIFY and self._is_noise(data):
            return
        event = events.parse_event(data, self._client.events)
        if not self._postponed.take(event):
            self._carry_out(event)

    def _carry_out(self, event: events.Event | None) -> None:  # noqa: PLR0912 (a table of kinds)
        match event:
            case events.CreateNotify():
                self._handle_create(event)
            case events.DestroyNotify():
                self._destroy(event.window)
                self.selection_event(event)
            case events.MapRequest():
                self._handle_map_request(event)
            case events.MapNotify():
                self._handle_map(event)
            case events.UnmapNotify():
                self._handle_unmap(event)
            case events.ReparentNotify():
                self._handle_reparent(event)
            case events.ConfigureNotify():
                self._handle_configure(event)
            case events.ConfigureRequest():
                self._handle_configure_request(event)
            case events.PropertyNotify():
                self._handle_property(event)
            case events.FocusChange():
                self._handle_focus(event)
            case events.ShapeNotify():
                self._shapes.handle(event)
            case events.AlarmNotify():
                self.alarm_event(event)
            case events.ClientMessage():
                self._handle_message(event)
            case events.SelectionClear() if event.selection == self._client.atoms["WM_S0"]:
                raise HostFault("another window manager has taken over")
            case events.SelectionOwnerNotify():
                self._client.saw_time(event.time)
                self.selection_event(event)
            case events.SelectionClear() | events.SelectionRequest() | events.SelectionNotify():
                # Their times are what clients have named.
                self.selection_event(event)
            case _:
                return

    def _is_noise(self, data: bytes) -> bool:
        """Whether a PropertyNotify is none that anybody waits for, found out without decoding it."""
        window = int.from_bytes(data[4:8], "little")
        if self.watches(window) or self._server_time.watches(window):
            return False
        record = self._manager.windows.get(window)
        return (
            record is None
            or not self._is_followed(record)
            or not self._loader.matters(int.from_bytes(data[8:12], "little"))
        )

    def _is_followed(self, window: Window) -> bool:
        """Whether the changes of a window's properties count: it is shown, or about to be."""
        return window.is_ready or self._loader.is_loading(window)

    # Windows.

    def _handle_create(self, event: events.CreateNotify) -> None:
        if event.parent != self._client.root or self._client.owns(event.window):
            return
        rectangle = Rectangle(event.x, event.y, event.width, event.height)
        self._create(event.window, rectangle, event.border_width, override_redirect=event.override_redirect)

    def _create(
        self, window: int, rectangle: Rectangle, border_width: int, *, override_redirect: bool
    ) -> None:
        self._client.request(requests.select_input(window, EventMask.OF_CLIENTS))
        self._manager.create(window, rectangle, border_width, override_redirect=override_redirect)

    def _destroy(self, window: int) -> None:
        record = self._manager.windows.get(window)
        if record is not None:
            self._association.forget(record)
            self._loader.forget(record)
            self._postponed.forget(window)
            self._shapes.forget(window)
            self.window_gone(window)
            self._manager.destroy(window)

    def _handle_map_request(self, event: events.MapRequest) -> None:
        window = self._manager.windows.get(event.window)
        if window is None:
            # Not a child of the root: whoever redirects there maps it.
            self._client.request(requests.map_window(event.window))
        elif not window.is_requested and self._manager.admit(window):
            window.is_requested = True
            self._shapes.watch(window)
            self._loader.load(window, self._map)

    def _map(self, window: Window) -> None:
        # Its client may have withdrawn it meanwhile.
        if window.is_requested:
            window.is_requested = False
            self._manager.request_map(window)

    def _handle_map(self, event: events.MapNotify) -> None:
        window = self._manager.windows.get(event.window)
        if window is None or window.mapped:
            return
        self._manager.map(window, override_redirect=event.override_redirect)
        if not self._manager.admit(window):
            # What nobody will see would only keep its surface.
            self._client.request(requests.unmap_window(event.window))
        elif not window.is_ready:
            self._shapes.watch(window)
            self._loader.load(window, self._show)

    def _show(self, window: Window) -> None:
        window.is_ready = True
        self._manager.assign_role(window)

    def _handle_unmap(self, event: events.UnmapNotify) -> None:
        window = self._manager.windows.get(event.window)
        if window is not None and (window.mapped or event.synthetic):
            if event.synthetic and window.is_ready and not window.override_redirect:
                # It was unmapped before we mapped it.
                self._client.request(requests.unmap_window(event.window))
            window.is_requested = False
            self._association.forget(window)
            self._manager.unmap(window)

    def _handle_reparent(self, event: events.ReparentNotify) -> None:
        if event.parent != self._client.root:
            self._destroy(event.window)
        elif event.window not in self._manager.windows:
            window = event.window
            place = Rectangle(event.x, event.y, 1, 1)
            self._create(window, place, 0, override_redirect=event.override_redirect)
            self._client.ask(requests.get_geometry(window), lambda reply: self._take_geometry(window, reply))

    def _take_geometry(self, window: int, reply: bytes) -> None:
        record = self._manager.windows.get(window)
        if record is not None:
            found = events.parse_geometry(reply)
            record.rectangle = Rectangle(found.x, found.y, found.width, found.height)
            record.border_width = found.border_width

    def _handle_configure(self, event: events.ConfigureNotify) -> None:
        if event.window == self._client.root:
            self.screen_changed(Size(event.width, event.height))
            return
        window = self._manager.windows.get(event.window)
        if window is not None:
            window.override_redirect = event.override_redirect
            rectangle = Rectangle(event.x, event.y, event.width, event.height)
            self._manager.move(window, rectangle, event.border_width)

    def _handle_configure_request(self, event: events.ConfigureRequest) -> None:
        window = self._manager.windows.get(event.window)
        if window is None:
            return
        mask = ConfigureMask(event.mask & 0x1F)
        wish = Wish(mask, event.x, event.y, event.width, event.height, event.border_width)
        self._requests.configure(window, wish)

    def _handle_property(self, event: events.PropertyNotify) -> None:
        self._client.saw_time(event.time)
        window = self._manager.windows.get(event.window)
        if window is not None and self._is_followed(window):
            self._loader.reload(window, event.atom, self._manager.refresh)
        if self.watches(event.window):
            self.selection_event(event)
        if self._server_time.watches(event.window):
            self._server_time.handle(event)

    def _handle_focus(self, event: events.FocusChange) -> None:
        window = self._manager.windows.get(event.window)
        if window is not None and event.is_change:
            self._manager.focus.change_holder(window, gained=event.gained)

    # Client messages.

    def _handle_message(self, event: events.ClientMessage) -> None:
        type_ = self._client.atoms.name(event.type)
        if type_ is None or len(event.data) < 5:
            return
        if type_ == "WM_PROTOCOLS" and event.window == self._client.root:
            self._handle_pong(event)
            return
        window = self._manager.windows.get(event.window)
        if window is None or not self._handle_window_message(window, type_, event.data):
            self.other_message(event, type_)

    def _handle_pong(self, event: events.ClientMessage) -> None:
        window = self._manager.windows.get(event.data[2])
        if window is not None and event.data[0] == self._client.atoms["_NET_WM_PING"]:
            self._manager.answer_ping(window)

    def _handle_window_message(self, window: Window, type_: str, data: tuple[int, ...]) -> bool:
        """Returns whether the message was for us."""
        match type_:
            case "WL_SURFACE_ID":
                self._association.name_id(window, data[0])
            case "WL_SURFACE_SERIAL":
                self._association.name_serial(window, data[1] << 32 | data[0])
            case "_NET_WM_STATE":
                self._handle_state(window, data)
            case "WM_CHANGE_STATE":
                if data[0] == WmState.ICONIC:
                    self._requests.iconify(window)
            case "_NET_ACTIVE_WINDOW":
                self._requests.activate(window)
            case "_NET_CLOSE_WINDOW":
                # A client may be killed for what it has only just said.
                self._loader.read(window, "WM_PROTOCOLS", self._requests.close)
            case "_NET_MOVERESIZE_WINDOW":
                x, y = _signed(data[1]), _signed(data[2])
                self._requests.move_resize(window, data[0], x, y, data[3], data[4])
            case "_NET_WM_MOVERESIZE":
                self._requests.drag(window, data[2])
            case "_NET_REQUEST_FRAME_EXTENTS":
                self._handle_frame_request(window)
            case _:
                return False
        return True

    def _handle_frame_request(self, window: Window) -> None:
        if window.is_ready:
            self._requests.tell_frame_extents(window)
        else:
            self._loader.load(window, self._requests.tell_frame_extents, FRAME_PROPERTIES)

    def _handle_state(self, window: Window, data: tuple[int, ...]) -> None:
        if data[0] > Change.TOGGLE.value:
            return
        names = (self._client.atoms.name(atom) for atom in data[1:3])
        states = frozenset(_STATES[name] for name in names if name is not None and name in _STATES)
        self._requests.change_states(window, Change(data[0]), states)


def _signed(word: int) -> int:
    return word - (1 << 32) if word & 1 << 31 else word
