"""Asks a compositor whether it takes a dmabuf, on a connection of our own.

A client's wl_buffer is made by zwp_linux_buffer_params_v1.create_immed, whose failure ends the client.
`create`, which only says failed, is asked here before; where even that ends the connection, it is ours.
Sans-IO: `crossdomain.host.showing` moves the bytes.
"""

from typing import Final

from crossdomain.context.ports import Image
from crossdomain.context.shown import DMABUF, LEAST_VERSION, PARAMS, QUIET_VERSION, encode_planes
from crossdomain.errors import HostFault
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

_REGISTRY_ID, _LISTED_ID, _DMABUF_ID, _PARAMS_ID = range(DISPLAY_ID + 1, DISPLAY_ID + 5)
_INTERFACES: Final = {
    DISPLAY_ID: "wl_display",
    _REGISTRY_ID: "wl_registry",
    _LISTED_ID: "wl_callback",
    _DMABUF_ID: DMABUF,
    _PARAMS_ID: PARAMS,
}


class Trial:
    """One connection.

    First send `first`, and `receive` what comes until `listed`.  If the compositor `takes_dmabufs`, send
    `ask` with the dmabuf's fd, and `receive` until `verdict` is not None; send `end` then, and `ask` again.
    """

    def __init__(self) -> None:
        self.listed = False
        self.verdict: bool | None = None
        self._name = 0
        self._version = 0
        self._bound = False
        self._buffer_id = 0
        self._received = b""

    @property
    def takes_dmabufs(self) -> bool:
        """Whether the compositor has the global, new enough."""
        return self._version >= LEAST_VERSION

    def first(self) -> bytes:
        """The requests that list the globals."""
        return _request(DISPLAY_ID, "get_registry", _REGISTRY_ID) + _request(DISPLAY_ID, "sync", _LISTED_ID)

    def ask(self, image: Image) -> bytes:
        """The requests that try an image; an fd for each plane goes with them."""
        self.verdict = None
        bind = b""
        if not self._bound:
            self._bound = True
            bind = _request(
                _REGISTRY_ID, "bind", self._name, DMABUF, min(self._version, QUIET_VERSION), _DMABUF_ID
            )
        return b"".join(
            (
                bind,
                _request(_DMABUF_ID, "create_params", _PARAMS_ID),
                encode_planes(_PARAMS_ID, image),
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


def _request(object_id: int, name: str, *values: Value) -> bytes:
    messages = load().interface(_INTERFACES[object_id]).requests
    message = next(message for message in messages if message.name == name)
    return encode_message(message, object_id, *values)
