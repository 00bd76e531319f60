"""How long things take, counted in classes of a quarter octave: bounded memory, percentiles at any time.

C counts in the same classes (`crossdomain/native/passage.c`).
"""

from typing import TYPE_CHECKING, Final

from crossdomain.native import lib

if TYPE_CHECKING:
    from crossdomain.native._core import Counts

_STEPS: Final = lib.XD_TIME_STEPS
"""Classes of one octave: a percentile is at most a quarter too large."""
_CLASSES: Final = lib.XD_TIME_CLASSES


class Latency:
    """One distribution of times."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * _CLASSES

    def add(self, seconds: float) -> None:
        """One more."""
        microseconds = max(1, int(seconds * 1e6))
        octave = microseconds.bit_length() - 1
        step = (microseconds * _STEPS >> octave) - _STEPS
        self._counts[min(octave * _STEPS + step, _CLASSES - 1)] += 1

    def take(self, counts: "Counts") -> None:
        """Those that C has counted; it begins anew."""
        for number in range(_CLASSES):
            if counted := counts[number]:
                self._counts[number] += counted
                counts[number] = 0

    @property
    def samples(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def percentile(self, percent: int) -> int:
        """What so many percent did not exceed, us, rounded up to its class; 0 where nothing was counted."""
        wanted = -(-self.samples * percent // 100)
        seen = 0
        for number, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                octave, step = divmod(number, _STEPS)
                return ((_STEPS + step + 1) << octave) // _STEPS
        return 0
