"""The client's pools of wl_shm: files of its own, mapped here as long as anybody needs them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from crossdomain.bridge.formats import BufferRequest, Layout
from crossdomain.native.system import FileMapping
from launcher.channel import ImportedFile
from launcher.relay.buffers import ClientPlane
from launcher.relay.imports import Imports

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class Pool:
    """A pool: a `buffers.Source`, and its memory."""

    __slots__ = ("_imports", "_users", "dmabuf", "mapping", "pages", "pool_id", "shm_id")

    def __init__(
        self,
        pool_id: int,
        shm_id: int,
        mapping: FileMapping,
        imports: Imports,
        pages: ImportedFile | None = None,
    ) -> None:
        """`pages` is the file as the host sees it, if it does; it is one of `imports`."""
        self.pool_id = pool_id
        self.shm_id = shm_id
        self.mapping = mapping
        self.pages = pages
        self.dmabuf: int | None = None
        self._imports = imports
        self._users = 1

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

    def access(self, *, write: bool) -> AbstractContextManager[None]:
        """See `buffers.ClientMemory`: whoever shares a file agrees on when to draw."""
        del write
        return _NOTHING

    def planes(self, request: BufferRequest, layout: Layout) -> Iterator[ClientPlane]:
        """The planes of a buffer of this pool."""
        for plane in layout.planes:
            yield ClientPlane(self, request.offset + plane.offset, plane.stride)
