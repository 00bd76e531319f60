"""The host's wl_shm with the id of a client's global for dmabufs: it makes mirrors, and tells formats."""

from collections.abc import Callable
from struct import Struct
from typing import Final

from crossdomain.abi.cross_domain import Identifier
from crossdomain.bridge.dmabuf import drm_fourcc
from crossdomain.bridge.formats import formats, fourcc
from crossdomain.limits import MAX_OFFERED_FORMATS
from crossdomain.wire import Record
from launcher.relay.messages import ToClient

RELEASE_SINCE: Final = 2
"""wl_shm.release."""

_FORMAT: Final = Struct("<8xI")
_FORMAT_OPCODE: Final = 0
_ALWAYS: Final = frozenset({fourcc("AR24"), fourcc("XR24")})
"""What every wl_shm takes, whether it was heard already or not."""


class HostShm:
    """One object of the client's and the wl_shm behind it."""

    __slots__ = ("_announce", "_users", "formats", "object_id", "shm_version", "version")

    def __init__(self, object_id: int, versions: tuple[int, int], announce: Callable[[int], bytes]) -> None:
        """Its id on both sides, the client's version of it and the host's, and what tells of a fourcc."""
        self.object_id = object_id
        self.version, self.shm_version = versions
        self._announce = announce
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
