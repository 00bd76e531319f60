"""Split virtqueues: well-formed chains of every form, and every way to break a ring."""

import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from crossdomain.device.memory import GuestMemory
from crossdomain.device.vhost_user import Region
from crossdomain.device.virtqueue import SplitQueue
from crossdomain.errors import GuestFault, HostFault
from crossdomain.limits import (
    MAX_CHAIN_DESCRIPTORS,
    MAX_CHAINS_UNDER_WAY,
    MAX_COMMAND_SIZE,
    MAX_QUEUE_SIZE,
)
from tests.fakes.guest_driver import Descriptor, GuestQueue
from tests.fakes.guest_ram import HIGH, GuestRam

NEXT, WRITE, INDIRECT = 1, 2, 4
SIZE = 8
SCRATCH = 0x180000
"""Guest address of pages that nothing else uses."""


class Ring(NamedTuple):
    """A queue seen from both sides."""

    ram: GuestRam
    memory: GuestMemory
    driver: GuestQueue
    device: SplitQueue

    def table(self, descriptors: Sequence[Descriptor]) -> tuple[int, int]:
        """Writes an indirect table; its guest address and bytes."""
        packed = b"".join(struct.pack("<QIHH", *d) for d in descriptors)
        at = self.ram.allocate(len(packed))
        self.ram.write(at, packed)
        return at, len(packed)

    def buffer(self, data: bytes) -> int:
        """Guest address of a buffer that holds `data`."""
        at = self.ram.allocate(len(data))
        self.ram.write(at, data)
        return at

    def expose_indirect(self, descriptors: Sequence[Descriptor], *, head: int = 0, flags: int = 0) -> None:
        """Makes one chain available whose descriptors are in a table of its own."""
        at, size = self.table(descriptors)
        self.driver.write_descriptor(head, Descriptor(at, size, INDIRECT | flags))
        self.driver.expose(head)


@contextmanager
def started_ring(size: int) -> Generator[Ring]:
    """A started queue of `size` entries."""
    ram = GuestRam(4 << 20)
    memory = GuestMemory()
    for region in ram.regions:
        memory.add(Region(*region), ram.fd)
    driver = GuestQueue(ram, size)
    device = SplitQueue(memory)
    device.size = size
    device.addresses = (
        ram.user_address(driver.descriptors),
        ram.user_address(driver.available),
        ram.user_address(driver.used),
    )
    device.start()
    yield Ring(ram, memory, driver, device)
    driver.close()
    memory.close()
    ram.close()


@pytest.fixture
def ring() -> Generator[Ring]:
    """A started queue of 8 entries."""
    with started_ring(SIZE) as started:
        yield started


def test_an_empty_ring_has_no_chain(ring: Ring) -> None:
    assert ring.device.pop() is None


def test_a_chain_in_the_rings_own_table(ring: Ring) -> None:
    ring.driver.write_descriptor(5, Descriptor(ring.buffer(b"head"), 4, NEXT, 2))
    ring.driver.write_descriptor(2, Descriptor(ring.buffer(b"tail"), 4, NEXT, 7))
    ring.driver.write_descriptor(7, Descriptor(SCRATCH, 24, WRITE))
    ring.driver.expose(5)
    chain = ring.device.pop()
    assert chain is not None
    assert (chain.head, chain.request, chain.writable) == (5, b"headtail", [(SCRATCH, 24)])
    assert ring.device.pop() is None


def test_a_chain_in_a_table_of_its_own(ring: Ring) -> None:
    ring.expose_indirect(
        [
            Descriptor(ring.buffer(b"one"), 3, NEXT, 1),
            Descriptor(0, 0, NEXT, 2),
            Descriptor(ring.buffer(b"two"), 3, NEXT, 3),
            Descriptor(SCRATCH, 4, WRITE | NEXT, 4),
            Descriptor(HIGH, 8, WRITE),
        ],
        head=3,
    )
    chain = ring.device.pop()
    assert chain is not None
    assert (chain.head, chain.request) == (3, b"onetwo")
    assert chain.writable == [(SCRATCH, 4), (HIGH, 8)]


def test_an_answer_fills_the_buffers_in_order(ring: Ring) -> None:
    ring.expose_indirect(
        [
            Descriptor(SCRATCH, 4, WRITE | NEXT, 1),
            Descriptor(SCRATCH + 4096, 0, WRITE | NEXT, 2),
            Descriptor(HIGH, 8, WRITE),
        ]
    )
    chain = ring.device.pop()
    assert chain is not None
    written = ring.device.write_answer(chain, b"abcdefgh")
    ring.device.push(chain.head, written)
    assert written == 8
    assert ring.ram.read(SCRATCH, 5) == b"abcd\0"
    assert ring.ram.read(HIGH, 5) == b"efgh\0"
    assert ring.driver.used_index() == 1
    assert ring.ram.read(ring.driver.used + 4, 8) == struct.pack("<II", 0, 8)


def test_an_answer_is_cut_where_there_is_no_room(ring: Ring) -> None:
    ring.expose_indirect([Descriptor(SCRATCH, 5, WRITE)])
    chain = ring.device.pop()
    assert chain is not None
    assert ring.device.write_answer(chain, b"abcdefgh") == 5
    assert ring.ram.read(SCRATCH, 6) == b"abcde\0"


def test_the_rings_indices_wrap(ring: Ring) -> None:
    for n in range(70000):
        ring.driver.write_descriptor(n % SIZE, Descriptor(SCRATCH, 1, WRITE))
        ring.driver.expose(n % SIZE)
        chain = ring.device.pop()
        assert chain is not None
        ring.device.push(chain.head, 0)
    assert ring.driver.used_index() == 70000 & 0xFFFF
    assert ring.device.next_available == 70000 & 0xFFFF


def test_interrupts_and_kicks_are_suppressed_as_the_flags_say(ring: Ring) -> None:
    assert ring.device.interrupt_wanted()
    ring.driver.suppress_interrupts(True)
    assert not ring.device.interrupt_wanted()
    ring.device.want_kicks(False)
    assert ring.driver.kicks_suppressed()
    ring.device.want_kicks(True)
    assert not ring.driver.kicks_suppressed()


def test_a_loop_in_the_rings_table_breaks_it(ring: Ring) -> None:
    for n in range(SIZE):
        ring.driver.write_descriptor(n, Descriptor(SCRATCH, 1, NEXT, (n + 1) % SIZE))
    ring.driver.expose(0)
    with pytest.raises(GuestFault, match="loops"):
        ring.device.pop()


def test_the_longest_chain_that_the_table_holds_is_no_loop(ring: Ring) -> None:
    for n in range(SIZE):
        ring.driver.write_descriptor(n, Descriptor(SCRATCH, 1, NEXT if n < SIZE - 1 else 0, n + 1))
    ring.driver.expose(0)
    chain = ring.device.pop()
    assert chain is not None
    assert len(chain.request) == SIZE


def test_a_descriptor_that_names_itself_breaks_the_ring(ring: Ring) -> None:
    ring.expose_indirect([Descriptor(SCRATCH, 1, NEXT, 0)])
    with pytest.raises(GuestFault, match="loops"):
        ring.device.pop()


@pytest.mark.parametrize("following", [2, 3, 0xFFFF])
def test_a_next_descriptor_outside_its_table_breaks_the_ring(ring: Ring, following: int) -> None:
    ring.expose_indirect([Descriptor(SCRATCH, 1, NEXT, following), Descriptor(SCRATCH, 1)])
    with pytest.raises(GuestFault, match="of a table of 2"):
        ring.device.pop()


@pytest.mark.parametrize("head", [SIZE, SIZE + 1, 0xFFFF])
def test_a_head_outside_the_table_breaks_the_ring(ring: Ring, head: int) -> None:
    ring.driver.expose(head)
    with pytest.raises(GuestFault, match=f"descriptor {head} of a table of {SIZE}"):
        ring.device.pop()


def test_a_readable_buffer_after_a_writable_one_breaks_the_ring(ring: Ring) -> None:
    ring.expose_indirect([Descriptor(SCRATCH, 1, WRITE | NEXT, 1), Descriptor(SCRATCH, 1)])
    with pytest.raises(GuestFault, match="readable descriptor after"):
        ring.device.pop()


@pytest.mark.parametrize("address", [1 << 40, HIGH - 1, (1 << 64) - 8])
def test_a_buffer_outside_of_guest_memory_breaks_the_ring(ring: Ring, address: int) -> None:
    ring.expose_indirect([Descriptor(address, 16)])
    with pytest.raises(GuestFault):
        ring.device.pop()


def test_a_buffer_across_the_end_of_a_region_breaks_the_ring(ring: Ring) -> None:
    end = ring.ram.regions[0].size
    ring.expose_indirect([Descriptor(end - 8, 16)])
    with pytest.raises(GuestFault):
        ring.device.pop()


def test_an_answer_outside_of_guest_memory_is_the_guests_fault(ring: Ring) -> None:
    ring.expose_indirect([Descriptor(1 << 40, 16, WRITE)])
    chain = ring.device.pop()
    assert chain is not None
    with pytest.raises(GuestFault):
        ring.device.write_answer(chain, bytes(16))


@pytest.mark.parametrize("size", [0, 1, 15, 17, 33])
def test_an_indirect_table_of_no_whole_descriptors_breaks_the_ring(ring: Ring, size: int) -> None:
    ring.driver.write_descriptor(0, Descriptor(SCRATCH, size, INDIRECT))
    ring.driver.expose(0)
    with pytest.raises(GuestFault, match=f"table of {size} bytes"):
        ring.device.pop()


def test_an_indirect_table_outside_of_guest_memory_breaks_the_ring(ring: Ring) -> None:
    ring.driver.write_descriptor(0, Descriptor(1 << 40, 32, INDIRECT))
    ring.driver.expose(0)
    with pytest.raises(GuestFault):
        ring.device.pop()


def test_an_indirect_table_inside_a_chain_breaks_the_ring(ring: Ring) -> None:
    ring.expose_indirect([Descriptor(SCRATCH, 16)], flags=NEXT)
    with pytest.raises(GuestFault, match="with a next one"):
        ring.device.pop()


def test_an_indirect_table_inside_an_indirect_table_breaks_the_ring(ring: Ring) -> None:
    ring.expose_indirect([Descriptor(SCRATCH, 16, INDIRECT)])
    with pytest.raises(GuestFault, match="inside a chain"):
        ring.device.pop()


def test_more_chains_at_once_than_the_ring_has_entries_break_it(ring: Ring) -> None:
    ring.driver.set_available_index(SIZE + 1)
    with pytest.raises(GuestFault, match="made available at once"):
        ring.device.pop()


def test_an_available_index_that_goes_backwards_breaks_the_ring(ring: Ring) -> None:
    ring.driver.write_descriptor(0, Descriptor(SCRATCH, 1, WRITE))
    ring.driver.expose(0)
    assert ring.device.pop() is not None
    ring.driver.set_available_index(0)
    with pytest.raises(GuestFault, match="made available at once"):
        ring.device.pop()


def test_more_chains_under_way_than_entries_break_the_ring(ring: Ring) -> None:
    ring.driver.write_descriptor(0, Descriptor(SCRATCH, 1, WRITE))
    for _ in range(SIZE):
        ring.driver.expose(0)
        assert ring.device.pop() is not None
    ring.driver.expose(0)
    with pytest.raises(GuestFault, match="under way"):
        ring.device.pop()


def test_a_command_at_the_limit_is_taken_and_a_longer_one_is_cut(ring: Ring) -> None:
    at = ring.ram.allocate(MAX_COMMAND_SIZE + 1)
    ring.ram.write(at, bytes(24) + b"x")
    answer = Descriptor(SCRATCH, 24, WRITE)
    ring.expose_indirect([Descriptor(at, MAX_COMMAND_SIZE, NEXT, 1), answer], head=0)
    ring.expose_indirect([Descriptor(at, MAX_COMMAND_SIZE + 1, NEXT, 1), answer], head=1)
    ring.expose_indirect(
        [Descriptor(at, MAX_COMMAND_SIZE, NEXT, 1), Descriptor(at, 1, NEXT, 2), answer], head=2
    )
    chains = [ring.device.pop() for _ in range(3)]
    assert [c.oversized for c in chains if c] == [False, True, True]
    assert [len(c.request) for c in chains if c] == [MAX_COMMAND_SIZE] * 3
    assert [c.writable for c in chains if c] == [[(SCRATCH, 24)]] * 3


def test_a_chain_too_long_to_walk_is_given_back_unanswered(ring: Ring) -> None:
    at = ring.ram.allocate(16 * (MAX_CHAIN_DESCRIPTORS + 1))
    one = struct.pack("<QIHH", SCRATCH, 1, NEXT, 0)
    table = b"".join(one[:14] + struct.pack("<H", n + 1) for n in range(MAX_CHAIN_DESCRIPTORS - 1))
    ring.ram.write(at, table + struct.pack("<QIHH", SCRATCH, 1, 0, 0) * 2)
    for head, count in enumerate((MAX_CHAIN_DESCRIPTORS, MAX_CHAIN_DESCRIPTORS + 1)):
        ring.driver.write_descriptor(head, Descriptor(at, 16 * count, INDIRECT))
        ring.driver.expose(head)
    longest, too_long = ring.device.pop(), ring.device.pop()
    assert longest is not None
    assert too_long is not None
    assert (len(longest.request), longest.oversized) == (MAX_CHAIN_DESCRIPTORS, False)
    assert (too_long.request, too_long.writable, too_long.oversized) == (b"", [], True)


@pytest.mark.parametrize("size", [0, 3, 100, MAX_QUEUE_SIZE * 2, 65536])
def test_a_queue_size_that_is_no_power_of_two_or_too_large_is_refused(ring: Ring, size: int) -> None:
    with pytest.raises(HostFault, match=f"virtqueue of {size} entries"):
        ring.device.size = size


def test_in_a_large_queue_no_more_chains_are_under_way_than_in_qemus() -> None:
    with started_ring(MAX_QUEUE_SIZE) as ring:
        for head in range(MAX_CHAINS_UNDER_WAY + 1):
            ring.driver.write_descriptor(head, Descriptor(SCRATCH, 1))
            ring.driver.expose(head)
        for _ in range(MAX_CHAINS_UNDER_WAY):
            assert ring.device.pop() is not None
        with pytest.raises(GuestFault, match=f"more than {MAX_CHAINS_UNDER_WAY}"):
            ring.device.pop()


def test_the_largest_queue_is_taken(ring: Ring) -> None:
    ring.device.size = MAX_QUEUE_SIZE
    assert ring.device.size == MAX_QUEUE_SIZE


@pytest.mark.parametrize("wrong", [(8, 0, 0), (0, 1, 0), (0, 0, 2)])
def test_rings_that_are_not_aligned_are_refused(ring: Ring, wrong: tuple[int, int, int]) -> None:
    desc, avail, used = ring.device.addresses
    ring.device.addresses = (desc + wrong[0], avail + wrong[1], used + wrong[2])
    with pytest.raises(HostFault, match="not aligned"):
        ring.device.start()


def test_rings_that_leave_their_region_are_refused(ring: Ring) -> None:
    desc, avail, _used = ring.device.addresses
    end = ring.ram.regions[0].user_address + ring.ram.regions[0].size
    ring.device.addresses = (desc, avail, end - 16)
    with pytest.raises(HostFault, match="no memory region"):
        ring.device.start()


def test_a_ring_whose_memory_the_vmm_took_away_is_the_vmms_fault(ring: Ring) -> None:
    ring.driver.write_descriptor(0, Descriptor(SCRATCH, 1, WRITE))
    ring.driver.expose(0)
    chain = ring.device.pop()
    assert chain is not None
    ring.memory.remove(Region(*ring.ram.regions[0]))
    with pytest.raises(HostFault):
        ring.device.push(chain.head, 0)
    with pytest.raises(HostFault):
        ring.device.pop()


def test_a_ring_survives_the_loss_of_other_memory(ring: Ring) -> None:
    ring.memory.remove(Region(*ring.ram.regions[1]))
    ring.driver.write_descriptor(0, Descriptor(SCRATCH, 1, WRITE))
    ring.driver.expose(0)
    assert ring.device.pop() is not None


def test_a_paused_ring_goes_on_where_it_stood(ring: Ring) -> None:
    for head in (0, 1):
        ring.driver.write_descriptor(head, Descriptor(SCRATCH, 1, WRITE))
        ring.driver.expose(head)
    first = ring.device.pop()
    assert first is not None
    ring.device.push(first.head, 0)
    ring.device.stop()
    assert ring.device.next_available == 1
    ring.device.start()
    second = ring.device.pop()
    assert second is not None
    ring.device.push(second.head, 0)
    assert ring.driver.used_index() == 2
