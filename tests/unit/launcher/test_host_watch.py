"""A host that answers is left alone, one that does not is found dead."""

import os
from collections.abc import Generator

import pytest

from launcher.loop import Loop
from launcher.relay import host_watch
from launcher.relay.host_watch import HostWatch


class Host:
    """Proves that it lives, or does not."""

    def __init__(self) -> None:
        self.asked = 0
        self.proofs: list[int] = []
        self.lives = True
        self.is_known = True

    def prove(self) -> int:
        """See `Channel`."""
        self.asked += 1
        if not self.is_known:
            return -1
        # The watch closes its own.
        proof = os.eventfd(int(self.lives))
        self.proofs.append(proof)
        return proof


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Generator[Loop]:
    for name in ("FIRST_SECONDS", "EVERY_SECONDS", "PATIENCE_SECONDS"):
        monkeypatch.setattr(host_watch, name, 0.01)
    made = Loop()
    yield made
    made.close()


def test_a_host_that_answers_is_asked_again_and_again(loop: Loop) -> None:
    host = Host()

    def prove() -> int:
        if host.asked == 3:
            loop.stop()
        return host.prove()

    watch = HostWatch(loop, prove, lambda: pytest.fail("it lives"))
    watch.begin()
    loop.run()
    watch.end()
    assert host.asked == 4


def test_a_host_that_does_not_answer_is_dead(loop: Loop) -> None:
    host = Host()
    host.lives = False
    watch = HostWatch(loop, host.prove, loop.stop)
    watch.begin()
    loop.run()
    assert host.asked == 1


def test_a_refused_command_tells_the_same(loop: Loop) -> None:
    def prove() -> int:
        raise OSError("no device")

    watch = HostWatch(loop, prove, loop.stop)
    watch.begin()
    loop.run()


def test_who_can_not_be_asked_is_asked_once(loop: Loop) -> None:
    host = Host()
    host.is_known = False
    watch = HostWatch(loop, host.prove, lambda: pytest.fail("nothing is known of it"))
    watch.begin()
    loop.call_later(0.1, loop.stop)
    loop.run()
    assert host.asked == 1


def test_one_that_was_turned_off_asks_nothing(loop: Loop) -> None:
    host = Host()
    watch = HostWatch(loop, host.prove, lambda: pytest.fail("it was turned off"))
    watch.begin()
    watch.end()
    loop.call_later(0.1, loop.stop)
    loop.run()
    assert host.asked == 0
