"""The cross-domain layouts: sizes and offsets of the specification, and what both sides parse."""

import struct

import pytest

from crossdomain.abi import cross_domain as abi
from crossdomain.abi.cross_domain import Identifier, IdentifierType, ReadWrite, SendReceive
from crossdomain.errors import GuestFault, HostFault

BLOBS = tuple(Identifier(number, IdentifierType.VIRTGPU_BLOB, number * 10) for number in range(1, 29))


def test_sizes_are_those_of_the_protocol() -> None:
    sizes = (abi.HEADER.size, abi.INIT_LEGACY.size, abi.INIT.size, abi.GET_IMAGE_REQUIREMENTS.size)
    assert sizes == (8, 16, 20, 24)
    assert (abi.SEND_RECEIVE_SIZE, abi.READ_WRITE_SIZE, abi.IMAGE_REQUIREMENTS.size) == (352, 24, 64)
    assert (abi.CAPSET.size, abi.CAPSET.size + abi.EXTENSION.size) == (16, 32)


def test_a_send_has_its_arrays_one_after_the_other() -> None:
    send = abi.encode_send(b"data", BLOBS[:2])
    assert struct.unpack_from("<BBHIII", send) == (4, 0, 356, 0, 2, 4)
    assert struct.unpack_from("<3I", send, 16) == (1, 2, 0)
    assert struct.unpack_from("<3I", send, 16 + 112) == (1, 1, 0)
    assert struct.unpack_from("<3I", send, 16 + 224) == (10, 20, 0)
    assert send[352:] == b"data"


@pytest.mark.parametrize("count", [0, 1, 27, 28])
def test_sends_and_receives_are_parsed_as_encoded(count: int) -> None:
    parsed = abi.parse_send(memoryview(abi.encode_send(b"data", BLOBS[:count])))
    assert parsed == SendReceive(BLOBS[:count], memoryview(b"data"))
    assert abi.parse_event(abi.encode_receive(b"data", BLOBS[:count])) == parsed


def test_writes_and_reads_are_parsed_as_encoded() -> None:
    expected = ReadWrite(7, True, memoryview(b"data"), 5)
    assert abi.parse_write(memoryview(abi.encode_write(7, b"data", hang_up=True, credit=5))) == expected
    assert abi.parse_event(abi.encode_read(7, b"data", hang_up=True, credit=5)) == expected


def test_what_follows_an_event_in_its_ring_is_not_looked_at() -> None:
    ring = bytearray(b"\xff" * 4096)
    ring[:356] = abi.encode_receive(b"data")
    assert abi.parse_event(ring).data == memoryview(b"data")


@pytest.mark.parametrize("length", range(352))
def test_an_event_cut_at_any_length_is_the_hosts_fault(length: int) -> None:
    with pytest.raises(HostFault):
        abi.parse_event(abi.encode_receive(b"data")[:length])


@pytest.mark.parametrize("cmd", [0, 1, 2, 3, 4, 7, 8, 255])
def test_other_events_are_the_hosts_fault(cmd: int) -> None:
    with pytest.raises(HostFault, match=f"event {cmd} "):
        abi.parse_event(bytes([cmd]) + bytes(4095))


def test_data_beyond_the_ring_is_the_hosts_fault() -> None:
    ring = bytearray(4096)
    ring[:352] = abi.encode_receive(bytes(3745))[:352]
    with pytest.raises(HostFault, match="3745 bytes of data where 3744"):
        abi.parse_event(ring)


def test_28_identifiers_are_parsed_and_29_refused() -> None:
    send = bytearray(abi.encode_send(b"", BLOBS))
    struct.pack_into("<I", send, 8, 29)
    with pytest.raises(GuestFault, match="29 identifiers"):
        abi.parse_send(memoryview(send))


def test_a_received_ring_larger_than_cmd_size_can_say_is_parsed() -> None:
    assert len(abi.parse_event(abi.encode_receive(bytes(100_000))).data) == 100_000


def test_our_capset_is_understood_by_those_who_know_it() -> None:
    capset = abi.encode_capset(2, features=abi.Feature.MAX_SEND | abi.Feature.PIPE_CREDIT)
    assert len(capset) == 32
    assert abi.parse_capset(capset) == abi.Capset(1, 2, False, 3, 60000)


@pytest.mark.parametrize("size", range(16, 32))
def test_a_capset_without_extension_means_the_common_limits(size: int) -> None:
    capset = abi.encode_capset(2, features=3)[:size]
    assert abi.parse_capset(capset) == abi.Capset(1, 2, False, 0, 3744)


def test_an_extension_of_somebody_else_is_not_ours() -> None:
    assert abi.parse_capset(abi.encode_capset(2, features=3)[:16] + b"ELSE" + bytes(12)).max_send == 3744


@pytest.mark.parametrize("size", range(16))
def test_a_capset_cut_short_is_the_hosts_fault(size: int) -> None:
    with pytest.raises(HostFault):
        abi.parse_capset(bytes(size))


def test_image_requirements_are_parsed_as_encoded() -> None:
    requirements = abi.ImageRequirements((1, 2, 3, 4), (5, 6, 7, 8), 1 << 40, 1 << 33, 9)
    encoded = abi.encode_image_requirements(requirements)
    assert struct.unpack_from("<QQIIii", encoded, 32) == (1 << 40, 1 << 33, 9, 0, 0, -1)
    assert abi.parse_image_requirements(encoded) == requirements
    with pytest.raises(HostFault):
        abi.parse_image_requirements(encoded[:63])


@pytest.mark.parametrize(
    "command",
    [
        abi.encode_poll(),
        abi.encode_init(1, 2),
        abi.encode_get_image_requirements(1, 1, 1),
        abi.encode_send(b"x"),
    ],
)
def test_every_command_says_its_own_size(command: bytes) -> None:
    assert abi.parse_header(memoryview(command)) == (command[0], len(command))
