"""Layouts and numbers of Linux's udmabuf: dmabufs over the pages of memfds.

Source: Linux `include/uapi/linux/udmabuf.h`, named as there.  Every memfd needs F_SEAL_SHRINK and must not
have F_SEAL_WRITE; offsets and sizes are whole pages.
"""

from struct import Struct
from typing import Final

DEVICE: Final = "/dev/udmabuf"

CREATE_LIST: Final = Struct("=II")
"""flags, count; then that many CREATE_ITEM."""
CREATE_ITEM: Final = Struct("=IIQQ")
"""memfd, pad, offset, size."""

UDMABUF_FLAGS_CLOEXEC: Final = 1
UDMABUF_CREATE_LIST: Final = 1 << 30 | CREATE_LIST.size << 16 | ord("u") << 8 | 0x43
"""_IOW('u', 0x43, struct udmabuf_create_list)."""

SIZE_LIMIT: Final = 64 << 20
"""Bytes of one dmabuf, all its items together: the module's own `size_limit_mb`."""
LIST_LIMIT: Final = 1024
"""Items of one dmabuf: the module's own `list_limit`."""
