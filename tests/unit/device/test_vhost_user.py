"""The vhost-user codec: every message in pieces, too long, too short, and with fds where none belong."""

import os
import struct

import pytest

from crossdomain.abi import vhost_user as abi
from crossdomain.device.vhost_user import (
    BACKEND_REPLIES,
    REQUESTS,
    Decoder,
    Message,
    Region,
    encode_reply,
    encode_reply_u64,
    encode_request,
    encode_shmem_config,
    parse_mem_table,
)
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_VHOST_USER_PAYLOAD


def feed(decoder: Decoder, stream: bytes, fds: list[int] | None = None) -> list[Message]:
    """Gives the decoder all of `stream`, in the pieces that it wants; the fds with the first."""
    messages: list[Message] = []
    while stream:
        size = decoder.wanted
        message = decoder.feed(stream[:size], fds or [])
        fds = None
        stream = stream[size:]
        if message is not None:
            messages.append(message)
    return messages


def requests() -> Decoder:
    """The main channel's decoder."""
    return Decoder(REQUESTS, replies=False)


def is_open(fd: int) -> bool:
    """Whether the fd is still there."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("request_id", sorted(REQUESTS))
def test_every_request_is_taken_with_its_smallest_and_largest_payload(request_id: int) -> None:
    shape = REQUESTS[request_id]
    for size in (shape.smallest, shape.largest):
        payload = bytes(range(256)) * 9
        stream = encode_request(request_id, payload[:size], needs_reply=True)
        (message,) = feed(requests(), stream)
        assert message == (request_id, True, payload[:size], [])


@pytest.mark.parametrize("request_id", sorted(REQUESTS))
def test_a_request_one_byte_too_long_or_too_short_ends_the_connection(request_id: int) -> None:
    shape = REQUESTS[request_id]
    with pytest.raises(HostFault, match=f"message {request_id} of {shape.largest + 1} bytes"):
        feed(requests(), encode_request(request_id, bytes(shape.largest + 1)))
    if shape.smallest:
        with pytest.raises(HostFault, match=f"message {request_id} of {shape.smallest - 1} bytes"):
            feed(requests(), encode_request(request_id, bytes(shape.smallest - 1)))


def test_messages_arrive_byte_by_byte() -> None:
    stream = encode_request(2, struct.pack("<Q", 7)) + encode_request(1, b"") + encode_request(16, bytes(8))
    decoder = requests()
    whole = [m for byte in stream if (m := decoder.feed(bytes([byte]))) is not None]
    assert [m.request for m in whole] == [2, 1, 16]
    assert whole[0].payload == struct.pack("<Q", 7)
    assert decoder.idle


def test_a_decoder_never_wants_bytes_of_the_next_message() -> None:
    decoder = requests()
    first = encode_request(2, bytes(8))
    assert decoder.wanted == 12
    decoder.feed(first[:5])
    assert (decoder.wanted, decoder.idle) == (7, False)
    decoder.feed(first[5:12])
    assert (decoder.wanted, decoder.idle) == (8, False)
    decoder.feed(first[12:])
    assert (decoder.wanted, decoder.idle) == (12, True)


def test_an_unknown_request_is_handed_on_up_to_the_limit() -> None:
    (message,) = feed(requests(), encode_request(99, bytes(MAX_VHOST_USER_PAYLOAD)))
    assert (message.request, len(message.payload)) == (99, MAX_VHOST_USER_PAYLOAD)
    with pytest.raises(HostFault):
        feed(requests(), encode_request(99, bytes(MAX_VHOST_USER_PAYLOAD + 1)))


@pytest.mark.parametrize("version", [0, 2, 3])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(HostFault, match=f"version {version}"):
        requests().feed(struct.pack("<III", 1, version, 0))


def test_a_reply_among_requests_and_a_request_among_replies_are_refused() -> None:
    with pytest.raises(HostFault, match="wrong way"):
        feed(requests(), encode_reply(1, b""))
    with pytest.raises(HostFault, match="wrong way"):
        feed(Decoder(BACKEND_REPLIES, replies=True), encode_request(9, bytes(8)))


def test_the_vmms_answer_is_a_message_of_the_back_end_channel() -> None:
    (message,) = feed(Decoder(BACKEND_REPLIES, replies=True), encode_reply_u64(9, 1))
    assert (message.request, message.payload) == (9, struct.pack("<Q", 1))


def test_fds_belong_to_the_message_that_they_came_with() -> None:
    fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    (message,) = feed(requests(), encode_request(abi.VHOST_USER_SET_VRING_KICK, bytes(8)), [fd])
    assert message.fds == [fd]
    message.close_fds()
    assert not is_open(fd)


def test_more_fds_than_a_message_may_have_are_closed() -> None:
    fds = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(2)]
    decoder = requests()
    with pytest.raises(HostFault, match="message 12 with 2 fds"):
        feed(decoder, encode_request(abi.VHOST_USER_SET_VRING_KICK, bytes(8)), fds)
    decoder.close()
    assert not any(is_open(fd) for fd in fds)


def test_fds_in_the_middle_of_a_message_are_closed() -> None:
    stream = encode_request(abi.VHOST_USER_SET_VRING_KICK, bytes(8))
    for cut in range(1, len(stream)):
        fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        decoder = requests()
        assert feed(decoder, stream[:cut]) == []
        with pytest.raises(HostFault, match="in the middle"):
            decoder.feed(stream[cut : cut + 1], [fd])
        assert not is_open(fd)


def test_a_message_that_never_becomes_whole_gives_its_fds_up() -> None:
    fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    decoder = requests()
    assert feed(decoder, encode_request(abi.VHOST_USER_SET_VRING_KICK, bytes(8))[:15], [fd]) == []
    decoder.close()
    assert not is_open(fd)


def test_a_memory_table_lists_its_regions() -> None:
    regions = [Region(0, 4096, 0x7F0000000000, 0), Region(1 << 32, 8192, 0x7F0000100000, 4096)]
    payload = struct.pack("<I4x", 2) + b"".join(struct.pack("<QQQQ", *r) for r in regions)
    assert parse_mem_table(payload) == regions
    assert parse_mem_table(payload + bytes(32)) == regions


@pytest.mark.parametrize("count", [3, 9, 0xFFFFFFFF])
def test_a_memory_table_that_counts_more_than_it_holds_is_refused(count: int) -> None:
    with pytest.raises(HostFault, match=f"says {count} regions"):
        parse_mem_table(struct.pack("<I4x", count) + bytes(2 * 32))


def test_the_shared_memory_table_has_fixed_size_and_counts_what_is_there() -> None:
    payload = encode_shmem_config({1: 1 << 30})
    assert len(payload) == 8 + 2048
    fields = struct.unpack("<I4x256Q", payload)
    assert fields[0] == 1
    assert fields[1 + 1] == 1 << 30
    assert sum(fields[1:]) == 1 << 30
