"""The channel over virtio-gpu: DRM ioctls on a render node, one open file per client.

The sequence is sommelier's (cross-domain protocol, "What a guest does"): a context with two
rings in guest memory, INIT of 20 bytes, then one POLL outstanding at a time, or two with our own host,
whose fence makes the file readable when an event stands in the channel ring.  `launcher.channel.drm` has
the ioctls, `launcher.channel.render_node` finds the node.
"""

import errno
import mmap
import os
import select
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from crossdomain.abi import clock, cross_domain, sync, virtgpu_drm
from crossdomain.abi.clock import ClockId
from crossdomain.abi.cross_domain import (
    RING_SLOTS,
    Buffer,
    Capset,
    Feature,
    Identifier,
    IdentifierType,
    SendReceive,
)
from crossdomain.abi.pages import (
    CopyPages,
    Shown,
    ShowPages,
    Verdict,
    encode_copy_pages,
    encode_show_pages,
    parse_shown,
)
from crossdomain.abi.points import POINTS
from crossdomain.errors import HostFault, LocalError
from crossdomain.native import ffi, lib
from crossdomain.native.system import address_of
from launcher.channel import drm
from launcher.channel.guest_pages import GuestPages, ImportedDmabuf
from launcher.channel.memory import PAGE_SIZE, Requirements, round_to_pages
from launcher.channel.seam import Device, Event, Way

if TYPE_CHECKING:
    from crossdomain.native._core import RingPointer

_RING_COUNT: Final = 2
_SYNC_RINGS: Final = 16
"""Further rings, for fences of the compositor's: one that is late delays those of its ring."""
_CHANNEL_RING_SIZE: Final = 32768
"""Bytes.  Only our own host is known to handle a ring of more than one page, which may be scattered."""
_ANSWER_SIZE: Final = cross_domain.IMAGE_REQUIREMENTS.size
"""Bytes of the longest answer in the query ring."""
_ANSWER_TIMEOUT_MS: Final = 10_000
"""A host that does not answer for so long is no more."""
_FRESH_SECONDS: Final = 0.25
"""How long a host is taken to live on after an answer: asking costs as much as making a blob."""
_EVENTS: Final = virtgpu_drm.DRM_EVENT.size * 8


class _Blob:
    """One mapped blob of either kind; `close` unmaps it and drops the handle."""

    __slots__ = ("_drm_fd", "_handle", "buffer", "resource_id", "size")

    def __init__(self, drm_fd: int, blob: drm.Blob, size: int) -> None:
        """Takes ownership of the blob's handle."""
        self._drm_fd = drm_fd
        self._handle = blob.handle
        self.resource_id = blob.resource_id
        self.size = size
        try:
            self.buffer = drm.map_blob(drm_fd, blob.handle, size)
        except OSError:
            drm.close_handle(drm_fd, blob.handle)
            raise

    @property
    def handle(self) -> int:
        """The GEM handle."""
        return self._handle

    def close(self) -> None:
        """May be called again."""
        if self._handle:
            self.buffer.close()
            drm.close_handle(self._drm_fd, self._handle)
            self._handle = 0


class UnmappedMemory:
    """A HOST3D blob that the guest can't see."""

    __slots__ = ("_drm_fd", "_handle", "identifier", "size")

    def __init__(self, drm_fd: int, blob: drm.Blob, size: int) -> None:
        """Takes ownership of the blob's handle."""
        self._drm_fd = drm_fd
        self._handle = blob.handle
        self.size = size
        self.identifier = Identifier(blob.resource_id, IdentifierType.VIRTGPU_BLOB, size)

    def close(self) -> None:
        """Gives it up; the compositor keeps what it was given.  May be called again."""
        if self._handle:
            drm.close_handle(self._drm_fd, self._handle)
            self._handle = 0


class SharedBlob:
    """A client's blob in host memory.  The kernel knows it by one handle, however often it is shared."""

    __slots__ = ("_handle", "_handles", "identifier")

    def __init__(self, handles: drm.SharedHandles, blob: drm.Blob, size: int) -> None:
        self._handle = blob.handle
        self._handles = handles
        handles.take(blob.handle)
        self.identifier = Identifier(blob.resource_id, IdentifierType.VIRTGPU_BLOB, size)

    def close(self) -> None:
        """Gives it up; the compositor keeps what it was given.  May be called again."""
        handle, self._handle = self._handle, 0
        if handle:
            self._handles.give_back(handle)


class VirtgpuMemory:
    """A HOST3D blob, mapped through the host-visible window."""

    __slots__ = ("_blob", "identifier")

    def __init__(self, blob: _Blob) -> None:
        self._blob = blob
        self.identifier = Identifier(blob.resource_id, IdentifierType.VIRTGPU_BLOB, blob.size)

    @property
    def size(self) -> int:
        return self._blob.size

    @property
    def buffer(self) -> mmap.mmap:
        return self._blob.buffer

    def close(self) -> None:
        """Unmaps it; the compositor keeps what it was given."""
        self._blob.close()


class VirtgpuCopies:
    """`launcher.channel.HostCopies` of one channel."""

    def __init__(self, channel: "VirtgpuChannel", pages: GuestPages, copies: bytearray) -> None:
        self._channel = channel
        self._copies = copies
        self._pages = pages
        self.import_file = pages.import_file

    def import_dmabuf(self, fd: int, size: int, /) -> ImportedDmabuf | None:
        """See `HostCopies`."""
        return self._pages.import_dmabuf(fd, size, self._channel.ask) if self._channel.claims_pages else None

    def copy(self, copy: CopyPages) -> None:
        """Queues it before the next SEND."""
        self._copies += encode_copy_pages(copy)

    def show(self, show: ShowPages) -> Shown:
        """See `HostCopies`."""
        return self._channel.show(show)

    def create_memory(self, size: int) -> UnmappedMemory:
        """Memory that only the host writes."""
        return self._channel.create_unmapped(size)


class VirtgpuChannel:
    """`launcher.channel.seam.Channel` over a render node."""

    def __init__(self, node: str, capset: Capset, client: str, pages: GuestPages | None = None) -> None:
        """Opens `node`, whose capset 5 says `capset`, and makes a context on it for the client of that name.

        `pages` is the memory device of the same host, and stays the caller's.

        Raises:
            OSError: the node can't be opened, or the driver refused.
        """
        self.max_send = capset.max_send
        self.has_pipe_credit = bool(capset.features & Feature.PIPE_CREDIT)
        self.has_policy = bool(capset.features & Feature.POLICY)
        self.has_clock = bool(capset.features & Feature.CLOCK)
        self.claims_pages = bool(capset.features & Feature.CLAIM_PAGES)
        self.has_lasting_pipes = bool(capset.features & Feature.LASTING_PIPES)
        self.has_fences = bool(capset.features & Feature.SYNC)
        self.has_points = bool(capset.features & Feature.POINTS)
        self.proves = bool(capset.features)
        self._answered = -_FRESH_SECONDS
        """When the host was heard of last, on the monotonic clock."""
        self.shares_fences = False
        self._fences_opened = 0
        self._shows_pages = bool(capset.features & Feature.SHOW_PAGES)
        self._copies = bytearray()
        """COPY_PAGES commands that go before the next SEND."""
        self.host_copies = None if pages is None else VirtgpuCopies(self, pages, self._copies)
        self._requirements = Requirements()
        self._blobs: list[_Blob] = []
        self._fd = drm.open_node(node)
        self._shared_handles = drm.SharedHandles(self._fd)
        try:
            self.device = Device(node, os.fstat(self._fd).st_rdev, is_linear=True)
            polled = 1 << cross_domain.CHANNEL_RING
            rings = _RING_COUNT + _SYNC_RINGS if self.has_fences else _RING_COUNT
            drm.create_context(self._fd, cross_domain.CAPSET_ID, rings, polled, client)
            own_host = self._is_own_host = self.proves
            self._query_ring = self._create_ring(PAGE_SIZE)
            self._channel_ring = self._create_ring(_CHANNEL_RING_SIZE if own_host else PAGE_SIZE)
            query, channel = self._query_ring.resource_id, self._channel_ring.resource_id
            self._ring = self._share_ring(bool(capset.features & Feature.SHARED_RING))
            self.way = Way(self._ring, _refuse_packet, self._copies.extend)
            drm.execute(self._fd, cross_domain.encode_init(query, channel))
            self._submit(self._encode_wishes() + cross_domain.encode_poll(), polls=True)
        except BaseException:
            self.close()
            raise

    @property
    def has_ended(self) -> bool:
        return False

    @property
    def has_events(self) -> bool:
        return False

    @property
    def is_quiet(self) -> bool:
        return not self._copies

    def fileno(self) -> int:
        return self._fd

    def send(self, data: Buffer, identifiers: Sequence[Identifier] = ()) -> bool:
        commands = cross_domain.encode_send(data, tuple(identifiers))
        if self._copies:
            commands = bytes(self._copies) + commands
            self._copies.clear()
        polls = bool(lib.xd_ring_has_room(self._ring))
        self._submit(cross_domain.encode_poll() + commands if polls else commands, polls=polls)
        return True

    def write_pipe(self, identifier: int, data: Buffer, *, hang_up: bool = False, credit: int = 0) -> bool:
        self._submit(cross_domain.encode_write(identifier, data, hang_up=hang_up, credit=credit))
        return True

    def receive(self) -> Sequence[Event]:
        fences = self._read_fences()
        if self._ring.is_shared:
            return self._receive_shared(fences)
        if not fences:
            return ()
        event = self._copy_event()
        hung_up = isinstance(event, SendReceive) and not event.data and not event.identifiers
        # Other hosts answer each POLL after a hang-up with the hang-up.
        if self.has_lasting_pipes or not hung_up:
            self._submit(cross_domain.encode_poll(), polls=True)
        return (event,)

    def _receive_shared(self, fences: int) -> list[Event]:
        ring = self._ring
        ring.early -= fences
        events: list[Event] = []
        # Nobody tells again of what a fence that was read has told of: all of it is taken.
        while lib.xd_ring_has_event(ring):
            events.append(self._copy_event())
            lib.xd_ring_clear(ring)
        while lib.xd_ring_lose_poll(ring):
            pass
        if not ring.polled:
            self._submit(cross_domain.encode_poll(), polls=True)
        return events

    def _copy_event(self) -> Event:
        """The event that comes next; the host writes there again as soon as it is polled for that."""
        ring = self._ring
        size = ring.size // RING_SLOTS if ring.is_shared else ring.size
        # All of it: a view that an error's traceback holds would keep the ring from being closed.
        slot = self._channel_ring.buffer[ring.slot * size : (ring.slot + 1) * size]
        return cross_domain.parse_event(memoryview(slot))

    def _read_fences(self) -> int:
        """Returns how many POLLs the node tells of.

        Raises:
            HostFault: the node can't be read.
        """
        try:
            return _count_fences(os.read(self._fd, _EVENTS))
        except BlockingIOError:
            return 0
        except OSError as error:
            raise HostFault(f"the GPU's events can't be read: {error.strerror}") from None

    def share_file(self, _fd: int, _size: int, /) -> None:
        return None

    def show(self, show: ShowPages) -> Shown:
        """Asks whether pages may be shown; never, where the host shows none."""
        if not self._shows_pages:
            return Shown(Verdict.NO)
        return parse_shown(self.ask(encode_show_pages(show)))

    def share_dmabuf(self, fd: int, size: int, /) -> SharedBlob | None:
        if not self._is_own_host:
            # Elsewhere host memory may be a GPU's, which is no memory for a wl_shm_pool.
            return None
        try:
            # Of any other device's this refuses: the driver imports none where it has 3D commands.
            blob = drm.import_dmabuf(self._fd, fd)
        except OSError:
            return None
        if drm.memory_of(self._fd, blob.handle) != virtgpu_drm.VIRTGPU_BLOB_MEM_HOST3D:
            drm.close_handle(self._fd, blob.handle)
            return None
        return SharedBlob(self._shared_handles, blob, size)

    def create_unmapped(self, size: int) -> UnmappedMemory:
        """Memory of the host for `size` bytes, which the VM does not map."""
        blob_id, image_size = self._requirements.of(size, self.ask)
        flags = virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_SHAREABLE
        memory = virtgpu_drm.VIRTGPU_BLOB_MEM_HOST3D
        return UnmappedMemory(
            self._fd, drm.create_blob(self._fd, memory, flags, image_size, blob_id), image_size
        )

    def create_memory(self, size: int) -> VirtgpuMemory:
        is_known = self._requirements.knows(size)
        image = self._requirements.of(size, self.ask)
        if is_known:
            self._await_host()
        return VirtgpuMemory(self._create_host_blob(*image))

    def _await_host(self) -> None:
        """Mapping a blob waits for the host in a way that nothing can interrupt: never for a dead one."""
        if time.monotonic() - self._answered < _FRESH_SECONDS:
            return
        proof = self.prove()
        if proof < 0:
            return
        try:
            poll = select.poll()
            poll.register(proof, select.POLLIN)
            if not poll.poll(_ANSWER_TIMEOUT_MS):
                raise HostFault("the host does not answer")
        finally:
            os.close(proof)

    def read_blob(self, identifier: Identifier) -> bytes:
        blob = self._create_host_blob(identifier.identifier, round_to_pages(identifier.size))
        try:
            return blob.buffer[: identifier.size]
        finally:
            blob.close()

    def share_fence(self, _fd: int, /) -> Identifier:
        raise LocalError("a fence of the guest's kernel, for another machine")

    def open_fence(self, identifier: Identifier, /) -> int:
        ring_idx = sync.FIRST_SYNC_RING + self._fences_opened % _SYNC_RINGS
        self._fences_opened += 1
        command = sync.encode_await_sync(identifier.identifier, ring_idx)
        return drm.execute_fenced(self._fd, command, ring_idx)

    def read_clock(self, clock_id: ClockId) -> int:
        return clock.parse_clock(self.ask(clock.encode_get_clock(clock_id)), clock_id)

    def prove(self) -> int:
        if not self._is_own_host:
            return -1
        # A WRITE of nothing to nobody.
        return drm.execute_fenced(self._fd, cross_domain.encode_write(0, b""), cross_domain.QUERY_RING)

    def close(self) -> None:
        if self._fd < 0:
            return
        for blob in self._blobs:
            blob.close()
        os.close(self._fd)
        self._fd = -1

    def _create_ring(self, size: int) -> _Blob:
        created = drm.create_blob(
            self._fd, virtgpu_drm.VIRTGPU_BLOB_MEM_GUEST, virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_MAPPABLE, size, 0
        )
        ring = _Blob(self._fd, created, size)
        self._blobs.append(ring)
        return ring

    def _share_ring(self, is_shared: bool) -> "RingPointer":
        ring = ffi.new("xd_ring *")
        ring.bytes = ffi.cast("uint8_t *", address_of(self._channel_ring.buffer))
        ring.size = self._channel_ring.size
        ring.is_shared = is_shared
        return ring

    def _create_host_blob(self, blob_id: int, size: int) -> _Blob:
        flags = virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_MAPPABLE | virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_SHAREABLE
        created = drm.create_blob(self._fd, virtgpu_drm.VIRTGPU_BLOB_MEM_HOST3D, flags, size, blob_id)
        try:
            blob = _Blob(self._fd, created, size)
        except OSError as error:
            # The ioctl that creates it does not wait for the host: a refusal is seen here first.
            raise HostFault(f"the host refused {size} bytes of memory: {error.strerror}") from None
        self._answered = time.monotonic()
        return blob

    def ask(self, command: bytes) -> bytes:
        """Returns what the host wrote into the query ring, zeroes where it refused the command."""
        answer = self._query_ring.buffer
        answer[:_ANSWER_SIZE] = bytes(_ANSWER_SIZE)
        drm.execute(self._fd, command, ring_idx=cross_domain.QUERY_RING, handle=self._query_ring.handle)
        try:
            drm.wait(self._fd, self._query_ring.handle)
        except OSError as error:
            raise HostFault(f"the host did not answer: {error.strerror}") from None
        return bytes(answer[:_ANSWER_SIZE])

    def _encode_wishes(self) -> bytes:
        """The commands that ask our own host for what it has offered."""
        wishes = [
            (self.has_pipe_credit, cross_domain.encode_write(0, b"")),
            (self.has_points, cross_domain.encode_write(POINTS, b"")),
            (bool(self._ring.is_shared), cross_domain.encode_share_ring()),
        ]
        return b"".join(command for is_offered, command in wishes if is_offered)

    def _submit(self, commands: bytes, *, polls: bool = False) -> None:
        """Submits commands, a POLL among them where `polls`, whose answer is told of then.

        Raises:
            HostFault: the device is gone.
            OSError: the kernel refuses them.
        """
        try:
            drm.execute(self._fd, commands, ring_idx=cross_domain.CHANNEL_RING if polls else None)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.EIO):
                raise HostFault(f"the virtual GPU is gone: {error.strerror}") from None
            raise
        self._ring.polled += polls and self._ring.is_shared


def _refuse_packet(_data: bytes, _fds: list[int], _is_truncated: bool) -> None:
    raise LocalError("a packet of a channel that has none")


def _count_fences(events: bytes) -> int:
    """Returns how many fences of ours are among the drm_events."""
    fences = offset = 0
    while offset + virtgpu_drm.DRM_EVENT.size <= len(events):
        type_, length = virtgpu_drm.DRM_EVENT.unpack_from(events, offset)
        fences += type_ == virtgpu_drm.VIRTGPU_EVENT_FENCE_SIGNALED
        offset += max(length, virtgpu_drm.DRM_EVENT.size)
    return fences
