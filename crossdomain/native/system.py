"""System calls that Python has no function for, or one that refuses what we need.

Addresses are plain numbers: whoever gets one keeps what it belongs to alive.  Each raises
OSError with the kernel's errno.
"""

from __future__ import annotations

import os

from crossdomain.native import ffi, lib

TYPE_CHECKING = False  # the launcher has this before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Iterable
    from mmap import mmap


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

    An access beyond the file's end is a SIGBUS: only `crossdomain.bridge.copy` may do it.
    """

    __slots__ = ("_writable", "address", "size")

    def __init__(self, fd: int, size: int) -> None:
        """Maps; the fd stays the caller's and is not needed any more."""
        self.address = _checked(lib.xd_map(fd, size))
        self.size = size
        self._writable = False

    def populate(self, start: int, end: int) -> None:
        """Has every page from one to another there and in the mapping, as if all had been read.

        Raises:
            OSError: the file does not hold them, or there is no memory for them.
        """
        _checked(lib.xd_populate(self.address + start, end - start))

    def make_writable(self) -> None:
        """Lets it be written from now on, too; EACCES where the file does not allow that."""
        if not self._writable:
            _checked(lib.xd_make_writable(self.address, self.size))
            self._writable = True

    def resize(self, size: int) -> None:
        """Maps more or less of the same file, possibly at another address."""
        self.address = _checked(lib.xd_remap(self.address, self.size, size))
        self.size = size

    def close(self) -> None:
        """Unmaps; may be called again."""
        if self.size:
            _checked(lib.xd_unmap(self.address, self.size))
            self.size = 0


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
