"""How the contents of a window are shown: its shape (XShape), its opacity, and where it takes input.

Xwayland's buffers say neither what lies outside of a shape nor how opaque a window is.  Opacity is the
compositor's business where it has wp_alpha_modifier_v1; all else is painted (`painting`).
"""

from typing import TYPE_CHECKING, Final

from launcher.xwayland.model.names import WindowType
from launcher.xwayland.model.shape import Shape
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.opacity import Opacity
from launcher.xwayland.shell.painting import Painting
from launcher.xwayland.wayland.surfaces import Surface

if TYPE_CHECKING:
    from launcher.xwayland.shell.shell import Shell

_MAX_REGION: Final = 1024
"""Rectangles of a wl_region, 24 bytes each on their way; what has more takes input everywhere."""
_NOTHING: Final = Shape(())


class Look:
    """Of one window's surface, as long as it has its role."""

    def __init__(self, shell: "Shell", window: Window, surface: Surface) -> None:
        self._shell = shell
        self._window = window
        self._surface = surface
        self._opacity = Opacity(shell.objects, surface)
        self._painting: Painting | None = None
        self._input: Shape | None = None

    def update(self) -> bool:
        """Follows the window's record; returns whether a commit of the surface has to follow."""
        window = self._window
        shape = None if window.shape is None else window.shape.moved(window.border_width)
        # A drag icon follows the pointer, which has to be on what lies below it.
        changed = self._limit_input(_NOTHING if window.type is WindowType.DND else shape)
        opacity = 1.0 if self._opacity.is_possible else window.opacity
        if self._painting is None and (shape is not None or opacity < 1.0):
            self._painting = Painting(self._shell.objects, self._shell.images, window, self._surface)
        if self._painting is not None:
            self._painting.set(shape, opacity)
        return self._opacity.set(window.opacity) or changed

    def destroy(self) -> None:
        """The surface loses its role."""
        self._opacity.destroy()
        if self._painting is not None:
            self._painting.close()
        self._limit_input(None)

    def _limit_input(self, shape: Shape | None) -> bool:
        if shape is not None and len(shape.rectangles) > _MAX_REGION:
            shape = None
        if shape == self._input:
            return False
        self._input = shape
        if shape is None:
            self._surface.limit_input(None)
            return True
        region = self._shell.objects["wl_compositor"].create("create_region")
        for rectangle in shape.rectangles:
            region.send("add", *rectangle)
        self._surface.limit_input(region)
        region.send("destroy")
        return True
