"""A listening socket, and clients for which there are no fds."""

import resource
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from launcher.loop import Loop, Timer
from launcher.relay.listener import RETRY_SECONDS, Listener


class TimedLoop(Loop):
    """A loop whose timers are in the test's hands."""

    __slots__ = ("timers",)

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[Timer] = []
        """In the order in which they were asked for."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        assert seconds == RETRY_SECONDS
        self.timers.append(Timer(seconds, callback))
        return self.timers[-1]


class ListenerRig:
    """A listener, and clients that come."""

    def __init__(self) -> None:
        self.loop = TimedLoop()
        self.taken_in: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind("")
        self._listening.listen()
        self._listening.setblocking(False)
        self.listener = Listener(self.loop, self._listening, self.taken_in.append, _fail)
        self._clients: list[socket.socket] = []

    def connect(self) -> None:
        """One more comes."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(self._listening.getsockname())
        self._clients.append(client)

    def close(self) -> None:
        """Gives all up."""
        self.listener.stop()
        for one in (*self._clients, *self.taken_in, self._listening):
            one.close()
        self.loop.close()


def _fail(error: OSError) -> None:
    raise error


@pytest.fixture
def rig() -> Generator[ListenerRig]:
    made = ListenerRig()
    yield made
    made.close()


@contextmanager
def no_fds() -> Generator[None]:
    """There is no fd left for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_that_waits_for_an_fd_comes_in_although_no_other_leaves(rig: ListenerRig) -> None:
    rig.connect()
    with no_fds():
        rig.loop.poll()
    rig.loop.poll()
    assert rig.taken_in == []
    rig.loop.timers.pop().fire()
    rig.loop.poll()
    assert len(rig.taken_in) == 1
    assert rig.loop.timers == []


def test_a_client_that_waits_costs_one_try_at_a_time(rig: ListenerRig) -> None:
    rig.connect()
    with no_fds():
        for tries in range(1, 4):
            rig.loop.poll()
            rig.loop.poll()
            assert len(rig.loop.timers) == tries
            rig.loop.timers[-1].fire()


def test_a_client_that_waits_comes_in_at_once_where_another_has_left(rig: ListenerRig) -> None:
    rig.connect()
    with no_fds():
        rig.loop.poll()
    rig.listener.listen()
    assert rig.loop.timers.pop().is_cancelled
    rig.loop.poll()
    assert len(rig.taken_in) == 1


def test_a_listener_that_has_stopped_does_not_try_again(rig: ListenerRig) -> None:
    rig.connect()
    with no_fds():
        rig.loop.poll()
    rig.listener.stop()
    assert rig.loop.timers.pop().is_cancelled
