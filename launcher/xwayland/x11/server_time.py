"""What time it is for the X server (ICCCM 2.1): it tells when a property changes, of our own window here.

The time of an event that happened to come last is too old for WM_TAKE_FOCUS: the server passes over a
client's SetInputFocus with a time before the last change of the focus, which may have been our own.
"""

from collections import deque
from collections.abc import Callable

from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.events import PropertyNotify

_PROPERTY = "_CROSSDOMAIN_TIME"


class ServerTime:
    """Asks for the time; each answer takes a round trip."""

    def __init__(self, client: XClient, window: int) -> None:
        """`window` is our own, and tells of its properties."""
        self._client = client
        self._window = window
        self._waiting: deque[Callable[[int], None]] = deque()

    def ask(self, told: Callable[[int], None]) -> None:
        """Has `told` called with the server's time, ms, when all requests before this one are done."""
        self._waiting.append(told)
        atoms = self._client.atoms
        nothing = requests.change_property(
            self._window, atoms[_PROPERTY], atoms["INTEGER"], 8, b"", append=True
        )
        self._client.request(nothing)

    def handle(self, event: PropertyNotify) -> None:
        """Takes the changes of the window's properties."""
        # Who else changes that property on our window gets an answer that is true as well.
        if event.atom == self._client.atoms[_PROPERTY] and self._waiting:
            self._waiting.popleft()(event.time)

    def watches(self, window: int) -> bool:
        """Whether a window's PropertyNotifys are wanted here."""
        return window == self._window
