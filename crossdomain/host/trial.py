"""Asks a compositor whether it takes a dmabuf, on a connection of our own.

It lists formats with their modifiers, of which two can stand for linear memory: a format with neither is
not tried.  A client's wl_buffer is made by zwp_linux_buffer_params_v1.create_immed, whose failure ends the
client.  `create`, which only says failed, is asked here before; where even that ends the connection, it is
ours.  Sans-IO: `crossdomain.host.showing` moves the bytes.
"""

from typing import Final

from crossdomain.bridge.dmabuf import DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_LINEAR
from crossdomain.context.ports import Image
from crossdomain.context.shown import DMABUF, PARAMS, encode_planes
from crossdomain.errors import HostFault
from crossdomain.limits import MAX_OFFERED_FORMATS
from crossdomain.wire import load
from crossdomain.wire.codec import (
    DISPLAY_ID,
    Value,
    decode_arguments,
    encode_message,
    integer,
    split_messages,
    text,
)
from crossdomain.wire.faults import WireFault

_REGISTRY_ID, _LISTED_ID, _DMABUF_ID, _TOLD_ID, _PARAMS_ID = range(DISPLAY_ID + 1, DISPLAY_ID + 6)
_TELLING_VERSION: Final = 3
"""The one version of DMABUF that tells modifiers in events: older ones don't, newer ones in shared tables."""
_INTERFACES: Final = {
    DISPLAY_ID: "wl_display",
    _REGISTRY_ID: "wl_registry",
    _LISTED_ID: "wl_callback",
    _DMABUF_ID: DMABUF,
    _PARAMS_ID: PARAMS,
    _TOLD_ID: "wl_callback",
}


class Trial:
    """One connection.

    First send `first`, and `receive` what comes until `listed`.  If the compositor `takes_dmabufs`, send
    `bind` once, and `receive` until `told`.  If an image's format has one of `modifiers`, send `ask` with the
    dmabuf's fd, and `receive` until `verdict` is not None; send `end` then, and `ask` again.
    """

    def __init__(self) -> None:
        self.listed = False
        self.told = False
        self.modifiers: dict[int, int] = {}
        """By which a format's linear memory is taken."""
        self.verdict: bool | None = None
        self._name = 0
        self._version = 0
        self._buffer_id = 0
        self._received = b""

    @property
    def takes_dmabufs(self) -> bool:
        """Whether the compositor has the global, new enough."""
        return self._version >= _TELLING_VERSION

    def first(self) -> bytes:
        """The requests that list the globals."""
        return _request(DISPLAY_ID, "get_registry", _REGISTRY_ID) + _request(DISPLAY_ID, "sync", _LISTED_ID)

    def bind(self) -> bytes:
        """The requests that list formats and modifiers."""
        return _request(_REGISTRY_ID, "bind", self._name, DMABUF, _TELLING_VERSION, _DMABUF_ID) + _request(
            DISPLAY_ID, "sync", _TOLD_ID
        )

    def ask(self, image: Image) -> bytes:
        """The requests that try an image of one of `modifiers`; an fd for each plane goes with them."""
        self.verdict = None
        return b"".join(
            (
                _request(_DMABUF_ID, "create_params", _PARAMS_ID),
                encode_planes(_PARAMS_ID, image, self.modifiers[image.format]),
                _request(_PARAMS_ID, "create", image.width, image.height, image.format, 0),
            )
        )

    def end(self) -> bytes:
        """The requests that give up what was tried."""
        destroy = _request(_PARAMS_ID, "destroy")
        if self._buffer_id:
            message = load().interface("wl_buffer").requests[0]
            destroy += encode_message(message, self._buffer_id)
            self._buffer_id = 0
        return destroy

    def receive(self, data: bytes) -> None:
        """Takes what the compositor said.

        Raises:
            HostFault: it ended the connection, or it speaks no Wayland.
        """
        try:
            events, self._received = split_messages(self._received + data)
            for header, event in events:
                self._handle(header.object_id, header.opcode, event)
        except WireFault as fault:
            raise HostFault(f"the compositor's events: {fault}") from fault

    def _handle(self, object_id: int, opcode: int, event: bytes) -> None:
        name = _INTERFACES.get(object_id)
        if name is None:
            return  # a buffer's, which is gone by now
        interface = load().interface(name)
        if opcode >= len(interface.events):
            raise HostFault(f"the compositor sent an unknown event of {name}")
        message = interface.events[opcode]
        values = decode_arguments(message, event)
        match name, message.name:
            case "wl_display", "error":
                raise HostFault(f"the compositor refused a dmabuf: {text(values[2])!r:.200}")
            case "wl_registry", "global":
                self._handle_global(values)
            case "wl_callback", _:
                self.listed = True
                self.told = object_id == _TOLD_ID
            case "zwp_linux_dmabuf_v1", "modifier":
                self._handle_modifier(*map(integer, values))
            case "zwp_linux_buffer_params_v1", "created":
                self._buffer_id = integer(values[0])
                self.verdict = True
            case "zwp_linux_buffer_params_v1", "failed":
                self.verdict = False
            case _:
                pass

    def _handle_global(self, values: tuple[Value, ...]) -> None:
        if text(values[1]) == DMABUF:
            self._name = integer(values[0])
            self._version = integer(values[2])

    def _handle_modifier(self, format_: int, high: int, low: int) -> None:
        """LINEAR says what the memory is; INVALID leaves it to the driver, which knows of no other layout."""
        modifier = high << 32 | low
        if modifier not in (DRM_FORMAT_MOD_LINEAR, DRM_FORMAT_MOD_INVALID):
            return
        if self.modifiers.get(format_) != DRM_FORMAT_MOD_LINEAR and len(self.modifiers) < MAX_OFFERED_FORMATS:
            self.modifiers[format_] = modifier


def _request(object_id: int, name: str, *values: Value) -> bytes:
    messages = load().interface(_INTERFACES[object_id]).requests
    message = next(message for message in messages if message.name == name)
    return encode_message(message, object_id, *values)
