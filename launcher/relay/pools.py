"""The client's pools of wl_shm: files of its own, mapped here as long as anybody needs them.

What the host sees of a file (`imports`) are pages, and a client may punch pages out of it, as terminals do
that scroll through a large pool: then it draws into others, and the host sees what was there before.  That
changes the file's ctime, which is looked at with each attach, as drawing into a page for the first time does;
only then the pages themselves are looked at.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from crossdomain.bridge.formats import BufferRequest, Layout
from crossdomain.native import ffi, lib
from crossdomain.native.system import FileMapping
from launcher.channel.memory import PAGE_SIZE
from launcher.channel.seam import ImportedFile
from launcher.relay.buffers import ClientPlane
from launcher.relay.imports import LARGEST, Imports

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()
_MAX_PARTS: Final = 8
"""Parts of a pool that the host sees, each with the pages of a large buffer in it."""


class Pool:
    """A pool: a `buffers.Source`, and its memory."""

    __slots__ = (
        "_fd",
        "_has_holes",
        "_imports",
        "_is_bare",
        "_parts",
        "_users",
        "dmabuf",
        "file",
        "mapping",
        "pool_id",
        "shm_id",
    )

    def __init__(self, pool_id: int, shm_id: int, fd: int, mapping: FileMapping, imports: Imports) -> None:
        """`fd` stays the caller's.  The host is shown the file, where that can be, with its first buffer."""
        self.pool_id = pool_id
        self.shm_id = shm_id
        self.mapping = mapping
        self.dmabuf: int | None = None
        self._fd = os.dup(fd) if imports.are_possible else -1
        """Only to show more of the file, and to see whether it changes."""
        self._imports = imports
        self._parts: list[ImportedFile] = []
        self.file = ffi.new("xd_file *", {"fd": self._fd})
        """See `buffers.ClientMemory`; it knows when the file had changed before its pages were looked at."""
        self._has_holes = False
        self._is_bare = True
        """Whether no buffer was made of it yet: pools of cursors grow many times before one is."""
        self._users = 1

    @property
    def has_holes(self) -> bool:
        """See `buffers.ClientMemory`; once and for all."""
        if self._parts and not self._has_holes and lib.xd_file_look(self.file):
            self._has_holes = not all(part.is_whole() for part in self._parts)
        return self._has_holes

    def pages_of(self, start: int, end: int) -> ImportedFile | None:
        """See `buffers.ClientMemory`."""
        for part in self._parts:
            if part.start <= start and end <= part.end:
                return part
        return None

    def resize(self, size: int) -> None:
        """The pool has grown, and its file before it.

        Raises:
            OSError: it can't be mapped.
        """
        self.mapping.resize(size)
        if not self._is_bare:
            self._show_all()

    def use(self) -> None:
        """A buffer was made of it."""
        self._users += 1

    def leave(self) -> None:
        """The pool object, or one of its buffers, is gone."""
        self._users -= 1
        if self._users:
            return
        self.mapping.close()
        for part in self._parts:
            self._imports.drop(part)
        if self._fd >= 0:
            os.close(self._fd)

    def access(self, *, write: bool) -> AbstractContextManager[None]:
        """See `buffers.ClientMemory`: whoever shares a file agrees on when to draw."""
        del write
        return _NOTHING

    def planes(self, request: BufferRequest, layout: Layout) -> Iterator[ClientPlane]:
        """The planes of a new buffer of this pool, which the host sees where that can be."""
        if self._is_bare:
            self._is_bare = False
            self._show_all()
        self._show_buffer(request.offset, request.offset + layout.size)
        for plane in layout.planes:
            yield ClientPlane(self, request.offset + plane.offset, plane.stride)

    def _show_all(self) -> None:
        """Shows the host all of the file that there is, in the place of what it saw before."""
        held = self._held()
        if not held or held > LARGEST or self.pages_of(0, held) is not None:
            return
        before = self._parts.copy()
        if self._show(0, held):
            for part in before:
                self._parts.remove(part)
                self._imports.drop(part)

    def _show_buffer(self, start: int, end: int) -> None:
        """Shows the host a buffer of a pool that is too large to be shown at once.

        Not where it is a small part of it: a pool of that kind is one that its client moves through.
        """
        size = self.mapping.size
        if size <= LARGEST or (end - start) * _MAX_PARTS < size or self.pages_of(start, end) is not None:
            return
        if len(self._parts) < _MAX_PARTS and end <= self._held() and not self.has_holes:
            self._show(start - start % PAGE_SIZE, end)

    def _held(self) -> int:
        """Returns how much of the pool the file holds, if anybody wants to know."""
        return min(self.mapping.size, os.fstat(self._fd).st_size) if self._fd >= 0 else 0

    def _show(self, start: int, end: int) -> bool:
        part = self._imports.import_file(self._fd, start, end)
        if part is not None:
            self._parts.append(part)
            self.file.changed = 0
        return part is not None
