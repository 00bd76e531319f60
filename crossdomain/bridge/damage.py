"""Which pixels of a buffer changed.

A `Region` is what a surface's damage adds up to, in pixels of the buffer;
`SurfaceMapping` brings there what wl_surface.damage says in surface coordinates.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Self

from crossdomain.limits import MAX_DAMAGE_RECTANGLES
from crossdomain.native import ffi, lib

FIXED_ONE: Final = 256
"""1 in the wire's 24.8 fixed-point numbers."""

_BOX: Final = struct.Struct("<4i")
_FAR: Final = 1 << 30
"""px; a buffer's sides are shorter."""
_GROUPS: Final = 32
"""So few that the union of anything so many has at most MAX_DAMAGE_RECTANGLES rectangles."""


class Rectangle(NamedTuple):
    """Left, top, right and bottom edge in px; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


class Region:
    """A set of pixels, read as rectangles that do not overlap.

    It is exact as long as these are at most `MAX_DAMAGE_RECTANGLES`; beyond, neighbours are
    joined, so that it holds more than was added, but never less.
    """

    __slots__ = ("_is_united", "_rectangles")

    def __init__(self, rectangles: Iterable[Rectangle] = ()) -> None:
        self._rectangles: list[Rectangle] = []
        self._is_united = True
        """Whether no two of them overlap."""
        for rectangle in rectangles:
            self.add_rectangle(rectangle)

    @classmethod
    def of_boxes(cls, boxes: bytes) -> Self:
        """A region of the rectangles in C's xd_box array."""
        return cls(map(Rectangle._make, _BOX.iter_unpack(boxes)))

    def boxes(self) -> bytes:
        """Its rectangles as C's xd_box array; what is farther out than any buffer reaches is cut off."""
        return _packed(list(self))

    def __iter__(self) -> Iterator[Rectangle]:
        self._unite()
        return iter(self._rectangles)

    def __len__(self) -> int:
        """Returns the number of rectangles."""
        self._unite()
        return len(self._rectangles)

    def __bool__(self) -> bool:
        """Returns whether there are pixels in it."""
        return bool(self._rectangles)

    @property
    def area(self) -> int:
        """The number of pixels."""
        return sum((right - left) * (bottom - top) for left, top, right, bottom in self)

    def add(self, x: int, y: int, width: int, height: int) -> None:
        """Adds a rectangle in px; one without pixels adds nothing."""
        self.add_rectangle(Rectangle(x, y, x + width, y + height))

    def add_region(self, other: "Region") -> None:
        """Adds all pixels of another region."""
        for rectangle in other._rectangles:
            self.add_rectangle(rectangle)

    def add_rectangle(self, new: Rectangle) -> None:
        """Adds the pixels of a rectangle; one without pixels adds nothing."""
        if new.left >= new.right or new.top >= new.bottom:
            return
        rectangles = self._rectangles
        if rectangles and _contains(rectangles[-1], new):
            return
        if len(rectangles) == lib.XD_MAX_BOXES:
            self._unite()
            rectangles = self._rectangles
        rectangles.append(new)
        self._is_united = len(rectangles) == 1

    def clear(self) -> None:
        """Removes all pixels."""
        self._rectangles = []
        self._is_united = True

    def clip(self, width: int, height: int) -> None:
        """Removes all pixels outside of a buffer of this size."""
        clipped = (
            Rectangle(max(left, 0), max(top, 0), min(right, width), min(bottom, height))
            for left, top, right, bottom in self._rectangles
        )
        self._rectangles = [
            piece for piece in clipped if piece.left < piece.right and piece.top < piece.bottom
        ]

    def _unite(self) -> None:
        if self._is_united:
            return
        rectangles = self._rectangles
        united = _united(rectangles)
        if united is None:
            united = _united(_grouped(rectangles))
        self._rectangles = [_bounds(rectangles)] if united is None else united
        self._is_united = True


def _contains(outer: Rectangle, inner: Rectangle) -> bool:
    horizontally = outer.left <= inner.left and inner.right <= outer.right
    return horizontally and outer.top <= inner.top and inner.bottom <= outer.bottom


def _united(rectangles: list[Rectangle]) -> list[Rectangle] | None:
    """Returns rectangles that cover the same without overlap; None where these are too many."""
    united = ffi.new("xd_box[]", MAX_DAMAGE_RECTANGLES)
    boxes = ffi.from_buffer("xd_box[]", _packed(rectangles))
    count = lib.xd_unite(boxes, len(rectangles), united, MAX_DAMAGE_RECTANGLES)
    if count < 0:
        return None
    return [Rectangle._make(box) for box in _BOX.iter_unpack(ffi.buffer(united)[: count * _BOX.size])]


def _packed(rectangles: list[Rectangle]) -> bytes:
    """Returns them as C's xd_box array; what is farther out than any buffer reaches is cut off."""
    numbers = [edge for rectangle in rectangles for edge in rectangle]
    try:
        return struct.pack(f"<{len(numbers)}i", *numbers)
    except struct.error:
        near = (max(-_FAR, min(number, _FAR)) for number in numbers)
        return struct.pack(f"<{len(numbers)}i", *near)


def _grouped(rectangles: list[Rectangle]) -> list[Rectangle]:
    """Returns few rectangles that cover all of these: bounds of groups that lie near each other."""
    ordered = sorted(rectangles, key=lambda rectangle: (rectangle.top, rectangle.left))
    size = -(-len(ordered) // _GROUPS)
    return [_bounds(ordered[start : start + size]) for start in range(0, len(ordered), size)]


def _bounds(rectangles: list[Rectangle]) -> Rectangle:
    lefts, tops, rights, bottoms = zip(*rectangles, strict=True)
    return Rectangle(min(lefts), min(tops), max(rights), max(bottoms))


class Viewport(NamedTuple):
    """wp_viewport's state; None where it is not set.

    `source` is x, y, width and height in 24.8 fixed point, in px after the buffer's
    transform and scale; `destination` is width and height in surface coordinates.
    """

    source: tuple[int, int, int, int] | None = None
    destination: tuple[int, int] | None = None


class SurfaceMapping(NamedTuple):
    """How a surface shows its buffer.

    `scale` is wl_surface.set_buffer_scale's, `transform` the wl_output.transform of
    wl_surface.set_buffer_transform, `width` and `height` are the buffer's in px.
    """

    width: int
    height: int
    scale: int = 1
    transform: int = 0
    viewport: Viewport = Viewport()

    def to_buffer(self, x: int, y: int, width: int, height: int) -> Rectangle:
        """Returns the pixels of the buffer that a rectangle in surface coordinates touches.

        It is rounded outwards and not clipped to the buffer.
        """
        left, right = self._horizontally(x, x + width)
        top, bottom = self._vertically(y, y + height)
        return self._untransformed(Rectangle(left, top, right, bottom))

    @property
    def _turned(self) -> bool:
        """Whether width and height change places: the odd transforms turn by 90 or 270 degrees."""
        return self.transform % 2 == 1

    def _horizontally(self, start: int, end: int) -> tuple[int, int]:
        size = self.height if self._turned else self.width
        source, destination = self.viewport
        position, length = (source[0], source[2]) if source else (0, size * FIXED_ONE // self.scale)
        shown = destination[0] if destination else None
        return self._scaled(start, end, (position, length), shown)

    def _vertically(self, start: int, end: int) -> tuple[int, int]:
        size = self.width if self._turned else self.height
        source, destination = self.viewport
        position, length = (source[1], source[3]) if source else (0, size * FIXED_ONE // self.scale)
        shown = destination[1] if destination else None
        return self._scaled(start, end, (position, length), shown)

    def _scaled(self, start: int, end: int, source: tuple[int, int], shown: int | None) -> tuple[int, int]:
        """Returns a stretch of the surface in px of the transformed buffer, rounded outwards."""
        position, length = source
        if shown is None:
            low = (position + start * FIXED_ONE) * self.scale // FIXED_ONE
            high = -(-(position + end * FIXED_ONE) * self.scale // FIXED_ONE)
            return low, high
        unit = FIXED_ONE * shown
        low = (position * shown + start * length) * self.scale // unit
        high = -(-(position * shown + end * length) * self.scale // unit)
        return low, high

    def _untransformed(self, turned: Rectangle) -> Rectangle:
        """Returns a rectangle of the transformed buffer in the buffer's own px."""
        left, top, right, bottom = turned
        if self.transform in (1, 3, 5, 7):
            # Mirrored at the diagonal: what was across is now along.
            left, top, right, bottom = top, left, bottom, right
        if self.transform in (2, 3, 4, 7):
            left, right = self.width - right, self.width - left
        if self.transform in (1, 2, 6, 7):
            top, bottom = self.height - bottom, self.height - top
        return Rectangle(left, top, right, bottom)
