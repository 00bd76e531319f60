"""Resizing without flicker: clients tell when they have drawn their new size (EWMH, _NET_WM_SYNC_REQUEST).

The client sets a counter of the Sync extension to the number in our message when it is done.  Until then
Xwayland commits nothing of that window (_XWAYLAND_ALLOW_COMMITS), so that the compositor shows the old
contents rather than half of the new ones.
"""

from collections.abc import Callable
from typing import Final

from launcher.loop import Timer
from launcher.xwayland.model.names import Protocol
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.events import AlarmNotify

_PATIENCE: Final = 1.0
"""Seconds that a client gets to draw before its window is shown as it is."""
_COMMITS: Final = "_XWAYLAND_ALLOW_COMMITS"


class _Resize:
    """What is known of one window's client."""

    __slots__ = ("alarm", "answers", "timer", "value")

    def __init__(self, alarm: int) -> None:
        self.alarm = alarm
        self.value = 0
        """Of the last message; it only grows."""
        self.answers = True
        """Whether it has told the last time; who has not is not waited for."""
        self.timer: Timer | None = None


class Resizing:
    """All windows that are waited for; `drawn` is called when that is over."""

    def __init__(self, client: XClient, loop: TimedLoop) -> None:
        self._client = client
        self._loop = loop
        self._major = client.extensions.sync.major_opcode
        self._resizes: dict[int, _Resize] = {}
        self._by_alarm: dict[int, int] = {}
        self.drawn: Callable[[int], None] = lambda _window: None
        if self._major:
            client.request(requests.sync_initialize(self._major))

    def begin(self, window: int, counter: int) -> bool:
        """See `model.ports.XPort.begin_resize`."""
        if not self._major:
            return False
        resize = self._resizes.get(window)
        if resize is None:
            resize = self._resizes[window] = _Resize(self._client.new_id())
            self._by_alarm[resize.alarm] = window
        elif not resize.answers:
            return False
        else:
            self._client.request(requests.sync_destroy_alarm(self._major, resize.alarm))
        resize.value += 1
        self._client.request(
            requests.sync_create_alarm(self._major, resize.alarm, counter, resize.value), lambda _error: None
        )
        words = (self._client.atoms[Protocol.SYNC_REQUEST.value], self._client.now(), resize.value, 0)
        self._client.send_message(window, window, "WM_PROTOCOLS", words)
        self._client.set_words(window, _COMMITS, "CARDINAL", (0,))
        resize.timer = self._loop.call_later(_PATIENCE, lambda: self._end(window, resize, answered=False))
        return True

    def handle_alarm(self, event: AlarmNotify) -> None:
        """A counter has come where it was to come."""
        window = self._by_alarm.get(event.alarm)
        resize = None if window is None else self._resizes.get(window)
        # The end of the alarm for the size before is told as well, with what the counter has said then.
        if window is not None and resize is not None and event.value >= resize.value:
            self._end(window, resize, answered=True)

    def forget(self, window: int) -> None:
        """A window is gone."""
        resize = self._resizes.pop(window, None)
        if resize is None:
            return
        del self._by_alarm[resize.alarm]
        self._client.request(requests.sync_destroy_alarm(self._major, resize.alarm))
        self._client.free_id(resize.alarm)
        if resize.timer is not None:
            resize.timer.cancel()

    def _end(self, window: int, resize: _Resize, *, answered: bool) -> None:
        resize.answers = answered
        if resize.timer is not None:
            resize.timer.cancel()
            resize.timer = None
            self._client.set_words(window, _COMMITS, "CARDINAL", (1,))
            self.drawn(window)
