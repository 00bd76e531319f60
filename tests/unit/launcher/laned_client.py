"""A client of the relay over a real local channel, whose host is in the hands of the test."""

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from crossdomain.abi import cross_domain, local
from crossdomain.abi.cross_domain import ChannelType, Feature, Identifier, encode_capset, encode_receive
from crossdomain.wire import policy
from launcher.channel.local import LocalChannel
from launcher.loop import Loop
from launcher.relay.client_socket import ClientSocket
from launcher.relay.connection import Connection
from launcher.services import Services
from launcher.stats import Stats
from tests.unit.launcher.fake_channel import TABLES, read_all

CAPSET: Final = encode_capset(1 << ChannelType.WAYLAND, features=Feature.SHARE_FILES | Feature.POLICY)
_HEADER: Final = local.HEADER.size


class LanedClient:
    """`socket` is the client's end, `host` the daemon's."""

    def __init__(self, path: Path, *, has_lanes: bool) -> None:
        self.closed = False
        self.loop = Loop(has_lanes=has_lanes)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(path))
            listener.listen()
            accepting = threading.Thread(target=self._accept, args=(listener,))
            accepting.start()
            channel = LocalChannel(str(path), "test")
            accepting.join()
        path.unlink()
        self.host.recv(local.MAX_PACKET)
        self.host.setblocking(False)
        self.stats = Stats(None)

        def open_channel(_client: str) -> LocalChannel:
            return channel

        services = Services(self.loop, TABLES, policy.load(), self.stats, open_channel, trace=False)
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.connection = Connection(services, ClientSocket(theirs), channel, "test[1]", self._handle_closed)

    @property
    def served(self) -> int:
        """How often no Python was needed for what was ready."""
        assert self.loop.rounds is not None
        return self.loop.rounds.pointer.served

    def say(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send bytes of requests; the fds are given away."""
        socket.send_fds(self.socket, [data], list(fds))
        for fd in fds:
            os.close(fd)
        self.serve()

    def tell(self, data: bytes, identifiers: tuple[Identifier, ...] = ()) -> None:
        """Let the host send bytes of events."""
        self.host.send(local.encode_packet(local.ToLauncher.EVENT, encode_receive(data, identifiers)))
        self.serve()

    def serve(self) -> None:
        """Let the relay handle all that is ready."""
        self.loop.drain(lambda: False, 20)

    def sent(self) -> bytes:
        """The bytes of the Wayland connection that the host got since the last time."""
        sent = bytearray()
        while packet := self._next_packet():
            if int.from_bytes(packet[:4], "little") == local.ToDaemon.SUBMIT:
                sent += cross_domain.parse_send(memoryview(packet)[_HEADER:]).data
            self.serve()
        return bytes(sent)

    def heard(self) -> bytes:
        """The bytes that the client got since the last time."""
        return read_all(self.socket, self.serve)

    def close(self) -> None:
        """Give everything up."""
        self.connection.close()
        self.socket.close()
        self.host.close()
        self.loop.close()

    def _next_packet(self) -> bytes:
        try:
            return self.host.recv(local.MAX_PACKET)
        except (BlockingIOError, ConnectionResetError):
            return b""

    def _accept(self, listener: socket.socket) -> None:
        self.host, _ = listener.accept()
        self.host.recv(local.MAX_PACKET)
        self.host.send(local.encode_packet(local.ToLauncher.WELCOME, CAPSET))

    def _handle_closed(self) -> None:
        self.closed = True
