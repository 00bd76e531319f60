"""What a walker is: the vocabulary that its two implementations share.

A walker follows one Wayland connection in both directions.  It knows which object
has which interface, finds the messages that own fds or that the caller asked for,
and refuses what the protocol does not allow.  Everything else passes untouched.

`crossdomain.wire.Walker` is the one in C (`crossdomain.wire.native`); the one in
Python (`crossdomain.wire.walker`) is the oracle that tests compare it with.

The life of an entry of the object map: a new_id makes it live; a destructor request
makes it a zombie, which keeps its interface so that the fds of late events are
counted; wl_display.delete_id frees it.  Ids of the compositor (0xff000000 and up)
have no delete_id: their entries are overwritten when the compositor uses the id again.
"""

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from crossdomain.errors import LocalError
from crossdomain.wire.codec import DISPLAY_ID, Data
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.tables import Message, Tables

if TYPE_CHECKING:
    from crossdomain.wire.totals import Totals

MAX_RECORDS: Final = 256
"""Records of one `walk`: bounds the work and the memory of one call; call again for the rest."""

MAX_DELETES: Final = 0xFFFF
"""Own delete_ids, or generations of a client's id, that may be outstanding for one id (16 bits in C)."""


class Direction(IntEnum):
    """Which way a message goes."""

    REQUEST = 0
    EVENT = 1


class Flag(IntFlag):
    """What a record says beyond its message."""

    OWN = 1
    """The event belongs to an object of the proxy's own: the client must not get it."""


class Watch(IntEnum):
    """Which messages of a kind are recorded; the numbers are shared with `crossdomain/native/core.h`.

    Those of a quiet object pass, as nobody wants to see them.  An object is quiet from `Walker.quieten` until
    a request of it is recorded, or one that is watched ALWAYS names it.  All but ALWAYS may be taken in C, of
    objects that were given to `crossdomain/native/frames.c`, where nobody asks for records (`pass_by`).
    """

    ALWAYS = 1
    UNLESS_QUIET = 2
    BEGINS = 3
    """As UNLESS_QUIET, for a request whose first argument is an object, which has to be quiet as well."""
    ENDS = 4
    """As UNLESS_QUIET, for a request that takes effect of one that begins."""
    UNLESS_TAKEN = 5
    """Whoever takes messages in C takes it where it changes nothing; as ALWAYS for all others."""


class Record(NamedTuple):
    """One message that the caller has to look at.

    `offset` and `size` are bytes in the walked data, header included.  `interface` is
    an index into the tables, or `NO_INTERFACE` for an own object that the client's
    map does not know.  `fds` counts the fds that travel with the message.  `next_id` is what
    `Walker.next_id` was before the message: a batch is walked whole before its records are looked at.
    """

    offset: int
    size: int
    object_id: int
    interface: int
    opcode: int
    fds: int
    flags: int
    next_id: int = 0


class Walk(NamedTuple):
    """What one call of `walk` found.

    `consumed` counts the bytes of the whole messages that were walked.  It stops
    before an incomplete message, before the message that `fault` tells about, and
    after the last record of one call (there are `MAX_RECORDS` of them: call again).
    `messages` counts those that were consumed.
    """

    consumed: int
    records: list[Record]
    fault: WireFault | None
    messages: int = 0


Interest: TypeAlias = Iterable[tuple[str, Direction, str]]
"""Messages to record: interface, direction and name of each."""


class Walker(Protocol):
    """One connection's walker.  Not thread-safe.

    Both kinds refuse requests that libwayland's server would refuse: unknown objects
    and opcodes, malformed arguments, ids that leave a hole.  A strict one sees what a
    plain client and its compositor say to each other: it also refuses an id in use,
    and malformed events.  The other one stands before a compositor that judges for
    itself: an id may be used again before its delete_id, and it passes over the
    events that it does not understand.  Events of unknown objects are passed over by
    both, as libwayland's client does.
    """

    def __init__(self, tables: Tables, interest: Interest, *, strict: bool) -> None:
        """Knows only wl_display; raises LocalError where `interest` names no message."""
        ...

    def walk(self, direction: Direction, data: Data) -> Walk:
        """Walks the whole messages in `data` and updates the object map."""
        ...

    def watch(self, interface: str, direction: Direction, name: str, watch: Watch = Watch.ALWAYS) -> None:
        """Records one more kind of message from now on; raises LocalError where there is none such."""
        ...

    def quieten(self, object_id: int) -> None:
        """Lets an object be quiet (`Watch`); nothing where it is none that lives."""
        ...

    def stir(self, object_id: int) -> bool:
        """Ends its quiet; returns whether a request that begins has passed, and none that ends since."""
        ...

    def take_ended(self) -> int:
        """Returns how many requests that end what had begun have passed since it was asked."""
        ...

    def limit(self, objects: int, surfaces: int) -> None:
        """Refuses requests that make more objects of the client at a time, or more wl_surfaces.

        An object counts until its delete_id, a surface until the client destroys it.  What is there already
        stays.  Surfaces are counted from the first call on.
        """
        ...

    def join(self, totals: "Totals") -> None:
        """Counts its objects and surfaces there, too, and refuses what `totals` have no room for."""
        ...

    def leave(self) -> None:
        """The connection is over: what it had counts there no more.  May be called again."""
        ...

    def live(self) -> tuple[int, int]:
        """How many objects of the client there are, wl_display among them, and how many surfaces."""
        ...

    def own(self, object_id: int, deletes: int = 1) -> None:
        """Tells that the proxy itself sent a request that created `object_id`.

        The next `deletes` delete_ids for it, and all its events until then, are
        recorded with `Flag.OWN`; calls add up.  Fds of these events are not counted.
        Raises LocalError for an id that is not a client's to choose.
        """
        ...

    def own_pending(self, object_id: int) -> int:
        """Returns the delete_ids that are still to come for the proxy's own `object_id`."""
        ...

    def release(self, object_id: int) -> None:
        """Frees the client's entry: the proxy itself told the client delete_id.

        Raises LocalError where `object_id` has no entry.
        """
        ...

    def next_id(self) -> int:
        """Returns the lowest id that neither the client nor the proxy has used yet."""
        ...

    def adopt(self, object_id: int, interface: str, version: int) -> None:
        """Tells that the proxy itself sent the client an event that created `object_id`.

        Raises LocalError for an id that is not a compositor's to choose, or leaves a hole.
        """
        ...

    def next_server_id(self) -> int:
        """Returns the lowest id of the compositor's that the client has not seen yet."""
        ...

    def interface_of(self, object_id: int) -> int | None:
        """Returns the interface's index of a live or zombie object, or None."""
        ...

    def version_of(self, object_id: int) -> int | None:
        """Returns the version that a live or zombie object was bound with, or None."""
        ...


class FaultKind(IntEnum):
    """Why a walk stopped; the numbers are shared with `crossdomain/native/core.h`."""

    NONE = 0
    SIZE = 1
    OBJECT = 2
    OPCODE = 3
    VERSION = 4
    ARGUMENTS = 5
    GLOBAL = 6
    OBJECTS = 7
    LIVE_OBJECTS = 8
    SURFACES = 9
    ALL_LIVE_OBJECTS = 10
    ALL_SURFACES = 11


_QUOTAS: Final = {
    FaultKind.LIVE_OBJECTS: ("objects", "objects"),
    FaultKind.SURFACES: ("surfaces", "surfaces"),
    FaultKind.ALL_LIVE_OBJECTS: ("objects of all clients together", "vm.objects"),
    FaultKind.ALL_SURFACES: ("surfaces of all clients together", "vm.surfaces"),
}
"""What there is too much of, and the quota that says so."""


class FaultSite(NamedTuple):
    """Where a walk stopped: the words of the header, and the object's entry where it has one."""

    kind: FaultKind
    object_id: int
    opcode: int
    size: int
    interface: int | None
    version: int | None


def messages_of(tables: Tables, interface: int, direction: Direction) -> tuple[Message, ...]:
    """Returns the requests or the events of the interface at an index."""
    found = tables.at(interface)
    return found.requests if direction is Direction.REQUEST else found.events


def resolve_interest(tables: Tables, interest: Interest) -> set[tuple[int, Direction, int]]:
    """Returns `interest` as indices and opcodes; raises LocalError for an unknown message."""
    resolved: set[tuple[int, Direction, int]] = set()
    for name, direction, message_name in interest:
        find = tables.request_key if direction is Direction.REQUEST else tables.event_key
        key = find((name, message_name)) if tables.find(name) is not None else None
        if key is None:
            raise LocalError(f"no such message: {name}.{message_name}")
        resolved.add((key >> 16, direction, key & 0xFFFF))
    return resolved


def describe_fault(tables: Tables, direction: Direction, site: FaultSite) -> WireFault:
    """Returns the fault in the words of libwayland's wl_display.error."""
    name = "unknown" if site.interface is None else tables.name(site.interface)
    match site.kind:
        case FaultKind.SIZE:
            text = f"invalid message size {site.size}, object {site.object_id}"
            return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        case FaultKind.OBJECT:
            return WireFault(DISPLAY_ID, DisplayError.INVALID_OBJECT, f"invalid object {site.object_id}")
        case FaultKind.OPCODE:
            text = f"invalid method {site.opcode}, object {name}#{site.object_id}"
            return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        case FaultKind.VERSION:
            text = f"invalid method {site.opcode} (version {site.version}), object {name}#{site.object_id}"
            return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        case FaultKind.ARGUMENTS:
            text = f"invalid arguments for {name}#{site.object_id}.{_message_name(tables, direction, site)}"
            return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        case FaultKind.GLOBAL:
            return WireFault(site.object_id, DisplayError.INVALID_OBJECT, "invalid global")
        case FaultKind.OBJECTS:
            # The code is libwayland's, whose map is larger; its text does not tell this from a wrong id.
            text = f"too many objects for {name}#{site.object_id}.{_message_name(tables, direction, site)}"
            return WireFault(DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        case FaultKind.NONE:
            raise LocalError("nothing to describe")
        case _:
            what, quota = _QUOTAS[site.kind]
            message = _message_name(tables, direction, site)
            text = f"too many {what} for {name}#{site.object_id}.{message} (quota {quota})"
            return WireFault(DISPLAY_ID, DisplayError.IMPLEMENTATION, text)


def _message_name(tables: Tables, direction: Direction, site: FaultSite) -> str:
    if site.interface is None:
        raise LocalError("arguments without an interface")
    return messages_of(tables, site.interface, direction)[site.opcode].name
