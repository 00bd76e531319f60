"""Guest memory: what can be named, and what happens to regions."""

import os
from collections.abc import Generator

import pytest

from crossdomain.device.memory import GuestMemory
from crossdomain.device.vhost_user import Region
from crossdomain.errors import GuestFault, HostFault, LimitExceeded
from crossdomain.limits import MAX_MEMORY_REGIONS

PAGE = 4096
HIGH = 1 << 32
USER = 0x7F0000000000


@pytest.fixture
def ram() -> Generator[int]:
    """A file of 16 pages, each full of its number."""
    fd = os.memfd_create("ram", os.MFD_CLOEXEC)
    os.write(fd, b"".join(bytes([n]) * PAGE for n in range(16)))
    yield fd
    os.close(fd)


@pytest.fixture
def memory(ram: int) -> Generator[GuestMemory]:
    """Pages 0-3 at 0, pages 4-7 at 4 GiB."""
    guest_memory = GuestMemory()
    guest_memory.add(Region(0, 4 * PAGE, USER, 0), ram)
    guest_memory.add(Region(HIGH, 4 * PAGE, USER + 64 * PAGE, 4 * PAGE), ram)
    yield guest_memory
    guest_memory.close()


def test_addresses_of_every_region_are_found(memory: GuestMemory, ram: int) -> None:
    assert memory.read(PAGE - 1, 2) == b"\0\1"
    assert memory.read(HIGH + PAGE - 1, 2) == b"\4\5"
    memory.write(HIGH + 2 * PAGE, b"here")
    assert os.pread(ram, 4, 6 * PAGE) == b"here"


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (4 * PAGE, 1),
        (4 * PAGE - 1, 2),
        (HIGH - 1, 1),
        (HIGH - 1, 2),
        (HIGH + 4 * PAGE - 4, 5),
        ((1 << 64) - 1, 1),
        ((1 << 64) - 1, 1 << 32),
        (0, 5 * PAGE),
    ],
)
def test_what_does_not_lie_in_one_region_is_refused(memory: GuestMemory, address: int, length: int) -> None:
    with pytest.raises(GuestFault):
        memory.read(address, length)
    memory.read(0, 1)  # also with a region found before
    with pytest.raises(GuestFault):
        memory.write(address, bytes(length) if length < HIGH else bytes(5 * PAGE))


def test_the_last_byte_of_a_region_can_be_named(memory: GuestMemory) -> None:
    assert memory.read(4 * PAGE - 1, 1) == b"\3"
    assert memory.read(HIGH + 4 * PAGE - 1, 1) == b"\7"


def test_the_vmms_own_addresses_are_found(memory: GuestMemory) -> None:
    mapping, offset = memory.locate_user(USER + 64 * PAGE + PAGE, PAGE)
    assert mapping[offset] == 5
    for address, length in [(USER + 4 * PAGE, 1), (USER - 1, 1), (USER + 64 * PAGE, 5 * PAGE), (0, 1)]:
        with pytest.raises(HostFault):
            memory.locate_user(address, length)


def test_an_offset_inside_a_page_is_kept(ram: int) -> None:
    memory = GuestMemory()
    memory.add(Region(0x1000, 100, USER, PAGE + 50), ram)
    assert memory.read(0x1000, 100) == b"\1" * 100
    with pytest.raises(GuestFault):
        memory.read(0x1000 + 100, 1)
    memory.close()


@pytest.mark.parametrize(
    ("start", "size"), [(0, PAGE), (3 * PAGE, PAGE), (3 * PAGE, 8 * PAGE), (HIGH - PAGE, 2 * PAGE)]
)
def test_overlapping_regions_are_refused(memory: GuestMemory, ram: int, start: int, size: int) -> None:
    with pytest.raises(HostFault, match="overlaps"):
        memory.add(Region(start, size, USER + 512 * PAGE, 0), ram)


def test_regions_that_touch_are_two_regions(memory: GuestMemory, ram: int) -> None:
    memory.add(Region(4 * PAGE, PAGE, USER + 512 * PAGE, 8 * PAGE), ram)
    assert memory.read(4 * PAGE, 1) == b"\10"
    with pytest.raises(GuestFault):
        memory.read(4 * PAGE - 1, 2)


@pytest.mark.parametrize(
    "region",
    [
        Region(1 << 40, 0, USER, 0),
        Region((1 << 64) - PAGE, 2 * PAGE, USER, 0),
        Region(1 << 40, PAGE, (1 << 64) - 1, 0),
        Region(1 << 40, 17 * PAGE, USER, 0),
        Region(1 << 40, PAGE, USER, 16 * PAGE),
        Region(1 << 40, PAGE, USER, (1 << 64) - PAGE),
        Region(1 << 40, 1 << 60, USER, 0),
    ],
)
def test_a_region_that_its_file_does_not_hold_is_refused(
    memory: GuestMemory, ram: int, region: Region
) -> None:
    with pytest.raises(HostFault):
        memory.add(region, ram)
    assert len(memory) == 2


def test_a_file_that_cannot_be_mapped_is_the_vmms_fault(memory: GuestMemory) -> None:
    reading, writing = os.pipe()
    with pytest.raises(HostFault, match="cannot be mapped"):
        memory.add(Region(1 << 40, PAGE, USER, 0), reading)
    os.close(reading)
    os.close(writing)


def test_a_removed_region_is_gone_at_once(memory: GuestMemory) -> None:
    assert memory.read(HIGH, 1) == b"\4"
    before = memory.generation
    memory.remove(Region(HIGH, 4 * PAGE, USER + 64 * PAGE, 999))
    assert memory.generation != before
    with pytest.raises(GuestFault):
        memory.read(HIGH, 1)


@pytest.mark.parametrize(
    "region",
    [
        Region(PAGE, 4 * PAGE, USER, 0),
        Region(0, PAGE, USER, 0),
        Region(0, 4 * PAGE, USER + 1, 0),
        Region(1 << 50, PAGE, USER, 0),
    ],
)
def test_only_a_region_that_is_there_can_be_removed(memory: GuestMemory, region: Region) -> None:
    with pytest.raises(HostFault, match="no memory region"):
        memory.remove(region)
    assert len(memory) == 2


def test_a_new_table_keeps_the_mapping_of_what_it_keeps(memory: GuestMemory, ram: int) -> None:
    mapping, _offset = memory.locate(0, 1)
    memory.replace(
        [(Region(0, 4 * PAGE, USER, 0), ram, True), (Region(1 << 40, PAGE, USER + 99 * PAGE, 0), ram, True)]
    )
    assert memory.locate(0, 1)[0] is mapping
    assert memory.read(1 << 40, 1) == b"\0"
    with pytest.raises(GuestFault):
        memory.read(HIGH, 1)


def test_a_new_table_of_another_file_is_mapped_anew(memory: GuestMemory) -> None:
    other = os.memfd_create("other", os.MFD_CLOEXEC)
    os.write(other, b"x" * 4 * PAGE)
    memory.replace([(Region(0, 4 * PAGE, USER, 0), other, True)])
    os.close(other)
    assert memory.read(0, 1) == b"x"


def test_a_bad_table_leaves_no_old_region_behind(memory: GuestMemory, ram: int) -> None:
    with pytest.raises(HostFault):
        memory.replace([(Region(0, PAGE, USER, 0), ram, True), (Region(0, PAGE, USER, 0), ram, True)])
    with pytest.raises(GuestFault):
        memory.read(HIGH, 1)


def test_a_region_that_is_not_addressable_only_takes_its_place(memory: GuestMemory, ram: int) -> None:
    region = Region(1 << 40, PAGE, USER + 99 * PAGE, 0)
    memory.add(region, ram, addressable=False)
    with pytest.raises(GuestFault):
        memory.read(1 << 40, 1)
    with pytest.raises(HostFault):
        memory.locate_user(USER + 99 * PAGE, 1)
    with pytest.raises(HostFault, match="overlaps"):
        memory.add(region, ram)
    memory.remove(region)


def test_regions_are_limited(memory: GuestMemory, ram: int) -> None:
    for n in range(MAX_MEMORY_REGIONS - 2):
        memory.add(Region((1 << 40) + n * PAGE, PAGE, USER, 0), ram, addressable=False)
    with pytest.raises(LimitExceeded):
        memory.add(Region(1 << 50, PAGE, USER, 0), ram, addressable=False)
