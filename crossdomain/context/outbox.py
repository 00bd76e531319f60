"""What goes to the guest: one event at a time, whenever the guest has room for it.

Sources (the compositor's byte stream, each pipe) that have something wait in one queue and
take turns, so that a paste of a gigabyte holds up no window and no other paste.  A source
that the guest has no room for is not read: that is the back-pressure.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from crossdomain.abi.cross_domain import RING_SIZE, Buffer
from crossdomain.context.counters import Counters
from crossdomain.context.passage import Chain, Passage
from crossdomain.context.ports import Resources, Scattered, Storage
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import MAX_EVENT_SIZE, MAX_HELD_FENCES

if TYPE_CHECKING:
    from crossdomain.native._core import MailboxPointer

_RING_WORDS: Final = 8
"""Bytes of the ring's first two words."""


class Source(Protocol):
    """Something that makes events."""

    queued: bool
    """Whether it stands in the outbox's queue; the outbox's alone."""

    def next_event(self, room: int) -> bytes | None:
        """The next event, of at most `room` bytes, or None where there is none now.

        After None the source calls `Outbox.wake` when it has one.
        """
        ...


class EventSink(Protocol):
    """Where events go: a ring in guest memory, or a local socket."""

    def room(self) -> int:
        """Bytes that the next event may have; 0 where the guest takes none now.

        Raises:
            GuestFault: the guest took its ring away.
        """
        ...

    def write(self, event: bytes, /) -> None:
        """Delivers one event; `room` was asked just before.

        Raises:
            GuestFault: the guest took its ring away.
        """
        ...

    def answer(self, data: bytes, /) -> None:
        """Delivers the answer to GET_IMAGE_REQUIREMENTS or GET_CLOCK.

        Raises:
            GuestFault: the guest took its ring away.
        """
        ...


class Outbox:
    """The queue of sources in front of one sink."""

    __slots__ = ("_counters", "_sink", "_waiting")

    def __init__(self, sink: EventSink, counters: Counters) -> None:
        self._sink = sink
        self._counters = counters
        self._waiting: deque[Source] = deque()

    def has_none_but(self, source: Source) -> bool:
        """Whether no other source waits."""
        return all(waiting is source for waiting in self._waiting)

    def wake(self, source: Source) -> None:
        """`source` has an event; delivers what there is room for.

        Raises:
            GuestFault: the guest took its ring away.
        """
        if not source.queued:
            source.queued = True
            self._waiting.append(source)
        self.pump()

    def pump(self) -> None:
        """Delivers events while there are some and the guest has room.

        Raises:
            GuestFault: the guest took its ring away.
        """
        waiting = self._waiting
        while waiting and (room := self._sink.room()):
            source = waiting.popleft()
            event = source.next_event(room)
            if event is None:
                source.queued = False
                continue
            waiting.append(source)
            self._counters.events += 1
            self._sink.write(event)

    def forget(self) -> None:
        """Drops every source; one that has an event later calls `wake`."""
        for source in self._waiting:
            source.queued = False
        self._waiting.clear()


class PollFences:
    """The guest's POLLs that have not been answered: each is good for one event, oldest first."""

    __slots__ = ("_held", "_passage", "_slot", "_slots")

    def __init__(self, passage: Passage | None = None) -> None:
        """`passage` may hold older ones."""
        self._held: deque[Callable[[], None]] = deque()
        self._passage = passage
        self._slots = 1
        self._slot = 0

    def __len__(self) -> int:
        return len(self._held) + (0 if self._passage is None else self._passage.polls)

    @property
    def slots(self) -> int:
        """Parts of the channel ring, which have an event each."""
        return self._slots

    @property
    def slot(self) -> int:
        """The part that the next event goes to."""
        mailbox = self._mailbox
        return self._slot if mailbox is None else mailbox.slot

    def split(self, slots: int) -> None:
        """The ring has so many parts from now on."""
        self._slots = slots
        mailbox = self._mailbox
        if mailbox is not None:
            mailbox.slots = slots

    def hold(self, complete: Callable[[], None], chain: "Chain | None" = None) -> None:
        """Keeps one more; at the cap it is completed instead.

        `chain` is what `complete` answers, where C may do that, too.

        Raises:
            LimitExceeded: there are MAX_HELD_FENCES already.
        """
        if len(self) >= MAX_HELD_FENCES:
            complete()
            raise LimitExceeded(f"more than {MAX_HELD_FENCES} POLLs at once")
        if self._passage is not None and chain is not None and self._passage.hold_poll(chain):
            return
        self._held.append(complete)
        if self._passage is not None:
            self._passage.note_polls(len(self._held))

    def use_slot(self) -> None:
        """An event was written into `slot`."""
        slot = (self.slot + 1) % self._slots
        mailbox = self._mailbox
        if mailbox is None:
            self._slot = slot
        else:
            mailbox.slot = slot

    def complete_one(self) -> None:
        """Signals the oldest one."""
        if self._passage is not None and self._passage.polls:
            self._passage.complete_poll()
            return
        complete = self._held.popleft()
        if self._passage is not None:
            self._passage.note_polls(len(self._held))
        complete()

    def complete_all(self) -> None:
        """Signals all, so that nothing in the guest waits for ever."""
        while len(self):
            self.complete_one()

    @property
    def _mailbox(self) -> "MailboxPointer | None":
        """Where C puts events, too."""
        return None if self._passage is None else self._passage.mailbox


class RingSink:
    """Events at offset 0 of a resource, or in its slots in turn, each completing one POLL fence.

    The ring is looked up anew for every event: the guest may destroy its resource at any
    time.  Its data is written before its fence is signalled, and never twice for one fence.
    """

    __slots__ = ("_channel_ring_id", "_fences", "_passage", "_query_ring_id", "_resources", "_ring")

    def __init__(
        self,
        resources: Resources,
        query_ring_id: int,
        channel_ring_id: int,
        fences: PollFences,
        passage: Passage | None = None,
    ) -> None:
        """Checks both rings; `passage` is told where the channel ring is.

        Raises:
            GuestFault: one of them is no resource of this context, or smaller than a page.
        """
        self._resources = resources
        self._query_ring_id = query_ring_id
        self._channel_ring_id = channel_ring_id
        self._fences = fences
        self._passage = passage
        self._lookup(query_ring_id)
        self._ring = self._find_ring()

    def room(self) -> int:
        """The slot's bytes, if a POLL waits."""
        if not self._fences:
            return 0
        self._ring = self._find_ring()
        return min(self._ring.size // self._fences.slots, MAX_EVENT_SIZE)

    def write(self, event: bytes, /) -> None:
        """Writes the slot, its first words last (`Feature.SHARED_RING`), then completes the oldest POLL."""
        fences = self._fences
        begin = fences.slot * (self._ring.size // fences.slots)
        self._ring.write(begin + _RING_WORDS, event[_RING_WORDS:])
        self._ring.write(begin, event[:_RING_WORDS])
        fences.use_slot()
        fences.complete_one()

    def answer(self, data: Buffer, /) -> None:
        """Writes the query ring."""
        self._lookup(self._query_ring_id).write(0, data)

    def _find_ring(self) -> Storage:
        ring = self._lookup(self._channel_ring_id)
        if self._passage is not None and isinstance(ring, Scattered):
            self._passage.set_ring(ring.runs, ring.size)
        return ring

    def _lookup(self, resource_id: int) -> Storage:
        ring = self._resources.lookup(resource_id)
        if ring.size < RING_SIZE:
            raise GuestFault(f"a ring of {ring.size} bytes, resource {resource_id}")
        return ring
