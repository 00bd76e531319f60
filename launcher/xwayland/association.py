"""Which wl_surface shows which X window.

Xwayland tells it on the X connection, by a client message that names the surface: by the id that it
has on the Wayland connection (WL_SURFACE_ID), or by a serial that it gave it there (WL_SURFACE_SERIAL,
xwayland_shell_v1).  Either side can be the first to be read.
"""

from collections.abc import Callable

from launcher.xwayland.model.window import Window
from launcher.xwayland.wayland.surfaces import Surface


class Association:
    """Pairs windows and surfaces."""

    def __init__(self, paired: Callable[[Window, Surface | None], None]) -> None:
        """`paired` is called when a window gets a surface, or loses it."""
        self._paired = paired
        self._surfaces: dict[int, Surface] = {}
        self._numbered: dict[int, Surface] = {}
        self._by_id: dict[int, Window] = {}
        self._by_serial: dict[int, Window] = {}
        # The other way round, so that thousands that come and go at once are not searched through each time.
        self._numbers: dict[Surface, int] = {}
        self._names: dict[Window, tuple[dict[int, Window], int]] = {}
        self._windows: dict[Surface, Window] = {}

    def window_of(self, surface: Surface) -> Window | None:
        """Returns the window that a surface shows."""
        return self._windows.get(surface)

    # What the X connection says.

    def name_id(self, window: Window, client_id: int) -> None:
        """WL_SURFACE_ID."""
        surface = self._surfaces.get(client_id)
        if surface is None:
            self._wait(self._by_id, client_id, window)
        else:
            self._pair(window, surface)

    def name_serial(self, window: Window, serial: int) -> None:
        """WL_SURFACE_SERIAL."""
        surface = self._numbered.pop(serial, None)
        if surface is None:
            self._wait(self._by_serial, serial, window)
        else:
            self._pair(window, surface)

    def forget(self, window: Window) -> None:
        """The window is unmapped: what it was named with last is void."""
        waiting, key = self._names.pop(window, (self._by_id, 0))
        if waiting.get(key) is window:
            del waiting[key]

    # `wayland.surfaces.Listener`.

    def surface_created(self, surface: Surface) -> None:
        """See `wayland.surfaces.Listener`."""
        client_id = surface.entry.client_id
        self._surfaces[client_id] = surface
        window = self._by_id.pop(client_id, None)
        if window is not None:
            self._pair(window, surface)

    def surface_numbered(self, surface: Surface, serial: int) -> None:
        """See `wayland.surfaces.Listener`."""
        window = self._by_serial.pop(serial, None)
        if window is None:
            self._numbered[serial] = surface
            self._numbers[surface] = serial
        else:
            self._pair(window, surface)

    def surface_destroyed(self, surface: Surface) -> None:
        """See `wayland.surfaces.Listener`."""
        self._surfaces.pop(surface.entry.client_id, None)
        serial = self._numbers.pop(surface, None)
        if serial is not None and self._numbered.get(serial) is surface:
            del self._numbered[serial]
        window = self._windows.pop(surface, None)
        if window is not None and window.surface is surface:
            self._paired(window, None)

    def _wait(self, waiting: dict[int, Window], key: int, window: Window) -> None:
        """The surface that a window was named with is still to come."""
        self.forget(window)
        waiting[key] = window
        self._names[window] = (waiting, key)

    def _pair(self, window: Window, surface: Surface) -> None:
        before = self._windows.get(surface)
        if before is window:
            return
        if before is not None and before.surface is surface:
            self._paired(before, None)
        self._windows[surface] = window
        self._paired(window, surface)
