"""A guest that takes a compositor's fences: `python3 -m tests.fakes.fence_taker COUNT`, on the virtual GPU.

Without a launcher: its channel alone.  It asks for COUNT releases of buffers, prints `asked`, and as soon
as the compositor has answered each with a fence, what it knows of these fences of its own kernel.  The second
is no sync file, but a point of a timeline that the kernel fills (out_syncobjs).  There is
one more than COUNT: a point of a timeline that follows the first.  Each line on its standard input is the
number of one, which it waits for; it answers with what it knows of all then.
"""

import fcntl
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from struct import Struct
from typing import Final

from crossdomain.abi import virtgpu_drm
from crossdomain.abi.cross_domain import Identifier, SendReceive
from crossdomain.abi.sync import FIRST_SYNC_RING, encode_await_sync
from crossdomain.bridge.fences import Fence
from crossdomain.bridge.syncobj import SyncDevice
from crossdomain.native.system import address_of
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load
from launcher.channel import render_node
from launcher.channel.virtgpu import VirtgpuChannel
from tests.fakes.patience import is_readable

INTERFACE: Final = "zwp_linux_explicit_synchronization_v1"
OFFERED: Final = ((1, "wl_compositor", 4), (2, INTERFACE, 2))
"""Name, interface and version of what the compositor has to offer."""
FIRST_RELEASE: Final = 7
"""The first zwp_linux_buffer_release_v1; the others follow it."""
_POINT: Final = 3
_FILLED: Final = 1
_RING: Final = FIRST_SYNC_RING + 15
"""The last one, which the channel does not come to here."""
_EXECBUFFER_SYNCOBJ: Final = Struct("=IIQ")
"""struct drm_virtgpu_execbuffer_syncobj: handle, flags, point."""


def ask_for_globals() -> bytes:
    """What it sends first."""
    return _request("wl_display", "get_registry", 1, 2)


def ask_for_releases(count: int) -> bytes:
    """What it sends once it has heard of `OFFERED`."""
    releases = range(FIRST_RELEASE, FIRST_RELEASE + count)
    return b"".join(
        (
            *(_request("wl_registry", "bind", 2, *offered, 2 + offered[0]) for offered in OFFERED),
            _request("wl_compositor", "create_surface", 3, 5),
            _request(INTERFACE, "get_synchronization", 4, 6, 5),
            *(_request("zwp_linux_surface_synchronization_v1", "get_release", 6, made) for made in releases),
        )
    )


def _request(interface: str, name: str, object_id: int, *values: int | str) -> bytes:
    requests = load().interface(interface).requests
    return encode_message(next(found for found in requests if found.name == name), object_id, *values)


class Taker:
    """The channel, and the fences that came through it."""

    def __init__(self, stack: ExitStack) -> None:
        node = render_node.find()
        self._stack = stack
        self._channel = VirtgpuChannel(node.path, node.capset, "fences")
        stack.callback(self._channel.close)
        # Handles are an open file's.
        device = SyncDevice(os.dup(self._channel.fileno()))
        self._timeline = device.create_timeline()
        self._filled = device.create_timeline()
        stack.callback(device.close)
        self.fences: list[Fence] = []

    def ask(self, count: int) -> None:
        """Makes the compositor give `count` fences."""
        self._channel.send(ask_for_globals())
        self._receive(len(OFFERED) * 40)
        self._channel.send(ask_for_releases(count))

    def take(self, count: int) -> None:
        """Makes fences of this kernel of what the compositor gives."""
        while len(self.fences) < count:
            for identifier in self._receive(0):
                number = len(self.fences)
                self._keep(self._fill(identifier) if number == _FILLED else self._open(identifier))
        self._timeline.import_sync_file(_POINT, self.fences[0].fileno())
        self._keep(self._timeline.fence(_POINT))

    def _open(self, identifier: Identifier) -> Fence:
        return Fence.of_sync_file(self._channel.open_fence(identifier))

    def _fill(self, identifier: Identifier) -> Fence:
        """Has the kernel put the fence of an AWAIT_SYNC into a point."""
        command = encode_await_sync(identifier.identifier, _RING)
        out = _EXECBUFFER_SYNCOBJ.pack(self._filled.handle, 0, _POINT)
        request = virtgpu_drm.EXECBUFFER.pack(
            virtgpu_drm.VIRTGPU_EXECBUF_RING_IDX,
            len(command),
            address_of(command),
            *(0, 0, -1, _RING),
            *(len(out), 0, 1, 0, address_of(out)),
        )
        fcntl.ioctl(self._channel.fileno(), virtgpu_drm.DRM_IOCTL_VIRTGPU_EXECBUFFER, request)
        return self._filled.fence(_POINT)

    def wait(self, number: int) -> None:
        """Returns when one of them is over."""
        assert is_readable(self.fences[number]), f"fence {number} is never over"

    @property
    def states(self) -> str:
        """What is known of each now."""
        return " ".join(fence.state.name for fence in self.fences)

    def _keep(self, fence: Fence) -> None:
        self._stack.callback(fence.close)
        self.fences.append(fence)

    def _receive(self, size: int) -> Sequence[Identifier]:
        """Returns the identifiers of the next event or events, of `size` bytes of messages at least."""
        identifiers: list[Identifier] = []
        while True:
            assert is_readable(self._channel), "nothing comes from the host"
            for event in self._channel.receive():
                assert isinstance(event, SendReceive)
                assert event.data, "the host has hung up"
                size -= len(event.data)
                identifiers += event.identifiers
            if size <= 0:
                return identifiers


def main() -> None:
    """Serves until the input ends."""
    count = int(sys.argv[1])
    with ExitStack() as stack:
        taker = Taker(stack)
        taker.ask(count)
        print("asked", flush=True)
        taker.take(count)
        print(taker.states, flush=True)
        for line in sys.stdin:
            taker.wait(int(line))
            print(taker.states, flush=True)


if __name__ == "__main__":
    before = len(os.listdir("/proc/self/fd"))
    main()
    assert len(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
