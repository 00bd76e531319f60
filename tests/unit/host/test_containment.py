"""A mistake of ours in a worker: the log names the client that it costs, and the others go on."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, Self

import pytest

from crossdomain.abi import local
from crossdomain.abi.cross_domain import (
    RING_NONE,
    Identifier,
    IdentifierType,
    SendReceive,
    encode_init,
    encode_send,
    parse_event,
)
from crossdomain.abi.local import ToDaemon, ToLauncher
from crossdomain.context.identifiers import Identifiers
from crossdomain.context.peer import Peer
from crossdomain.host import logs, worker
from crossdomain.host.broker import Broker
from crossdomain.host.compositor import Compositor
from crossdomain.host.enclosure import Enclosing
from crossdomain.host.settings import Settings
from crossdomain.host.tenant import Names
from crossdomain.host.workers import Worker
from crossdomain.wire import policy
from tests.fakes.patience import in_time
from tests.unit.context.world import sync

REQUEST: Final = sync(2)


class Mistake(Exception):
    """What nobody has thought of."""


class Client:
    """A launcher's end, which has said HELLO and INIT."""

    def __init__(self, to: Worker, name: bytes) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        to.serve_local(theirs)
        self._say(ToDaemon.HELLO, local.HELLO.pack(local.VERSION) + name)
        self._say(ToDaemon.SUBMIT, encode_init(RING_NONE, RING_NONE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *identifiers: Identifier) -> None:
        """One SEND."""
        self._say(ToDaemon.SUBMIT, encode_send(REQUEST, identifiers))

    async def hear_out(self) -> bytes:
        """What it is told until its end."""
        heard = b""
        while True:
            data = await in_time(asyncio.get_running_loop().sock_recv(self.socket, local.MAX_PACKET))
            packet = local.parse_packet(data)
            if packet.type == ToLauncher.EVENT:
                event = parse_event(packet.payload)
                assert isinstance(event, SendReceive)
                if not event.data:
                    return heard
                heard += event.data

    def _say(self, type_: ToDaemon, payload: bytes) -> None:
        self.socket.send(local.encode_packet(type_, payload))


def make_mistake(_identifiers: Identifiers, _named: object) -> NoReturn:
    """Instead of `Identifiers.resolve`."""
    raise Mistake


def log_as_ours(main: Callable[..., None]) -> Callable[..., None]:
    """`worker.main` with the log that a daemon sets up."""

    def logging_main(plan: worker.Plan, channel: socket.socket) -> None:
        sys.stderr = open(worker.STANDARD_ERROR, "w", closefd=False)  # noqa: SIM115  # not pytest's
        logs.set_up("info")
        logs.report_to_supervisor()
        main(plan, channel)

    return logging_main


async def test_the_log_of_a_worker_names_whom_a_mistake_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Identifiers, "resolve", make_mistake)
    monkeypatch.setattr(worker, "main", log_as_ours(worker.main))
    settings = Settings(security_context=Enclosing.OFF)
    plan = worker.Plan(
        names=Names("local", "local", Peer.of_vm("local")),
        policy=policy.load(),
        settings=settings,
        window_size=1 << 20,
        udmabuf=None,
        sync_device=None,
        shows_dmabufs=False,
        seccomp=None,
        gpu=None,
    )
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(tmp_path / "wayland"))
        listener.listen()
        listener.setblocking(False)
        broker = Broker("local", "local", Compositor(tmp_path / "wayland"), settings)
        serving = Worker(plan, broker, lambda _worker: ended.set_result(None))
        victim, other = (stack.enter_context(Client(serving, name)) for name in (b"victim", b"other"))
        connections = [stack.enter_context((await in_time(loop.sock_accept(listener)))[0]) for _ in range(2)]
        victim.send(Identifier(1, IdentifierType.VIRTGPU_BLOB, 4096))
        assert b"internal error" in await victim.hear_out()
        other.send()
        assert REQUEST in [await in_time(loop.sock_recv(each, 64)) for each in connections]
        await serving.stop()
        await ended
    (line,) = [record for record in caplog.records if record.exc_text]
    assert "Mistake" in str(line.exc_text)
    assert isinstance(line.args, tuple)
    peer = line.args[0]
    assert isinstance(peer, Peer)
    assert (peer.vm, peer.context, peer.client) == ("local", 1, "victim")
