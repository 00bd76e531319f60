"""A client whose messages pass in C where they can, and a host that copies, in the test's hands."""

import socket
from collections.abc import Sequence
from typing import Final

from crossdomain.abi import cross_domain, local
from crossdomain.abi.cross_domain import Buffer, Command, Identifier, SendReceive, encode_receive
from crossdomain.abi.pages import parse_copy_pages
from crossdomain.wire.engine import Direction
from crossdomain.wire.walker import PythonWalker
from launcher.channel.seam import Event, Way
from tests.unit.launcher.drawing import requests_in
from tests.unit.launcher.fake_channel import TABLES, FakeChannel, RelayedClient, event
from tests.unit.launcher.fake_copies import FakeCopies

_HEADER: Final = local.HEADER.size
_GONE: Final = ("destroy", "sync")


class CarriedChannel(FakeChannel):
    """With `has_way` what passes in C comes out as packets of a local channel, and is carried out then."""

    def __init__(self, *, has_way: bool, sees_pages: bool = True) -> None:
        super().__init__()
        self.copies = FakeCopies(self)
        self._is_quiet = True
        if sees_pages:
            self.host_copies = self.copies
        if has_way:
            self._socket.close()
            self._other.close()
            self._socket, self._other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket.setblocking(False)
            self._other.setblocking(False)
            self.way = Way(None, self._keep, self._carry_out)
        self._kept: list[bytes] = []

    def deliver(self, data: bytes, identifiers: tuple[Identifier, ...] = ()) -> None:
        """See `FakeChannel`."""
        if self.way is None:
            super().deliver(data, identifiers)
        else:
            self._other.send(local.encode_packet(local.ToLauncher.EVENT, encode_receive(data, identifiers)))

    def receive(self) -> Sequence[Event]:
        """See `FakeChannel`."""
        if self.way is None:
            return super().receive()
        packet = self._kept.pop() if self._kept else self._socket.recv(local.MAX_PACKET)
        event_ = cross_domain.parse_event(memoryview(packet)[_HEADER:])
        assert isinstance(event_, SendReceive)
        return (event_,)

    def send(self, data: Buffer, identifiers: Sequence[Identifier] = ()) -> bool:
        """See `FakeChannel`."""
        self.take()
        return super().send(data, identifiers)

    def take(self) -> None:
        """What has passed in C has come out, in order."""
        while self.way is not None and not self.closed:
            try:
                packet = self._other.recv(local.MAX_PACKET)
            except BlockingIOError:
                return
            self._carry_out(packet[_HEADER:])

    def _carry_out(self, commands: bytes) -> None:
        rest = memoryview(commands)
        while rest:
            cmd, size = cross_domain.parse_header(rest)
            if cmd == Command.COPY_PAGES:
                self.copies.copy(parse_copy_pages(rest[:size]))
            else:
                assert cmd == Command.SEND
                send = cross_domain.parse_send(rest[:size])
                assert not send.identifiers
                self.sends.append((bytes(send.data), ()))
            rest = rest[size:]

    def _keep(self, packet: bytes, fds: list[int], is_truncated: bool) -> None:
        assert not fds
        assert not is_truncated
        self._kept.append(packet)


class CarriedClient(RelayedClient):
    """It has a compositor that deletes the ids of what is destroyed."""

    def __init__(self, *, has_way: bool, sees_pages: bool = True) -> None:
        self.host = CarriedChannel(has_way=has_way, sees_pages=sees_pages)
        self._seen = self._granted = 0
        self._walker = PythonWalker(TABLES, (), strict=False)
        super().__init__(self.host)

    @property
    def served(self) -> int:
        """How often no Python was needed for what was ready."""
        return 0 if self.loop.rounds is None else self.loop.rounds.pointer.served

    def say(self, *messages: bytes, fds: Sequence[int] = ()) -> None:
        """See `RelayedClient`."""
        super().say(*messages, fds=fds)
        self.host.take()

    def delete_ids(self) -> None:
        """Let the compositor answer what it was sent since the last time."""
        sent = self.host.sent
        for object_id, name, whole in requests_in(sent[self._seen :], self._walker):
            gone = int.from_bytes(whole[8:12], "little") if name == "sync" else object_id
            if name in _GONE:
                self._walker.walk(Direction.EVENT, event("wl_display", "delete_id", 1, gone))
                self._delete(gone)
        self._seen = len(sent)
        # Those of buffers that are shown in place are another object's before.
        for buffer_id in self.host.copies.granted[self._granted :]:
            self._delete(buffer_id)
        self._granted = len(self.host.copies.granted)

    def _delete(self, object_id: int) -> None:
        self.host.deliver(event("wl_display", "delete_id", 1, object_id))
        self.serve()
