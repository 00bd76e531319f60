"""What is asked of udmabuf: as few items as there can be, and no more than it takes."""

import os
from collections.abc import Generator

import pytest

from crossdomain.abi import udmabuf as abi
from crossdomain.bridge.udmabuf import Span, Udmabuf, join_spans

PAGE = 4096
LIMIT = 1024


class FakeDevice:
    """Notes the items of the last dmabuf."""

    def __init__(self) -> None:
        self.items: list[tuple[int, ...]] = []

    def ioctl(self, _fd: int, request: int, argument: bytearray) -> int:
        """UDMABUF_CREATE_LIST."""
        assert request == abi.UDMABUF_CREATE_LIST
        flags, count = abi.CREATE_LIST.unpack_from(argument)
        assert flags == abi.UDMABUF_FLAGS_CLOEXEC
        self.items = list(abi.CREATE_ITEM.iter_unpack(argument[abi.CREATE_LIST.size :]))
        assert len(self.items) == count
        return 77


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    made = FakeDevice()
    monkeypatch.setattr("crossdomain.bridge.udmabuf.fcntl.ioctl", made.ioctl)
    return made


@pytest.fixture
def udmabuf() -> Generator[Udmabuf]:
    made = Udmabuf(os.open("/dev/null", os.O_RDWR), LIMIT, 64 << 20)
    yield made
    made.close()


def scattered(count: int) -> list[Span]:
    """Single pages of which no two are neighbours."""
    return [Span(5, 2 * index * PAGE, PAGE) for index in range(count)]


def test_neighbours_become_one_span() -> None:
    spans = [Span(5, 0, PAGE), Span(5, PAGE, 2 * PAGE), Span(5, 4 * PAGE, PAGE), Span(5, 3 * PAGE, PAGE)]
    assert join_spans(spans) == [Span(5, 0, 3 * PAGE), Span(5, 4 * PAGE, PAGE), Span(5, 3 * PAGE, PAGE)]


def test_neighbours_of_two_files_stay_two() -> None:
    spans = [Span(5, 0, PAGE), Span(6, PAGE, PAGE)]
    assert join_spans(spans) == spans


def test_a_dmabuf_is_made_of_joined_spans(device: FakeDevice, udmabuf: Udmabuf) -> None:
    assert udmabuf.create([Span(5, PAGE, PAGE), Span(5, 2 * PAGE, PAGE), Span(6, 0, PAGE)]) == 77
    assert device.items == [(5, 0, PAGE, 2 * PAGE), (6, 0, 0, PAGE)]


@pytest.mark.parametrize("count", [1, LIMIT])
def test_as_many_spans_as_the_limit_are_taken(device: FakeDevice, udmabuf: Udmabuf, count: int) -> None:
    assert udmabuf.takes(scattered(count))
    udmabuf.create(scattered(count))
    assert len(device.items) == count


def test_one_more_is_not_taken(device: FakeDevice, udmabuf: Udmabuf) -> None:
    assert not udmabuf.takes(scattered(LIMIT + 1))
    with pytest.raises(OSError, match="list too long"):
        udmabuf.create(scattered(LIMIT + 1))
    assert device.items == []


def test_the_limit_counts_joined_spans(udmabuf: Udmabuf) -> None:
    assert udmabuf.takes([Span(5, index * PAGE, PAGE) for index in range(4 * LIMIT)])


def test_as_many_bytes_as_the_limit_are_taken(udmabuf: Udmabuf) -> None:
    assert udmabuf.takes([Span(5, 0, 64 << 20)])
    assert not udmabuf.takes([Span(5, 0, 64 << 20), Span(6, 0, PAGE)])
