"""The copy of damaged pixels: exactly these, and alive where the guest cuts its file short."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdomain.bridge.copy import Pixels, Place, TruncatedFault, copy_damage, copy_plane
from crossdomain.bridge.damage import Rectangle, Region
from crossdomain.bridge.formats import Layout, PlaneFormat, formats, fourcc, layout, plane_row
from crossdomain.errors import LocalError
from crossdomain.native.system import FileMapping, address_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = mmap.PAGESIZE
EVERYTHING = Rectangle(0, 0, 1 << 20, 1 << 20)

WIDTH, HEIGHT = 24, 18


def pixels_of(buffer: bytearray) -> Pixels:
    return Pixels(address_of(buffer), len(buffer))


def tight(format_code: int, width: int, height: int) -> Layout:
    """The layout with the shortest stride that holds whole rows of all planes."""
    first = formats()[format_code][0]
    start = plane_row(first, width)
    return next(
        found
        for stride in range(start, 4 * start + 64)
        if (found := layout(format_code, width, height, stride))
    )


def clipped(damage: Region, to: Layout) -> Region:
    damage.clip(to.width, to.height)
    return damage


class Picture:
    """A guest's file, mapped as a relay maps it."""

    def __init__(self, size: int) -> None:
        self.fd = os.memfd_create("picture")
        os.write(self.fd, b"\x5a" * size)
        self.mapping = FileMapping(self.fd, size)
        self.pixels = Pixels(self.mapping.address, size)

    def truncate(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def close(self) -> None:
        self.mapping.close()
        os.close(self.fd)


@pytest.fixture
def picture() -> Iterator[Picture]:
    """Four pages of a guest's file: 256 px to a row, 4 rows to a page."""
    opened = Picture(4 * PAGE)
    yield opened
    opened.close()


def rows(count: int) -> Layout:
    found = layout(0, 256, count, 1024)
    assert found is not None
    return found


def rectangle(x: int, y: int, width: int, height: int) -> Rectangle:
    return Rectangle(x, y, x + width, y + height)


rectangles = st.builds(
    rectangle,
    st.integers(0, WIDTH - 1),
    st.integers(0, HEIGHT - 1),
    st.integers(1, WIDTH),
    st.integers(1, HEIGHT),
)


@given(st.lists(rectangles, max_size=6))
def test_exactly_the_damaged_pixels_are_copied(added: list[Rectangle]) -> None:
    plain = layout(0, WIDTH, HEIGHT, WIDTH * 4 + 8)
    assert plain is not None
    source, destination = bytearray(b"\xff" * plain.size), bytearray(plain.size)
    damage = clipped(Region(added), plain)
    copied = copy_damage(pixels_of(destination), pixels_of(source), plain, damage)
    expected = np.zeros((HEIGHT, plain.planes[0].stride), dtype=np.uint8)
    for left, top, right, bottom in damage:
        expected[top:bottom, left * 4 : right * 4] = 0xFF
    assert destination == expected.tobytes()
    assert copied == damage.area * 4 == np.count_nonzero(expected)


@pytest.mark.parametrize("gap", [0, 4, 60, 4096])
@pytest.mark.parametrize("width", [31, 32, 33, 511, 512, 513, 543, 544, 545, 1000, 1024, 1919])
def test_short_and_long_rows_arrive_and_nothing_beside_them(width: int, gap: int) -> None:
    plain = layout(0, width + 2, 4, 4 * (width + 2) + gap)
    assert plain is not None
    source, destination = bytearray(os.urandom(plain.size)), bytearray(plain.size)
    for damage in Rectangle(1, 1, width + 1, 4), Rectangle(0, 0, width + 2, 1):
        copied = copy_damage(pixels_of(destination), pixels_of(source), plain, [damage])
        assert copied == 4 * (damage.right - damage.left) * (damage.bottom - damage.top)
    given, found = (
        np.frombuffer(image, dtype=np.uint8)[: 4 * plain.planes[0].stride].reshape(4, -1)
        for image in (source, destination)
    )
    expected = np.zeros_like(given)
    expected[0, : 4 * (width + 2)] = given[0, : 4 * (width + 2)]
    expected[1:, 4 : 4 * (width + 1)] = given[1:, 4 : 4 * (width + 1)]
    assert (found == expected).all()


@pytest.mark.parametrize("format_code", formats())
def test_a_whole_buffer_of_any_format_arrives(format_code: int) -> None:
    found = tight(format_code, WIDTH + 1, HEIGHT + 1)
    source = bytearray(os.urandom(found.size))
    destination = bytearray(found.size)
    copy_damage(pixels_of(destination), pixels_of(source), found, clipped(Region([EVERYTHING]), found))
    for plane in found.planes:
        row = plane_row(plane.format, found.width)
        for number in range(plane.rows):
            start = plane.offset + number * plane.stride
            assert destination[start : start + row] == source[start : start + row]


@pytest.mark.parametrize("code", ["NV12", "YU12", "YUYV", "C1", "NV15"])
@settings(max_examples=30)
@given(damage=rectangles)
def test_blocks_that_the_damage_touches_are_copied_whole(code: str, damage: Rectangle) -> None:
    found = tight(fourcc(code), WIDTH, HEIGHT)
    source, destination = bytearray(b"\xff" * found.size), bytearray(found.size)
    region = clipped(Region([damage]), found)
    copied = copy_damage(pixels_of(destination), pixels_of(source), found, region)
    assert copied == destination.count(0xFF)
    for left, top, right, bottom in region:
        for plane in found.planes:
            across = plane.format.block_width * plane.format.horizontal
            first = plane.offset + top // plane.format.vertical * plane.stride
            last = plane.offset + (bottom - 1) // plane.format.vertical * plane.stride
            assert destination[first + left // across * plane.format.block_bytes] == 0xFF
            assert destination[last + (right - 1) // across * plane.format.block_bytes] == 0xFF


def test_no_damage_copies_nothing() -> None:
    assert copy_damage(Pixels(0, 0), Pixels(0, 0), rows(1), Region()) == 0


@pytest.mark.parametrize(
    "outside",
    [
        Rectangle(-1, 0, 5, 5),
        Rectangle(0, -1, 5, 5),
        Rectangle(0, 0, 257, 1),
        Rectangle(0, 0, 1, 5),
        Rectangle(256, 3, 257, 4),
        Rectangle(5, 5, 4, 4),
        Rectangle(0, 0, 1 << 40, 1),
        Rectangle(0, 0, 0x7FFFFFFF, 0x7FFFFFFF),
    ],
)
def test_a_rectangle_outside_of_a_buffer_is_our_mistake(outside: Rectangle) -> None:
    source, destination = bytearray(b"\xff" * PAGE), bytearray(PAGE)
    with pytest.raises(LocalError):
        copy_damage(pixels_of(destination), pixels_of(source), rows(4), [Rectangle(0, 0, 8, 1), outside])
    assert not any(destination)


@pytest.mark.parametrize(("target", "origin"), [(PAGE - 1, PAGE), (PAGE, PAGE - 1), (0, 0)])
def test_memory_that_is_too_small_is_our_mistake(target: int, origin: int) -> None:
    source, destination = bytearray(PAGE), bytearray(PAGE)
    with pytest.raises(LocalError):
        copy_damage(
            pixels_of(destination).part(0, target),
            pixels_of(source).part(0, origin),
            rows(4),
            [Rectangle(0, 0, 256, 4)],
        )


@pytest.mark.parametrize(("offset", "size"), [(-1, 5), (0, PAGE + 1), (PAGE, 1), (5, -1)])
def test_a_part_lies_inside_of_the_whole(offset: int, size: int) -> None:
    with pytest.raises(LocalError):
        Pixels(4096, PAGE).part(offset, size)


# Files that the guest cuts short


def test_a_truncated_file_is_the_guests_fault(picture: Picture) -> None:
    picture.truncate(2 * PAGE)
    destination = bytearray(4 * PAGE)
    with pytest.raises(TruncatedFault) as caught:
        copy_damage(pixels_of(destination), picture.pixels, rows(16), [Rectangle(0, 0, 200, 16)])
    assert caught.value.copied == 8 * 800
    assert 2 * PAGE <= caught.value.offset < 2 * PAGE + 800
    assert destination.count(0x5A) == 8 * 800


def test_what_is_left_of_a_truncated_file_can_still_be_copied(picture: Picture) -> None:
    picture.truncate(2 * PAGE)
    destination = bytearray(4 * PAGE)
    for _ in range(3):
        with pytest.raises(TruncatedFault):
            copy_damage(pixels_of(destination), picture.pixels, rows(16), [Rectangle(0, 12, 1, 13)])
        assert (
            copy_damage(pixels_of(destination), picture.pixels, rows(16), [Rectangle(0, 0, 256, 8)])
            == 2 * PAGE
        )
    picture.truncate(4 * PAGE)
    assert (
        copy_damage(pixels_of(destination), picture.pixels, rows(16), [Rectangle(0, 0, 256, 16)]) == 4 * PAGE
    )


def test_whole_rows_of_an_empty_file_report_a_byte_of_theirs(picture: Picture) -> None:
    picture.truncate(0)
    destination = bytearray(4 * PAGE)
    with pytest.raises(TruncatedFault) as caught:
        copy_damage(pixels_of(destination), picture.pixels, rows(16), [Rectangle(0, 4, 256, 16)])
    assert PAGE <= caught.value.offset < PAGE + 16 * 256 * 4
    assert caught.value.copied == 0


def test_copies_in_several_threads_do_not_disturb_each_other(picture: Picture) -> None:
    whole = Picture(4 * PAGE)
    picture.truncate(PAGE)

    def copy(number: int) -> int:
        destination = bytearray(4 * PAGE)
        source = picture if number % 2 else whole
        try:
            return copy_damage(pixels_of(destination), source.pixels, rows(16), [Rectangle(0, 0, 255, 16)])
        except TruncatedFault as fault:
            return -fault.copied

    with ThreadPoolExecutor(4) as executor:
        results = list(executor.map(copy, range(400)))
    whole.close()
    assert results == [255 * 4 * 16, -255 * 4 * 4] * 200


CRASH = """
import faulthandler, mmap, os, sys
from crossdomain.bridge.copy import Pixels, TruncatedFault, copy_damage
from crossdomain.bridge.damage import Rectangle
from crossdomain.bridge.formats import layout
from crossdomain.native.system import FileMapping, address_of
if sys.argv[1] == "faulthandler":
    faulthandler.enable()
fd = os.memfd_create("cut")
os.ftruncate(fd, 4096)
mapped = mmap.mmap(fd, 4096)
os.ftruncate(fd, 0)
destination = bytearray(4096)
source = FileMapping(fd, 4096)
target = Pixels(address_of(destination), 4096)
try:
    copy_damage(target, Pixels(source.address, 4096), layout(0, 32, 32, 128), [Rectangle(0, 0, 32, 32)])
except TruncatedFault:
    print("survived", flush=True)
mapped[0]
"""


@pytest.mark.parametrize(("handler", "told"), [("faulthandler", True), ("none", False)])
def test_a_bus_error_that_is_not_the_copys_goes_to_whom_it_went_before(handler: str, told: bool) -> None:
    command = [sys.executable, "-c", CRASH, handler]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == "survived\n"
    assert result.returncode == -7
    assert ("Fatal Python error: Bus error" in result.stderr) is told


def test_a_plane_may_lie_otherwise_in_the_one_than_in_the_other() -> None:
    source = bytearray(range(200))
    destination = bytearray(200)
    to, from_ = Place(pixels_of(destination), 3, 20), Place(pixels_of(source), 7, 11)
    copied = copy_plane(to, from_, PlaneFormat(2), (Rectangle(1, 1, 4, 5),))
    expected = bytearray(200)
    for row in range(1, 5):
        expected[3 + 20 * row + 2 : 3 + 20 * row + 8] = source[7 + 11 * row + 2 : 7 + 11 * row + 8]
    assert (copied, destination) == (24, expected)


@pytest.mark.parametrize(("offset", "stride"), [(0, 7), (0, 0), (1, 20), (1 << 63, 10)])
def test_a_plane_that_leaves_either_side_is_refused(offset: int, stride: int) -> None:
    inside, outside = Place(pixels_of(bytearray(40)), 0, 10), Place(pixels_of(bytearray(40)), offset, stride)
    for to, from_ in ((inside, outside), (outside, inside)):
        with pytest.raises(LocalError):
            copy_plane(to, from_, PlaneFormat(2), (Rectangle(0, 0, 4, 4),))
