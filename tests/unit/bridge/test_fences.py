"""Fences that this machine's own kernel has, and what others' kernels answer.

The real ones, of sync files, dmabufs and timelines, are tried inside a VM (tests/system/test_fences.py).
"""

import asyncio
import errno
import fcntl
import os
import select
from collections.abc import Callable, Generator, Iterator

import pytest

from crossdomain.bridge import sync_file
from crossdomain.bridge.fences import Fence, FenceState, gather, is_eventfd, is_fence
from crossdomain.bridge.syncobj import SyncDevice, has_timelines
from launcher.loop import READABLE, Loop


@pytest.fixture
def eventfd() -> Generator[int]:
    """An eventfd of the test's."""
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


@pytest.fixture
def fence(eventfd: int) -> Generator[Fence]:
    """A fence that writing the eventfd signals."""
    made = Fence.of_any(os.dup(eventfd))
    yield made
    made.close()


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Lets every ioctl fail."""

    def ioctl(_fd: int, _request: int, _argument: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)


def test_a_fence_is_pending_until_it_signals_and_signalled_from_then_on(fence: Fence, eventfd: int) -> None:
    before = fence.state
    os.eventfd_write(eventfd, 1)
    assert [before, fence.state, fence.state] == [
        FenceState.PENDING,
        FenceState.SIGNALLED,
        FenceState.SIGNALLED,
    ]


def test_a_poll_waits_for_a_fence(fence: Fence, eventfd: int) -> None:
    poll = select.poll()
    poll.register(fence, select.POLLIN)
    assert poll.poll(0) == []
    os.eventfd_write(eventfd, 1)
    assert poll.poll(0) == [(fence.fileno(), select.POLLIN)]


async def test_asyncio_waits_for_a_fence(fence: Fence, eventfd: int) -> None:
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    loop.add_reader(fence, signalled.set)
    loop.call_soon(os.eventfd_write, eventfd, 1)
    await asyncio.wait_for(signalled.wait(), 30)
    assert loop.remove_reader(fence)


def test_the_launchers_loop_waits_for_a_fence(fence: Fence, eventfd: int) -> None:
    loop = Loop()
    loop.add(fence.fileno(), READABLE, lambda _events: loop.stop())
    os.eventfd_write(eventfd, 1)
    loop.run()
    loop.close()


def test_a_detached_fd_outlives_the_fence(fence: Fence, eventfd: int) -> None:
    other = Fence.of_eventfd(fence.detach())
    fence.close()
    os.eventfd_write(eventfd, 1)
    assert other.state is FenceState.SIGNALLED
    other.close()


def test_closing_twice_closes_nothing_else(fence: Fence) -> None:
    fence.close()
    other = os.memfd_create("takes the number")
    fence.close()
    os.fstat(other)
    os.close(other)


@pytest.mark.parametrize(
    ("status", "state"), [(1, FenceState.SIGNALLED), (-errno.ETIMEDOUT, FenceState.FAILED)]
)
def test_a_sync_file_tells_whether_its_device_has_failed(
    eventfd: int, monkeypatch: pytest.MonkeyPatch, status: int, state: FenceState
) -> None:
    def ioctl(_fd: int, _request: int, information: bytearray) -> int:
        information[32:36] = status.to_bytes(4, "little", signed=True)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    fence = Fence.of_sync_file(os.dup(eventfd))
    before = fence.state
    os.eventfd_write(eventfd, 1)
    assert (before, fence.state) == (FenceState.PENDING, state)
    fence.close()


def test_only_an_eventfd_is_one(eventfd: int) -> None:
    memfd = os.memfd_create("[eventfd]")
    assert (is_eventfd(eventfd), is_fence(eventfd)) == (True, True)
    assert (is_eventfd(memfd), is_fence(memfd)) == (False, False)
    os.close(memfd)


@pytest.mark.parametrize("make", [Fence.of_any, Fence.of_sync_file])
def test_what_is_no_fence_is_refused_and_closed(make: Callable[[int], Fence]) -> None:
    fd = os.memfd_create("no fence")
    with pytest.raises(OSError, match="ioctl"):
        make(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_pending_fence_that_is_closed_is_forgotten(eventfd: int) -> None:
    Fence.of_eventfd(os.dup(eventfd)).close()
    os.eventfd_write(eventfd, 1)


def test_an_old_kernel_lets_the_dmabuf_itself_be_polled(
    eventfd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.ENOTTY)
    fence = Fence.of_writers(eventfd)
    assert fence.is_pending
    os.eventfd_write(eventfd, 1)
    assert fence.state is FenceState.SIGNALLED
    fence.close()


def test_a_kernel_without_memory_is_not_taken_for_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.ENOMEM)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        sync_file.written(0)


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_device_that_refuses_has_no_timelines(
    eventfd: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number)
    assert not has_timelines(eventfd)


@pytest.mark.parametrize("path", ["/nowhere/renderD128", "/dev/null"])
def test_what_is_no_device_opens_as_none(path: str) -> None:
    assert SyncDevice.open(path) is None


def test_fences_are_gathered_all_or_none() -> None:
    made: list[Fence] = []

    def make(count: int, *, fails: bool) -> Iterator[Fence]:
        for _ in range(count):
            made.append(Fence.of_eventfd(os.eventfd(0)))
            yield made[-1]
        if fails:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with pytest.raises(OSError, match="Too many open files"):
        gather(make(2, fails=True))
    assert [fence.fileno() for fence in made] == [-1, -1]
    gathered = gather(make(2, fails=False))
    assert [fence.state for fence in gathered] == [FenceState.PENDING] * 2
    for fence in gathered:
        fence.close()
