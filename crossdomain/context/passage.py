"""The way of the messages that nobody has to look at: C carries them (`crossdomain/native/passage.c`).

A client's channel and its connection to the compositor each have a port there.  A SEND without identifiers,
and what comes from the compositor without fds, is walked and passed on without Python, as long as its way is
open: Python opens a way while nothing of that way waits with it, so that order is kept.  What C has begun
and can't finish comes here.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from crossdomain.context.counters import Counters
from crossdomain.context.selector import Handover, PortSelector
from crossdomain.errors import LocalError
from crossdomain.native import ffi, lib
from crossdomain.wire import Walker

_NONE: Final = -1

Received: TypeAlias = Callable[[bytes, list[int], int], None]
"""Takes bytes, the fds that came with them, which are its own, and recvmsg's flags."""


class Passage:
    """That of one client.  Both ways are closed at first.  An fd is detached before it is closed."""

    def __init__(self, ports: PortSelector, walker: Walker) -> None:
        """`walker` is the one of the client's policy; `ports` is what the running loop waits with."""
        pointer = lib.xd_passage_create(walker.pointer)
        if not pointer:
            raise MemoryError
        self._passage = ffi.gc(pointer, lib.xd_passage_free)
        self._walker = walker  # which the passage points to
        self._ports = ports
        self.rest_to_host: Callable[[bytes], None] = _refuse
        """Takes requests that have passed, and that the compositor has not taken."""
        self.rest_to_guest: Callable[[bytes], None] = _refuse
        """Takes events that have passed, and that the guest has not taken."""

    def attach_client(self, fd: int, received: Received) -> None:
        """The socket of a local client's launcher; `received` takes the packets that are not passed on."""
        self._passage.client_fd = fd
        self._passage.has_room = True
        port = ffi.addressof(self._passage, "client")
        self._ports.attach(fd, port, lambda handover: self._take(handover, received))

    def attach_compositor(self, fd: int, received: Received) -> None:
        """The connection to the compositor; `received` takes what is not passed on."""
        self._passage.compositor_fd = fd
        port = ffi.addressof(self._passage, "compositor")
        self._ports.attach(fd, port, lambda handover: self._take(handover, received))

    def detach_client(self) -> None:
        """The launcher's socket is about to be closed.  May be called again."""
        if self._passage.client_fd != _NONE:
            self._ports.detach(self._passage.client_fd)
            self._passage.client_fd = _NONE
            self._passage.has_room = False

    def detach_compositor(self) -> None:
        """The connection to the compositor is about to be closed.  May be called again."""
        self.open(to_host=False, to_guest=False)
        if self._passage.compositor_fd != _NONE:
            self._ports.detach(self._passage.compositor_fd)
            self._passage.compositor_fd = _NONE

    def open(self, *, to_host: bool, to_guest: bool) -> None:
        """Opens or closes either way: open where nothing of it waits with Python, and nobody forbids it."""
        self._passage.to_host = to_host and self._passage.compositor_fd != _NONE
        self._passage.to_guest = to_guest

    def make_room(self, room: bool) -> None:
        """Whether the client's channel takes events: nothing for it waits with Python."""
        self._passage.has_room = room

    def collect(self, counters: Counters) -> None:
        """Adds what has passed here since the last time."""
        passage = self._passage
        counters.sends += passage.sends
        counters.bytes_to_host += passage.bytes_to_host
        counters.events += passage.events
        counters.bytes_to_guest += passage.bytes_to_guest
        passage.sends = passage.bytes_to_host = passage.events = passage.bytes_to_guest = 0

    def _take(self, handover: Handover, received: Received) -> None:
        try:
            if handover.kind == lib.XD_REQUESTS:
                self.rest_to_host(handover.data)
            elif handover.kind == lib.XD_UNDELIVERED:
                self.rest_to_guest(handover.data)
            else:
                received(handover.data, handover.fds, handover.flags)
        finally:
            lib.xd_passage_forget(self._passage)


def _refuse(_data: bytes) -> None:
    raise LocalError("nobody takes what has passed")
