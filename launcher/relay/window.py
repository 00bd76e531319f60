"""How many requests may be on their way: a window that the compositor itself acknowledges.

Nothing in the cross-domain protocol tells that a SEND has reached the compositor, so a host
has to buffer without bound, block, or give up when the compositor is slow.  We send a
wl_display.sync of our own every now and then: its answer says that everything before it was
handled.  This works with every host.
"""

from collections import deque
from typing import Final

_WINDOW: Final = 262144
"""Bytes on their way: twice what the fastest host takes during one round trip (40 MB/s, 3 ms)."""
_INTERVAL: Final = _WINDOW // 4
"""Bytes between two acknowledgements: one message in thousands."""


class Window:
    """Counts bytes; sends nothing."""

    __slots__ = ("_acknowledged", "_marked", "_markers", "_sent")

    def __init__(self) -> None:
        self._sent = 0
        self._acknowledged = 0
        self._marked = 0
        self._markers: deque[int] = deque()

    @property
    def is_open(self) -> bool:
        """Whether more may be sent."""
        return self._sent - self._acknowledged < _WINDOW

    @property
    def wants_marker(self) -> bool:
        """Whether it is time for an acknowledgement."""
        return self._sent - self._marked >= _INTERVAL

    @property
    def allowance(self) -> int:
        """Bytes that may be sent before `wants_marker` or `is_open` changes; 0 where a marker is due."""
        room = _WINDOW - (self._sent - self._acknowledged)
        return max(0, min(room, _INTERVAL - (self._sent - self._marked)) - 1)

    def sent(self, size: int) -> None:
        """Bytes were sent."""
        self._sent += size

    def mark(self) -> None:
        """An acknowledgement was asked for; they come in this order."""
        self._marked = self._sent
        self._markers.append(self._sent)

    def acknowledge(self) -> None:
        """The oldest acknowledgement came."""
        self._acknowledged = self._markers.popleft()
