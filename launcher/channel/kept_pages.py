"""Whether a file keeps the pages of a part of it that the host was shown.

A page that is punched out of a file leaves every mapping of it.  So a mapping with all pages in it, which
nobody reads, lacks those that went from then on, whether others have taken their place in the file or not.
The kernel tells that of our own mappings (proc_pid_pagemap(5)).
"""

import errno
import os
from typing import Final

from crossdomain.abi.pages import PAGE_SIZE
from crossdomain.native.system import FileMapping

_PAGEMAP: Final = "/proc/self/pagemap"
_ENTRY: Final = 8
"""Bytes for each page."""
_IS_THERE: Final = 0x40
"""The least last byte of an entry that is in memory (bit 63) or on its way to another place there (62)."""


class KeptPages:
    """One part, from now on."""

    __slots__ = ("_end", "_mapping", "_start")

    def __init__(self, fd: int, start: int, end: int) -> None:
        """Watches whole pages, from byte to byte; `fd` stays the caller's.

        Raises:
            OSError: they are not all there, or this system tells nobody.
        """
        self._start, self._end = start, end
        self._mapping = FileMapping(fd, end)
        try:
            self._mapping.populate(start, end)
            if not self.are_whole():
                raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        except OSError:
            self._mapping.close()
            raise

    def are_whole(self) -> bool:
        """Whether none has been punched out; not where this system does not tell."""
        first = (self._mapping.address + self._start) // PAGE_SIZE
        size = (self._end - self._start) // PAGE_SIZE * _ENTRY
        try:
            pagemap = os.open(_PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            entries = os.pread(pagemap, size, first * _ENTRY)
        finally:
            os.close(pagemap)
        return len(entries) == size and min(entries[_ENTRY - 1 :: _ENTRY]) >= _IS_THERE

    def close(self) -> None:
        """Watches no more; may be called again."""
        self._mapping.close()
