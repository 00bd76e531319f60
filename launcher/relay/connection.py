"""One client's connection: its socket on one side, its channel on the other.

Its life, and when each side is listened to; the messages are those of `requests` and `events`.

Back-pressure: a client whose backlog of requests is full waits; a client that does not read its events
is not sent more, so its channel is not received from.  Nobody else notices.

Pipes outlive both ends, as between two processes that have a pipe without us: where the host
knows how (`Feature.LASTING_PIPES`), the channel stays open for them alone.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from crossdomain.abi.cross_domain import NO_IDENTIFIER, IdentifierType, ReadWrite, SendReceive
from crossdomain.abi.points import POINTS
from crossdomain.errors import CrossDomainError
from crossdomain.limits import MAX_UNREAD_EVENTS
from crossdomain.wire import Walker, WireFault
from crossdomain.wire.faults import DisplayError
from launcher import log
from launcher.channel.seam import Channel
from launcher.lane import Lane
from launcher.loop import GONE, READABLE, WRITABLE, Loop
from launcher.relay import encode
from launcher.relay.client_socket import ClientSocket
from launcher.relay.events import Events
from launcher.relay.following import Following
from launcher.relay.messages import EVENT, EventHandler, Route
from launcher.relay.own_objects import OwnObjects
from launcher.relay.parts import Parts
from launcher.relay.pipes import Pipes
from launcher.relay.requests import Requests
from launcher.relay.server_ids import ServerIds
from launcher.relay.steady import Frames
from launcher.relay.surfaces import QUIETABLE, TAKABLE
from launcher.relay.tracing import Tracer
from launcher.relay.uplink import Uplink
from launcher.services import Services


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
        self._walker = Walker(services.tables, parts.interest, strict=True)
        for interface, direction, message_name, watch in (*QUIETABLE, *TAKABLE):
            self._walker.watch(interface, direction, message_name, watch)
        passes = channel.way is not None and services.loop.has_lanes
        self._frames = Frames(self._walker, channel.host_copies, self._stats) if passes else None
        parts.carry_frames(self._frames)
        self._stats.collect = self._collect
        self._own = OwnObjects(self._walker)
        self._uplink = Uplink(channel, self._own)
        self._server_ids = ServerIds(services.tables, self._walker)
        tracer = Tracer(services.tables, self._walker, name) if services.trace else None
        self._traces = services.trace
        following = Following(self._walker, self._own, self._server_ids, tracer)
        self._requests = Requests(services, self, following, parts, client, self._uplink)
        self._events = Events(following, parts, client)
        self._lingers = False
        self._client_fd = client.fileno()
        self._channel_fd = channel.fileno()
        self._client_events = READABLE
        self._channel_events = READABLE
        self._loop.add(self._client_fd, READABLE, self._handle_client)
        self._loop.add(self._channel_fd, READABLE, self._handle_channel)
        self._lane = Lane(self._loop, self._walker, self._client_fd, channel, self._frames)
        self._open_lane()

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

    def quieten(self, object_id: int) -> None:
        """See `messages.Host`."""
        self._walker.quieten(object_id)

    def stir(self, object_id: int) -> bool:
        """See `messages.Host`."""
        return self._walker.stir(object_id)

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

    def send_request(self, request: bytes) -> None:
        """See `messages.Host`."""
        self._uplink.append(request)

    def send_event(self, event: bytes, fds: tuple[int, ...] = ()) -> None:
        """See `messages.Host`."""
        self._events.send(event, fds)

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

    def prove(self) -> int:
        """See `Channel`."""
        return self._channel.prove() if self._channel_events >= 0 else -1

    def fail(self, fault: CrossDomainError) -> None:
        """Ends the connection, and tells the client why."""

        def tell(_events: int) -> None:
            raise fault

        self.guard(tell, 0)

    @property
    def moved(self) -> int:
        """Bytes that went through pipes so far."""
        return self._pipes.moved

    def finish(self) -> None:
        """Ends the connection now, with the launcher: what is in its pipes already still goes out."""
        with suppress(CrossDomainError, OSError):
            self._pipes.send_rest()
        self.close()

    def _collect(self) -> None:
        self._stats.frames += self._walker.take_ended()
        if self._frames is not None:
            self._frames.collect()

    # The loop's handlers.

    def _handle_client(self, events: int) -> None:
        self.guard(self._serve_client, events)

    def _handle_channel(self, events: int) -> None:
        self.guard(self._serve_channel, events)

    def guard(self, serve: Callable[[int], None], events: int) -> None:
        """Calls a handler of one of this client's fds; a failure of any kind costs this client only."""
        self._uplink.passed(self._lane.shut())
        self._stats.handled += 1
        try:
            serve(events)
            while self._channel.has_events and self._may_receive:
                self._receive_events()
            if not (self._uplink.is_empty or self._uplink.is_full):
                self._uplink.flush()
            if self._state is _State.DRAINING and not (self._lingers or self._requests.has_last):
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
            self._receive()
        elif events & GONE:
            # It is over; but its last requests may wait in the socket, bounded by the socket's buffer.
            while self._state is _State.OPEN:
                self._receive()
        self._requests.relay()

    def _serve_channel(self, events: int) -> None:
        if events & WRITABLE:
            self._pipes.flush()
            self._uplink.make_room()
        if events & (READABLE | GONE):
            self._receive_events()
        self._requests.relay()

    def _receive(self) -> None:
        handed = self._lane.take_requests()
        if handed is not None:
            self._requests.take(handed)
        elif not self._requests.receive():
            self._drain()

    def _receive_events(self) -> None:
        handed = self._lane.take_events()
        if handed is not None:
            self._events.take(handed)
            return
        for event in self._channel.receive():
            if not isinstance(event, SendReceive):
                self._handle_read(event)
            elif self._lingers:
                self._refuse_late(event)
            elif event.data or event.identifiers:
                self._events.relay(event)
            else:
                self._lose_host()
            if self._channel_events < 0:
                return

    def _handle_read(self, event: ReadWrite) -> None:
        if event.identifier == POINTS:
            self.parts.handle_points(event.data)
        else:
            self._pipes.handle_read(event)

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
        if self._channel.has_ended:
            self._tell_why(encode.DISPLAY_ID, DisplayError.IMPLEMENTATION, "crossdomain host has ended")
        else:
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
            try:
                self._client.flush()
            except OSError:
                self._client.mute()
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
        self._requests.close()
        self.parts.close()
        self._uplink.clear()

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
        self._open_lane()

    def _open_lane(self) -> None:
        """Lets messages pass as long as each direction has nothing that waits for Python."""
        quiet = self._state is _State.OPEN and not self._client.pending and self._channel.is_quiet
        if quiet and not (self._traces or self._server_ids.is_used):
            self._lane.open(self._requests.allowance, events=self._events.is_quiet)

    def _wanted_client_events(self) -> int:
        events = WRITABLE if self._client.pending else 0
        return events if self._requests.is_full or self._state is _State.CLOSING else events | READABLE

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
