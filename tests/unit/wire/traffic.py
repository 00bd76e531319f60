"""Messages for the tests of the wire: one of every kind, and random streams."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from crossdomain.wire.codec import SERVER_ID_START, Value, encode_message
from crossdomain.wire.engine import Direction, Walker, messages_of
from crossdomain.wire.tables import Argument, ArgumentKind, Message, Tables

REGISTRY_ID = 2
SUBJECT_ID = 3
"""The object that a sample message belongs to."""
FIRST_HELPER_ID = 4
"""The first of the objects that it names."""

BOUNDARY_NUMBERS = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFEFFFFFF, 0xFF000000, 0xFFFFFFFF)


class Sample(NamedTuple):
    """One message with what must have been said before it."""

    interface: str
    direction: Direction
    message: Message
    setup: bytes
    data: bytes
    fds: int


def get_registry(tables: Tables) -> bytes:
    """wl_display.get_registry with the id `REGISTRY_ID`."""
    return encode_message(tables.interface("wl_display").requests[1], 1, REGISTRY_ID)


def bind(tables: Tables, interface: str, object_id: int, version: int | None = None) -> bytes:
    """wl_registry.bind of any interface, in its newest version where none is given."""
    newest = tables.interface(interface).version
    request = tables.interface("wl_registry").requests[0]
    return encode_message(request, REGISTRY_ID, 1, interface, version or newest, object_id)


def samples(tables: Tables, interface: str) -> Iterator[Sample]:
    """Yields one valid message of every request and event of an interface."""
    for direction in Direction:
        for message in messages_of(tables, tables.index(interface), direction):
            yield _sample(tables, interface, direction, message)


def _sample(tables: Tables, interface: str, direction: Direction, message: Message) -> Sample:
    setup = get_registry(tables) + bind(tables, interface, SUBJECT_ID)
    next_id = FIRST_HELPER_ID
    named: list[int] = []
    for argument in message.arguments:
        if argument.kind is ArgumentKind.OBJECT:
            setup += bind(tables, argument.interface or "wl_callback", next_id)
            named.append(next_id)
            next_id += 1
    new_id = next_id if direction is Direction.REQUEST else SERVER_ID_START
    objects = iter(named)
    values: list[Value] = []
    for argument in message.arguments:
        match argument.kind:
            case ArgumentKind.OBJECT:
                values.append(next(objects))
            case ArgumentKind.NEW_ID:
                values.append(new_id)
            case ArgumentKind.STRING:
                values.append("wl_callback" if message.name == "bind" else "text")
            case ArgumentKind.ARRAY:
                values.append(b"seven B")
            case ArgumentKind.FD:
                values.append(None)
            case ArgumentKind.INT | ArgumentKind.FIXED:
                values.append(-1)
            case ArgumentKind.UINT:
                values.append(1)
    fds = sum(argument.kind is ArgumentKind.FD for argument in message.arguments)
    return Sample(interface, direction, message, setup, encode_message(message, SUBJECT_ID, *values), fds)


class Traffic:
    """Random messages of a connection, mostly plausible.

    It looks at `walker` for which objects there are, and keeps their ids few, so that
    ids are used again, destroyed twice and named by mistake.
    """

    def __init__(self, tables: Tables, random: Random, walker: Walker) -> None:
        self._tables = tables
        self._random = random
        self._walker = walker
        self._names = [name for name in tables.names() if name.startswith(("wl_", "xdg_", "wp_color"))]

    def opening(self) -> bytes:
        """The registry and a few objects to begin with."""
        first = ("wl_compositor", "wl_seat", "wl_shm", "wl_data_device_manager", "wp_color_manager_v1")
        binds = (bind(self._tables, name, 3 + number) for number, name in enumerate(first))
        return get_registry(self._tables) + b"".join(binds)

    def message(self) -> tuple[Direction, bytes]:
        """One message in either direction; now and then one that is not allowed."""
        direction = self._random.choice(tuple(Direction))
        if direction is Direction.EVENT and self._random.random() < 0.3:
            event = self._tables.interface("wl_display").events[1]
            return direction, encode_message(event, 1, self._id())
        if direction is Direction.REQUEST and self._random.random() < 0.1:
            name = self._random.choice(self._names)
            return direction, bind(self._tables, name, self._new_id(direction))
        data = self._of_known_object(direction)
        return direction, self._damaged(data) if self._random.random() < 0.05 else data

    def _of_known_object(self, direction: Direction) -> bytes:
        object_id = self._id()
        interface = self._walker.interface_of(object_id)
        if interface is None:
            return self._word(object_id) + self._word(0x000C0000) + self._word(0)
        messages = messages_of(self._tables, interface, direction)
        if not messages:
            return self._word(object_id) + self._word(0x00080000)
        message = self._random.choice(messages)
        values = [self._value(direction, argument) for argument in message.arguments]
        return encode_message(message, object_id, *values)

    def _value(self, direction: Direction, argument: Argument) -> Value:
        match argument.kind:
            case ArgumentKind.FD:
                return None
            case ArgumentKind.ARRAY:
                return self._random.randbytes(self._random.randrange(9))
            case ArgumentKind.STRING:
                if argument.nullable and self._random.random() < 0.3:
                    return None
                return self._random.choice(("", "a", "wl_surface", "wl_seat", "\udcff", "x" * 40))
            case ArgumentKind.NEW_ID:
                return self._new_id(direction)
            case ArgumentKind.OBJECT:
                return 0 if argument.nullable and self._random.random() < 0.3 else self._object(argument)
            case ArgumentKind.INT | ArgumentKind.FIXED:
                return self._random.randint(-0x80000000, 0x7FFFFFFF)
            case ArgumentKind.UINT:
                return self._random.choice((1, *BOUNDARY_NUMBERS))

    def _object(self, argument: Argument) -> int:
        """An id, if possible one of an object that fits the argument."""
        wanted = None if argument.interface is None else self._tables.index(argument.interface)
        ids = [*range(1, 40), *range(SERVER_ID_START, SERVER_ID_START + 8)]
        fitting = [object_id for object_id in ids if self._walker.interface_of(object_id) == wanted]
        return self._random.choice(fitting) if fitting and self._random.random() < 0.95 else self._id() or 1

    def _id(self) -> int:
        if self._random.random() < 0.02:
            return self._random.choice(BOUNDARY_NUMBERS)
        if self._random.random() < 0.2:
            return SERVER_ID_START + self._random.randrange(8)
        return self._random.randrange(1, 40)

    def _new_id(self, direction: Direction) -> int:
        if self._random.random() < 0.02:
            return self._random.choice(BOUNDARY_NUMBERS[1:])
        if direction is Direction.EVENT:
            return SERVER_ID_START + self._random.randrange(8)
        free = [object_id for object_id in range(2, 40) if self._walker.interface_of(object_id) is None]
        return free[0] if free and self._random.random() < 0.9 else self._random.randrange(1, 40)

    def _damaged(self, data: bytes) -> bytes:
        """The message with one byte changed, words added or words taken, its size told rightly or not."""
        damaged = bytearray(data)
        match self._random.randrange(3):
            case 0:
                damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
            case 1:
                damaged += self._random.randbytes(4 * self._random.randrange(1, 4))
                damaged[6:8] = len(damaged).to_bytes(2, "little")
            case _:
                del damaged[max(8, len(damaged) - 4 * self._random.randrange(1, 4)) :]
                damaged[6:8] = len(damaged).to_bytes(2, "little")
        return bytes(damaged)

    def _word(self, number: int) -> bytes:
        return number.to_bytes(4, "little")
