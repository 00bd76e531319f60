"""Reads what windows show, where it has to be drawn once more before the compositor gets it."""

from collections.abc import Callable

from launcher.xwayland.model.geometry import Size
from launcher.xwayland.model.window import Window
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.events import Picture, parse_image


class Images:
    """GetImage, for windows that have a surface: all of them are redirected, so nothing lies over them."""

    def __init__(self, client: XClient) -> None:
        self._client = client

    def fetch(self, window: Window, size: Size, take: Callable[[Picture | None], None]) -> None:
        """Calls `take` with the contents of a window, its border included, or None where it has another size.

        `size` is that of the border's outside, px.
        """
        border = window.border_width
        request = requests.get_image(window.window, -border, -border, *size)
        self._client.ask(request, lambda reply: take(parse_image(reply, size)), lambda _error: take(None))
