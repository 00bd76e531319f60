"""Frames of surfaces with mirrors pass in C, and everybody gets the same as without that."""

import os
from collections.abc import Callable, Generator
from random import Random
from typing import Final

import pytest

from crossdomain.abi.pages import PAGE_SIZE, RECTANGLE, Verdict
from tests.fakes.holes import punch_hole
from tests.unit.launcher.carried_client import CarriedClient
from tests.unit.launcher.fake_channel import event, request

WIDTH, HEIGHT, STRIDE = 256, 64, 1024
SIZE: Final = HEIGHT * STRIDE
BUFFERS: Final = 3
POOL_SIZE: Final = BUFFERS * SIZE
WHOLE: Final = (0, 0, WIDTH, HEIGHT)
INVALID_FD: Final = 2

Make = Callable[..., "Painter"]


class Painter:
    """A client with a surface and a pool of some buffers, which it has drawn."""

    def __init__(self, client: CarriedClient) -> None:
        self.client = client
        self._served = 0
        self.host = client.host
        self.copies = client.host.copies
        self.shm = client.bind("wl_shm", 1)
        self.compositor = client.bind("wl_compositor", 6)
        self.viewporter = client.bind("wp_viewporter", 1)
        self.surfaces = [self._create_surface(), self._create_surface()]
        self.surface = self.surfaces[0]
        self.fd = os.memfd_create("pool")
        self.size = POOL_SIZE
        os.pwrite(self.fd, bytes(POOL_SIZE), 0)
        self.pool = client.new_id()
        client.say(
            request("wl_shm", "create_pool", self.shm, self.pool, None, POOL_SIZE), fds=[os.dup(self.fd)]
        )
        self.buffers = [client.new_id() for _ in range(BUFFERS)]
        client.say(*(self.buffer_of(*numbered) for numbered in enumerate(self.buffers)))
        self.client.hear()

    def _create_surface(self) -> int:
        surface = self.client.new_id()
        self.client.say(request("wl_compositor", "create_surface", self.compositor, surface))
        return surface

    def buffer_of(self, number: int, buffer: int) -> bytes:
        """The request for a new buffer of that part of the pool."""
        values = (buffer, number * SIZE, WIDTH, HEIGHT, STRIDE, 0)
        return request("wl_shm_pool", "create_buffer", self.pool, *values)

    def frame(self, buffer: int | None, *damage: tuple[int, int, int, int]) -> bytes:
        """The requests of a frame."""
        attach = b"" if buffer is None else request("wl_surface", "attach", self.surface, buffer, 0, 0)
        damaged = b"".join(request("wl_surface", "damage_buffer", self.surface, *area) for area in damage)
        return attach + damaged + request("wl_surface", "commit", self.surface)

    def show(self, buffer: int | None, *damage: tuple[int, int, int, int]) -> None:
        """Attach, damage and commit at once."""
        self.client.say(self.frame(buffer, *damage))
        self.client.delete_ids()

    def release(self, buffer: int) -> None:
        """The compositor gives a buffer back."""
        self.host.deliver(event("wl_buffer", "release", buffer))
        self.client.serve()

    def become_steady(self) -> None:
        """Show two buffers in turn until neither needs Python; no mirror lacks a px then."""
        for damage in ((WHOLE,), (WHOLE,), (), ()):
            for buffer, other in ((0, 1), (1, 0)):
                self.show(self.buffers[buffer], *damage)
                self.release(self.buffers[other])
        self.client.hear()
        self.copies.copies.clear()
        self.host.sends.clear()

    def take_seen(self) -> int:
        """How often no Python was needed since the last time."""
        before, self._served = self._served, self.client.served
        return self._served - before

    def mirrors(self) -> list[bytes]:
        """What the compositor sees."""
        return [memory.contents if memory.closed else memory.buffer[:] for memory in self.host.memories]

    def close(self) -> None:
        self.client.close()
        os.close(self.fd)


@pytest.fixture
def make() -> Generator[Make]:
    """Makes painters whose messages pass in C or not, and whose memory the host sees or not."""
    made: list[Painter] = []

    def make_painter(*, has_way: bool = True, sees_pages: bool = True) -> Painter:
        made.append(Painter(CarriedClient(has_way=has_way, sees_pages=sees_pages)))
        return made[-1]

    yield make_painter
    for painter in made:
        painter.close()


@pytest.fixture
def painter(make: Make) -> Painter:
    """One that is carried, and whose memory the host copies."""
    made = make()
    made.become_steady()
    made.take_seen()
    return made


def test_steady_frames_need_no_python(painter: Painter) -> None:
    area = (3, 5, 7, 2)
    for number in range(6):
        buffer = painter.buffers[number % 2]
        painter.client.say(painter.frame(buffer, area))
        painter.release(painter.buffers[1 - number % 2])
    assert painter.take_seen() == 12
    assert painter.client.hear() == b"".join(
        event("wl_buffer", "release", painter.buffers[1 - number % 2]) for number in range(6)
    )
    assert painter.host.sent == b"".join(
        painter.frame(painter.buffers[number % 2], area) for number in range(6)
    )
    assert len(painter.copies.copies) == 6
    totals = painter.client.stats.totals()
    assert totals.frames == 14
    assert totals.bytes_copied_host == totals.copied["shm-pages"]


def test_the_host_is_told_what_to_copy_as_by_python(make: Make) -> None:
    said: list[object] = []
    for has_way in (True, False):
        painter = make(has_way=has_way)
        painter.become_steady()
        painter.show(painter.buffers[0], (3, 5, 7, 2), (100, 1, 1, 60))
        said.append(painter.copies.copies)
    assert said[0] == said[1]


def test_damage_is_what_the_mirror_lacks(painter: Painter) -> None:
    painter.client.say(painter.frame(painter.buffers[0], (0, 0, 4, 1)))
    painter.release(painter.buffers[1])
    painter.client.say(painter.frame(painter.buffers[1], (0, 2, 4, 1)))
    assert [copy.rectangles for copy in painter.copies.copies] == [
        RECTANGLE.pack(0, 0, 4, 1),
        RECTANGLE.pack(0, 0, 4, 1) + RECTANGLE.pack(0, 2, 4, 1),
    ]
    assert painter.take_seen() == 3


def test_damage_of_a_surface_is_scaled(make: Make) -> None:
    painter = make()
    painter.client.say(request("wl_surface", "set_buffer_scale", painter.surface, 2))
    painter.become_steady()
    painter.take_seen()
    for _ in range(3):
        painter.client.say(
            request("wl_surface", "set_buffer_scale", painter.surface, 2),
            request("wl_surface", "set_buffer_transform", painter.surface, 0),
            request("wl_surface", "damage", painter.surface, -5, 3, 15, 1 << 30),
            painter.frame(painter.buffers[0]),
        )
        painter.release(painter.buffers[0])
    assert painter.copies.copies[-1].rectangles == RECTANGLE.pack(0, 6, 20, HEIGHT - 6)
    assert painter.take_seen() == 6


def test_any_damage_is_cut_to_the_buffer(painter: Painter) -> None:
    low, high = -(1 << 31), (1 << 31) - 1
    painter.client.say(
        request("wl_surface", "damage", painter.surface, high, high, high, high),
        request("wl_surface", "damage", painter.surface, low, low, high, high),
        painter.frame(painter.buffers[0], (low, low, low, low), (-4, -4, high, 5), (5, 5, -1, 3)),
    )
    assert painter.copies.copies[-1].rectangles == RECTANGLE.pack(0, 0, WIDTH, 1)
    assert painter.take_seen() == 1


def test_more_damage_than_c_counts_is_python_s(painter: Painter, make: Make) -> None:
    areas = [(2 * number, number % HEIGHT, 1, 1) for number in range(100)]
    painter.client.say(painter.frame(painter.buffers[0], *areas))
    assert painter.take_seen() == 0
    plain = make(has_way=False)
    plain.become_steady()
    plain.client.say(plain.frame(plain.buffers[0], *areas))
    assert painter.copies.copies == plain.copies.copies
    assert len(painter.copies.copies) == 1


def test_copies_that_python_has_to_send_go_before_their_commit(painter: Painter) -> None:
    os.pwrite(painter.fd, b"\7" * SIZE, 0)
    unknown = request("wl_compositor", "create_region", painter.compositor, painter.client.new_id())
    painter.client.say(
        painter.frame(painter.buffers[0], WHOLE)
        + request("wl_surface", "attach", painter.surface, painter.buffers[2], 0, 0)
        + unknown
    )
    assert painter.take_seen() == 0
    assert painter.mirrors()[0][:SIZE] == b"\7" * SIZE


def test_a_client_that_fills_the_commands_is_python_s_for_once(painter: Painter) -> None:
    frames = painter.frame(painter.buffers[0], (0, 0, 1, 1)) + 400 * painter.frame(None, (0, 0, 1, 1))
    painter.client.say(frames)
    assert painter.host.sent == frames
    assert len(painter.copies.copies) == 401
    painter.release(painter.buffers[1])
    painter.take_seen()
    painter.client.say(painter.frame(painter.buffers[1], (0, 0, 1, 1)))
    assert painter.take_seen() == 1


@pytest.mark.parametrize(
    "disturb", ["destroy", "resize", "viewport", "other surface", "nothing", "transform"]
)
def test_what_is_unusual_is_seen_and_steady_again_after_it(painter: Painter, disturb: str) -> None:
    client, surface, first = painter.client, painter.surface, painter.buffers[0]
    viewport = client.new_id()
    os.ftruncate(painter.fd, 2 * POOL_SIZE)
    disturbances = {
        "destroy": request("wl_buffer", "destroy", painter.buffers[2]),
        "resize": request("wl_shm_pool", "resize", painter.pool, 2 * POOL_SIZE),
        "viewport": request("wp_viewporter", "get_viewport", painter.viewporter, viewport, surface)
        + request("wp_viewport", "set_destination", viewport, 10, 10)
        + request("wp_viewport", "set_destination", viewport, -1, -1),
        "other surface": request("wl_surface", "attach", painter.surfaces[1], first, 0, 0)
        + request("wl_surface", "commit", painter.surfaces[1])
        + request("wl_surface", "attach", painter.surfaces[1], 0, 0, 0)
        + request("wl_surface", "commit", painter.surfaces[1]),
        "nothing": request("wl_surface", "attach", surface, 0, 0, 0),
        "transform": request("wl_surface", "set_buffer_transform", surface, 2)
        + request("wl_surface", "set_buffer_transform", surface, 0),
    }
    client.say(disturbances[disturb])
    assert painter.take_seen() == 0
    painter.release(first)
    for number in range(6):
        os.pwrite(painter.fd, bytes([number]) * 2 * SIZE, 0)
        painter.show(painter.buffers[number % 2], WHOLE)
        painter.release(painter.buffers[1 - number % 2])
    assert painter.take_seen() >= 4
    assert bytes([5]) * SIZE in [mirror[:SIZE] for mirror in painter.mirrors()]
    assert not client.closed


@pytest.mark.parametrize("lost", [0, 2 * SIZE], ids=["and gets others for them", "and lacks them"])
def test_a_pool_that_loses_pages_is_seen(painter: Painter, lost: int) -> None:
    punch_hole(painter.fd, lost, PAGE_SIZE)
    os.pwrite(painter.fd, b"\5" * SIZE, 0)
    painter.client.say(painter.frame(painter.buffers[0], WHOLE))
    assert painter.take_seen() == 0
    assert painter.copies.copies == []
    assert painter.mirrors()[-1][:SIZE] == b"\5" * SIZE


def test_frames_in_place_need_no_python_and_no_copies(make: Make) -> None:
    painter = make()
    painter.copies.verdicts = [Verdict.YES] * 2
    painter.become_steady()
    painter.take_seen()
    for number in range(6):
        painter.client.say(painter.frame(painter.buffers[number % 2], WHOLE))
        painter.release(painter.buffers[1 - number % 2])
    assert painter.take_seen() == 12
    assert painter.copies.copies == []
    assert painter.client.stats.totals().frames == 14
    painter.client.say(
        b"".join(request("wl_buffer", "destroy", buffer) for buffer in painter.buffers),
        request("wl_shm_pool", "destroy", painter.pool),
    )
    # The compositor still reads what was shown last.
    assert not painter.copies.imports[0].closed


def test_a_host_that_sees_nothing_gets_what_is_copied_here(make: Make) -> None:
    painter = make(sees_pages=False)
    painter.become_steady()
    painter.take_seen()
    os.pwrite(painter.fd, b"\5" * SIZE, 0)
    painter.client.say(painter.frame(painter.buffers[0], (0, 0, WIDTH, 1), (2, 2, 2, 2)))
    assert painter.take_seen() == 1
    expected = bytearray(SIZE)
    expected[:STRIDE] = b"\5" * STRIDE
    for row in (2, 3):
        expected[row * STRIDE + 8 : row * STRIDE + 16] = b"\5" * 8
    assert painter.mirrors()[0][:SIZE] == expected
    assert painter.client.stats.totals().bytes_copied == 5 * SIZE + STRIDE + 16


def test_a_buffer_of_another_size_is_copied_whole(make: Make) -> None:
    painter = make(sees_pages=False)
    small, large = painter.client.new_id(), painter.buffers[0]
    values = (small, 2 * SIZE, WIDTH // 2, HEIGHT, STRIDE, 0)
    painter.client.say(request("wl_shm_pool", "create_buffer", painter.pool, *values))
    edge = (WIDTH - 1, 0, 1, HEIGHT)
    for buffer, area in ((small, WHOLE), (large, WHOLE), (small, WHOLE), *[(large, edge)] * 4):
        painter.show(buffer, area)
        painter.release(large if buffer == small else small)
    os.pwrite(painter.fd, b"\7" * SIZE, 2 * SIZE)
    painter.show(small, (0, 0, 1, 1))
    rows = [painter.mirrors()[-1][row * STRIDE :][: STRIDE // 2] for row in range(HEIGHT)]
    assert set(b"".join(rows)) == {7}


def test_a_file_that_is_cut_ends_its_client(make: Make) -> None:
    painter = make(sees_pages=False)
    painter.become_steady()
    os.ftruncate(painter.fd, 0)
    painter.client.say(painter.frame(painter.buffers[0], WHOLE))
    assert painter.client.hear()[12:16] == INVALID_FD.to_bytes(4, "little")
    assert painter.client.closed


AREAS: Final = (0, 1, -1, 5, 63, 64, 255, 256, 300, -7, (1 << 31) - 1, -(1 << 31))


def disturbance(painter: Painter, random: Random) -> bytes:
    """What changes more than a frame does."""
    surface, number = random.choice(painter.surfaces), random.randrange(BUFFERS)
    match random.randrange(8):
        case 0:
            gone, painter.buffers[number] = painter.buffers[number], painter.client.new_id()
            made = painter.buffer_of(number, painter.buffers[number])
            return request("wl_buffer", "destroy", gone) + made
        case 1:
            painter.size += PAGE_SIZE
            os.ftruncate(painter.fd, painter.size)
            return request("wl_shm_pool", "resize", painter.pool, painter.size)
        case 2:
            return request("wl_surface", "set_buffer_scale", surface, random.choice((1, 1, 2, 3)))
        case 3:
            return request("wl_surface", "set_buffer_transform", surface, random.choice((0, 0, 1, 6)))
        case 4:
            punch_hole(painter.fd, SIZE * number, random.choice((0, 0, 0, 1)) * PAGE_SIZE or 1)
            return b""
        case 5:
            return request("wl_surface", "attach", surface, 0, 0, 0)
        case 6:
            viewport = painter.client.new_id()
            made = request("wp_viewporter", "get_viewport", painter.viewporter, viewport, surface)
            return made + request("wp_viewport", "destroy", viewport)
        case _:
            return request("wl_surface", "commit", surface)


def step(painter: Painter, random: Random) -> bytes:
    """Something that a client or its compositor does; returns what the client says."""
    surface, buffer = random.choice((*painter.surfaces, painter.surface)), random.choice(painter.buffers)
    area = tuple(random.choice((random.choice(AREAS), random.randrange(64))) for _ in range(4))
    match random.randrange(24):
        case 0 | 1 | 2 | 3 | 4:
            return request("wl_surface", "attach", surface, buffer, 0, 0)
        case 5 | 6 | 7 | 8:
            return request("wl_surface", "damage_buffer", surface, *area)
        case 9 | 10 | 11:
            return request("wl_surface", "damage", surface, *area)
        case 12 | 13 | 14 | 15 | 16 | 17 | 18:
            return request("wl_surface", "commit", surface)
        case 19 | 20 | 21:
            painter.release(buffer)
            return b""
        case 22:
            os.pwrite(painter.fd, random.randbytes(1) * 999, random.randrange(POOL_SIZE - 999))
            return b""
        case _:
            return disturbance(painter, random)


def outcome(painter: Painter, random: Random, steps: int) -> list[object]:
    """What the host and the client got, all along."""
    came: list[object] = []
    for _ in range(steps):
        said = [step(painter, random) for _ in range(random.randrange(1, 6))]
        painter.client.say(*filter(None, said)) if any(said) else painter.client.serve()
        painter.client.delete_ids()
        came.append((painter.host.sent, painter.client.hear(), painter.mirrors(), painter.client.closed))
    totals = painter.client.stats.totals()
    came += [totals.frames, totals.bytes_damaged, totals.copied, totals.bytes_copied_host, totals.buffers]
    return came


@pytest.mark.parametrize("sees_pages", [True, False], ids=["pages", "copy"])
def test_every_life_comes_out_the_same_as_without_c(make: Make, sees_pages: bool) -> None:
    served = 0
    for seed in range(12):
        carried, plain = (make(has_way=way, sees_pages=sees_pages) for way in (True, False))
        assert outcome(carried, Random(seed), 60) == outcome(plain, Random(seed), 60), seed
        assert carried.copies.copies == plain.copies.copies
        served += carried.client.served
    assert served > 150
