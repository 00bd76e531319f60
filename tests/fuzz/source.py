"""Reads numbers, choices and blocks off a fuzzer's input; at its end everything is 0 and empty."""

from collections.abc import Sequence
from typing import Final, TypeVar

_T = TypeVar("_T")

_EXTREMES: Final = (
    *(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x10000, 0xFFF, 0x1000, 0x1001),
    *(0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFF000, 1 << 40, 1 << 52),
)


class Source:
    """A cursor on the input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data)

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self._end - self._at

    def byte(self) -> int:
        """0 to 255."""
        at = self._at
        if at >= self._end:
            return 0
        self._at = at + 1
        return self._data[at]

    def word(self) -> int:
        """Any number of 32 bits."""
        return int.from_bytes(self.block(4), "little")

    def below(self, end: int) -> int:
        """A number from 0, without `end`, which is at most 65536."""
        if end <= 256:
            return self.byte() % end
        return int.from_bytes(self.block(2), "little") % end

    def number(self, small: int, bits: int = 32) -> int:
        """Below `small` most of the time, so that ids meet; else where arithmetic goes wrong."""
        byte = self.byte()
        if byte < 0xE0:
            return byte % small
        return _EXTREMES[byte % len(_EXTREMES)] & ((1 << bits) - 1)

    def flag(self) -> bool:
        """Yes or no."""
        return bool(self.byte() & 1)

    def choice(self, choices: Sequence[_T]) -> _T:
        """One of them."""
        return choices[self.below(len(choices))]

    def block(self, size: int) -> bytes:
        """At most `size` bytes."""
        block = self._data[self._at : self._at + size]
        self._at += len(block)
        return block

    def any_block(self, largest: int = 1024) -> bytes:
        """A block with its length before it."""
        return self.block(self.below(largest))
