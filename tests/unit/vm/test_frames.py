"""Frames between host and agent survive any cut of the stream, and nonsense is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdomain.vm import frames
from crossdomain.vm.frames import Frame, FrameError, encode_frame, pack_strings, take_frames, unpack_strings

FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 0xFFFFFFFF), st.binary(max_size=200))


@given(st.lists(FRAMES, max_size=8), st.integers(1, 50))
def test_frames_arrive_whole_however_the_stream_is_cut(sent: list[Frame], piece: int) -> None:
    stream = b"".join(encode_frame(*frame) for frame in sent)
    buffer = bytearray()
    received: list[Frame] = []
    for begin in range(0, len(stream), piece):
        buffer += stream[begin : begin + piece]
        received += take_frames(buffer)
    assert received == sent
    assert not buffer


def test_the_largest_payload_passes() -> None:
    payload = bytes(frames.MAX_PAYLOAD)
    assert take_frames(bytearray(encode_frame(1, 1, payload))) == [Frame(1, 1, payload)]


def test_a_larger_payload_is_refused_before_it_arrived() -> None:
    header = encode_frame(1, 1, bytes(frames.MAX_PAYLOAD + 1))[:12]
    with pytest.raises(FrameError):
        take_frames(bytearray(header))


@given(st.lists(st.text(), max_size=6))
def test_strings_come_back(strings: list[str]) -> None:
    encodable = [text.encode("utf-8", "replace").decode() for text in strings]
    assert unpack_strings(pack_strings(encodable)) == encodable


def test_a_file_name_that_is_no_utf8_comes_back() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert unpack_strings(pack_strings([name])) == [name]


@pytest.mark.parametrize("length", [1, 3, 4, 8])
def test_cut_strings_are_refused(length: int) -> None:
    with pytest.raises(FrameError):
        unpack_strings(pack_strings(["hello"])[:length])
