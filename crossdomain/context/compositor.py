"""The connection to the compositor: moves bytes and fds and decides nothing.

Neither direction ever blocks.  Requests that the compositor does not take wait in a bounded
queue; events are read only while the guest keeps up.
"""

import asyncio
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final

from crossdomain.context.crowding import RETRY_SECONDS, is_crowded
from crossdomain.context.passage import Passage
from crossdomain.context.quotas import exceeded
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_OUTGOING

READ_SIZE: Final = 65536
"""Bytes of one read: more than libwayland sends at once, and few enough to keep taking turns."""

CONNECT_SECONDS: Final = 10.0
"""How long a compositor may be too busy to accept a connection."""

CROWDED_SECONDS: Final = 30.0
"""How long the kernel may have no room for what a client sends before the client ends: a compositor that is
stopped takes no descriptors, and it may go on."""

_TRUNCATED: Final = int(socket.MSG_CTRUNC)
_RECEIVE_FLAGS: Final = int(socket.MSG_CMSG_CLOEXEC)
_SEND_FLAGS: Final = int(socket.MSG_NOSIGNAL)

_FD_SIZE: Final = array("i").itemsize
_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(253 * _FD_SIZE)
"""The kernel's SCM_MAX_FD: with space for all of them none can be lost."""

_MAX_BUFFERS: Final = 64
"""Buffers of one sendmsg."""


class _Waiting:
    """Bytes that wait, with the fds that travel with the first of them."""

    __slots__ = ("data", "fds")

    def __init__(self, data: bytearray, fds: list[int]) -> None:
        self.data = data
        self.fds = fds


class CompositorSocket:
    """One client's connection.

    `on_events` is called with bytes and fds that belong to the callee, `on_end` once, when the
    compositor has closed the connection.  Both may raise HostFault or GuestFault, and what the
    loop calls may too: the owner passes a `guard` that calls it and ends the client then.
    """

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        loop: asyncio.AbstractEventLoop,
        guard: Callable[[Callable[[], None]], None],
        on_events: Callable[[bytes, list[int]], None],
        on_end: Callable[[], None],
        passage: Passage | None = None,
    ) -> None:
        """Connects and begins to read.

        `connect` never blocks.  While it raises BlockingIOError, because many clients connect at
        once, requests wait here and it is tried again.  `passage` gets the connection where there is one.

        Raises:
            OSError: there is no compositor.
        """
        self._connect = connect
        self._connection: socket.socket | None = None
        self._fd = -1
        self._loop = loop
        self._guard = guard
        self._on_events = on_events
        self._on_end = on_end
        self._passage = passage
        self._waiting: deque[_Waiting] = deque()
        self._reading = False
        self._writable = True
        self._finishing = False
        self._retry: asyncio.TimerHandle | None = None
        self._deadline = loop.time() + CONNECT_SECONDS
        self._held: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._crowded_since: float | None = None
        self.pending = 0
        """Bytes that the compositor has not taken."""
        self.most_pending = MAX_OUTGOING
        """Bytes that may wait."""
        self.waiting_fds = 0
        """Fds that wait with them."""
        self._try_connect()

    @property
    def is_clear(self) -> bool:
        """Whether requests may go to the compositor now, and none waits."""
        idle = not self._waiting and self._held is None
        return self._fd >= 0 and self._writable and idle and not self._finishing

    def retry(self) -> None:
        """Tries to connect now, where it waits to try again."""
        if self._retry is not None:
            self._retry.cancel()
            self._guard(self._connect_again)

    def send(self, data: memoryview, fds: list[int]) -> None:
        """Sends `data`, or queues it; the fds, at most 28 and none without data, are closed when sent.

        Raises:
            LimitExceeded: the compositor takes nothing and too much waits.  The fds are closed.
        """
        if not self._writable:
            close_all(fds)
            return
        sent = 0
        if not self._waiting and self._connection is not None and self._held is None:
            sent = self._try_send([data], fds)
            if sent == len(data):
                return
        if self.pending + len(data) - sent > self.most_pending:
            close_all(fds)
            is_slow = self._held is None or self._crowded_since is not None
            why = "a compositor that does not read" if is_slow else "their turn: slow down"
            raise exceeded("queued_bytes", f"{self.pending} bytes wait for {why}")
        self._queue(data[sent:], fds)

    def hold(self, seconds: float) -> None:
        """Sends nothing for so long; what `send` gets waits."""
        if self._held is None and self._writable:
            if self._waiting and self._fd >= 0:
                self._loop.remove_writer(self._fd)
            self._held = self._loop.call_later(seconds, self._release)

    @property
    def is_held(self) -> bool:
        """Whether `hold` holds."""
        return self._held is not None

    def pause(self) -> None:
        """Reads no more until `resume`."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Reads again."""
        if not self._reading and self._fd >= 0 and not self._finishing and self._resting is None:
            self._reading = True
            self._loop.add_reader(self._fd, self._guard, self._receive)

    def rest(self, seconds: float, rested: Callable[[], None]) -> None:
        """Reads nothing for so long, whoever calls `resume`; then calls `rested`, which may."""
        if self._resting is None and self._reading:
            self.pause()
            self._resting = self._loop.call_later(seconds, self._guard, partial(self._end_rest, rested))

    def _end_rest(self, rested: Callable[[], None]) -> None:
        self._resting = None
        rested()

    def finish(self) -> None:
        """Reads no more, and ends the connection when the compositor has taken what waits for it."""
        self.pause()
        self._finishing = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Ends the connection with what waits for it.  May be called again."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.pause()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._stop_sending()
        if self._passage is not None:
            self._passage.detach_compositor()
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._fd = -1

    def _try_connect(self) -> None:
        self._retry = None
        try:
            connection = self._connect()
        except BlockingIOError:
            if self._loop.time() > self._deadline:
                raise
            self._retry = self._loop.call_later(RETRY_SECONDS, self._guard, self._connect_again)
            return
        connection.setblocking(False)
        self._connection = connection
        self._fd = connection.fileno()
        if self._passage is not None:
            self._passage.attach_compositor(self._fd, self._take)
        self.resume()
        if self._waiting and self._held is None:
            self._loop.add_writer(self._fd, self._guard, self._flush)

    def _release(self) -> None:
        self._held = None
        if self._waiting and self._fd >= 0:
            self._loop.add_writer(self._fd, self._guard, self._flush)

    def _connect_again(self) -> None:
        try:
            self._try_connect()
        except OSError as error:
            raise HostFault(f"the compositor can't be reached: {error.strerror}") from error

    def _receive(self) -> None:
        if self._connection is None:
            return
        try:
            data, ancillary, flags, _address = self._connection.recvmsg(
                READ_SIZE, _ANCILLARY_SIZE, _RECEIVE_FLAGS
            )
        except BlockingIOError:
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        self._handle_received(data, _received_fds(ancillary) if ancillary else [], flags)

    def _take(self, data: bytes, fds: list[int], flags: int) -> None:
        self._guard(lambda: self._handle_received(data, fds, flags))

    def _handle_received(self, data: bytes, fds: list[int], flags: int) -> None:
        if flags & _TRUNCATED:
            close_all(fds)
            raise HostFault("the kernel lost fds of the compositor's")
        if data:
            self._on_events(data, fds)
        else:
            self.pause()
            self._on_end()

    def _queue(self, data: memoryview, fds: list[int]) -> None:
        if fds or not self._waiting:
            if not self._waiting and self._connection is not None and self._held is None:
                self._loop.add_writer(self._fd, self._guard, self._flush)
            self._waiting.append(_Waiting(bytearray(), fds))
        self._waiting[-1].data += data
        self.pending += len(data)
        self.waiting_fds += len(fds)

    def _flush(self) -> None:
        while self._waiting:
            buffers = self._next_buffers()
            wanted = sum(map(len, buffers))
            fds = self._waiting[0].fds
            with_them = len(fds)
            sent = self._try_send(buffers, fds)
            self._check_crowding()
            if not self._writable:
                return
            self.waiting_fds -= with_them - len(fds)
            self._took(sent)
            if sent < wanted:
                return
        self._loop.remove_writer(self._fd)
        if self._finishing:
            self.close()

    def _next_buffers(self) -> list[bytearray]:
        """The first bytes and what follows without fds of its own."""
        buffers = [self._waiting[0].data]
        for waiting in islice(self._waiting, 1, _MAX_BUFFERS):
            if waiting.fds:
                break
            buffers.append(waiting.data)
        return buffers

    def _took(self, sent: int) -> None:
        self.pending -= sent
        while self._waiting and sent >= len(self._waiting[0].data):
            sent -= len(self._waiting.popleft().data)
        if sent:
            del self._waiting[0].data[:sent]

    def _try_send(self, buffers: list[memoryview] | list[bytearray], fds: list[int]) -> int:
        """Bytes that the compositor took.  Fds go with the first byte, and are closed then."""
        if self._connection is None:
            return 0
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            sent = self._connection.sendmsg(buffers, ancillary, _SEND_FLAGS)
        except BlockingIOError:
            return 0
        except OSError as error:
            if is_crowded(error):
                self._wait_for_the_kernel()
                return 0
            # It is gone.  What it said before, an error perhaps, is still to be read.
            self._stop_sending()
            close_all(fds)
            if self._finishing:
                self.close()
            return sum(map(len, buffers))
        self._crowded_since = None
        close_all(fds)
        return sent

    def _wait_for_the_kernel(self) -> None:
        if self._crowded_since is None:
            self._crowded_since = self._loop.time()
        self.hold(RETRY_SECONDS)

    def _check_crowding(self) -> None:
        since = self._crowded_since
        if since is not None and self._loop.time() - since > CROWDED_SECONDS:
            raise HostFault(f"the host's kernel has had no room for its descriptors for {CROWDED_SECONDS} s")

    def _stop_sending(self) -> None:
        self._writable = False
        if self._held is not None:
            self._held.cancel()
            self._held = None
        if self._waiting and self._fd >= 0:
            self._loop.remove_writer(self._fd)
        for waiting in self._waiting:
            close_all(waiting.fds)
        self._waiting.clear()
        self.pending = self.waiting_fds = 0


def close_all(fds: list[int]) -> None:
    """Closes and forgets every fd in `fds`."""
    while fds:
        os.close(fds.pop())


def _received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array("i")
    for level, type_, data in ancillary:
        if level == socket.SOL_SOCKET and type_ == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _FD_SIZE])
    return fds.tolist()
