"""What the painters of a chaos show, and how it is found on the screen."""

from typing import Final

from tests.fakes.weston import Pixels

LEFT: Final = 3
"""Exit status of a painter that was left by its compositor, its launcher or its device."""
READY: Final = "ready"
"""What a painter says at first."""
ENOUGH: Final = 500
"""Pixels of a painter's window that nobody covers: windows are placed at random, and the others are small."""


class Palette:
    """Colours of one painter: none comes twice, and none is another painter's."""

    def __init__(self, hue: int) -> None:
        self._hue = hue
        self._last = 0

    def next(self) -> str:
        """A fresh one, RRGGBB."""
        self._last += 1
        return f"{self._hue:02x}{self._last & 0xFFFF:04x}"


def count(screen: Pixels, colour: str) -> int:
    """Pixels of exactly that colour, RRGGBB."""
    return int((screen == tuple(bytes.fromhex(colour))).all(axis=2).sum())
