"""A colour profile as real ones are (ICC.1:2022): an RGB display by its primaries and its gamma."""

import struct
from typing import Final

_D50: Final = (0.9642, 1.0, 0.8249)
"""The profile connection space's white, XYZ."""
_PRIMARIES: Final = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
"""Those of sRGB, adapted to D50."""
_HEADER_SIZE: Final = 128


def display_profile(gamma: float) -> bytes:
    """A profile of version 4.3."""
    text = _text("a display of the tests")
    tags = {
        b"desc": text,
        b"cprt": text,
        b"wtpt": _xyz(_D50),
        **{name: _xyz(primary) for name, primary in _PRIMARIES.items()},
        **{name: _curve(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    offset = _HEADER_SIZE + 4 + 12 * len(tags)
    directory = struct.pack(">I", len(tags))
    data = b""
    for name, value in tags.items():
        directory += struct.pack(">4sII", name, offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    return _header(offset + len(data)) + directory + data


def _header(size: int) -> bytes:
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    start = struct.pack(">I4sI4s4s4s", size, b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    return (start + date + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))).ljust(_HEADER_SIZE, b"\0")


def _fixed(value: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(">i", round(value * 65536))


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ ".ljust(8, b"\0") + b"".join(map(_fixed, value))


def _curve(gamma: float) -> bytes:
    return b"curv".ljust(8, b"\0") + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _text(text: str) -> bytes:
    """MultiLocalizedUnicodeType with one record."""
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded
