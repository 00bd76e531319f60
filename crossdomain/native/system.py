"""System calls that Python has no function for, or one that refuses what we need.

Addresses are plain numbers: whoever gets one keeps what it belongs to alive.  Each raises
OSError with the kernel's errno.
"""

import os
from collections.abc import Iterable
from mmap import mmap

from crossdomain.native import ffi, lib


def address_of(buffer: bytes | bytearray | mmap) -> int:
    """Returns where the bytes of a buffer are, valid while it lives and keeps its size."""
    return int(ffi.cast("uintptr_t", ffi.from_buffer("uint8_t[]", buffer)))


def open_signalfd(signals: Iterable[int]) -> int:
    """Returns an fd that reports blocked signals (struct signalfd_siginfo); close-on-exec, not blocking."""
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    return _checked(lib.xd_signalfd(mask))


def map_file(fd: int, size: int) -> int:
    """Maps the first `size` bytes of a file for reading, shared; the file may be shorter.

    Reading beyond the file's end is a SIGBUS: only `crossdomain.bridge.copy` may do it.
    """
    return _checked(lib.xd_map(fd, size))


def resize_mapping(address: int, old_size: int, new_size: int) -> int:
    """Returns the new address of a mapping whose size has changed."""
    return _checked(lib.xd_remap(address, old_size, new_size))


def unmap(address: int, size: int) -> None:
    """Gives up a mapping."""
    _checked(lib.xd_unmap(address, size))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
