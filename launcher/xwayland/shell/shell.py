"""The compositor, as the model sees it (`model.ports.ShellPort`)."""

from math import ceil

from crossdomain.errors import LocalError
from launcher.xwayland.decorations.cursors import Cursors
from launcher.xwayland.decorations.frame import Studio
from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.activation import Activation
from launcher.xwayland.shell.icon import Icons
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.shell.painting import Images
from launcher.xwayland.shell.popup import PopupRole, SubsurfaceRole
from launcher.xwayland.shell.toplevel import ToplevelRole
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface


class Shell:
    """Makes roles; `manager` is to be set before the first one."""

    manager: Manager

    def __init__(
        self, mediator: Mediator, objects: Objects, seats: Seats, images: Images, scale: float = 1.0
    ) -> None:
        self.settle = mediator.settle
        self.objects = objects
        self.images = images
        self.seats = seats
        self.slack = 0 if scale == 1.0 else ceil(scale)
        """px that a place may be off after it was converted to the compositor's and back."""
        self.studio = Studio(objects, seats, Cursors(mediator, objects, scale), scale)
        self.icons = Icons(objects)
        self.activation = Activation(objects, seats)

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
