"""What becomes of a message that somebody on the host has to look at.

A handler sees one whole message and may change it, put others around it or take it out of the
stream; all that no handler asked for passes untouched and costs nothing.  `policy` brings the
messages to their handlers and what is left into one batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from crossdomain.wire import load
from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import Message

REQUEST: Final = Direction.REQUEST
EVENT: Final = Direction.EVENT


class Passing(NamedTuple):
    """One message on its way."""

    object_id: int
    data: memoryview
    """The whole message, header included."""
    fds: Sequence[int] = ()
    """The fds that travel with it, if they have come; still the context's, only to be looked at."""


class Edit(NamedTuple):
    """What passes instead of a message."""

    data: bytes = b""
    """Nothing, or whole messages."""
    take: Callable[[list[int]], None] | None = None
    """Who gets the message's fds, which do not travel on: they are the callee's."""


Handler: TypeAlias = Callable[[Passing], Edit | None]
"""Returns None where the message passes as it came.  May raise WireFault, which ends the client."""

Handlers: TypeAlias = Mapping[tuple[str, Direction, str], Handler]
"""By interface, direction and name of the message."""


def find(interface: str, direction: Direction, name: str) -> Message:
    """The signature of a message that the tables have; raises StopIteration where they don't."""
    found = load().interface(interface)
    messages = found.requests if direction is REQUEST else found.events
    return next(message for message in messages if message.name == name)
