"""The host's clocks as one client's messages need them: measured when a time passes, never by a timer.

The clocks of a virtual machine and of its host have nothing in common, and even a container's may
be shifted (time_namespaces(7)), so nothing is assumed.  A first use asks the host a few times in a
row; later ones ask again where the last answer is old, or where a time that the host just told
makes no sense: the machine was suspended or stopped meanwhile, which its own clock can't see.
"""

from time import CLOCK_BOOTTIME, clock_gettime_ns
from typing import Final

from crossdomain.abi.clock import COARSE, ClockId
from crossdomain.bridge.clock import ClockOffset, Reading
from crossdomain.errors import HostFault
from launcher.channel.seam import Channel

_FIRST_READINGS: Final = 5
"""The quickest of so many is nearly as good as any: the rest are delayed by whoever runs at the time."""
_READINGS: Final = 2
_OLD_NS: Final = 5_000_000_000
"""Age of an answer that is asked for anew: clocks that differ by 50 ppm part by 0.25 ms in that time."""
_DOUBT_NS: Final = 1_000_000_000
"""Age of an answer that may be doubted, so that a host with strange times is not asked for each frame."""
_LATE_NS: Final = 2_000_000_000
_EARLY_NS: Final = 100_000_000
"""What happened on the host is told within moments of our own present; beyond, the offset is doubted."""


class HostClock:
    """One clock of the host's."""

    __slots__ = ("_channel", "_clock_id", "_measured_at", "_offset")

    def __init__(self, channel: Channel, clock_id: ClockId) -> None:
        """`channel` has a clock."""
        self._channel = channel
        self._clock_id = clock_id
        self._offset = ClockOffset()
        self._measured_at: int | None = None

    @property
    def uncertainty(self) -> int:
        """Nanoseconds by which translated times may be wrong."""
        return self._offset.uncertainty

    def offset(self) -> int:
        """Nanoseconds that the host's clock is ahead of ours by; asks the host where that is due.

        Raises:
            HostFault: it does not answer.
        """
        if self._measured_at is None:
            self._measure(_FIRST_READINGS)
        elif self._age(self._measured_at) > _OLD_NS:
            self._measure(_READINGS)
        return self._offset.offset

    def to_host(self, ours: int) -> int:
        """Returns the time in ns of the host's clock at a time of ours, at least 0."""
        return max(0, ours + self.offset())

    def to_guest(self, theirs: int) -> int:
        """Returns our time in ns of what happened on the host at a time of its clock, at least 0."""
        ours = theirs - self.offset()
        now = clock_gettime_ns(self._clock_id)
        if not now - _LATE_NS <= ours <= now + _EARLY_NS and self._may_doubt:
            self._measure(_FIRST_READINGS)
            ours = theirs - self._offset.offset
        return max(0, ours)

    @property
    def _may_doubt(self) -> bool:
        return self._measured_at is not None and self._age(self._measured_at) > _DOUBT_NS

    def _age(self, then: int) -> int:
        return clock_gettime_ns(CLOCK_BOOTTIME) - then

    def _measure(self, readings: int) -> None:
        for _ in range(readings):
            before = clock_gettime_ns(self._clock_id)
            host = self._channel.read_clock(self._clock_id)
            self._offset.add(Reading(before, host, clock_gettime_ns(self._clock_id)))
        self._measured_at = clock_gettime_ns(CLOCK_BOOTTIME)


class HostClocks:
    """The clocks that one client's compositor uses."""

    def __init__(self, channel: Channel) -> None:
        """`channel` has a clock."""
        self._channel = channel
        self._clocks: dict[ClockId, HostClock] = {}

    def clock(self, clock_id: int) -> HostClock:
        """Returns the clock of a number that a compositor told.

        Raises:
            HostFault: it is not one that can be asked for.
        """
        try:
            known = ClockId(COARSE.get(clock_id, clock_id))
        except ValueError:
            raise HostFault(f"the compositor's clock {clock_id} can't be translated") from None
        clock = self._clocks.get(known)
        if clock is None:
            clock = self._clocks[known] = HostClock(self._channel, known)
        return clock
