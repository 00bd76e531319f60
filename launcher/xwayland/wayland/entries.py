"""What is known of one object, and how its messages are translated.

A `Plan` is made once for each message: where in it the ids are, which fds come with it and who
wants to see it.  It lets `mediator` translate most messages without decoding them.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from crossdomain.wire.codec import Value, decode_arguments
from crossdomain.wire.engine import Direction
from crossdomain.wire.tables import Argument, ArgumentKind, Message, Tables
from launcher.xwayland.wayland.scaling import Scaler, Scaling

if TYPE_CHECKING:
    from launcher.xwayland.wayland.proxy import Proxy


class Verdict(Enum):
    """What becomes of a message that somebody looked at."""

    PASS = 0
    """It goes on as it came."""
    CHANGED = 1
    """It goes on with the values in `Call.values`."""
    DROP = 2
    """It ends here; whoever says so has taken care of its fds, and of the object that it would create."""
    HOLD = 3
    """An event without fds is not to go on yet: it is shown again, and what is behind it, when
    `Mediator.go_on` was called."""


class Entry:
    """One object.

    An id is 0 on the side that does not know of the object: objects of our own have no `client_id`,
    objects that we emulate for Xwayland no `host_id`.
    """

    __slots__ = ("client_id", "host_id", "interface", "local", "proxy", "state", "version", "zombie")

    def __init__(self, interface: str, version: int, *, client_id: int = 0, host_id: int = 0) -> None:
        self.interface = interface
        self.version = version
        self.client_id = client_id
        self.host_id = host_id
        self.proxy: Proxy | None = None
        """Who handles the events of an object of our own."""
        self.local: Handler | None = None
        """Who handles the requests of an emulated object."""
        self.state: object = None
        """What the part that follows objects of this kind knows of it."""
        self.zombie = False
        """Destroyed by its client; events may still come."""

    def __repr__(self) -> str:
        return f"{self.interface}#{self.client_id}/{self.host_id}"


class Call:
    """One message that somebody wants to see.

    `values` are as decoded: ids are those of the sender's side.  `fds` belong to the message until
    it is dropped.
    """

    __slots__ = ("data", "entry", "fds", "message", "values")

    def __init__(self, entry: Entry, message: Message, data: bytes, fds: list[int]) -> None:
        self.entry = entry
        self.message = message
        self.data = data
        self.fds = fds
        self.values: list[Value] = list(decode_arguments(message, data))

    def number(self, position: int) -> int:
        """Returns the argument at `position`, which the signature says is a number or an id."""
        value = self.values[position]
        return value if isinstance(value, int) else 0

    def text(self, position: int) -> str:
        """Returns the argument at `position`, which the signature says is a string."""
        value = self.values[position]
        return value if isinstance(value, str) else ""


Handler: TypeAlias = Callable[[Call], Verdict]
"""Sees a message before it goes on."""

Routes: TypeAlias = dict[tuple[str, str], Handler]
"""Interface and message, and who wants to see it."""

_WORD: Final = 4
_HEADER_WORDS: Final = 2
_SIZED: Final = frozenset({ArgumentKind.STRING, ArgumentKind.ARRAY})
_IDS: Final = frozenset({ArgumentKind.OBJECT, ArgumentKind.NEW_ID})


class Plan:
    """How to translate one message.

    `objects` and `new_id` are positions of ids in 32-bit words from the start of the message; they are
    known only where `fixed`, that is where no id stands behind a string or an array.
    """

    __slots__ = (
        "created",
        "destructor",
        "fds",
        "fixed",
        "handler",
        "is_plain",
        "message",
        "new_id",
        "objects",
        "scaler",
        "words",
    )

    def __init__(self, message: Message, handler: Handler | None, scaler: Scaler | None) -> None:
        self.message = message
        self.handler = handler
        self.scaler = scaler
        """What the lengths in it need; those who see it see px of the X screen."""
        self.destructor = message.destructor
        self.fds = sum(argument.kind is ArgumentKind.FD for argument in message.arguments)
        self.fixed = True
        self.objects: tuple[int, ...] = ()
        self.new_id = 0
        self.created: str | None = None
        self.words = _HEADER_WORDS
        """What the message has at least."""
        self._place(message.arguments)
        self.is_plain = handler is None and scaler is None and self.fixed and not self.fds
        """Whether nothing but ids has to be exchanged."""

    def _place(self, arguments: tuple[Argument, ...]) -> None:
        word = _HEADER_WORDS
        movable = False
        objects: list[int] = []
        for argument in arguments:
            if argument.kind in _IDS and movable:
                self.fixed = False
            if argument.kind is ArgumentKind.OBJECT:
                objects.append(word)
            elif argument.kind is ArgumentKind.NEW_ID:
                self.new_id = word
                self.created = argument.interface
            movable = movable or argument.kind in _SIZED
            word += argument.kind is not ArgumentKind.FD
        self.objects = tuple(objects)
        self.words = word


class Plans:
    """The plans of all messages in one direction, made when they are needed."""

    def __init__(self, tables: Tables, direction: Direction, routes: Routes) -> None:
        self._tables = tables
        self._direction = direction
        self._routes = routes
        self.scaling = Scaling()
        self._plans: dict[str, tuple[Plan, ...]] = {}

    def find(self, interface: str, opcode: int) -> Plan | None:
        """Returns the plan of a message, None where the interface has no such message."""
        plans = self._plans.get(interface)
        if plans is None:
            plans = self._plans[interface] = self._make(interface)
        return plans[opcode] if opcode < len(plans) else None

    def scale(self, scaling: Scaling) -> None:
        """From now on lengths are converted."""
        self.scaling = scaling
        self._plans.clear()

    def _make(self, interface: str) -> tuple[Plan, ...]:
        found = self._tables.interface(interface)
        is_request = self._direction is Direction.REQUEST
        find_scaler = self.scaling.of_request if is_request else self.scaling.of_event
        return tuple(
            Plan(message, self._routes.get((interface, message.name)), find_scaler(interface, message.name))
            for message in (found.requests if is_request else found.events)
        )
