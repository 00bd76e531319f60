"""VIRTGPU_SYNC, an EXTENSION of the cross-domain protocol: fences that cross (`Feature.SYNC`).

A fence of the compositor's, a sync file or an eventfd that a RECEIVE carries, is an identifier of type
VIRTGPU_SYNC and size 0, from the counter that blobs have too.  The guest makes a fence of its own kernel
of it: it submits AWAIT_SYNC with a fence on a ring that is not one of the two (EXECBUFFER with RING_IDX and
FENCE_FD_OUT, or out_syncobjs).  The host completes that fence when the compositor's is over.  As a
ring's fences are one timeline to the guest's kernel, it never completes one before an earlier one of the
ring: what may be over in any order belongs on different rings.  A fence that is not over after
`limits.FENCE_SECONDS` is completed all the same, because a kernel can't do with one that never is.

An identifier is good once: for an AWAIT_SYNC, with or without a fence, or for a SEND, which gives
the fence back to the compositor.  Over a local channel the launcher gets the fence's fd itself and gives
one (`abi.local`).
"""

from struct import Struct
from typing import Final

from crossdomain.abi.cross_domain import HEADER, Command
from crossdomain.errors import GuestFault

FIRST_SYNC_RING: Final = 2
"""The first ring whose fences wait for AWAIT_SYNC; the two before are QUERY_RING and CHANNEL_RING."""

AWAIT_SYNC: Final = Struct("<8xII")
"""identifier, pad.  16 bytes."""


def encode_await_sync(identifier: int, ring_idx: int) -> bytes:
    """AWAIT_SYNC; `ring_idx` is that of its fence."""
    body = AWAIT_SYNC.pack(identifier, 0)
    return HEADER.pack(Command.AWAIT_SYNC, ring_idx, len(body), 0) + body[HEADER.size :]


def parse_await_sync(command: memoryview) -> int:
    """The identifier of an AWAIT_SYNC.

    Raises:
        GuestFault: of another size.
    """
    if len(command) != AWAIT_SYNC.size:
        raise GuestFault(f"AWAIT_SYNC of {len(command)} bytes")
    identifier, _pad = AWAIT_SYNC.unpack(command)
    return int(identifier)
