"""A VM with a second device, through which the host copies out of the guest's own pages: the real daemon."""

import asyncio
import os
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from crossdomain.abi import virtio_gpu as abi
from crossdomain.abi.cross_domain import encode_send
from crossdomain.abi.pages import KEY_PREFIX, KEY_SIZE, PAGE_SIZE, CopyPages, encode_copy_pages
from crossdomain.device.qemu import memory_socket
from tests.fakes.daemon import RunningDaemon
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext, MappedBlob
from tests.fakes.guest_ram import GuestRam
from tests.fakes.vhost_socket import connected
from tests.unit.context.world import sync

OK = abi.VIRTIO_GPU_RESP_OK_NODATA
REFUSAL = abi.VIRTIO_GPU_RESP_ERR_UNSPEC
"""The first of the errors."""
SIZE = 8 * PAGE_SIZE
STRIDE = 256
ROWS = SIZE // STRIDE
KEY = KEY_PREFIX + os.urandom(KEY_SIZE - len(KEY_PREFIX))
SOURCE = 7
"""The number of the imported file on the memory device."""


Change = Callable[[CopyPages], CopyPages]


class Guest:
    """A VM with both devices, and one client in it with a mirror."""

    def __init__(
        self, gpu: FakeFrontend, memory: FakeFrontend, client: GuestContext, mirror: MappedBlob
    ) -> None:
        self.gpu = gpu
        self.memory = memory
        self.client = client
        self.mirror = mirror

    async def import_file(self, content: bytes, *, key: bytes = KEY, number: int = SOURCE) -> None:
        """Show the host scattered pages: the first with the key, the others with `content`."""
        await self.import_dmabuf(key.ljust(PAGE_SIZE, b"\0") + content, number=number)

    async def import_dmabuf(self, data: bytes, *, number: int = SOURCE) -> None:
        """Show the host scattered pages."""
        pages = self.memory.driver.pages(len(data) // PAGE_SIZE, scattered=True)
        for index, (address, length) in enumerate(pages):
            self.memory.ram.write(address, data[index * PAGE_SIZE : index * PAGE_SIZE + length])
        assert (await self.memory.driver.create_guest_blob(number, len(data), pages)).ok

    @property
    def usual(self) -> CopyPages:
        """A copy of the whole image."""
        return CopyPages(self.mirror.resource_id, SOURCE, KEY, 0, PAGE_SIZE, STRIDE, STRIDE, 4, whole())

    async def copy(self, change: Change = lambda usual: usual) -> int:
        """Ask for the usual copy, or what `change` makes of it; the response's type."""
        return (await self.client.submit(encode_copy_pages(change(self.usual)))).type


def whole() -> bytes:
    """The rectangle of the whole image, in blocks of four bytes."""
    return rectangle(0, 0, STRIDE // 4, ROWS)


def rectangle(x: int, y: int, width: int, height: int) -> bytes:
    """One rectangle of a COPY_PAGES."""
    return struct.pack("<4i", x, y, width, height)


@asynccontextmanager
async def booted(daemon: RunningDaemon, *, with_memory: bool = True) -> AsyncGenerator[Guest]:
    """A VM on the daemon, as QEMU connects one; without memory, the second device is another VM's."""
    ram, other = GuestRam(4 << 20), GuestRam(4 << 20)
    memory_path = memory_socket(daemon.gpu_socket)
    seen = ram if with_memory else other
    async with (
        FakeFrontend(connected(daemon.gpu_socket), ram=ram) as gpu,
        FakeFrontend(connected(memory_path), ram=seen) as memory,
    ):
        client = await GuestContext.open(gpu, 1)
        mirror = await client.allocate(SIZE)
        yield Guest(gpu, memory, client, mirror)
    ram.close()
    other.close()


async def test_pages_of_the_guest_are_copied_on_the_host(daemon: RunningDaemon) -> None:
    content = os.urandom(SIZE)
    async with booted(daemon) as guest:
        await guest.import_file(content)
        assert await guest.copy() == OK
        assert guest.mirror.view[:SIZE] == content
        (vm,) = daemon.status()["vms"]
        assert vm["clients"][0]["bytes_copied"] == SIZE


async def test_pages_without_a_key_belong_to_the_context_that_expected_them(daemon: RunningDaemon) -> None:
    content = os.urandom(SIZE)
    async with booted(daemon) as guest:
        assert await guest.client.expect_pages() is False
        await guest.import_dmabuf(content)
        assert await guest.client.claim_pages(SOURCE) is True
        assert await guest.copy(lambda usual: usual._replace(key=bytes(KEY_SIZE), source_offset=0)) == OK
        assert guest.mirror.view[:SIZE] == content


async def test_nobody_else_can_name_them_whatever_key_is_shown(daemon: RunningDaemon) -> None:
    content = os.urandom(SIZE)
    async with booted(daemon) as guest:
        await guest.client.expect_pages()
        await guest.import_dmabuf(content)
        assert await guest.client.claim_pages(SOURCE) is True
        other = await GuestContext.open(guest.gpu, 2)
        await other.expect_pages()
        assert await other.claim_pages(SOURCE) is False
        mirror = await other.allocate(SIZE)
        change = guest.usual._replace(destination=mirror.resource_id, key=content[:KEY_SIZE], source_offset=0)
        assert not (await other.submit(encode_copy_pages(change))).ok
        assert mirror.view[:SIZE] == bytes(SIZE)


@pytest.mark.parametrize("first", [True, False])
async def test_where_two_expect_nobody_gets_anything(daemon: RunningDaemon, first: bool) -> None:
    async with booted(daemon) as guest:
        other = await GuestContext.open(guest.gpu, 2)
        for client in (guest.client, other) if first else (other, guest.client):
            await client.expect_pages()
        await guest.import_dmabuf(os.urandom(SIZE))
        assert await other.claim_pages(SOURCE) is False
        assert await guest.client.claim_pages(SOURCE) is False
        assert await guest.copy(lambda usual: usual._replace(key=bytes(KEY_SIZE))) != OK


async def test_who_is_gone_or_has_claimed_expects_no_more(daemon: RunningDaemon) -> None:
    async with booted(daemon) as guest:
        other = await GuestContext.open(guest.gpu, 2)
        await other.expect_pages()
        await other.claim_pages(SOURCE)
        third = await GuestContext.open(guest.gpu, 3)
        await third.expect_pages()
        await third.close()
        await guest.client.expect_pages()
        await guest.import_dmabuf(os.urandom(SIZE))
        assert await guest.client.claim_pages(SOURCE) is True


async def test_pages_with_a_key_belong_to_nobody(daemon: RunningDaemon) -> None:
    async with booted(daemon) as guest:
        await guest.client.expect_pages()
        await guest.import_file(os.urandom(SIZE))
        assert await guest.client.claim_pages(SOURCE) is False
        assert await guest.copy(lambda usual: usual._replace(key=bytes(KEY_SIZE))) != OK


async def test_pages_that_nobody_expected_belong_to_nobody(daemon: RunningDaemon) -> None:
    async with booted(daemon) as guest:
        await guest.import_dmabuf(os.urandom(SIZE))
        await guest.client.expect_pages()
        assert await guest.client.claim_pages(SOURCE) is False
        assert await guest.client.claim_pages(SOURCE + 1) is None


async def test_nothing_can_be_expected_without_a_memory_device(daemon: RunningDaemon) -> None:
    async with booted(daemon, with_memory=False) as guest:
        assert await guest.client.expect_pages() is None


async def test_only_what_is_asked_for_is_copied(daemon: RunningDaemon) -> None:
    content = os.urandom(SIZE)
    async with booted(daemon) as guest:
        await guest.import_file(content)
        rectangles = rectangle(3, 5, 7, 20) + rectangle(0, 100, 64, 28)
        assert await guest.copy(lambda usual: usual._replace(rectangles=rectangles)) == OK
        copied = np.frombuffer(guest.mirror.view[:SIZE], dtype=np.uint32).reshape(ROWS, STRIDE // 4)
    expected = np.zeros_like(copied)
    drawn = np.frombuffer(content, dtype=np.uint32).reshape(copied.shape)
    for place in (np.s_[5:25, 3:10], np.s_[100:128, 0:64]):
        expected[place] = drawn[place]
    assert np.array_equal(copied, expected)


async def test_an_import_that_nobody_kicked_for_is_found(daemon: RunningDaemon) -> None:
    async with booted(daemon) as guest:
        guest.memory.driver.control.kicks_wanted = False
        imported = asyncio.ensure_future(guest.import_file(bytes(SIZE)))
        await asyncio.sleep(0)
        assert await guest.copy() == OK
        await imported


async def test_what_was_copied_is_there_before_the_next_message(daemon: RunningDaemon) -> None:
    content = os.urandom(SIZE)
    async with booted(daemon) as guest:
        await guest.import_file(content)
        both = encode_copy_pages(guest.usual) + encode_send(sync(2))
        assert (await guest.client.submit(both)).ok
        await guest.client.next_event()
        assert guest.mirror.view[:SIZE] == content


REFUSED: list[tuple[str, Change]] = [
    ("another key", lambda usual: usual._replace(key=bytes(KEY_SIZE))),
    ("no such pages", lambda usual: usual._replace(source=SOURCE + 1)),
    ("a destination that is not there", lambda usual: usual._replace(destination=4000)),
    ("a destination in guest memory", lambda usual: usual._replace(destination=1)),
    ("beyond the pages", lambda usual: usual._replace(source_offset=PAGE_SIZE + 4)),
    ("far beyond the pages", lambda usual: usual._replace(source_offset=(1 << 64) - 1)),
    ("beyond the mirror", lambda usual: usual._replace(offset=4)),
    ("no stride", lambda usual: usual._replace(stride=0)),
    ("no bytes in a block", lambda usual: usual._replace(block_bytes=0)),
    ("a row too long", lambda usual: usual._replace(rectangles=rectangle(1, 0, STRIDE // 4, 1))),
    ("a row too many", lambda usual: usual._replace(rectangles=rectangle(0, 1, 1, ROWS))),
    ("a negative place", lambda usual: usual._replace(rectangles=rectangle(-1, 0, 1, 1))),
    ("a huge size", lambda usual: usual._replace(rectangles=rectangle(0, 0, 0x7FFFFFFF, 0x7FFFFFFF))),
    ("half a rectangle", lambda usual: usual._replace(rectangles=whole()[:8])),
]


@pytest.mark.parametrize("change", [change for _, change in REFUSED], ids=[name for name, _ in REFUSED])
async def test_a_copy_that_must_not_be_costs_its_client_alone(daemon: RunningDaemon, change: Change) -> None:
    async with booted(daemon) as guest:
        await guest.import_file(os.urandom(SIZE))
        other = await GuestContext.open(guest.gpu, 2)
        refused = await guest.copy(change)
        assert refused >= REFUSAL
        assert guest.mirror.view[:SIZE] == bytes(SIZE)
        assert (await other.send(sync(2))).ok
        await other.next_event()


async def test_pages_that_were_given_up_are_not_copied(daemon: RunningDaemon) -> None:
    async with booted(daemon) as guest:
        await guest.import_file(os.urandom(SIZE))
        assert (await guest.memory.driver.resource_unref(SOURCE)).ok
        assert await guest.copy() >= REFUSAL


async def test_pages_of_another_vm_are_not_found(daemon: RunningDaemon) -> None:
    async with booted(daemon, with_memory=False) as guest:
        await guest.import_file(os.urandom(SIZE))
        assert await guest.copy() >= REFUSAL
        assert guest.mirror.view[:SIZE] == bytes(SIZE)


async def test_a_memory_device_has_no_contexts_and_no_window(daemon: RunningDaemon) -> None:
    async with booted(daemon) as guest:
        driver = guest.memory.driver
        assert (await driver.ctx_create(1)).type >= REFUSAL
        assert (await driver.create_host_blob(3, PAGE_SIZE, ctx_id=1, blob_id=2)).type >= REFUSAL
        assert guest.memory.window.size == 0


async def test_a_vm_whose_memory_device_comes_back_is_served_on(daemon: RunningDaemon) -> None:
    content = os.urandom(SIZE)
    async with booted(daemon) as guest:
        await guest.import_file(bytes(SIZE))
        assert await guest.copy() == OK
        await guest.memory.hang_up()
        again = connected(memory_socket(daemon.gpu_socket))
        async with FakeFrontend(again, ram=guest.gpu.ram) as memory:
            guest.memory = memory
            await guest.import_file(content)
            assert await guest.copy() == OK
            assert guest.mirror.view[:SIZE] == content
