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
from crossdomain.host.conversation import FIRST_ID, REGISTRY_ID, Conversation, request
from crossdomain.limits import MAX_OFFERED_FORMATS
from crossdomain.wire.codec import DISPLAY_ID, Value, integer, text

_DMABUF_ID, _TOLD_ID, _PARAMS_ID = range(FIRST_ID, FIRST_ID + 3)
_TELLING_VERSION: Final = 3
"""The one version of DMABUF that tells modifiers in events: older ones don't, newer ones in shared tables."""


class Trial(Conversation):
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
        super().__init__(
            {_DMABUF_ID: DMABUF, _TOLD_ID: "wl_callback", _PARAMS_ID: PARAMS},
            {
                ("wl_registry", "global"): self._handle_global,
                ("wl_callback", "done"): self._handle_done,
                (DMABUF, "modifier"): self._handle_modifier,
                (PARAMS, "created"): self._handle_created,
                (PARAMS, "failed"): self._handle_failed,
            },
            purpose="refused a dmabuf",
        )

    @property
    def takes_dmabufs(self) -> bool:
        """Whether the compositor has the global, new enough."""
        return self._version >= _TELLING_VERSION

    def bind(self) -> bytes:
        """The requests that list formats and modifiers."""
        return b"".join(
            (
                self.request(REGISTRY_ID, "bind", self._name, DMABUF, _TELLING_VERSION, _DMABUF_ID),
                self.request(DISPLAY_ID, "sync", _TOLD_ID),
            )
        )

    def ask(self, image: Image) -> bytes:
        """The requests that try an image of one of `modifiers`; an fd for each plane goes with them."""
        self.verdict = None
        return b"".join(
            (
                self.request(_DMABUF_ID, "create_params", _PARAMS_ID),
                encode_planes(_PARAMS_ID, image, self.modifiers[image.format]),
                self.request(_PARAMS_ID, "create", image.width, image.height, image.format, 0),
            )
        )

    def end(self) -> bytes:
        """The requests that give up what was tried."""
        destroy = self.request(_PARAMS_ID, "destroy")
        if self._buffer_id:
            destroy += request("wl_buffer", "destroy", self._buffer_id)
            self._buffer_id = 0
        return destroy

    def _handle_done(self, callback: int, _values: tuple[Value, ...]) -> None:
        self.listed = True
        self.told = callback == _TOLD_ID

    def _handle_created(self, _params: int, values: tuple[Value, ...]) -> None:
        self._buffer_id = integer(values[0])
        self.verdict = True

    def _handle_failed(self, _params: int, _values: tuple[Value, ...]) -> None:
        self.verdict = False

    def _handle_global(self, _registry: int, values: tuple[Value, ...]) -> None:
        if text(values[1]) == DMABUF:
            self._name = integer(values[0])
            self._version = integer(values[2])

    def _handle_modifier(self, _dmabuf: int, values: tuple[Value, ...]) -> None:
        """LINEAR says what the memory is; INVALID leaves it to the driver, which knows of no other layout."""
        format_, high, low = map(integer, values)
        modifier = high << 32 | low
        if modifier not in (DRM_FORMAT_MOD_LINEAR, DRM_FORMAT_MOD_INVALID):
            return
        if self.modifiers.get(format_) != DRM_FORMAT_MOD_LINEAR and len(self.modifiers) < MAX_OFFERED_FORMATS:
            self.modifiers[format_] = modifier
