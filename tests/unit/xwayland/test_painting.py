"""Contents with an alpha channel: what the X server shows, seen through a shape and an opacity."""

import struct

from launcher.xwayland.model.geometry import Rectangle, Size
from launcher.xwayland.model.shape import Shape
from launcher.xwayland.shell.painting import draw_mask, paint
from launcher.xwayland.x11.events import Picture, parse_image, parse_rectangles, parse_shape_extents

SIZE = Size(2, 1)
PIXELS = bytes((0x10, 0x20, 0x40, 0, 0x80, 0x60, 0xFF, 0))
HEADER = 32


def reply(detail: int, fixed: bytes, data: bytes = b"") -> bytes:
    """An X reply: its second byte, what follows the eighth, and its list."""
    return bytes((1, detail)) + bytes(6) + fixed.ljust(HEADER - 8, b"\0") + data


def test_what_has_no_alpha_channel_is_opaque() -> None:
    painted = paint(Picture(SIZE, PIXELS, has_alpha=False), None, 1.0)
    assert painted == bytes((0x10, 0x20, 0x40, 0xFF, 0x80, 0x60, 0xFF, 0xFF))


def test_opacity_is_that_of_premultiplied_colours() -> None:
    painted = paint(Picture(SIZE, PIXELS, has_alpha=False), None, 0.5)
    assert painted == bytes((0x08, 0x10, 0x20, 0x80, 0x40, 0x30, 0x80, 0x80))


def test_nothing_is_seen_outside_of_a_shape() -> None:
    mask = draw_mask(Shape((Rectangle(1, 0, 5, 5), Rectangle(-9, -9, 3, 3))), SIZE)
    painted = paint(Picture(SIZE, PIXELS, has_alpha=False), mask, 1.0)
    assert painted == bytes((0, 0, 0, 0, 0x80, 0x60, 0xFF, 0xFF))


def test_an_alpha_channel_stays() -> None:
    pixels = bytes((1, 2, 3, 4, 5, 6, 7, 8))
    assert paint(Picture(SIZE, pixels, has_alpha=True), None, 1.0) == pixels


def test_an_image_of_another_size_or_depth_is_none() -> None:
    assert parse_image(reply(24, b"", PIXELS), SIZE) == Picture(SIZE, PIXELS, has_alpha=False)
    assert parse_image(reply(32, b"", PIXELS), SIZE) == Picture(SIZE, PIXELS, has_alpha=True)
    assert parse_image(reply(24, b"", PIXELS[:-1]), SIZE) is None
    assert parse_image(reply(16, b"", PIXELS), SIZE) is None


def test_a_shape_of_too_many_rectangles_is_none() -> None:
    two = struct.pack("<hhHHhhHH", -1, 2, 3, 4, 5, 6, 7, 8)
    assert parse_rectangles(reply(0, struct.pack("<I", 2), two), 2) == ((-1, 2, 3, 4), (5, 6, 7, 8))
    assert parse_rectangles(reply(0, struct.pack("<I", 2), two), 1) is None
    assert parse_rectangles(reply(0, struct.pack("<I", 3), two), 9) is None


def test_only_a_window_with_a_shape_has_extents_of_one() -> None:
    extents = struct.pack("<BBxxhhHH", 1, 0, -5, -6, 70, 80)
    assert parse_shape_extents(reply(0, extents)) == (70, 80)
    assert parse_shape_extents(reply(0, bytes(1) + extents[1:])) is None
