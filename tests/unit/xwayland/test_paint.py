"""Title bars, drawn."""

import numpy as np

from launcher.xwayland.decorations.fonts import fitting, load_font
from launcher.xwayland.decorations.layout import BUTTONS, FrameState, Layout, Part
from launcher.xwayland.decorations.paint import ACTIVE, INACTIVE, paint_title
from launcher.xwayland.model.geometry import Extents, Size


def paint(
    title: str, width: int = 300, *, active: bool = True, scale: int = 1, hovered: Part = Part.NOTHING
) -> np.ndarray:
    """A title bar's pixels: height x width x 3, red, green, blue."""
    extents = Extents(scale, scale, 28 * scale, scale)
    state = FrameState(
        Size(width, 100), extents, title, BUTTONS, active=active, maximized=False, resizable=True
    )
    layout = Layout(state, scale)
    data = np.frombuffer(paint_title(layout, hovered, Part.NOTHING), dtype=np.uint8)
    return data.reshape(layout.title_bar.height, layout.title_bar.width, 4)[:, :, 2::-1]


def rgb(colour: int) -> tuple[int, int, int]:
    """A colour as a pixel."""
    return colour >> 16, colour >> 8 & 255, colour & 255


def ink(pixels: np.ndarray, colour: int) -> int:
    """How many pixels are not the bar's."""
    return int((pixels != rgb(colour)).any(axis=2).sum())


def test_the_title_is_to_be_read_in_the_middle() -> None:
    without, with_title = paint(""), paint("Title")
    changed = np.nonzero((without != with_title).any(axis=(0, 2)))[0]
    assert 100 < changed.min() < changed.max() < 200
    assert abs((changed.min() + changed.max()) / 2 - 151) < 3


def test_the_active_window_looks_different() -> None:
    assert tuple(paint("x")[1, 1]) == rgb(ACTIVE.bar)
    assert tuple(paint("x", active=False)[1, 1]) == rgb(INACTIVE.bar)


def test_a_long_title_does_not_touch_the_buttons() -> None:
    pixels = paint("very long title " * 20)
    buttons = slice(302 - 3 * 28, 302)
    assert (pixels[:, buttons] == paint("")[:, buttons]).all()


def test_a_button_under_the_pointer_is_shown() -> None:
    assert (paint("", hovered=Part.CLOSE) != paint("")).any()
    assert (paint("", hovered=Part.CLOSE)[:, :274] == paint("")[:, :274]).all()


def test_twice_the_scale_is_drawn_sharp() -> None:
    small, large = ink(paint("Title", 300), ACTIVE.bar), ink(paint("Title", 600, scale=2), ACTIVE.bar)
    assert 3 * small < large < 5 * small


def test_a_tiny_window_still_has_its_buttons() -> None:
    assert paint("Title", 20).shape == (28, 22, 3)


def test_a_text_that_fits_is_not_cut() -> None:
    font = load_font("Title", 13)
    assert fitting("Title", font, 1000) == "Title"
    cut = fitting("Title of a window", font, 60)
    assert cut.endswith("…")
    assert font.getlength(cut) <= 60
    assert fitting("Title", font, 0) == ""


def test_any_script_is_drawn_with_some_font() -> None:
    assert ink(paint("Ünïcödé Привет 日本語"), ACTIVE.bar) > ink(paint(""), ACTIVE.bar)
