"""Draws title bars."""

from functools import lru_cache
from typing import Final, NamedTuple

from PIL import Image, ImageDraw

from launcher.xwayland.decorations.fonts import fitting, load_font
from launcher.xwayland.decorations.layout import FrameState, Layout, Part

_SMOOTH: Final = 4
"""Glyphs are drawn so many times larger, and reduced."""
_FONT_SHARE: Final = 0.47
"""The font's size as a part of the title bar's height."""
_GLYPH_SHARE: Final = 0.16
"""Half of a glyph's side, likewise."""
_DISC_SHARE: Final = 0.36
"""The radius of the disc behind a button's glyph, likewise."""


class Palette(NamedTuple):
    """Colours, 0xRRGGBB."""

    bar: int
    text: int
    border: int
    hover: int


ACTIVE: Final = Palette(0x30343C, 0xF2F3F5, 0x1E2126, 0x50565F)
INACTIVE: Final = Palette(0x454A53, 0xA9AEB8, 0x33373E, 0x5A606A)
_CLOSE_HOVER: Final = 0xC0392B


def palette_of(state: FrameState) -> Palette:
    """Returns a frame's colours."""
    return ACTIVE if state.active else INACTIVE


def paint_title(layout: Layout, hovered: Part, pressed: Part) -> bytes:
    """Returns a title bar's pixels, as WL_SHM_FORMAT_XRGB8888 has them, row by row without gaps."""
    bar, state = layout.title_bar, layout.state
    colours = palette_of(state)
    image = Image.new("RGB", (bar.width, bar.height), _rgb(colours.bar))
    _paint_text(image, layout, colours)
    for part in state.buttons:
        place = layout.button(part)
        glyph = _button(part, place.height, colours, part is hovered, part is pressed, state.maximized)
        image.paste(glyph, (place.x - bar.x, place.y - bar.y))
    return image.tobytes("raw", "BGRX")


def _paint_text(image: Image.Image, layout: Layout, colours: Palette) -> None:
    room = layout.text
    height = layout.title_bar.height
    font = load_font(layout.state.title, max(6, round(height * _FONT_SHARE)))
    text = fitting(layout.state.title, font, room.width)
    if not text:
        return
    width = font.getlength(text)
    # Centred in the whole bar where that leaves it in its room.
    middle = layout.title_bar.x + layout.title_bar.width / 2
    left = min(max(middle - width / 2, room.x), room.right - width) - layout.title_bar.x
    ascent, descent = font.getmetrics()
    top = (height - ascent - descent) / 2
    ImageDraw.Draw(image).text((round(left), round(top)), text, font=font, fill=_rgb(colours.text))


@lru_cache(maxsize=64)
def _button(
    part: Part, side: int, colours: Palette, hovered: bool, pressed: bool, maximized: bool
) -> Image.Image:
    """Returns a button's picture."""
    large = side * _SMOOTH
    image = Image.new("RGB", (large, large), _rgb(colours.bar))
    draw = ImageDraw.Draw(image)
    middle = large / 2
    if hovered:
        radius = large * _DISC_SHARE
        fill = _CLOSE_HOVER if part is Part.CLOSE else colours.hover
        if pressed:
            fill = _darker(fill)
        draw.ellipse((middle - radius, middle - radius, middle + radius, middle + radius), fill=_rgb(fill))
    _glyph(draw, part, middle, large * _GLYPH_SHARE, _rgb(colours.text), maximized=maximized)
    return image.resize((side, side), Image.Resampling.BOX)


def _glyph(
    draw: ImageDraw.ImageDraw,
    part: Part,
    middle: float,
    half: float,
    colour: tuple[int, int, int],
    *,
    maximized: bool,
) -> None:
    low, high = middle - half, middle + half
    line = max(1, round(half / 2.6))
    if part is Part.CLOSE:
        draw.line((low, low, high, high), fill=colour, width=line)
        draw.line((low, high, high, low), fill=colour, width=line)
    elif part is Part.MINIMIZE:
        draw.line((low, high, high, high), fill=colour, width=line)
    elif maximized:
        step = half / 2
        draw.rectangle((low, low + step, high - step, high), outline=colour, width=line)
        draw.line((low + step, low, high, low), fill=colour, width=line)
        draw.line((high, low, high, high - step), fill=colour, width=line)
    else:
        draw.rectangle((low, low, high, high), outline=colour, width=line)


def _rgb(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 0xFF, colour & 0xFF


def _darker(colour: int) -> int:
    return colour >> 1 & 0x7F7F7F
