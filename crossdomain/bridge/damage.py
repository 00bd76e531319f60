"""Which pixels of a buffer changed.

A `Region` is what a surface's damage adds up to, in pixels of the buffer;
`SurfaceMapping` brings there what wl_surface.damage says in surface coordinates.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from crossdomain.limits import MAX_DAMAGE_RECTANGLES

FIXED_ONE: Final = 256
"""1 in the wire's 24.8 fixed-point numbers."""


class Rectangle(NamedTuple):
    """Left, top, right and bottom edge in px; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


class Region:
    """A set of pixels as rectangles that do not overlap.

    It is exact up to `MAX_DAMAGE_RECTANGLES` rectangles; beyond, neighbours are
    joined, so that it holds more than was added, but never less.
    """

    __slots__ = ("_rectangles",)

    def __init__(self, rectangles: Iterable[Rectangle] = ()) -> None:
        self._rectangles: list[Rectangle] = []
        for rectangle in rectangles:
            self.add_rectangle(rectangle)

    def __iter__(self) -> Iterator[Rectangle]:
        return iter(self._rectangles)

    def __len__(self) -> int:
        """Returns the number of rectangles; 0 means that the region is empty."""
        return len(self._rectangles)

    @property
    def area(self) -> int:
        """The number of pixels."""
        return sum((right - left) * (bottom - top) for left, top, right, bottom in self._rectangles)

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
        kept: list[Rectangle] = []
        pieces = [new]
        for old in self._rectangles:
            if _contains(old, new):
                return
            if _contains(new, old):
                continue
            kept.append(old)
            pieces = [rest for piece in pieces for rest in _subtract(piece, old)]
        for piece in pieces:
            _append(kept, piece)
        self._rectangles = kept if len(kept) <= MAX_DAMAGE_RECTANGLES else _coalesce(kept)

    def clear(self) -> None:
        """Removes all pixels."""
        self._rectangles = []

    def clip(self, width: int, height: int) -> None:
        """Removes all pixels outside of a buffer of this size."""
        clipped = (
            Rectangle(max(left, 0), max(top, 0), min(right, width), min(bottom, height))
            for left, top, right, bottom in self._rectangles
        )
        self._rectangles = [
            piece for piece in clipped if piece.left < piece.right and piece.top < piece.bottom
        ]


def _contains(outer: Rectangle, inner: Rectangle) -> bool:
    horizontally = outer.left <= inner.left and inner.right <= outer.right
    return horizontally and outer.top <= inner.top and inner.bottom <= outer.bottom


def _subtract(piece: Rectangle, hole: Rectangle) -> list[Rectangle]:
    """Returns what is left of `piece` without `hole`: at most four rectangles."""
    left, top = max(piece.left, hole.left), max(piece.top, hole.top)
    right, bottom = min(piece.right, hole.right), min(piece.bottom, hole.bottom)
    if left >= right or top >= bottom:
        return [piece]
    candidates = (
        Rectangle(piece.left, piece.top, piece.right, top),
        Rectangle(piece.left, top, left, bottom),
        Rectangle(right, top, piece.right, bottom),
        Rectangle(piece.left, bottom, piece.right, piece.bottom),
    )
    return [rest for rest in candidates if rest.left < rest.right and rest.top < rest.bottom]


def _append(rectangles: list[Rectangle], piece: Rectangle) -> None:
    """Appends `piece`, joined with a rectangle that shares a whole edge with it."""
    for index, other in enumerate(rectangles):
        stacked = other.left == piece.left and other.right == piece.right
        beside = other.top == piece.top and other.bottom == piece.bottom
        touches_vertically = other.bottom == piece.top or piece.bottom == other.top
        touches_horizontally = other.right == piece.left or piece.right == other.left
        if (stacked and touches_vertically) or (beside and touches_horizontally):
            rectangles[index] = _bounds([other, piece])
            return
    rectangles.append(piece)


def _bounds(rectangles: list[Rectangle]) -> Rectangle:
    lefts, tops, rights, bottoms = zip(*rectangles, strict=True)
    return Rectangle(min(lefts), min(tops), max(rights), max(bottoms))


def _coalesce(rectangles: list[Rectangle]) -> list[Rectangle]:
    """Returns few rectangles that cover all of these: bounds of groups that lie near each other."""
    ordered = sorted(rectangles, key=lambda rectangle: (rectangle.top, rectangle.left))
    groups = MAX_DAMAGE_RECTANGLES // 8
    size = -(-len(ordered) // groups)
    covers = [_bounds(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    # Bounds may overlap; taking the overlaps out of so few leaves room below the cap.
    joined: list[Rectangle] = []
    for cover in covers:
        pieces = [cover]
        for old in joined:
            pieces = [rest for piece in pieces for rest in _subtract(piece, old)]
        joined.extend(pieces)
    return joined if len(joined) <= MAX_DAMAGE_RECTANGLES else [_bounds(rectangles)]


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
