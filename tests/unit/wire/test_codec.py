"""Single messages to bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdomain.errors import LocalError
from crossdomain.wire.codec import (
    Value,
    decode_arguments,
    decode_header,
    encode_message,
    integer,
    split_messages,
    text,
)
from crossdomain.wire.faults import WireFault
from crossdomain.wire.tables import Argument, ArgumentKind, Message, load

EVERYTHING = Message(
    "everything",
    3,
    1,
    False,
    (
        Argument(ArgumentKind.INT, None, False),
        Argument(ArgumentKind.STRING, None, True),
        Argument(ArgumentKind.FD, None, False),
        Argument(ArgumentKind.ARRAY, None, False),
        Argument(ArgumentKind.FIXED, None, False),
        Argument(ArgumentKind.OBJECT, None, True),
        Argument(ArgumentKind.UINT, None, False),
    ),
)
TITLE = load().interface("xdg_toplevel").requests[2]
ATTACH = load().interface("wl_surface").requests[1]

signed = st.integers(-(2**31), 2**31 - 1)
unsigned = st.integers(0, 2**32 - 1)
strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def test_bytes_are_those_of_the_wire_format() -> None:
    assert encode_message(TITLE, 9, "abcd") == bytes.fromhex("09000000 0200 1400 05000000 61626364 00000000")
    assert encode_message(ATTACH, 3, 0, -1, 2) == bytes.fromhex(
        "03000000 0100 1400 00000000 ffffffff 02000000"
    )


@given(signed, st.none() | strings, st.binary(max_size=20), signed, unsigned, unsigned)
def test_any_values_come_back(i: int, s: str | None, a: bytes, f: int, o: int, u: int) -> None:
    values: tuple[Value, ...] = (i, s, None, a, f, o, u)
    data = encode_message(EVERYTHING, 7, *values)
    assert len(data) % 4 == 0
    assert decode_header(data) == (7, 3, len(data))
    assert decode_arguments(EVERYTHING, b"...." + data, offset=4) == values


def test_bytes_that_are_no_utf8_come_back() -> None:
    data = encode_message(TITLE, 9, "xyz").replace(b"xyz", b"\xff\xfe\x80")
    (title,) = decode_arguments(TITLE, data)
    assert encode_message(TITLE, 9, title) == data


@given(st.binary(max_size=64))
def test_bytes_are_a_fault_or_values_that_can_be_sent_on(data: bytes) -> None:
    try:
        values = decode_arguments(EVERYTHING, data)
    except WireFault:
        return
    assert decode_arguments(EVERYTHING, encode_message(EVERYTHING, 7, *values)) == values


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (TITLE, ()),
        (TITLE, (None,)),
        (TITLE, ("a\0b",)),
        (TITLE, (5,)),
        (TITLE, ("x" * 65536,)),
        (ATTACH, (0, 2**31, 0)),
        (ATTACH, (-1, 0, 0)),
        (ATTACH, (2**32, 0, 0)),
        (ATTACH, ("a", 0, 0)),
        (load().interface("wl_display").requests[0], (0,)),
        (load().interface("wl_keyboard").events[0], (1, 5, 4096)),
        (load().interface("wl_keyboard").events[1], (1, 2, "array")),
    ],
)
def test_values_that_do_not_fit_are_our_mistake(message: Message, values: tuple[Value, ...]) -> None:
    with pytest.raises(LocalError):
        encode_message(message, 3, *values)


def test_the_longest_message_is_as_long_as_the_size_field_can_say() -> None:
    longest = encode_message(TITLE, 9, "x" * (65532 - 13))
    assert len(longest) == 65532
    assert decode_arguments(TITLE, longest) == ("x" * (65532 - 13),)
    with pytest.raises(LocalError):
        encode_message(TITLE, 9, "x" * (65532 - 12))


def test_a_header_needs_eight_bytes() -> None:
    data = encode_message(TITLE, 9, "title")
    assert decode_header(data[:7]) is None
    assert decode_header(data[:8]) == (9, 2, len(data))


def test_arguments_are_narrowed_or_our_mistake() -> None:
    assert (integer(5), text("five")) == (5, "five")
    with pytest.raises(LocalError):
        integer("five")
    with pytest.raises(LocalError):
        text(None)


@given(st.lists(strings, max_size=4), st.integers(0, 11))
def test_whole_messages_are_split_from_what_is_left(titles: list[str], left: int) -> None:
    messages = [encode_message(TITLE, 9, title) for title in titles]
    begun = encode_message(TITLE, 9, "abcd")[:left]
    split, rest = split_messages(b"".join(messages) + begun)
    assert [message for _header, message in split] == messages
    assert [header.size for header, _message in split] == list(map(len, messages))
    assert rest == begun


def test_a_message_of_an_impossible_size_is_told() -> None:
    with pytest.raises(WireFault):
        split_messages(encode_message(TITLE, 9, "abcd") + bytes.fromhex("09000000 0200 0400"))
