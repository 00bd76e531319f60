"""Layouts and numbers of sync files, the fds of fences of the kernel's (dma_fence).

Source: Linux `include/uapi/linux/sync_file.h`, named as there.  A sync file is readable (POLLIN) when all
of its fences have signalled.
"""

from struct import Struct
from typing import Final

from crossdomain.abi.ioctl import iowr

SYNC_FILE_INFO: Final = Struct("=32siIIIQ")
"""name, status (0 pending, 1 signalled, below: an errno), flags, num_fences, pad, address of the fences."""

SYNC_IOC_FILE_INFO: Final = iowr(">", 4, SYNC_FILE_INFO)
