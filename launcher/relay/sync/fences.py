"""zwp_linux_explicit_synchronization_v1: acquire fences are sync files, releases are events."""

from enum import IntEnum
from struct import Struct
from typing import Final

from crossdomain.bridge.fences import Fence
from crossdomain.wire import Record, WireFault
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load
from launcher.relay.messages import (
    DROP_REQUEST,
    Anchor,
    Host,
    RequestHandler,
    Route,
    ToHost,
)
from launcher.relay.stand_ins import StandIns
from launcher.relay.sync.commits import Commits
from launcher.relay.sync.surface import Attached, Synchronization, Synchronizations

_NEW: Final = Struct("<8xI")
_NEW_AND_SURFACE: Final = Struct("<8xII")
_SYNCHRONIZATION_EXISTS: Final = 0
"""zwp_linux_explicit_synchronization_v1.error."""
_IMMEDIATE_RELEASE: Final = next(
    event
    for event in load().interface("zwp_linux_buffer_release_v1").events
    if event.name == "immediate_release"
)


class SynchronizationError(IntEnum):
    """Codes of zwp_linux_surface_synchronization_v1.error."""

    INVALID_FENCE = 0
    DUPLICATE_FENCE = 1
    DUPLICATE_RELEASE = 2
    NO_SURFACE = 3
    UNSUPPORTED_BUFFER = 4
    NO_BUFFER = 5


class _AcquireFence:
    """A fence of the client's; a `surface.Acquire`."""

    __slots__ = ("_fence",)

    def __init__(self, fence: Fence) -> None:
        """Takes ownership of `fence`."""
        self._fence = fence

    def take(self) -> Fence:
        """See `Acquire`."""
        return self._fence

    def drop(self) -> None:
        """See `Acquire`."""
        self._fence.close()


class _BufferRelease:
    """One zwp_linux_buffer_release_v1: a `surface.PendingRelease`."""

    __slots__ = ("_host", "_object_id", "_stand_ins")

    def __init__(self, host: Host, stand_ins: StandIns, object_id: int) -> None:
        self._host = host
        self._stand_ins = stand_ins
        self._object_id = object_id

    def signal(self) -> None:
        """The buffer may be used again."""
        self._host.send_event(encode_message(_IMMEDIATE_RELEASE, self._object_id))
        self._stand_ins.leave(self._object_id)

    def cancel(self) -> None:
        """Nothing was shown: the buffer may be used."""
        self.signal()


class _Synchronization(Synchronization[_AcquireFence, _BufferRelease]):
    """One zwp_linux_surface_synchronization_v1."""

    __slots__ = ()

    def check(self, attached: Attached) -> None:
        """See `Synchronization`."""
        if self.acquire is None and self.release is None:
            return
        if not (attached.attaches and attached.is_shown):
            raise self.fault(SynchronizationError.NO_BUFFER, "a fence or a release without a buffer")
        if not attached.is_dmabuf:
            raise self.fault(SynchronizationError.UNSUPPORTED_BUFFER, "the buffer is no dmabuf")


class Fences:
    """The global of one client; a `messages.Part` and a `messages.EmulatedGlobal`."""

    interface = "zwp_linux_explicit_synchronization_v1"
    behind = "wl_compositor"
    version = 2

    def __init__(self, host: Host, commits: Commits) -> None:
        self._host = host
        self._commits = commits
        self._stand_ins = StandIns(host)
        self._synchronizations: Synchronizations[_Synchronization] = Synchronizations()

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """See `EmulatedGlobal`."""
        del version, anchor
        return ToHost(self._stand_ins.create(object_id))

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        manager = "zwp_linux_explicit_synchronization_v1"
        surface = "zwp_linux_surface_synchronization_v1"
        return {
            (manager, "destroy"): self._handle_destroy,
            (manager, "get_synchronization"): self._handle_get_synchronization,
            (surface, "destroy"): self._handle_destroy_synchronization,
            (surface, "set_acquire_fence"): self._handle_set_acquire_fence,
            (surface, "get_release"): self._handle_get_release,
        }

    def close(self) -> None:
        """Gives all fences up."""
        self._synchronizations.close()

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    def _handle_get_synchronization(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        object_id, surface_id = _NEW_AND_SURFACE.unpack_from(data, record.offset)
        if self._synchronizations.has(surface_id):
            text = f"surface {surface_id} has explicit synchronization already"
            raise WireFault(record.object_id, _SYNCHRONIZATION_EXISTS, text)
        made = _Synchronization(object_id, surface_id)
        self._synchronizations.add(object_id, made)
        self._commits.add(surface_id, made)
        return ToHost(self._stand_ins.create(object_id))

    def _handle_destroy_synchronization(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._commits.remove(self._synchronizations.remove(record.object_id))
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    def _handle_set_acquire_fence(self, record: Record, _data: memoryview, fds: list[int]) -> ToHost:
        synchronization = self._synchronizations[record.object_id]
        fence = _import(synchronization, fds[0])
        try:
            self._check_surface(synchronization)
            if synchronization.acquire is not None:
                raise synchronization.fault(SynchronizationError.DUPLICATE_FENCE, "a second acquire fence")
        except WireFault:
            fence.close()
            raise
        synchronization.acquire = _AcquireFence(fence)
        return DROP_REQUEST

    def _handle_get_release(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        synchronization = self._synchronizations[record.object_id]
        self._check_surface(synchronization)
        if synchronization.release is not None:
            raise synchronization.fault(SynchronizationError.DUPLICATE_RELEASE, "a second release")
        (object_id,) = _NEW.unpack_from(data, record.offset)
        synchronization.release = _BufferRelease(self._host, self._stand_ins, object_id)
        return ToHost(self._stand_ins.create(object_id))

    def _check_surface(self, synchronization: _Synchronization) -> None:
        if synchronization.surface_id is None:
            raise synchronization.fault(SynchronizationError.NO_SURFACE, "the surface is gone")


def _import(synchronization: _Synchronization, fd: int) -> Fence:
    """Takes ownership of the client's fd."""
    try:
        return Fence.of_sync_file(fd)
    except OSError as error:
        text = f"the fence can't be used: {error.strerror}"
        raise synchronization.fault(SynchronizationError.INVALID_FENCE, text) from None
