"""The compositor, as the model sees it (`model.ports.ShellPort`)."""

from crossdomain.errors import LocalError
from launcher.xwayland.decorations.cursors import Cursors
from launcher.xwayland.decorations.frame import Studio
from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.shell.popup import PopupRole, SubsurfaceRole
from launcher.xwayland.shell.toplevel import ToplevelRole
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface


class Shell:
    """Makes roles; `manager` is to be set before the first one."""

    manager: Manager

    def __init__(self, mediator: Mediator, objects: Objects, seats: Seats, scale: int = 1) -> None:
        self._mediator = mediator
        self.objects = objects
        self.seats = seats
        self.studio = Studio(objects, seats, Cursors(mediator, objects), scale)

    def create_toplevel(self, window: Window) -> ToplevelRole:
        """See `model.ports.ShellPort`."""
        return ToplevelRole(self, window, self.surface_of(window))

    def create_popup(self, window: Window, parent: Window, rectangle: Rectangle) -> PopupRole:
        """See `model.ports.ShellPort`."""
        return PopupRole(self, window, parent, rectangle)

    def create_subsurface(self, window: Window, parent: Window, rectangle: Rectangle) -> SubsurfaceRole:
        """See `model.ports.ShellPort`."""
        return SubsurfaceRole(self, window, parent, rectangle)

    # For the roles.

    def surface_of(self, window: Window) -> Surface:
        """Returns a window's surface; the model asks for roles only where there is one."""
        if not isinstance(window.surface, Surface):
            raise LocalError(f"{window!r} has no surface")
        return window.surface

    def xdg_surface_of(self, window: Window) -> Proxy:
        """Returns the xdg_surface of a window that others are put on."""
        port = None if window.role is None else window.role.port
        if not isinstance(port, ToplevelRole | PopupRole):
            raise LocalError(f"{window!r} has no xdg_surface")
        return port.xdg_surface

    def request(self, surface: Surface, name: str, *values: Proxy | int) -> None:
        """Sends a request of our own for a surface of Xwayland's."""
        plain = [value.entry.host_id if isinstance(value, Proxy) else value for value in values]
        self._mediator.request_for(surface.entry, name, *plain)

    def activate(self, window: Window, surface: Surface) -> None:
        """Asks for the keyboard (xdg_activation_v1), where the compositor has a way to."""
        activation = self.objects.find("xdg_activation_v1")
        last = self.seats.last_input
        if activation is None or last is None:
            return
        token = activation.create("get_activation_token")
        token.send("set_serial", last[1], last[0])
        token.send("set_surface", surface.entry)
        token.send("set_app_id", window.application)

        def done(values: tuple[object, ...], _fds: list[int]) -> None:
            token.send("destroy")
            if surface.alive and isinstance(values[0], str):
                activation.send("activate", values[0], surface.entry)

        token.handlers["done"] = done
        token.send("commit")
