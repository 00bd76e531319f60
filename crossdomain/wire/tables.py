"""Signatures of all Wayland messages, from the generated `_tables.py`.

The packed bytes are indexed when they are loaded and decoded interface by
interface when somebody asks, so that the guest's launcher starts fast.  The C core
reads the same bytes (`Tables.packed`).  Layout: `protocols/generate.py`.
"""

import struct
from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

from crossdomain.errors import LocalError
from crossdomain.wire._tables import PACKED

NO_INTERFACE: Final = 0xFFFF
"""Interface index that stands for "none"."""

_MAGIC: Final = b"XDT1"
_HEADER: Final = struct.Struct("<4sH")
_INTERFACE: Final = struct.Struct("<HHBBB")
_MESSAGE: Final = struct.Struct("<BBB")
_ARGUMENT: Final = struct.Struct("<BH")
_DESTRUCTOR: Final = 1
_NULLABLE: Final = 0x80


class ArgumentKind(IntEnum):
    """Types of arguments (Wayland protocol, "Wire Format")."""

    INT = 0
    UINT = 1
    FIXED = 2
    STRING = 3
    OBJECT = 4
    NEW_ID = 5
    ARRAY = 6
    FD = 7


class Argument(NamedTuple):
    """One argument as it stands on the wire.

    `wl_registry.bind` has three: the interface's name, its version and a new_id
    whose `interface` is None.
    """

    kind: ArgumentKind
    interface: str | None
    nullable: bool


class Message(NamedTuple):
    """One request or event.

    `since` is the version of the interface that introduced it; `destructor` means
    that its object does not exist any more afterwards.
    """

    name: str
    opcode: int
    since: int
    destructor: bool
    arguments: tuple[Argument, ...]


class Interface(NamedTuple):
    """One interface in the newest version that the tables know."""

    name: str
    version: int
    requests: tuple[Message, ...]
    events: tuple[Message, ...]


class Tables:
    """All interfaces, by name and by index (their position in order of names)."""

    def __init__(self, packed: bytes) -> None:
        """Indexes `packed`; raises LocalError where it is not a table."""
        self.packed: Final = packed
        self._names: list[str] = []
        self._offsets: list[int] = []
        self._decoded: dict[int, Interface] = {}
        self._keyed: set[str] = set()
        """The names of interfaces whose messages are in both of these."""
        self._request_keys: dict[tuple[str, str], int] = {}
        self._event_keys: dict[tuple[str, str], int] = {}
        try:
            self._scan()
        except (struct.error, UnicodeDecodeError) as error:
            raise LocalError("the signature tables are damaged") from error
        self._indices = {name: index for index, name in enumerate(self._names)}

    def __len__(self) -> int:
        """Returns the number of interfaces."""
        return len(self._names)

    def interface(self, name: str) -> Interface:
        """Returns the interface `name`; raises KeyError where it is unknown."""
        return self.at(self._indices[name])

    def at(self, index: int) -> Interface:
        """Returns the interface at `index`; raises IndexError where there is none."""
        decoded = self._decoded.get(index)
        if decoded is None:
            decoded = self._decoded[index] = self._decode(index)
        return decoded

    def index(self, name: str) -> int:
        """Returns the index of the interface `name`; raises KeyError where it is unknown."""
        return self._indices[name]

    def find(self, name: str) -> int | None:
        """Returns the index of the interface `name`, or None."""
        return self._indices.get(name)

    def request_key(self, message: tuple[str, str]) -> int | None:
        """Returns `index << 16 | opcode` of a request, (interface, name); None where there is no such name.

        Raises:
            KeyError: the interface is unknown.
        """
        if message[0] not in self._keyed:
            self._find_keys(message[0])
        return self._request_keys.get(message)

    def event_key(self, message: tuple[str, str]) -> int | None:
        """Returns the same of an event."""
        if message[0] not in self._keyed:
            self._find_keys(message[0])
        return self._event_keys.get(message)

    def name(self, index: int) -> str:
        """Returns the name of the interface at `index`; raises IndexError where there is none."""
        return self._names[index]

    def names(self) -> tuple[str, ...]:
        """Returns the names of all interfaces, in the order of their indices."""
        return tuple(self._names)

    def _scan(self) -> None:
        magic, count = _HEADER.unpack_from(self.packed)
        if magic != _MAGIC:
            raise LocalError("the signature tables have an unknown format")
        offset = _HEADER.size
        for _ in range(count):
            size, _, _, _, name_size = _INTERFACE.unpack_from(self.packed, offset)
            start = offset + _INTERFACE.size
            self._names.append(self.packed[start : start + name_size].decode("ascii"))
            self._offsets.append(offset)
            offset += size

    def _decode(self, index: int) -> Interface:
        offset = self._offsets[index]
        _, version, requests, events, name_size = _INTERFACE.unpack_from(self.packed, offset)
        offset += _INTERFACE.size + name_size
        messages: list[Message] = []
        for number in range(requests + events):
            opcode = number if number < requests else number - requests
            message, offset = self._decode_message(offset, opcode)
            messages.append(message)
        return Interface(self._names[index], version, tuple(messages[:requests]), tuple(messages[requests:]))

    def _find_keys(self, interface: str) -> None:
        """Looks at the messages' names alone, which takes a quarter of the time that decoding takes."""
        index = self._indices[interface]
        offset = self._offsets[index]
        requests: int
        events: int
        name_size: int
        _, _, requests, events, name_size = _INTERFACE.unpack_from(self.packed, offset)
        offset += _INTERFACE.size + name_size
        for keys, count in (self._request_keys, requests), (self._event_keys, events):
            for key in range(index << 16, (index << 16) + count):
                start = offset + 1
                offset = start + self.packed[offset]
                keys[interface, self.packed[start:offset].decode("ascii")] = key
                offset += _MESSAGE.size + self.packed[offset + _MESSAGE.size - 1] * _ARGUMENT.size
        self._keyed.add(interface)

    def _decode_message(self, offset: int, opcode: int) -> tuple[Message, int]:
        start = offset + 1
        offset = start + self.packed[offset]
        name = self.packed[start:offset].decode("ascii")
        flags, since, count = _MESSAGE.unpack_from(self.packed, offset)
        offset += _MESSAGE.size
        end = offset + count * _ARGUMENT.size
        arguments = tuple(
            Argument(
                ArgumentKind(kind & ~_NULLABLE),
                None if interface == NO_INTERFACE else self._names[interface],
                bool(kind & _NULLABLE),
            )
            for kind, interface in _ARGUMENT.iter_unpack(self.packed[offset:end])
        )
        return Message(name, opcode, since, bool(flags & _DESTRUCTOR), arguments), end


@cache
def load() -> Tables:
    """Returns the tables; the same object every time."""
    return Tables(PACKED)
