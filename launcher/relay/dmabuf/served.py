"""The global and its objects: what a client asks of zwp_linux_dmabuf_v1, and what the host gets of it.

The client's zwp_linux_dmabuf_v1 is a wl_shm on the host.  Its params and feedback live here alone.  A
buffer of create_immed is a wl_buffer of the same id on the host; one of create, whose id the compositor
would choose, has the id of its params there (`server_ids`).
"""

from struct import Struct
from typing import Final

from crossdomain.bridge.dmabuf import DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_LINEAR, Image, ParamsError
from crossdomain.errors import LimitExceeded
from crossdomain.limits import MAX_BUFFER_PARAMS
from crossdomain.wire import Record, WireFault
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load
from launcher.channel.seam import Device
from launcher.relay import encode
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.dmabuf import feedback
from launcher.relay.dmabuf.host_shm import RELEASE_SINCE, HostShm
from launcher.relay.dmabuf.images import Images, Made
from launcher.relay.dmabuf.params import AddedPlane, Params
from launcher.relay.dmabuf.shared import Shared
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

_HEADER: Final = 8
_UINT: Final = Struct("<I")
_ADD: Final = Struct("<IIIII")
_CREATE: Final = Struct("<iiII")
_CREATE_IMMED: Final = Struct("<IiiII")
_VERSION: Final = 5
_WITHOUT_FEEDBACK: Final = 3
_MODIFIERS_SINCE: Final = 3
_FEEDBACK_SINCE: Final = 4
_FORMAT_EVENT, _MODIFIER_EVENT = load().interface("zwp_linux_dmabuf_v1").events
_CREATED, _FAILED = load().interface("zwp_linux_buffer_params_v1").events


class LinuxDmabuf:
    """One client's; a `messages.Part`, and a `messages.EmulatedGlobal`."""

    def __init__(self, host: Host, buffers: ClientBuffers, images: Images, device: Device | None) -> None:
        """`device` is the guest's own, if it has one: without it there is no feedback."""
        self.interface: Final = "zwp_linux_dmabuf_v1"
        self.behind: Final = "wl_shm"
        self.version = _VERSION if device is not None else _WITHOUT_FEEDBACK
        self._host = host
        self._buffers = buffers
        self._images = images
        self._device = device
        self._modifiers = modifiers_of(device)
        self._stand_ins = StandIns(host)
        self._shms: dict[int, HostShm] = {}
        self._params: dict[int, Params] = {}
        self._feedbacks: set[int] = set()

    def bind(self, object_id: int, version: int, anchor: Anchor) -> ToHost:
        """See `messages.EmulatedGlobal`."""

        def announce(fourcc: int) -> bytes:
            return _announce(object_id, version, fourcc, self._modifiers)

        shm = self._shms[object_id] = HostShm(object_id, (version, anchor.version), announce)
        self._stand_ins.own(object_id, shm.handle_event)
        return bind_instead(anchor, self.behind, object_id)

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("zwp_linux_dmabuf_v1", "destroy"): self._handle_destroy,
            ("zwp_linux_dmabuf_v1", "create_params"): self._handle_create_params,
            ("zwp_linux_dmabuf_v1", "get_default_feedback"): self._handle_get_feedback,
            ("zwp_linux_dmabuf_v1", "get_surface_feedback"): self._handle_get_feedback,
            ("zwp_linux_dmabuf_feedback_v1", "destroy"): self._handle_destroy_feedback,
            ("zwp_linux_buffer_params_v1", "destroy"): self._handle_destroy_params,
            ("zwp_linux_buffer_params_v1", "add"): self._handle_add,
            ("zwp_linux_buffer_params_v1", "create"): self._handle_create,
            ("zwp_linux_buffer_params_v1", "create_immed"): self._handle_create_immed,
        }

    def close(self) -> None:
        """Gives up what was collected."""
        for params in self._params.values():
            params.close()
        self._params.clear()

    # The global.

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._stand_ins.leave(record.object_id)
        return self._leaving(self._shms[record.object_id])

    def _handle_create_params(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        if len(self._params) >= MAX_BUFFER_PARAMS:
            raise LimitExceeded(f"more than {MAX_BUFFER_PARAMS} zwp_linux_buffer_params_v1")
        params_id = _uint(record, data)
        self._params[params_id] = Params(params_id, self._shms[record.object_id], self._modifiers)
        return ToHost(self._stand_ins.create(params_id))

    def _leaving(self, shm: HostShm) -> ToHost:
        """The global or params of it leave; returns what the host gets of it."""
        if shm.leave():
            return DROP_REQUEST
        # Without it buffers can't be made anew.  One that can't be released keeps its id for ever.
        del self._shms[shm.object_id]
        self._buffers.pin_all(shm.object_id)
        return DROP_REQUEST if shm.shm_version < RELEASE_SINCE else ToHost(encode.release_shm(shm.object_id))

    # Feedback.

    def _handle_get_feedback(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        feedback_id, shm = _uint(record, data), self._shms[record.object_id]
        self._feedbacks.add(feedback_id)
        # The host's formats are known when it answers.
        return ToHost(self._stand_ins.create(feedback_id, lambda: self._send_feedback(feedback_id, shm)))

    def _send_feedback(self, feedback_id: int, shm: HostShm) -> None:
        if feedback_id not in self._feedbacks or self._device is None:
            return
        fd, size = feedback.make_table(shm.formats, self._modifiers)
        self._host.send_event(feedback.describe(feedback_id, self._device.number, size), (fd,))

    def _handle_destroy_feedback(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        self._feedbacks.discard(record.object_id)
        self._stand_ins.leave(record.object_id)
        return DROP_REQUEST

    # Params.

    def _handle_destroy_params(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost:
        params = self._params.pop(record.object_id)
        params.close()
        self._stand_ins.leave(record.object_id)
        return self._leaving(params.shm)

    def _handle_add(self, record: Record, data: memoryview, fds: list[int]) -> ToHost:
        index, offset, stride, high, low = _ADD.unpack_from(data, record.offset + _HEADER)
        self._params[record.object_id].add(index, AddedPlane(fds[0], offset, stride, high << 32 | low))
        return DROP_REQUEST

    def _handle_create(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        params = self._params[record.object_id]
        image = Image(params.object_id, *_CREATE.unpack_from(data, record.offset + _HEADER))
        made = self._make(params, image, params.object_id)
        if made is None:
            self._host.send_event(encode_message(_FAILED, params.object_id))
            return DROP_REQUEST
        client_id = self._host.give_object("wl_buffer", params.shm.version, params.object_id)
        self._host.send_event(encode_message(_CREATED, params.object_id, client_id))

        def own() -> None:
            self._stand_ins.own(params.object_id, self._buffers.releases_of(client_id, params.object_id))

        own()
        spare_id = self._host.spare_id()
        self._host.own(spare_id, _nothing)
        if isinstance(made, Shared):
            self._buffers.add_shared(client_id, made.buffer)
            return made.create(params.object_id, spare_id)
        made.own = own
        return self._buffers.add(client_id, made, spare_id)

    def _handle_create_immed(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost:
        params = self._params[record.object_id]
        buffer_id, *rest = _CREATE_IMMED.unpack_from(data, record.offset + _HEADER)
        made = self._make(params, Image(params.object_id, *rest), buffer_id)
        if made is None:
            text = "the dmabufs can't be imported"
            raise WireFault(params.object_id, ParamsError.INVALID_WL_BUFFER, text)
        self._stand_ins.own(params.object_id)
        return self._images.add(buffer_id, made, params.object_id)

    def _make(self, params: Params, image: Image, host_id: int) -> Made | None:
        """Returns a client's image, `host_id` on the host; None where it can't be shown."""
        taken = params.take(image)
        return None if taken is None else self._images.make(params.shm, image, taken, host_id)


def modifiers_of(device: Device | None) -> tuple[int, ...]:
    """Returns the modifiers that stand for linear memory where clients allocate on that device."""
    implicit = device is not None and device.is_linear
    return (DRM_FORMAT_MOD_LINEAR, *[DRM_FORMAT_MOD_INVALID] * implicit)


def _announce(object_id: int, version: int, fourcc: int, modifiers: tuple[int, ...]) -> bytes:
    if version >= _FEEDBACK_SINCE:
        return b""
    if version < _MODIFIERS_SINCE:
        return encode_message(_FORMAT_EVENT, object_id, fourcc)
    words = (divmod(modifier, 1 << 32) for modifier in modifiers)
    return b"".join(encode_message(_MODIFIER_EVENT, object_id, fourcc, *pair) for pair in words)


def _uint(record: Record, data: memoryview) -> int:
    """Returns a message's first argument."""
    value: int = _UINT.unpack_from(data, record.offset + _HEADER)[0]
    return value


def _nothing() -> None:
    """An object of our own is gone, and nobody waited for that."""
