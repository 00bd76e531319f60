"""Blobs: pages of the guest in many runs, what a context may name, and the caps."""

import os
from collections.abc import Generator
from typing import NamedTuple

import pytest

from crossdomain.abi import virtio_gpu as abi
from crossdomain.context.memory import HostMemory
from crossdomain.context.pace import Allowance
from crossdomain.context.quotas import Quotas
from crossdomain.device.faults import CommandFault
from crossdomain.device.memory import GuestMemory
from crossdomain.device.resources import AttachedResources, GuestStorage, Resource, ResourceTable
from crossdomain.device.vhost_user import Region
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_RESOURCES
from tests.fakes.guest_ram import HIGH, PAGE, GuestRam


class Guest(NamedTuple):
    """A guest's RAM from both sides."""

    ram: GuestRam
    memory: GuestMemory


@pytest.fixture
def guest() -> Generator[Guest]:
    """A guest with two regions."""
    ram = GuestRam(1 << 20)
    memory = GuestMemory()
    for region in ram.regions:
        memory.add(Region(*region), ram.fd)
    yield Guest(ram, memory)
    memory.close()
    ram.close()


RUNS = [(0x8000, 100), (0x3000, 4096), (HIGH + 10, 1), (0x6000, 3995)]
"""Two pages' worth in runs of odd sizes and in no order."""
PATTERN = bytes(n % 251 for n in range(2 * PAGE))


@pytest.mark.parametrize("offset", [0, 1, 99, 100, 101, 4195, 4196, 4197, 8191])
@pytest.mark.parametrize("length", [0, 1, 2, 100, 4097, 8192])
def test_a_write_over_any_runs_is_read_back(guest: Guest, offset: int, length: int) -> None:
    storage = GuestStorage(guest.memory, 2 * PAGE, RUNS)
    length = min(length, 2 * PAGE - offset)
    data = PATTERN[offset : offset + length]
    storage.write(offset, data)
    assert storage.read(offset, length) == data
    expected = bytes(offset) + data + bytes(2 * PAGE - offset - length)
    assert b"".join(guest.ram.read(address, size) for address, size in RUNS) == expected


def test_a_view_of_bytes_is_written_as_well(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, 2 * PAGE, RUNS)
    storage.write(50, memoryview(PATTERN)[:200])
    assert storage.read(50, 200) == PATTERN[:200]


@pytest.mark.parametrize(("offset", "length"), [(8192, 1), (8191, 2), (0, 8193), (-1, 1), (0, -1)])
def test_nothing_beyond_the_blob_is_touched(guest: Guest, offset: int, length: int) -> None:
    storage = GuestStorage(guest.memory, 2 * PAGE, RUNS)
    with pytest.raises(GuestFault):
        storage.read(offset, length)
    if length > 0:
        with pytest.raises(GuestFault):
            storage.write(offset, bytes(length))


def test_guest_pages_are_never_given_away(guest: Guest) -> None:
    with pytest.raises(GuestFault, match="compositor"):
        GuestStorage(guest.memory, 2 * PAGE, RUNS).export()


@pytest.mark.parametrize(
    "runs", [[], [(0x3000, 4095)], [(0x3000, 4096), (0x5000, 0)], [(1 << 40, 4096)], [(HIGH - 1, 4096)]]
)
def test_runs_that_do_not_hold_the_blob_are_refused(guest: Guest, runs: list[tuple[int, int]]) -> None:
    with pytest.raises(GuestFault):
        GuestStorage(guest.memory, PAGE, runs)


def test_more_pages_than_the_blob_needs_are_fine(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, PAGE, [(0x3000, 2 * PAGE)])
    assert storage.size == PAGE
    with pytest.raises(GuestFault):
        storage.write(PAGE, b"x")


def test_detached_pages_are_gone_until_others_come(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, PAGE, [(0x3000, PAGE)])
    storage.detach()
    for use in (lambda: storage.read(0, 1), lambda: storage.write(0, b"x")):
        with pytest.raises(GuestFault, match="detached"):
            use()
    storage.attach([(0x5000, PAGE)])
    storage.write(0, b"x")
    assert guest.ram.read(0x5000, 1) == b"x"


def test_pages_in_memory_that_the_vmm_took_away_are_the_guests_fault(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, PAGE, [(HIGH, PAGE)])
    guest.memory.remove(Region(*guest.ram.regions[1]))
    with pytest.raises(GuestFault):
        storage.write(0, b"x")


def code_of(failure: pytest.ExceptionInfo[CommandFault]) -> int:
    """The RESP_ERR of a refused command."""
    return failure.value.response


def test_a_resource_id_is_used_once(guest: Guest) -> None:
    table = ResourceTable(1 << 20, Allowance(Quotas()))
    table.check_new(7, 0)
    table.add(Resource(7, GuestStorage(guest.memory, PAGE, [(0x3000, PAGE)]), mappable=True))
    for number in (0, 7):
        with pytest.raises(CommandFault) as failure:
            table.check_new(number, 0)
        assert code_of(failure) == abi.VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
    table.remove(7).close()
    table.check_new(7, 0)
    with pytest.raises(CommandFault):
        table.get(7)


def test_host_memory_is_counted_while_it_is_held() -> None:
    table = ResourceTable(3 * PAGE, Allowance(Quotas()))
    table.check_new(1, 3 * PAGE)
    table.add(Resource(1, HostMemory.create(2 * PAGE), mappable=True))
    table.check_new(2, PAGE)
    with pytest.raises(CommandFault) as failure:
        table.check_new(2, PAGE + 1)
    assert code_of(failure) == abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
    table.remove(1).close()
    table.check_new(2, 3 * PAGE)


def test_resources_are_limited(guest: Guest) -> None:
    table = ResourceTable(0, Allowance(Quotas()))
    for number in range(1, MAX_RESOURCES + 1):
        table.check_new(number, 0)
        table.add(Resource(number, GuestStorage(guest.memory, PAGE, [(0x3000, PAGE)]), mappable=False))
    with pytest.raises(CommandFault) as failure:
        table.check_new(MAX_RESOURCES + 1, 0)
    assert code_of(failure) == abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY


def test_a_context_names_only_what_is_attached_to_it(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, PAGE, [(0x3000, PAGE)])
    attached = AttachedResources(Allowance(Quotas()))
    attached.attach(Resource(7, storage, mappable=True))
    assert attached.lookup(7) is storage
    with pytest.raises(GuestFault):
        attached.lookup(8)
    attached.detach(7)
    with pytest.raises(GuestFault):
        attached.lookup(7)
    with pytest.raises(CommandFault):
        attached.detach(7)


def test_the_pages_of_an_unreferenced_resource_are_out_of_reach(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, PAGE, [(0x3000, PAGE)])
    Resource(7, storage, mappable=True).close()
    with pytest.raises(GuestFault):
        storage.write(0, b"x")


def place_of(guest: Guest, address: int) -> int:
    """Where a guest address is in the VMM's file."""
    return guest.ram.offset_of(address)


def test_pages_are_where_the_vmms_file_has_them(guest: Guest) -> None:
    entries = [(HIGH + 2 * PAGE, PAGE), (3 * PAGE, 2 * PAGE), (5 * PAGE, PAGE), (HIGH, PAGE)]
    spans = GuestStorage(guest.memory, 5 * PAGE, entries).spans(PAGE, 4 * PAGE)
    assert [(span.offset, span.size) for span in spans] == [
        (place_of(guest, 3 * PAGE), 3 * PAGE),
        (place_of(guest, HIGH), PAGE),
    ]
    assert {os.fstat(span.fd).st_ino for span in spans} == {os.fstat(guest.ram.fd).st_ino}


@pytest.mark.parametrize("count", [1, 1024, 1025])
def test_scattered_pages_are_as_many_spans(count: int) -> None:
    ram, memory = GuestRam(16 << 20), GuestMemory()
    for region in ram.regions:
        memory.add(Region(*region), ram.fd)
    pages = ram.allocate_scattered(count)
    storage = GuestStorage(memory, count * PAGE, [(page, PAGE) for page in pages])
    spans = storage.spans(0, count * PAGE)
    assert [span.offset for span in spans] == [ram.offset_of(page) for page in pages]
    memory.close()
    ram.close()


def test_pages_beyond_the_end_or_gone_are_nowhere(guest: Guest) -> None:
    storage = GuestStorage(guest.memory, 2 * PAGE, [(0, 2 * PAGE)])
    with pytest.raises(GuestFault):
        storage.spans(PAGE, 2 * PAGE)
    guest.memory.remove(Region(*guest.ram.regions[0]))
    with pytest.raises(GuestFault):
        storage.spans(0, PAGE)
