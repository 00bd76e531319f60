"""Sizes and positions as ICCCM 4.1.2.3 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.xwayland.limits import MAX_SIDE
from launcher.xwayland.model.geometry import (
    NO_HINTS,
    Aspect,
    Extents,
    Gravity,
    Rectangle,
    Size,
    SizeHints,
    client_position,
    constrain,
)

FRAME = Extents(4, 6, 30, 10)

sides = st.integers(-100, 70000)
sizes = st.builds(Size, sides, sides)
bounded = st.integers(1, MAX_SIDE)


@st.composite
def size_hints(draw: st.DrawFn) -> SizeHints:
    """Any hints that `parse_size_hints` can return."""
    minimum = Size(draw(bounded), draw(bounded))
    maximum = Size(draw(st.integers(minimum.width, MAX_SIDE)), draw(st.integers(minimum.height, MAX_SIDE)))
    aspect = st.none() | st.builds(Aspect, st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
    return SizeHints(
        minimum=minimum,
        maximum=maximum,
        base=Size(draw(st.integers(0, MAX_SIDE)), draw(st.integers(0, MAX_SIDE))),
        has_base=draw(st.booleans()),
        increment=Size(draw(bounded), draw(bounded)),
        smallest_aspect=draw(aspect),
        largest_aspect=draw(aspect),
    )


@given(sizes, size_hints(), st.booleans())
def test_every_size_that_comes_out_is_one_that_a_window_can_have(
    size: Size, hints: SizeHints, exactly: bool
) -> None:
    width, height = constrain(size, hints, exactly=exactly)
    assert 1 <= width <= MAX_SIDE + hints.increment.width
    assert 1 <= height <= MAX_SIDE + hints.increment.height


@given(sizes, size_hints())
def test_no_window_is_made_smaller_than_its_minimum(size: Size, hints: SizeHints) -> None:
    width, height = constrain(size, hints)
    assert width >= hints.minimum.width
    assert height >= hints.minimum.height


def test_a_terminal_has_whole_characters() -> None:
    hints = SizeHints(minimum=Size(10, 17), base=Size(4, 4), has_base=True, increment=Size(6, 13))
    assert constrain(Size(489, 320), hints) == (484, 316)


def test_without_a_base_the_steps_count_from_the_minimum() -> None:
    assert constrain(Size(109, 109), SizeHints(minimum=Size(50, 50), increment=Size(20, 20))) == (90, 90)


def test_the_aspect_shrinks_the_longer_side() -> None:
    square = SizeHints(smallest_aspect=Aspect(1, 1), largest_aspect=Aspect(1, 1))
    assert constrain(Size(200, 100), square) == (100, 100)
    assert constrain(Size(100, 200), square) == (100, 100)


def test_a_compositor_that_insists_gets_what_it_wants() -> None:
    fixed = SizeHints(minimum=Size(10, 10), maximum=Size(20, 20), increment=Size(7, 7))
    assert constrain(Size(1920, 1080), fixed, exactly=True) == (1920, 1080)


@pytest.mark.parametrize(
    ("gravity", "place"),
    [
        (Gravity.NORTH_WEST, (104, 230)),
        (Gravity.NORTH_EAST, (94, 230)),
        (Gravity.SOUTH_WEST, (104, 190)),
        (Gravity.SOUTH_EAST, (94, 190)),
        (Gravity.CENTER, (99, 210)),
        (Gravity.STATIC, (100, 200)),
    ],
)
def test_the_frames_reference_point_is_where_it_was_asked_to_be(
    gravity: Gravity, place: tuple[int, int]
) -> None:
    assert client_position(100, 200, gravity, FRAME) == place


def test_a_border_that_goes_away_makes_room() -> None:
    assert client_position(100, 100, Gravity.SOUTH_EAST, Extents(0, 0, 0, 0), border_width=3) == (106, 106)


def test_rectangles_that_share_an_edge_touch() -> None:
    window = Rectangle(100, 100, 50, 50)
    assert window.touches(Rectangle(150, 100, 10, 10))
    assert window.touches(Rectangle(90, 90, 10, 10))
    assert not window.touches(Rectangle(151, 100, 10, 10))


def test_a_frame_grows_a_rectangle() -> None:
    assert Rectangle(100, 100, 50, 50).grown(FRAME) == (96, 70, 60, 90)


def test_without_hints_every_size_is_right() -> None:
    assert constrain(Size(123, 45), NO_HINTS) == (123, 45)
