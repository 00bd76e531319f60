"""Attachments never come after the bytes they belong to, and never too many at once."""

import pytest

from crossdomain.errors import LocalError
from launcher.relay.outgoing import MAX_ATTACHMENTS, Outgoing


def take_all(queue: Outgoing[int], max_bytes: int) -> list[tuple[bytes, list[int]]]:
    """Every transfer until the queue is empty."""
    transfers: list[tuple[bytes, list[int]]] = []
    while queue:
        data, attachments = queue.peek(max_bytes)
        queue.advance(len(data), len(attachments))
        transfers.append((bytes(data), attachments))
    return transfers


def test_bytes_come_in_order_and_no_more_than_asked_for() -> None:
    queue: Outgoing[int] = Outgoing()
    queue.append(b"abcde")
    queue.append(b"fgh")
    assert take_all(queue, 3) == [(b"abc", []), (b"def", []), (b"gh", [])]


def test_an_attachment_comes_with_the_first_byte_of_its_message() -> None:
    queue: Outgoing[int] = Outgoing()
    queue.append(b"ab")
    queue.attach(1)
    queue.append(b"cdef")
    assert take_all(queue, 2) == [(b"ab", []), (b"cd", [1]), (b"ef", [])]


def test_attachments_of_one_transfer_stay_below_the_limit() -> None:
    queue: Outgoing[int] = Outgoing()
    for number in range(MAX_ATTACHMENTS + 2):
        queue.attach(number)
        queue.append(b"x")
    transfers = take_all(queue, 1000)
    assert [len(data) for data, _ in transfers] == [MAX_ATTACHMENTS, 2]
    assert [a for _, attachments in transfers for a in attachments] == list(range(MAX_ATTACHMENTS + 2))


def test_a_transfer_that_was_taken_in_part_goes_on_where_it_stopped() -> None:
    queue: Outgoing[int] = Outgoing()
    queue.attach(1)
    queue.append(b"abcd")
    queue.attach(2)
    queue.append(b"efgh")
    assert queue.peek(100) == (bytearray(b"abcdefgh"), [1, 2])
    queue.advance(3, 2)
    assert queue.peek(100) == (bytearray(b"defgh"), [])


def test_a_message_with_more_attachments_than_a_transfer_takes_is_our_mistake() -> None:
    queue: Outgoing[int] = Outgoing()
    for number in range(MAX_ATTACHMENTS + 1):
        queue.attach(number)
    queue.append(b"x")
    with pytest.raises(LocalError):
        queue.peek(100)


def test_clear_returns_the_attachments() -> None:
    queue: Outgoing[int] = Outgoing()
    queue.attach(1)
    queue.append(b"abc")
    assert queue.clear() == [1]
    assert len(queue) == 0


def test_of_single_attachments_a_transfer_takes_one() -> None:
    queue: Outgoing[int] = Outgoing(lambda number: number > 2)
    for number in (1, 3, 2, 4, 5):
        queue.attach(number)
        queue.append(b"x")
    assert take_all(queue, 1000) == [(b"xxx", [1, 3, 2]), (b"x", [4]), (b"x", [5])]
