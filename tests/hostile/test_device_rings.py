"""A guest kernel that breaks its rings: its own device stops until it is reset, and that is all."""

import asyncio
import os
import random
import struct
from collections.abc import Callable

import pytest

from tests.fakes.guest_driver import Descriptor, GuestQueue, encode_header
from tests.fakes.patience import PATIENCE
from tests.fakes.stub_vm import PAGE, Vm, running_vm

NEXT, WRITE, INDIRECT = 1, 2, 4


def loop_of_descriptors(queue: GuestQueue) -> None:
    """Every descriptor names the next, the last the first."""
    for n in range(queue.size):
        queue.write_descriptor(n, Descriptor(PAGE, 1, NEXT, (n + 1) % queue.size))
    queue.expose(0)


def head_outside(queue: GuestQueue) -> None:
    """A head that the table does not have."""
    queue.expose(queue.size)


def index_jump(queue: GuestQueue) -> None:
    """More chains made available than there are entries."""
    queue.set_available_index(0x8000)
    queue.send_kick()


def buffer_outside(queue: GuestQueue) -> None:
    """A command that is not in guest memory."""
    queue.write_descriptor(0, Descriptor(1 << 60, 24))
    queue.expose(0)


def answer_outside(queue: GuestQueue) -> None:
    """An answer that goes nowhere."""
    at = queue.ram.allocate(24)
    queue.ram.write(at, encode_header(0x0108))
    queue.write_descriptor(0, Descriptor(at, 24, NEXT, 1))
    queue.write_descriptor(1, Descriptor(1 << 60, 24, WRITE))
    queue.expose(0)


def table_outside(queue: GuestQueue) -> None:
    """An indirect table that is not in guest memory."""
    queue.write_descriptor(0, Descriptor((1 << 64) - 16, 16, INDIRECT))
    queue.expose(0)


def answers_first(queue: GuestQueue) -> None:
    """A buffer to read after one to write."""
    queue.write_descriptor(0, Descriptor(PAGE, 8, NEXT | WRITE, 1))
    queue.write_descriptor(1, Descriptor(PAGE, 8))
    queue.expose(0)


MISTAKES = [
    loop_of_descriptors,
    head_outside,
    index_jump,
    buffer_outside,
    answer_outside,
    table_outside,
    answers_first,
]


async def wait_until(condition: Callable[[], bool]) -> None:
    """Lets the device run until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


def was_signalled(fd: int) -> bool:
    """Whether an eventfd has been written to."""
    try:
        return os.eventfd_read(fd) > 0
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    ("queue_index", "mistake"),
    [*((0, m) for m in MISTAKES), *((1, m) for m in MISTAKES if m is not answer_outside)],
)
async def test_a_broken_ring_stops_the_device_until_it_is_reset(
    queue_index: int, mistake: Callable[[GuestQueue], None]
) -> None:
    async with running_vm() as vm, running_vm() as neighbour:
        await vm.driver.ctx_create(1)
        poll = vm.driver.post_submit_3d(1, b"poll", ring_idx=1)
        await vm.driver.submit_3d(1, b"x")
        queue = vm.driver.queues[queue_index]
        mistake(queue)
        await wait_until(lambda: vm.host.last.closed)
        # The VMM is told, the neighbour notices nothing, and the VM's messages are still answered.
        assert was_signalled(queue.error)
        assert (await neighbour.driver.get_capset_info()).ok
        await vm.frontend.barrier()
        await vm.frontend.reset()
        assert poll.cancelled()
        assert (await vm.driver.ctx_create(1)).ok
        assert (await vm.driver.submit_3d(1, b"served again")).ok


async def test_a_ring_that_changes_while_it_is_read_is_read_once() -> None:
    async with running_vm() as vm:
        await vm.driver.ctx_create(1)
        seen: list[bytes] = []
        context = vm.host.last
        submit = context.submit
        request = encode_header(0x0207, ctx_id=1) + struct.pack("<II", 8, 0) + b"original"
        at = vm.frontend.ram.allocate(len(request))

        def overwrite(commands: bytes | memoryview, /) -> None:
            # What a second processor of the guest would do between check and use.
            vm.frontend.ram.write(at, encode_header(0x0207, ctx_id=1) + struct.pack("<II", 1 << 30, 0))
            vm.frontend.ram.write(at + 32, b"tampered")
            submit(commands)
            seen.append(bytes(commands))

        context.submit = overwrite  # type: ignore[method-assign]
        vm.frontend.ram.write(at, request)
        vm.driver.control.write_descriptor(9, Descriptor(at, len(request)))
        vm.driver.control.expose(9)
        await wait_until(lambda: bool(seen))
        assert seen == [b"original"]
        assert context.submitted == [b"original"]


async def test_chains_given_again_before_they_are_answered_fill_the_ring_and_no_more() -> None:
    async with running_vm() as vm:
        await vm.driver.ctx_create(1)
        queue = vm.driver.control
        body = struct.pack("<II", 1, 0) + b"p"
        request = encode_header(0x0207, ctx_id=1, fence_id=1, ring_idx=1) + body
        at = vm.frontend.ram.allocate(len(request))
        vm.frontend.ram.write(at, request)
        queue.write_descriptor(9, Descriptor(at, len(request)))
        for _ in range(queue.size):
            queue.expose(9)
        await wait_until(lambda: len(vm.host.last.held) == queue.size)
        queue.expose(9)
        await wait_until(lambda: vm.host.last.closed)
        assert len(vm.host.last.submitted) == queue.size


@pytest.mark.parametrize("seed", range(30))
async def test_random_rings_never_bring_down_more_than_their_device(seed: int) -> None:
    chance = random.Random(seed)
    async with running_vm(queue_size=16) as vm:
        for _ in range(10):
            await shake(vm, chance)
            await vm.frontend.reset()
        assert (await vm.driver.ctx_create(1)).ok


async def shake(vm: Vm, chance: random.Random) -> None:
    """Fills the table and one page with plausible nonsense, and makes it all available."""
    queue = vm.driver.control
    queue.hostile = True
    page = vm.frontend.ram.allocate(PAGE)
    commands = [encode_header(chance.choice([0x0107, 0x0108, 0x0109, 0x010C, *range(0x0200, 0x020A)]))]
    vm.frontend.ram.write(page, (commands[0] + bytes(chance.choices((0, 0, 1, 5, 255), k=200))).ljust(1024))
    table = [random_descriptor(chance, page) for _ in range(8)]
    vm.frontend.ram.write(page + 1024, b"".join(struct.pack("<QIHH", *d) for d in table))
    for n in range(queue.size):
        queue.write_descriptor(n, random_descriptor(chance, page))
    for _ in range(chance.randrange(1, 8)):
        queue.expose(chance.randrange(queue.size))
    await vm.frontend.barrier()
    for _ in range(4):
        await asyncio.sleep(0)


def random_descriptor(chance: random.Random, page: int) -> Descriptor:
    """One entry that is right about half of the time."""
    address = chance.choice([page, page, page + 1024, page + 24, 1 << 60])
    length = chance.choice([24, 32, 64, 128, 128, 0, 0xFFFFFFFF])
    flags = chance.choice([0, 0, NEXT, NEXT | WRITE, WRITE, INDIRECT, INDIRECT, 0xFFFF])
    return Descriptor(address, length, flags, chance.randrange(20))
