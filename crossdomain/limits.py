"""Every cap on what a peer may ask for, in one place, each with its reason.

A cap is checked before anything is allocated or used.  Reaching one raises
`crossdomain.errors.LimitExceeded`.
"""

from typing import Final

MAX_MESSAGE_SIZE: Final = 65532
"""Bytes of one Wayland message: its size field has 16 bits and sizes are multiples of 4."""

MAX_IDENTIFIERS: Final = 28
"""Identifiers of one SEND or RECEIVE: the arrays of cross_domain_send_receive have 28 entries."""

# Cross-domain contexts and host memory.

MAX_BLOB_SIZE: Final = (1 << 31) - 4096
"""Bytes of one blob: wl_shm.create_pool's size is a signed 32-bit number, and foot asks for 512 MiB."""
