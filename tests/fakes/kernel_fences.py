"""What the kernel itself has to do for `crossdomain.bridge.fences`: run inside a virtual machine with vgem.

`python3 -m tests.fakes.kernel_fences CASE` ends with 0 where the case holds.  The cases are the functions.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from crossdomain.bridge import sync_file
from crossdomain.bridge.fences import Fence, FenceState
from crossdomain.bridge.syncobj import SyncDevice, has_timelines
from launcher.channel import drm, render_node
from launcher.channel.virtgpu import VirtgpuChannel
from tests.fakes.patience import in_time, is_readable
from tests.fakes.vgem import Vgem


def _wait(fence: Fence) -> FenceState:
    assert is_readable(fence), "the fence is never over"
    return fence.state


def _device(stack: ExitStack) -> SyncDevice:
    device = next(filter(None, map(SyncDevice.open, drm.render_nodes())))
    stack.callback(device.close)
    return device


def what_is_written_is_awaited(stack: ExitStack) -> None:
    """A dmabuf's fence ends when its writer does, and a later writer is another fence."""
    vgem = stack.enter_context(Vgem())
    buffer = vgem.create(64, 64)
    stack.callback(buffer.close)
    idle = Fence.of_writers(buffer.fd)
    assert idle.state is FenceState.SIGNALLED
    idle.close()
    writing = buffer.begin_writing()
    fence = Fence.of_writers(buffer.fd)
    stack.callback(fence.close)
    assert fence.is_pending
    vgem.signal(writing)
    assert _wait(fence) is FenceState.SIGNALLED
    writing = buffer.begin_writing()
    assert fence.state is FenceState.SIGNALLED
    later = Fence.of_writers(buffer.fd)
    stack.callback(later.close)
    assert later.is_pending
    vgem.signal(writing)
    assert _wait(later) is FenceState.SIGNALLED


def a_point_is_awaited_before_it_is_submitted(stack: ExitStack) -> None:
    """Wait before submit, points out of reach, signals that jump."""
    device = _device(stack)
    timeline = device.create_timeline()
    stack.callback(timeline.close)
    fences = {point: timeline.fence(point) for point in (1, 2, 5, 1 << 63)}
    for fence in fences.values():
        stack.callback(fence.close)
    timeline.signal(2)
    assert _wait(fences[1]) is _wait(fences[2]) is FenceState.SIGNALLED
    assert fences[5].is_pending
    assert timeline.query() == 2
    timeline.signal(9)
    assert _wait(fences[5]) is FenceState.SIGNALLED
    assert fences[1 << 63].is_pending


def a_timeline_crosses_as_an_fd(stack: ExitStack) -> None:
    """Another open file of the device knows the same timeline."""
    mine, theirs = _device(stack), _device(stack)
    timeline = mine.create_timeline()
    stack.callback(timeline.close)
    fd = timeline.export()
    imported = theirs.import_timeline(fd)
    os.close(fd)
    stack.callback(imported.close)
    fence = imported.fence(3)
    stack.callback(fence.close)
    timeline.signal(3)
    assert _wait(fence) is FenceState.SIGNALLED
    assert imported.query() == 3


def sync_files_and_points_are_exchanged(stack: ExitStack) -> None:
    """A point that waits for a sync file, and a sync file of that point."""
    vgem = stack.enter_context(Vgem())
    buffer = vgem.create(64, 64)
    timeline = _device(stack).create_timeline()
    stack.callback(buffer.close)
    stack.callback(timeline.close)
    writing = buffer.begin_writing()
    written = sync_file.written(buffer.fd)
    timeline.import_sync_file(4, written)
    os.close(written)
    exported = Fence.of_sync_file(timeline.export_sync_file(4))
    point = timeline.fence(4)
    for fence in (exported, point):
        stack.callback(fence.close)
    assert exported.is_pending
    assert point.is_pending
    vgem.signal(writing)
    assert _wait(exported) is _wait(point) is FenceState.SIGNALLED


def what_is_no_fence_is_refused(stack: ExitStack) -> None:
    """By the kernel, as OSError."""
    device = _device(stack)
    read_end, write_end = os.pipe()
    for fd in (read_end, write_end):
        stack.callback(os.close, fd)
    refused: dict[str, Callable[[], object]] = {
        "sync file": lambda: Fence.of_sync_file(os.dup(read_end)),
        "any": lambda: Fence.of_any(os.dup(read_end)),
        "timeline": lambda: device.import_timeline(read_end),
        "point": lambda: device.create_timeline().export_sync_file(7),
    }
    for name, call in refused.items():
        try:
            call()
        except OSError:
            continue
        raise AssertionError(name)


def each_kind_wakes_an_asyncio_loop(stack: ExitStack) -> None:
    """A sync file, what is written, a point, an eventfd, and the fence of a virtio-gpu ring."""
    vgem = stack.enter_context(Vgem())
    buffer = vgem.create(64, 64)
    stack.callback(buffer.close)
    timeline = _device(stack).create_timeline()
    stack.callback(timeline.close)
    node = render_node.find()
    channel = VirtgpuChannel(node.path, node.capset, "fences")
    stack.callback(channel.close)
    writing = buffer.begin_writing()
    eventfd = os.eventfd(0, os.EFD_CLOEXEC)
    pending = [
        Fence.of_sync_file(sync_file.written(buffer.fd)),
        Fence.of_writers(buffer.fd),
        timeline.fence(7),
        Fence.of_eventfd(eventfd),
    ]
    ring = Fence.of_sync_file(channel.prove())
    for fence in (*pending, ring):
        stack.callback(fence.close)
    assert all(fence.is_pending for fence in pending)

    async def wait() -> None:
        over = [asyncio.create_task(_over(fence)) for fence in (*pending, ring)]
        await in_time(over[-1])
        assert not any(task.done() for task in over[:-1])
        vgem.signal(writing)
        timeline.signal(7)
        os.eventfd_write(eventfd, 1)
        await in_time(asyncio.gather(*over))

    asyncio.run(wait())
    assert {fence.state for fence in (*pending, ring)} == {FenceState.SIGNALLED}


async def _over(fence: Fence) -> None:
    """Returns when a loop's reader was called for it."""
    loop = asyncio.get_running_loop()
    called: asyncio.Future[None] = loop.create_future()

    def over() -> None:
        loop.remove_reader(fence)
        called.set_result(None)

    loop.add_reader(fence, over)
    await called


def only_devices_with_timelines_have_them(stack: ExitStack) -> None:
    """Vgem has none."""
    vgem = stack.enter_context(Vgem())
    assert not has_timelines(vgem.fd)


CASES: Final = {
    case.__name__: case
    for case in (
        what_is_written_is_awaited,
        a_point_is_awaited_before_it_is_submitted,
        a_timeline_crosses_as_an_fd,
        sync_files_and_points_are_exchanged,
        what_is_no_fence_is_refused,
        each_kind_wakes_an_asyncio_loop,
        only_devices_with_timelines_have_them,
    )
}

if __name__ == "__main__":
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as exit_stack:
        CASES[sys.argv[1]](exit_stack)
    assert len(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
