"""A connection to the compositor that somebody else makes."""

import socket

import pytest

from crossdomain.host.broker import Dial, Dials
from crossdomain.limits import MAX_DIALS


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


def test_one_more_than_a_broker_takes_costs_its_client_alone() -> None:
    dials = Dials()
    for _ in range(MAX_DIALS):
        dial = dials.dial()
        with pytest.raises(BlockingIOError):
            dial.connect()
        dials.hang_up(dial)  # the client has left, and the supervisor does not know
    late = dials.dial()
    with pytest.raises(BlockingIOError):
        late.connect()
    with pytest.raises(OSError, match="too many connections"):
        late.connect()
    dials.handle({"say": "refused", "dial": 1, "errno": 2, "why": "gone"}, -1)
    with pytest.raises(BlockingIOError):
        late.connect()
    with pytest.raises(BlockingIOError):
        late.connect()  # it is asked for


def test_a_connection_that_there_was_no_descriptor_for_costs_its_client_alone() -> None:
    dials = Dials()
    dial, left = dials.dial(), dials.dial()
    for each in (dial, left):
        with pytest.raises(BlockingIOError):
            each.connect()
    dials.hang_up(left)
    for number in (1, 2):
        assert dials.handle({"say": "dialled", "dial": number, "fd": True}, -1)
    with pytest.raises(OSError, match="Too many open files"):
        dial.connect()
