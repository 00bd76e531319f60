"""How a VM's clients get to the compositor, whatever the compositor can do."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crossdomain.host import security_context
from crossdomain.host.compositor import Compositor
from crossdomain.host.enclosure import Enclosing, Enclosure
from crossdomain.host.security_context import MANAGER, Identity
from tests.fakes.compositor import FakeCompositor, Peer, served
from tests.fakes.patience import PATIENCE
from tests.unit.context.world import event

ENCLOSING = {"wl_compositor": 5, MANAGER: 1}


@pytest.fixture
def path(runtime_dir: Path) -> Path:
    """Where the compositor is."""
    return runtime_dir / "host"


@asynccontextmanager
async def enclosure(path: Path, mode: Enclosing) -> AsyncGenerator[Enclosure]:
    """A VM's way to the compositor at `path`."""
    made = Enclosure(Compositor(path), Identity("work", "work-2"), mode)
    yield made
    made.close()
    await asyncio.sleep(0)


async def connected(enclosure: Enclosure) -> socket.socket:
    """A connection, when there is one; raises what a client would hear of."""
    while True:
        try:
            return enclosure.connect()
        except BlockingIOError:
            await asyncio.sleep(0.001)


async def let_in(compositor: FakeCompositor, enclosure: Enclosure) -> socket.socket:
    """A client's connection, while the compositor answers; raises what the client would hear of."""
    with served(compositor):
        return await asyncio.wait_for(connected(enclosure), PATIENCE)


def listener_of(peer: Peer) -> socket.socket:
    """The listening socket that the compositor was given; the other fd is left where it is."""
    (request,) = peer.named("create_listener")
    listen_fd = request.arguments[1]
    assert isinstance(listen_fd, int)
    return socket.socket(fileno=listen_fd)


def lifeline_of(peer: Peer) -> int:
    """The fd that tells how long the context lasts."""
    (request,) = peer.named("create_listener")
    close_fd = request.arguments[2]
    assert isinstance(close_fd, int)
    return close_fd


class TestWithContexts:
    @pytest.fixture
    def compositor(self, path: Path) -> Generator[FakeCompositor]:
        with FakeCompositor(path, ENCLOSING) as made:
            yield made

    async def test_clients_come_in_by_the_vms_own_socket(
        self, compositor: FakeCompositor, path: Path
    ) -> None:
        async with enclosure(path, Enclosing.AUTO) as way:
            ours = await let_in(compositor, way)
            (peer,) = compositor.peers
            with listener_of(peer) as listener, ours:
                accepted, _ = listener.accept()
                with accepted:
                    ours.sendall(b"hello")
                    assert accepted.recv(5) == b"hello"
            said = [(made.name, made.arguments) for made in peer.requests]
            assert said[1:] == [
                ("set_sandbox_engine", ("crossdomain",)),
                ("set_app_id", ("work",)),
                ("set_instance_id", ("work-2",)),
                ("commit", ()),
            ]
            os.close(lifeline_of(peer))

    async def test_a_folder_for_temporary_files_may_have_a_long_name(
        self, compositor: FakeCompositor, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = path.parent / ("temporary" * 12)
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        async with enclosure(path, Enclosing.REQUIRE) as made:
            (await let_in(compositor, made)).close()
            listener_of(compositor.peers[0]).close()
            os.close(lifeline_of(compositor.peers[0]))
        assert not list(folder.iterdir())

    async def test_the_context_ends_with_the_vm(self, compositor: FakeCompositor, path: Path) -> None:
        async with enclosure(path, Enclosing.REQUIRE) as way:
            (await let_in(compositor, way)).close()
            with listener_of(compositor.peers[0]), open(lifeline_of(compositor.peers[0]), "rb") as lifeline:
                os.set_blocking(lifeline.fileno(), False)
                assert lifeline.read(1) is None
                way.close()
                assert lifeline.read(1) == b""

    async def test_a_compositor_that_was_replaced_makes_another(
        self, compositor: FakeCompositor, path: Path
    ) -> None:
        async with enclosure(path, Enclosing.AUTO) as way:
            (await let_in(compositor, way)).close()
            os.close(lifeline_of(compositor.peers[0]))
            listener_of(compositor.peers[0]).close()
            compositor.close()
            with FakeCompositor(path, ENCLOSING) as second:
                (await let_in(second, way)).close()
                os.close(lifeline_of(second.peers[0]))
                listener_of(second.peers[0]).close()

    async def test_off_is_direct(self, compositor: FakeCompositor, path: Path) -> None:
        async with enclosure(path, Enclosing.OFF) as way:
            with way.connect():
                compositor.wait_for_peer()


class TestWithoutContexts:
    @pytest.fixture
    def compositor(self, path: Path) -> Generator[FakeCompositor]:
        with FakeCompositor(path) as made:
            yield made

    async def test_auto_is_direct(self, compositor: FakeCompositor, path: Path) -> None:
        async with enclosure(path, Enclosing.AUTO) as way:
            (await let_in(compositor, way)).close()
            with way.connect():
                compositor.wait(lambda: len(compositor.peers) == 3, what="direct connections")

    async def test_required_ones_are_missed(self, compositor: FakeCompositor, path: Path) -> None:
        async with enclosure(path, Enclosing.REQUIRE) as way:
            with pytest.raises(PermissionError, match=MANAGER):
                (await let_in(compositor, way)).close()

    async def test_another_compositor_is_asked_again(self, compositor: FakeCompositor, path: Path) -> None:
        async with enclosure(path, Enclosing.AUTO) as way:
            (await let_in(compositor, way)).close()
            compositor.close()
            with FakeCompositor(path, ENCLOSING) as second:
                (await let_in(second, way)).close()
                os.close(lifeline_of(second.peers[0]))
                listener_of(second.peers[0]).close()


async def test_without_a_compositor_each_client_hears_of_it(path: Path) -> None:
    async with enclosure(path, Enclosing.AUTO) as way:
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await connected(way)


@pytest.fixture
async def listener(path: Path) -> AsyncGenerator[socket.socket]:
    """A compositor that does only what the test does."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        made.listen()
        made.setblocking(False)
        yield made


async def test_a_compositor_that_hangs_up_lets_nobody_in(path: Path, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async with enclosure(path, Enclosing.AUTO) as way:
        client = asyncio.ensure_future(connected(way))
        connection, _ = await loop.sock_accept(listener)
        await loop.sock_recv(connection, 1000)
        connection.close()
        with pytest.raises(OSError, match="hung up"):
            await client


async def test_a_compositor_that_refuses_lets_nobody_in(path: Path, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async with enclosure(path, Enclosing.AUTO) as way:
        client = asyncio.ensure_future(connected(way))
        connection, _ = await loop.sock_accept(listener)
        with connection:
            await loop.sock_recv(connection, 1000)
            offer = event("wl_registry", "global", 2, 1, MANAGER, 1)
            connection.send(offer + event("wl_callback", "done", 3, 0))
            await loop.sock_recv(connection, 1000)
            connection.send(event("wl_display", "error", 1, 5, 2, "nested"))
            with pytest.raises(OSError, match="nested"):
                await client


async def test_a_compositor_that_does_not_answer_lets_nobody_in(
    path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security_context, "ANSWER_SECONDS", 0.05)
    del listener
    async with enclosure(path, Enclosing.AUTO) as way:
        with pytest.raises(OSError, match="does not answer"):
            await connected(way)
