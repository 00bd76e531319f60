"""A connection to the compositor that somebody else makes."""

import socket

import pytest

from crossdomain.host.broker import Dial


def test_what_comes_for_a_client_that_is_over_is_closed() -> None:
    ours, theirs = socket.socketpair()
    dial = Dial(lambda: None)
    dial.ready = lambda: None  # it has been refused meanwhile
    with pytest.raises(BlockingIOError):
        dial.connect()
    dial.take(ours, None)
    with theirs:
        assert theirs.recv(1) == b""


def test_it_is_asked_for_once_until_it_comes() -> None:
    asked: list[int] = []
    dial = Dial(lambda: asked.append(1))
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            dial.connect()
    assert asked == [1]
    ours, theirs = socket.socketpair()
    dial.take(ours, None)
    with theirs, dial.connect() as connection:
        assert connection is ours
