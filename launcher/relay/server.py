"""Takes in clients: each gets a channel of its own and a connection that serves it."""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from crossdomain.errors import CrossDomainError, EnvironmentFault, HostFault
from crossdomain.wire.faults import DisplayError
from launcher import log
from launcher.relay import encode
from launcher.relay.client_socket import ClientSocket
from launcher.relay.connection import Connection
from launcher.relay.host_watch import HostWatch
from launcher.relay.listener import Listener
from launcher.relay.sandboxes import Sandboxes
from launcher.services import Services

_SILENT: Final = "the host does not answer any more: windows need a restart of this virtual machine"


class Server:
    """Listens until `close`; owns the connections, not the listening socket."""

    def __init__(self, services: Services, listener: socket.socket, emptied: Callable[[], None]) -> None:
        """`emptied` is called whenever the last client has gone."""
        self._emptied = emptied
        self._connections: set[Connection] = set()
        self._watch = HostWatch(services.loop, self._prove, self._lose_host)
        restricted = services._replace(open_sandbox=None)
        self._sandboxes = Sandboxes(services.loop, partial(self._take_in, restricted))
        ordinary = services._replace(open_sandbox=self._sandboxes.open)
        self._listener = Listener(services.loop, listener, partial(self._take_in, ordinary), _fail)

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
        self._listener.stop()
        self._sandboxes.close()
        self._watch.end()
        self._emptied = _nothing
        for connection in tuple(self._connections):
            connection.finish()

    def _take_in(self, services: Services, accepted: socket.socket) -> None:
        client = ClientSocket(accepted)
        name = _name(client.peer_process())
        try:
            channel = services.open_channel(name)
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
            connection = Connection(services, client, channel, name, closed)
        except (OSError, MemoryError) as error:
            channel.close()
            self._turn_away(client, name, f"the proxy can't serve one more: {error}")
            return
        self._connections.add(connection)
        if channel.proves:
            self._watch.begin()
        log.info("connected", client=name)

    def _turn_away(self, client: ClientSocket, name: str, text: str) -> None:
        log.warning(f"turned away: {text}", client=name)
        with suppress(OSError):
            client.send(encode.display_error(encode.DISPLAY_ID, DisplayError.IMPLEMENTATION, text))
        client.close()

    def _prove(self) -> int:
        proofs = (connection.prove() for connection in self._connections)
        return next((proof for proof in proofs if proof >= 0), -1)

    def _lose_host(self) -> None:
        for connection in tuple(self._connections):
            connection.fail(HostFault(_SILENT))

    def _leave(self) -> None:
        if not self._connections:
            self._watch.end()
            self._emptied()
        # There are fds again for a client that waits.
        if self._emptied is not _nothing:
            self._listener.listen()
            self._sandboxes.listen()


def _nothing() -> None:
    pass


def _fail(error: OSError) -> None:
    """Our own listening socket is broken."""
    raise error


def _name(pid: int) -> str:
    """Returns what a client is called in the log, here and on the host: program and pid."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            program = file.read().strip()
    except OSError:
        program = "client"
    return f"{program}[{pid}]"
