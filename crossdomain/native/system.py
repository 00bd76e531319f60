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


class FileMapping:
    """The first `size` bytes of a file, mapped for reading and shared; the file may be shorter.

    Reading `view` beyond the file's end is a SIGBUS: only `crossdomain.bridge.copy` may do it.
    """

    __slots__ = ("_address", "_size", "view")

    def __init__(self, fd: int, size: int) -> None:
        """Maps; the fd stays the caller's and is not needed any more."""
        self._address = _checked(lib.xd_map(fd, size))
        self._size = size
        self.view = self._view()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def resize(self, size: int) -> None:
        """Maps more or less of the same file; `view` is another one afterwards."""
        self._address = _checked(lib.xd_remap(self._address, self._size, size))
        self._size = size
        self.view = self._view()

    def close(self) -> None:
        """Unmaps; nobody may hold a slice of `view` any more.  May be called again."""
        if self._size:
            self.view = memoryview(b"")
            _checked(lib.xd_unmap(self._address, self._size))
            self._size = 0

    def _view(self) -> memoryview:
        return memoryview(ffi.buffer(ffi.cast("uint8_t *", self._address), self._size)).toreadonly()


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
