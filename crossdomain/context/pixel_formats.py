"""Which pixel formats one VM's buffers may have, whatever they are made of.

All of a guest's buffers are wl_shm's to begin with, those that the compositor then reads in place as
dmabufs included: what is filtered here is what launchers offer as formats of dmabufs.  All memory is linear.
"""

from typing import Final

from crossdomain.bridge.formats import ShmError
from crossdomain.context.edits import EVENT, REQUEST, Edit, Passing, find
from crossdomain.context.rules import Guest
from crossdomain.wire.codec import decode_arguments, integer
from crossdomain.wire.faults import WireFault

_FORMAT: Final = find("wl_shm", EVENT, "format")
_CREATE_BUFFER: Final = find("wl_shm_pool", REQUEST, "create_buffer")
_ALWAYS: Final = frozenset({0, 1})
"""argb8888 and xrgb8888, which every wl_shm has."""


class PixelFormats:
    """One client's."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def handle_format(self, event: Passing) -> Edit | None:
        """wl_shm.format."""
        (code,) = decode_arguments(_FORMAT, event.data)
        return None if self._allows(integer(code)) else Edit()

    def check_buffer(self, request: Passing) -> None:
        """wl_shm_pool.create_buffer.

        Raises:
            WireFault: its format is not allowed; as libwayland says it of an unknown one.
        """
        code = integer(decode_arguments(_CREATE_BUFFER, request.data)[5])
        if not self._allows(code):
            raise WireFault(request.object_id, ShmError.INVALID_FORMAT, f"invalid format {code:#x}")

    def _allows(self, code: int) -> bool:
        formats = self._guest.rules.formats
        return formats is None or code in _ALWAYS or code in formats
