"""Fences of the compositor's that become fences of the guest's rings."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from crossdomain.abi.cross_domain import CHANNEL_RING, Identifier, IdentifierType, encode_poll
from crossdomain.abi.sync import FIRST_SYNC_RING, encode_await_sync
from crossdomain.context import syncs
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_HELD_SYNCS, MAX_UNTAKEN_SYNCS
from tests.unit.context.world import PATIENCE, World, event, request, sync

RELEASE = 7
"""The zwp_linux_buffer_release_v1."""
RING = FIRST_SYNC_RING


class Fences:
    """A client that gets fences, and the compositor that makes them."""

    def __init__(self, client: World) -> None:
        self.client = client
        self._eventfds: list[int] = []

    async def give(self) -> tuple[int, Identifier]:
        """The compositor gives the client a fence: an eventfd of the test's, and how the guest sees it."""
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._eventfds.append(fd)
        self.client.host.send(event("zwp_linux_buffer_release_v1", "fenced_release", RELEASE, None), [fd])
        (identifier,) = (await self.client.receive()).identifiers
        return fd, identifier

    def wait(self, *identifiers: Identifier, ring: int = RING) -> "asyncio.Future[None]":
        """The guest awaits them on a ring; the future is the fence."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.client.context.submit(
            b"".join(encode_await_sync(entry.identifier, ring) for entry in identifiers)
        )
        self.client.context.create_fence(ring, lambda: done.set_result(None))
        return done

    def close(self) -> None:
        """Closes the compositor's eventfds."""
        for fd in self._eventfds:
            os.close(fd)


@pytest_asyncio.fixture
async def fences(client: World) -> AsyncGenerator[Fences]:
    """A client that has asked for the release of a buffer."""
    made = Fences(client)
    client.send(request("wl_display", "get_registry", 1, 2))
    offered = [(1, "wl_compositor", 4), (2, "zwp_linux_explicit_synchronization_v1", 2)]
    announced = b"".join(event("wl_registry", "global", 2, *entry) for entry in offered)
    client.host.send(announced)
    await client.receive_bytes(len(announced))
    requests = (
        request("wl_registry", "bind", 2, 1, "wl_compositor", 4, 3),
        request("wl_registry", "bind", 2, 2, "zwp_linux_explicit_synchronization_v1", 2, 4),
        request("wl_compositor", "create_surface", 3, 5),
        request("zwp_linux_explicit_synchronization_v1", "get_synchronization", 4, 6, 5),
        request("zwp_linux_surface_synchronization_v1", "get_release", 6, RELEASE),
    )
    client.send(b"".join(requests))
    yield made
    made.close()


async def test_a_fence_that_the_kernel_does_not_watch_holds_nothing_back(
    fences: Fences, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC: more files than a user may watch (epoll_ctl(2)).  A fence of the guest's is answered once."""
    _first, first = await fences.give()
    _second, second = await fences.give()
    loop = asyncio.get_running_loop()

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(loop, "add_reader", refuse)
        done = fences.wait(first, second)
    assert done.done()
    assert fences.client.context.alive


def settle() -> "asyncio.Future[None]":
    """Done when everything that is ready now has been served."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    read_end, write_end = os.pipe()
    os.write(write_end, b"x")

    def finish() -> None:
        asyncio.get_running_loop().remove_reader(read_end)
        os.close(read_end)
        os.close(write_end)
        done.set_result(None)

    asyncio.get_running_loop().add_reader(read_end, finish)
    return done


async def assert_over(*waited: "asyncio.Future[None]") -> None:
    """Fails where one of them is not completed in time."""
    await asyncio.wait_for(asyncio.gather(*waited), PATIENCE)


async def test_a_fence_of_the_compositors_is_an_identifier_of_its_own_type(fences: Fences) -> None:
    _first, one = await fences.give()
    _second, two = await fences.give()
    assert [one.type, one.size, two.identifier - one.identifier] == [IdentifierType.VIRTGPU_SYNC, 0, 1]


async def test_the_guests_fence_is_over_when_the_compositors_is(fences: Fences) -> None:
    fd, identifier = await fences.give()
    waited = fences.wait(identifier)
    await settle()
    assert not waited.done()
    os.eventfd_write(fd, 1)
    await assert_over(waited)


async def test_a_fence_that_is_over_already_holds_nothing_back(fences: Fences) -> None:
    fd, identifier = await fences.give()
    os.eventfd_write(fd, 1)
    assert fences.wait(identifier).done()


async def test_fences_of_one_submit_are_waited_for_together(fences: Fences) -> None:
    given = [await fences.give() for _ in range(3)]
    waited = fences.wait(*(identifier for _, identifier in given))
    for fd, _ in reversed(given[1:]):
        os.eventfd_write(fd, 1)
    await settle()
    assert not waited.done()
    os.eventfd_write(given[0][0], 1)
    await assert_over(waited)


async def test_a_ring_is_one_timeline(fences: Fences) -> None:
    first, one = await fences.give()
    second, two = await fences.give()
    earlier, later = fences.wait(one), fences.wait(two)
    order: list[str] = []
    earlier.add_done_callback(lambda _: order.append("earlier"))
    later.add_done_callback(lambda _: order.append("later"))
    os.eventfd_write(second, 1)
    await settle()
    assert not later.done()
    os.eventfd_write(first, 1)
    await assert_over(earlier, later)
    assert order == ["earlier", "later"]


async def test_rings_do_not_wait_for_each_other(fences: Fences) -> None:
    _never, one = await fences.give()
    soon, two = await fences.give()
    stuck, other = fences.wait(one, ring=RING), fences.wait(two, ring=RING + 1)
    os.eventfd_write(soon, 1)
    await assert_over(other)
    assert not stuck.done()


async def test_a_fence_without_await_is_over_at_once_unless_its_ring_waits(fences: Fences) -> None:
    _never, identifier = await fences.give()
    assert fences.wait(ring=RING + 1).done()
    fences.wait(identifier)
    assert not fences.wait().done()


async def test_a_fence_that_never_signals_is_given_up(
    fences: Fences, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(syncs, "FENCE_SECONDS", 0.05)
    _never, one = await fences.give()
    _also_never, two = await fences.give()
    await assert_over(fences.wait(one), fences.wait(two))
    assert caplog.text.count("is not over after 0.05 s") == 2
    assert fences.client.context.alive


async def test_events_and_requests_go_on_meanwhile(fences: Fences) -> None:
    _never, identifier = await fences.give()
    waited = fences.wait(identifier)
    fences.client.send(sync(8))
    fences.client.host.send(event("wl_callback", "done", 8, 0))
    assert await fences.client.receive_data() == event("wl_callback", "done", 8, 0)
    assert not waited.done()


async def test_what_the_guest_gives_back_is_the_same_fence(fences: Fences) -> None:
    fd, identifier = await fences.give()
    synchronization = request("zwp_linux_surface_synchronization_v1", "set_acquire_fence", 6, None)
    fences.client.send(synchronization, identifier)
    host = fences.client.host
    while not host.fds:
        await host.receive(12)
    (given,) = host.take_fds()
    os.eventfd_write(fd, 5)
    assert os.eventfd_read(given) == 5
    os.close(given)


@pytest.mark.parametrize("wrong", [0, 1, 999, 2**32 - 1])
async def test_a_fence_that_there_is_not_can_not_be_awaited(fences: Fences, wrong: int) -> None:
    with pytest.raises(GuestFault, match=f"no fence {wrong}"):
        fences.client.context.submit(encode_await_sync(wrong, RING))


@pytest.mark.parametrize("size", [8, 12, 20])
async def test_an_await_of_another_size_is_refused(fences: Fences, size: int) -> None:
    command = bytearray(encode_await_sync(2, RING).ljust(size, b"\0")[:size])
    command[2:4] = size.to_bytes(2, "little")
    with pytest.raises(GuestFault, match=f"AWAIT_SYNC of {size} bytes"):
        fences.client.context.submit(command)


async def test_an_identifier_is_good_once(fences: Fences) -> None:
    _fd, identifier = await fences.give()
    fences.client.context.submit(encode_await_sync(identifier.identifier, RING))
    with pytest.raises(GuestFault, match="no fence"):
        fences.wait(identifier)
    # The first submit had no fence: nothing waits for what it awaited.
    assert fences.wait().done()


async def test_a_guest_that_leaves_its_fences_ends(fences: Fences) -> None:
    for _ in range(MAX_UNTAKEN_SYNCS):
        await fences.give()
    fd = os.eventfd(0)
    fences.client.host.send(event("zwp_linux_buffer_release_v1", "fenced_release", RELEASE, None), [fd])
    os.close(fd)
    await fences.client.host.wait_until_gone()


async def test_a_guest_with_too_many_fences_at_once_ends_and_nothing_hangs(fences: Fences) -> None:
    _never, identifier = await fences.give()
    waited = [fences.wait(identifier)]
    waited += [fences.wait() for _ in range(MAX_HELD_SYNCS - 1)]
    assert not any(entry.done() for entry in waited)
    assert fences.wait().done()
    await fences.client.host.wait_until_gone()
    fences.client.context.close()
    await assert_over(*waited)


async def test_what_is_no_fence_ends_the_client(fences: Fences) -> None:
    fd = os.memfd_create("no fence")
    fences.client.host.send(event("zwp_linux_buffer_release_v1", "fenced_release", RELEASE, None), [fd])
    os.close(fd)
    await fences.client.host.wait_until_gone()


async def test_a_poll_is_not_held_back_by_a_fence(fences: Fences) -> None:
    _never, identifier = await fences.give()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    context = fences.client.context
    context.submit(encode_await_sync(identifier.identifier, RING) + encode_poll())
    context.create_fence(CHANNEL_RING, lambda: done.set_result(None))
    fences.client.host.send(event("wl_display", "delete_id", 1, 9))
    await assert_over(done)
