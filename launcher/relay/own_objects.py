"""Objects that the relay makes on a connection beside the client's, and what becomes of their events.

Their ids are ids that the client does not use just then: one that is free, or one of an object
that lives here alone (`stand_ins`).  The walker finds their events and their delete_ids, none of which
the client gets.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from crossdomain.wire import Record, Walker
from launcher.relay import encode
from launcher.relay.messages import DROP_EVENT, EventHandler, ToClient

_DELETE_ID: Final = 1
"""Opcode of wl_display.delete_id."""


class _OwnObject(NamedTuple):
    deleted: Callable[[], None]
    events: EventHandler | None


class OwnObjects:
    """One connection's; see `messages.Host` for most of it."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._spare_id: int | None = None
        self._next_id: int | None = None
        self._objects: dict[int, deque[_OwnObject]] = {}

    def add(self, object_id: int, deleted: Callable[[], None], events: EventHandler | None) -> None:
        """A request of our own creates `object_id`: its events until its delete_id are for `events`."""
        self._walker.own(object_id, 1)
        self._objects.setdefault(object_id, deque()).append(_OwnObject(deleted, events))

    def pending(self, object_id: int) -> int:
        """Returns how many delete_ids for objects of our own with that id are still to come."""
        return self._walker.own_pending(object_id)

    def come_to(self, next_id: int | None) -> None:
        """Requests go before a message now, at which the walker's next id was that; None: behind all."""
        self._next_id = next_id

    def spare_id(self) -> int:
        """Returns a free id, the same one as long as it is free.

        A fresh one is the first that the host does not know yet: the walker knows more, up to the end of the
        batch, and an id that leaves a hole ends the client.
        """
        if self._spare_id is None or self._walker.interface_of(self._spare_id) is not None:
            self._spare_id = self._walker.next_id() if self._next_id is None else self._next_id
        return self._spare_id

    def handle_event(self, record: Record, data: memoryview) -> ToClient:
        """Handles an event with `Flag.OWN`; returns what the client gets of it."""
        if record.object_id == encode.DISPLAY_ID:
            if record.opcode == _DELETE_ID:
                self._delete(int.from_bytes(data[record.offset + 8 : record.offset + 12], "little"))
            return DROP_EVENT
        # The host's objects of one id live one after the other.
        handle = self._objects[record.object_id][0].events
        return (None if handle is None else handle(record, data, [])) or DROP_EVENT

    def _delete(self, object_id: int) -> None:
        waiting = self._objects[object_id]
        deleted = waiting.popleft().deleted
        if not waiting:
            del self._objects[object_id]
        deleted()
