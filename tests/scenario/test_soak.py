"""The soak in its shortest form, and that it finds what it is for."""

import os
from collections.abc import Generator
from contextlib import closing

import pytest

from tests.fakes.clipboard import Copier, Paster
from tests.soak.__main__ import soak
from tests.soak.desk import Desk, running_desk


@pytest.fixture(scope="module")
def desk() -> Generator[Desk]:
    with running_desk() as running:
        yield running


def test_nothing_grows_in_a_dozen_rounds_of_everything(desk: Desk) -> None:
    assert [str(growth) for growth in soak(desk, 0) if growth.is_too_much] == []


def test_a_pipe_that_is_left_in_each_round_is_found(desk: Desk) -> None:
    """Its writer has written and left, its reader reads nothing, and the daemon keeps what is on the way."""
    held: list[int] = []

    def leave_a_pipe(desk: Desk, number: int) -> None:
        with closing(Copier(desk.proxied(number))) as copier, closing(Paster(desk.direct)) as paster:
            copier.copy()
            paster.wait_offer()
            held.append(paster.paste())
            (writing,) = copier.wait_asked()
            os.write(writing, bytes(65536))
            os.write(writing, bytes(1000))
            os.close(writing)

    grown = {
        (growth.process, growth.number) for growth in soak(desk, 0, [leave_a_pipe]) if growth.is_too_much
    }
    for fd in held:
        os.close(fd)
    assert grown == {("daemon", "fds"), ("daemon", "pipes")}
