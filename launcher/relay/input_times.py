"""Times of input for a client that asks for them in nanoseconds (zwp_input_timestamps_v1).

Such a time is "in the same clock domain" as the milliseconds of the event that it belongs to, so
once a client has subscribed, the times of all its input events are translated, also those of
devices that it did not subscribe to: clients compare them.  For all other clients they pass as they
come, because their base is undefined.  Compositors take them from the kernel: CLOCK_MONOTONIC.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import Identifier
from crossdomain.wire import Record
from launcher.relay.host_clock import HostClock, HostClocks
from launcher.relay.messages import EventHandler, Host, RequestHandler, Route, ToClient
from launcher.relay.times import read_time, with_time

MILLISECONDS: Final[dict[Route, int]] = {
    ("wl_data_device", "motion"): 0,
    ("wl_keyboard", "key"): 1,
    ("wl_pointer", "motion"): 0,
    ("wl_pointer", "button"): 1,
    ("wl_pointer", "axis"): 0,
    ("wl_pointer", "axis_stop"): 0,
    ("wl_touch", "down"): 1,
    ("wl_touch", "up"): 1,
    ("wl_touch", "motion"): 0,
    ("zwp_input_method_keyboard_grab_v2", "key"): 1,
    ("zwp_pointer_gesture_hold_v1", "begin"): 1,
    ("zwp_pointer_gesture_hold_v1", "end"): 1,
    ("zwp_pointer_gesture_pinch_v1", "begin"): 1,
    ("zwp_pointer_gesture_pinch_v1", "update"): 0,
    ("zwp_pointer_gesture_pinch_v1", "end"): 1,
    ("zwp_pointer_gesture_swipe_v1", "begin"): 1,
    ("zwp_pointer_gesture_swipe_v1", "update"): 0,
    ("zwp_pointer_gesture_swipe_v1", "end"): 1,
    ("zwp_tablet_pad_dial_v2", "frame"): 0,
    ("zwp_tablet_pad_group_v2", "mode_switch"): 0,
    ("zwp_tablet_pad_ring_v2", "frame"): 0,
    ("zwp_tablet_pad_strip_v2", "frame"): 0,
    ("zwp_tablet_pad_v2", "button"): 0,
    ("zwp_tablet_tool_v1", "frame"): 0,
    ("zwp_tablet_tool_v2", "frame"): 0,
    ("zwp_text_input_v1", "keysym"): 1,
}
"""Events with milliseconds, and the words before them."""
MICROSECONDS: Final[Route] = ("zwp_relative_pointer_v1", "relative_motion")
"""It begins with microseconds, in two words."""

_HEADER: Final = 8
_WORD: Final = Struct("<I")
_TWO_WORDS: Final = Struct("<II")
_MILLISECOND: Final = 1_000_000
_MICROSECOND: Final = 1000
_MASK: Final = 0xFFFFFFFF


class InputTimes:
    """One client's; a `messages.Part` for a channel with a clock."""

    def __init__(self, host: Host, clocks: HostClocks) -> None:
        self._host = host
        self._clock: Final[HostClock] = clocks.clock(ClockId.MONOTONIC)
        self._subscribed = False
        self._last = (0, 0)
        """Milliseconds of the last timestamp on the host, and the same here."""

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("zwp_input_timestamps_manager_v1", f"get_{device}_timestamps"): self._handle_subscription
            for device in ("keyboard", "pointer", "touch")
        }

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {("zwp_input_timestamps_v1", "timestamp"): self._handle_timestamp}

    def _handle_subscription(self, _record: Record, _data: memoryview, _fds: list[int]) -> None:
        if self._subscribed:
            return
        self._subscribed = True
        routes = {route: self._milliseconds_handler(words) for route, words in MILLISECONDS.items()}
        self._host.watch_events({**routes, MICROSECONDS: self._handle_relative_motion})

    def _handle_timestamp(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        theirs = read_time(record, data)
        if theirs is None:
            return None
        ours = self._clock.to_guest(theirs)
        self._last = (theirs // _MILLISECOND & _MASK, ours // _MILLISECOND & _MASK)
        return ToClient(with_time(record, data, ours))

    def _milliseconds_handler(self, words: int) -> EventHandler:
        offset = _HEADER + words * _WORD.size
        translate: Callable[[int], int] = self._milliseconds

        def handle(record: Record, data: memoryview, _identifiers: list[Identifier]) -> ToClient:
            message = bytearray(data[record.offset : record.offset + record.size])
            (theirs,) = _WORD.unpack_from(message, offset)
            _WORD.pack_into(message, offset, translate(theirs))
            return ToClient(bytes(message))

        return handle

    def _milliseconds(self, theirs: int) -> int:
        """Returns milliseconds of the guest's, modulo 2**32; those of the timestamp that came before."""
        last_theirs, last_ours = self._last
        if theirs == last_theirs:
            return last_ours
        return (theirs * _MILLISECOND - self._clock.offset()) // _MILLISECOND & _MASK

    def _handle_relative_motion(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient:
        message = bytearray(data[record.offset : record.offset + record.size])
        high, low = _TWO_WORDS.unpack_from(message, _HEADER)
        ours = ((high << 32 | low) * _MICROSECOND - self._clock.offset()) // _MICROSECOND
        _TWO_WORDS.pack_into(message, _HEADER, ours >> 32 & _MASK, ours & _MASK)
        return ToClient(bytes(message))
