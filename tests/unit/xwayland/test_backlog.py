"""What Xwayland sends has room at once, and is handled in its order."""

import array
import os
import socket
from collections.abc import Generator

import pytest

from launcher.relay.client_socket import ClientSocket
from launcher.xwayland.backlog import Backlog


class Ends:
    """Xwayland's end of a socket, which holds little, and ours."""

    def __init__(self) -> None:
        self.theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        self.theirs.setblocking(False)
        self.ours = ClientSocket(ours)
        self.backlog = Backlog(self.ours)

    def take_all(self) -> bytes:
        """Everything that is there now."""
        return b"".join(iter(lambda: self.backlog.take() or b"", b""))


@pytest.fixture
def ends() -> Generator[Ends]:
    made = Ends()
    yield made
    made.theirs.close()
    made.ours.close()


def fill_socket(ends: Ends) -> bytes:
    """Send until there is no room."""
    sent = b""
    while True:
        part = os.urandom(1000)
        try:
            sent += part[: ends.theirs.send(part)]
        except BlockingIOError:
            return sent


def test_what_was_taken_makes_room_for_more(ends: Ends) -> None:
    sent = b""
    for _ in range(50):
        sent += fill_socket(ends)
        ends.backlog.fill()
    assert ends.take_all() == sent


def test_little_is_given_at_a_time(ends: Ends) -> None:
    ends.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ends.theirs.send(bytes(10000))
    ends.backlog.fill()
    assert [len(ends.backlog.take() or b"") for _ in range(4)] == [4096, 4096, 1808, 0]


def test_nothing_and_the_end_are_told_apart(ends: Ends) -> None:
    ends.backlog.fill()
    assert ends.backlog.take() is None
    ends.theirs.send(b"last")
    ends.theirs.close()
    ends.backlog.fill()
    assert [ends.backlog.take(), ends.backlog.take(), ends.backlog.take()] == [b"last", b"", None]


def test_more_fds_than_it_may_have_wait_in_the_socket(ends: Ends) -> None:
    backlog = Backlog(ends.ours, max_fds=10)
    with open(os.devnull, "rb") as file:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()] * 4))]
        for _ in range(5):
            ends.theirs.sendmsg([b"x"], rights)
    backlog.fill()
    assert len(ends.ours.fds) == 12
    while ends.ours.fds:
        os.close(ends.ours.fds.popleft())
    backlog.fill()
    assert len(ends.ours.fds) == 8
