"""The local channel: the same daemon and context code over a Unix socket, without a VM.

The socket is SOCK_SEQPACKET; each packet is HEADER, then the payload, with at most one fd.
One connection is one context; closing the socket ends it.  The launcher chooses resource
ids as a guest's kernel does: non-zero, unique while they live.

INIT goes through SUBMIT with both ring ids `cross_domain.RING_NONE`.  There is no POLL: events
come as they are, and the socket's own buffer is the back-pressure, so a launcher that does not
read stops only itself.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

VERSION: Final = 1

HEADER: Final = Struct("<IIQ")
"""type, resource_id (0 where none is meant), size (bytes of the resource)."""
BLOB_ID: Final = Struct("<Q")
"""Payload of CREATE_HOST_BLOB."""
HELLO: Final = Struct("<I")
"""Payload of HELLO: VERSION, then the client's name in UTF-8 for the host's log."""

FIRST_GIVEN_SYNC: Final = 0x40000000
"""Numbers of fences that a launcher chooses: the host's own stay below, pipes' are twice that."""

MAX_PACKET: Final = 131072
"""Bytes of one packet, header included: below a Unix socket's default send buffer (212992)."""


class ToDaemon(IntEnum):
    """What a launcher sends."""

    HELLO = 1
    """First, once.  Answered with WELCOME."""
    SUBMIT = 2
    """Payload: cross-domain commands, as of one SUBMIT_3D."""
    CREATE_GUEST_BLOB = 3
    """resource_id, size, one memfd of the launcher's: a resource to name in SEND.  No answer but ERROR.

    The file may be shorter, as that of a client that has truncated it.
    """
    CREATE_HOST_BLOB = 4
    """resource_id, size, payload BLOB_ID.  Answered with CREATED or ERROR."""
    DESTROY = 5
    """resource_id.  No answer."""
    CREATE_SYNC = 6
    """resource_id, from FIRST_GIVEN_SYNC on, and a sync file or a DRM timeline: to name once in SEND, as a
    VIRTGPU_SYNC.  No answer but ERROR."""
    TAKE_SYNC = 7
    """resource_id: a VIRTGPU_SYNC that a RECEIVE has brought.  Answered with CREATED or ERROR."""


class ToLauncher(IntEnum):
    """What the daemon sends."""

    WELCOME = 0x81
    """Payload: capset 5 with our extension, 32 bytes."""
    EVENT = 0x82
    """Payload: what the channel ring would hold, a RECEIVE or a READ."""
    CREATED = 0x83
    """resource_id, size and the memory's fd; or resource_id, 0 and the fence's fd."""
    ERROR = 0x84
    """resource_id or 0, payload: what was wrong, UTF-8.  A broken client's hang-up follows as an EVENT."""
    QUERY = 0x85
    """Payload: what the query ring would hold, the answer to GET_IMAGE_REQUIREMENTS or GET_CLOCK."""


class Packet(NamedTuple):
    """One packet; `payload` is a view of what was parsed."""

    type: int
    resource_id: int
    size: int
    payload: memoryview


def encode_packet(
    type_: int, payload: bytes | bytearray | memoryview = b"", *, resource_id: int = 0, size: int = 0
) -> bytes:
    """One packet; fds travel beside it in SCM_RIGHTS."""
    return HEADER.pack(type_, resource_id, size) + payload


def parse_packet(data: bytes | bytearray | memoryview) -> Packet:
    """One packet as it was received.

    Raises:
        ValueError: shorter than its header.
    """
    if len(data) < HEADER.size:
        raise ValueError(f"a packet of {len(data)} bytes")
    type_, resource_id, size = HEADER.unpack_from(data)
    return Packet(type_, resource_id, size, memoryview(data)[HEADER.size :])
