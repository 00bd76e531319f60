"""Puts data into a requestor's property (ICCCM 2.4 and 2.7.2), from a pipe that a Wayland client fills.

Up to a part of the data is in one piece; what is more goes piece by piece (INCR), each one when
the requestor has taken the one before.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from launcher.loop import READABLE
from launcher.xwayland.timers import Patience, TimedLoop
from launcher.xwayland.transfer.targets import ToX, coding_of, type_of
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import PropertyNotify
from launcher.xwayland.x11.requests import EventMask

_PART: Final = 1 << 17
"""Bytes of one piece, and of a whole that needs no pieces."""
_PATIENCE: Final = 600.0
"""Seconds in which the requestor has to take a piece, or the source to send one: people look at half a paste
in a pager, and keeping it costs an fd and a piece."""


class Conversion(NamedTuple):
    """What a requestor asks for."""

    requestor: int
    property: int
    target: str
    answer: Callable[[bool], None]
    """To be called once: whether the data, or the first of it, is in the property."""


class Writer:
    """One answer to a SelectionRequest."""

    def __init__(
        self,
        client: XClient,
        loop: TimedLoop,
        conversion: Conversion,
        ended: Callable[["Writer"], None],
    ) -> None:
        """`ended` is called once, when it is over."""
        self._client = client
        self._loop = loop
        self._conversion = conversion
        self._type = type_of(conversion.target)
        self._coding = ToX(coding_of(conversion.target))
        self._ended = ended
        self._property = conversion.property
        self._fd = -1
        self._is_reading = False
        self._data = bytearray()
        self._at_end = False
        self._is_incremental = False
        self._waits_for_deletion = False
        self._is_answered = False
        self._is_over = False
        self._patience = Patience(loop, _PATIENCE, self.close)

    @property
    def requestor(self) -> int:
        """The window whose property it is."""
        return self._conversion.requestor

    def start(self, fd: int) -> None:
        """Takes ownership of the reading end of a pipe, and its data from there."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._patience.renew()
        self._read_more()

    def handle_property(self, event: PropertyNotify) -> None:
        """A property of the requestor's has changed."""
        if self._waits_for_deletion and event.deleted and event.atom == self._property:
            self._waits_for_deletion = False
            self._send_part()

    def close(self) -> None:
        """Ends it as it is; may be called again."""
        if self._is_over:
            return
        self._is_over = True
        self._answer(is_there=False)
        self._patience.end()
        self._stop_reading()
        if self._fd >= 0:
            os.close(self._fd)
        self._ended(self)

    def _fail(self, _error: XError) -> None:
        """The requestor is gone."""
        self.close()

    # From the pipe.

    def _read_more(self) -> None:
        wanted = not self._at_end and len(self._data) < _PART
        if wanted and not self._is_reading:
            self._is_reading = True
            self._loop.add(self._fd, READABLE, self._handle_ready)
        elif not wanted:
            self._stop_reading()

    def _stop_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove(self._fd)

    def _handle_ready(self, _events: int) -> None:
        if self._is_over:
            return
        data = b""
        with suppress(OSError):
            try:
                data = os.read(self._fd, _PART)
            except BlockingIOError:
                return
        self._patience.renew()
        self._at_end = not data
        self._data += self._coding.encode(data, final=self._at_end)
        self._read_more()
        if self._is_incremental:
            if not self._waits_for_deletion:
                self._send_part()
        elif self._at_end:
            self._send_whole()
        elif len(self._data) >= _PART:
            self._begin_increments()

    # Into the property.

    def _send_whole(self) -> None:
        self._set(self._type, 8, bytes(self._data))
        self._answer(is_there=True)
        self.close()

    def _begin_increments(self) -> None:
        self._is_incremental = True
        self._waits_for_deletion = True
        if not (self.requestor == self._client.root or self._client.owns(self.requestor)):
            # As the window manager does with its windows; of the root, and of ours, it hears more than that.
            self._client.request(requests.select_input(self.requestor, EventMask.OF_CLIENTS))
        self._set("INCR", 32, requests.encode_words((len(self._data),)))
        self._answer(is_there=True)

    def _send_part(self) -> None:
        """Sends what there is; nothing at all says that it is the end."""
        if not self._data and not self._at_end:
            return
        part = bytes(self._data[:_PART])
        del self._data[: len(part)]
        self._patience.renew()
        self._set(self._type, 8, part)
        if part:
            self._waits_for_deletion = True
            self._read_more()
        else:
            self.close()

    def _answer(self, *, is_there: bool) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._conversion.answer(is_there)

    def _set(self, type_: str, format_: int, data: bytes) -> None:
        atom = self._client.atoms[type_]
        request = requests.change_property(self.requestor, self._property, atom, format_, data)
        self._client.request(request, self._fail)
