"""Gets data out of an X selection (ICCCM 2.4 and 2.7.2): from a property of ours, in one piece or in many."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from launcher.loop import WRITABLE
from launcher.xwayland.timers import Patience, TimedLoop
from launcher.xwayland.transfer.targets import Coding, coding_of, from_x
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.connection import XError
from launcher.xwayland.x11.events import Property, PropertyNotify, SelectionNotify, parse_property
from launcher.xwayland.x11.requests import EventMask

_PART_WORDS: Final = 1 << 15
"""32-bit words that are read at a time, 128 KiB: what one slow reader holds."""
_MAX_WHOLE: Final = 16 << 20
"""Bytes of a text that has to be whole before its encoding can be changed."""
_PATIENCE: Final = 120.0
"""Seconds in which an owner has to say something: large pictures take a while to encode."""
STUCK_SECONDS: Final = 1.0
"""Seconds after which who takes nothing keeps nobody else waiting."""
_OFF_SCREEN: Final = (-100, -100, 1, 1)
_PROPERTY: Final = "_CROSSDOMAIN_DATA"


class Reader:
    """One conversion of a selection into bytes that go to a `sink`.

    It has a window of its own, so that any number of them can be under way.
    """

    def __init__(
        self, client: XClient, loop: TimedLoop, sink: "Sink", ended: Callable[["Reader"], None]
    ) -> None:
        """`ended` is called once, when nothing more comes."""
        self._client = client
        self._sink = sink
        self._ended = ended
        self.window = client.new_id()
        """Whose events are to be given to `handle_notify` and `handle_property`."""
        self._is_started = False
        self._is_discarding = False
        self._is_incremental = False
        self._waits_for_answer = False
        self._waits_for_chunk = False
        self._owner_ended = False
        self._offset = 0
        self._type = ""
        self._whole: bytearray | None = None
        self._patience = Patience(loop, _PATIENCE, self.close)
        sink.drained = self._go_on
        sink.broken = self._discard

    @property
    def is_stuck(self) -> bool:
        """Whether it is the sink that keeps it waiting."""
        return self._sink.is_stuck

    def start(self, selection: int, target: int, time: int) -> None:
        """Asks the owner for a target."""
        client = self._client
        self._is_started = True
        self._waits_for_answer = True
        client.request(
            requests.create_window(
                self.window,
                client.root,
                _OFF_SCREEN,
                override_redirect=True,
                event_mask=EventMask.PROPERTY_CHANGE,
            )
        )
        client.request(
            requests.convert_selection(self.window, selection, target, client.atoms[_PROPERTY], time)
        )
        self._patience.renew()

    def handle_notify(self, event: SelectionNotify) -> None:
        """The owner has answered."""
        self._waits_for_answer = False
        if event.property == 0:
            self.close()
        else:
            self._ask()

    def handle_property(self, event: PropertyNotify) -> None:
        """Our property has changed: the owner has put the next piece there."""
        if self._waits_for_chunk and not event.deleted and event.atom == self._client.atoms[_PROPERTY]:
            self._waits_for_chunk = False
            self._ask()

    def end_owner(self) -> None:
        """The owner is gone: there is no more than what it has given."""
        self._owner_ended = True
        if self._waits_for_answer or self._waits_for_chunk:
            self.close()

    def _discard(self) -> None:
        """Nobody wants it any more: takes the rest all the same, for there are owners that wait for that."""
        self._is_discarding = True
        self._sink.finish()
        self._go_on()

    def close(self) -> None:
        """Ends it, whatever was still to come; may be called again."""
        self._patience.end()
        if self.window:
            if self._is_started:
                self._client.request(requests.destroy_window(self.window))
            self._client.free_id(self.window)
            self.window = 0
            if not self._is_discarding:
                self._sink.finish()
            self._ended(self)

    def _ask(self) -> None:
        """Reads the next part of the property, if the sink takes it."""
        self._patience.renew()
        request = requests.get_property(
            self.window, self._client.atoms[_PROPERTY], _PART_WORDS, offset=self._offset // 4
        )
        self._client.ask(request, self._take, self._fail)

    def _fail(self, _error: XError) -> None:
        self.close()

    def _take(self, reply: bytes) -> None:
        if not self.window:
            return
        found = parse_property(reply)
        if found.type == self._client.atoms["INCR"] and not self._is_incremental:
            self._is_incremental = True
            self._next_chunk()
        elif not found.format or (self._is_incremental and not found.value and not found.remaining):
            self._finish()
        else:
            self._take_part(found)

    def _take_part(self, found: Property) -> None:
        if self._offset == 0 and not self._type:
            self._type = self._client.atoms.name(found.type) or "?"
            if coding_of(self._type) is Coding.COMPOUND:
                self._whole = bytearray()
        self._offset = self._offset + len(found.value) if found.remaining else 0
        if self._is_discarding:
            self._go_on()
        elif self._whole is None:
            # `drained` asks for more.  Its sink may take any time.
            self._patience.pause()
            self._sink.write(from_x(found.value, self._type))
        elif len(self._whole) + len(found.value) > _MAX_WHOLE:
            self.close()
        else:
            self._whole += found.value
            self._go_on()

    def _go_on(self) -> None:
        """What was read has been taken."""
        if not self.window:
            return
        if self._offset:
            self._ask()
        elif self._is_incremental:
            self._next_chunk()
        else:
            self._finish()

    def _next_chunk(self) -> None:
        """Deleting the property asks for the next piece."""
        if self._owner_ended:
            self.close()
            return
        self._patience.renew()
        self._offset = 0
        self._waits_for_chunk = True
        self._client.request(requests.delete_property(self.window, self._client.atoms[_PROPERTY]))

    def _finish(self) -> None:
        if self._whole is not None and not self._is_discarding:
            whole, self._whole = from_x(bytes(self._whole), self._type), None
            self._is_incremental = False
            self._offset = 0
            self._patience.pause()
            self._sink.write(whole)
            return
        if self.window:
            # Says that a property of one piece was read, too.
            self._client.request(requests.delete_property(self.window, self._client.atoms[_PROPERTY]))
        self._sink.complete = True
        self.close()


class Sink(ABC):
    """Where a reader's bytes go.  `write` is not called again before `drained` was."""

    def __init__(self) -> None:
        self.drained: Callable[[], None] = lambda: None
        self.broken: Callable[[], None] = lambda: None
        self.complete = False
        """Whether everything came, when `finish` is called."""

    @property
    def is_stuck(self) -> bool:
        """Whether nobody has taken anything for some time."""
        return False

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Takes bytes; calls `drained` when they are gone, `broken` where nobody wants them."""

    @abstractmethod
    def finish(self) -> None:
        """Nothing more comes."""


class PipeSink(Sink):
    """A pipe whose reader may be slow."""

    def __init__(self, loop: TimedLoop, fd: int) -> None:
        """Takes ownership of `fd`."""
        super().__init__()
        self._loop = loop
        self._fd = fd
        self._waits = False
        self._last = 0.0
        self._data = memoryview(b"")
        os.set_blocking(fd, False)

    @property
    def is_stuck(self) -> bool:
        """See `Sink`."""
        return self._waits and time.monotonic() - self._last > STUCK_SECONDS

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        self._data = memoryview(data)
        self._write()

    def finish(self) -> None:
        """See `Sink`."""
        if self._fd >= 0:
            if self._waits:
                self._loop.remove(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _write(self) -> None:
        self._last = time.monotonic()
        while self._data:
            try:
                written = os.write(self._fd, self._data)
            except BlockingIOError:
                self._set_waiting(waits=True)
                return
            except OSError:
                self.broken()
                return
            self._data = self._data[written:]
        self._set_waiting(waits=False)
        self.drained()

    def _set_waiting(self, *, waits: bool) -> None:
        if waits and not self._waits:
            self._loop.add(self._fd, WRITABLE, self._handle_ready)
        elif self._waits and not waits:
            self._loop.remove(self._fd)
        self._waits = waits

    def _handle_ready(self, _events: int) -> None:
        if self._fd >= 0:
            self._write()


class MemorySink(Sink):
    """Keeps a small amount, and tells what it was."""

    def __init__(self, limit: int, taken: Callable[[bytes | None], None]) -> None:
        """`taken` is called once: with everything, or None where it did not come, or was too much."""
        super().__init__()
        self._limit = limit
        self._taken = taken
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        self._data += data
        if len(self._data) > self._limit:
            self.broken()
        else:
            self.drained()

    def finish(self) -> None:
        """See `Sink`."""
        self._taken(bytes(self._data) if self.complete else None)
