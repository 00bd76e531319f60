"""wl_shm where the host sees the guest's memory: it copies the damage, and the guest copies nothing."""

import os
from collections.abc import Generator
from typing import Final

import pytest

from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request
from tests.unit.launcher.fake_copies import FakeCopies
from tests.unit.launcher.test_relay_shm import BUFFER_SIZE, HEIGHT, STRIDE, WIDTH, Drawing

POOL_SIZE: Final = 1 << 17
"""Large enough to be worth showing to the host."""


class Seen(Drawing):
    """A client that can draw, and whose pool the host sees."""

    def __init__(self, client: RelayedClient, copies: FakeCopies) -> None:
        self.copies = copies
        super().__init__(client)
        os.ftruncate(self.fd, POOL_SIZE)
        self.pool = self.create_pool(POOL_SIZE)
        client.channel.sends.clear()

    def answer_syncs(self) -> None:
        """Let the compositor answer the syncs that were sent."""
        sent = self.client.channel.sent
        while sent:
            size = int.from_bytes(sent[6:8], "little")
            if sent[:6] == b"\1\0\0\0\0\0":
                self.delete_ids(int.from_bytes(sent[8:12], "little"), 1)
            sent = sent[size:]


@pytest.fixture
def copies() -> FakeCopies:
    """What the host of `client` can do."""
    channel = FakeChannel()
    channel.host_copies = FakeCopies(channel)
    return channel.host_copies


@pytest.fixture
def client(copies: FakeCopies) -> Generator[RelayedClient]:
    made = RelayedClient(copies.channel)
    yield made
    made.close()


@pytest.fixture
def seen(client: RelayedClient, copies: FakeCopies) -> Generator[Seen]:
    made = Seen(client, copies)
    yield made
    client.connection.close()
    os.close(made.fd)


def test_the_host_copies_what_is_damaged_and_the_guest_nothing(client: RelayedClient, seen: Seen) -> None:
    buffer = seen.create_buffer(offset=2 * BUFFER_SIZE)
    seen.fill(5, offset=2 * BUFFER_SIZE)
    seen.commit(buffer, (0, 0, WIDTH, HEIGHT))
    seen.fill(7, offset=2 * BUFFER_SIZE)
    seen.commit(buffer, (0, 1, WIDTH, 1))
    row = b"\5" * STRIDE
    assert seen.mirror(0) == row + b"\7" * STRIDE + (HEIGHT - 2) * row
    counters = client.stats.totals()
    assert (counters.bytes_copied, counters.bytes_copied_host) == (0, BUFFER_SIZE + STRIDE)
    assert counters.buffers == {"shm-pages": 1}


def test_a_small_pool_is_not_worth_it(client: RelayedClient, seen: Seen) -> None:
    seen.pool = seen.create_pool(2 * BUFFER_SIZE)
    buffer = seen.create_buffer()
    seen.fill(7)
    seen.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert seen.mirror(0) == b"\7" * BUFFER_SIZE
    assert client.stats.totals().buffers == {"shm-copy": 1}


def test_a_pool_that_can_not_be_shown_is_copied_here(client: RelayedClient, seen: Seen) -> None:
    seen.copies.refuses = True
    seen.pool = seen.create_pool(POOL_SIZE)
    buffer = seen.create_buffer()
    seen.fill(7)
    seen.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert seen.mirror(0) == b"\7" * BUFFER_SIZE
    assert client.stats.totals().bytes_copied == BUFFER_SIZE


def test_what_a_pool_grew_by_is_shown_too(client: RelayedClient, seen: Seen) -> None:
    before = seen.create_buffer()
    os.ftruncate(seen.fd, 2 * POOL_SIZE)
    client.say(request("wl_shm_pool", "resize", seen.pool, 2 * POOL_SIZE))
    grown = seen.create_buffer(offset=POOL_SIZE)
    seen.fill(7, offset=POOL_SIZE)
    seen.fill(5)
    seen.commit(grown, (0, 0, WIDTH, HEIGHT))
    seen.commit(before, (0, 0, WIDTH, HEIGHT))
    assert (seen.mirror(1), seen.mirror(0)) == (b"\7" * BUFFER_SIZE, b"\5" * BUFFER_SIZE)
    counters = client.stats.totals()
    assert (counters.bytes_copied, counters.bytes_copied_host) == (0, 2 * BUFFER_SIZE)
    seen.answer_syncs()
    assert [shown.closed for shown in seen.copies.imports] == [True, False]


def test_what_a_pool_grew_by_is_copied_here_where_it_can_not_be_shown(
    client: RelayedClient, seen: Seen
) -> None:
    seen.create_buffer()
    client.channel.sends.clear()
    seen.copies.refuses = True
    os.ftruncate(seen.fd, 2 * POOL_SIZE)
    client.say(request("wl_shm_pool", "resize", seen.pool, 2 * POOL_SIZE))
    buffer = seen.create_buffer(offset=POOL_SIZE)
    seen.fill(7, offset=POOL_SIZE)
    seen.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert seen.mirror(1) == b"\7" * BUFFER_SIZE
    assert client.stats.totals().bytes_copied == BUFFER_SIZE


def test_a_pool_that_grows_is_not_shown_before_something_of_it_can_be(
    client: RelayedClient, seen: Seen
) -> None:
    for doubled in (2 * POOL_SIZE, 4 * POOL_SIZE):
        os.ftruncate(seen.fd, doubled)
        client.say(request("wl_shm_pool", "resize", seen.pool, doubled))
    assert seen.copies.imports == []
    buffer = seen.create_buffer(offset=2 * POOL_SIZE)
    seen.fill(7, offset=2 * POOL_SIZE)
    seen.commit(buffer, (0, 0, WIDTH, HEIGHT))
    assert seen.mirror(0) == b"\7" * BUFFER_SIZE
    (shown,) = seen.copies.imports
    assert (shown.start, shown.end) == (0, 4 * POOL_SIZE)
    assert client.stats.totals().bytes_copied == 0


def test_a_pool_is_shown_until_the_compositor_has_seen_its_end(client: RelayedClient, seen: Seen) -> None:
    buffer = seen.create_buffer()
    shown = seen.copies.imports[-1]
    seen.commit(buffer, (0, 0, WIDTH, HEIGHT))
    client.say(request("wl_shm_pool", "destroy", seen.pool))
    client.channel.sends.clear()
    client.say(request("wl_buffer", "destroy", buffer))
    before = shown.closed
    seen.answer_syncs()
    assert (before, shown.closed) == (False, True)


def test_all_that_is_shown_is_taken_back_with_the_client(client: RelayedClient, seen: Seen) -> None:
    buffer = seen.create_buffer()
    client.say(request("wl_shm_pool", "destroy", seen.pool), request("wl_buffer", "destroy", buffer))
    client.connection.close()
    assert all(shown.closed for shown in seen.copies.imports)
    assert all(memory.closed for memory in seen.mirrors)


def test_a_screenshot_comes_back_through_memory_that_the_guest_sees(
    client: RelayedClient, seen: Seen
) -> None:
    output = client.bind("wl_output", 4)
    manager = client.bind("zwlr_screencopy_manager_v1", 3)
    frame = client.new_id()
    client.say(request("zwlr_screencopy_manager_v1", "capture_output", manager, frame, 0, output))
    buffer = seen.create_buffer()
    client.say(request("zwlr_screencopy_frame_v1", "copy", frame, buffer))
    seen.mirrors[-1].buffer[:BUFFER_SIZE] = b"\x09" * BUFFER_SIZE
    client.channel.deliver(event("zwlr_screencopy_frame_v1", "ready", frame, 0, 1, 0))
    client.serve()
    assert os.pread(seen.fd, BUFFER_SIZE, 0) == b"\x09" * BUFFER_SIZE
