"""Ids of objects that the client takes for the compositor's and that the relay has given it.

libwayland's client, as the compositor does for itself, wants the server's ids (0xff000000 and up) without
holes, so an object of ours takes the id that the compositor would use next, and the compositor's later
ones move.  From then on the two sides' ids differ on this connection: the relay knows the client's, and
each message that names one of the server's is translated on its way in from the compositor or out to it.
Those are few (offers, output modes, what is ours); a client that is given no such object has none of this.

An object of ours is on the host an object with an id of a client's kind: its events are `own_objects`'s.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from crossdomain.wire import Direction, Walker
from crossdomain.wire.codec import HEADER_SIZE, SERVER_ID_START
from crossdomain.wire.engine import messages_of
from crossdomain.wire.tables import ArgumentKind, Message, Tables

_WORD: Final = Struct("<I")
_BLOCKS: Final = (ArgumentKind.STRING, ArgumentKind.ARRAY)


class ServerIds:
    """One connection's."""

    def __init__(self, tables: Tables, walker: Walker) -> None:
        """`walker` knows the client's ids."""
        self._tables = tables
        self._walker = walker
        self._first: int | None = None
        """The client's first id that is another one on the host."""
        self._of_client: dict[int, int] = {}
        """By the host's id."""
        self._of_host: dict[int, int] = {}
        """By the client's id."""
        self._free: list[int] = []

    @property
    def is_used(self) -> bool:
        """Whether ids may have to be translated."""
        return self._first is not None

    def give(self, interface: str, version: int, host_id: int) -> int:
        """Returns the id for a new object of the client's, which the host knows as `host_id`."""
        client_id = self._free.pop() if self._free else self._walker.next_server_id()
        if self._first is None:
            self._first = client_id
        self._walker.adopt(client_id, interface, version)
        self._of_host[client_id] = host_id
        return client_id

    def take_back(self, client_id: int) -> None:
        """The client has destroyed an object that it was given: its id is free."""
        self._free.append(client_id)

    def concern(self, data: memoryview) -> bool:
        """Whether messages in `data` may have to be translated."""
        if self._first is None:
            return False
        words = data[: len(data) // _WORD.size * _WORD.size].cast("I")
        return max(words, default=0) >= SERVER_ID_START

    def to_host(self, request: bytes) -> bytes:
        """Returns a whole request of the client's, once it was walked, in the host's ids."""
        return self._translate(Direction.REQUEST, request)

    def to_client(self, event: bytes) -> bytes:
        """Returns a whole event of the host's, before it is walked, in the client's ids."""
        header_id = int.from_bytes(event[:4], "little")
        return event if self._walker.own_pending(header_id) else self._translate(Direction.EVENT, event)

    def _translate(self, direction: Direction, data: bytes) -> bytes:
        translated = bytearray(data)
        of = self._client_id if direction is Direction.EVENT else self._host_id
        (sender,) = _WORD.unpack_from(data)
        sender = of(sender, is_new=False)
        _WORD.pack_into(translated, 0, sender)
        known = sender if direction is Direction.EVENT else int.from_bytes(data[:4], "little")
        message = self._message(direction, known, int.from_bytes(data[4:6], "little"))
        for position, is_new in () if message is None else _ids(message, data):
            (object_id,) = _WORD.unpack_from(data, position)
            _WORD.pack_into(translated, position, of(object_id, is_new=is_new))
        return bytes(translated)

    def _message(self, direction: Direction, client_id: int, opcode: int) -> Message | None:
        interface = self._walker.interface_of(client_id)
        messages = () if interface is None else messages_of(self._tables, interface, direction)
        return messages[opcode] if opcode < len(messages) else None

    def _host_id(self, client_id: int, *, is_new: bool) -> int:
        return client_id if is_new else self._of_host.get(client_id, client_id)

    def _client_id(self, host_id: int, *, is_new: bool) -> int:
        if self._first is None or host_id < self._first:
            return host_id
        known = self._of_client.get(host_id)
        if known is None and is_new:
            known = self._of_client[host_id] = self._walker.next_server_id()
            self._of_host[known] = host_id
        return host_id if known is None else known


def _ids(message: Message, data: bytes) -> Iterator[tuple[int, bool]]:
    """Yields where the ids among the arguments are, and which is new; ends where the message does."""
    position = HEADER_SIZE
    for argument in message.arguments:
        if argument.kind is ArgumentKind.FD:
            continue
        if position + _WORD.size > len(data):
            return
        if argument.kind in _BLOCKS:
            (size,) = _WORD.unpack_from(data, position)
            position += (size + 3) & ~3
        elif argument.kind in (ArgumentKind.OBJECT, ArgumentKind.NEW_ID):
            yield position, argument.kind is ArgumentKind.NEW_ID
        position += _WORD.size
