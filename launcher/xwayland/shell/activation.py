"""The way to the keyboard (xdg_activation_v1), where the compositor has one."""

from collections.abc import Callable

from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface


class Activation:
    """Activates windows; the compositor decides what comes of it."""

    def __init__(self, objects: Objects, seats: Seats) -> None:
        self._activation = objects.find("xdg_activation_v1")
        self._seats = seats

    def activate(self, surface: Surface, token: str) -> None:
        """Hands in a token: whoever started the application got it (_NET_STARTUP_ID)."""
        if self._activation is not None and surface.alive:
            self._activation.send("activate", token, surface.entry)

    def ask(self, window: Window, surface: Surface, asked: Callable[[], None] = lambda: None) -> bool:
        """Asks for the keyboard because of what the user did last; calls `asked` then.

        Returns False where there is no way to.
        """
        last = self._seats.last_input
        focused = self._seats.keyboard_surface or surface
        if self._activation is None or last is None:
            return False

        def describe(token: Proxy) -> None:
            token.send("set_serial", last[1], last[0])
            token.send("set_surface", focused.entry)

        self._get_token(window, surface, describe, asked)
        return True

    def demand_attention(self, window: Window, surface: Surface) -> None:
        """Asks without any right to the keyboard: compositors mark the window then."""
        self._get_token(window, surface, lambda _token: None)

    def _get_token(
        self,
        window: Window,
        surface: Surface,
        describe: Callable[[Proxy], None],
        asked: Callable[[], None] = lambda: None,
    ) -> None:
        if self._activation is None:
            return
        token = self._activation.create("get_activation_token")
        describe(token)
        token.send("set_app_id", window.application)

        def done(values: tuple[object, ...], _fds: list[int]) -> None:
            token.send("destroy")
            if isinstance(values[0], str):
                self.activate(surface, values[0])
            asked()

        token.handlers["done"] = done
        token.send("commit")
