"""wl_drm, for Mesa from before the feedback of zwp_linux_dmabuf_v1: it names the guest's device.

As with that, the client's object is a wl_shm on the host.  It has no destructor: its id is never free again.
"""

import os
from struct import Struct
from typing import Final

from crossdomain.bridge.dmabuf import Image, PlaneMemory, check_image, shm_code
from crossdomain.bridge.formats import formats
from crossdomain.wire import Record, WireFault
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load
from launcher.channel.seam import Device
from launcher.relay.dmabuf.host_shm import HostShm
from launcher.relay.dmabuf.images import Images
from launcher.relay.dmabuf.memory import size_of
from launcher.relay.dmabuf.params import AddedPlane
from launcher.relay.dmabuf.sources import close_planes
from launcher.relay.messages import (
    DROP_REQUEST,
    Anchor,
    Host,
    RequestHandler,
    Route,
    ToHost,
    bind_instead,
)
from launcher.relay.stand_ins import StandIns

_CREATE: Final = Struct("<8xIiiI6I")
"""new_id, width, height, format; offset and stride of three planes."""
_VERSION: Final = 2
_PRIME_SINCE: Final = 2
_CAPABILITY_PRIME: Final = 1
_INVALID_FORMAT, _INVALID_NAME = 1, 2
"""wl_drm.error."""
_EVENTS: Final = {event.name: event for event in load().interface("wl_drm").events}


class Drm:
    """One client's; a `messages.EmulatedPart`."""

    def __init__(self, host: Host, images: Images, device: Device | None) -> None:
        """`device` is the guest's own; without one, or where its buffers may be tiled, nothing is served."""
        self.interface: Final = "wl_drm"
        self.behind: Final = "wl_shm"
        self.version = _VERSION if device is not None and device.is_linear else 0
        self._path = "" if device is None else device.path
        self._host = host
        self._images = images
        self._stand_ins = StandIns(host)
        self._shms: dict[int, HostShm] = {}

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """See `messages.EmulatedGlobal`."""

        def announce(fourcc: int) -> bytes:
            return encode_message(_EVENTS["format"], object_id, fourcc)

        shm = self._shms[object_id] = HostShm(object_id, (version, anchor.version), announce)
        self._stand_ins.own(object_id, shm.handle_event)
        self._host.send_event(encode_message(_EVENTS["device"], object_id, self._path))
        if version >= _PRIME_SINCE:
            self._host.send_event(encode_message(_EVENTS["capabilities"], object_id, _CAPABILITY_PRIME))
        return bind_instead(anchor, self.behind, object_id)

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("wl_drm", "authenticate"): self._handle_authenticate,
            ("wl_drm", "create_buffer"): self._handle_named,
            ("wl_drm", "create_planar_buffer"): self._handle_named,
            ("wl_drm", "create_prime_buffer"): self._handle_create_prime_buffer,
        }

    def close(self) -> None:
        """Nothing is held."""

    def _handle_authenticate(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        # A render node needs none.
        self._host.send_event(encode_message(_EVENTS["authenticated"], record.object_id))
        return DROP_REQUEST

    def _handle_named(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        raise WireFault(record.object_id, _INVALID_NAME, "buffers have no names here")

    def _handle_create_prime_buffer(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        buffer_id, width, height, fourcc, *places = _CREATE.unpack_from(data, record.offset)
        shm = self._shms[record.object_id]
        image = Image(record.object_id, width, height, fourcc, 0)
        try:
            taken = _planes(image, shm, fds[0], places)
        finally:
            os.close(fds[0])
        made = self._images.make(shm, image, taken, buffer_id)
        if made is None:
            raise WireFault(record.object_id, _INVALID_NAME, "the dmabuf can't be imported")
        spare_id = self._host.spare_id()
        self._host.own(spare_id, _nothing)
        return self._images.add(buffer_id, made, spare_id)


def _planes(image: Image, shm: HostShm, fd: int, places: list[int]) -> list[tuple[AddedPlane, PlaneMemory]]:
    """Returns the planes of a dmabuf, each with an fd of its own; the given one stays the caller's.

    Raises:
        WireFault: no such format is offered, or the planes leave the dmabuf.
        OSError: there are no fds for them.
    """
    count = len(formats().get(shm_code(image.fourcc), ()))
    pairs = list(zip(places[::2], places[1::2], strict=True))[:count]
    if not shm.takes(image.fourcc) or len(pairs) < count:
        raise WireFault(image.params_id, _INVALID_FORMAT, f"format {image.fourcc:#x} is not offered")
    size = size_of(fd)
    memories = [PlaneMemory(offset, stride, size) for offset, stride in pairs]
    try:
        check_image(image, memories)
    except WireFault as fault:
        raise WireFault(image.params_id, _INVALID_NAME, fault.text) from None
    taken: list[tuple[AddedPlane, PlaneMemory]] = []
    try:
        for memory in memories:
            taken.append((AddedPlane(os.dup(fd), memory.offset, memory.stride, 0), memory))
    except OSError:
        close_planes(taken)
        raise
    return taken


def _nothing() -> None:
    """An object of our own is gone, and nobody waited for that."""
