"""Buffers of zwp_linux_dmabuf_v1: mirrors, memory that is handed on or read in place, and fences."""

import errno
import mmap
import os
from collections.abc import Generator

import pytest

from crossdomain.abi.pages import PAGE_SIZE, Verdict
from crossdomain.bridge.dmabuf import ParamsError
from crossdomain.bridge.fences import Fence
from crossdomain.errors import HostFault
from crossdomain.wire import Record
from crossdomain.wire.codec import SERVER_ID_START
from launcher.relay.buffers import SharedBuffer
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.imports import LARGEST
from launcher.stats import ClientStats
from tests.unit.launcher.dmabuf.allocating import (
    HEIGHT,
    LARGE,
    NV12,
    SIZE,
    STRIDE,
    WIDTH,
    XR24,
    Allocating,
    error_of,
)
from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.fake_copies import FakeCopies


def test_a_buffer_is_a_mirror_on_the_host(client: RelayedClient, allocating: Allocating) -> None:
    fd = allocating.file()
    params = allocating.create_params()
    allocating.add(params, fd)
    client.channel.sends.clear()
    buffer = allocating.create_immed(params)
    size = client.channel.memories[0].size
    assert client.channel.sent == b"".join(
        (
            request("wl_shm", "create_pool", allocating.dmabuf, params, None, SIZE),
            request("wl_shm_pool", "create_buffer", params, buffer, 0, WIDTH, HEIGHT, STRIDE, 1),
            request("wl_shm_pool", "destroy", params),
        )
    )
    assert size >= SIZE
    assert client.stats.totals().buffers == {"dmabuf-copy": 1}


def test_what_was_drawn_is_in_the_mirror_before_its_commit_leaves(allocating: Allocating) -> None:
    fd = allocating.file()
    buffer = allocating.buffer(fd)
    os.pwrite(fd, b"\7" * SIZE, 0)
    allocating.show(buffer)
    assert allocating.mirror() == b"\7" * SIZE


def test_planes_lie_as_the_client_says(client: RelayedClient, allocating: Allocating) -> None:
    luma, chroma = allocating.file(4096), allocating.file(4096)
    params = allocating.create_params()
    allocating.add(params, luma, offset=32, stride=24)
    allocating.add(params, chroma, index=1, offset=64, stride=40)
    buffer = allocating.create_immed(params, code=NV12)
    for row in range(HEIGHT):
        os.pwrite(luma, bytes([row]) * WIDTH, 32 + 24 * row)
    for row in range(HEIGHT // 2):
        os.pwrite(chroma, bytes([100 + row]) * WIDTH, 64 + 40 * row)
    allocating.show(buffer)
    expected = b"".join(bytes([row]) * WIDTH + bytes(8) for row in range(HEIGHT))
    expected += b"".join(bytes([100 + row]) * WIDTH + bytes(8) for row in range(HEIGHT // 2))
    assert allocating.mirror(size=len(expected)) == expected
    assert client.stats.totals().bytes_copied == WIDTH * HEIGHT * 3 // 2


def test_a_buffer_that_create_makes_is_one_of_the_compositors(
    client: RelayedClient, allocating: Allocating
) -> None:
    fd = allocating.file()
    params = allocating.create_params()
    allocating.add(params, fd)
    client.channel.sends.clear()
    client.say(request("zwp_linux_buffer_params_v1", "create", params, WIDTH, HEIGHT, XR24, 0))
    buffer = SERVER_ID_START
    assert client.hear() == event("zwp_linux_buffer_params_v1", "created", params, buffer)
    made = request("wl_shm_pool", "create_buffer", params + 1, params, 0, WIDTH, HEIGHT, STRIDE, 1)
    assert made in client.channel.sent
    os.pwrite(fd, b"\7" * SIZE, 0)
    client.channel.sends.clear()
    allocating.show(buffer)
    assert allocating.mirror() == b"\7" * SIZE
    assert client.channel.sent.startswith(request("wl_surface", "attach", allocating.surface, params, 0, 0))
    client.say(request("zwp_linux_buffer_params_v1", "destroy", params))
    allocating.delete_id(params)
    client.channel.deliver(event("wl_buffer", "release", params))
    assert client.hear() == event("wl_buffer", "release", buffer)
    client.channel.sends.clear()
    client.say(request("wl_buffer", "destroy", buffer))
    assert client.channel.sent == request("wl_buffer", "destroy", params)
    client.channel.deliver(event("wl_display", "delete_id", 1, params))
    assert client.hear() == event("wl_display", "delete_id", 1, params)


def test_the_compositors_own_ids_move_behind_it(client: RelayedClient, allocating: Allocating) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    client.say(request("zwp_linux_buffer_params_v1", "create", params, WIDTH, HEIGHT, XR24, 0))
    client.hear()
    # The pool that made it had the id after that.
    allocating.delete_id(params + 1)
    seat, manager = client.bind("wl_seat", 5), client.bind("wl_data_device_manager", 3)
    device = client.new_id()
    client.say(request("wl_data_device_manager", "get_data_device", manager, device, seat))
    client.hear()
    theirs, ours = SERVER_ID_START, SERVER_ID_START + 1
    offer = event("wl_data_device", "data_offer", device, theirs)
    offers = event("wl_data_offer", "offer", theirs, "text/plain")
    client.channel.deliver(offer + offers + event("wl_data_device", "selection", device, theirs))
    assert client.hear() == b"".join(
        (
            event("wl_data_device", "data_offer", device, ours),
            event("wl_data_offer", "offer", ours, "text/plain"),
            event("wl_data_device", "selection", device, ours),
        )
    )
    client.channel.sends.clear()
    client.say(
        request("wl_data_offer", "accept", ours, 3, "text/plain"), request("wl_data_offer", "destroy", ours)
    )
    assert client.channel.sent == b"".join(
        (
            request("wl_data_offer", "accept", theirs, 3, "text/plain"),
            request("wl_data_offer", "destroy", theirs),
        )
    )
    client.channel.deliver(offer)
    assert client.hear() == event("wl_data_device", "data_offer", device, ours)


def test_an_id_that_create_gave_is_used_again(client: RelayedClient, allocating: Allocating) -> None:
    for _ in range(3):
        params = allocating.create_params()
        allocating.add(params, allocating.file())
        client.say(request("zwp_linux_buffer_params_v1", "create", params, WIDTH, HEIGHT, XR24, 0))
        assert client.hear() == event("zwp_linux_buffer_params_v1", "created", params, SERVER_ID_START)
        client.say(request("wl_buffer", "destroy", SERVER_ID_START))


def shown_in_place(
    client: RelayedClient, allocating: Allocating, name: str, *, stride: int = STRIDE
) -> bytes:
    """What the host gets of a buffer that it may have the memory of already."""
    client.channel.shares_dmabufs = True
    params = allocating.create_params()
    allocating.add(params, allocating.file(4096), offset=256, stride=stride)
    client.channel.sends.clear()
    if name == "create":
        client.say(request("zwp_linux_buffer_params_v1", "create", params, WIDTH, HEIGHT, XR24, 0))
    else:
        allocating.create_immed(params)
    return client.channel.sent


def test_memory_of_the_hosts_is_handed_on(client: RelayedClient, allocating: Allocating) -> None:
    sent = shown_in_place(client, allocating, "create_immed")
    params, buffer = client.new_id() - 2, client.new_id() - 2
    expected = (
        request("wl_shm", "create_pool", allocating.dmabuf, params, None, 4096),
        request("wl_shm_pool", "create_buffer", params, buffer, 256, WIDTH, HEIGHT, STRIDE, 1),
        request("wl_shm_pool", "destroy", params),
    )
    assert sent == b"".join(expected)
    assert client.stats.totals().buffers == {"dmabuf-blob": 1}
    assert client.channel.files[0].closed
    client.channel.sends.clear()
    allocating.show(buffer)
    assert client.channel.memories == []


def test_memory_of_the_hosts_may_be_a_buffer_of_create(client: RelayedClient, allocating: Allocating) -> None:
    shown_in_place(client, allocating, "create")
    params = client.new_id() - 1
    assert client.hear() == event("zwp_linux_buffer_params_v1", "created", params, SERVER_ID_START)
    allocating.delete_id(params)
    allocating.show(SERVER_ID_START)
    client.channel.deliver(event("wl_buffer", "release", params))
    assert client.hear() == event("wl_buffer", "release", SERVER_ID_START)
    client.say(request("wl_buffer", "destroy", SERVER_ID_START))
    client.channel.deliver(event("wl_buffer", "release", params))
    assert client.hear() == b""


def test_memory_of_the_hosts_that_lies_otherwise_is_copied(
    client: RelayedClient, allocating: Allocating
) -> None:
    shown_in_place(client, allocating, "create_immed", stride=STRIDE + 2)
    assert client.stats.totals().buffers == {"dmabuf-copy": 1}


def large_buffer(allocating: Allocating) -> tuple[int, int]:
    """An fd and its buffer, large enough to be worth showing to the host."""
    fd = allocating.file(LARGE)
    params = allocating.create_params()
    allocating.add(params, fd, offset=4096, stride=512)
    return fd, allocating.create_immed(params, width=128, height=128)


@pytest.fixture
def seen() -> Generator[Allocating]:
    """A client whose host sees the guest's memory."""
    channel = FakeChannel()
    channel.host_copies = FakeCopies(channel)
    client = RelayedClient(channel)
    made = Allocating(client, 3)
    made.tell_formats()
    yield made
    client.close()
    made.close()


def test_the_host_copies_out_of_pages_that_it_sees(seen: Allocating) -> None:
    client, allocating = seen.client, seen
    copies = client.channel.host_copies
    assert isinstance(copies, FakeCopies)
    fd, buffer = large_buffer(allocating)
    os.pwrite(fd, b"\7" * (LARGE - 4096), 4096)
    allocating.show(buffer)
    assert allocating.mirror(size=512 * 128) == b"\7" * (512 * 128)
    totals = client.stats.totals()
    assert (totals.buffers, totals.bytes_copied) == ({"dmabuf-pages": 1}, 0)
    assert totals.bytes_copied_host == 512 * 128
    assert totals.copied == {"dmabuf-pages": 512 * 128}
    client.connection.close()
    assert [shown.closed for shown in copies.imports] == [True]


@pytest.mark.parametrize(("only_shows", "path"), [(True, "dmabuf-shared"), (False, "dmabuf-dmabuf")])
def test_dmabufs_that_are_read_in_place_in_turn_stay_open(
    seen: Allocating, only_shows: bool, path: str
) -> None:
    copies = seen.client.channel.host_copies
    assert isinstance(copies, FakeCopies)
    copies.only_shows = only_shows
    copies.verdicts = [Verdict.YES, Verdict.YES]
    buffers = [large_buffer(seen)[1] for _ in range(2)]
    for buffer in (*buffers, *buffers):
        seen.show(buffer)
    totals = seen.client.stats.totals()
    assert (totals.frames, totals.buffers) == (4, {path: 2})
    seen.client.connection.close()
    assert all(shown.closed for shown in copies.imports)


def test_planes_in_two_dmabufs_are_read_in_place_together(seen: Allocating) -> None:
    """Of which one alone would not be worth it."""
    copies = seen.client.channel.host_copies
    assert isinstance(copies, FakeCopies)
    copies.verdicts = [Verdict.YES]
    params = seen.create_params()
    seen.add(params, seen.file(LARGE), offset=4096, stride=512)
    seen.add(params, seen.file(13 * PAGE_SIZE), index=1, offset=256, stride=768)
    buffer = seen.create_immed(params, width=512, height=128, code=NV12)
    seen.client.say(request("zwp_linux_buffer_params_v1", "destroy", params))
    seen.show(buffer)
    (asked,) = copies.asked
    (chroma,) = asked.planes
    assert (asked.source, asked.source_offset, asked.stride) == (1, 4096, 512)
    assert (chroma.source, chroma.source_offset, chroma.stride) == (2, 256, 768)
    assert seen.client.stats.totals().buffers == {"dmabuf-dmabuf": 1}


def test_a_plane_that_the_host_can_not_see_has_all_copied_here(seen: Allocating) -> None:
    luma, chroma = seen.file(LARGE), seen.file(LARGEST + PAGE_SIZE)
    params = seen.create_params()
    seen.add(params, luma, stride=512)
    seen.add(params, chroma, index=1, stride=512)
    buffer = seen.create_immed(params, width=512, height=128, code=NV12)
    os.pwrite(luma, b"\7" * LARGE, 0)
    os.pwrite(chroma, b"\5" * 8192 * 4, 0)
    seen.show(buffer)
    assert seen.mirror(size=512 * 192) == b"\7" * (512 * 128) + b"\5" * (512 * 64)
    assert seen.client.stats.totals().buffers == {"dmabuf-copy": 1}


def test_a_dmabuf_that_the_host_can_only_show_is_copied_here_until_it_is_shown(seen: Allocating) -> None:
    copies = seen.client.channel.host_copies
    assert isinstance(copies, FakeCopies)
    copies.only_shows = True
    copies.verdicts = [Verdict.NO]
    fd, buffer = large_buffer(seen)
    os.pwrite(fd, b"\7" * (LARGE - 4096), 4096)
    seen.show(buffer)
    assert seen.mirror(size=512 * 128) == b"\7" * (512 * 128)
    assert seen.client.stats.totals().buffers == {"dmabuf-copy": 1}


def test_a_dmabuf_that_the_host_can_not_see_is_copied_here(seen: Allocating) -> None:
    copies = seen.client.channel.host_copies
    assert isinstance(copies, FakeCopies)
    copies.refuses = True
    large_buffer(seen)
    assert seen.client.stats.totals().buffers == {"dmabuf-copy": 1}


def test_what_can_not_be_shown_fails_in_create(client: RelayedClient, allocating: Allocating) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    client.say(request("zwp_linux_buffer_params_v1", "create", params, WIDTH, HEIGHT, XR24, 1))
    assert client.hear() == event("zwp_linux_buffer_params_v1", "failed", params)
    client.say(request("zwp_linux_buffer_params_v1", "destroy", params))
    allocating.delete_id(params)
    assert client.hear() == event("wl_display", "delete_id", 1, params)


def test_what_can_not_be_shown_ends_the_client_in_create_immed(
    client: RelayedClient, allocating: Allocating
) -> None:
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.create_immed(params, flags=1)
    assert error_of(client) == ParamsError.INVALID_WL_BUFFER


def test_a_file_that_shrinks_costs_its_client_alone(client: RelayedClient, allocating: Allocating) -> None:
    fd = allocating.file(4 * mmap.PAGESIZE)
    buffer = allocating.buffer(fd, stride=4 * mmap.PAGESIZE // HEIGHT)
    os.ftruncate(fd, 0)
    allocating.show(buffer)
    assert error_of(client) == 2


def test_all_is_given_back_with_the_client(client: RelayedClient, allocating: Allocating) -> None:
    before = len(os.listdir("/proc/self/fd"))
    fd = allocating.file()
    allocating.buffer(fd)
    allocating.add(allocating.create_params(), fd)
    client.connection.close()
    assert all(memory.closed for memory in client.channel.memories)
    # The file, less the connection's and the channel's sockets.
    assert len(os.listdir("/proc/self/fd")) == before + 1 - 3


@pytest.mark.parametrize("shares", [True, False])
def test_a_commit_waits_until_devices_have_finished_its_dmabuf(
    client: RelayedClient, allocating: Allocating, monkeypatch: pytest.MonkeyPatch, shares: bool
) -> None:
    drawing = os.eventfd(0)

    def of_writers(_dmabuf: int) -> Fence:
        return Fence.of_eventfd(os.dup(drawing))

    monkeypatch.setattr(Fence, "of_writers", of_writers)
    client.channel.shares_dmabufs = shares
    params = allocating.create_params()
    allocating.add(params, allocating.file(4096))
    buffer = allocating.create_immed(params)
    commit = request("wl_surface", "commit", allocating.surface)
    allocating.show(buffer)
    assert commit not in client.channel.sent
    os.eventfd_write(drawing, 1)
    os.close(drawing)
    client.serve()
    assert commit in client.channel.sent


def test_a_release_of_memory_of_the_hosts_is_signalled_when_the_compositor_gives_it_back(
    client: RelayedClient,
) -> None:
    class Counted:
        signals = 0

        def signal(self) -> None:
            """See `Release`."""
            self.signals += 1

    release = Counted()
    buffer = SharedBuffer(os.memfd_create("dmabuf"))
    buffers = ClientBuffers(client.connection, client.channel, ClientStats("test"))
    buffers.add_shared(9, buffer)
    buffer.release_later([release])
    assert release.signals == 0
    data = memoryview(event("wl_buffer", "release", 9))
    buffers.event_routes()["wl_buffer", "release"](Record(0, 8, 9, 0, 0, 0, 0), data, [])
    assert release.signals == 1
    buffers.close()
    assert release.signals == 1


@pytest.mark.parametrize("method", ["share_dmabuf", "create_memory"])
def test_a_host_that_fails_costs_the_client_and_no_fd(
    client: RelayedClient, allocating: Allocating, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise HostFault("the host does not answer")

    monkeypatch.setattr(client.channel, method, fail)
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.create_immed(params)
    assert client.closed


def test_planes_of_which_one_can_not_be_waited_for_leave_no_fence(
    client: RelayedClient, allocating: Allocating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the launcher has no fds left."""
    asked: list[int] = []

    def of_writers(dmabuf: int) -> Fence:
        asked.append(dmabuf)
        if len(asked) == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return Fence.of_eventfd(os.eventfd(0))

    monkeypatch.setattr(Fence, "of_writers", of_writers)
    params = allocating.create_params()
    allocating.add(params, allocating.file())
    allocating.add(params, allocating.file(), index=1)
    allocating.show(allocating.create_immed(params, code=NV12))
    assert len(asked) == 2
    assert client.closed
