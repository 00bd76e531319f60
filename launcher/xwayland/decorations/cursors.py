"""What the pointer looks like on a frame: the compositor's shapes, or drawn ones where it gives none."""

from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw

from launcher.xwayland.decorations.canvas import ARGB, Buffer
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
_SIDE: Final = 24
"""px of a drawn cursor's side on a screen of usual density."""
_SMOOTH: Final = 4
_ARROW: Final = ((4, 2), (4, 18), (8, 14.5), (10.6, 20.5), (13.2, 19.4), (10.7, 13.6), (16, 13.4))
"""The usual arrow, px; its tip is the hot spot."""
_ARROW_SPOT: Final = (4, 2)
_DOUBLE: Final = ((2, 12), (8, 6), (8, 10), (16, 10), (16, 6), (22, 12), (16, 18), (16, 14), (8, 14), (8, 18))
"""A double arrow from left to right, px; the hot spot is its middle."""
_TURNS: Final = {
    Edge.LEFT: 0,
    Edge.RIGHT: 0,
    Edge.TOP: 90,
    Edge.BOTTOM: 90,
    Edge.TOP_LEFT: -45,
    Edge.BOTTOM_RIGHT: -45,
    Edge.TOP_RIGHT: 45,
    Edge.BOTTOM_LEFT: 45,
}
"""Degrees, counter-clockwise."""


class Cursors:
    """Sets pointers' cursors while they are on our own surfaces."""

    def __init__(self, mediator: Mediator, objects: Objects, scale: float) -> None:
        self._mediator = mediator
        self._scale = scale
        self._side = round(_SIDE * scale)
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
        middle = self._side // 2
        spot = (middle, middle)
        if edge is Edge.NONE:
            spot = (round(_ARROW_SPOT[0] * self._scale), round(_ARROW_SPOT[1] * self._scale))
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
        buffer.write(_draw(edge, side))
        viewporter = self._objects.find("wp_viewporter")
        if viewporter is not None:
            viewporter.create("get_viewport", surface).send("set_destination", side, side)
        surface.send("attach", buffer.proxy, 0, 0)
        surface.send("damage_buffer", 0, 0, side, side)
        surface.send("commit")
        self._drawn[edge] = (surface, buffer)
        return surface


@lru_cache(maxsize=16)
def _draw(edge: Edge, final: int) -> bytes:
    """Returns a cursor's pixels, premultiplied ARGB: black with a white edge."""
    side = final * _SMOOTH
    zoom = side / _SIDE
    shape = Image.new("L", (side, side))
    outline = Image.new("L", (side, side))
    points = [(x * zoom, y * zoom) for x, y in (_ARROW if edge is Edge.NONE else _DOUBLE)]
    ImageDraw.Draw(shape).polygon(points, fill=255)
    draw = ImageDraw.Draw(outline)
    draw.polygon(points, fill=255)
    draw.line([*points, points[0], points[1]], fill=255, width=round(2 * zoom) + 1, joint="curve")
    turn = _TURNS.get(edge, 0)
    size = (final, final)
    inner = shape.rotate(turn).resize(size, Image.Resampling.BOX)
    outer = outline.rotate(turn).resize(size, Image.Resampling.BOX)
    pixels = bytearray()
    for black, alpha in zip(inner.tobytes(), outer.tobytes(), strict=True):
        white = max(0, alpha - black)
        pixels += bytes((white, white, white, alpha))
    return bytes(pixels)
