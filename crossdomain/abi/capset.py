"""Capset 5, by which a virtio-gpu offers cross-domain, as far as a guest looks before it starts anything.

`crossdomain.abi.cross_domain` has what it means, and all these names too.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False  # the launcher has this before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

CAPSET_ID: Final = 5
"""VIRTIO_GPU_CAPSET_CROSS_DOMAIN."""

CAPSET: Final = Struct("<IIII")
"""version (1), supported_channels (bit 1 << type), supports_dmabuf, supports_external_gpu_memory."""
EXTENSION: Final = Struct("<IIII")
"""magic, features, max_send (bytes), reserved (0).  Follows the 16 bytes of CAPSET."""

CHANNEL_WAYLAND: Final = 1
"""The channel type of a Wayland compositor."""
