"""wl_shm through the relay: pools stay here, buffers have mirrors, only damage is copied."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from crossdomain.abi.cross_domain import IdentifierType
from tests.unit.launcher.fake_channel import FakeMemory, RelayedClient, event, request

WIDTH: Final = 16
HEIGHT: Final = 8
STRIDE: Final = WIDTH * 4
BUFFER_SIZE: Final = STRIDE * HEIGHT
ARGB8888: Final = 0
INVALID_FORMAT: Final = 0
INVALID_STRIDE: Final = 1
INVALID_FD: Final = 2


class Drawing:
    """A client with a pool of two buffers and a surface."""

    def __init__(self, client: RelayedClient) -> None:
        self.client = client
        self.shm = client.bind("wl_shm", 2)
        self.compositor = client.bind("wl_compositor", 6)
        self.surface = client.new_id()
        client.say(request("wl_compositor", "create_surface", self.compositor, self.surface))
        self.fd = os.memfd_create("pool")
        os.ftruncate(self.fd, 2 * BUFFER_SIZE)
        self.pool = self.create_pool(2 * BUFFER_SIZE)
        client.hear()
        client.channel.sends.clear()

    def create_pool(self, size: int, fd: int | None = None) -> int:
        """The id of a pool over `fd`, or over the file of this drawing."""
        pool = self.client.new_id()
        given = os.dup(self.fd) if fd is None else fd
        self.client.say(request("wl_shm", "create_pool", self.shm, pool, None, size), fds=[given])
        return pool

    def create_buffer(self, *, offset: int = 0, width: int = WIDTH, format_: int = ARGB8888) -> int:
        """The id of a buffer in the pool."""
        buffer = self.client.new_id()
        values = (buffer, offset, width, HEIGHT, STRIDE, format_)
        self.client.say(request("wl_shm_pool", "create_buffer", self.pool, *values))
        return buffer

    def fill(self, byte: int, *, offset: int = 0) -> None:
        """Draw the whole buffer at `offset` in one colour."""
        os.pwrite(self.fd, bytes([byte]) * BUFFER_SIZE, offset)

    def commit(
        self, buffer: int | None, *damage: tuple[int, int, int, int], scale: int | None = None
    ) -> None:
        """Commit a buffer (None: no attach) with damage in px of the buffer."""
        messages: list[bytes] = []
        if buffer is not None:
            messages.append(request("wl_surface", "attach", self.surface, buffer, 0, 0))
        if scale is not None:
            messages.append(request("wl_surface", "set_buffer_scale", self.surface, scale))
        messages += [request("wl_surface", "damage_buffer", self.surface, *area) for area in damage]
        self.client.say(*messages, request("wl_surface", "commit", self.surface))

    @property
    def mirrors(self) -> list[FakeMemory]:
        """What the relay asked the host for."""
        return self.client.channel.memories

    def mirror(self, number: int) -> bytes:
        """What the compositor sees of a buffer."""
        return self.mirrors[number].buffer[:BUFFER_SIZE]

    def delete_ids(self, object_id: int, count: int) -> None:
        """Let the compositor delete an id that many times."""
        for _ in range(count):
            self.client.channel.deliver(event("wl_display", "delete_id", 1, object_id))
        self.client.serve()


@pytest.fixture
def drawing(client: RelayedClient) -> Generator[Drawing]:
    """A client that can draw."""
    made = Drawing(client)
    yield made
    os.close(made.fd)


def error_code(heard: bytes) -> int:
    """The code of the one wl_display.error that was heard."""
    assert heard[4:6] == b"\0\0"
    assert heard[:4] == b"\x01\0\0\0"
    return int.from_bytes(heard[12:16], "little")


def test_a_pool_reaches_the_host_as_a_placeholder(client: RelayedClient, drawing: Drawing) -> None:
    pool = drawing.create_pool(4096)
    assert client.channel.sent == request("wl_display", "sync", 1, pool)
    assert client.channel.identifiers == []


def test_a_buffer_reaches_the_host_as_a_pool_of_its_own(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer(offset=64)
    pool = drawing.pool
    assert client.channel.sent == b"".join(
        (
            request("wl_shm", "create_pool", drawing.shm, pool, None, BUFFER_SIZE),
            request("wl_shm_pool", "create_buffer", pool, buffer, 0, WIDTH, HEIGHT, STRIDE, ARGB8888),
            request("wl_shm_pool", "destroy", pool),
        )
    )
    assert client.channel.identifiers == [drawing.mirrors[0].identifier]
    assert client.channel.identifiers[0].type == IdentifierType.VIRTGPU_BLOB


def test_what_a_client_drew_is_in_the_mirror_before_its_commit_leaves(drawing: Drawing) -> None:
    buffer = drawing.create_buffer(offset=BUFFER_SIZE)
    drawing.fill(7, offset=BUFFER_SIZE)
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_only_damaged_pixels_are_copied(drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    drawing.fill(7)
    drawing.commit(buffer, (2, 1, 3, 2))
    expected = bytearray(BUFFER_SIZE)
    for row in (1, 2):
        expected[row * STRIDE + 8 : row * STRIDE + 20] = b"\7" * 12
    assert drawing.mirror(0) == expected


def test_a_new_buffer_is_copied_whole_whatever_its_damage(drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.fill(7)
    drawing.commit(buffer, (0, 0, 1, 1))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_a_buffer_that_was_away_gets_the_damage_that_it_missed(drawing: Drawing) -> None:
    first, second = drawing.create_buffer(), drawing.create_buffer(offset=BUFFER_SIZE)
    drawing.commit(first, (0, 0, WIDTH, HEIGHT))
    drawing.commit(second, (0, 0, WIDTH, 1))
    drawing.fill(7, offset=BUFFER_SIZE)
    drawing.commit(second, (0, 0, WIDTH, 1))
    drawing.fill(7)
    drawing.commit(first, (0, 2, WIDTH, 1))
    row = b"\7" * STRIDE
    assert drawing.mirror(0) == row + bytes(STRIDE) + row + bytes(5 * STRIDE)


def test_damage_without_attach_refreshes_the_shown_buffer(drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    drawing.fill(7)
    drawing.commit(None, (0, 0, WIDTH, 1))
    assert drawing.mirror(0) == b"\7" * STRIDE + bytes(BUFFER_SIZE - STRIDE)


def test_another_scale_makes_the_whole_buffer_new(drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    drawing.fill(7)
    drawing.commit(buffer, (0, 0, 1, 1), scale=2)
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_a_buffer_of_another_size_is_copied_whole(drawing: Drawing) -> None:
    """As compositors take it: what a commit damages is told in px of that commit's buffer."""
    small, large = drawing.create_buffer(width=WIDTH // 2), drawing.create_buffer(offset=BUFFER_SIZE)
    whole = (0, 0, WIDTH, HEIGHT)
    for buffer in (small, large, small):
        drawing.commit(buffer, whole)
    drawing.commit(large, (WIDTH - 1, 0, 1, HEIGHT))
    drawing.fill(7)
    drawing.commit(small, (0, 0, 1, 1))
    rows = [drawing.mirror(0)[row * STRIDE :][: STRIDE // 2] for row in range(HEIGHT)]
    assert set(b"".join(rows)) == {7}


def test_a_buffer_that_comes_from_another_surface_is_copied_whole(
    client: RelayedClient, drawing: Drawing
) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    drawing.surface = client.new_id()
    client.say(request("wl_compositor", "create_surface", drawing.compositor, drawing.surface))
    drawing.fill(7)
    drawing.commit(buffer, (0, 0, 1, 1))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_damage_in_surface_coordinates_follows_the_scale(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT), scale=2)
    drawing.fill(7)
    client.say(
        request("wl_surface", "damage", drawing.surface, 0, 1, 1000, 1),
        request("wl_surface", "commit", drawing.surface),
    )
    assert drawing.mirror(0) == bytes(2 * STRIDE) + b"\7" * 2 * STRIDE + bytes(4 * STRIDE)


def test_no_more_is_copied_than_was_damaged(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    for _ in range(5):
        drawing.commit(buffer, (0, 0, WIDTH, 2), (0, 0, WIDTH, 2), (4, 1, 2, 3))
    counters = client.stats.totals()
    assert counters.frames == 5
    first = BUFFER_SIZE  # all of it was new
    later = 2 * STRIDE + 2 * 4 * 2
    assert counters.bytes_copied == first + 4 * later
    assert counters.bytes_damaged == 5 * later


def test_all_requests_but_those_of_pools_pass_untouched(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    client.channel.sends.clear()
    data = (
        request("wl_surface", "attach", drawing.surface, buffer, 0, 0),
        request("wl_surface", "damage", drawing.surface, 0, 0, 5, 5),
        request("wl_surface", "commit", drawing.surface),
        request("wl_buffer", "destroy", buffer),
    )
    client.say(*data)
    assert client.channel.sent == b"".join(data)


def test_a_destroyed_pools_id_is_free_when_nothing_of_ours_has_it(
    client: RelayedClient, drawing: Drawing
) -> None:
    drawing.create_buffer()
    drawing.create_buffer()
    client.say(request("wl_shm_pool", "destroy", drawing.pool))
    drawing.delete_ids(drawing.pool, 2)
    assert client.hear() == b""
    drawing.delete_ids(drawing.pool, 1)
    assert client.hear() == event("wl_display", "delete_id", 1, drawing.pool)


def test_a_pool_whose_placeholder_was_answered_is_deleted_at_once(
    client: RelayedClient, drawing: Drawing
) -> None:
    client.channel.deliver(event("wl_callback", "done", drawing.pool, 3))
    drawing.delete_ids(drawing.pool, 1)
    assert client.hear() == b""
    client.say(request("wl_shm_pool", "destroy", drawing.pool))
    assert client.hear() == event("wl_display", "delete_id", 1, drawing.pool)
    pool = drawing.pool  # and may be used again
    client.say(request("wl_shm", "create_pool", drawing.shm, pool, None, 64), fds=[os.dup(drawing.fd)])
    assert not client.closed


def test_buffers_outlive_their_pool(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    client.say(request("wl_shm_pool", "destroy", drawing.pool))
    drawing.fill(7)
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_a_released_buffers_mirror_serves_the_next_buffer(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    client.channel.deliver(event("wl_buffer", "release", buffer))
    client.say(request("wl_buffer", "destroy", buffer))
    drawing.fill(9)
    again = drawing.create_buffer()
    drawing.commit(again, (0, 0, 1, 1))
    assert len(drawing.mirrors) == 1
    assert drawing.mirror(0) == b"\x09" * BUFFER_SIZE


def test_a_mirror_that_the_compositor_may_still_show_is_not_used_again(
    client: RelayedClient, drawing: Drawing
) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    client.say(request("wl_buffer", "destroy", buffer))
    drawing.create_buffer()
    assert len(drawing.mirrors) == 2
    assert drawing.mirrors[0].closed


def test_a_grown_pool_has_room_for_more_buffers(client: RelayedClient, drawing: Drawing) -> None:
    os.ftruncate(drawing.fd, 3 * BUFFER_SIZE)
    client.say(request("wl_shm_pool", "resize", drawing.pool, 3 * BUFFER_SIZE))
    assert client.channel.sent == b""
    buffer = drawing.create_buffer(offset=2 * BUFFER_SIZE)
    drawing.fill(7, offset=2 * BUFFER_SIZE)
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_a_huge_sparse_pool_costs_what_its_buffers_are(drawing: Drawing) -> None:
    os.ftruncate(drawing.fd, 512 << 20)
    drawing.pool = drawing.create_pool(512 << 20)
    buffer = drawing.create_buffer(offset=(512 << 20) - BUFFER_SIZE)
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert sum(memory.size for memory in drawing.mirrors) <= BUFFER_SIZE
    assert os.fstat(drawing.fd).st_blocks * 512 <= 4096  # the page that was read


def test_wl_shm_is_released_when_its_last_pool_is_gone(client: RelayedClient, drawing: Drawing) -> None:
    client.say(request("wl_shm", "release", drawing.shm))
    assert client.channel.sent == b""
    drawing.create_buffer()
    client.channel.sends.clear()
    client.say(request("wl_shm_pool", "destroy", drawing.pool))
    assert client.channel.sent == request("wl_shm", "release", drawing.shm)


def test_a_format_that_we_can_not_copy_is_not_offered(client: RelayedClient, drawing: Drawing) -> None:
    offered = event("wl_shm", "format", drawing.shm, ARGB8888)
    client.channel.deliver(event("wl_shm", "format", drawing.shm, 0x12345678) + offered)
    assert client.hear() == offered


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_without_bytes_is_refused(client: RelayedClient, drawing: Drawing, size: int) -> None:
    drawing.create_pool(size)
    assert error_code(client.hear()) == INVALID_STRIDE


def test_a_pool_of_something_that_is_no_file_is_refused(client: RelayedClient, drawing: Drawing) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    drawing.create_pool(4096, reading)
    assert error_code(client.hear()) == INVALID_FD


def test_a_pool_does_not_shrink(client: RelayedClient, drawing: Drawing) -> None:
    client.say(request("wl_shm_pool", "resize", drawing.pool, BUFFER_SIZE))
    assert error_code(client.hear()) == INVALID_FD


@pytest.mark.parametrize(
    ("offset", "width"), [(-1, WIDTH), (2 * BUFFER_SIZE, WIDTH), (0, 0), (0, STRIDE + 1)]
)
def test_a_buffer_outside_of_its_pool_is_refused(
    client: RelayedClient, drawing: Drawing, offset: int, width: int
) -> None:
    drawing.create_buffer(offset=offset, width=width)
    assert error_code(client.hear()) == INVALID_STRIDE


def test_an_unknown_format_is_refused(client: RelayedClient, drawing: Drawing) -> None:
    drawing.create_buffer(format_=0x12345678)
    assert error_code(client.hear()) == INVALID_FORMAT


def test_a_client_that_truncates_its_file_ends_only_itself(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    os.ftruncate(drawing.fd, 0)
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert error_code(client.hear()) == INVALID_FD
    assert client.closed


def test_all_memory_is_given_up_with_the_client(client: RelayedClient, drawing: Drawing) -> None:
    first = drawing.create_buffer()
    drawing.create_buffer(offset=BUFFER_SIZE)
    client.say(request("wl_buffer", "destroy", first))
    client.connection.close()
    assert all(memory.closed for memory in drawing.mirrors)


def test_damage_of_a_client_that_never_commits_stays_bounded(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    drawing.fill(7)
    damage = [
        request("wl_surface", "damage_buffer", drawing.surface, n % WIDTH, 1, 1, 1) for n in range(3000)
    ]
    client.say(*damage, request("wl_surface", "commit", drawing.surface))
    assert drawing.mirror(0) == bytes(STRIDE) + b"\7" * STRIDE + bytes(6 * STRIDE)


def test_a_commit_without_a_buffer_makes_the_next_one_whole(drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    drawing.commit(buffer, (0, 0, WIDTH, HEIGHT))
    drawing.commit(0)
    drawing.fill(7)
    drawing.commit(buffer, (0, 0, 1, 1))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


def test_a_buffer_destroyed_before_its_commit_shows_nothing(client: RelayedClient, drawing: Drawing) -> None:
    buffer = drawing.create_buffer()
    client.say(
        request("wl_surface", "attach", drawing.surface, buffer, 0, 0),
        request("wl_buffer", "destroy", buffer),
        request("wl_surface", "commit", drawing.surface),
    )
    assert not client.closed


@pytest.mark.parametrize("full", [False, True])
def test_a_buffer_destroyed_in_the_same_breath_as_its_commit_reaches_the_host(
    client: RelayedClient, drawing: Drawing, full: bool
) -> None:
    buffer = client.new_id()
    room = client.channel.fill if full else client.channel.make_room
    room()
    client.say(
        request("wl_shm_pool", "create_buffer", drawing.pool, buffer, 0, WIDTH, HEIGHT, STRIDE, ARGB8888),
        request("wl_surface", "attach", drawing.surface, buffer, 0, 0),
        request("wl_surface", "commit", drawing.surface),
        request("wl_buffer", "destroy", buffer),
    )
    client.channel.make_room()
    client.serve()
    assert client.channel.identifiers == [drawing.mirrors[0].identifier]
    assert drawing.mirrors[0].closed


def test_an_icons_buffer_is_copied_when_it_is_named(client: RelayedClient, drawing: Drawing) -> None:
    manager = client.bind("xdg_toplevel_icon_manager_v1", 1)
    icon = client.new_id()
    client.say(request("xdg_toplevel_icon_manager_v1", "create_icon", manager, icon))
    buffer = drawing.create_buffer()
    drawing.fill(7)
    client.say(request("xdg_toplevel_icon_v1", "add_buffer", icon, buffer, 1))
    assert drawing.mirror(0) == b"\7" * BUFFER_SIZE


# Where the host has the same kernel.


@pytest.fixture
def near(client: RelayedClient) -> Generator[Drawing]:
    """A client that can draw, whose host may have its files."""
    client.channel.shares_files = True
    made = Drawing(client)
    yield made
    os.close(made.fd)


def test_a_memory_file_goes_to_the_host_as_it_is(client: RelayedClient, near: Drawing) -> None:
    client.channel.sends.clear()
    pool = near.create_pool(2 * BUFFER_SIZE)
    assert client.channel.sent == request("wl_shm", "create_pool", near.shm, pool, None, 2 * BUFFER_SIZE)
    shared = client.channel.files[-1]
    assert client.channel.identifiers == [shared.identifier]
    assert shared.inode == os.fstat(near.fd).st_ino
    assert shared.closed


def test_what_a_shared_pool_is_for_passes_untouched_and_uncopied(
    client: RelayedClient, near: Drawing
) -> None:
    client.channel.sends.clear()
    buffer = client.new_id()
    data = (
        request("wl_shm_pool", "create_buffer", near.pool, buffer, 0, WIDTH, HEIGHT, STRIDE, ARGB8888),
        request("wl_shm_pool", "resize", near.pool, 3 * BUFFER_SIZE),
        request("wl_surface", "attach", near.surface, buffer, 0, 0),
        request("wl_surface", "damage", near.surface, 0, 0, 5, 5),
        request("wl_surface", "commit", near.surface),
        request("wl_shm_pool", "destroy", near.pool),
        request("wl_buffer", "destroy", buffer),
    )
    client.say(*data)
    assert client.channel.sent == b"".join(data)
    assert near.mirrors == []
    counters = client.stats.totals()
    assert (counters.frames, counters.bytes_copied, counters.buffers) == (1, 0, {"shm-shared": 1})


def test_the_id_of_a_shared_pool_is_freed_by_the_compositor(client: RelayedClient, near: Drawing) -> None:
    client.say(request("wl_shm_pool", "destroy", near.pool))
    near.delete_ids(near.pool, 1)
    assert client.hear() == event("wl_display", "delete_id", 1, near.pool)


def test_a_file_on_a_disk_is_copied_all_the_same(near: Drawing, tmp_path: Path) -> None:
    path = tmp_path / "pool"
    path.write_bytes(b"\7" * BUFFER_SIZE)
    near.pool = near.create_pool(BUFFER_SIZE, os.open(path, os.O_RDWR))
    buffer = near.create_buffer()
    near.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert near.mirror(0) == b"\7" * BUFFER_SIZE


def test_a_surface_may_show_shared_and_copied_buffers_in_turn(
    client: RelayedClient, near: Drawing, tmp_path: Path
) -> None:
    shared = near.create_buffer()
    path = tmp_path / "pool"
    path.write_bytes(bytes(BUFFER_SIZE))
    near.pool = near.create_pool(BUFFER_SIZE, os.open(path, os.O_RDWR))
    copied = near.create_buffer()
    near.commit(copied, (0, 0, WIDTH, HEIGHT))
    near.commit(shared, (0, 0, WIDTH, HEIGHT))
    path.write_bytes(b"\7" * BUFFER_SIZE)
    near.commit(copied, (0, 0, 1, 1))
    assert near.mirror(0) == b"\7" * BUFFER_SIZE
    assert client.stats.totals().frames == 3


def test_shared_frames_that_nobody_looks_at_are_counted(client: RelayedClient, near: Drawing) -> None:
    shared = near.create_buffer()
    for _ in range(4):
        near.commit(shared, (0, 0, 1, 1))
    assert client.stats.totals().frames == 4
    # Its commit is looked at, and the attach was not.
    client.say(request("wl_surface", "attach", near.surface, shared, 0, 0))
    client.say(request("wl_surface", "set_buffer_scale", near.surface, 2))
    client.say(request("wl_surface", "commit", near.surface))
    client.say(request("wl_surface", "commit", near.surface))
    assert client.stats.totals().frames == 5
    client.connection.close()
    assert client.stats.totals().frames == 5


def test_a_copied_buffer_is_whole_after_frames_that_nobody_looked_at(
    client: RelayedClient, near: Drawing, tmp_path: Path
) -> None:
    shared = near.create_buffer()
    path = tmp_path / "pool"
    path.write_bytes(bytes(BUFFER_SIZE))
    near.pool = near.create_pool(BUFFER_SIZE, os.open(path, os.O_RDWR))
    copied = near.create_buffer()
    near.commit(copied, (0, 0, WIDTH, HEIGHT))
    for _ in range(3):
        near.commit(shared, (0, 0, WIDTH, HEIGHT))
    path.write_bytes(b"\7" * BUFFER_SIZE)
    # In one batch, with the damage before the attach.
    client.say(
        request("wl_surface", "damage", near.surface, 0, 0, 1, 1),
        request("wl_surface", "attach", near.surface, shared, 0, 0),
        request("wl_surface", "attach", near.surface, copied, 0, 0),
        request("wl_surface", "commit", near.surface),
    )
    assert near.mirror(0) == b"\7" * BUFFER_SIZE
    path.write_bytes(b"\5" * BUFFER_SIZE)
    near.commit(copied, (0, 0, WIDTH, HEIGHT))
    assert near.mirror(0) == b"\5" * BUFFER_SIZE
