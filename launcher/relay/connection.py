"""One client's connection: its socket on one side, its channel on the other.

Walks each direction once and lets most bytes pass as they came; the messages that own fds or
that a part of the relay wants to see are found by the walker and handled one by one.

Back-pressure: a client that sends faster than the compositor handles is read until a bounded
backlog is full, and waits then; a client that does not read its events is not sent more, so its
channel is not received from, and it is not listened to either.  Nobody else notices.

Pipes outlive both ends, as between two processes that have a pipe without us: where the host
knows how (`Feature.LASTING_PIPES`), the channel stays open for them alone.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from struct import Struct
from typing import Final

from crossdomain.abi.cross_domain import NO_IDENTIFIER, Identifier, IdentifierType, SendReceive
from crossdomain.errors import CrossDomainError, HostFault, LocalError
from crossdomain.limits import MAX_CLIENT_BACKLOG, MAX_CLIENT_FDS, MAX_UNREAD_EVENTS
from crossdomain.wire import Flag, Record, Walker, WireFault
from crossdomain.wire.faults import DisplayError
from launcher import log
from launcher.channel import Channel
from launcher.loop import GONE, READABLE, WRITABLE, Loop
from launcher.relay import encode
from launcher.relay.client_socket import RECEIVE_SIZE, ClientSocket
from launcher.relay.families import Families
from launcher.relay.holds import Holds, Request
from launcher.relay.messages import (
    EVENT,
    REQUEST,
    EventHandler,
    Route,
    ToHost,
    Wait,
    first_message,
    is_whole,
    message,
)
from launcher.relay.own_objects import OwnObjects
from launcher.relay.parts import Parts
from launcher.relay.pipes import Pipes
from launcher.relay.server_ids import ServerIds
from launcher.relay.tracing import Tracer
from launcher.relay.uplink import Uplink
from launcher.relay.waiting import Waiting
from launcher.services import Services

_UNREAD_PAUSE: Final = MAX_UNREAD_EVENTS // 8
"""Bytes of events that a client left unread, beyond which its requests wait: each may bring more events."""
_OWN: Final = int(Flag.OWN)
"""As a plain number: an enum's operators are slow."""
_MESSAGE_HEADER: Final = Struct("<II")
"""Object, and size and opcode in one word."""
_NO_FDS: Final[list[int]] = []
_NO_IDENTIFIERS: Final[list[Identifier]] = []


class _State(Enum):
    OPEN = 0
    DRAINING = 1
    """The client is gone; its last requests are still on their way."""
    CLOSING = 2
    """The host is gone, or the client is thrown out; its last events are still on their way."""
    CLOSED = 3


class Connection:
    """Serves one client until it or the host ends."""

    def __init__(
        self,
        services: Services,
        client: ClientSocket,
        channel: Channel,
        name: str,
        closed: Callable[[], None],
    ) -> None:
        """Takes ownership of `client` and `channel`; `closed` is called once, when both are gone."""
        self.name = name
        self._loop: Loop = services.loop
        self._client = client
        self._channel = channel
        self._closed = closed
        self._state = _State.OPEN
        self._all_stats = services.stats
        self._stats = services.stats.add_client(name)
        self._pipes = Pipes(services.loop, channel, self.guard)
        parts = Parts(self, services, channel, self._pipes, self._stats)
        self.parts = parts
        self._requests = parts.request_handlers
        self._events = parts.event_handlers
        self._walker = Walker(services.tables, parts.interest, strict=True)
        self._own = OwnObjects(self._walker)
        self._uplink = Uplink(channel, self._own)
        self._server_ids = ServerIds(services.tables, self._walker)
        self._tracer = Tracer(services.tables, self._walker, name) if services.trace else None
        self._families = Families(services.tables, self._walker)
        holds = Holds(services.tables, self._walker, self._families)
        self._waiting = Waiting(services.loop, self, holds)
        self._backlog = bytearray()
        self._lingers = False
        self._identifiers: deque[Identifier] = deque()
        self._partial_event = b""
        self._client_fd = client.fileno()
        self._channel_fd = channel.fileno()
        self._client_events = READABLE
        self._channel_events = READABLE
        self._loop.add(self._client_fd, READABLE, self._handle_client)
        self._loop.add(self._channel_fd, READABLE, self._handle_channel)

    @property
    def is_draining(self) -> bool:
        """Whether the client has left, and its last requests or its pipes' data are still on their way."""
        return self._state is _State.DRAINING or self._lingers

    # What the parts may do (`messages.Host`).

    def own(self, object_id: int, deleted: Callable[[], None], events: EventHandler | None = None) -> None:
        """See `messages.Host`."""
        self._own.add(object_id, deleted, events)

    def own_pending(self, object_id: int) -> int:
        """See `messages.Host`."""
        return self._own.pending(object_id)

    def spare_id(self) -> int:
        """See `messages.Host`."""
        return self._own.spare_id()

    def watch_events(self, routes: dict[Route, EventHandler]) -> None:
        """See `messages.Host`."""
        self.parts.add_event_handlers(routes)
        for interface, name in routes:
            self._walker.watch(interface, EVENT, name)

    def when_sent(self, action: Callable[[], None]) -> None:
        """See `messages.Host`."""
        self._uplink.when_sent(action)

    def when_seen(self, action: Callable[[], None]) -> None:
        """See `messages.Host`."""
        self._uplink.when_seen(action)

    def give_object(self, interface: str, version: int, host_id: int) -> int:
        """See `messages.Host`."""
        return self._server_ids.give(interface, version, host_id)

    def take_object_back(self, object_id: int) -> None:
        """See `messages.Host`."""
        self._server_ids.take_back(object_id)

    def send_event(self, event: bytes, fds: tuple[int, ...] = ()) -> None:
        """See `messages.Host`."""
        for fd in fds:
            self._client.append_fd(fd)
        self._client.append(event)

    def delete_id(self, object_id: int) -> None:
        """See `messages.Host`."""
        self._walker.release(object_id)
        self._client.append(encode.delete_id(object_id))

    def close(self) -> None:
        """Ends the connection now; may be called again."""
        if self._state is _State.CLOSED:
            return
        self._close_channel()
        self._leave_client()
        self._client.close()
        self._state = _State.CLOSED
        self._all_stats.client_gone(self._stats)
        log.info("disconnected", client=self.name)
        self._closed()

    @property
    def moved(self) -> int:
        """Bytes that went through pipes so far."""
        return self._pipes.moved

    def finish(self) -> None:
        """Ends the connection now, with the launcher: what is in its pipes already still goes out."""
        with suppress(CrossDomainError, OSError):
            self._pipes.send_rest()
        self.close()

    # The loop's handlers.

    def _handle_client(self, events: int) -> None:
        self.guard(self._serve_client, events)

    def _handle_channel(self, events: int) -> None:
        self.guard(self._serve_channel, events)

    def guard(self, serve: Callable[[int], None], events: int) -> None:
        """Calls a handler of one of this client's fds; a failure of any kind costs this client only."""
        try:
            serve(events)
            while self._channel.has_events and self._may_receive:
                self._receive_events()
            if self._state is _State.DRAINING and not (self._lingers or self._has_last_requests):
                self._end_draining()
        except WireFault as fault:
            self._tell_why(fault.object_id, fault.code, fault.text)
            self._leave_host(tell=True)
        except CrossDomainError as fault:
            self._throw_out(encode.DISPLAY_ID, DisplayError.IMPLEMENTATION, str(fault))
        except OSError as error:
            self._throw_out(encode.DISPLAY_ID, DisplayError.NO_MEMORY, f"the proxy: {error.strerror}")
        except MemoryError:
            self._throw_out(encode.DISPLAY_ID, DisplayError.NO_MEMORY, "the proxy has no memory left")
        except Exception as error:  # noqa: BLE001 (a bug of ours must not cost the other clients)
            log.bug(error, client=self.name)
            self._throw_out(encode.DISPLAY_ID, DisplayError.IMPLEMENTATION, "a bug in the proxy")
        self._update()

    def _serve_client(self, events: int) -> None:
        if events & WRITABLE:
            self._client.flush()
        if self._state is _State.CLOSING:
            if events & GONE:
                self._client.mute()
            return
        if events & READABLE:
            self._receive_requests()
        elif events & GONE:
            # It is over; but its last requests may wait in the socket, bounded by the socket's buffer.
            while self._state is _State.OPEN:
                self._receive_requests()
        self._relay_requests()

    def _serve_channel(self, events: int) -> None:
        if events & WRITABLE:
            self._pipes.flush()
            self._uplink.make_room()
        if events & (READABLE | GONE):
            self._receive_events()
        self._relay_requests()

    # Requests.

    def _receive_requests(self) -> None:
        data = self._client.receive()
        if data:
            self._backlog += data
        elif data is not None:
            self._drain()

    def _relay_requests(self) -> None:
        """Handles the backlog as far as the host, and the client's own reading, allow."""
        while (
            self._backlog
            and self._uplink.is_open
            and self._client.pending <= _UNREAD_PAUSE
            and not self._waiting.is_full
        ):
            with memoryview(self._backlog) as backlog, backlog[:RECEIVE_SIZE] as data:
                consumed = self._relay_request_batch(data)
            if not consumed:
                break
            del self._backlog[:consumed]
        if self._client.pending:
            # Events of our own, which nobody else would flush before the next round.
            self._client.flush()

    def _relay_request_batch(self, data: memoryview) -> int:
        """Walks what is there and sends it on; returns how many bytes were whole messages."""
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
        self._uplink.send(rest, walk.consumed)
        if walk.fault is not None:
            raise walk.fault
        return walk.consumed

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
        handler = self._requests.get(record.interface << 16 | record.opcode)
        if handler is None:
            return self.parts.refuse_request(record, data, fds) if record.fds else None
        self._own.come_to(record.next_id)
        answer = handler(record, data, fds)
        self._own.come_to(None)
        return answer

    def _observe(self, record: Record, data: memoryview) -> None:
        if record.interface << 16 | record.opcode in self.parts.observed:
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
        self.parts.drop_commit(surface_id)

    def stand_in(self, object_id: int) -> None:
        """See `waiting.Relay`."""
        self._own.add(object_id, _nothing, None)
        self._uplink.append(encode.sync(object_id))

    def end_batch(self) -> None:
        """See `waiting.Relay`."""
        self._uplink.send(memoryview(b""), 0)
        self._relay_requests()

    def _take_fds(self, record: Record) -> list[int]:
        fds = self._client.fds
        if len(fds) < record.fds:
            text = f"invalid arguments for object {record.object_id}: file descriptor expected"
            raise WireFault(encode.DISPLAY_ID, DisplayError.INVALID_METHOD, text)
        return [fds.popleft() for _ in range(record.fds)]

    # Events.

    def _receive_events(self) -> None:
        for event in self._channel.receive():
            if not isinstance(event, SendReceive):
                self._pipes.handle_read(event)
            elif self._lingers:
                self._refuse_late(event)
            elif event.data or event.identifiers:
                self._relay_events(event)
            else:
                self._lose_host()
            if self._channel_events < 0:
                return

    def _relay_events(self, received: SendReceive) -> None:
        self._identifiers.extend(received.identifiers)
        data = received.data
        if self._partial_event:
            data = memoryview(self._partial_event + data)
        while data:
            consumed = self._relay_event_batch(data)
            if not consumed:
                break
            data = data[consumed:]
        self._partial_event = bytes(data)
        self._client.flush()

    def _relay_event_batch(self, data: memoryview) -> int:
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
                answer = self._event_handler(record)(record, data, identifiers)
                if answer is None:
                    continue
                translation = answer
            self._client.append(data[begin : record.offset])
            self.send_event(translation.data, translation.fds)
            begin = record.offset + record.size
        self._client.send(data[begin : walk.consumed])
        if walk.fault is not None:
            raise HostFault(f"the compositor broke the protocol: {walk.fault.text}")
        return walk.consumed

    def _event_handler(self, record: Record) -> EventHandler:
        return self._events.get(record.interface << 16 | record.opcode, self.parts.refuse_event)

    def _take_identifiers(self, record: Record) -> list[Identifier]:
        if len(self._identifiers) < record.fds:
            raise HostFault(f"an event of object {record.object_id} came without its file descriptor")
        return [self._identifiers.popleft() for _ in range(record.fds)]

    # The end.

    def _drain(self) -> None:
        """The client has left: what it asked for last still counts."""
        self._state = _State.DRAINING
        self._leave_client()
        self._client.mute()

    def _end_draining(self) -> None:
        """All that the client asked for has been sent; its pipes may not be done."""
        if self._channel.has_lasting_pipes or not self._pipes.is_active:
            self._leave_host(tell=True)
        elif self.parts.shows_anything:
            # Another host ends the pipes with the connection, which waits for them: its windows don't.
            self._uplink.append(self.parts.hide_everything())
            self._uplink.flush()

    def _lose_host(self) -> None:
        log.info("the compositor has closed the connection", client=self.name)
        self._state = _State.CLOSING
        self._leave_host(tell=False)

    def _throw_out(self, object_id: int, code: int, text: str) -> None:
        """Ends the client, and its channel with it, which may be what is broken."""
        if self._state in (_State.CLOSING, _State.CLOSED):
            self.close()
            return
        self._tell_why(object_id, code, text)
        self._close_channel()

    def _tell_why(self, object_id: int, code: int, text: str) -> None:
        """Tells the client why it ends, as a compositor would."""
        log.warning(f"thrown out: {text!r:.300}", client=self.name)
        if self._state is _State.OPEN:
            self._client.append(encode.display_error(object_id, code, text))
            self._client.flush()
        self._state = _State.CLOSING

    def _leave_host(self, *, tell: bool) -> None:
        """The connection to the compositor is over: the channel stays for the pipes that are not done.

        `tell` where the host does not know it yet.
        """
        self._forget_requests()
        channel = self._channel
        if not (channel.has_lasting_pipes and self._pipes.is_active) or channel.has_ended:
            self._close_channel()
            return
        self._lingers = True
        if tell:
            self._pipes.write(NO_IDENTIFIER, b"", hang_up=True)

    def _refuse_late(self, received: SendReceive) -> None:
        """Handles a RECEIVE that has crossed our word of the end: nobody is left to write into its pipes."""
        for identifier in received.identifiers:
            if identifier.type == IdentifierType.WRITE_PIPE:
                self._pipes.write(identifier.identifier, b"", hang_up=True)
        if self._channel.has_ended:
            self._close_channel()

    def _forget_requests(self) -> None:
        for fd in self._waiting.close():
            os.close(fd)
        self.parts.close()
        self._uplink.clear()
        # Not cleared: the frames of an exception may still hold views of it.
        self._backlog = bytearray()

    def _close_channel(self) -> None:
        if self._channel_events >= 0:
            self._loop.remove(self._channel_fd)
            self._channel_events = -1
        self._lingers = False
        self._forget_requests()
        self._pipes.close()
        self._channel.close()

    def _leave_client(self) -> None:
        if self._client_events >= 0:
            self._loop.remove(self._client_fd)
            self._client_events = -1

    def _update(self) -> None:
        """Waits for what can be handled now, and closes what is done."""
        if self._state is _State.CLOSED:
            return
        if self._lingers and not self._pipes.is_active:
            self._close_channel()
        if self._state is _State.CLOSING and not self._client.pending:
            self._leave_client()
            self._client.close()
        if self._channel_events < 0 and not self._client.pending:
            self.close()
            return
        if self._client_events >= 0:
            self._change_client(self._wanted_client_events())
        if self._channel_events >= 0:
            self._change_channel(self._wanted_channel_events())

    @property
    def _has_last_requests(self) -> bool:
        # What the open window leaves behind is no whole message.
        return not self._uplink.is_empty or bool(self._backlog and not self._uplink.is_open)

    def _wanted_client_events(self) -> int:
        events = WRITABLE if self._client.pending else 0
        full = len(self._backlog) >= MAX_CLIENT_BACKLOG or len(self._client.fds) >= MAX_CLIENT_FDS
        return events if full or self._state is _State.CLOSING else events | READABLE

    def _wanted_channel_events(self) -> int:
        events = WRITABLE if self._uplink.is_full or self._pipes.is_blocked else 0
        return events | READABLE if self._may_receive else events

    @property
    def _may_receive(self) -> bool:
        keeps_up = self._lingers or self._client.pending < MAX_UNREAD_EVENTS
        return keeps_up and not self._pipes.is_congested

    def _change_client(self, events: int) -> None:
        if events != self._client_events:
            self._loop.change(self._client_fd, events)
            self._client_events = events

    def _change_channel(self, events: int) -> None:
        if events != self._channel_events:
            self._loop.change(self._channel_fd, events)
            self._channel_events = events


def _whole(record: Record, data: memoryview, fds: list[int]) -> Request:
    """Returns a copy of a request that outlives its batch."""
    return Request(record._replace(offset=0), memoryview(message(record, data)), fds)


def _nothing() -> None:
    """What stood in for an object is gone, and nobody waited for that."""
