"""Fonts for titles: what the guest has, and Pillow's own where it has none."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

_FOLDERS: Final = ("/usr/share/fonts", "/usr/local/share/fonts")
_PREFERRED: Final = (
    "Cantarell-Regular",
    "NotoSans-Regular",
    "DejaVuSans",
    "LiberationSans-Regular",
    "FreeSans",
    "NotoSansCJK-Regular",
    "wqy-microhei",
    "DroidSansFallbackFull",
    "unifont",
)
"""Names of font files, the best first; the later ones have the scripts that the first ones lack."""
_SUFFIXES: Final = (".ttf", ".otf", ".ttc")
_MAX_FILES: Final = 20000
"""Files that are looked at: a guest with whole typefaces installed has some thousand."""
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
_MISSING: Final = "\uffff"
"""No font has a glyph for it."""

Font = ImageFont.FreeTypeFont


@lru_cache(maxsize=256)
def load_font(text: str, size: int) -> Font:
    """Returns a font of that size, px, which has the characters of a text, or most of them."""
    best = _builtin(size)
    if text.isascii():
        return _open(_paths()[0], size) if _paths() else best
    missing = _count_missing(best, text)
    for path in _paths():
        font = _open(path, size)
        count = _count_missing(font, text)
        if count < missing or (count == missing and best is _builtin(size)):
            best, missing = font, count
        if not missing:
            break
    return best


def fitting(text: str, font: Font, width: int) -> str:
    """Returns a text, cut with an ellipsis where it is wider than `width` px."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + _ELLIPSIS) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + _ELLIPSIS if low else ""


@lru_cache(maxsize=1)
def _paths() -> tuple[str, ...]:
    """Returns the preferred fonts that are installed."""
    found: dict[str, str] = {}
    for path in _font_files():
        found.setdefault(os.path.splitext(os.path.basename(path))[0], path)
    return tuple(found[name] for name in _PREFERRED if name in found)


def _font_files() -> Iterator[str]:
    count = 0
    for folder in _FOLDERS:
        for parent, _, names in os.walk(folder):
            for name in names:
                count += 1
                if count > _MAX_FILES:
                    return
                if name.endswith(_SUFFIXES):
                    yield os.path.join(parent, name)


@lru_cache(maxsize=64)
def _open(path: str, size: int) -> Font:
    try:
        return ImageFont.truetype(path, size)
    except OSError:
        return _builtin(size)


@lru_cache(maxsize=8)
def _builtin(size: int) -> Font:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font


def _count_missing(font: Font, text: str) -> int:
    absent = _glyph(font, _MISSING)
    return sum(_glyph(font, character) == absent for character in set(text) if not character.isspace())


def _glyph(font: Font, character: str) -> bytes:
    """Returns the coverage of one character's pixels, and how far it reaches."""
    left, top, right, bottom = (round(edge) for edge in font.getbbox(character))
    image = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(image).text((-left, -top), character, fill=255, font=font)
    return image.size[0].to_bytes(4, "little") + image.tobytes()
