"""The requests of one client: read, walked, and sent to the host, or handled by the part that knows them.

Most bytes pass as they came.  A client that sends faster than the compositor handles is read until a
bounded backlog is full, and waits then; one that does not read its events is not listened to either.
"""

import os
from collections.abc import Sequence
from struct import Struct
from typing import Final

from crossdomain.errors import LocalError
from crossdomain.limits import MAX_CLIENT_BACKLOG, MAX_CLIENT_FDS, MAX_UNREAD_EVENTS
from crossdomain.wire import Record, WireFault
from crossdomain.wire.faults import DisplayError
from launcher.lane import Handed
from launcher.relay import encode
from launcher.relay.backlog import Backlog
from launcher.relay.client_socket import RECEIVE_SIZE, ClientSocket
from launcher.relay.families import Families
from launcher.relay.following import Following
from launcher.relay.holds import Holds, Request
from launcher.relay.messages import REQUEST, ToHost, Wait, first_message, message
from launcher.relay.parts import Parts
from launcher.relay.uplink import Uplink
from launcher.relay.waiting import Guard, Waiting
from launcher.services import Services

_UNREAD_PAUSE: Final = MAX_UNREAD_EVENTS // 8
"""Bytes of events that a client left unread, beyond which its requests wait: each may bring more events."""
_MESSAGE_HEADER: Final = Struct("<II")
"""Object, and size and opcode in one word."""
_NO_FDS: Final[list[int]] = []


class Requests:
    """One connection's way from the client to the host; a `waiting.Relay`."""

    def __init__(
        self,
        services: Services,
        guard: Guard,
        following: Following,
        parts: Parts,
        client: ClientSocket,
        uplink: Uplink,
    ) -> None:
        """`client` and what `uplink` sends through stay the caller's."""
        self._client = client
        self._uplink = uplink
        self._parts = parts
        self._handlers = parts.request_handlers
        self._walker = following.walker
        self._own = following.own
        self._server_ids = following.server_ids
        self._tracer = following.tracer
        self._families = Families(services.tables, self._walker)
        holds = Holds(services.tables, self._walker, self._families)
        self._waiting = Waiting(services.loop, guard, self, holds)
        self._backlog = Backlog()
        self._walked = 0
        """Bytes at the backlog's beginning that the walker has seen: nothing in them is a record."""

    @property
    def allowance(self) -> int:
        """Bytes of requests that may pass in a lane."""
        return 0 if self._backlog or self._waiting else self._uplink.allowance

    @property
    def is_full(self) -> bool:
        """Whether the client is not to be read from now."""
        return len(self._backlog) >= MAX_CLIENT_BACKLOG or len(self._client.fds) >= MAX_CLIENT_FDS

    @property
    def has_last(self) -> bool:
        """Whether requests of a client that has left are still to be sent."""
        # What the open window leaves behind is no whole message.
        return not self._uplink.is_empty or bool(self._backlog and not self._uplink.is_open)

    def receive(self) -> bool:
        """Reads what the client has sent; returns False where that was the end."""
        data = self._client.receive(self._uplink.batch)
        if data:
            self._backlog.append(data)
        return data is None or bool(data)

    def take(self, handed: Handed) -> None:
        """Takes what a lane has read; only where there was an allowance."""
        self._client.keep(handed.fds, is_truncated=handed.is_truncated)
        self._backlog.append(handed.data)
        self._walked = handed.walked

    def close(self) -> None:
        """Forgets what was not sent."""
        for fd in self._waiting.close():
            os.close(fd)
        # Not cleared: the frames of an exception may still hold views of it.
        self._backlog = Backlog()
        self._walked = 0

    def relay(self) -> None:
        """Handles the backlog as far as the host, and the client's own reading, allow."""
        while (
            self._backlog
            and self._uplink.is_open
            and self._client.pending <= _UNREAD_PAUSE
            and not self._waiting.is_full
        ):
            consumed = self._relay_first()
            if not self._waiting:
                self._parts.end_batch()
            if not consumed:
                break
            self._backlog.advance(consumed)
        if self._client.pending:
            # Events of our own, which nobody else would flush before the next round.
            self._client.flush()

    def _relay_first(self) -> int:
        """Relays what the backlog begins with; returns how many bytes of it were whole messages."""
        with memoryview(self._backlog.peek()) as backlog:
            size = self._uplink.batch
            # What was walked is one batch already, and a message may be larger than others' batches.
            if not self._walked and len(backlog) > size:
                with backlog[:size] as data:
                    if consumed := self._relay_batch(data):
                        return consumed
            with backlog[:RECEIVE_SIZE] as data:
                return self._relay_batch(data)

    def _relay_batch(self, data: memoryview) -> int:
        """Walks what is there and sends it on; returns how many bytes were whole messages."""
        passed, self._walked = self._walked, 0
        if passed:
            self._uplink.append(data[:passed])
            data = data[passed:]
        translates = self._server_ids.concern(data)
        if translates or self._tracer is not None:
            data = first_message(data)
        walk = self._walker.walk(REQUEST, data)
        if self._tracer is not None and walk.consumed:
            self._tracer.show(REQUEST, data)
        begin = 0
        for number, record in enumerate(walk.records):
            if self._waiting:
                self._relay_one_by_one(data[: walk.consumed], begin, walk.records[number:])
                begin = walk.consumed
                break
            fds = self._take_fds(record) if record.fds else _NO_FDS
            self._observe(record, data)
            translation = self._answer(record, data, fds)
            if translates:
                translation = self._in_host_ids(record, data, translation)
            if translation is not None:
                self._uplink.append(data[begin : record.offset])
                begin = record.offset + record.size
                if translation.wait is None:
                    self._uplink.append_answer(translation)
                else:
                    self._waiting.hold(_whole(record, data, fds), translation.wait)
        if self._waiting and begin < walk.consumed:
            self._relay_one_by_one(data[: walk.consumed], begin, ())
            begin = walk.consumed
        rest = data[begin : walk.consumed]
        if translates and rest:
            rest = memoryview(self._server_ids.to_host(bytes(rest)))
        self._uplink.send(rest, passed + walk.consumed)
        if walk.fault is not None:
            raise walk.fault
        return passed + walk.consumed

    def _in_host_ids(self, record: Record, data: memoryview, answer: ToHost | None) -> ToHost:
        """Returns what goes to the host for a request that names ids of the compositor's kind."""
        request = message(record, data)
        translated = self._server_ids.to_host(request)
        return (
            ToHost(translated)
            if answer is None
            else answer._replace(data=answer.data.replace(request, translated))
        )

    def _relay_one_by_one(self, data: memoryview, position: int, records: Sequence[Record]) -> None:
        """Relays a batch from some message on, of which some may have to wait behind others."""
        found = {record.offset: record for record in records}
        while position < len(data):
            record = found.get(position) or self._record_of(data, position)
            fds = self._take_fds(record) if record.fds else _NO_FDS
            self._observe(record, data)
            self._waiting.take(_whole(record, data, fds))
            position += record.size

    def _record_of(self, data: memoryview, offset: int) -> Record:
        """Returns the record of a message without fds that nobody has asked for."""
        object_id, word = _MESSAGE_HEADER.unpack_from(data, offset)
        interface = self._walker.interface_of(object_id)
        if interface is None:
            raise LocalError(f"the walker let a request of object {object_id} pass, which there is not")
        return Record(offset, word >> 16, object_id, interface, word & 0xFFFF, 0, 0)

    def _answer(self, record: Record, data: memoryview, fds: list[int]) -> ToHost | None:
        """Returns what a request becomes; None where it goes on as it came."""
        handler = self._handlers.get(record.interface << 16 | record.opcode)
        if handler is None:
            return self._parts.refuse_request(record, data, fds) if record.fds else None
        self._own.come_to(record.next_id or None)
        answer = handler(record, data, fds)
        self._own.come_to(None)
        return answer

    def _observe(self, record: Record, data: memoryview) -> None:
        if record.interface << 16 | record.opcode in self._parts.observed:
            self._families.note(record, data)

    # What is done with requests that have waited (`waiting.Relay`).

    def relay_request(self, request: Request) -> Wait | None:
        """See `waiting.Relay`."""
        answer = self._answer(request.record, request.data, request.fds)
        if answer is not None and answer.wait is not None:
            return answer.wait
        if self._server_ids.concern(request.data):
            answer = self._in_host_ids(request.record, request.data, answer)
        if answer is None:
            self._uplink.append(request.data)
        else:
            self._uplink.append_answer(answer)
        return None

    def drop_commit(self, surface_id: int) -> None:
        """See `waiting.Relay`."""
        self._parts.drop_commit(surface_id)

    def stand_in(self, object_id: int) -> None:
        """See `waiting.Relay`."""
        self._own.add(object_id, _nothing, None)
        self._uplink.append(encode.sync(object_id))

    def end_batch(self) -> None:
        """See `waiting.Relay`."""
        self._uplink.send(memoryview(b""), 0)
        self.relay()

    def _take_fds(self, record: Record) -> list[int]:
        fds = self._client.fds
        if len(fds) < record.fds:
            text = f"invalid arguments for object {record.object_id}: file descriptor expected"
            raise WireFault(encode.DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        return [fds.popleft() for _ in range(record.fds)]


def _whole(record: Record, data: memoryview, fds: list[int]) -> Request:
    """Returns a copy of a request that outlives its batch."""
    return Request(record._replace(offset=0), memoryview(message(record, data)), fds)


def _nothing() -> None:
    """What stood in for an object is gone, and nobody waited for that."""
