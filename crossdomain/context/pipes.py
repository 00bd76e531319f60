"""Pipes between guest and host: pastes and drags, READ and WRITE.

A read pipe is one that we made for the guest's client: the compositor has its write end, and
what arrives goes to the guest as READs, at the guest's pace.  A write pipe is an fd that the
compositor sent: the guest's WRITEs go into it as fast as its reader takes them.  Nothing here
blocks, and each pipe waits for itself alone.
"""

import asyncio
import os
import stat
from collections.abc import Callable

from crossdomain.abi.cross_domain import (
    FIRST_READ_PIPE,
    NO_IDENTIFIER,
    PIPE_WINDOW,
    READ_WRITE_SIZE,
    Buffer,
    Identifier,
    IdentifierType,
    ReadWrite,
    encode_read,
)
from crossdomain.context.blobs import IdentifierCounter
from crossdomain.context.outbox import Source
from crossdomain.context.quotas import exceeded
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_ORPHANED_BYTES, MAX_ORPHANED_PIPES, MAX_PIPE_BYTES, MAX_PIPES


class ReadPipe:
    """The read end of a pipe whose write end the compositor has; a source of READs."""

    __slots__ = ("_fd", "_loop", "_on_end", "_wake", "credit", "identifier", "queued")

    def __init__(
        self,
        identifier: int,
        fd: int,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[Source], None],
        on_end: Callable[[int], None],
    ) -> None:
        """Takes ownership of `fd`, which does not block."""
        self.identifier = identifier
        self.queued = False
        self.credit: int | None = None
        """Bytes that the guest still takes; None where it does not count."""
        self._fd = fd
        self._loop = loop
        self._wake = wake
        self._on_end = on_end
        loop.add_reader(fd, self._readable)

    def next_event(self, room: int) -> bytes | None:
        """The data that is there, or the end."""
        room -= READ_WRITE_SIZE
        if self.credit is not None:
            room = min(room, self.credit)
        if self._fd < 0 or room == 0:
            return None
        try:
            data = os.read(self._fd, room)
        except BlockingIOError:
            self._loop.add_reader(self._fd, self._readable)
            return None
        if not data:
            self.close()
            self._on_end(self.identifier)
            return encode_read(self.identifier, b"", hang_up=True)
        if self.credit is not None:
            self.credit -= len(data)
        return encode_read(self.identifier, data)

    def grant(self, credit: int) -> None:
        """The guest's reader took `credit` bytes: as many more may be on the way."""
        if self.credit is None or credit == 0:
            return
        if self.credit == 0:
            self._loop.add_reader(self._fd, self._readable)
        self.credit = min(self.credit + credit, PIPE_WINDOW)

    def close(self) -> None:
        """Gives the pipe up: its writer sees EPIPE.  May be called again."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        # It stays readable until the guest has room, which the outbox knows and epoll does not.
        self._loop.remove_reader(self._fd)
        self._wake(self)


class WritePipe:
    """An fd that the guest writes to; a source of credits where the guest counts them."""

    __slots__ = ("_drained", "_ending", "_fd", "_loop", "_on_end", "_queue", "_wake", "_watched",
                 "identifier", "queued")  # fmt: skip

    def __init__(
        self,
        identifier: int,
        fd: int,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[Source], None] | None,
        on_end: "Callable[[WritePipe], None]",
    ) -> None:
        """Takes ownership of `fd`, which does not block.  `wake` only where the guest counts."""
        self.identifier = identifier
        self.queued = False
        self._fd = fd
        self._loop = loop
        self._wake = wake
        self._on_end = on_end
        self._queue = bytearray()
        self._drained = 0
        self._ending = False
        self._watched = stat.S_ISFIFO(os.fstat(fd).st_mode)
        if self._watched:
            # The write end of a pipe is never readable, but told to be when its last reader has gone.
            loop.add_reader(fd, self._reader_gone)

    @property
    def pending(self) -> int:
        """Bytes that the reader has not taken."""
        return len(self._queue)

    def write(self, data: memoryview, *, hang_up: bool) -> None:
        """Queues `data`, and writes what the reader takes now."""
        if self._fd < 0 or self._ending:
            return
        self._ending = hang_up
        if self._queue:
            self._queue += data
            return
        taken = self._put(data)
        if self._fd >= 0:
            self._queue += data[taken:]
            self._took(taken)

    def next_event(self, room: int) -> bytes | None:
        """Credit for what left the queue since the last time, or that the reader is gone."""
        del room  # the smallest ring has space for 24 bytes
        if self._drained:
            credit, self._drained = self._drained, 0
            return encode_read(self.identifier, b"", credit=credit)
        if self._fd < 0 and self._wake is not None:
            self._wake = None
            return encode_read(self.identifier, b"", hang_up=True)
        return None

    def orphan(self, on_end: "Callable[[WritePipe], None]") -> bool:
        """The client is gone; what it wrote still belongs to the reader.

        Returns whether there is any: then `on_end` is called once it has been taken.
        """
        self._wake = None
        self._on_end = on_end
        self._ending = True
        if not self._queue:
            self.close()
        return self._fd >= 0

    def close(self) -> None:
        """Gives the pipe up with everything that waits in it.  May be called again."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            if self._watched:
                self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._queue.clear()

    def _put(self, data: Buffer) -> int:
        """Bytes that the reader takes now; where it is gone, the pipe is closed."""
        taken = 0
        try:
            with memoryview(data) as view:
                while taken < len(view):
                    with view[taken : taken + PIPE_WINDOW] as chunk:
                        taken += os.write(self._fd, chunk)
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._writable)
        except OSError:
            self._reader_gone()
        return taken

    def _took(self, written: int) -> None:
        if not self._queue and self._ending:
            self._wake = None
            self.close()
            self._on_end(self)
        elif written and self._wake is not None:
            self._drained += written
            self._wake(self)

    def _writable(self) -> None:
        self._loop.remove_writer(self._fd)
        taken = self._put(self._queue)
        if self._fd >= 0:
            del self._queue[:taken]
            self._took(taken)

    def _reader_gone(self) -> None:
        self._drained = 0
        self.close()
        self._on_end(self)
        if self._wake is not None and not self._ending:
            self._wake(self)


class Orphans:
    """Write pipes that outlive their clients, because a reader has not taken everything yet."""

    def __init__(self) -> None:
        self._pipes: dict[WritePipe, None] = {}

    def __len__(self) -> int:
        return len(self._pipes)

    @property
    def pending(self) -> int:
        """Bytes that wait for their readers."""
        return sum(pipe.pending for pipe in self._pipes)

    def adopt(self, pipe: WritePipe) -> None:
        """Keeps `pipe` until it has drained; beyond the caps the oldest are given up."""
        if pipe.orphan(self._forget):
            self._pipes[pipe] = None
        while len(self._pipes) > MAX_ORPHANED_PIPES or self.pending > MAX_ORPHANED_BYTES:
            oldest = next(iter(self._pipes))
            oldest.close()
            self._forget(oldest)

    def close(self) -> None:
        """Gives all up."""
        for pipe in self._pipes:
            pipe.close()
        self._pipes.clear()

    def _forget(self, pipe: WritePipe) -> None:
        self._pipes.pop(pipe, None)


class Pipes:
    """All pipes of one context, by identifier."""

    def __init__(
        self,
        counter: IdentifierCounter,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[Source], None],
        orphans: Orphans,
    ) -> None:
        self._counter = counter
        self._loop = loop
        self._wake = wake
        self._orphans = orphans
        self._reading: dict[int, ReadPipe] = {}
        self._writing: dict[int, WritePipe] = {}
        self._next_read_pipe = FIRST_READ_PIPE
        self._guest_counts = False
        self.most = MAX_PIPES
        """Pipes each way."""
        self.most_bytes = MAX_PIPE_BYTES
        """Bytes that may wait for slow readers."""

    def __len__(self) -> int:
        return len(self._reading) + len(self._writing)

    @property
    def pending(self) -> int:
        """Bytes that wait for readers."""
        return sum(pipe.pending for pipe in self._writing.values())

    def check_guesses(self, guesses: list[int]) -> None:
        """The guest guesses the number of each read pipe of one SEND, in order.

        Raises:
            GuestFault: wrong.
            LimitExceeded: too many pipes.
        """
        expected = range(self._next_read_pipe, self._next_read_pipe + len(guesses))
        if guesses != list(expected):
            raise GuestFault(f"read pipes {guesses}, the next one is {self._next_read_pipe:#x}")
        if len(self._reading) + len(guesses) > self.most:
            raise exceeded("pipes", f"more than {self.most} pipes to read")

    def open_read_pipe(self) -> int:
        """Makes the pipe of the next number; returns its write end, which the caller owns."""
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        # The write end stays blocking: it is for a client that expects a plain pipe.
        os.set_blocking(read_fd, False)
        identifier = self._next_read_pipe
        self._next_read_pipe += 1
        pipe = ReadPipe(identifier, read_fd, self._loop, self._wake, self._end_reading)
        if self._guest_counts:
            pipe.credit = PIPE_WINDOW
        self._reading[identifier] = pipe
        return write_fd

    def open_write_pipe(self, fd: int) -> Identifier:
        """Announces an fd that the guest writes to; takes ownership of it, on errors too.

        Raises:
            LimitExceeded: too many pipes.
        """
        if len(self._writing) >= self.most:
            os.close(fd)
            raise exceeded("pipes", f"more than {self.most} pipes to write")
        identifier = self._counter.take()
        wake = self._wake if self._guest_counts else None
        self._writing[identifier] = WritePipe(identifier, fd, self._loop, wake, self._end_writing)
        return Identifier(identifier, IdentifierType.WRITE_PIPE, 0)

    def handle_write(self, command: ReadWrite) -> None:
        """WRITE: data or the end of a write pipe; credit or the end of a read pipe.

        A pipe that ended on our side meanwhile is not the guest's mistake.

        Raises:
            GuestFault: there never was such a pipe, or it is one that we write.
            LimitExceeded: too much waits for slow readers.
        """
        identifier = command.identifier
        if identifier == NO_IDENTIFIER and not command.data:
            self._guest_counts = True
        elif FIRST_READ_PIPE <= identifier < self._next_read_pipe and not command.data:
            self._handle_credit(command)
        elif self._counter.was_taken(identifier):
            self._handle_data(command)
        else:
            raise GuestFault(f"WRITE of {len(command.data)} bytes to pipe {identifier:#x}")

    def close(self) -> None:
        """Ends all pipes; what is already written still reaches its readers."""
        for reading in self._reading.values():
            reading.close()
        self._reading.clear()
        for writing in self._writing.values():
            self._orphans.adopt(writing)
        self._writing.clear()

    def _handle_credit(self, command: ReadWrite) -> None:
        pipe = self._reading.get(command.identifier)
        if pipe is None:
            return
        if command.hang_up:
            pipe.close()
            self._end_reading(command.identifier)
        else:
            pipe.grant(command.credit)

    def _handle_data(self, command: ReadWrite) -> None:
        pipe = self._writing.get(command.identifier)
        if pipe is None:
            return
        waiting = self.pending
        if waiting + len(command.data) > self.most_bytes:
            raise exceeded("piped_bytes", f"{waiting} bytes wait for readers that take none")
        pipe.write(command.data, hang_up=command.hang_up)

    def _end_reading(self, identifier: int) -> None:
        self._reading.pop(identifier, None)

    def _end_writing(self, pipe: WritePipe) -> None:
        self._writing.pop(pipe.identifier, None)
