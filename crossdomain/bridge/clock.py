"""How far the host's clock is ahead of ours, from readings of it.  Pure arithmetic.

One reading bounds the offset: the host read its clock between our two readings of our own, so
the offset lies between `host - after` and `host - before`, whichever way the delay was shared out.
Readings are intersected (Marzullo's idea, which NTP uses too); the quickest one decides.  Bounds
grow with their age, because two clocks do not run equally fast.  A reading that contradicts what
was known tells of a clock that was set or stood still, and replaces it.
"""

from typing import Final, NamedTuple

from crossdomain.errors import LocalError

DRIFT_PPM: Final = 200
"""How fast two clocks may part: crystals differ by some 50, and NTP slews by up to 500 for a while.
Too little costs no accuracy that matters: the last reading's own bounds always hold."""


class Reading(NamedTuple):
    """The host's clock, and ours before and after it was read; ns."""

    before: int
    host: int
    after: int


class ClockOffset:
    """The offset of one clock of the host's against the same one of ours: host = ours + offset."""

    __slots__ = ("_at", "_high", "_low")

    def __init__(self) -> None:
        self._low = self._high = 0
        self._at: int | None = None

    @property
    def offset(self) -> int:
        """Nanoseconds; wrong by at most `uncertainty` when the last reading was added.

        Raises:
            LocalError: there is no reading yet.
        """
        if self._at is None:
            raise LocalError("the host's clock was never read")
        return (self._low + self._high) // 2

    @property
    def uncertainty(self) -> int:
        """Nanoseconds."""
        return (self._high - self._low + 1) // 2

    def add(self, reading: Reading) -> None:
        """Takes one more reading into account."""
        low, high = reading.host - reading.after, reading.host - reading.before
        if self._at is not None:
            drift = abs(reading.after - self._at) * DRIFT_PPM // 1_000_000
            known_low, known_high = max(low, self._low - drift), min(high, self._high + drift)
            if known_low <= known_high:
                low, high = known_low, known_high
        self._low, self._high, self._at = low, high, reading.after
