"""Titles and selections in the encodings that X has had."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.xwayland.limits import MAX_TITLE
from launcher.xwayland.model.text import clean_title, decode_compound, decode_latin1, decode_utf8


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        (b"caf\xe9", "café"),
        (b"\x1b-F\xe1\xe2", "αβ"),
        (b"\x1b-L\xbf\xe0\xd8", "При"),
        (b"\x1b$(B\x46\x7c\x4b\x5c\x1b(B!", "日本!"),
        (b"\x1b$)C\xc7\xd1\xb1\xdb", "한글"),
        (b"\x1b$)A\xd6\xd0\xce\xc4", "中文"),
        (b"a\x1b%G\xe2\x82\xac\x1b%@b", "a€b"),
        (b"\x1b%/1\x80\x8ciso8859-15\x02\xa4", "€"),
        (b"\x9b2]\x1b-H\xf9\x9b]", "ש"),
        (b"\x1b(Bx\x1b)Iy", "xy"),
        (b"\x1bzodd", "zodd"),
        (b"\x1b%/1\xff\xffiso8859-77\x02cut", "\N{REPLACEMENT CHARACTER}"),
        (b"\x1b%/1\x80\x87rot13\x02x", "\N{REPLACEMENT CHARACTER}"),
        (b"\x1b", ""),
    ],
)
def test_compound_text(data: bytes, text: str) -> None:
    assert decode_compound(data) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_some_compound_text(data: bytes) -> None:
    assert len(decode_compound(data)) <= len(data) + 1


def test_utf8_that_is_called_latin_is_read_all_the_same() -> None:
    assert decode_latin1("grün".encode()) == "grün"
    assert decode_latin1(b"gr\xfcn") == "grün"


def test_broken_utf8_is_shown() -> None:
    assert decode_utf8(b"a\xffb") == "a\N{REPLACEMENT CHARACTER}b"


def test_a_title_is_one_line_of_bounded_length() -> None:
    assert clean_title(" a\nb\x1b\0rest") == "a b"
    assert len(clean_title("x" * 100000)) == MAX_TITLE
