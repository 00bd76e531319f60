"""Requests and replies of the RECORD extension (1.13), as far as they tell of clients that map windows."""

from struct import Struct, pack
from typing import Final

_MAP_WINDOW: Final = 8
_ALL_CLIENTS: Final = 3
_FROM_CLIENT: Final = 1
"""Category of a reply whose data are requests."""
_REPLY: Final = Struct("<xB6xxB2xI")
"""Category, whether the client counts bytes the other way round, and the client's resource-id-base."""
_HEADER: Final = 32
_SIZE: Final = 8
"""Bytes of a MapWindow."""


def create_context(major: int, context: int) -> bytes:
    """RecordCreateContext: all clients, those to come included, and nothing but their MapWindow."""
    specification = pack("<BB22x", _MAP_WINDOW, _MAP_WINDOW)
    return pack("<BBHIB3xIII", major, 1, 12, context, 0, 1, 1, _ALL_CLIENTS) + specification


def enable_context(major: int, context: int) -> bytes:
    """RecordEnableContext: from then on the connection has nothing but its replies, any number of them."""
    return pack("<BBHI", major, 5, 2, context)


def parse_mapped(reply: bytes, own: int) -> list[int]:
    """Returns the windows that a client wants mapped, by one reply of RecordEnableContext.

    `own` is the resource-id-base of a client of which nothing is to be heard.
    """
    category, is_swapped, base = _REPLY.unpack_from(reply)
    if category != _FROM_CLIENT or base == own:
        return []
    order = ">" if is_swapped else "<"
    request = Struct(f"{order}4xI")
    whole = len(reply) - (len(reply) - _HEADER) % _SIZE
    return [request.unpack_from(reply, offset)[0] for offset in range(_HEADER, whole, _SIZE)]
