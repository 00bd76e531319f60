"""What costs one client of a worker costs no other: a mistake of ours, and a lack of descriptors."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator, Callable
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
from crossdomain.host import logs, sandbox, worker
from crossdomain.host.enclosure import Enclosing
from crossdomain.host.settings import Settings
from crossdomain.host.workers import Worker
from tests.fakes.patience import PATIENCE, in_time
from tests.unit.context.world import sync
from tests.unit.host.started import start_worker

REQUEST: Final = sync(2)


class Mistake(Exception):
    """What nobody has thought of."""


class Client:
    """A launcher's end."""

    def __init__(self, to: Worker) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        to.serve_local(theirs)

    def greet(self, name: bytes) -> None:
        """HELLO and INIT."""
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


class House:
    """A worker of a local socket, its compositor and its clients."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._loop = asyncio.get_running_loop()
        self._stack = stack
        self._listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        self._listener.bind(str(folder / "wayland"))
        self._listener.listen()
        self._listener.setblocking(False)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        settings = Settings(security_context=Enclosing.OFF)
        self.worker = start_worker(
            "local", Peer.of_vm("local"), settings, folder / "wayland", lambda: self._ended.set_result(None)
        )

    def invite(self, name: bytes) -> Client:
        """A client, which is welcome.

        Raises:
            BrokenPipeError: it is not.
        """
        client = self._stack.enter_context(Client(self.worker))
        client.greet(name)
        return client

    async def accept(self) -> socket.socket:
        """The compositor's end of a client's connection."""
        accepted, _address = await in_time(self._loop.sock_accept(self._listener))
        return self._stack.enter_context(accepted)

    async def hear(self, connection: socket.socket) -> bytes:
        """What the compositor gets."""
        return await in_time(self._loop.sock_recv(connection, 64))

    async def end(self) -> None:
        """Waits until the worker has."""
        await self.worker.stop()
        await self._ended


@pytest.fixture
async def open_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Callable[[], House]]:
    """Starts the worker, which has the log of a daemon's."""
    monkeypatch.setattr(worker, "main", log_as_ours(worker.main))
    made: list[House] = []
    with contextlib.ExitStack() as stack:

        def start() -> House:
            made.append(House(tmp_path, stack))
            return made[-1]

        yield start
        for house in made:
            await house.end()


async def test_the_log_of_a_worker_names_whom_a_mistake_costs(
    open_house: Callable[[], House], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Identifiers, "resolve", make_mistake)
    house = open_house()
    victim, other = house.invite(b"victim"), house.invite(b"other")
    connections = [await house.accept() for _ in range(2)]
    victim.send(Identifier(1, IdentifierType.VIRTGPU_BLOB, 4096))
    assert b"internal error" in await victim.hear_out()
    other.send()
    assert REQUEST in [await house.hear(each) for each in connections]
    await house.end()
    (line,) = [record for record in caplog.records if record.exc_text]
    assert "Mistake" in str(line.exc_text)
    assert isinstance(line.args, tuple)
    peer = line.args[0]
    assert isinstance(peer, Peer)
    assert (peer.vm, peer.context, peer.client) == ("local", 1, "victim")


async def test_who_comes_when_no_descriptor_is_left_costs_the_others_nothing(
    open_house: Callable[[], House], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sandbox, "MAX_WORKER_FDS", 20)
    house = open_house()
    first = house.invite(b"first")
    connection = await house.accept()
    while "no descriptor is left" not in caplog.text:
        with contextlib.suppress(BrokenPipeError):
            house.invite(b"another")
        assert await house.worker.answers(PATIENCE)
    first.send()
    assert await house.hear(connection) == REQUEST
