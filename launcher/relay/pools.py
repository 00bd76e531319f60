"""The client's pools of wl_shm: files of its own, mapped here as long as anybody needs them."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from crossdomain.bridge.formats import BufferRequest, Layout
from crossdomain.native.system import FileMapping
from launcher.channel.seam import ImportedFile
from launcher.relay.buffers import ClientPlane
from launcher.relay.imports import Imports

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class Pool:
    """A pool: a `buffers.Source`, and its memory."""

    __slots__ = ("_fd", "_imports", "_users", "dmabuf", "mapping", "pages", "pool_id", "shm_id")

    def __init__(self, pool_id: int, shm_id: int, fd: int, mapping: FileMapping, imports: Imports) -> None:
        """Shows the host the file, where that can be; `fd` stays the caller's."""
        self.pool_id = pool_id
        self.shm_id = shm_id
        self.mapping = mapping
        self.pages: ImportedFile | None = None
        self._fd = os.dup(fd) if imports.are_possible else -1
        """Only for a larger part of the file to be shown, should the pool grow."""
        self.dmabuf: int | None = None
        self._imports = imports
        self._users = 1
        self._show()

    def resize(self, size: int) -> None:
        """The pool has grown, and its file before it.

        Raises:
            OSError: it can't be mapped.
        """
        self.mapping.resize(size)
        self._show()

    def use(self) -> None:
        """A buffer was made of it."""
        self._users += 1

    def leave(self) -> None:
        """The pool object, or one of its buffers, is gone."""
        self._users -= 1
        if self._users:
            return
        self.mapping.close()
        if self.pages is not None:
            self._imports.drop(self.pages)
        if self._fd >= 0:
            os.close(self._fd)

    def _show(self) -> None:
        """Shows the host all of the file that there is, in the place of what it saw before."""
        held = min(self.mapping.size, os.fstat(self._fd).st_size) if self._fd >= 0 else 0
        if self.pages is not None and held <= self.pages.size:
            return
        shown = self._imports.import_file(self._fd, held)
        if shown is not None:
            if self.pages is not None:
                self._imports.drop(self.pages)
            self.pages = shown

    def access(self, *, write: bool) -> AbstractContextManager[None]:
        """See `buffers.ClientMemory`: whoever shares a file agrees on when to draw."""
        del write
        return _NOTHING

    def planes(self, request: BufferRequest, layout: Layout) -> Iterator[ClientPlane]:
        """The planes of a buffer of this pool."""
        for plane in layout.planes:
            yield ClientPlane(self, request.offset + plane.offset, plane.stride)
