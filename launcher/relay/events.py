"""The events of one client: walked, and sent on, or handled by the part that knows them."""

from collections import deque
from typing import Final

from crossdomain.abi.cross_domain import Identifier, SendReceive
from crossdomain.errors import HostFault
from crossdomain.wire import Flag, Record
from launcher.lane import Handed
from launcher.relay.client_socket import ClientSocket
from launcher.relay.following import Following
from launcher.relay.messages import EVENT, EventHandler, first_message, is_whole
from launcher.relay.parts import Parts

_OWN: Final = int(Flag.OWN)
"""As a plain number: an enum's operators are slow."""
_NO_IDENTIFIERS: Final[list[Identifier]] = []


class Events:
    """One connection's way from the host to the client."""

    def __init__(self, following: Following, parts: Parts, client: ClientSocket) -> None:
        """`client` stays the caller's."""
        self._client = client
        self._parts = parts
        self._handlers = parts.event_handlers
        self._walker = following.walker
        self._own = following.own
        self._server_ids = following.server_ids
        self._tracer = following.tracer
        self._identifiers: deque[Identifier] = deque()
        self._partial = b""

    def send(self, event: bytes, fds: tuple[int, ...]) -> None:
        """Queues an event, whose fds are given away."""
        for fd in fds:
            self._client.append_fd(fd)
        self._client.append(event)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits for what comes next."""
        return not self._partial

    def take(self, handed: Handed) -> None:
        """Handles what a lane has read; only where all was quiet."""
        data = memoryview(handed.data)
        self._client.append(data[: handed.walked])
        self.relay(SendReceive((), data[handed.walked :]))

    def relay(self, received: SendReceive) -> None:
        """Handles what the host has sent, as far as it is whole messages."""
        self._identifiers.extend(received.identifiers)
        data = received.data
        if self._partial:
            data = memoryview(self._partial + data)
        while data:
            consumed = self._relay_batch(data)
            if not consumed:
                break
            data = data[consumed:]
        self._partial = bytes(data)
        self._client.flush()

    def _relay_batch(self, data: memoryview) -> int:
        """Walks what is there and sends it on; returns how many bytes were whole messages."""
        translates = self._server_ids.concern(data)
        if translates or self._tracer is not None:
            data = first_message(data)
        if translates and is_whole(data):
            data = memoryview(self._server_ids.to_client(bytes(data)))
        if self._tracer is not None:
            self._tracer.show(EVENT, data)
        walk = self._walker.walk(EVENT, data)
        begin = 0
        for record in walk.records:
            if record.flags & _OWN:
                # Its end may let a part send events, which come behind what came before.
                self._client.append(data[begin : record.offset])
                begin = record.offset
                translation = self._own.handle_event(record, data)
            else:
                identifiers = self._take_identifiers(record) if record.fds else _NO_IDENTIFIERS
                answer = self._handler(record)(record, data, identifiers)
                if answer is None:
                    continue
                translation = answer
            self._client.append(data[begin : record.offset])
            self.send(translation.data, translation.fds)
            begin = record.offset + record.size
        self._client.send(data[begin : walk.consumed])
        if walk.fault is not None:
            raise HostFault(f"the compositor broke the protocol: {walk.fault.text}")
        return walk.consumed

    def _handler(self, record: Record) -> EventHandler:
        return self._handlers.get(record.interface << 16 | record.opcode, self._parts.refuse_event)

    def _take_identifiers(self, record: Record) -> list[Identifier]:
        if len(self._identifiers) < record.fds:
            raise HostFault(f"an event of object {record.object_id} came without its file descriptor")
        return [self._identifiers.popleft() for _ in range(record.fds)]
