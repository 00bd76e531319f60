"""COPY_PAGES in front of a SEND are carried out in C as they are in Python, and refused in the same cases."""

import asyncio
import os
import struct
import sys
from collections.abc import Awaitable, Callable, Generator
from random import Random
from types import FrameType
from typing import Final

import pytest

from crossdomain.abi import cross_domain as protocol
from crossdomain.abi.pages import KEY_PREFIX, KEY_SIZE, PAGE_SIZE, CopyPages, encode_copy_pages
from crossdomain.abi.virtio_gpu import VIRTIO_GPU_CMD_SUBMIT_3D
from crossdomain.device import ring
from crossdomain.device.memory import GuestMemory
from crossdomain.device.resources import GuestStorage
from crossdomain.device.vhost_user import Region
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_COPIED_BYTES
from tests.fakes.guest_context import GuestContext, MappedBlob
from tests.unit.context.world import CompositorEnd, sync
from tests.unit.device.machine import Machine, run
from tests.unit.host.test_passage import STEADY

STRIDE: Final = 256
SIZE: Final = 8 * PAGE_SIZE
ROWS: Final = SIZE // STRIDE
KEY: Final = KEY_PREFIX + bytes(range(KEY_SIZE - len(KEY_PREFIX)))
SOURCE: Final = 7
_LARGE: Final = 15 << 16
"""Bytes: as many as fit the window, so that a command has few rectangles of them."""
FAILED: Final = 0x1200
"""The first response that is an error."""

Step = Callable[["Guest"], Awaitable[None]]


class SeenMemory:
    """A `MemoryDevice` of one resource, behind whose first page, with its key, is content."""

    def __init__(self, size: int = SIZE) -> None:
        self.fd = os.memfd_create("pages")
        self.size = size = size + PAGE_SIZE
        self.region = Region(0, size, 0x7000_0000, 0)
        self.memory = GuestMemory()
        os.pwrite(self.fd, KEY.ljust(PAGE_SIZE, b"\0") + bytes(range(256)) * (size // 256), 0)
        os.ftruncate(self.fd, size)
        self.memory.add(self.region, self.fd)
        self.owner: object = None
        # The two halves have changed places.
        half = size // 2 // PAGE_SIZE * PAGE_SIZE
        self.entries = [(0, half), (half, size - half)]
        self.pages: GuestStorage | None = self.new_pages()

    def new_pages(self) -> GuestStorage:
        """The resource made anew."""
        return GuestStorage(self.memory, self.size, self.entries)

    def find(self, resource_id: int, /) -> GuestStorage:
        """See `MemoryDevice`."""
        if resource_id != SOURCE or self.pages is None:
            raise GuestFault("no such pages")
        return self.pages

    def expect(self, owner: object, /) -> None:
        """See `MemoryDevice`."""
        self.owner = owner

    def forget(self, owner: object, /) -> None:
        """See `MemoryDevice`."""

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)


class Guest:
    """A client with a mirror."""

    def __init__(self, seen: SeenMemory, context: GuestContext, compositor: CompositorEnd) -> None:
        self.seen = seen
        self.context = context
        self.compositor = compositor
        self.answers: list[int] = []

    async def make_mirror(self) -> None:
        """Fresh memory of the host to copy to."""
        self.mirror: MappedBlob = await self.context.allocate(SIZE)

    def usual(self, *rectangles: tuple[int, int, int, int]) -> CopyPages:
        """A copy of these, or all."""
        packed = b"".join(struct.pack("<4i", *area) for area in rectangles or ((0, 0, STRIDE // 4, ROWS),))
        return CopyPages(self.mirror.resource_id, SOURCE, KEY, 0, PAGE_SIZE, STRIDE, STRIDE, 4, packed)

    async def show(self, *copies: CopyPages, data: bytes = STEADY) -> None:
        """Copies, and what is sent behind them."""
        commands = b"".join(map(encode_copy_pages, copies)) + protocol.encode_send(data)
        self.answers.append((await self.context.submit(commands)).type)


@pytest.fixture
def seen() -> Generator[SeenMemory]:
    made = SeenMemory()
    yield made
    made.close()


async def opened(machine: Machine, seen: SeenMemory) -> Guest:
    """A client whose steady frames need no Python any more."""
    machine.memory = seen
    context, compositor = await machine.open()
    guest = Guest(seen, context, compositor)
    await guest.make_mirror()
    await guest.show(guest.usual())
    assert await compositor.receive(len(STEADY)) == STEADY
    return guest


def test_a_frame_with_copies_runs_no_python_of_the_hosts(seen: SeenMemory) -> None:
    modules: set[str] = set()

    def note(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            modules.add(frame.f_code.co_filename.rpartition("crossdomain/")[2])

    async def story(machine: Machine) -> None:
        guest = await opened(machine, seen)
        os.pwrite(seen.fd, b"\7" * SIZE, PAGE_SIZE)
        sys.setprofile(note)
        try:
            await guest.show(guest.usual((0, 0, 4, 1), (2, 2, 1, 1)), guest.usual((0, 4, STRIDE // 4, 1)))
            received = await guest.compositor.receive(len(STEADY))
        finally:
            sys.setprofile(None)
        assert received == STEADY
        assert guest.mirror.view[:16] == b"\7" * 16
        assert guest.mirror.view[16:20] == bytes(range(16, 20))
        assert guest.mirror.view[4 * STRIDE : 5 * STRIDE] == b"\7" * STRIDE
        counters = machine.contexts[0].counters
        assert (counters.copies, counters.bytes_copied) == (3, SIZE + 16 + 4 + STRIDE)

    run(story)
    ours = {name for name in modules if name.startswith(("device/", "context/"))}
    assert ours == {"context/selector.py"}


def test_what_python_has_to_see_is_copied_once(seen: SeenMemory) -> None:
    async def story(machine: Machine) -> None:
        guest = await opened(machine, seen)
        await guest.show(guest.usual((0, 0, 1, 1)), data=STEADY[:-4])
        await guest.show(data=STEADY[-4:])
        assert await guest.compositor.receive(len(STEADY)) == STEADY
        counters = machine.contexts[0].counters
        assert (counters.copies, counters.bytes_copied) == (2, SIZE + 4)

    run(story)


@pytest.mark.parametrize("ports", [True, False], ids=["in C", "in Python"])
@pytest.mark.parametrize("commands", [1, 3], ids=["one command", "several"])
def test_what_is_copied_again_and_again_ends_its_client(ports: bool, commands: int) -> None:
    seen = SeenMemory(_LARGE)
    most = MAX_COPIED_BYTES // commands // _LARGE

    async def story(machine: Machine) -> int:
        guest = await opened(machine, seen)
        guest.mirror = await guest.context.allocate(_LARGE)
        whole = (0, 0, STRIDE // 4, _LARGE // STRIDE)
        await guest.show(guest.usual(whole))
        assert await guest.compositor.receive(len(STEADY)) == STEADY
        copies = [guest.usual(*[whole] * (most + 1))] * commands
        await guest.show(*copies)
        await guest.compositor.wait_until_gone()
        assert guest.answers[-1] >= FAILED
        return machine.contexts[0].counters.bytes_copied

    try:
        assert run(story, ports=ports) < SIZE + _LARGE + MAX_COPIED_BYTES
    finally:
        seen.close()


@pytest.mark.parametrize("ports", [True, False], ids=["in C", "in Python"])
def test_large_copies_leave_others_their_turn(ports: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "_TURN_SECONDS", 0.0)
    seen = SeenMemory(_LARGE)

    async def story(machine: Machine) -> set[int]:
        guest = await opened(machine, seen)
        guest.mirror = await guest.context.allocate(_LARGE)
        whole = (0, 0, STRIDE // 4, _LARGE // STRIDE)
        await guest.show(guest.usual(whole))
        large = guest.usual(*[whole] * (MAX_COPIED_BYTES // _LARGE))
        commands = encode_copy_pages(large) + protocol.encode_send(STEADY)
        body = struct.pack("<II", len(commands), 0) + commands
        loop, context = asyncio.get_running_loop(), machine.contexts[0]
        before = context.counters.copies
        copied: set[int] = set()

        def look() -> None:
            copied.add(context.counters.copies - before)
            if 2 not in copied:
                loop.call_soon(look)

        look()
        driver = machine.frontend.driver
        await asyncio.gather(*(driver.post(VIRTIO_GPU_CMD_SUBMIT_3D, body, ctx_id=1) for _ in range(2)))
        return copied

    try:
        assert run(story, ports=ports) == {0, 1, 2}
    finally:
        seen.close()


async def lose_pages(guest: Guest) -> None:
    pages = guest.seen.find(SOURCE)
    guest.seen.pages = None
    pages.detach()


async def lose_memory(guest: Guest) -> None:
    guest.seen.memory.remove(guest.seen.region)


async def lose_mirror(guest: Guest) -> None:
    await guest.mirror.destroy()


async def change_key(guest: Guest) -> None:
    os.pwrite(guest.seen.fd, b"x", KEY_SIZE - 1)


@pytest.mark.parametrize("lose", [lose_pages, lose_memory, lose_mirror, change_key])
@pytest.mark.parametrize("ports", [True, False], ids=["in C", "in Python"])
def test_what_is_gone_is_copied_no_more(seen: SeenMemory, lose: Step, ports: bool) -> None:
    async def story(machine: Machine) -> list[int]:
        guest = await opened(machine, seen)
        await guest.show(guest.usual())
        await lose(guest)
        await guest.show(guest.usual())
        await guest.compositor.wait_until_gone()
        return guest.answers[1:]

    answered, refused = run(story, ports=ports)
    assert answered < FAILED <= refused


async def move_pages(guest: Guest) -> None:
    guest.seen.pages = guest.seen.new_pages()


async def plug_memory(guest: Guest) -> None:
    guest.seen.memory.remove(guest.seen.region)
    guest.seen.memory.add(guest.seen.region, guest.seen.fd)


async def change_mirror(guest: Guest) -> None:
    await guest.mirror.destroy()
    await guest.make_mirror()


@pytest.mark.parametrize("change", [move_pages, plug_memory, change_mirror])
def test_what_comes_in_the_place_of_something_is_copied(seen: SeenMemory, change: Step) -> None:
    async def story(machine: Machine) -> None:
        guest = await opened(machine, seen)
        await change(guest)
        for value in (3, 4):
            os.pwrite(seen.fd, bytes([value]) * SIZE, PAGE_SIZE)
            await guest.show(guest.usual())
            assert guest.mirror.view[:SIZE] == bytes([value]) * SIZE
        assert max(guest.answers) < FAILED

    run(story)


def test_pages_of_another_s_are_copied_by_nobody_who_knows_their_number(seen: SeenMemory) -> None:
    async def story(machine: Machine) -> None:
        guest = await opened(machine, seen)
        await guest.show(guest.usual()._replace(key=b"xdk\1" + bytes(12)))
        await guest.compositor.wait_until_gone()
        assert guest.answers[-1] >= FAILED

    run(story)


def strange(usual: CopyPages, random: Random) -> CopyPages:
    """Mostly as it may be."""
    number = random.choice((1, STRIDE, 1 << 16, (1 << 32) - 1))
    return random.choice(
        [usual] * 30
        + [
            usual._replace(offset=number << random.choice((0, 32))),
            usual._replace(source_offset=number),
            usual._replace(stride=number),
            usual._replace(source_stride=number),
            usual._replace(block_bytes=random.choice((0, 1, 3, 4096))),
            usual._replace(destination=number),
            usual._replace(source=number),
            usual._replace(rectangles=b""),
        ]
    )


def area(random: Random) -> tuple[int, int, int, int]:
    """A rectangle, in the image for the most part."""
    if not random.randrange(60):
        left, top, width, height = (random.choice((-1, 0, 1, (1 << 31) - 1)) for _ in range(4))
        return left, top, width, height
    x, y = random.randrange(STRIDE // 4), random.randrange(ROWS)
    return x, y, random.randrange(STRIDE // 4 - x + 1), random.randrange(ROWS - y + 1)


def test_every_copy_comes_out_the_same_as_in_python() -> None:
    async def story(machine: Machine, seen: SeenMemory, random: Random) -> list[object]:
        guest = await opened(machine, seen)
        came: list[object] = []
        for number in range(12):
            os.pwrite(seen.fd, random.randbytes(SIZE), PAGE_SIZE)
            copies = [
                strange(guest.usual(*(area(random) for _ in range(random.randrange(1, 5)))), random)
                for _ in range(random.randrange(3))
            ]
            await guest.show(*copies, data=sync(100 + number) if random.randrange(2) else STEADY)
            came.append((guest.answers[-1], guest.mirror.view[:SIZE]))
        counters = machine.contexts[0].counters
        return [*came, counters.copies, counters.bytes_copied, counters.sends]

    def outcome(seed: int, *, ports: bool) -> list[object]:
        seen = SeenMemory()
        try:
            return run(lambda machine: story(machine, seen, Random(seed)), ports=ports)
        finally:
            seen.close()

    for seed in range(25):
        assert outcome(seed, ports=True) == outcome(seed, ports=False), seed
