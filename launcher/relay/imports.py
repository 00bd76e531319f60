"""Memory of the client's that is shown to the host, and when it is shown no more."""

from typing import Final

from crossdomain.abi import udmabuf
from crossdomain.abi.pages import PAGE_SIZE
from launcher.channel.seam import Channel, ImportedFile
from launcher.relay.messages import Host

LARGEST: Final = udmabuf.SIZE_LIMIT - PAGE_SIZE
"""Bytes of a file that the host can be shown at once."""
_LEAST_FILE: Final = 1 << 16
"""Bytes of a pool that is worth showing to the host: of a smaller one, a cursor's, the copy costs less."""


class Imports:
    """One client's."""

    def __init__(self, host: Host, channel: Channel) -> None:
        self._host = host
        self._channel = channel
        self._shown: set[ImportedFile] = set()

    @property
    def are_possible(self) -> bool:
        """Whether the host can see anything at all."""
        return self._channel.host_copies is not None

    def import_file(self, fd: int, start: int, end: int) -> ImportedFile | None:
        """Shows the host a part of a pool's file, where that can be and pays; `start` begins a page."""
        copies = self._channel.host_copies
        if copies is None or end - start < _LEAST_FILE:
            return None
        pages = copies.import_file(fd, start, end)
        if pages is not None:
            self._shown.add(pages)
        return pages

    def import_dmabuf(self, fd: int, size: int, together: int) -> ImportedFile | None:
        """Shows the host a dmabuf of `size` bytes, where that can be and pays.

        `together` are the bytes of all dmabufs of the image that it is in.
        """
        copies = self._channel.host_copies
        if copies is None or together < _LEAST_FILE:
            return None
        pages = copies.import_dmabuf(fd, size)
        if pages is not None:
            self._shown.add(pages)
        return pages

    def drop(self, pages: ImportedFile) -> None:
        """Nobody needs it any more: the host sees it until it has done what names it."""
        # It is on another ring than the copies out of it, which have to be over.
        self._host.when_seen(lambda: self._close(pages))

    def close(self) -> None:
        """Shows nothing any more."""
        for pages in self._shown:
            pages.close()
        self._shown.clear()

    def _close(self, pages: ImportedFile) -> None:
        self._shown.discard(pages)
        pages.close()
