"""wl_shm where the host makes dmabufs of the client's pages: the compositor reads them in place."""

import mmap
import os
from collections.abc import Generator
from typing import Final

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.abi.pages import PAGE_SIZE, ShowPages, ShowPlane, Verdict
from crossdomain.bridge.formats import fourcc
from tests.fakes.holes import punch_hole
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.fake_copies import FakeCopies
from tests.unit.launcher.test_relay_pages import Seen
from tests.unit.launcher.test_relay_shm import ARGB8888

WIDTH, HEIGHT, STRIDE = 256, 64, 1024
SIZE: Final = HEIGHT * STRIDE
POOL_SIZE: Final = 4 * SIZE
NV12: Final = fourcc("NV12")
YES, NO, ASKING = Verdict.YES, Verdict.NO, Verdict.ASKING


class Shown(Seen):
    """A client with a pool of four buffers, each large enough for a dmabuf."""

    def __init__(self, client: RelayedClient, copies: FakeCopies) -> None:
        super().__init__(client, copies)
        os.ftruncate(self.fd, POOL_SIZE)
        self.pool = self.create_pool(POOL_SIZE)
        client.channel.sends.clear()

    def fill_pool(self) -> None:
        """Show a pool whose pages are all there."""
        os.pwrite(self.fd, b"\1" * POOL_SIZE, 0)
        self.pool = self.create_pool(POOL_SIZE)

    def create_large(self, offset: int = 0, *, height: int = HEIGHT) -> int:
        """The id of a buffer."""
        return self.create_of(offset, WIDTH, height)

    def create_of(self, offset: int, width: int, height: int) -> int:
        """The id of a buffer of that size, px."""
        buffer = self.client.new_id()
        values = (buffer, offset, width, height, width * 4, ARGB8888)
        self.client.say(request("wl_shm_pool", "create_buffer", self.pool, *values))
        return buffer

    def show(self, buffer: int) -> None:
        """Commit a buffer, damaged whole."""
        self.commit(buffer, (0, 0, WIDTH, HEIGHT))

    def release(self, buffer: int) -> None:
        """The compositor gives a buffer back, after all delete_ids that are due."""
        self.client.channel.deliver(event("wl_buffer", "release", buffer))
        self.client.serve()

    def copied(self) -> int:
        """Bytes that anybody copied."""
        counters = self.client.stats.totals()
        return counters.bytes_copied + counters.bytes_copied_host

    @property
    def spare(self) -> int:
        """The id of the last pool that the relay made."""
        begin = request("wl_shm", "create_pool", self.shm, 1, None, 1)[:8]
        sent = self.client.channel.sent
        return int.from_bytes(sent[sent.rindex(begin) + 8 :][:4], "little")

    def show_in_place(self, buffer: int) -> None:
        """Commit a buffer that moves, up to all delete_ids: of the mirror, the host's own, and the pool."""
        self.show(buffer)
        self.delete_ids(buffer, 2)
        self.delete_ids(self.spare, 1)
        assert self.client.hear() == b""


@pytest.fixture
def copies() -> FakeCopies:
    channel = FakeChannel()
    made = FakeCopies(channel)
    channel.host_copies = made
    return made


@pytest.fixture
def client(copies: FakeCopies) -> Generator[RelayedClient]:
    made = RelayedClient(copies.channel)
    yield made
    made.close()


@pytest.fixture
def shown(client: RelayedClient, copies: FakeCopies) -> Generator[Shown]:
    made = Shown(client, copies)
    yield made
    client.connection.close()
    os.close(made.fd)


def test_a_buffer_that_the_compositor_reads_in_place_is_not_copied(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    buffer = shown.create_large(SIZE)
    for _ in range(3):
        shown.show(buffer)
    assert shown.copied() == 0
    assert client.stats.totals().buffers == {"shm-dmabuf": 1}
    assert copies.asked == [
        ShowPages(1, buffer, PAGE_SIZE + SIZE, b"the sixteen byte", ARGB8888, WIDTH, HEIGHT, STRIDE)
    ]


def test_a_buffer_of_several_planes_is_shown_with_all_of_them(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    buffer = client.new_id()
    values = (buffer, PAGE_SIZE, 512, 128, 512, NV12)
    client.say(request("wl_shm_pool", "create_buffer", shown.pool, *values))
    shown.show(buffer)
    (asked,) = copies.asked
    assert (asked.format, asked.width, asked.height, asked.stride) == (NV12, 512, 128, 512)
    chroma = ShowPlane(asked.source, 512, asked.source_offset + 512 * 128, asked.key)
    assert asked.planes == (chroma,)
    assert (shown.copied(), client.stats.totals().buffers) == (0, {"shm-dmabuf": 1})


def test_it_is_made_anew_with_its_pages_before_it_is_attached(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    buffer = shown.create_large()
    client.channel.sends.clear()
    shown.show(buffer)
    spare = shown.spare
    made = b"".join(
        (
            request("wl_buffer", "destroy", buffer),
            request("wl_shm", "create_pool", shown.shm, spare, None, SIZE),
            request("wl_shm_pool", "create_buffer", spare, buffer, 0, WIDTH, HEIGHT, STRIDE, ARGB8888),
            request("wl_shm_pool", "destroy", spare),
            request("wl_surface", "attach", shown.surface, buffer, 0, 0),
        )
    )
    assert client.channel.sent.startswith(made)
    assert client.channel.identifiers == [Identifier(1, IdentifierType.PAGES, SIZE)]


def test_the_client_hears_of_its_end_alone(client: RelayedClient, copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [YES]
    buffer = shown.create_large()
    shown.show_in_place(buffer)
    shown.release(buffer)
    assert client.hear() == event("wl_buffer", "release", buffer)
    client.say(request("wl_buffer", "destroy", buffer))
    shown.delete_ids(buffer, 1)
    assert client.hear() == event("wl_display", "delete_id", 1, buffer)


def test_frames_are_copied_until_the_host_knows(copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [ASKING, ASKING, YES]
    buffer = shown.create_large()
    for _ in range(3):
        shown.show(buffer)
        shown.release(buffer)
    assert shown.copied() == 2 * SIZE


def test_a_host_that_never_knows_is_not_asked_for_ever(copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [ASKING] * 100
    buffer = shown.create_large()
    for _ in range(50):
        shown.show(buffer)
        shown.release(buffer)
    assert 1 < len(copies.asked) < 50


def test_a_buffer_that_is_not_taken_is_asked_for_once(copies: FakeCopies, shown: Shown) -> None:
    buffer = shown.create_large()
    for _ in range(3):
        shown.show(buffer)
        shown.release(buffer)
    assert len(copies.asked) == 1
    assert shown.copied() == 3 * SIZE


def test_a_buffer_that_the_compositor_reads_stays_where_it_is(copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [ASKING, YES]
    buffer = shown.create_large()
    shown.show(buffer)
    shown.show(buffer)
    assert len(copies.asked) == 1


def test_a_small_buffer_is_not_worth_it(copies: FakeCopies, shown: Shown) -> None:
    shown.show(shown.create_large(height=HEIGHT - 1))
    assert copies.asked == []


def test_two_buffers_in_turn_are_not_copied(client: RelayedClient, copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [YES, YES]
    buffers = [shown.create_large(), shown.create_large(SIZE)]
    for turn in range(10):
        shown.show(buffers[turn % 2])
        # A compositor that draws with GL gives the one before back: no reason to share memory here.
        shown.release(buffers[(turn + 1) % 2])
    assert shown.copied() == 0
    assert client.stats.totals().buffers == {"shm-dmabuf": 2}


def test_the_damage_of_frames_in_place_is_missing_in_mirrors(copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [NO, YES]
    mirrored, in_place = shown.create_large(), shown.create_large(SIZE)
    os.pwrite(shown.fd, b"\1" * SIZE, 0)
    shown.show(mirrored)
    shown.release(mirrored)
    shown.commit(in_place, (0, 0, WIDTH, 1))
    os.pwrite(shown.fd, b"\2" * STRIDE, 0)
    shown.commit(mirrored, (0, 1, WIDTH, 1))
    assert shown.mirrors[0].buffer[:STRIDE] == b"\2" * STRIDE


def test_an_icon_is_made_of_a_mirror_again(client: RelayedClient, copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [YES]
    manager, icon = client.bind("xdg_toplevel_icon_manager_v1", 1), client.new_id()
    client.say(request("xdg_toplevel_icon_manager_v1", "create_icon", manager, icon))
    client.hear()
    buffer = shown.create_large()
    shown.show_in_place(buffer)
    shown.release(buffer)
    client.channel.sends.clear()
    os.pwrite(shown.fd, b"\5" * SIZE, 0)
    client.say(request("xdg_toplevel_icon_v1", "add_buffer", icon, buffer, 1))
    assert client.channel.identifiers == [shown.mirrors[-1].identifier]
    assert shown.mirrors[-1].buffer[:SIZE] == b"\5" * SIZE
    assert client.stats.totals().buffers == {"shm-pages": 1}


def test_a_buffer_that_is_read_in_place_becomes_no_icon(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    manager, icon = client.bind("xdg_toplevel_icon_manager_v1", 1), client.new_id()
    client.say(request("xdg_toplevel_icon_manager_v1", "create_icon", manager, icon))
    buffer = shown.create_large()
    shown.show(buffer)
    client.channel.sends.clear()
    client.say(request("xdg_toplevel_icon_v1", "add_buffer", icon, buffer, 1))
    assert client.channel.sent == b""


def test_pages_stay_as_long_as_their_surface_shows_them(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    buffer = shown.create_large()
    pages = copies.imports[-1]
    shown.show_in_place(buffer)
    client.say(request("wl_buffer", "destroy", buffer), request("wl_shm_pool", "destroy", shown.pool))
    client.channel.sends.clear()
    client.say(request("wl_surface", "commit", shown.surface))
    shown.answer_syncs()
    while_shown = pages.closed
    client.say(
        request("wl_surface", "attach", shown.surface, 0, 0, 0),
        request("wl_surface", "commit", shown.surface),
    )
    until_seen = pages.closed
    shown.answer_syncs()
    assert (while_shown, until_seen, pages.closed) == (False, False, True)


def test_pages_go_with_their_surface(client: RelayedClient, copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [YES]
    buffer = shown.create_large()
    pages = copies.imports[-1]
    shown.show_in_place(buffer)
    client.say(request("wl_buffer", "destroy", buffer), request("wl_shm_pool", "destroy", shown.pool))
    client.channel.sends.clear()
    client.say(request("wl_surface", "destroy", shown.surface))
    shown.answer_syncs()
    assert pages.closed


def test_pages_go_with_the_client(client: RelayedClient, copies: FakeCopies, shown: Shown) -> None:
    copies.verdicts = [YES]
    shown.show(shown.create_large())
    client.connection.close()
    assert all(pages.closed for pages in copies.imports)


def test_of_a_pool_that_is_too_large_to_be_shown_its_large_buffers_are(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES, YES, YES]
    frame = 2160 * 15360
    os.ftruncate(shown.fd, 3 * frame)
    shown.pool = shown.create_pool(3 * frame)
    before = len(copies.imports)
    for number in range(3):
        shown.show(shown.create_of(number * frame, 3840, 2160))
    assert shown.copied() == 0
    assert client.stats.totals().buffers == {"shm-dmabuf": 3}
    assert [(part.start, part.end) for part in copies.imports[before:]] == [
        (number * frame, number * frame + frame) for number in range(3)
    ]
    assert [show.source_offset for show in copies.asked] == [PAGE_SIZE] * 3


@pytest.mark.parametrize(
    ("size", "width", "height"),
    [(512 << 20, WIDTH, HEIGHT), ((512 << 20) + PAGE_SIZE, 4096, 4095)],
    ids=["a small one", "the largest, of a pool of more than eight of them"],
)
def test_of_a_pool_that_is_too_large_to_be_shown_small_buffers_are_copied_here(
    client: RelayedClient, copies: FakeCopies, shown: Shown, size: int, width: int, height: int
) -> None:
    os.ftruncate(shown.fd, size)
    shown.pool = shown.create_pool(size)
    before = len(copies.imports)
    shown.show(shown.create_of(100 << 20, width, height))
    assert len(copies.imports) == before
    assert client.stats.totals().buffers == {"shm-copy": 1}


def test_of_a_pool_of_eight_large_buffers_each_is_shown(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    size = 4096 * 4095 * 4
    os.ftruncate(shown.fd, 9 * size)
    shown.pool = shown.create_pool(8 * size)
    before = len(copies.imports)
    for number in range(8):
        shown.create_of(number * size, 4096, 4095)
    assert len(copies.imports) == before + 8
    assert client.stats.totals().buffers == {"shm-pages": 8}


def test_a_buffer_that_is_too_large_to_be_shown_is_copied_here(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    os.ftruncate(shown.fd, 4096 * 4 * 4200)
    shown.pool = shown.create_pool(4096 * 4 * 4200)
    before = len(copies.imports)
    shown.show(shown.create_of(0, 4096, 4200))
    assert len(copies.imports) == before
    assert client.stats.totals().buffers == {"shm-copy": 1}


def test_a_buffer_in_place_whose_pool_loses_pages_is_copied_here_from_then_on(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    shown.fill_pool()
    buffer = shown.create_large()
    shown.show_in_place(buffer)
    shown.release(buffer)
    punch_hole(shown.fd, SIZE, SIZE)
    os.pwrite(shown.fd, b"\5" * SIZE, 0)
    shown.show(buffer)
    assert shown.mirrors[-1].buffer[:SIZE] == b"\5" * SIZE
    assert (copies.copies, client.stats.totals().buffers) == ([], {"shm-copy": 1})


def test_pages_that_others_have_replaced_before_the_next_frame_are_missed(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    shown.fill_pool()
    buffer = shown.create_large()
    shown.show_in_place(buffer)
    shown.release(buffer)
    shown.show(buffer)
    shown.release(buffer)
    punch_hole(shown.fd, 0, SIZE)
    os.pwrite(shown.fd, b"\5" * SIZE, 0)
    shown.show(buffer)
    assert shown.mirrors[-1].buffer[:SIZE] == b"\5" * SIZE
    assert client.stats.totals().buffers == {"shm-copy": 1}


def test_a_pool_that_is_only_drawn_in_keeps_its_pages(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES]
    buffer = shown.create_large()
    shown.show_in_place(buffer)
    for number in range(4):
        shown.release(buffer)
        with mmap.mmap(shown.fd, SIZE) as drawn:
            drawn[:] = bytes([number]) * SIZE
        shown.show(buffer)
    assert (shown.copied(), client.stats.totals().buffers) == (0, {"shm-dmabuf": 1})


def test_a_mirror_of_a_pool_that_loses_pages_is_written_here_from_then_on(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    shown.fill_pool()
    buffer = shown.create_large()
    shown.show(buffer)
    shown.release(buffer)
    punch_hole(shown.fd, SIZE, SIZE)
    os.pwrite(shown.fd, b"\5" * SIZE, 0)
    shown.show(buffer)
    assert shown.mirrors[-1].buffer[:SIZE] == b"\5" * SIZE
    assert (len(copies.copies), client.stats.totals().buffers) == (1, {"shm-copy": 1})


def test_pages_that_a_pool_loses_are_missed_while_another_buffer_is_shown(
    client: RelayedClient, copies: FakeCopies, shown: Shown
) -> None:
    copies.verdicts = [YES, YES]
    shown.fill_pool()
    first, second = shown.create_large(), shown.create_large(SIZE)
    shown.show_in_place(first)
    shown.show_in_place(second)
    shown.release(first)
    punch_hole(shown.fd, 0, SIZE)
    shown.show(second)
    os.pwrite(shown.fd, b"\5" * SIZE, 0)
    shown.show(first)
    assert shown.mirrors[-1].buffer[:SIZE] == b"\5" * SIZE
    assert client.stats.totals().buffers == {"shm-dmabuf": 1, "shm-copy": 1}
