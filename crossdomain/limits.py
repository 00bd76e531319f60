"""Every cap on what a peer may ask for, in one place, each with its reason.

A cap is checked before anything is allocated or used.  Reaching one raises
`crossdomain.errors.LimitExceeded`.
"""

from typing import Final

MAX_MESSAGE_SIZE: Final = 65532
"""Bytes of one Wayland message: its size field has 16 bits and sizes are multiples of 4."""

MAX_IDENTIFIERS: Final = 28
"""Identifiers of one SEND or RECEIVE: the arrays of cross_domain_send_receive have 28 entries."""

MAX_OBJECTS: Final = 1 << 20
"""Ids of one Wayland connection and side.  libwayland allows 15 million; a browser holds some thousand,
a burst of pipelined wl_display.sync some 100,000.  The object map takes 8 bytes for each."""

# Cross-domain contexts and host memory.

MAX_BLOB_SIZE: Final = (1 << 31) - 4096
"""Bytes of one blob: wl_shm.create_pool's size is a signed 32-bit number, and foot asks for 512 MiB."""
