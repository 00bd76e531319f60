"""A Wayland client in the fake guest, that says what a test wants through a context of its own."""

import struct

from crossdomain.abi.cross_domain import Identifier, SendReceive
from tests.fakes.guest_context import GuestContext
from tests.unit.context.world import request


class HungUp(Exception):
    """The compositor has left the client."""


class WaylandGuest:
    """A Wayland client that speaks through a context of its own."""

    def __init__(self, context: GuestContext) -> None:
        self.context = context
        self.globals: dict[str, tuple[int, int]] = {}
        self.seen: list[tuple[int, int, bytes]] = []
        """Object, opcode and arguments of every event."""
        self._stream = b""

    async def send(self, *messages: bytes, identifiers: tuple[Identifier, ...] = ()) -> None:
        """Sends requests in one SEND."""
        assert (await self.context.send(b"".join(messages), identifiers)).ok

    async def wait_for(self, object_id: int, opcode: int) -> bytes:
        """Reads events until that one has come; its arguments."""
        while True:
            for index, (sender, code, arguments) in enumerate(self.seen):
                if (sender, code) == (object_id, opcode):
                    del self.seen[index]
                    return arguments
            await self._read()

    async def round_trip(self, callback: int) -> None:
        """wl_display.sync with a fresh object id."""
        await self.send(request("wl_display", "sync", 1, callback))
        await self.wait_for(callback, 0)

    async def list_globals(self) -> None:
        """Gets the registry as object 2, with object 3 for the callback."""
        await self.send(request("wl_display", "get_registry", 1, 2))
        await self.round_trip(3)
        for sender, opcode, arguments in self.seen:
            if (sender, opcode) == (2, 0):
                name, length = struct.unpack_from("<II", arguments)
                interface = arguments[8 : 8 + length - 1].decode()
                (version,) = struct.unpack_from("<I", arguments, 8 + (length + 3) // 4 * 4)
                self.globals[interface] = (name, version)

    def bind(self, interface: str, version: int, new_id: int) -> bytes:
        """wl_registry.bind."""
        return request("wl_registry", "bind", 2, self.globals[interface][0], interface, version, new_id)

    async def _read(self) -> None:
        received = await self.context.next_event()
        assert isinstance(received, SendReceive)
        if not received.data:
            raise HungUp
        self._stream += bytes(received.data)
        while len(self._stream) >= 8:
            sender, code = struct.unpack_from("<II", self._stream)
            size = code >> 16
            if len(self._stream) < size:
                return
            self.seen.append((sender, code & 0xFFFF, self._stream[8:size]))
            self._stream = self._stream[size:]
