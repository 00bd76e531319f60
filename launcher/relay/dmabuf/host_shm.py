"""The host's wl_shm with the id of a client's zwp_linux_dmabuf_v1: it makes mirrors, and tells formats."""

from struct import Struct
from typing import Final

from crossdomain.abi.cross_domain import Identifier
from crossdomain.bridge.dmabuf import DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_LINEAR, drm_fourcc
from crossdomain.bridge.formats import formats, fourcc
from crossdomain.limits import MAX_OFFERED_FORMATS
from crossdomain.wire import Record
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import load
from launcher.relay.messages import ToClient

RELEASE_SINCE: Final = 2
"""wl_shm.release."""

_FORMAT: Final = Struct("<8xI")
_FORMAT_OPCODE: Final = 0
_MODIFIERS_SINCE: Final = 3
_FEEDBACK_SINCE: Final = 4
_DMABUF: Final = load().interface("zwp_linux_dmabuf_v1")
_FORMAT_EVENT, _MODIFIER_EVENT = _DMABUF.events
_ALWAYS: Final = frozenset({fourcc("AR24"), fourcc("XR24")})
"""What every wl_shm takes, whether it was heard already or not."""


class HostShm:
    """One client's zwp_linux_dmabuf_v1 and the wl_shm behind it."""

    __slots__ = ("_users", "formats", "modifiers", "object_id", "shm_version", "version")

    def __init__(self, object_id: int, versions: tuple[int, int], *, implicit: bool) -> None:
        """Its id on both sides, and the client's version of it and the host's.

        `implicit` where a buffer without a modifier is linear.
        """
        self.object_id = object_id
        self.version, self.shm_version = versions
        self.modifiers = (DRM_FORMAT_MOD_LINEAR, *[DRM_FORMAT_MOD_INVALID] * implicit)
        self.formats: list[int] = []
        """fourccs that the host takes and that can be copied."""
        self._users = 1

    def use(self) -> None:
        """Params were created."""
        self._users += 1

    def leave(self) -> bool:
        """Params, or the object itself, are gone; returns whether there are others."""
        self._users -= 1
        return self._users > 0

    def takes(self, fourcc_: int) -> bool:
        """Whether a buffer of that format can be shown."""
        return fourcc_ in _ALWAYS or fourcc_ in self.formats

    def handle_event(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        """Handles an event of the host's wl_shm; returns what the client gets in its place."""
        if record.opcode != _FORMAT_OPCODE or record.size != _FORMAT.size:
            return None
        (code,) = _FORMAT.unpack_from(data, record.offset)
        found = drm_fourcc(code)
        if code not in formats() or found in self.formats or len(self.formats) >= MAX_OFFERED_FORMATS:
            return None
        self.formats.append(found)
        return ToClient(self._announce(found))

    def _announce(self, fourcc_: int) -> bytes:
        if self.version >= _FEEDBACK_SINCE:
            return b""
        if self.version < _MODIFIERS_SINCE:
            return encode_message(_FORMAT_EVENT, self.object_id, fourcc_)
        return b"".join(
            encode_message(_MODIFIER_EVENT, self.object_id, fourcc_, modifier >> 32, modifier & 0xFFFFFFFF)
            for modifier in self.modifiers
        )
