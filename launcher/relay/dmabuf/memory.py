"""One dmabuf of the client's: mapped where it has to be read here, and read between the kernel's marks."""

import os
from contextlib import AbstractContextManager

from crossdomain.bridge.sync_file import cpu_access
from crossdomain.native.system import FileMapping
from launcher.channel.seam import ImportedFile


class Dmabuf:
    """A `buffers.ClientMemory`."""

    __slots__ = ("_mapping", "fd", "has_holes", "pages", "size")

    file = None
    """See `buffers.ClientMemory`."""

    def __init__(self, fd: int, size: int, pages: ImportedFile | None) -> None:
        """Takes ownership of `fd`, a dmabuf of `size` bytes."""
        self._mapping: FileMapping | None = None
        self.fd = fd
        self.size = size
        self.pages = pages
        self.has_holes = False
        """See `buffers.ClientMemory`: nothing can be punched out of a dmabuf."""

    def pages_of(self, start: int, end: int) -> ImportedFile | None:
        """See `buffers.ClientMemory`."""
        pages = self.pages
        return pages if pages is not None and pages.start <= start and end <= pages.end else None

    @property
    def mapping(self) -> FileMapping:
        """It, mapped here from the first time on."""
        return self.open_mapping()

    def open_mapping(self) -> FileMapping:
        """Maps it where it is not yet.

        Raises:
            OSError: it can't be mapped.
        """
        if self._mapping is None:
            self._mapping = FileMapping(self.fd, self.size)
        return self._mapping

    @property
    def dmabuf(self) -> int:
        """See `buffers.ClientMemory`."""
        return self.fd

    def access(self, *, write: bool) -> AbstractContextManager[None]:
        """See `buffers.ClientMemory`."""
        return cpu_access(self.fd, write=write)

    def close(self) -> None:
        """Unmaps and closes it."""
        if self._mapping is not None:
            self._mapping.close()
        os.close(self.fd)


def size_of(fd: int) -> int:
    """Returns the bytes of a dmabuf; 0 where it does not tell."""
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    except OSError:
        return 0


def identity_of(fd: int) -> tuple[int, int]:
    """Returns what is the same for all fds of one dmabuf."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
