"""Objects of the client's that live here alone, and what stands for them on the host.

The compositor has to see every id that the client uses, or the sequence would have a hole.  So the
new_id of an object that it must not get goes on as a wl_display.sync, which takes the id's place and is
free again at once.  With that id the relay may then make objects of its own on the host, one after the
other or one that stays.  The delete_ids of all of them are ours; the client gets its own when its object
is gone and none of ours is to come any more.
"""

from collections.abc import Callable

from launcher.relay import encode
from launcher.relay.messages import EventHandler, Host


class StandIns:
    """One client's, or one part's of a client: each frees the ids that it was told of."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._leaving: set[int] = set()

    def create(self, object_id: int, answered: Callable[[], None] | None = None) -> bytes:
        """The client creates an object that the host must not see; returns what goes there instead.

        `answered` is called once the host has handled all that came before.
        """

        def deleted() -> None:
            if answered is not None:
                answered()
            self._free(object_id)

        self._host.own(object_id, deleted)
        return encode.sync(object_id)

    def own(self, object_id: int, events: EventHandler | None = None) -> None:
        """A request of ours makes an object with the id of one that lives here; `events` are its events."""
        self._host.own(object_id, lambda: self._free(object_id), events)

    def leave(self, object_id: int) -> None:
        """The client has destroyed its object: the id is free as soon as the host has nothing there."""
        self._leaving.add(object_id)
        self._free(object_id)

    def _free(self, object_id: int) -> None:
        if object_id in self._leaving and not self._host.own_pending(object_id):
            self._leaving.discard(object_id)
            self._host.delete_id(object_id)
