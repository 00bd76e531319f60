"""What breaks on a client's own socket costs that client alone."""

import errno
import os
import socket
from collections.abc import Callable

import pytest

from crossdomain.errors import HostFault
from crossdomain.wire import policy
from launcher.channel.seam import Channel
from launcher.loop import Loop
from launcher.relay.server import Server
from launcher.services import Services
from launcher.stats import Stats
from tests.unit.launcher.fake_channel import TABLES, RelayedClient


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on the kernel has no memory for anything that is sent on a socket."""

    def fail(*_arguments: object) -> int:
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    def begin() -> None:
        monkeypatch.setattr(socket.socket, "send", fail)
        monkeypatch.setattr(socket.socket, "sendmsg", fail)

    return begin


def test_a_client_that_can_not_be_told_why_it_ends_ends_all_the_same(
    client: RelayedClient, refuse: Callable[[], None]
) -> None:
    client.socket.send(b"\xff\0\0\0\0\0\x08\0")
    refuse()
    client.serve()
    assert client.closed


def test_a_client_that_can_not_be_told_that_its_host_has_ended_ends_all_the_same(
    client: RelayedClient, refuse: Callable[[], None]
) -> None:
    client.channel.has_ended = True
    client.channel.deliver(b"")
    refuse()
    client.serve()
    assert client.closed


def test_a_client_that_can_not_be_told_that_there_is_no_host_is_turned_away_all_the_same(
    refuse: Callable[[], None],
) -> None:
    def open_channel(_name: str) -> Channel:
        raise HostFault("no host")

    loop = Loop()
    services = Services(loop, TABLES, policy.load(), Stats(None), open_channel, trace=False)
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind("")
        listening.listen()
        listening.setblocking(False)
        server = Server(services, listening, lambda: None)
        client.connect(listening.getsockname())
        refuse()
        loop.poll()
        assert client.recv(1) == b""
        server.close()
    loop.close()
