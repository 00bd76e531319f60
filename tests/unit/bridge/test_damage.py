"""Damage regions against a bitmap, and surface coordinates against turned pictures."""

from collections.abc import Callable
from random import Random
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossdomain.bridge.damage import FIXED_ONE, Rectangle, Region, SurfaceMapping, Viewport
from crossdomain.limits import MAX_DAMAGE_RECTANGLES

SIZE: Final = 24
INT32_MAX: Final = 0x7FFFFFFF

Bitmap = NDArray[np.bool_]

coordinates = st.integers(-4, SIZE + 4)
sizes = st.integers(-2, SIZE + 4)
rectangles = st.tuples(coordinates, coordinates, sizes, sizes)


def painted(region: Region) -> Bitmap:
    """The region as a bitmap of SIZE x SIZE pixels; fails where its rectangles overlap."""
    counts = np.zeros((SIZE, SIZE), dtype=np.int32)
    for left, top, right, bottom in region:
        counts[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] += 1
    assert counts.max() <= 1
    return counts > 0


def bitmap(added: list[tuple[int, int, int, int]]) -> Bitmap:
    """What the rectangles cover."""
    pixels = np.zeros((SIZE, SIZE), dtype=np.bool_)
    for x, y, width, height in added:
        if width > 0 and height > 0:
            pixels[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    return pixels


def region_of(added: list[tuple[int, int, int, int]]) -> Region:
    region = Region()
    for x, y, width, height in added:
        region.add(x, y, width, height)
    return region


@given(st.lists(rectangles, max_size=40))
def test_a_region_holds_exactly_what_was_added(added: list[tuple[int, int, int, int]]) -> None:
    region = region_of(added)
    region.clip(SIZE, SIZE)
    expected = bitmap(added)
    assert np.array_equal(painted(region), expected)
    assert region.area == expected.sum()
    assert bool(region) == bool(expected.any())


@given(st.lists(rectangles, max_size=8), st.lists(rectangles, max_size=8))
def test_adding_a_region_is_adding_all_of_its_pixels(
    first: list[tuple[int, int, int, int]], second: list[tuple[int, int, int, int]]
) -> None:
    region = region_of(first)
    region.add_region(region_of(second))
    assert np.array_equal(painted(region), bitmap(first + second))


def test_a_region_is_exact_up_to_the_cap_and_bounded_beyond() -> None:
    region = Region()
    for number in range(MAX_DAMAGE_RECTANGLES):
        region.add(number * 10, number * 10, 5, 5)
    assert (len(region), region.area) == (MAX_DAMAGE_RECTANGLES, MAX_DAMAGE_RECTANGLES * 25)
    region.add(100_000, 100_000, 5, 5)
    assert len(region) <= MAX_DAMAGE_RECTANGLES
    assert region.area > (MAX_DAMAGE_RECTANGLES + 1) * 25


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_any_number_of_rectangles_is_held_in_a_bounded_region(count: int) -> None:
    region, size = Region(), 2000
    random = Random(count)
    expected = np.zeros((size, size), dtype=np.bool_)
    for _ in range(count):
        x, y = random.randrange(size), random.randrange(size)
        region.add(x, y, 2, 1)
        expected[y, x : x + 2] = True
    region.clip(size, size)
    held = np.zeros((size, size), dtype=np.bool_)
    for left, top, right, bottom in region:
        held[top:bottom, left:right] = True
    assert len(region) <= MAX_DAMAGE_RECTANGLES
    assert not (expected & ~held).any()


def test_a_grid_whose_union_has_too_many_pieces_is_held_whole() -> None:
    region = region_of(
        [(10 * line, 0, 3, 1000) for line in range(100)] + [(0, 10 * line, 1000, 3) for line in range(100)]
    )
    assert len(region) <= MAX_DAMAGE_RECTANGLES
    assert region.area >= 2 * 100 * 3 * 1000 - 100 * 100 * 9


def test_lines_of_text_become_one_rectangle() -> None:
    region = region_of([(0, 16 * line, 640, 16) for line in range(30)])
    assert list(region) == [Rectangle(0, 0, 640, 480)]


def test_the_damage_of_a_client_that_does_not_care_is_clipped() -> None:
    region = region_of([(0, 0, INT32_MAX, INT32_MAX), (-5, -5, 3, 3)])
    region.clip(640, 480)
    assert list(region) == [Rectangle(0, 0, 640, 480)]
    region.clear()
    assert (len(region), region.area) == (0, 0)


# Surface coordinates

TURNS: Final[dict[int, Callable[[Bitmap], Bitmap]]] = {
    0: lambda surface: surface,
    1: lambda surface: np.rot90(surface, 1),
    2: lambda surface: np.rot90(surface, 2),
    3: lambda surface: np.rot90(surface, 3),
    4: np.fliplr,
    5: lambda surface: np.rot90(np.fliplr(surface), 1),
    6: lambda surface: np.rot90(np.fliplr(surface), 2),
    7: lambda surface: np.rot90(np.fliplr(surface), 3),
}
"""wl_output.transform as what the client does to its picture: flip it, then turn it counter-clockwise."""


@pytest.mark.parametrize("transform", TURNS)
@given(
    st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8), st.integers(1, 6)),
    st.integers(1, 3),
)
def test_damage_follows_the_buffers_transform_and_scale(
    transform: int, damage: tuple[int, int, int, int], scale: int
) -> None:
    x, y, width, height = damage
    surface = np.zeros((6, 8), dtype=np.bool_)
    surface[y : y + height, x : x + width] = True
    buffer = TURNS[transform](np.kron(surface, np.ones((scale, scale), dtype=np.bool_)))
    mapping = SurfaceMapping(buffer.shape[1], buffer.shape[0], scale, transform)
    region = Region([mapping.to_buffer(x, y, width, height)])
    region.clip(buffer.shape[1], buffer.shape[0])
    expected_rows, expected_columns = np.nonzero(buffer)
    assert list(region) == [
        Rectangle(
            int(expected_columns.min()),
            int(expected_rows.min()),
            int(expected_columns.max()) + 1,
            int(expected_rows.max()) + 1,
        )
    ]


def fixed(number: float) -> int:
    return int(number * FIXED_ONE)


def test_a_viewports_destination_scales_damage_and_rounds_it_outwards() -> None:
    mapping = SurfaceMapping(300, 150, viewport=Viewport(destination=(200, 100)))
    assert mapping.to_buffer(0, 0, 200, 100) == (0, 0, 300, 150)
    assert mapping.to_buffer(1, 1, 1, 1) == (1, 1, 3, 3)
    assert mapping.to_buffer(2, 2, 2, 2) == (3, 3, 6, 6)


def test_a_viewports_source_moves_damage() -> None:
    source = (fixed(10.5), fixed(20), fixed(50), fixed(30))
    mapping = SurfaceMapping(100, 100, viewport=Viewport(source))
    assert mapping.to_buffer(0, 0, 50, 30) == (10, 20, 61, 50)
    doubled = mapping._replace(viewport=Viewport(source, (100, 60)))
    assert doubled.to_buffer(0, 0, 100, 60) == (10, 20, 61, 50)
    assert doubled.to_buffer(10, 10, 10, 10) == (15, 25, 21, 30)


def test_a_viewport_comes_after_scale_and_transform() -> None:
    mapping = SurfaceMapping(200, 400, 2, 1, Viewport((0, 0, fixed(100), fixed(100)), (50, 50)))
    # The surface is 200 x 100, its left half is shown on 50 x 50, and what is left is at the buffer's bottom.
    assert mapping.to_buffer(0, 0, 50, 50) == (0, 200, 200, 400)
    assert mapping.to_buffer(0, 0, 10, 50) == (0, 360, 200, 400)


@given(
    st.tuples(*[st.integers(0, fixed(30))] * 2, *[st.integers(1, fixed(30))] * 2),
    st.tuples(*[st.integers(1, 40)] * 2),
    st.integers(0, 7),
    st.integers(1, 39),
)
def test_the_parts_of_a_surface_cover_what_the_whole_covers(
    source: tuple[int, int, int, int], destination: tuple[int, int], transform: int, cut: int
) -> None:
    mapping = SurfaceMapping(64, 64, 1, transform, Viewport(source, destination))
    width, height = destination
    left = mapping.to_buffer(0, 0, min(cut, width), height)
    right = mapping.to_buffer(min(cut, width), 0, width - min(cut, width), height)
    whole = mapping.to_buffer(0, 0, width, height)
    parts = Region([left, right])
    missing = parts.area
    parts.add_rectangle(whole)
    assert parts.area == missing == Region([whole]).area
