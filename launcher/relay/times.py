"""Times of frames: what the compositor says in its clock is heard in the guest's, and the other way round.

The client is told the compositor's own clock_id: the guest has a clock of that number too, and the
times are translated from the one to the other.  Frame callbacks pass as they come: their
milliseconds have no base that a client may rely on (wl_surface.frame).
"""

from struct import Struct
from typing import Final

from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import Identifier
from crossdomain.wire import Record
from launcher.relay.host_clock import HostClock, HostClocks
from launcher.relay.messages import EventHandler, RequestHandler, Route, ToClient, ToHost

TIMED_GLOBALS: Final = (
    "wp_presentation",
    "wp_commit_timing_manager_v1",
    "zwp_input_timestamps_manager_v1",
)
"""What a client must not see where the host does not tell its time: all that they say are times."""

_HEADER: Final = 8
_UINT: Final = Struct("<I")
_TIME: Final = Struct("<III")
"""tv_sec_hi, tv_sec_lo, tv_nsec: the first arguments of every message that has them."""
_SECOND: Final = 1_000_000_000
_MAX_SECONDS: Final = (1 << 64) - 1


class Times:
    """One client's; a `messages.Part` for a channel with a clock."""

    def __init__(self, clocks: HostClocks) -> None:
        self._clocks = clocks
        # What a client that binds no wp_presentation can but assume.
        self._presentation: HostClock = clocks.clock(ClockId.MONOTONIC)

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {("wp_commit_timer_v1", "set_timestamp"): self._handle_set_timestamp}

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {
            ("wp_presentation", "clock_id"): self._handle_clock_id,
            ("wp_presentation_feedback", "presented"): self._handle_presented,
            ("ext_image_copy_capture_frame_v1", "presentation_time"): self._handle_capture_time,
        }

    def _handle_clock_id(self, record: Record, data: memoryview, _identifiers: list[Identifier]) -> None:
        (clock_id,) = _UINT.unpack_from(data, record.offset + _HEADER)
        self._presentation = self._clocks.clock(clock_id)
        # Now, while the client starts, and not before its first frame.
        self._presentation.offset()

    def _handle_presented(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        return translate_event(record, data, self._presentation)

    def _handle_capture_time(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        # "In system monotonic time", whatever wp_presentation's clock is.
        return translate_event(record, data, self._clocks.clock(ClockId.MONOTONIC))

    def _handle_set_timestamp(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        ours = read_time(record, data)
        # The compositor answers nonsense with invalid_timestamp.
        return None if ours is None else ToHost(with_time(record, data, self._presentation.to_host(ours)))


def translate_event(record: Record, data: memoryview, clock: HostClock) -> ToClient | None:
    """Returns an event that begins with a time of `clock`, in the guest's; None where it is no valid time."""
    theirs = read_time(record, data)
    return None if theirs is None else ToClient(with_time(record, data, clock.to_guest(theirs)))


def read_time(record: Record, data: memoryview) -> int | None:
    """Returns the time in ns that a message begins with; None where its nanoseconds are no fraction."""
    high, low, nanoseconds = _TIME.unpack_from(data, record.offset + _HEADER)
    return None if nanoseconds >= _SECOND else (high << 32 | low) * _SECOND + nanoseconds


def with_time(record: Record, data: memoryview, time: int) -> bytes:
    """Returns the message with another time (ns, not negative) at its beginning."""
    message = bytearray(data[record.offset : record.offset + record.size])
    seconds, nanoseconds = divmod(time, _SECOND)
    seconds = min(seconds, _MAX_SECONDS)
    _TIME.pack_into(message, _HEADER, seconds >> 32, seconds & 0xFFFFFFFF, nanoseconds)
    return bytes(message)
