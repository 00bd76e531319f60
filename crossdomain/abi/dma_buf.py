"""Layouts and numbers of what every dmabuf has, whoever made it.

Source: Linux `include/uapi/linux/dma-buf.h`, named as there.  A dmabuf's fd can also be polled: POLLIN when
nobody writes it any more, POLLOUT when nobody uses it any more.
"""

from struct import Struct
from typing import Final

from crossdomain.abi.ioctl import iow, iowr

DMA_BUF_SYNC: Final = Struct("=Q")
"""flags: READ or WRITE or both, and START or END of the CPU's access."""
DMA_BUF_SYNC_READ: Final = 1
DMA_BUF_SYNC_WRITE: Final = 2
DMA_BUF_SYNC_RW: Final = DMA_BUF_SYNC_READ | DMA_BUF_SYNC_WRITE
DMA_BUF_SYNC_START: Final = 0
DMA_BUF_SYNC_END: Final = 4

SYNC_FILE: Final = Struct("=Ii")
"""flags (READ or WRITE), fd (out)."""

DMA_BUF_IOCTL_SYNC: Final = iow("b", 0, DMA_BUF_SYNC)
DMA_BUF_IOCTL_EXPORT_SYNC_FILE: Final = iowr("b", 2, SYNC_FILE)
"""A sync file of the fences that an access of that kind has to wait for (Linux 6.0)."""
