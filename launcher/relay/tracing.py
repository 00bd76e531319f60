"""Prints a client's messages (`--trace`); with it the relay walks one message at a time."""

from crossdomain.wire import Direction, Walker, WireFault
from crossdomain.wire.codec import decode_header
from crossdomain.wire.tables import Tables
from crossdomain.wire.trace import trace
from launcher import log


class Tracer:
    """One client's trace."""

    def __init__(self, tables: Tables, walker: Walker, name: str) -> None:
        self._tables = tables
        self._walker = walker
        self._name = name

    def show(self, direction: Direction, data: memoryview) -> None:
        """Prints the message that `data` begins with; one that can't be understood is told as such."""
        try:
            header = decode_header(data)
            if header is None or header.size > len(data):
                return
            text = self._text(direction, header.object_id, header.opcode, data[: header.size])
        except WireFault as fault:
            text = f"a malformed message: {fault.text}"
        log.trace(text, client=self._name)

    def _text(self, direction: Direction, object_id: int, opcode: int, data: memoryview) -> str:
        index = self._walker.interface_of(object_id)
        if index is None:
            return f"message {opcode} of the unknown object {object_id}"
        interface = self._tables.at(index)
        messages = interface.requests if direction is Direction.REQUEST else interface.events
        if opcode >= len(messages):
            return f"unknown message {opcode} of {interface.name}#{object_id}"
        return trace(direction, interface, object_id, messages[opcode], data)
