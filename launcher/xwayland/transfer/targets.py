"""Kinds of data: X targets (ICCCM 2.6.2) and MIME types, and text from one encoding to the other."""

import codecs
import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from launcher.xwayland.model.text import decode_compound

UTF8_MIME: Final = "text/plain;charset=utf-8"
_UTF8_MIMES: Final = (UTF8_MIME, "text/plain;charset=UTF-8", "UTF8_STRING", "text/plain", "TEXT", "STRING")
"""What Wayland clients call plain text, what is surely UTF-8 first."""
_PROTOCOL_TARGETS: Final = frozenset(
    {"TARGETS", "MULTIPLE", "TIMESTAMP", "SAVE_TARGETS", "DELETE", "INSERT_SELECTION", "INSERT_PROPERTY"}
)
"""Targets that are no data."""
MAX_KINDS: Final = 128
"""Kinds of one selection: an office suite offers some thirty."""
_MAX_NAME: Final = 256
_NO_LATIN: Final = re.compile("[^\t\n\x20-\x7e\xa0-\xff]")
"""What compound text has no place for outside of segments; of controls, most mean something there."""


class Coding(Enum):
    """How text is encoded on the X side; on the Wayland side it is UTF-8."""

    SAME = 0
    LATIN1 = 1
    COMPOUND = 2


def mimes_of(targets: Iterable[str]) -> dict[str, str]:
    """Returns the MIME types that an X selection's targets stand for, each with the target to ask for."""
    found: dict[str, str] = {}
    names = [name for name in targets if name not in _PROTOCOL_TARGETS][:MAX_KINDS]
    for name in names:
        if "/" in name and _is_clean(name):
            found[name] = name
    for target in ("UTF8_STRING", "COMPOUND_TEXT", "STRING", "TEXT"):
        if target in names:
            for mime in _UTF8_MIMES:
                found.setdefault(mime, target)
    return found


def targets_of(mimes: Iterable[str]) -> dict[str, str]:
    """Returns the X targets that MIME types stand for, each with the MIME type to ask for."""
    names = [mime for mime in mimes if _is_clean(mime)][:MAX_KINDS]
    found = {mime: mime for mime in names if "/" in mime}
    text = next((mime for mime in _UTF8_MIMES if mime in names), None)
    if text is not None:
        for target in ("UTF8_STRING", "COMPOUND_TEXT", "TEXT", "STRING", UTF8_MIME):
            found.setdefault(target, text)
    return found


def coding_of(target: str) -> Coding:
    """Returns how the text of an X target is encoded."""
    match target:
        case "STRING":
            return Coding.LATIN1
        case "COMPOUND_TEXT":
            return Coding.COMPOUND
        case _:
            return Coding.SAME


def type_of(target: str) -> str:
    """Returns the property type that the data of an X target has."""
    return "UTF8_STRING" if target == "TEXT" else target


def from_x(data: bytes, type_: str) -> bytes:
    """Returns text of a property as UTF-8; COMPOUND_TEXT has to be whole."""
    match type_:
        case "STRING":
            return data.decode("latin-1").encode()
        case "COMPOUND_TEXT":
            return decode_compound(data).encode()
        case _:
            return data


class ToX:
    """Encodes UTF-8 for X as it comes in pieces."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def encode(self, data: bytes, *, final: bool) -> bytes:
        """Returns what is to be sent for a piece."""
        match self._coding:
            case Coding.SAME:
                return data
            case Coding.LATIN1:
                return self._decoder.decode(data, final).encode("latin-1", "replace")
            case Coding.COMPOUND:
                return _encode_compound(self._decoder.decode(data, final))


def _encode_compound(text: str) -> bytes:
    """Returns compound text: Latin 1 as it is, everything else as a UTF-8 segment."""
    if not _NO_LATIN.search(text):
        return text.encode("latin-1")
    return b"\x1b%G" + text.encode() + b"\x1b%@"


def _is_clean(name: str) -> bool:
    return 0 < len(name) <= _MAX_NAME and name.isprintable()
