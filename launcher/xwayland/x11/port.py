"""The model's requests to the X server (`model.ports.XPort`)."""

from collections.abc import Callable, Iterable

from launcher.xwayland.mappings import Mappings
from launcher.xwayland.model.geometry import Extents, Rectangle
from launcher.xwayland.model.names import Action, Protocol, State, WmState
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.ending import end_process
from launcher.xwayland.x11.requests import EventMask, StackMode
from launcher.xwayland.x11.resizing import Resizing
from launcher.xwayland.x11.server_time import ServerTime


class Port:
    """Sends what the model asks for."""

    def __init__(
        self, client: XClient, resizing: Resizing, server_time: ServerTime, mappings: Mappings
    ) -> None:
        self._client = client
        self._mappings = mappings
        self._resizing = resizing
        self._server_time = server_time
        self.raised: Callable[[], None] = lambda: None
        """Called when a window was put above all others."""

    def map_window(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.request(requests.map_window(window))

    def unmap_window(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.request(requests.unmap_window(window))

    def configure_window(self, window: int, rectangle: Rectangle) -> None:
        """See `model.ports.XPort`."""
        x, y, width, height = rectangle
        self._client.request(
            requests.configure_window(window, x=x, y=y, width=width, height=height, border_width=0)
        )

    def begin_resize(self, window: int, counter: int) -> bool:
        """See `model.ports.XPort`."""
        return self._resizing.begin(window, counter)

    def move_window(self, window: int, x: int, y: int) -> None:
        """See `model.ports.XPort`."""
        self._client.request(requests.configure_window(window, x=x, y=y))

    def notify_configured(self, window: int, rectangle: Rectangle) -> None:
        """See `model.ports.XPort`."""
        event = requests.encode_configure_notify(window, rectangle, 0)
        self._client.request(requests.send_event(window, EventMask.STRUCTURE_NOTIFY, event))

    def raise_window(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.request(requests.configure_window(window, stack_mode=StackMode.ABOVE))
        self.raised()

    def set_input_focus(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.request(requests.set_input_focus(window, requests.CURRENT_TIME))

    def offer_focus(self, window: int) -> None:
        """See `model.ports.XPort`."""

        def told(time: int) -> None:
            words = (self._client.atoms[Protocol.TAKE_FOCUS.value], time)
            self._client.send_message(window, window, "WM_PROTOCOLS", words)

        self._server_time.ask(told)

    def send_protocol(self, window: int, protocol: Protocol, *data: int) -> None:
        """See `model.ports.XPort`."""
        words = (self._client.atoms[protocol.value], self._client.now(), *data)
        self._client.send_message(window, window, "WM_PROTOCOLS", words)

    def hear_mappings(self, *, wanted: bool) -> None:
        """See `model.ports.XPort`."""
        self._mappings.listen(wanted=wanted)

    def kill_client(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.request(requests.kill_client(window))

    def end_process(self, window: int, pid: int) -> None:
        """See `model.ports.XPort`."""
        end_process(self._client, window, pid)

    def set_desktop(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.set_words(window, "_NET_WM_DESKTOP", "CARDINAL", (0,))

    def set_wm_state(self, window: int, state: WmState) -> None:
        """See `model.ports.XPort`."""
        # Who knows that it is iconified may want to be back at once.
        self._mappings.when_heard(lambda: self._write_state(window, state))

    def set_net_states(self, window: int, states: Iterable[State]) -> None:
        """See `model.ports.XPort`."""
        atoms = sorted(self._client.atoms[state.value] for state in states)
        self._mappings.when_heard(lambda: self._client.set_words(window, "_NET_WM_STATE", "ATOM", atoms))

    def set_allowed_actions(self, window: int, actions: Iterable[Action]) -> None:
        """See `model.ports.XPort`."""
        atoms = [self._client.atoms[action.value] for action in actions]
        self._client.set_words(window, "_NET_WM_ALLOWED_ACTIONS", "ATOM", atoms)

    def set_frame_extents(self, window: int, extents: Extents) -> None:
        """See `model.ports.XPort`."""
        self._client.set_words(window, "_NET_FRAME_EXTENTS", "CARDINAL", extents)

    def set_active_window(self, window: int) -> None:
        """See `model.ports.XPort`."""
        self._client.set_words(self._client.root, "_NET_ACTIVE_WINDOW", "WINDOW", (window,))

    def set_client_lists(self, mapped: Iterable[int], stacked: Iterable[int]) -> None:
        """See `model.ports.XPort`."""
        self._client.set_words(self._client.root, "_NET_CLIENT_LIST", "WINDOW", mapped)
        self._client.set_words(self._client.root, "_NET_CLIENT_LIST_STACKING", "WINDOW", stacked)

    def forget_client_state(self, window: int) -> None:
        """See `model.ports.XPort`."""

        def forget() -> None:
            self._client.delete(window, "_NET_WM_STATE")
            self._client.delete(window, "_NET_WM_DESKTOP")
            self._write_state(window, WmState.WITHDRAWN)

        self._mappings.when_heard(forget)

    def _write_state(self, window: int, state: WmState) -> None:
        self._client.set_words(window, "WM_STATE", "WM_STATE", (state, 0))
