"""The way of the messages that nobody has to look at: C carries them (`crossdomain/native/passage.c`).

A client's channel and its connection to the compositor each have a port there.  A SEND without identifiers,
and what comes from the compositor without fds, is walked and passed on without Python, as long as its way is
open: Python opens a way while nothing of that way waits with it, so that order is kept.  What C has begun
and can't finish comes here.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from crossdomain.abi.pages import CopyPages
from crossdomain.bridge.copy import Pixels
from crossdomain.context.counters import Counters
from crossdomain.context.ports import Pages
from crossdomain.context.selector import Handover, PortSelector
from crossdomain.errors import LocalError
from crossdomain.native import ffi, lib
from crossdomain.wire import Walker

if TYPE_CHECKING:
    from crossdomain.native._core import ChainPointer, MailboxPointer, PassagePointer

_NONE: Final = -1
_MOST_RING: Final = (1 << 32) - 1
"""Bytes of a channel ring that C can count."""

Chain: TypeAlias = "ChainPointer"
"""A descriptor chain whose command is a POLL; see `crossdomain/native/virtqueue.h`."""

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
        self._mailbox: MailboxPointer | None = None
        self._complete: Callable[[Chain], None] | None = None
        self._leave: Callable[[], None] | None = None
        self._given = 0
        self._routes: list[tuple[tuple[int, int, bytes], Pages]] = []
        """What C's routes are for, and what they point to."""
        self._next_route = 0
        self.rest_to_host: Callable[[bytes], None] = _refuse
        """Takes requests that have passed, and that the compositor has not taken."""
        self.rest_to_guest: Callable[[bytes], None] = _refuse
        """Takes events that have passed, and that the guest has not taken."""

    @property
    def pointer(self) -> "PassagePointer":
        """The passage itself, for C that gets requests elsewhere; good until `close`."""
        return self._passage

    def join(
        self, mailbox: "MailboxPointer", complete: Callable[[Chain], None], leave: Callable[[], None]
    ) -> None:
        """The client is a VM's: POLLs are held in `mailbox`; `complete` answers one, `leave` ends it all."""
        self._mailbox = self._passage.mailbox = mailbox
        self._complete = complete
        self._leave = leave

    def close(self) -> None:
        """Nothing passes any more.  May be called again."""
        self.detach_client()
        self.detach_compositor()
        if self._leave is not None:
            self._leave()
            self._leave = None

    @property
    def mailbox(self) -> "MailboxPointer | None":
        """Where C puts the events of a VM's client."""
        return self._mailbox

    @property
    def polls(self) -> int:
        """POLLs that are held in C, before those that are held elsewhere."""
        return 0 if self._mailbox is None else self._mailbox.poll_count

    def hold_poll(self, chain: Chain) -> bool:
        """Holds one more in C; returns False where it has to be held elsewhere."""
        return self._mailbox is not None and bool(lib.xd_mailbox_hold(self._mailbox, chain))

    def complete_poll(self) -> None:
        """Answers the oldest of them."""
        chain = ffi.new("xd_chain *")
        if self._mailbox is not None and self._complete is not None:
            lib.xd_mailbox_take(self._mailbox, chain)
            self._complete(chain)

    def note_polls(self, others: int) -> None:
        """So many POLLs are held elsewhere."""
        if self._mailbox is not None:
            self._mailbox.others = others

    def set_ring(self, runs: Sequence[tuple[int, int]], size: int) -> None:
        """The channel ring: runs of guest addresses and bytes, and how many bytes of them it has."""
        mailbox = self._mailbox
        if mailbox is None:
            return
        is_for_c = len(runs) <= lib.XD_MAX_RING_RUNS and size <= _MOST_RING
        mailbox.size, mailbox.run_count = (size, len(runs)) if is_for_c else (0, 0)
        for index in range(mailbox.run_count):
            mailbox.runs[index].guest_address, mailbox.runs[index].size = runs[index]

    def lose_resources(self) -> None:
        """The guest may have taken its ring away, or what it copies to.

        Until `set_ring` no event passes, and until `add_route` no copy.
        """
        self.set_ring((), 0)
        self._passage.routes.count = 0
        self._routes.clear()
        self._next_route = 0

    def add_route(self, copy: CopyPages, pixels: Pixels, pages: Pages, *, by_key: bool) -> None:
        """Such copies need no Python from now on; `by_key` where the guest has to show the pages' key."""
        if pages.place is None:
            return
        number = self._find_route(copy)
        self._routes[number : number + 1] = [(copy[:3], pages)]
        route = self._passage.routes.routes[number]
        route.destination, route.source, route.key = copy[:3]
        route.by_key = by_key
        route.pixels, route.size = ffi.cast("uint8_t *", pixels.address), pixels.size
        route.pages = pages.place
        self._passage.routes.count = len(self._routes)

    def _find_route(self, copy: CopyPages) -> int:
        """Where its route is, or can be in the place of the oldest."""
        for number, (names, _pages) in enumerate(self._routes):
            if names == copy[:3]:
                return number
        number = self._next_route % lib.XD_MAX_ROUTES
        self._next_route = number + 1
        return number

    def forget_walk(self) -> None:
        """What was handed over has been looked at."""
        lib.xd_passage_forget(self._passage)

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

    @property
    def spent(self) -> int:
        """Requests that have passed here since `renew`; a SEND of none is one."""
        return self._given - self._passage.left

    def renew(self, requests: int) -> None:
        """So many may pass, as `spent` counts them; then Python gets what comes, and has to renew this."""
        self._given = self._passage.left = requests

    def renew_reads(self, reads: int) -> None:
        """So many reads of the compositor may pass; then Python gets the next one, and has to renew this."""
        self._passage.reads_left = reads

    def collect(self, counters: Counters) -> None:
        """Adds what has passed here since the last time."""
        passage = self._passage
        counters.sends += passage.sends
        counters.requests += passage.requests
        counters.bytes_to_host += passage.bytes_to_host
        counters.events += passage.events
        counters.bytes_to_guest += passage.bytes_to_guest
        routes = passage.routes
        counters.copies += routes.copies
        counters.bytes_copied += routes.bytes_copied
        routes.copies = routes.bytes_copied = 0
        passage.sends = passage.requests = passage.bytes_to_host = passage.events = passage.bytes_to_guest = 0
        counters.to_host.take(passage.times_to_host.counts)
        counters.to_guest.take(passage.times_to_guest.counts)

    def take_timed(self) -> float:
        """When the events began to pass that the guest has not taken whole, s; 0 where they are not timed."""
        times = self._passage.times_to_guest
        began, times.began = times.began, 0
        return began / 1e9

    def _take(self, handover: Handover, received: Received) -> None:
        try:
            if handover.kind == lib.XD_REQUESTS:
                self.rest_to_host(handover.data)
            elif handover.kind == lib.XD_UNDELIVERED:
                self.rest_to_guest(handover.data)
            else:
                received(handover.data, handover.fds, handover.flags)
        finally:
            self.forget_walk()


def _refuse(_data: bytes) -> None:
    raise LocalError("nobody takes what has passed")
