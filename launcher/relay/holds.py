"""Requests that wait: a commit whose buffer is still drawn into, and all that has to come after it.

What is said about the same surface, or about objects that are not there on the host before, waits in its
order; everything else of the client passes, so its other windows go on.  A new_id that waits keeps
its place in the host's sequence of ids by a wl_display.sync, as in `stand_ins`.

Decides only: `connection` asks where each request of a client with holds goes, and carries them out.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from crossdomain.limits import MAX_HELD_BYTES
from crossdomain.wire import Record, Walker
from crossdomain.wire.codec import decode_arguments
from crossdomain.wire.tables import ArgumentKind, Message, Tables
from launcher.relay.families import Families
from launcher.relay.messages import Wait

_REQUEST_COST: Final = 256
"""Bytes that a request takes here besides its own."""


class Request(NamedTuple):
    """One whole request of the client's with the fds that came with it; its record counts from 0."""

    record: Record
    data: memoryview
    fds: list[int]
    created: tuple[int, ...] = ()
    """The ids of objects that it creates, where it has waited."""

    @property
    def cost(self) -> int:
        """Bytes that it takes while it waits."""
        return self.record.size + _REQUEST_COST

    @property
    def later(self) -> "Request":
        """It, to go on behind all that the client will have said: the next id is another one then."""
        return self._replace(record=self.record._replace(next_id=0))


class _Ids(NamedTuple):
    """The ids in a request's arguments."""

    created: tuple[int, ...]
    named: tuple[int, ...]


class Hold:
    """What waits for one fence, oldest first; the first is the commit."""

    __slots__ = ("_requests", "cost", "fence", "pinned", "roots", "surfaces", "unborn")

    def __init__(self, wait: Wait, surface_id: int, root: int, commit: Request) -> None:
        self.fence = wait.fence
        """What the first waits for; not the hold's own."""
        self.cost = commit.cost
        self._requests = deque([commit.later])
        self.surfaces = {surface_id}
        """Those whose requests wait here."""
        self.roots = {root}
        """Surfaces with which others change that wait, too."""
        self.unborn: set[int] = set()
        """Objects that the host does not have yet."""
        self.pinned = {wait.buffer_id}
        """Objects that waiting requests name: they are not destroyed, or changed, before."""

    def __bool__(self) -> bool:
        """Whether any request waits."""
        return bool(self._requests)

    @property
    def first(self) -> Request:
        """The next to go on."""
        return self._requests[0]

    def append(self, request: Request) -> None:
        """One more waits."""
        self._requests.append(request.later)
        self.cost += request.cost
        self.unborn.update(request.created)

    def take_first(self) -> Request:
        """The next goes on."""
        request = self._requests.popleft()
        self.cost -= request.cost
        self.unborn.difference_update(request.created)
        return request

    def join(self, other: "Hold") -> None:
        """What waits there waits here."""
        for request in other._requests:
            self.append(request)
        self.surfaces |= other.surfaces
        self.roots |= other.roots
        self.pinned |= other.pinned


class Placed(NamedTuple):
    """A request waits."""

    created: tuple[int, ...]
    """Ids that it creates: each needs a stand-in on the host now."""
    joined: list[Hold]
    """Holds that have become part of the one where it waits: their fences are awaited no more."""


class Holds:
    """One client's."""

    def __init__(self, tables: Tables, walker: Walker, families: Families) -> None:
        self._tables = tables
        self._walker = walker
        self._families = families
        self._region: Final = tables.index("wl_region")
        self._holds: list[Hold] = []

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._holds)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that the client has to wait as a whole."""
        return sum(hold.cost for hold in self._holds) >= MAX_HELD_BYTES

    def begin(self, commit: Request, wait: Wait) -> Hold:
        """Lets a commit wait for a fence, which stays the caller's."""
        surface_id = commit.record.object_id
        hold = Hold(wait, surface_id, self._families.root_of(surface_id), commit)
        self._holds.append(hold)
        return hold

    def end(self, hold: Hold) -> None:
        """Nothing waits there any more."""
        self._holds.remove(hold)

    def place(self, request: Request) -> Placed | None:
        """Lets a request wait where it has to; None where it may pass."""
        record = request.record
        message = self._tables.at(record.interface).requests[record.opcode]
        ids = _ids_of(message, request.data)
        found = [hold for hold in self._holds if self._concerns(hold, record, message, ids)]
        if not found:
            return None
        hold, *others = found
        for other in others:
            hold.join(other)
            self._holds.remove(other)
        self._append(hold, request, ids)
        return Placed(ids.created, others)

    def clear(self) -> list[Hold]:
        """Forgets all; returns what has waited, whose fds are the caller's."""
        holds, self._holds = self._holds, []
        return holds

    def _concerns(self, hold: Hold, record: Record, message: Message, ids: _Ids) -> bool:
        object_id = record.object_id
        if object_id in hold.unborn or not hold.unborn.isdisjoint(ids.named):
            return True
        if object_id in hold.pinned and (message.destructor or record.interface == self._region):
            return True
        named = (object_id, *ids.named) if ids.created else (object_id,)
        return any(self._waits(hold, surface_id) for surface_id in self._surfaces_of(named))

    def _waits(self, hold: Hold, surface_id: int) -> bool:
        return surface_id in hold.surfaces or self._families.root_of(surface_id) in hold.roots

    def _surfaces_of(self, object_ids: Iterable[int]) -> set[int]:
        return {surface for object_id in object_ids for surface in self._families.surfaces_of(object_id)}

    def _append(self, hold: Hold, request: Request, ids: _Ids) -> None:
        object_id = request.record.object_id
        hold.append(request._replace(created=ids.created))
        hold.surfaces |= self._surfaces_of((object_id, *ids.named) if ids.created else (object_id,))
        hold.pinned.update(ids.named)


def _ids_of(message: Message, data: memoryview) -> _Ids:
    values = decode_arguments(message, data)
    found: dict[ArgumentKind, list[int]] = {ArgumentKind.NEW_ID: [], ArgumentKind.OBJECT: []}
    for argument, value in zip(message.arguments, values, strict=True):
        if argument.kind in found and isinstance(value, int) and value:
            found[argument.kind].append(value)
    return _Ids(tuple(found[ArgumentKind.NEW_ID]), tuple(found[ArgumentKind.OBJECT]))
