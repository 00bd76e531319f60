"""One vhost-user socket on the event loop: moves bytes and fds, decides nothing.

`vhost_user.Decoder` cuts the stream into messages; `session` and `backend_channel` own
one transport each.
"""

import array
import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from crossdomain.abi.vhost_user import MAX_FDS
from crossdomain.context.crowding import Room
from crossdomain.device.vhost_user import Decoder, Message, close_all
from crossdomain.errors import CrossDomainError, HostFault, LocalError
from crossdomain.limits import MAX_VHOST_USER_BACKLOG

_ANCILLARY_SIZE: Final = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
_RECEIVE_FLAGS: Final = int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
_SEND_FLAGS: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_TRUNCATED: Final = int(socket.MSG_CTRUNC)
_MESSAGES_PER_WAKEUP: Final = 32
"""Then others have their turn; the socket stays readable and comes again."""


def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """At most `size` bytes and the fds that came with them, which the caller owns.  Never blocks.

    Raises:
        BlockingIOError: nothing is there.
        HostFault: more fds than a message may have, or than there are numbers for.
        OSError: the connection broke.
    """
    data, ancillary, flags, _address = connection.recvmsg(size, _ANCILLARY_SIZE, _RECEIVE_FLAGS)
    fds = array.array("i")
    for level, kind, body in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
    if flags & _TRUNCATED:
        close_all(fds)
        raise HostFault(f"more than {MAX_FDS} fds in one vhost-user message, or no descriptor is left")
    return data, list(fds)


class Transport:
    """Reads messages until the peer or the owner ends it.

    `handle` is called with each message; a CrossDomainError that it raises ends the transport.
    `closed` is called once, later than any `handle`, with what went wrong or None for an end of
    stream between two messages; not when the owner calls `close` himself.
    """

    def __init__(
        self,
        connection: socket.socket,
        decoder: Decoder,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[Message], None],
        closed: Callable[[CrossDomainError | None], None],
    ) -> None:
        """Takes ownership of `connection`, a stream socket."""
        self._connection = connection
        self._decoder = decoder
        self._loop = loop
        self._handle = handle
        self._closed = closed
        self._outgoing: deque[tuple[bytes, list[int]]] = deque()
        self._outgoing_bytes = 0
        self._open = True
        self._room = Room(loop, connection.fileno(), self._on_writable)
        connection.setblocking(False)
        loop.add_reader(connection, self._on_readable)

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._open

    def send(self, data: bytes, fds: Iterable[int] = ()) -> None:
        """Sends one whole message, later where the socket is full; takes ownership of `fds`."""
        self._outgoing.append((data, list(fds)))
        self._outgoing_bytes += len(data)
        if not self._open:
            self._drop_outgoing()
        elif len(self._outgoing) == 1:
            self._on_writable()
        if self._outgoing_bytes > MAX_VHOST_USER_BACKLOG:
            self._end(HostFault("the VMM does not read its vhost-user socket"))

    def drain(self) -> None:
        """Handles what has arrived already, without waiting for the loop to say so."""
        self._on_readable()

    def close(self) -> None:
        """Closes the socket, what was not sent, and fds that nobody took; may be called again."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._connection)
        self._room.stop()
        self._connection.close()
        self._decoder.close()
        self._drop_outgoing()

    def _drop_outgoing(self) -> None:
        for _data, fds in self._outgoing:
            close_all(fds)
        self._outgoing.clear()
        self._outgoing_bytes = 0

    def _end(self, fault: CrossDomainError | None) -> None:
        if self._open:
            self.close()
            self._closed(fault)

    def _on_readable(self) -> None:
        # A mistake of ours must not leave a VMM waiting for its reply for ever.
        fault: CrossDomainError | None = LocalError("internal error")
        try:
            self._receive_some()
            fault = None
        except CrossDomainError as error:
            fault = error
        finally:
            if fault is not None:
                self._end(fault)

    def _receive_some(self) -> None:
        try:
            for _ in range(_MESSAGES_PER_WAKEUP):
                if not self._open or not self._receive_once():
                    return
        except BlockingIOError:
            return
        except ConnectionResetError:
            # The VMM went away without reading what we last said.
            self._hang_up()
        except OSError as error:
            raise HostFault(f"the VMM's connection broke: {error}") from error

    def _receive_once(self) -> bool:
        data, fds = receive(self._connection, self._decoder.wanted)
        if not data:
            close_all(fds)
            self._hang_up()
            return False
        message = self._decoder.feed(data, fds)
        if message is not None:
            try:
                self._handle(message)
            finally:
                message.close_fds()
        return True

    def _hang_up(self) -> None:
        idle = self._decoder.idle
        self._end(None if idle else HostFault("the VMM hung up in the middle of a message"))

    def _on_writable(self) -> None:
        while self._outgoing:
            data, fds = self._outgoing[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                sent = self._connection.sendmsg([data], rights, _SEND_FLAGS)
            except OSError as error:
                if self._room.wait(error):
                    return
                sent = len(data)  # the reading side sees the same end, and says so once
            close_all(fds)
            self._outgoing_bytes -= sent
            if sent == len(data):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = data[sent:], []
        self._room.stop()
