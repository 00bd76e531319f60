"""The event loop."""

import os
import time
from collections.abc import Generator
from itertools import count

import pytest

from launcher.loop import READABLE, Loop


@pytest.fixture
def loop() -> Generator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_ready_fd_is_handled_until_the_loop_is_stopped(loop: Loop, pipe: tuple[int, int]) -> None:
    seen: list[bytes] = []

    def handle(_events: int) -> None:
        seen.append(os.read(pipe[0], 1))
        if len(seen) == 2:
            loop.stop()

    loop.add(pipe[0], READABLE, handle)
    os.write(pipe[1], b"ab")
    loop.run()
    assert seen == [b"a", b"b"]


def test_what_a_handler_removes_is_not_called_in_the_same_round(loop: Loop, pipe: tuple[int, int]) -> None:
    other_reading, other_writing = os.pipe()
    called: list[int] = []

    def handler(own: int, other: int) -> None:
        called.append(own)
        os.read(own, 1)
        loop.remove(other)

    loop.add(pipe[0], READABLE, lambda _events: handler(pipe[0], other_reading))
    loop.add(other_reading, READABLE, lambda _events: handler(other_reading, pipe[0]))
    os.write(pipe[1], b"x")
    os.write(other_writing, b"x")
    loop.drain(lambda: not called, 5)
    loop.remove(called[0])
    assert len(set(called)) == 1
    os.close(other_reading)
    os.close(other_writing)


def test_what_is_ready_of_a_closed_fd_is_not_told_to_the_next_of_its_number(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """A pipe whose reader has gone, closed by a handler that then takes in a client."""
    reading, writing = os.pipe()
    told: list[int] = []

    def close_and_reuse(_events: int) -> None:
        os.read(pipe[0], 1)
        loop.remove(writing)
        os.dup2(pipe[1], writing)
        loop.add(writing, 0, told.append)

    loop.add(pipe[0], READABLE, close_and_reuse)
    loop.add(writing, 0, told.append)
    os.write(pipe[1], b"x")
    os.close(reading)
    loop.drain(lambda: False, 5)
    loop.remove(writing)
    os.close(writing)
    assert told == []


def test_drain_returns_when_nothing_is_ready(loop: Loop, pipe: tuple[int, int]) -> None:
    loop.add(pipe[0], READABLE, lambda _events: None)
    loop.drain(lambda: False, 1000)


def test_drain_waits_while_somebody_is_busy(loop: Loop, pipe: tuple[int, int]) -> None:
    seen: list[bytes] = []
    loop.add(pipe[0], READABLE, lambda _events: seen.append(os.read(pipe[0], 1)))
    os.write(pipe[1], b"x")
    loop.drain(lambda: not seen, 1000)
    assert seen == [b"x"]


def test_drain_gives_up_where_nothing_progresses(loop: Loop, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    loop.add(pipe[0], READABLE, lambda _events: None)
    loop.drain(lambda: True, 0.05)


def test_drain_goes_on_while_there_is_progress_and_until_it_is_stopped(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    limit = 0.05
    began = time.monotonic()

    def handle(_events: int) -> None:
        if time.monotonic() - began > 4 * limit:
            loop.stop()

    os.write(pipe[1], b"x")
    loop.add(pipe[0], READABLE, handle)
    loop.drain(lambda: True, limit, count().__next__)
    assert time.monotonic() - began > 4 * limit
