"""The two connections of a session, on the loop: bytes and fds are moved here, nothing is decided.

Neither side is read while the other does not take what it gets, so that nothing grows without bound.
"""

import socket
from collections.abc import Callable
from typing import Final

from crossdomain.errors import HostFault
from launcher.loop import GONE, READABLE, WRITABLE, Loop
from launcher.relay.client_socket import ClientSocket
from launcher.xwayland.backlog import Backlog
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.x11.connection import Connection
from launcher.xwayland.x11.setup import Setup, encode_setup, parse_setup, setup_size

_MAX_PENDING: Final = 1 << 20
"""Bytes that wait for one side before the other is read no more."""
_X_RECEIVE: Final = 1 << 16
"""Bytes of one read of the X connection."""
_X_TURN: Final = 4
"""X events in a row; then Xwayland's Wayland connection has its turn.  A window that is mapped takes 1 ms."""

Failed = Callable[[Exception], None]


class Channel:
    """One socket on the loop, of two that feed each other."""

    def __init__(self, loop: Loop, connection: socket.socket, handle: Callable[["Channel"], None]) -> None:
        """Takes ownership of `connection`; `handle` is called when there may be something to read."""
        self.socket = ClientSocket(connection)
        self.unread = b""
        """Bytes of a message that is not whole yet, or whose turn has not come."""
        self.is_paused = False
        """Whether it is not to be read."""
        self._loop = loop
        self._handle = handle
        self._fd = self.socket.fileno()
        self._events = READABLE
        loop.add(self._fd, READABLE, self._handle_ready)

    def flush(self) -> None:
        """Sends what waits, and waits for what can be done next."""
        if self._fd < 0:
            return
        self.socket.flush()
        events = (0 if self.is_paused else READABLE) | (WRITABLE if self.socket.pending else 0)
        if events != self._events:
            self._events = events
            self._loop.change(self._fd, events)

    @property
    def is_closed(self) -> bool:
        """Whether it was given up."""
        return self._fd < 0

    def close(self) -> None:
        """Gives it up; may be called again."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            self._fd = -1
            self.socket.close()

    def _handle_ready(self, events: int) -> None:
        if events & (READABLE | GONE):
            self._handle(self)


class WaylandSide:
    """Xwayland's Wayland connection and ours to the compositor, with the mediator between them."""

    def __init__(self, loop: Loop, client: socket.socket, host: socket.socket, failed: Failed) -> None:
        """Takes ownership of both sockets; `failed` is called when there is nothing to go on with."""
        self._failed = failed
        self._client = Channel(loop, client, self._handle_client)
        self._host = Channel(loop, host, self._handle_host)
        self._backlog = Backlog(self._client.socket)
        self.is_open = False
        """Whether Xwayland's requests are handled: not before we know what the compositor has."""

    def start(self, mediator: Mediator) -> None:
        """From now on events are handled; the outlets of `mediator` are ours."""
        self._mediator = mediator
        mediator.went_on = lambda: self._handle_events(self._host, b"")

    @property
    def to_host(self) -> ClientSocket:
        """The outlet to the compositor."""
        return self._host.socket

    @property
    def to_client(self) -> ClientSocket:
        """The outlet to Xwayland."""
        return self._client.socket

    def open(self) -> None:
        """Handles Xwayland's requests from now on, those that wait first."""
        self.is_open = True
        self._handle_client(self._client)

    def take_turn(self) -> None:
        """Handles what Xwayland has sent meanwhile; to be called often while much else is done."""
        if self.is_open and not self._client.is_closed:
            self._handle_client(self._client)

    def flush(self) -> None:
        """Sends what waits for either side."""
        self._client.is_paused = not self.is_open or self._is_full
        self._host.is_paused = self.to_client.pending > _MAX_PENDING or self._mediator.is_holding
        self._client.flush()
        self._host.flush()

    def close(self) -> None:
        """Ends both connections."""
        self._client.close()
        self._host.close()

    def _handle_client(self, channel: Channel) -> None:
        if not self.is_open:
            return
        try:
            self._backlog.fill()
            while not self._is_full and (data := self._backlog.take()) is not None:
                if not data:
                    # Its process tells by its end what that means.
                    channel.close()
                    return
                unread = channel.unread + data
                channel.unread = unread[self._mediator.handle_requests(unread, channel.socket.fds) :]
                self._backlog.fill()
        except Exception as error:  # noqa: BLE001 (whatever it is, this session is over)
            self._failed(error)

    @property
    def _is_full(self) -> bool:
        """Whether the compositor has to take something first."""
        if self.to_host.pending > _MAX_PENDING:
            self.to_host.flush()
        return self.to_host.pending > _MAX_PENDING

    def _handle_host(self, channel: Channel) -> None:
        data = channel.socket.receive()
        if data is not None:
            self._handle_events(channel, data if data else None)

    def _handle_events(self, channel: Channel, data: bytes | None) -> None:
        """Handles what has come and what waits; None: the compositor has left."""
        try:
            if data is None:
                raise HostFault("the compositor has closed the connection")
            unread = channel.unread + data
            channel.unread = unread[self._mediator.handle_events(unread, channel.socket.fds) :]
        except Exception as error:  # noqa: BLE001 (whatever it is, this session is over)
            channel.close()
            self._failed(error)


class XSide:
    """An X connection of ours."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        cookie: bytes,
        ready: Callable[[Setup], None],
        failed: Failed,
    ) -> None:
        """Takes ownership of `connection`; `ready` is called once, when its set-up is done."""
        self._loop = loop
        self._socket = connection
        self._ready = ready
        self._failed = failed
        self._setup = bytearray()
        self._is_ready = False
        self.handle_event: Callable[[bytes], None] = lambda _event: None
        """Gets each event, whole."""
        self.pause: Callable[[], None] = lambda: None
        """Called between events: others have their turn."""
        self.ended: Callable[[], None] = lambda: None
        """Called where the server has hung up."""
        self._turn = 0
        self.connection = Connection(self._give_event)
        connection.setblocking(False)
        self._events = READABLE
        loop.add(connection.fileno(), READABLE, self._handle_ready)
        self._unsent = bytearray(encode_setup(cookie))

    def flush(self) -> None:
        """Sends what waits."""
        if self._socket.fileno() < 0:
            return
        if self._is_ready and self.connection.outgoing:
            self._unsent += self.connection.outgoing
            self.connection.outgoing.clear()
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                break
            except ConnectionError:
                return
            del self._unsent[:sent]
        events = READABLE | (WRITABLE if self._unsent else 0)
        if events != self._events:
            self._events = events
            self._loop.change(self._socket.fileno(), events)

    def close(self) -> None:
        """Ends the connection; may be called again."""
        if self._socket.fileno() >= 0:
            self._loop.remove(self._socket.fileno())
            self._socket.close()

    def _give_event(self, event: bytes) -> None:
        self.handle_event(event)
        self._turn += 1
        if self._turn == _X_TURN:
            self._turn = 0
            self.pause()

    def _handle_ready(self, events: int) -> None:
        if not events & (READABLE | GONE):
            return
        try:
            data = self._socket.recv(_X_RECEIVE)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            # The server is ending; its process tells why.
            self.close()
            self.ended()
            return
        try:
            self._receive(data)
        except Exception as error:  # noqa: BLE001 (whatever it is, this session is over)
            self._failed(error)

    def _receive(self, data: bytes) -> None:
        if self._is_ready:
            self.connection.receive(data)
            return
        self._setup += data
        size = setup_size(self._setup)
        if len(self._setup) < size or size == len(self._setup) == 8:
            return
        self._is_ready = True
        self._ready(parse_setup(self._setup))
        self.connection.receive(bytes(self._setup[size:]))
