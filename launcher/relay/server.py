"""Takes in clients: each gets a channel of its own and a connection that serves it."""

import errno
import socket
from collections.abc import Callable
from typing import Final

from crossdomain.errors import CrossDomainError, EnvironmentFault
from crossdomain.wire.faults import DisplayError
from launcher import log
from launcher.loop import READABLE
from launcher.relay import encode
from launcher.relay.client_socket import ClientSocket
from launcher.relay.connection import Connection
from launcher.services import Services

_MAX_ACCEPTS: Final = 16
"""Clients of one round, so that those who are here already are served meanwhile."""
_NO_FDS_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Server:
    """Listens until `close`; owns the connections, not the listening socket."""

    def __init__(self, services: Services, listener: socket.socket, emptied: Callable[[], None]) -> None:
        """`emptied` is called whenever the last client has gone."""
        self._services = services
        self._listener = listener
        self._emptied = emptied
        self._connections: set[Connection] = set()
        self._listening = False
        self._listen()

    @property
    def clients(self) -> int:
        """How many there are."""
        return len(self._connections)

    @property
    def is_draining(self) -> bool:
        """Whether something of clients that have ended is still on its way."""
        return any(connection.is_draining for connection in self._connections)

    @property
    def drained(self) -> int:
        """Bytes that went through pipes of clients that have ended; also changes when one of them is done."""
        return sum(connection.moved for connection in self._connections if connection.is_draining)

    def close(self) -> None:
        """Takes in nobody any more, and disconnects everybody."""
        self._stop_listening()
        self._emptied = _nothing
        for connection in tuple(self._connections):
            connection.finish()

    def _listen(self) -> None:
        if not self._listening:
            self._services.loop.add(self._listener.fileno(), READABLE, self._handle_listener)
            self._listening = True

    def _stop_listening(self) -> None:
        if self._listening:
            self._services.loop.remove(self._listener.fileno())
            self._listening = False

    def _handle_listener(self, _events: int) -> None:
        for _ in range(_MAX_ACCEPTS):
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_FDS_LEFT:
                    raise
                # It stays in the queue until somebody leaves; listening on would only spin.
                log.warning(f"a client has to wait: {error.strerror}")
                self._stop_listening()
                return
            self._take_in(ClientSocket(accepted))

    def _take_in(self, client: ClientSocket) -> None:
        name = _name(client.peer_process())
        try:
            channel = self._services.open_channel(name)
        except EnvironmentFault as fault:
            self._turn_away(client, name, f"{fault}: {fault.hint}")
            return
        except CrossDomainError as fault:
            self._turn_away(client, name, str(fault))
            return
        except OSError as error:
            self._turn_away(client, name, f"no connection to the host: {error.strerror}")
            return
        connection: Connection

        def closed() -> None:
            self._connections.discard(connection)
            self._leave()

        try:
            connection = Connection(self._services, client, channel, name, closed)
        except (OSError, MemoryError) as error:
            channel.close()
            self._turn_away(client, name, f"the proxy can't serve one more: {error}")
            return
        self._connections.add(connection)
        log.info("connected", client=name)

    def _turn_away(self, client: ClientSocket, name: str, text: str) -> None:
        log.warning(f"turned away: {text}", client=name)
        client.send(encode.display_error(encode.DISPLAY_ID, DisplayError.IMPLEMENTATION, text))
        client.close()

    def _leave(self) -> None:
        if not self._connections:
            self._emptied()
        # There are fds again for a client that waits.
        if self._emptied is not _nothing:
            self._listen()


def _nothing() -> None:
    pass


def _name(pid: int) -> str:
    """Returns what a client is called in the log, here and on the host: program and pid."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            program = file.read().strip()
    except OSError:
        program = "client"
    return f"{program}[{pid}]"
