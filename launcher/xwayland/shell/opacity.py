"""A window's opacity (_NET_WM_WINDOW_OPACITY), where the compositor can apply one (wp_alpha_modifier_v1)."""

from typing import Final

from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.surfaces import Surface

_OPAQUE: Final = 0xFFFFFFFF


class Opacity:
    """Of one surface."""

    def __init__(self, objects: Objects, surface: Surface) -> None:
        self._modifier = objects.find("wp_alpha_modifier_v1")
        self._surface = surface
        self._proxy: Proxy | None = None
        self._factor = _OPAQUE

    @property
    def is_possible(self) -> bool:
        """Whether the compositor has it."""
        return self._modifier is not None

    def set(self, opacity: float) -> bool:
        """`opacity` is 0 to 1; returns whether a commit of the surface has to follow."""
        factor = round(opacity * _OPAQUE)
        if self._modifier is None or factor == self._factor:
            return False
        self._factor = factor
        if self._proxy is None:
            self._proxy = self._modifier.create("get_surface", self._surface.entry)
        self._proxy.send("set_multiplier", factor)
        return True

    def destroy(self) -> None:
        """The surface loses its role."""
        if self._proxy is not None:
            self._proxy.send("destroy")
            self._proxy = None
