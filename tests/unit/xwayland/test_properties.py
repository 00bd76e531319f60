"""Properties, well-formed and not: their bytes come from any client."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.xwayland.limits import MAX_ICON_IMAGES, MAX_ICON_SIDE, MAX_SIDE
from launcher.xwayland.model.geometry import Extents, Gravity, Rectangle, Size
from launcher.xwayland.model.properties import (
    EVERY_FUNCTION,
    IconImage,
    InitialState,
    MotifDecoration,
    MotifFunction,
    MotifHints,
    WmClass,
    WmHints,
    choose_icon,
    parse_class,
    parse_extents,
    parse_icons,
    parse_modes,
    parse_motif_hints,
    parse_size_hints,
    parse_wm_hints,
    parse_words,
)


def words(*numbers: int) -> bytes:
    """CARD32s, or INT32s."""
    return b"".join(struct.pack("<I", number & 0xFFFFFFFF) for number in numbers)


XTERM = words(0x350, 0, 0, 0, 0, 10, 17, 0, 0, 6, 13, 0, 0, 0, 0, 4, 4, 1)


def test_size_hints_of_a_terminal() -> None:
    hints = parse_size_hints(XTERM)
    assert (hints.minimum, hints.base, hints.increment) == ((10, 17), (4, 4), (6, 13))
    assert not hints.has_maximum
    assert not hints.is_fixed


def test_a_base_size_is_a_minimum_where_there_is_none() -> None:
    assert parse_size_hints(words(256, *[0] * 14, 40, 30, 1)).minimum == (40, 30)


def test_a_maximum_below_the_minimum_is_the_minimum() -> None:
    hints = parse_size_hints(words(16 | 32, 0, 0, 0, 0, 100, 100, 50, 200))
    assert (hints.minimum, hints.maximum) == ((100, 100), (100, 200))


def test_a_maximum_of_zero_is_none() -> None:
    assert parse_size_hints(words(32, 0, 0, 0, 0, 0, 0, 0, 0)).maximum == Size(MAX_SIDE, MAX_SIDE)


def test_an_aspect_with_a_zero_is_none() -> None:
    assert parse_size_hints(words(128, *[0] * 10, 4, 0, 0, 3)).smallest_aspect is None


def test_x11r3_has_no_base_size_and_gravity() -> None:
    hints = parse_size_hints(words(0x3FF, *[7] * 14))
    assert not hints.has_base
    assert hints.gravity is Gravity.NORTH_WEST


@given(st.binary(max_size=100))
def test_any_size_hints_are_within_what_a_window_can_have(value: bytes) -> None:
    hints = parse_size_hints(value)
    for low, high in zip(hints.minimum, hints.maximum, strict=True):
        assert 1 <= low <= high <= MAX_SIDE
    assert min(hints.increment) >= 1
    assert 0 <= min(hints.base) <= max(hints.base) <= MAX_SIDE


def test_wm_hints() -> None:
    value = words(1 | 2 | 64 | 256, 0, 3, 0, 0, 0, 0, 0, 0x400001)
    assert parse_wm_hints(value) == WmHints(False, InitialState.ICONIC, 0x400001, urgent=True)


def test_wm_hints_that_say_nothing_accept_input() -> None:
    assert parse_wm_hints(b"") == WmHints(True, InitialState.NORMAL, 0, urgent=False)


def test_motif_hints_without_a_frame() -> None:
    assert parse_motif_hints(words(2, 0, 0, 0, 0)) == MotifHints(None, MotifDecoration(0), modal=False)


def test_motif_all_with_others_means_all_but_these() -> None:
    hints = parse_motif_hints(words(1, 1 | 8, 0, 0, 0))
    assert hints.functions == EVERY_FUNCTION & ~MotifFunction.MINIMIZE
    assert hints.allows(MotifFunction.CLOSE)
    assert not hints.allows(MotifFunction.MINIMIZE)


def test_a_class_without_its_second_half() -> None:
    assert parse_class(b"xterm\0XTerm\0") == WmClass("xterm", "XTerm")
    assert parse_class(b"only") == WmClass("only", "")
    assert parse_class(b"") == WmClass("", "")


def test_shadows_that_no_window_has_are_none() -> None:
    assert parse_extents(words(26, 26, 23, 29)) == Extents(26, 26, 23, 29)
    assert parse_extents(words(26, 26, 23)) is None
    assert parse_extents(words(0xFFFFFFFF, 0, 0, 0)) is None


def test_modes_are_those_that_a_window_can_have() -> None:
    data = words(0, 0, 640, 480, 1024, 0, 0xFFFFFFFF, 1, 0, 0, 0, 480, 1024, 768, 800, 600, 1, 2, 3)
    assert parse_modes(data) == (Rectangle(0, 0, 640, 480), Rectangle(1024, 768, 800, 600))


def test_icons_in_several_sizes() -> None:
    value = words(1, 2, 10, 20) + words(2, 1, 30, 40)
    assert parse_icons(value) == [IconImage(1, 2, words(10, 20)), IconImage(2, 1, words(30, 40))]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        words(1),
        words(0, 0),
        words(2, 2, 1, 2, 3),
        words(0x10000, 0x10000),
        words(0xFFFFFFFF, 0xFFFFFFFF, 1),
        words(0x80000000, 2, 1),
    ],
)
def test_icons_with_wrong_lengths_are_none(value: bytes) -> None:
    assert parse_icons(value) == []


def test_an_icon_too_large_to_show_is_passed_over() -> None:
    large = MAX_ICON_SIDE + 1
    value = words(large, 1) + bytes(4 * large) + words(1, 1, 7)
    assert parse_icons(value) == [IconImage(1, 1, words(7))]


def test_only_so_many_icons_are_looked_at() -> None:
    assert len(parse_icons(words(1, 1, 0) * (MAX_ICON_IMAGES + 1))) == MAX_ICON_IMAGES


@given(st.binary(max_size=300))
def test_any_bytes_are_some_icons(value: bytes) -> None:
    for icon in parse_icons(value):
        assert len(icon.pixels) == icon.width * icon.height * 4


def test_the_smallest_icon_that_is_large_enough() -> None:
    icons = [IconImage(side, side, b"") for side in (16, 128, 48)]
    assert choose_icon(icons, 32) == icons[2]
    assert choose_icon(icons, 256) == icons[1]
    assert choose_icon([], 32) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_some_hints(value: bytes) -> None:
    parse_wm_hints(value)
    parse_motif_hints(value)
    parse_class(value)
    parse_extents(value)
    parse_modes(value)
    assert len(parse_words(value)) == len(value) // 4


def test_a_class_is_cut_where_no_desktop_file_has_such_a_name() -> None:
    found = parse_class(b"i" * 9000 + b"\0" + b"c" * 9000 + b"\0")
    assert (len(found.instance), len(found.name)) == (200, 200)
