"""Host memory that a guest, the compositor and we map together: one memfd per blob.

The fd is what the VMM's SHMEM_MAP and wl_shm want: writable, unsealed for writing, a whole
number of pages, and never smaller than it says.  Pages cost nothing before they are touched.
"""

import fcntl
import mmap
import os
from typing import Final, Self

from crossdomain.bridge.copy import Pixels
from crossdomain.errors import GuestFault, LimitExceeded, LocalError
from crossdomain.limits import MAX_BLOB_SIZE
from crossdomain.native.system import address_of

PAGE_SIZE: Final = 4096
"""The guest's page, in which virtio-gpu counts blobs."""

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Shrinking would be a SIGBUS to whoever maps it, growing a way around quotas."""


def round_to_pages(size: int) -> int:
    """`size` bytes rounded up to whole pages."""
    return -(-size // PAGE_SIZE) * PAGE_SIZE


def _sealed_memfd(name: str, size: int) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


class HostMemory:
    """One owner, one memfd.  It is also a `Storage`, so that a resource can be nothing more than this.

    `close` ends it; fds from `export` and mappings from `map` live on by themselves.  To use it
    as a `Storage` after that is the guest's fault, who destroyed a resource that it still names.
    """

    __slots__ = ("_fd", "_mapping", "_size")

    def __init__(self, fd: int, size: int) -> None:
        """Takes ownership of `fd`, which holds at least `size` bytes; `size` is a multiple of a page."""
        if size <= 0 or size % PAGE_SIZE:
            raise LocalError(f"host memory of {size} bytes")
        self._fd = fd
        self._size = size
        self._mapping: mmap.mmap | None = None

    @classmethod
    def create(cls, size: int, *, name: str = "crossdomain") -> Self:
        """Fresh zeroed memory of `size` bytes, rounded up to pages.

        Raises:
            LimitExceeded: more than MAX_BLOB_SIZE, or no memory is left.
            GuestFault: zero bytes.
        """
        if size <= 0:
            raise GuestFault(f"memory of {size} bytes")
        if size > MAX_BLOB_SIZE:
            raise LimitExceeded(f"memory of {size} bytes, the most is {MAX_BLOB_SIZE}")
        rounded = round_to_pages(size)
        try:
            return cls(_sealed_memfd(name, rounded), rounded)
        except OSError as error:
            raise LimitExceeded(f"no memory of {size} bytes: {error.strerror}") from error

    @classmethod
    def copy_of(cls, fd: int, size: int, *, name: str = "crossdomain") -> Self:
        """Fresh memory that begins with the first `size` bytes of a seekable `fd`, which stays the caller's.

        Raises:
            LimitExceeded: more than MAX_BLOB_SIZE, or no memory is left.
            GuestFault: zero bytes, or `fd` can't be read.
        """
        memory = cls.create(size, name=name)
        try:
            memory._fill(fd, size)
        except OSError as error:
            memory.close()
            raise GuestFault(f"the file can't be read: {error.strerror}") from error
        return memory

    @property
    def fd(self) -> int:
        """Stays ours: valid until `close`."""
        if self._fd < 0:
            raise LocalError("host memory used after close")
        return self._fd

    @property
    def size(self) -> int:
        """Bytes, a multiple of PAGE_SIZE."""
        return self._size

    def map(self) -> mmap.mmap:
        """A shared writable mapping of all of it, which the caller closes."""
        return mmap.mmap(self.fd, self._size)

    def pixels(self) -> Pixels:
        """All of it, mapped until `close`.

        Raises:
            GuestFault: it was closed.
        """
        self._check(0, 0)
        if self._mapping is None:
            self._mapping = self.map()
        return Pixels(address_of(self._mapping), self._size)

    def export(self) -> int:
        """A new fd of the same memory; the caller owns it.

        Raises:
            GuestFault: it was closed.
        """
        self._check(0, 0)
        return fcntl.fcntl(self.fd, fcntl.F_DUPFD_CLOEXEC, 3)

    def write(self, offset: int, data: bytes | bytearray | memoryview, /) -> None:
        """Copies `data` to `offset`.

        Raises:
            GuestFault: beyond the end, or it was closed.
        """
        self._check(offset, len(data))
        if os.pwrite(self.fd, data, offset) != len(data):
            raise GuestFault("the memory shrank")

    def read(self, offset: int, length: int, /) -> bytes:
        """A copy of `length` bytes at `offset`.

        Raises:
            GuestFault: beyond the end, or it was closed.
        """
        self._check(offset, length)
        return os.pread(self.fd, length, offset)

    def close(self) -> None:
        """Gives the fd up; may be called again."""
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _check(self, offset: int, length: int) -> None:
        if self._fd < 0:
            raise GuestFault("the memory was destroyed")
        if offset < 0 or length < 0 or offset + length > self._size:
            raise GuestFault(f"{length} bytes at {offset} of {self._size}")

    def _fill(self, fd: int, size: int) -> None:
        done = 0
        while done < size:
            # copy_file_range and sendfile refuse some of the pairs that compositors send.
            chunk = os.pread(fd, min(size - done, 1 << 20), done)
            if not chunk:
                return
            os.pwrite(self._fd, chunk, done)
            done += len(chunk)
