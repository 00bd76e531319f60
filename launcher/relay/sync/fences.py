"""zwp_linux_explicit_synchronization_v1: acquire fences are sync files, releases are events."""

from enum import IntEnum
from struct import Struct
from typing import Final

from crossdomain.bridge.fences import Fence
from crossdomain.wire import Record, WireFault
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load
from launcher.relay.buffers import Release
from launcher.relay.messages import (
    DROP_REQUEST,
    Anchor,
    EventHandler,
    Host,
    RequestHandler,
    Route,
    ToHost,
)
from launcher.relay.stand_ins import StandIns
from launcher.relay.sync.commits import Attached, Commits

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


class _BufferRelease:
    """One zwp_linux_buffer_release_v1: a `Release`."""

    __slots__ = ("_host", "_object_id", "_stand_ins")

    def __init__(self, host: Host, stand_ins: StandIns, object_id: int) -> None:
        self._host = host
        self._stand_ins = stand_ins
        self._object_id = object_id

    def signal(self) -> None:
        """The buffer may be used again."""
        self._host.send_event(encode_message(_IMMEDIATE_RELEASE, self._object_id))
        self.drop()

    def drop(self) -> None:
        """It will never be told anything."""
        self._stand_ins.leave(self._object_id)


class _Synchronization:
    """One zwp_linux_surface_synchronization_v1; a `commits.SurfaceSync`."""

    __slots__ = ("_begun", "_object_id", "acquire", "release", "surface_id")

    def __init__(self, object_id: int, surface_id: int) -> None:
        self._object_id = object_id
        self.surface_id: int | None = surface_id
        self.acquire: Fence | None = None
        self.release: _BufferRelease | None = None
        """For the next commit."""
        self._begun: _BufferRelease | None = None
        """That of the commit that has begun."""

    def begin(self, attached: Attached) -> Fence | None:
        """See `SurfaceSync`."""
        if self.acquire is not None or self.release is not None:
            if not (attached.attaches and attached.is_shown):
                raise self.fault(SynchronizationError.NO_BUFFER, "a fence or a release without a buffer")
            if not attached.is_dmabuf:
                raise self.fault(SynchronizationError.UNSUPPORTED_BUFFER, "the buffer is no dmabuf")
        fence, self.acquire = self.acquire, None
        if self._begun is not None:
            self._begun.signal()
        self._begun, self.release = self.release, None
        return fence

    def take_release(self) -> Release | None:
        """See `SurfaceSync`."""
        begun, self._begun = self._begun, None
        return begun

    def lose_surface(self) -> None:
        """See `SurfaceSync`."""
        self.surface_id = None
        self.forget()

    def forget(self) -> None:
        """No commit follows."""
        if self.acquire is not None:
            self.acquire.close()
        for release in (self.release, self._begun):
            if release is not None:
                release.signal()
        self.acquire = self.release = self._begun = None

    def fault(self, code: SynchronizationError, text: str) -> WireFault:
        """A mistake of the client's."""
        return WireFault(self._object_id, code, text)


class Fences:
    """The global of one client; a `messages.Part` and a `messages.EmulatedGlobal`."""

    interface = "zwp_linux_explicit_synchronization_v1"
    behind = "wl_compositor"
    version = 2

    def __init__(self, host: Host, commits: Commits) -> None:
        self._host = host
        self._commits = commits
        self._stand_ins = StandIns(host)
        self._synchronizations: dict[int, _Synchronization] = {}

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

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {}

    def close(self) -> None:
        """Gives all fences up."""
        for synchronization in self._synchronizations.values():
            if synchronization.acquire is not None:
                synchronization.acquire.close()
        self._synchronizations.clear()

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    def _handle_get_synchronization(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        object_id, surface_id = _NEW_AND_SURFACE.unpack_from(data, record.offset)
        if any(found.surface_id == surface_id for found in self._synchronizations.values()):
            text = f"surface {surface_id} has explicit synchronization already"
            raise WireFault(record.object_id, _SYNCHRONIZATION_EXISTS, text)
        made = self._synchronizations[object_id] = _Synchronization(object_id, surface_id)
        self._commits.add(surface_id, made)
        return ToHost(self._stand_ins.create(object_id))

    def _handle_destroy_synchronization(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        synchronization = self._synchronizations.pop(record.object_id)
        if synchronization.surface_id is not None:
            self._commits.remove(synchronization.surface_id, synchronization)
        synchronization.forget()
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
        synchronization.acquire = fence
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
