"""Texts of X clients: UTF8_STRING, STRING (Latin 1), COMPOUND_TEXT and what is called so.

Compound text (X Consortium Standard, "Compound Text Encoding") switches character sets with ISO 2022
escapes.  What can't be decoded becomes U+FFFD; nothing raises.
"""

import re
from collections.abc import Callable
from typing import Final

from launcher.xwayland.limits import MAX_TITLE

_ESCAPE: Final = 0x1B
_CSI: Final = 0x9B
_HIGH: Final = 0x80
_LATIN: Final = {
    "A": "iso8859-1",
    "B": "iso8859-2",
    "C": "iso8859-3",
    "D": "iso8859-4",
    "F": "iso8859-7",
    "G": "iso8859-6",
    "H": "iso8859-8",
    "L": "iso8859-5",
    "M": "iso8859-9",
    "V": "iso8859-10",
    "Y": "iso8859-13",
    "_": "iso8859-14",
    "b": "iso8859-15",
    "f": "iso8859-16",
    "T": "tis-620",
    "I": "shift_jis",
}
"""Sets of 96 (and one of 94) characters on the right side, by the final character of their escape."""
_DOUBLE: Final = {"A": "gb2312", "B": "euc_jp", "C": "euc_kr", "G": "big5"}
"""Sets of 94 x 94 characters."""
_EXTENDED: Final = re.compile(rb"\x1b%/([0-4])([\x80-\xff])([\x80-\xff])")
_SWITCH: Final = re.compile(rb"\x1b(\(|\)|-|\$\(|\$\))([\x40-\x7e])")
_ENCODINGS: Final = re.compile(
    rb"iso8859-\d+|koi8-[rtu]|gb2312|gbk|gb18030|big5(-?hkscs)?|cp\d+|utf-8|euc-?.."
)
_UTF8: Final = b"\x1b%G"
_UTF8_END: Final = b"\x1b%@"
_CONTROL: Final = dict.fromkeys((*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")

Decoder = Callable[[bytes], str]


def decode_utf8(data: bytes) -> str:
    """Returns the text of a UTF8_STRING."""
    return data.decode("utf-8", "replace")


def decode_latin1(data: bytes) -> str:
    """Returns the text of a STRING; UTF-8 where it can be nothing else, because many clients send that."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decode_compound(data: bytes) -> str:
    """Returns the text of a COMPOUND_TEXT."""
    return _Compound(data).decode()


def clean_title(text: str) -> str:
    """Returns a text as a title bar or a panel can show it: one line, of bounded length."""
    return text.split("\0", 1)[0][:MAX_TITLE].translate(_CONTROL).strip()


class _Compound:
    """Decodes one compound text; ASCII on the left side and Latin 1 on the right is how each begins."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._left: str | None = None
        self._right = "iso8859-1"
        self._double_right = False

    def decode(self) -> str:
        parts: list[str] = []
        while self._position < len(self._data):
            byte = self._data[self._position]
            if byte == _ESCAPE:
                parts.append(self._escape())
            elif byte == _CSI:
                self._skip_direction()
            else:
                parts.append(self._run())
        return "".join(parts)

    def _escape(self) -> str:
        data, position = self._data, self._position
        if data.startswith(_UTF8, position):
            end = data.find(_UTF8_END, position)
            end = len(data) if end < 0 else end
            self._position = end + len(_UTF8_END)
            return data[position + len(_UTF8) : end].decode("utf-8", "replace")
        extended = _EXTENDED.match(data, position)
        if extended is not None:
            size = (extended[2][0] - _HIGH) * _HIGH + extended[3][0] - _HIGH
            self._position = extended.end() + size
            return _decode_extended(data[extended.end() : self._position])
        switch = _SWITCH.match(data, position)
        if switch is not None:
            self._switch(switch[1], switch[2].decode("ascii"))
            self._position = switch.end()
        else:
            self._position += 1
        return ""

    def _switch(self, place: bytes, final: str) -> None:
        if place == b"(":
            self._left = None
        elif place == b"$(":
            self._left = _DOUBLE.get(final)
        elif place == b"$)":
            self._right, self._double_right = _DOUBLE.get(final, "iso8859-1"), final in _DOUBLE
        else:
            self._right, self._double_right = _LATIN.get(final, "iso8859-1"), False

    def _skip_direction(self) -> None:
        """CSI 1 ], CSI 2 ] and CSI ]: the direction of text, which Unicode finds by itself."""
        end = self._data.find(b"]", self._position)
        self._position = len(self._data) if end < 0 or end - self._position > 2 else end + 1

    def _run(self) -> str:
        """Decodes up to the next escape what lies on the same side."""
        begin = self._position
        right = self._data[begin] >= _HIGH
        while self._position < len(self._data):
            byte = self._data[self._position]
            if byte in (_ESCAPE, _CSI) or (byte >= _HIGH) != right:
                break
            self._position += 1
        run = self._data[begin : self._position]
        if right:
            return run.decode(self._right, "replace")
        if self._left is None or run.isspace():
            return run.decode("ascii", "replace")
        return bytes(byte | _HIGH if byte > 0x20 else byte for byte in run).decode(self._left, "replace")


def _decode_extended(segment: bytes) -> str:
    """An extended segment: the name of an encoding, STX, and text in it."""
    name, _, text = segment.partition(b"\x02")
    # Not every name that Python knows may be loaded because a client says so.
    if not _ENCODINGS.fullmatch(name.lower()):
        return "\N{REPLACEMENT CHARACTER}"
    try:
        return text.decode(name.decode("ascii").lower(), "replace")
    except LookupError:
        return "\N{REPLACEMENT CHARACTER}"
