"""What a client has sent waits in its order, and begins with a whole message as soon as one is there."""

from random import Random

import pytest

from launcher.relay.backlog import Backlog
from launcher.relay.client_socket import RECEIVE_SIZE

LARGEST = 65532


def message(random: Random, size: int) -> bytes:
    return bytes((size & 255, size >> 8)) + random.randbytes(size - 2)


def size_of(data: bytes | bytearray) -> int | None:
    """Returns the first message's bytes; None where it is not whole."""
    size = int.from_bytes(data[:2], "little")
    return size if 2 <= len(data) >= size else None


@pytest.mark.parametrize("reads", [1, 7, 4096, RECEIVE_SIZE])
@pytest.mark.parametrize("sizes", [(24,), (8, 24, 300), (LARGEST,), (8, LARGEST, 12)])
def test_messages_come_out_whole_and_in_order(sizes: tuple[int, ...], reads: int) -> None:
    random = Random(reads)
    said = b"".join(message(random, random.choice(sizes)) for _ in range(200_000 // max(sizes)))
    backlog, taken = Backlog(), bytearray()
    for position in range(0, len(said), reads):
        backlog.append(said[position : position + reads])
        assert len(backlog) == min(position + reads, len(said)) - len(taken)
        # Now and then, as a busy compositor lets it be.
        while backlog and random.random() < 0.7 and (size := size_of(backlog.peek())) is not None:
            taken += backlog.peek()[:size]
            backlog.advance(size)
    while backlog and (size := size_of(backlog.peek())) is not None:
        taken += backlog.peek()[:size]
        backlog.advance(size)
    assert (bytes(taken), len(backlog)) == (said, 0)


def test_what_is_left_of_a_message_is_joined_with_what_follows() -> None:
    backlog = Backlog()
    backlog.append(b"a" * RECEIVE_SIZE)
    backlog.append(b"b" * 10)
    backlog.advance(RECEIVE_SIZE - 3)
    assert backlog.peek() == b"aaa" + b"b" * 10


def test_small_reads_make_no_more_chunks_than_large_ones() -> None:
    backlog = Backlog()
    for _ in range(RECEIVE_SIZE):
        backlog.append(b"x")
    assert len(backlog.peek()) == RECEIVE_SIZE
