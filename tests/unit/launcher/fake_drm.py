"""A virtio-gpu driver in the test's hands: what `launcher.channel.drm` asks of the kernel."""

import errno
import mmap
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from crossdomain.abi import clock, cross_domain, virtgpu_drm
from crossdomain.abi.cross_domain import Command, ImageRequirements
from launcher.channel import drm

NODE = "/dev/dri/renderD128"


class Execution(NamedTuple):
    """One EXECBUFFER."""

    commands: bytes
    ring_idx: int | None
    handle: int


class FakeDriver:
    """One render node with one open file at a time; its host answers at once."""

    def __init__(self) -> None:
        self.nodes = [NODE]
        self.names = [virtgpu_drm.DRIVER_NAME]
        self.parameters = {
            virtgpu_drm.VIRTGPU_PARAM_3D_FEATURES: 1,
            virtgpu_drm.VIRTGPU_PARAM_RESOURCE_BLOB: 1,
            virtgpu_drm.VIRTGPU_PARAM_HOST_VISIBLE: 1,
            virtgpu_drm.VIRTGPU_PARAM_CONTEXT_INIT: 1,
            virtgpu_drm.VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs: 1 << cross_domain.CAPSET_ID,
        }
        self.capset = cross_domain.encode_capset(1 << 1, features=cross_domain.Feature.MAX_SEND)
        self.open_error: int | None = None
        self.refuses_memory = False
        self.is_dead = False
        self.time: int | None = None
        """What the host's clocks say in ns; None where it refuses to tell."""
        self.executions: list[Execution] = []
        self.blobs: dict[int, mmap.mmap] = {}
        self.closed: list[int] = []
        self.contexts: list[tuple[int, int, int, str]] = []
        self.polls = 0
        self._slots = 1
        self._slot = 0
        self._next_handle = 1
        self._events: socket.socket | None = None

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Take the kernel's place."""
        for name in (
            "render_nodes",
            "open_node",
            "driver_name",
            "get_parameter",
            "get_capset",
            "create_context",
        ):
            patch.setattr(drm, name, getattr(self, name))
        for name in ("create_blob", "map_blob", "close_handle", "execute", "execute_fenced", "wait"):
            patch.setattr(drm, name, getattr(self, name))

    def close(self) -> None:
        """Give everything up."""
        if self._events is not None:
            self._events.close()
        for blob in self.blobs.values():
            blob.close()

    def event(self, data: bytes) -> None:
        """Write into the channel ring and complete the oldest POLL."""
        begin = self._slot * (len(self.ring(2)) // self._slots)
        self.ring(2)[begin : begin + len(data)] = data
        self._slot = (self._slot + 1) % self._slots
        self.give_back_poll()

    def give_back_poll(self) -> None:
        """Complete the oldest POLL without an event."""
        assert 0 < self.polls <= self._slots, "no POLL is outstanding, or too many"
        self.polls -= 1
        assert self._events is not None
        self._events.send(virtgpu_drm.DRM_EVENT.pack(virtgpu_drm.VIRTGPU_EVENT_FENCE_SIGNALED, 8))

    def other_event(self) -> None:
        """An event that is not a fence's."""
        assert self._events is not None
        self._events.send(virtgpu_drm.DRM_EVENT.pack(1, 8))

    def ring(self, handle: int) -> mmap.mmap:
        """A blob's memory."""
        return self.blobs[handle]

    # What `launcher.channel.drm` has.

    def render_nodes(self) -> list[str]:
        """See `drm`."""
        return self.nodes

    def open_node(self, path: str) -> int:
        """See `drm`."""
        if self.open_error is not None:
            raise OSError(self.open_error, os.strerror(self.open_error), path)
        if self._events is not None:
            self._events.close()
        ours, self._events = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        return ours.detach()

    def driver_name(self, _fd: int) -> bytes:
        """See `drm`."""
        return self.names[0] if len(self.names) == 1 else self.names.pop(0)

    def get_parameter(self, _fd: int, parameter: int) -> int:
        """See `drm`."""
        return self.parameters.get(parameter, 0)

    def get_capset(self, _fd: int, _capset_id: int, size: int) -> bytes:
        """See `drm`."""
        return self.capset.ljust(size, b"\0")[:size]

    def create_context(self, _fd: int, capset_id: int, rings: int, mask: int, name: str) -> None:
        """See `drm`."""
        self.contexts.append((capset_id, rings, mask, name))

    def create_blob(self, _fd: int, memory: int, _flags: int, size: int, _blob_id: int) -> drm.Blob:
        """See `drm`."""
        handle = self._next_handle
        self._next_handle += 1
        if not (self.refuses_memory and memory == virtgpu_drm.VIRTGPU_BLOB_MEM_HOST3D):
            self.blobs[handle] = mmap.mmap(-1, size)
        return drm.Blob(handle, 100 + handle)

    def map_blob(self, _fd: int, handle: int, size: int) -> mmap.mmap:
        """See `drm`."""
        blob = self.blobs.get(handle)
        if blob is None:
            raise OSError(errno.EINVAL, "Invalid argument")
        assert len(blob) == size
        return blob

    def close_handle(self, _fd: int, handle: int) -> None:
        """See `drm`."""
        self.closed.append(handle)

    def execute(self, _fd: int, commands: bytes, *, ring_idx: int | None = None, handle: int = 0) -> None:
        """See `drm`."""
        self.executions.append(Execution(commands, ring_idx, handle))
        asked = set(_names(memoryview(commands)))
        if Command.POLL in asked:
            assert ring_idx == cross_domain.CHANNEL_RING
            self.polls += 1
        if Command.SHARE_RING in asked:
            self._slots = cross_domain.RING_SLOTS
        if commands[0] == Command.GET_IMAGE_REQUIREMENTS:
            width, height, _format, _flags = cross_domain.GET_IMAGE_REQUIREMENTS.unpack(commands)
            none = (0, 0, 0, 0)
            answer = cross_domain.encode_image_requirements(
                ImageRequirements((width, 0, 0, 0), none, 0, width * height, 7)
            )
            self.ring(1)[: len(answer)] = answer
        if commands[0] == Command.GET_CLOCK and self.time is not None:
            answer = clock.encode_clock(clock.parse_get_clock(memoryview(commands)), self.time)
            self.ring(1)[: len(answer)] = answer

    def execute_fenced(self, _fd: int, commands: bytes, ring_idx: int) -> int:
        """See `drm`; the fence is an eventfd, that of the compositor's or a dead host's is never over."""
        self.executions.append(Execution(commands, ring_idx, 0))
        return os.eventfd(int(ring_idx == cross_domain.QUERY_RING and not self.is_dead))

    def wait(self, _fd: int, handle: int) -> None:
        """See `drm`."""
        assert self.executions[-1].handle == handle


def _names(commands: memoryview) -> Iterator[int]:
    """The commands of one submit."""
    while commands:
        command, size = cross_domain.parse_header(commands)
        yield command
        commands = commands[size:]
