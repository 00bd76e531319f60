"""What becomes of a message that somebody on the host has to look at.

A handler sees one whole message and may change it, put others around it or take it out of the
stream; all that no handler asked for passes untouched and costs nothing.  `policy` brings the
messages to their handlers and what is left into one batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

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
    give: Callable[[], list[int]] | None = None
    """Who gives more fds for what passes: they travel behind the message's, and are the caller's."""


_Part = TypeVar("_Part")
_Kind = TypeVar("_Kind")

Messages: TypeAlias = Mapping[tuple[str, Direction, str], Callable[[_Part, Passing], Edit | None]]
"""Handlers by interface, direction and name of the message.

A handler is a function of some part of one client's policy, and of the message.  It returns None where the
message passes as it came, and may raise GuestFault, which ends the client.  There is one table for all
clients, as every client would have to pay for one of its own.
"""


def find(interface: str, direction: Direction, name: str) -> Message:
    """The signature of a message that the tables have; raises StopIteration where they don't."""
    found = load().interface(interface)
    messages = found.requests if direction is REQUEST else found.events
    return next(message for message in messages if message.name == name)


def bound(
    handle: Callable[[_Part, _Kind, Passing], Edit | None], kind: _Kind
) -> Callable[[_Part, Passing], Edit | None]:
    """A handler that is told which of several kinds of message it handles."""
    return lambda part, passing: handle(part, kind, passing)
