"""Sizes, positions and the rules about them (ICCCM 4.1.2.3).  Everything is px of the X screen."""

from enum import IntEnum
from typing import Final, NamedTuple

from launcher.xwayland.limits import MAX_SIDE


class Size(NamedTuple):
    """Width and height."""

    width: int
    height: int


class Rectangle(NamedTuple):
    """A window's place, without its frame."""

    x: int
    y: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        """Its size alone."""
        return Size(self.width, self.height)

    @property
    def right(self) -> int:
        """The first column beside it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    def contains(self, x: int, y: int) -> bool:
        """Whether a point lies inside."""
        return self.x <= x < self.right and self.y <= y < self.bottom

    def touches(self, other: "Rectangle") -> bool:
        """Whether they overlap or share an edge or a corner."""
        return (
            self.x <= other.right
            and other.x <= self.right
            and self.y <= other.bottom
            and other.y <= self.bottom
        )

    def grown(self, extents: "Extents") -> "Rectangle":
        """Returns it with a frame around it."""
        return Rectangle(
            self.x - extents.left,
            self.y - extents.top,
            self.width + extents.left + extents.right,
            self.height + extents.top + extents.bottom,
        )


class Extents(NamedTuple):
    """Widths of a frame's four sides, in the order of _NET_FRAME_EXTENTS."""

    left: int
    right: int
    top: int
    bottom: int


NO_EXTENTS: Final = Extents(0, 0, 0, 0)


class Gravity(IntEnum):
    """Which point of a window stays where it is asked to be (X11 protocol, win_gravity)."""

    NORTH_WEST = 1
    NORTH = 2
    NORTH_EAST = 3
    WEST = 4
    CENTER = 5
    EAST = 6
    SOUTH_WEST = 7
    SOUTH = 8
    SOUTH_EAST = 9
    STATIC = 10


class Aspect(NamedTuple):
    """A ratio of width to height; both are above 0."""

    width: int
    height: int


class SizeHints(NamedTuple):
    """WM_NORMAL_HINTS, made harmless: every number is within what a window can have."""

    minimum: Size = Size(1, 1)
    maximum: Size = Size(MAX_SIDE, MAX_SIDE)
    base: Size = Size(0, 0)
    has_base: bool = False
    increment: Size = Size(1, 1)
    smallest_aspect: Aspect | None = None
    largest_aspect: Aspect | None = None
    gravity: Gravity = Gravity.NORTH_WEST
    positioned: bool = False
    """Whether the client, or its user, has chosen the position."""
    sized_by_user: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether the window has one size only."""
        return self.minimum == self.maximum

    @property
    def has_maximum(self) -> bool:
        """Whether a maximum was given."""
        return self.maximum != (MAX_SIDE, MAX_SIDE)


NO_HINTS: Final = SizeHints()


def constrain(size: Size, hints: SizeHints, *, exactly: bool = False) -> Size:
    """Returns the size nearest below `size` that the hints allow.

    `exactly`: the compositor insists (fullscreen, maximised, tiled), so only what X itself needs counts.
    """
    if exactly:
        return Size(_within(size.width, 1, MAX_SIDE), _within(size.height, 1, MAX_SIDE))
    width = _within(size.width, hints.minimum.width, hints.maximum.width)
    height = _within(size.height, hints.minimum.height, hints.maximum.height)
    width, height = _in_aspect(width, height, hints)
    base = hints.base if hints.has_base else hints.minimum
    width = _stepped(width, base.width, hints.increment.width, hints.minimum.width)
    height = _stepped(height, base.height, hints.increment.height, hints.minimum.height)
    return Size(width, height)


class Screen(NamedTuple):
    """The X screen, and where outputs are on it: none where the compositor does not tell."""

    width: int
    height: int
    outputs: tuple[Rectangle, ...] = ()

    def part_for(self, place: Rectangle) -> Rectangle:
        """Returns the output that a place is nearest to; the whole screen where none has room for it."""
        roomy = [each for each in self.outputs if each.width >= place.width and each.height >= place.height]
        return min(
            roomy, key=lambda each: _distance(place, each), default=Rectangle(0, 0, self.width, self.height)
        )


def on_screen(place: Rectangle, screen: Screen) -> Rectangle:
    """Returns a place with all of it on one output, or where none has room on the X screen.

    Of what is larger than that, the upper left corner is on it.  The X server keeps the pointer on its
    screen, and there on the outputs (randr/rrcrtc.c, RRConstrainCursorHarder): what is outside of that,
    beside a smaller output for instance, can't be pointed at.
    """
    return _inside(place, screen.part_for(place))


def _inside(place: Rectangle, part: Rectangle) -> Rectangle:
    x = max(part.x, min(place.x, part.right - place.width))
    y = max(part.y, min(place.y, part.bottom - place.height))
    return place._replace(x=x, y=y)


def _distance(place: Rectangle, part: Rectangle) -> int:
    moved = _inside(place, part)
    return abs(moved.x - place.x) + abs(moved.y - place.y)


def client_position(
    x: int, y: int, gravity: Gravity, frame: Extents, border_width: int = 0
) -> tuple[int, int]:
    """Returns where a window goes that asks for a position, so that its frame's reference point is there.

    ICCCM 4.1.2.3: the position is that of the frame's outer corner, edge or middle, as if the frame had
    the size of the window with its border.
    """
    if gravity is Gravity.STATIC:
        return x, y
    column, row = (gravity - 1) % 3, (gravity - 1) // 3
    # With the frame the window gets wider by both sides; the border, which it loses, goes off again.
    spare_x = frame.left + frame.right - 2 * border_width
    spare_y = frame.top + frame.bottom - 2 * border_width
    return x - spare_x * column // 2 + frame.left, y - spare_y * row // 2 + frame.top


def _within(value: int, lowest: int, highest: int) -> int:
    return max(1, min(max(value, lowest), highest, MAX_SIDE))


def _stepped(value: int, base: int, increment: int, lowest: int) -> int:
    if increment <= 1 or value <= base:
        return value
    stepped = base + (value - base) // increment * increment
    # A minimum that is no whole step: the next step above it.
    return stepped if stepped >= lowest else stepped + increment


def _in_aspect(width: int, height: int, hints: SizeHints) -> tuple[int, int]:
    """Shrinks the side that is too long; ICCCM: the base size, where given, does not count."""
    base = hints.base if hints.has_base else Size(0, 0)
    inner_width, inner_height = width - base.width, height - base.height
    if inner_width <= 0 or inner_height <= 0:
        return width, height
    smallest, largest = hints.smallest_aspect, hints.largest_aspect
    if smallest is not None and inner_width * smallest.height < inner_height * smallest.width:
        inner_height = inner_width * smallest.height // smallest.width
    elif largest is not None and inner_width * largest.height > inner_height * largest.width:
        inner_width = inner_height * largest.width // largest.height
    return (
        max(inner_width + base.width, hints.minimum.width),
        max(inner_height + base.height, hints.minimum.height),
    )
