"""The host-visible window: blobs of host memory mapped where the guest sees them.

One memfd per blob, mapped by one SHMEM_MAP each: the compositor gets just that blob, and
the pixels of a destroyed blob stay valid for whoever still maps it.  `gpu` asks for
mappings, the VMM makes them, and tells `backend` of each as one more memory region.

What that costs with QEMU 11.1: a mapping takes milliseconds, a few hundred are the most
(`limits.MAX_MAPPED_BLOBS`), and a VM that is reset while blobs are mapped crashes QEMU when
its driver starts again, because QEMU looks up memory regions that its own reset has
removed.  Without CONFIGURE_MEM_SLOTS it does not, but then a VM with more than seven blobs
does not survive a pause.  One arena for all blobs would have neither trouble, and no borders.
"""

import asyncio
import os
from bisect import bisect_right, insort
from collections.abc import Callable
from typing import Final, TypeAlias

from crossdomain.abi.vhost_user import (
    MMAP,
    MMAP_FLAG_RW,
    VHOST_USER_BACKEND_SHMEM_MAP,
    VHOST_USER_BACKEND_SHMEM_UNMAP,
)
from crossdomain.abi.virtio_gpu import VIRTIO_GPU_SHM_ID_HOST_VISIBLE
from crossdomain.context.memory import PAGE_SIZE, HostMemory
from crossdomain.device.backend_channel import BackendChannel
from crossdomain.device.faults import bad_parameter, malformed, too_much
from crossdomain.errors import LocalError
from crossdomain.limits import MAX_MAPPED_BLOBS

Identity: TypeAlias = tuple[int, int]
"""Device and inode: which file an fd is of."""

ANNOUNCE_SECONDS: Final = 0.1
"""How long the first mapping waits to be announced before we take it that this VMM does not announce."""


class Mapping:
    """One blob's range, from MAP_BLOB until the VMM has let go of it."""

    __slots__ = ("announced", "answered", "failed", "identity", "offset", "said_yes", "size", "stale")

    def __init__(self, offset: int, size: int, identity: Identity, answered: Callable[[bool], None]) -> None:
        self.offset = offset
        self.size = size
        self.identity = identity
        self.answered = answered
        self.announced = False
        self.said_yes = False
        self.failed = False
        self.stale = False


class HostVisibleWindow:
    """The window of one device: which ranges are mapped, and what the VMM still has to answer.

    A mapping counts as made when the VMM has said yes *and* announced the new memory region: QEMU says yes
    before it changes the guest's address space, and a guest that is faster than that writes into nothing.
    """

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        """`size` in bytes, a power of two (QEMU makes a PCI BAR of it)."""
        if size < PAGE_SIZE or size & (size - 1):
            raise LocalError(f"a window of {size} bytes; it must be a power of two")
        self.size = size
        self._loop = loop
        self._channel: BackendChannel | None = None
        self._starts: list[int] = []
        self._mappings: dict[int, Mapping] = {}
        self._unanswered: list[Mapping] = []
        self._identities: dict[Identity, int] = {}
        self._announces = True
        self._suspended = False
        self._timer: asyncio.TimerHandle | None = None

    def connect(self, channel: BackendChannel) -> None:
        """Takes ownership of the channel on which the VMM makes mappings."""
        if self._channel is not None:
            self._channel.close()
        self._channel = channel
        channel.hold(self._suspended)

    def map(self, offset: int, memory: HostMemory, answered: Callable[[bool], None]) -> Mapping:
        """Maps all of `memory` at byte `offset`; `answered` is called once, later, with whether it is there.

        Returns:
            What `unmap` wants.

        Raises:
            CommandFault: the range is not a free part of the window, or no VMM is there to map.
            OSError: the process has no descriptor left.
        """
        channel = self._channel
        if channel is None or not channel.is_open:
            raise malformed("the VMM has no window to map blobs into")
        self._check_range(offset, memory.size)
        mapping = Mapping(offset, memory.size, _identity(memory.fd), answered)
        # The line owns a descriptor of its own: the guest may drop the blob while the VMM takes its time.
        fd = os.dup(memory.fd)
        insort(self._starts, offset)
        self._mappings[offset] = mapping
        self._unanswered.append(mapping)
        self._identities[mapping.identity] = self._identities.get(mapping.identity, 0) + 1
        payload = MMAP.pack(VIRTIO_GPU_SHM_ID_HOST_VISIBLE, 0, offset, memory.size, MMAP_FLAG_RW)
        channel.request(
            VHOST_USER_BACKEND_SHMEM_MAP, payload, lambda success: self._on_mapped(mapping, success), fd
        )
        return mapping

    def unmap(self, mapping: Mapping, answered: Callable[[bool], None]) -> None:
        """Ends a mapping, made or still under way; its range may be mapped again at once.

        `answered` is called once with whether the VMM has let go of it.
        """
        channel = self._channel
        if mapping.failed or mapping.stale or channel is None:
            answered(False)
            return
        self._release(mapping)

        def on_unmapped(success: bool) -> None:
            self._forget(mapping)
            answered(success)

        self._ask_unmap(channel.request, mapping, on_unmapped)

    def owns(self, identity: Identity) -> bool:
        """Whether a file is one of the blobs in the window: the VMM then announces our own mapping."""
        return identity in self._identities

    def note_announced(self, identity: Identity) -> None:
        """The VMM has told of a memory region of that file."""
        for mapping in self._unanswered:
            if mapping.identity == identity:
                mapping.announced = True
        self._settle()

    def suspend(self, suspended: bool) -> None:
        """While the device is suspended nothing is asked of the VMM (vhost-user, Suspended device state).

        QEMU 11.1 crashes on resuming where a mapping went while its vhost device was stopped.
        """
        self._suspended = suspended
        if self._channel is not None:
            self._channel.hold(suspended)

    def reset(self) -> None:
        """The driver starts anew, and the VMM has unmapped everything by itself (vhost-user, SHMEM_MAP).

        A mapping that the VMM makes after this is undone.
        """
        if self._channel is not None:
            # A yes that is here already was said before the reset, one that comes later is not undone by it.
            self._channel.drain()
            self._channel.cancel()
        for mapping in (*self._mappings.values(), *self._unanswered):
            mapping.stale = True
        self._mappings.clear()
        self._starts.clear()
        self._unanswered.clear()
        self._identities.clear()
        self._stop_timer()

    def close(self) -> None:
        """Closes the channel; mappings not yet made are answered with a failure.  May be called again."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        unanswered, self._unanswered = self._unanswered, []
        for mapping in unanswered:
            mapping.answered(False)
        self._stop_timer()

    def _check_range(self, offset: int, size: int) -> None:
        if offset % PAGE_SIZE or offset + size > self.size:
            raise bad_parameter(f"{size} bytes at {offset:#x} of a window of {self.size}")
        if len(self._mappings) >= MAX_MAPPED_BLOBS:
            raise too_much(f"more than {MAX_MAPPED_BLOBS} blobs mapped")
        at = bisect_right(self._starts, offset)
        before = self._mappings[self._starts[at - 1]] if at else None
        if before is not None and before.offset + before.size > offset:
            raise bad_parameter(f"{offset:#x} of the window is in use")
        if at < len(self._starts) and self._starts[at] < offset + size:
            raise bad_parameter(f"{offset + size:#x} of the window is in use")

    def _on_mapped(self, mapping: Mapping, success: bool) -> None:
        if mapping.stale:
            if success and self._channel is not None:
                self._ask_unmap(self._channel.request_first, mapping, lambda _success: None)
            return
        mapping.said_yes = success
        if not success:
            mapping.failed = True
            self._release(mapping)
            self._forget(mapping)
            self._unanswered.remove(mapping)
            mapping.answered(False)
            return
        self._settle()

    def _settle(self) -> None:
        ready = [m for m in self._unanswered if m.said_yes and (m.announced or not self._announces)]
        if ready:
            self._unanswered = [m for m in self._unanswered if m not in ready]
            for mapping in ready:
                mapping.answered(True)
        if not any(m.said_yes for m in self._unanswered):
            self._stop_timer()
        elif self._timer is None:
            self._timer = self._loop.call_later(ANNOUNCE_SECONDS, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        self._timer = None
        self._announces = False
        self._settle()

    def _ask_unmap(
        self,
        request: Callable[[int, bytes, Callable[[bool], None]], None],
        mapping: Mapping,
        answered: Callable[[bool], None],
    ) -> None:
        payload = MMAP.pack(VIRTIO_GPU_SHM_ID_HOST_VISIBLE, 0, mapping.offset, mapping.size, 0)
        request(VHOST_USER_BACKEND_SHMEM_UNMAP, payload, answered)

    def _release(self, mapping: Mapping) -> None:
        # It may be another's range by now, where the guest unmapped what the VMM then refused to map.
        if self._mappings.get(mapping.offset) is mapping:
            del self._mappings[mapping.offset]
            del self._starts[bisect_right(self._starts, mapping.offset) - 1]

    def _forget(self, mapping: Mapping) -> None:
        count = self._identities.get(mapping.identity, 0)
        if count > 1:
            self._identities[mapping.identity] = count - 1
        else:
            self._identities.pop(mapping.identity, None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _identity(fd: int) -> Identity:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
