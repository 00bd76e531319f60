"""The X connection: replies, errors and events find whom they are for."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdomain.errors import HostFault
from launcher.xwayland.x11.connection import Connection, XError
from launcher.xwayland.x11.setup import encode_setup, parse_setup, setup_size


def reply(sequence: int, data: bytes = b"") -> bytes:
    """A reply with data behind its 32 bytes."""
    return struct.pack("<BBHI24x", 1, 0, sequence & 0xFFFF, len(data) // 4) + data


def error(sequence: int) -> bytes:
    """BadWindow."""
    return struct.pack("<BBHIHB21x", 0, 3, sequence & 0xFFFF, 0x123, 0, 8)


EVENT = bytes([28]) + bytes(31)
REQUEST = struct.pack("<BBH", 127, 0, 1)


def make() -> tuple[Connection, list[object]]:
    """A connection, and what came out of it."""
    heard: list[object] = []
    return Connection(heard.append), heard


def test_replies_come_to_who_asked() -> None:
    connection, heard = make()
    connection.request(REQUEST)
    connection.ask(REQUEST, lambda data: heard.append(("first", len(data))))
    connection.ask(REQUEST, lambda data: heard.append(("second", len(data))))
    connection.receive(reply(2, b"data") + EVENT + reply(3))
    assert heard == [("first", 36), EVENT, ("second", 32)]


def test_a_request_may_fail_without_anybody_caring() -> None:
    connection, heard = make()
    connection.request(REQUEST)
    connection.ask(REQUEST, lambda data: heard.append(len(data)))
    connection.receive(error(1) + reply(2))
    assert heard == [32]


def test_who_cares_is_told() -> None:
    connection, heard = make()
    connection.request(REQUEST, heard.append)
    connection.ask(REQUEST, lambda _data: heard.append("reply"), heard.append)
    connection.receive(error(1) + error(2))
    assert heard == [XError(3, 8, 0, 0x123)] * 2


def test_requests_without_an_answer_are_forgotten_with_the_next_answer() -> None:
    connection, heard = make()
    connection.request(REQUEST, heard.append)
    connection.ask(REQUEST, lambda _data: heard.append("reply"))
    connection.receive(reply(2))
    assert heard == ["reply"]


def test_a_hundred_thousand_requests_in_a_row_keep_the_count() -> None:
    connection, heard = make()
    for _ in range(100_000):
        connection.request(REQUEST)
    connection.ask(REQUEST, lambda _data: heard.append("reply"))
    sent = bytes(connection.outgoing)
    sequence = 0
    for position in range(0, len(sent), 4):
        sequence += 1
        if sent[position] == 43:  # GetInputFocus, which keeps the count
            connection.receive(reply(sequence))
    connection.receive(reply(sequence))
    assert heard == ["reply"]


@given(st.lists(st.integers(1, 50), max_size=40))
def test_bytes_may_come_in_any_pieces(sizes: list[int]) -> None:
    connection, heard = make()
    connection.ask(REQUEST, lambda data: heard.append(len(data)))
    connection.request(REQUEST)
    connection.ask(REQUEST, lambda data: heard.append(len(data)))
    stream = EVENT + reply(1, bytes(20)) + EVENT + error(2) + reply(3)
    for size in (*sizes, len(stream)):
        connection.receive(stream[:size])
        stream = stream[size:]
    assert heard == [EVENT, 52, EVENT, 32]


def test_an_endless_reply_is_the_servers_fault() -> None:
    connection, _ = make()
    with pytest.raises(HostFault):
        connection.receive(struct.pack("<BBHI24x", 1, 0, 1, 0xFFFFFFFF))


def test_the_setup_of_a_real_server() -> None:
    vendor = b"The X.Org Foundation"
    formats = bytes(8 * 7)
    fixed = struct.pack(
        "<IIIIHHBBBBBBBBI",
        12201009,
        0x200000,
        0x1FFFFF,
        256,
        len(vendor),
        65535,
        1,
        7,
        0,
        0,
        32,
        32,
        8,
        255,
        0,
    )
    screen = struct.pack(
        "<IIIIIHHHHHHIBBBB", 0x52C, 0x20, 0xFFFFFF, 0, 0, 1024, 768, 271, 203, 1, 1, 0x21, 0, 0, 24, 2
    )
    body = fixed + vendor + formats + screen
    data = struct.pack("<BBHHH", 1, 0, 11, 0, len(body) // 4) + body
    assert setup_size(data[:5]) == 8
    assert setup_size(data) == len(data)
    setup = parse_setup(data)
    assert (setup.resource_id_base, setup.resource_id_mask, setup.root) == (0x200000, 0x1FFFFF, 0x52C)
    assert (setup.width, setup.height, setup.root_depth) == (1024, 768, 24)


def test_a_refusal_says_why() -> None:
    reason = b"No protocol specified\n\0\0"
    data = struct.pack("<BBHHH", 0, 22, 11, 0, len(reason) // 4) + reason
    with pytest.raises(HostFault, match="No protocol specified"):
        parse_setup(data)


def test_a_truncated_setup_is_the_servers_fault() -> None:
    with pytest.raises(HostFault):
        parse_setup(struct.pack("<BBHHH", 1, 0, 11, 0, 1) + bytes(4))


def test_the_cookie_is_in_the_first_bytes() -> None:
    data = encode_setup(b"0123456789abcdef")
    assert data[:1] == b"l"
    assert data.endswith(b"MIT-MAGIC-COOKIE-1\0\0" + b"0123456789abcdef")
