"""The log: a peer's complaints are limited, and what is left out is said."""

import logging

from crossdomain.host.doctor import parse_qemu_version
from crossdomain.host.logs import BURST, PER_SECOND, PeerLimit


class Clock:
    """Time in the test's hands."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def line(level: int, message: str, *arguments: object) -> logging.LogRecord:
    """One record."""
    return logging.LogRecord("crossdomain.context", level, __file__, 1, message, arguments, None)


def written(limit: PeerLimit, peer: str, count: int = 1) -> int:
    """How many of `count` complaints of that peer are written."""
    return sum(limit.filter(line(logging.WARNING, "%s: %s", peer, "bad")) for _ in range(count))


def test_a_peer_has_a_burst_and_then_a_few_lines_per_second() -> None:
    clock = Clock()
    limit = PeerLimit(clock)
    assert written(limit, "vm one, ctx 1", 10 * BURST) == BURST
    clock.now += 10
    assert written(limit, "vm one, ctx 1", 10 * BURST) == 10 * PER_SECOND


def test_all_contexts_of_a_vm_share_its_budget() -> None:
    limit = PeerLimit(Clock())
    assert sum(written(limit, f"vm one, ctx {number}") for number in range(10 * BURST)) == BURST


def test_a_loud_peer_does_not_silence_another() -> None:
    limit = PeerLimit(Clock())
    written(limit, "vm one, ctx 1", 10 * BURST)
    assert written(limit, "vm two, ctx 1") == 1


def test_what_was_left_out_is_said_in_the_next_line() -> None:
    clock = Clock()
    limit = PeerLimit(clock)
    written(limit, "vm one", BURST + 7)
    clock.now += 1
    record = line(logging.WARNING, "%s: %s", "vm one", "bad")
    assert limit.filter(record)
    assert record.getMessage() == "vm one: bad (and 7 lines like it left out)"


def test_our_own_lines_are_never_left_out() -> None:
    limit = PeerLimit(Clock())
    written(limit, "vm one", 10 * BURST)
    assert limit.filter(line(logging.ERROR, "%s: internal error", "vm one"))
    assert limit.filter(line(logging.INFO, "%s: connected", "vm one"))
    assert limit.filter(line(logging.WARNING, "no argument"))


def test_many_peers_take_bounded_memory() -> None:
    limit = PeerLimit(Clock())
    for number in range(10_000):
        written(limit, f"vm {number}")
    assert written(limit, "vm one more") == 1


def test_versions_of_qemu_are_read() -> None:
    assert parse_qemu_version("QEMU emulator version 11.1.2 (Debian 1:11.1.2+ds-1)\nCopyright") == (11, 1)
    assert parse_qemu_version("QEMU emulator version 7.2.22") == (7, 2)
    assert parse_qemu_version("") < (11, 1)
