"""What is under way, of all selections: who reads from X clients, and who writes to them."""

from collections import deque
from typing import Final, Protocol

from launcher import log
from launcher.loop import Timer
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.transfer.names import Names
from launcher.xwayland.transfer.reader import STUCK_SECONDS, MemorySink, PipeSink, Reader
from launcher.xwayland.transfer.writer import Conversion, Writer
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.requests import CURRENT_TIME

MAX_TRANSFERS: Final = 64
"""Transfers of one direction at a time; the oldest is ended for the next: nobody may be reading it."""
_SLACK: Final = 0.1


class Content(Protocol):
    """Data that X clients can get."""

    @property
    def mimes(self) -> list[str]:
        """Their MIME types."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether they can be had still."""
        ...

    def receive(self, mime: str) -> int:
        """Returns an fd, owned by the caller, to read them from.  Raises OSError."""
        ...


class Transfers:
    """What is under way."""

    def __init__(self, client: XClient, loop: TimedLoop) -> None:
        self.client = client
        self.loop = loop
        self.names = Names(client)
        self._queues: dict[int, _Queue] = {}
        self._writers: list[Writer] = []

    def read(
        self, selection: int, target: int, sink: "PipeSink | MemorySink", time: int = CURRENT_TIME
    ) -> None:
        """Reads a target of a selection into a sink, when it is its turn."""
        queue = self._queues.get(selection)
        if queue is None:
            queue = self._queues[selection] = _Queue(self.loop)
        queue.add(_Wish(Reader(self.client, self.loop, sink, queue.remove), selection, target, time))

    def change_owner(self, selection: int, *, ended: bool) -> None:
        """The selection is another client's: what the last one still has to give keeps nobody waiting.

        It has nothing to give where it has `ended`.
        """
        queue = self._queues.get(selection)
        if queue is not None:
            queue.change_owner(ended=ended)

    def forget_window(self, window: int) -> None:
        """A requestor is gone."""
        for writer in self.find_writers(window):
            writer.close()

    def write(self, conversion: Conversion, content: Content, mime: str) -> None:
        """Answers a request with some data."""
        if len(self._writers) >= MAX_TRANSFERS:
            self._writers[0].close()
        try:
            fd = content.receive(mime)
        except OSError as error:
            log.warning(f"a selection can't be transferred: {error.strerror}", client="X11")
            conversion.answer(False)
            return
        writer = Writer(self.client, self.loop, conversion, self._writers.remove)
        self._writers.append(writer)
        writer.start(fd)

    def watches(self, window: int) -> bool:
        """Whether a window's properties matter to a transfer."""
        return self.find_reader(window) is not None or any(w.requestor == window for w in self._writers)

    def find_reader(self, window: int) -> Reader | None:
        """Returns the reader with that window."""
        for queue in self._queues.values():
            for reader in queue.started:
                if reader.window == window:
                    return reader
        return None

    def find_writers(self, window: int) -> list[Writer]:
        """Returns the writers to that window."""
        return [writer for writer in self._writers if writer.requestor == window]

    def close(self) -> None:
        """Ends all of them."""
        for queue in self._queues.values():
            queue.close()
        for writer in tuple(self._writers):
            writer.close()


class _Wish:
    """A reader, and what it is to ask for."""

    __slots__ = ("_selection", "_target", "_time", "reader")

    def __init__(self, reader: Reader, selection: int, target: int, time: int) -> None:
        self.reader = reader
        self._selection = selection
        self._target = target
        self._time = time

    def start(self) -> None:
        self.reader.start(self._selection, self._target, self._time)


class _Queue:
    """Reads one selection once at a time: many owners (xclip is one) can't serve two requestors.

    But who does not take what it has asked for does not keep the others waiting for long.
    """

    def __init__(self, loop: TimedLoop) -> None:
        self._loop = loop
        self._waiting: deque[_Wish] = deque()
        self.started: list[Reader] = []
        self._of_others: set[Reader] = set()
        """Those that read from earlier owners."""
        self._timer: Timer | None = None

    def add(self, wish: _Wish) -> None:
        """Starts a reader when the others are done."""
        if len(self._waiting) >= MAX_TRANSFERS:
            self._waiting.popleft().reader.close()
        self._waiting.append(wish)
        self._go_on()

    def remove(self, reader: Reader) -> None:
        """A reader is done."""
        self.started = [other for other in self.started if other is not reader]
        self._of_others.discard(reader)
        self._waiting = deque(wish for wish in self._waiting if wish.reader is not reader)
        self._go_on()

    def change_owner(self, *, ended: bool) -> None:
        """Those that read from the last owner may go on; those that wait for it would get another's data."""
        self._end_waiting()
        for reader in self.started:
            if ended and reader not in self._of_others:
                reader.end_owner()
        self._of_others.update(self.started)

    def close(self) -> None:
        """Ends all of them."""
        if self._timer is not None:
            self._timer.cancel()
        self._end_waiting()
        for reader in self.started:
            reader.close()

    def _end_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for wish in waiting:
            wish.reader.close()

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        if all(reader.is_stuck or reader in self._of_others for reader in self.started):
            if len(self.started) >= MAX_TRANSFERS:
                self.started[0].close()
            wish = self._waiting.popleft()
            self.started.append(wish.reader)
            wish.start()
        if self._waiting:
            self._timer = self._loop.call_later(STUCK_SECONDS + _SLACK, self._go_on)
