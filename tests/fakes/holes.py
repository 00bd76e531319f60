"""Files that lose pages behind the back of whoever shares them."""

import ctypes
import os
from typing import Final

_PUNCH_HOLE: Final = 1 | 2
"""FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE (linux/falloc.h)."""


def punch_hole(fd: int, offset: int, size: int) -> None:
    """Give pages of a file back: others take their place when they are written."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, _PUNCH_HOLE, ctypes.c_long(offset), ctypes.c_long(size)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
