"""Pipes that cross the boundary: pasted and offered data, drag and drop.

A *sink* is a client's fd that data from the host is written into (READ_PIPE on the wire,
because the host reads); a *source* is our end of a pipe whose other end a client writes into
(WRITE_PIPE).  Neither ever blocks: what a slow reader does not take stays bounded, by credit
(`Feature.PIPE_CREDIT`) or, where the host has none, by not receiving from it.

Bytes are moved over the local channel too, which could pass the fds themselves: a container gets no fd of
a desktop's program that way, limits and rules are those of a VM, and 1 GiB takes seconds.
"""

import fcntl
import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    PIPE_WINDOW,
    Buffer,
    Identifier,
    IdentifierType,
    ReadWrite,
)
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_PIPES
from launcher.channel.seam import Channel
from launcher.loop import GONE, READABLE, WRITABLE, Loop

if TYPE_CHECKING:
    from launcher.loop import Handler

_CONGESTED: Final = 1 << 20
"""Bytes that wait for slow readers of one client, beyond which a host without credit is not received from."""
_CREDIT_STEP: Final = PIPE_WINDOW // 4
"""Bytes that are acknowledged at once: a quarter, so that the writer does not stop meanwhile."""


class _Command(NamedTuple):
    """A WRITE."""

    identifier: int
    data: bytes
    hang_up: bool
    credit: int


class Pipes:
    """All pipes of one client."""

    def __init__(self, loop: Loop, channel: Channel, guard: "Callable[[Handler, int], None]") -> None:
        """`guard` calls a handler of a pipe's fd with its events, and bears its failures."""
        self.loop = loop
        self.channel = channel
        self.guard = guard
        self._next_sink = FIRST_READ_PIPE
        self._sinks: dict[int, _Sink] = {}
        self._sources: dict[int, _Source] = {}
        self._unsent: deque[_Command] = deque()
        self.moved = 0
        """Bytes that were handed on, in both directions."""

    @property
    def is_active(self) -> bool:
        """Whether data is or may be on its way."""
        return bool(self._unsent or self._sources or any(sink.is_open for sink in self._sinks.values()))

    @property
    def is_congested(self) -> bool:
        """Whether the host must not send more."""
        if not self._sinks or self.channel.has_pipe_credit:
            return False
        return sum(sink.waiting for sink in self._sinks.values()) > _CONGESTED

    @property
    def is_blocked(self) -> bool:
        """Whether `flush` has to be called when the channel has room again."""
        return bool(self._unsent)

    def open_sink(self, fd: int) -> Identifier:
        """Takes over a client's fd to write into; returns what the next SEND has to name, in this order.

        Raises:
            GuestFault: too many.
        """
        if len(self._sinks) >= MAX_PIPES:
            os.close(fd)
            raise GuestFault(f"more than {MAX_PIPES} pipes")
        identifier = self._next_sink
        self._next_sink += 1
        self._sinks[identifier] = _Sink(self, identifier, fd)
        return Identifier(identifier, IdentifierType.READ_PIPE, 0)

    def open_source(self, identifier: int) -> int:
        """Makes the pipe for a WRITE_PIPE of the host's; returns the client's end, owned by the caller."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        self._sources[identifier] = _Source(self, identifier, reading)
        return writing

    def handle_read(self, event: ReadWrite) -> None:
        """Handles a READ: data for a sink or its end, or credit or the end for a source."""
        sink = self._sinks.get(event.identifier)
        if sink is not None:
            sink.handle(event)
            return
        source = self._sources.get(event.identifier)
        if source is not None:
            source.handle(event)

    def write(self, identifier: int, data: bytes, *, hang_up: bool = False, credit: int = 0) -> None:
        """Sends a WRITE, later where the channel is full."""
        if self._unsent or not self.channel.write_pipe(identifier, data, hang_up=hang_up, credit=credit):
            self._unsent.append(_Command(identifier, data, hang_up, credit))

    def flush(self) -> None:
        """The channel has room again."""
        while self._unsent:
            command = self._unsent[0]
            if not self.channel.write_pipe(
                command.identifier, command.data, hang_up=command.hang_up, credit=command.credit
            ):
                return
            self._unsent.popleft()
        for source in tuple(self._sources.values()):
            source.update()

    def send_rest(self) -> None:
        """Sends what writers have left in their pipes, credit or not, as far as the channel takes it.

        For a launcher that ends: a writer that has gone has said all of it, and nobody else keeps it.
        """
        self.flush()
        for source in tuple(self._sources.values()):
            source.send_rest()

    def forget_sink(self, identifier: int) -> None:
        """The sink is done, and the host sends nothing more for it."""
        del self._sinks[identifier]

    def forget_source(self, identifier: int) -> None:
        """The source is done."""
        del self._sources[identifier]

    def close(self) -> None:
        """Closes all ends that are ours."""
        for sink in self._sinks.values():
            sink.close()
        for source in self._sources.values():
            source.close()
        self._sinks.clear()
        self._sources.clear()
        self._unsent.clear()


class _Sink:
    """A client's fd that data from the host goes into."""

    __slots__ = ("_credit", "_data", "_events", "_fd", "_hung_up", "_identifier", "_pipes")

    def __init__(self, pipes: Pipes, identifier: int, fd: int) -> None:
        """Takes ownership of `fd`."""
        self._pipes = pipes
        self._identifier = identifier
        self._fd = _without_blocking(fd)
        self._data = bytearray()
        self._credit = 0
        self._hung_up = False
        # Waiting for nothing still tells when the reader is gone; -1: no fd that can be waited for.
        self._events = 0
        try:
            pipes.loop.add(self._fd, 0, self._handle_ready)
        except PermissionError:
            self._events = -1

    @property
    def is_open(self) -> bool:
        """Whether there may be a reader."""
        return self._fd >= 0

    @property
    def waiting(self) -> int:
        """Bytes that the reader did not take yet."""
        return len(self._data)

    def handle(self, event: ReadWrite) -> None:
        """Takes data, or the news that there is no more."""
        if self._fd >= 0 and event.data:
            taken = 0 if self._data else self._put(event.data)
            self._data += event.data[taken:]
            self._grant(taken)
        if event.hang_up:
            self._hung_up = True
        self._finish_or_wait()

    def close(self) -> None:
        """Lets the reader see the end; what it did not take is lost."""
        if self._fd < 0:
            return
        if self._events >= 0:
            self._pipes.loop.remove(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._data.clear()

    def _handle_ready(self, events: int) -> None:
        self._pipes.guard(self._serve, events)

    def _serve(self, events: int) -> None:
        if events & WRITABLE:
            del self._data[: (taken := self._put(self._data))]
            self._grant(taken)
        elif events & GONE:
            self._abandon()
        self._finish_or_wait()

    def _put(self, data: Buffer) -> int:
        """Returns how many bytes the reader takes now; a reader that is gone is given up."""
        taken = 0
        try:
            with memoryview(data) as view:
                while taken < len(view):
                    with view[taken:] as rest:
                        taken += os.write(self._fd, rest)
        except BlockingIOError:
            pass
        except OSError:
            # The reader is gone, or its disk is full: nobody here can tell more than that.
            self._abandon()
            return 0
        self._pipes.moved += taken
        return taken

    def _grant(self, size: int) -> None:
        """Lets the host send as much as the reader took."""
        if self._fd < 0:
            self._data.clear()
            return
        self._credit += size
        due = self._credit >= _CREDIT_STEP or not self._data
        if self._credit and due and self._pipes.channel.has_pipe_credit:
            self._pipes.write(self._identifier, b"", credit=self._credit)
            self._credit = 0

    def _abandon(self) -> None:
        """The reader is gone: tells the host where it understands it, and drops what still comes."""
        self.close()
        if self._pipes.channel.has_pipe_credit and not self._hung_up:
            self._pipes.write(self._identifier, b"", hang_up=True)
            self._hung_up = True

    def _finish_or_wait(self) -> None:
        if self._hung_up and not self._data:
            self.close()
            self._pipes.forget_sink(self._identifier)
        elif self._fd >= 0 and self._events >= 0:
            events = WRITABLE if self._data else 0
            if events != self._events:
                self._pipes.loop.change(self._fd, events)
                self._events = events


class _Source:
    """Our end of a pipe that a client writes into."""

    __slots__ = ("_fd", "_identifier", "_pipes", "_room", "_waiting")

    def __init__(self, pipes: Pipes, identifier: int, fd: int) -> None:
        """Takes ownership of `fd`, which does not block."""
        self._pipes = pipes
        self._identifier = identifier
        self._fd = fd
        self._room = PIPE_WINDOW
        self._waiting = True
        pipes.loop.add(fd, READABLE, self._handle_ready)

    def handle(self, event: ReadWrite) -> None:
        """Takes credit, or the news that nobody reads any more."""
        if event.hang_up:
            self.close()
            self._pipes.forget_source(self._identifier)
            return
        self._room += event.credit
        self.update()

    def update(self) -> None:
        """Reads again, or no more, as the window and the channel allow."""
        waiting = self._room > 0 and not self._pipes.is_blocked
        if waiting == self._waiting:
            return
        self._waiting = waiting
        # Taken out as a whole, because the writer's hang-up would be reported again and again otherwise.
        if waiting:
            self._pipes.loop.add(self._fd, READABLE, self._handle_ready)
        else:
            self._pipes.loop.remove(self._fd)

    def send_rest(self) -> None:
        """Sends what is in the pipe now: its size at most, however much is written meanwhile."""
        left = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        with suppress(BlockingIOError):
            while left > 0 and (data := os.read(self._fd, min(left, self._pipes.channel.max_send))):
                self._pipes.write(self._identifier, data)
                left -= len(data)

    def close(self) -> None:
        """Lets the client see that nobody reads any more."""
        if self._waiting:
            self._pipes.loop.remove(self._fd)
            self._waiting = False
        os.close(self._fd)

    def _handle_ready(self, events: int) -> None:
        self._pipes.guard(self._serve, events)

    def _serve(self, _events: int) -> None:
        with suppress(BlockingIOError):
            self._forward(os.read(self._fd, min(self._room, self._pipes.channel.max_send)))

    def _forward(self, data: bytes) -> None:
        if not data:
            self._pipes.write(self._identifier, b"", hang_up=True)
            self.close()
            self._pipes.forget_source(self._identifier)
            return
        self._pipes.write(self._identifier, data)
        self._pipes.moved += len(data)
        if self._pipes.channel.has_pipe_credit:
            self._room -= len(data)
        self.update()


def _without_blocking(fd: int) -> int:
    """Returns an fd of the same pipe or file that does not block; `fd` is given up for it.

    O_NONBLOCK belongs to the open file, which the client and its children share with us: a pipe
    or terminal is opened once more, so that theirs stays as it is.  A regular file has a position
    that is shared on purpose, and never blocks.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        # Without a reader (ENXIO) or without the right to open it, the fd itself has to do.
        with suppress(OSError):
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            os.close(fd)
            return own
    os.set_blocking(fd, False)
    return fd
