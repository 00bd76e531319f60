"""What the pointer looks like on a frame: the compositor's shapes, or drawn ones where it gives none."""

from typing import Final

from launcher.xwayland.decorations.canvas import ARGB, Buffer
from launcher.xwayland.decorations.pointers import draw_pointer, side_of, spot_of
from launcher.xwayland.model.names import Edge
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.seats import Pointer

_SHAPES: Final = {
    Edge.NONE: 1,
    Edge.TOP: 19,
    Edge.BOTTOM: 22,
    Edge.LEFT: 25,
    Edge.RIGHT: 18,
    Edge.TOP_LEFT: 21,
    Edge.BOTTOM_RIGHT: 23,
    Edge.TOP_RIGHT: 20,
    Edge.BOTTOM_LEFT: 24,
}
"""wp_cursor_shape_device_v1.shape: default, and the resize shapes named after the edges."""


class Cursors:
    """Sets pointers' cursors while they are on our own surfaces."""

    def __init__(self, mediator: Mediator, objects: Objects, scale: float) -> None:
        self._mediator = mediator
        self._scale = scale
        self._side = side_of(scale)
        self._objects = objects
        self._devices: dict[Pointer, Proxy] = {}
        self._drawn: dict[Edge, tuple[Proxy, Buffer]] = {}

    def set(self, pointer: Pointer, edge: Edge) -> None:
        """Shows the arrow, or what an edge looks like."""
        manager = self._objects.find("wp_cursor_shape_manager_v1")
        if manager is not None:
            device = self._devices.get(pointer)
            if device is None:
                device = self._devices[pointer] = manager.create("get_pointer", pointer.entry)
            device.send("set_shape", pointer.enter_serial, _SHAPES[edge])
            return
        surface = self._surface(edge)
        spot = spot_of(edge, self._scale)
        host_id = surface.entry.host_id
        self._mediator.request_for(pointer.entry, "set_cursor", pointer.enter_serial, host_id, *spot)

    def forget(self, pointer: Pointer) -> None:
        """The pointer goes away."""
        device = self._devices.pop(pointer, None)
        if device is not None:
            device.send("destroy")

    def _surface(self, edge: Edge) -> Proxy:
        """Returns a surface that shows a drawn cursor."""
        drawn = self._drawn.get(edge)
        if drawn is not None:
            return drawn[0]
        surface = self._objects["wl_compositor"].create("create_surface")
        side = self._side
        buffer = Buffer(self._objects["wl_shm"], side, side, ARGB)
        buffer.write(draw_pointer(edge, side))
        viewporter = self._objects.find("wp_viewporter")
        if viewporter is not None:
            viewporter.create("get_viewport", surface).send("set_destination", side, side)
        surface.send("attach", buffer.proxy, 0, 0)
        surface.send("damage_buffer", 0, 0, side, side)
        surface.send("commit")
        self._drawn[edge] = (surface, buffer)
        return surface
