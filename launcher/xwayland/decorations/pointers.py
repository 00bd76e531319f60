"""Draws what pointers look like: black with a white edge, at any density."""

from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw

from launcher.xwayland.model.names import Edge

_SIDE: Final = 24
"""px of a drawn pointer's side on a screen of usual density."""
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


def side_of(scale: float) -> int:
    """Returns the px of a pointer's side where `scale` px stand for one of usual density."""
    return round(_SIDE * scale)


def spot_of(edge: Edge, scale: float) -> tuple[int, int]:
    """Returns the hot spot, px."""
    if edge is Edge.NONE:
        return round(_ARROW_SPOT[0] * scale), round(_ARROW_SPOT[1] * scale)
    return side_of(scale) // 2, side_of(scale) // 2


@lru_cache(maxsize=16)
def draw_pointer(edge: Edge, final: int) -> bytes:
    """Returns the pixels of a pointer of `final` x `final` px, premultiplied ARGB; no edge: the arrow."""
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
