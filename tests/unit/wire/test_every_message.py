"""Every request and event that the tables know, whole, cut at each length, and byte by byte."""

import pytest

from crossdomain.wire.codec import decode_arguments, encode_message
from crossdomain.wire.engine import Direction, Walker
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.tables import Tables, load
from tests.unit.wire.traffic import SUBJECT_ID, Sample, samples

every_interface = pytest.mark.parametrize("interface", load().names())


def walker_before(walker_class: type[Walker], tables: Tables, sample: Sample) -> Walker:
    """A walker that has seen everything that comes before the sample, and records it."""
    interest = [(sample.interface, sample.direction, sample.message.name)]
    walker = walker_class(tables, interest, strict=True)
    walk = walker.walk(Direction.REQUEST, sample.setup)
    assert (walk.consumed, walk.fault) == (len(sample.setup), None)
    return walker


def resized(data: bytes, size: int) -> bytes:
    """The message cut or filled up to `size` bytes, and saying so in its header."""
    return data[:6] + size.to_bytes(2, "little") + data[8:size].ljust(size - 8, b"\0")


@every_interface
def test_a_message_survives_decoding_and_encoding(tables: Tables, interface: str) -> None:
    for sample in samples(tables, interface):
        values = decode_arguments(sample.message, sample.data)
        assert encode_message(sample.message, SUBJECT_ID, *values) == sample.data


@every_interface
def test_a_whole_message_is_recorded_with_its_fds(
    walker_class: type[Walker], tables: Tables, interface: str
) -> None:
    for sample in samples(tables, interface):
        walker = walker_before(walker_class, tables, sample)
        walk = walker.walk(sample.direction, sample.data)
        assert (walk.consumed, walk.fault) == (len(sample.data), None)
        expected = (
            0,
            len(sample.data),
            SUBJECT_ID,
            tables.index(interface),
            sample.message.opcode,
            sample.fds,
            0,
        )
        assert [record[:7] for record in walk.records] == [expected]


@every_interface
def test_an_incomplete_message_waits_for_the_rest(
    walker_class: type[Walker], tables: Tables, interface: str
) -> None:
    for sample in samples(tables, interface):
        walker = walker_before(walker_class, tables, sample)
        for length in range(len(sample.data)):
            assert walker.walk(sample.direction, sample.data[:length]) == (0, [], None, 0)
        assert walker.walk(sample.direction, sample.data).consumed == len(sample.data)


@every_interface
def test_a_message_of_any_other_size_is_refused(
    walker_class: type[Walker], tables: Tables, interface: str
) -> None:
    for sample in samples(tables, interface):
        walker = walker_before(walker_class, tables, sample)
        for size in {*range(8, len(sample.data) + 9)} - {len(sample.data)}:
            walk = walker.walk(sample.direction, resized(sample.data, size))
            assert (walk.consumed, walk.records) == (0, [])
            assert walk.fault is not None
            assert (walk.fault.object_id, walk.fault.code) == (1, DisplayError.INVALID_METHOD)
        assert walker.walk(sample.direction, sample.data).fault is None


@every_interface
def test_the_codec_refuses_any_other_size(tables: Tables, interface: str) -> None:
    for sample in samples(tables, interface):
        for size in {*range(8, len(sample.data) + 9)} - {len(sample.data)}:
            with pytest.raises(WireFault):
                decode_arguments(sample.message, resized(sample.data, size))
        for length in range(len(sample.data)):
            with pytest.raises(WireFault):
                decode_arguments(sample.message, sample.data[:length])


@every_interface
def test_a_stream_that_comes_byte_by_byte_is_walked_the_same(
    walker_class: type[Walker], tables: Tables, interface: str
) -> None:
    for sample in samples(tables, interface):
        walker = walker_before(walker_class, tables, sample)
        pending, found = b"", 0
        for byte in sample.data:
            pending += bytes([byte])
            walk = walker.walk(sample.direction, pending)
            assert walk.fault is None
            pending = pending[walk.consumed :]
            found += len(walk.records)
        assert (pending, found) == (b"", 1)
