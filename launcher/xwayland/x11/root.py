"""Becoming the window manager: the root window, WM_S0, and what EWMH wants to be told there."""

import os
from typing import Final

from launcher.xwayland.model.geometry import Size
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.atoms import SUPPORTED
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.density import tell_density
from launcher.xwayland.x11.pointer import Arrow, set_root_cursor
from launcher.xwayland.x11.requests import EventMask

_NAME: Final = b"crossdomain"
_OFF_SCREEN: Final = (-100, -100, 1, 1)


class Root:
    """The root window, and the small one that stands for us."""

    def __init__(self, client: XClient, factor: float, arrow: Arrow) -> None:
        """`factor`: how many px of the screen stand for one of usual density; `arrow`: the usual pointer."""
        self._client = client
        self._factor = factor
        self._arrow = arrow
        self.window = client.new_id()
        """Our own window: selections' owner and the target of messages."""

    def start(self) -> None:
        """Takes over; Xwayland lets other clients connect from then on (WM_S0)."""
        client, root = self._client, self._client.root
        mask = (
            EventMask.SUBSTRUCTURE_REDIRECT
            | EventMask.SUBSTRUCTURE_NOTIFY
            | EventMask.STRUCTURE_NOTIFY
            | EventMask.PROPERTY_CHANGE
        )
        client.request(requests.select_input(root, mask))
        composite = client.extensions.composite.major_opcode
        client.request(requests.composite_query_version(composite))
        client.request(requests.composite_redirect_subwindows(composite, root))
        xfixes = client.extensions.xfixes.major_opcode
        client.request(requests.xfixes_query_version(xfixes))
        client.request(requests.xfixes_set_client_disconnect_mode(xfixes))
        client.request(
            requests.create_window(
                self.window,
                root,
                _OFF_SCREEN,
                override_redirect=True,
                event_mask=EventMask.PROPERTY_CHANGE,
            )
        )
        set_root_cursor(client, self._arrow)
        self._describe()
        if self._factor != 1.0:
            tell_density(client, self.window, self._factor)
        for selection in ("_NET_WM_CM_S0", "WM_S0"):
            atom = client.atoms[selection]
            client.request(requests.set_selection_owner(self.window, atom, requests.CURRENT_TIME))
        data = (client.now(), client.atoms["WM_S0"], self.window)
        client.send_message(root, root, "MANAGER", data, EventMask.STRUCTURE_NOTIFY)

    def set_screen(self, size: Size) -> None:
        """Tells the desktop's size."""
        root = self._client.root
        self._client.set_words(root, "_NET_DESKTOP_GEOMETRY", "CARDINAL", size)
        self._client.set_words(root, "_NET_WORKAREA", "CARDINAL", (0, 0, *size))

    def _describe(self) -> None:
        client, root = self._client, self._client.root
        for window in (root, self.window):
            client.set_words(window, "_NET_SUPPORTING_WM_CHECK", "WINDOW", (self.window,))
        client.set_bytes(self.window, "_NET_WM_NAME", "UTF8_STRING", _NAME)
        client.set_words(self.window, "_NET_WM_PID", "CARDINAL", (os.getpid(),))
        client.set_words(root, "_NET_SUPPORTED", "ATOM", [client.atoms[name] for name in SUPPORTED])
        client.set_words(root, "_NET_NUMBER_OF_DESKTOPS", "CARDINAL", (1,))
        client.set_words(root, "_NET_CURRENT_DESKTOP", "CARDINAL", (0,))
        client.set_words(root, "_NET_DESKTOP_VIEWPORT", "CARDINAL", (0, 0))
        client.set_bytes(root, "_NET_DESKTOP_NAMES", "UTF8_STRING", b"Desktop\0")
        client.set_words(root, "_NET_ACTIVE_WINDOW", "WINDOW", (0,))
        client.set_words(root, "_NET_CLIENT_LIST", "WINDOW", ())
        client.set_words(root, "_NET_CLIENT_LIST_STACKING", "WINDOW", ())
