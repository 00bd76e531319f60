"""The fakes keep to the protocol: they talk to each other and to the real Weston."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import TypeVar

import pytest

from tests.fakes.client import FakeClient, ProtocolError
from tests.fakes.compositor import FakeCompositor, Resource, keymap_fd
from tests.fakes.patience import PATIENCE, in_time, is_readable
from tests.fakes.weston import Weston
from tests.fakes.windows import Buffer, Layout, Pool

T = TypeVar("T")


@pytest.fixture
def compositor(runtime_dir: Path) -> Generator[FakeCompositor]:
    with FakeCompositor(runtime_dir / "fake") as running:
        yield running


class Served:
    """A fake compositor that serves in a thread until the block ends, to let a client block.

    Inside the block the compositor is the thread's: `call` has it do things.
    """

    def __init__(self, compositor: FakeCompositor) -> None:
        self._compositor = compositor
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Served":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()

    def call(self, function: Callable[[], T]) -> T:
        """What `function` gives, run between two turns of the compositor."""
        answer: Future[T] = Future()
        self._calls.put(lambda: answer.set_result(function()))
        return answer.result(PATIENCE)

    def _run(self) -> None:
        while not self._stop:
            self._compositor.serve_once(0.01)
            while not self._calls.empty():
                self._calls.get()()


def test_client_sees_the_globals_and_round_trips(compositor: FakeCompositor) -> None:
    with Served(compositor), FakeClient(str(compositor.path)) as client:
        client.round_trip()
        assert client.offers("wl_shm") == 1
        assert client.offers("xdg_wm_base") == 5


def test_a_client_waits_as_long_as_it_says(compositor: FakeCompositor) -> None:
    with (
        Served(compositor),
        FakeClient(str(compositor.path)) as client,
        pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"),
    ):
        client.wait(lambda: False, what="answer", seconds=0.05)


def test_a_clock_that_leaps_ends_no_wait(compositor: FakeCompositor, monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(compositor), FakeClient(str(compositor.path)) as client:
        leaping = SimpleNamespace(monotonic=count(step=1000).__next__)
        monkeypatch.setattr("tests.fakes.client.time", leaping)
        monkeypatch.setattr("tests.fakes.patience.time", leaping)
        client.round_trip()


async def test_what_comes_after_a_leap_of_the_clock_is_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    leaping = SimpleNamespace(monotonic=count(step=1000).__next__)
    monkeypatch.setattr("tests.fakes.patience.time", leaping)
    monkeypatch.setattr("tests.fakes.patience._SILENCE", 0.01)
    assert await in_time(asyncio.sleep(0.05, "here"), seconds=10) == "here"
    with pytest.raises(TimeoutError):
        await in_time(asyncio.sleep(PATIENCE), seconds=0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not is_readable(ours, seconds=0.05)
        later = threading.Timer(0.05, theirs.send, [b"x"])
        later.start()
        assert is_readable(ours, seconds=10)
        later.join()


def test_requests_are_recorded_with_their_objects_and_fds(compositor: FakeCompositor) -> None:
    with Served(compositor), FakeClient(str(compositor.path)) as client:
        shm = client.bind("wl_shm")
        pool = Pool(client, shm, 4096)
        Buffer(pool, Layout(0, 8, 8, 32, 4), 1)
        client.round_trip()
        pool.close()
    (created,) = compositor.peers[0].named("create_pool")
    new, fd, size = created.arguments
    assert isinstance(new, Resource)
    assert isinstance(fd, int)
    assert size == os.fstat(fd).st_size == 4096
    assert compositor.peers[0].named("create_buffer")[0].resource is new
    os.close(fd)


def test_an_event_with_an_fd_reaches_the_client(compositor: FakeCompositor) -> None:
    with Served(compositor) as served, FakeClient(str(compositor.path)) as client:
        keyboard = client.bind("wl_seat").create("get_keyboard")
        client.round_trip()
        sent = keymap_fd(b"keys")
        offered = compositor.peers[0].objects_of("wl_keyboard")[0]
        served.call(lambda: offered.send("keymap", 1, sent, 4))
        os.close(sent)
        client.wait(lambda: bool(keyboard.events), what="keymap")
    ((kind, fd, size),) = keyboard.received("keymap")
    assert (kind, size) == (1, 4)
    assert isinstance(fd, int)
    assert os.pread(fd, 10, 0) == b"keys"
    os.close(fd)


def test_binding_more_than_offered_is_an_error(compositor: FakeCompositor) -> None:
    with Served(compositor), FakeClient(str(compositor.path)) as client:
        client.bind("wl_shm", 2)
        with pytest.raises(ProtocolError, match="invalid global"):
            client.round_trip()


def test_ids_are_reused_after_delete_id(compositor: FakeCompositor) -> None:
    with Served(compositor), FakeClient(str(compositor.path)) as client:
        first = client.bind("wl_compositor").create("create_region")
        first.send("destroy")
        client.round_trip()
        # There are no more free ids: the callback's, which may not be free yet, and an earlier one's.
        used = {client.display.create("sync").object_id for _ in range(3)}
        assert first.object_id in used


def test_a_global_that_comes_and_goes_is_announced(compositor: FakeCompositor) -> None:
    with Served(compositor) as served, FakeClient(str(compositor.path)) as client:
        name = served.call(lambda: compositor.add_global("wl_output", 2))
        client.wait(lambda: any(g.name == name for g in client.globals), what="global")
        served.call(lambda: compositor.remove_global(name))
        client.wait(lambda: all(g.name != name for g in client.globals), what="global_remove")


def test_the_real_weston_agrees_with_the_client(weston: Weston) -> None:
    with FakeClient(str(weston.socket_path)) as client:
        client.bind("wl_compositor").create("create_surface")
        client.round_trip()
        client.send_raw(b"\xff\xff\xff\x7f\x00\x00\x08\x00")
        with pytest.raises(ProtocolError, match="invalid object"):
            client.round_trip()
