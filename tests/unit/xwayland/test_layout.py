"""What is where in a frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.xwayland.decorations.layout import BUTTONS, GRAB_MARGIN, FrameState, Layout, Part
from launcher.xwayland.model.geometry import Extents, Size
from launcher.xwayland.model.names import Edge


def state(
    width: int = 200,
    height: int = 100,
    *,
    buttons: tuple[Part, ...] = BUTTONS,
    maximized: bool = False,
    resizable: bool = True,
) -> FrameState:
    """A frame as most windows have it."""
    content, extents = Size(width, height), Extents(1, 1, 28, 1)
    return FrameState(
        content, extents, "Title", buttons, active=True, maximized=maximized, resizable=resizable
    )


def test_the_title_bar_is_above_the_whole_window() -> None:
    assert Layout(state(), 1).title_bar == (-1, -28, 202, 28)


def test_the_buttons_are_at_the_right_end_from_close_on() -> None:
    layout = Layout(state(), 1)
    assert [layout.button(part).x for part in BUTTONS] == [173, 145, 117]


def test_a_long_title_has_all_that_the_buttons_leave() -> None:
    layout = Layout(state(width=600), 1)
    assert (layout.text.x, layout.text.right) == (-1 + 7, layout.button(Part.MINIMIZE).x - 7)


def test_a_button_that_there_is_not_leaves_no_gap() -> None:
    layout = Layout(state(buttons=(Part.CLOSE, Part.MINIMIZE)), 1)
    assert layout.button(Part.MINIMIZE).x == 145
    assert layout.part_at(150, -10) is Part.MINIMIZE


@pytest.mark.parametrize(
    ("x", "y", "part", "edge"),
    [
        (50, -14, Part.TITLE, Edge.NONE),
        (190, -14, Part.CLOSE, Edge.NONE),
        (100, -30, Part.EDGE, Edge.TOP),
        (-5, -30, Part.EDGE, Edge.TOP_LEFT),
        (-5, -20, Part.EDGE, Edge.TOP_LEFT),
        (-5, 50, Part.EDGE, Edge.LEFT),
        (205, 50, Part.EDGE, Edge.RIGHT),
        (205, 95, Part.EDGE, Edge.BOTTOM_RIGHT),
        (100, 105, Part.EDGE, Edge.BOTTOM),
        (3, 105, Part.EDGE, Edge.BOTTOM_LEFT),
        (100, 50, Part.NOTHING, Edge.NONE),
    ],
)
def test_what_the_pointer_is_on(x: int, y: int, part: Part, edge: Edge) -> None:
    layout = Layout(state(), 1)
    assert layout.part_at(x, y) is part
    assert part is not Part.EDGE or layout.edge_at(x, y) is edge


def test_a_maximised_window_has_no_edges() -> None:
    layout = Layout(state(maximized=True), 1)
    assert layout.part_at(-5, 50) is Part.NOTHING
    assert layout.part_at(50, -14) is Part.TITLE


def test_a_window_of_one_size_has_no_edges() -> None:
    assert Layout(state(resizable=False), 1).part_at(205, 50) is Part.NOTHING


def test_twice_the_scale_grabs_twice_as_far() -> None:
    assert Layout(state(), 2).grab.x == -1 - 2 * GRAB_MARGIN


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(-50, 3050), st.integers(-50, 3050))
def test_every_point_around_the_contents_is_something(width: int, height: int, x: int, y: int) -> None:
    layout = Layout(state(width, height), 1)
    inside = layout.grab.contains(x, y)
    contents = 0 <= x < width and 0 <= y < height
    if inside and not contents:
        assert layout.part_at(x, y) is not Part.NOTHING
    if contents:
        assert layout.part_at(x, y) is Part.NOTHING


@given(st.integers(1, 500), st.sets(st.sampled_from(BUTTONS)))
def test_the_title_never_lies_under_a_button(width: int, shown: set[Part]) -> None:
    layout = Layout(state(width, buttons=tuple(part for part in BUTTONS if part in shown)), 1)
    text = layout.text
    assert text.width >= 0
    for part in layout.state.buttons:
        assert text.width == 0 or text.right <= layout.button(part).x
