"""What the parts of the relay say to each other about one message.

`connection` finds the messages that matter and asks the part that knows them; the answer is a
`Translation`, or None where the message goes on as it came.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

from crossdomain.abi.cross_domain import Identifier
from crossdomain.bridge.fences import Fence
from crossdomain.wire import Direction, Record
from crossdomain.wire.codec import HEADER_SIZE, encode_message
from crossdomain.wire.tables import load


class Wait(NamedTuple):
    """What a commit waits for."""

    fence: Fence
    """The handler's own, until it is over at least."""
    buffer_id: int
    """The client's buffer that the commit is to show."""


_BIND: Final = load().interface("wl_registry").requests[0]


class ToHost(NamedTuple):
    """What goes to the host in a request's place, possibly nothing."""

    data: bytes
    identifiers: tuple[Identifier, ...] = ()
    wait: Wait | None = None
    """Where there is one, nothing goes yet: the request is to be handled again when that is over."""


class ToClient(NamedTuple):
    """What goes to the client in an event's place, possibly nothing; the fds are given away."""

    data: bytes
    fds: tuple[int, ...] = ()


DROP_REQUEST: Final = ToHost(b"")
DROP_EVENT: Final = ToClient(b"")

RequestHandler: TypeAlias = Callable[[Record, memoryview, list[int]], ToHost | None]
"""Called with the record, the walked data that its offset counts in, and the message's fds, which are
the handler's from then on, also where it raises.

Raises WireFault where the client broke the protocol, GuestFault where it asked for too much.
"""

EventHandler: TypeAlias = Callable[[Record, memoryview, list[Identifier]], ToClient | None]
"""As `RequestHandler`, for an event of the compositor and the identifiers that came with it."""

Route: TypeAlias = tuple[str, str]
"""Interface and message."""


def message(record: Record, data: memoryview) -> bytes:
    """A copy of the message that a record is of."""
    return bytes(data[record.offset : record.offset + record.size])


def first_message(data: memoryview) -> memoryview:
    """Returns the first message in `data`, or all of it where there is no whole one."""
    if len(data) < HEADER_SIZE:
        return data
    size = int.from_bytes(data[6:8], "little")
    return data[:size] if HEADER_SIZE <= size <= len(data) else data


def is_whole(data: memoryview) -> bool:
    """Whether `data` is one message, and no more."""
    return len(data) >= HEADER_SIZE and int.from_bytes(data[6:8], "little") == len(data)


def before(first: ToHost, record: Record, data: memoryview) -> ToHost:
    """Returns what goes to the host in a request's place: `first`, which it needs before it, and itself."""
    message = bytes(data[record.offset : record.offset + record.size])
    return first._replace(data=first.data + message)


class RequestPart(Protocol):
    """One part of the relay: the requests that it wants to see."""

    def request_routes(self) -> dict[Route, RequestHandler]:
        """Requests and who handles them."""
        ...


class Part(RequestPart, Protocol):
    """One that wants to see events, too."""

    def event_routes(self) -> dict[Route, EventHandler]:
        """Events and who handles them."""
        ...


class Anchor(NamedTuple):
    """A global of the compositor's as the client's wl_registry has it."""

    registry_id: int
    name: int
    version: int


def bind_instead(anchor: Anchor, interface: str, object_id: int) -> ToHost:
    """Returns what binds the anchor, whose interface that is, in the place of an emulated global."""
    values = (anchor.name, interface, anchor.version, object_id)
    return ToHost(encode_message(_BIND, anchor.registry_id, *values))


class EmulatedGlobal(Protocol):
    """A global that the relay serves itself; `registry` shows it, in the version that the policy says.

    What is made through it lives here (`stand_ins`): each request of these objects needs a route.
    """

    @property
    def interface(self) -> str:
        """Its interface."""
        ...

    @property
    def version(self) -> int:
        """The highest that can be served; 0 where it can't be served at all."""
        ...

    @property
    def behind(self) -> str:
        """The global of the compositor's that it needs, and behind which it is announced."""
        ...

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """The client binds it; returns what the host gets, of which something has to create `object_id`.

        `anchor` is the global that it needs, which may be bound in its place.
        """
        ...


class EmulatedPart(RequestPart, EmulatedGlobal, Protocol):
    """A part that serves a global: no event of it comes from the host."""

    def close(self) -> None:
        """Gives up what it holds."""
        ...


class Host(Protocol):
    """What a part may do besides answering; `connection` is it."""

    @property
    def name(self) -> str:
        """The client's, for the log."""
        ...

    def guard(self, serve: Callable[[int], None], events: int) -> None:
        """Calls a handler; a failure of any kind costs this client only."""
        ...

    def send_request(self, request: bytes) -> None:
        """Sends a request of the relay's, with or behind the requests that are handled."""
        ...

    def own(self, object_id: int, deleted: Callable[[], None], events: "EventHandler | None" = None) -> None:
        """A request of our own creates `object_id`; `deleted` is called at its delete_id.

        `events` gets its events until then, without identifiers, and returns what the client gets in their
        place (None: nothing).
        """
        ...

    def own_pending(self, object_id: int) -> int:
        """Returns how many delete_ids for objects of our own with that id are still to come."""
        ...

    def spare_id(self) -> int:
        """Returns an id that no object of the client has, and that leaves no hole, for an object of our own.

        It is good as long as that object is gone again before the next request of the client.
        """
        ...

    def watch_events(self, routes: dict[Route, EventHandler]) -> None:
        """Lets events be handled from now on that passed by until now."""
        ...

    def quieten(self, object_id: int) -> None:
        """Lets an object of the client's be quiet (`crossdomain.wire.Watch`)."""
        ...

    def stir(self, object_id: int) -> bool:
        """See `crossdomain.wire.Walker`."""
        ...

    def when_sent(self, action: Callable[[], None]) -> None:
        """Calls `action` once all that this batch of requests becomes was sent to the host, or never will be.

        Memory of the host that a request names has to stay until then.
        """
        ...

    def when_seen(self, action: Callable[[], None]) -> None:
        """Calls `action` once the compositor has seen all that this batch of requests becomes.

        Where the connection ends before, it is not called.
        """
        ...

    def send_event(self, event: bytes, fds: tuple[int, ...] = ()) -> None:
        """Sends the client an event of the relay's, behind all that it was sent; the fds are given away.

        Not where an event of the compositor's is handled, whose answer is the place for it.
        """
        ...

    def give_object(self, interface: str, version: int, host_id: int) -> int:
        """Returns the id of the compositor's kind for a new object of the client's, `host_id` on the host.

        An event that is sent at once has to create it.
        """
        ...

    def take_object_back(self, object_id: int) -> None:
        """The client has destroyed what `give_object` gave it."""
        ...

    def delete_id(self, object_id: int) -> None:
        """Tells the client that an id, which the compositor knows nothing of, is free again."""
        ...


REQUEST: Final = Direction.REQUEST
EVENT: Final = Direction.EVENT
