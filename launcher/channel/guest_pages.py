"""Pages of the clients' own files, shown to the host: what is copied then is copied there.

A file becomes a udmabuf, which is imported on the VM's second virtio-gpu, the memory device, whose
host is ours too (`crossdomain.abi.pages`).  All that this needs may be missing, and is the rule for files
that can't be sealed: then the damage is copied in the guest.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final, Self

from crossdomain.abi import udmabuf, virtgpu_drm
from crossdomain.abi.pages import (
    KEY_PREFIX,
    KEY_SIZE,
    PAGE_SIZE,
    encode_claim_pages,
    encode_expect_pages,
    parse_claimed,
)
from crossdomain.bridge.udmabuf import Span, Udmabuf
from launcher.channel import drm
from launcher.channel.kept_pages import KeptPages
from launcher.channel.memory import round_to_pages

_NEEDED_SEAL: Final = fcntl.F_SEAL_SHRINK
_KEY_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class ImportedFile:
    """A part of a client's file that the host sees, behind the first page."""

    is_copied = True

    __slots__ = ("_drm_fd", "_handle", "_kept", "begin", "end", "key", "resource_id", "start")

    def __init__(
        self, drm_fd: int, blob: drm.Blob, key: bytes, part: tuple[int, int], kept: KeptPages
    ) -> None:
        """Takes ownership of the blob's handle and of `kept`, its pages.

        `part` is the first byte of the file, and the one behind.
        """
        self._drm_fd = drm_fd
        self._handle = blob.handle
        self._kept = kept
        self.resource_id = blob.resource_id
        """Its number on the memory device."""
        self.start, self.end = part
        self.begin = PAGE_SIZE - self.start
        self.key = key

    def is_whole(self) -> bool:
        """Whether the file still has all pages that the host sees."""
        return self._kept.are_whole()

    def close(self) -> None:
        """Shows it no longer; may be called again."""
        if self._handle:
            drm.close_handle(self._drm_fd, self._handle)
            self._handle = 0
            self._kept.close()


class ImportedDmabuf:
    """A client's dmabuf that the host sees."""

    is_copied = True

    __slots__ = ("_handle", "_handles", "begin", "end", "key", "resource_id", "start")

    def __init__(self, handles: drm.SharedHandles, blob: drm.Blob, size: int) -> None:
        self._handle = blob.handle
        self._handles = handles
        handles.take(blob.handle)
        self.resource_id = blob.resource_id
        """Its number on the memory device."""
        self.begin = self.start = 0
        self.end = size
        self.key = bytes(KEY_SIZE)
        """It has none: it is its context's."""

    def is_whole(self) -> bool:
        """Always: nothing can be punched out of a dmabuf."""
        return True

    def close(self) -> None:
        """Shows it no longer; may be called again."""
        handle, self._handle = self._handle, 0
        if handle:
            self._handles.give_back(handle)


class GuestPages:
    """The memory device, opened once for all clients of a launcher."""

    def __init__(self, drm_fd: int, device: Udmabuf) -> None:
        """Takes ownership of both."""
        self._drm_fd = drm_fd
        self._udmabuf = device
        self._key = KEY_PREFIX + os.urandom(KEY_SIZE - len(KEY_PREFIX))
        self._can_import = True
        """Whether this kernel imports dmabufs of others, as far as we know: before 6.14 none does."""
        self._dmabufs = drm.SharedHandles(drm_fd)
        self._key_fd = os.memfd_create("crossdomain key", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(self._key_fd, self._key.ljust(PAGE_SIZE, b"\0"))
        fcntl.fcntl(self._key_fd, fcntl.F_ADD_SEALS, _KEY_SEALS)

    @classmethod
    def open(cls) -> Self | None:
        """The memory device of this VM; None where there is none, or no udmabuf."""
        drm_fd = next(_memory_nodes(), -1)
        if drm_fd < 0:
            return None
        device = Udmabuf.open()
        if device is None:
            os.close(drm_fd)
            return None
        return cls(drm_fd, device)

    def import_file(self, fd: int, start: int, end: int, /) -> ImportedFile | None:
        """Shows the host a part of a file, which stays the caller's; `start` is the first byte of a page.

        Returns None where that can't be: not a memfd, sealed against it, too large.  Afterwards the file has
        whole pages and can't be made shorter, which clients promise anyway that have a compositor read it.
        """
        shown = round_to_pages(end - start)
        if shown + PAGE_SIZE > udmabuf.SIZE_LIMIT or not self._can_import:
            # The host takes no longer list of runs, which may be single pages (MAX_BACKING_ENTRIES).
            return None
        try:
            if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _NEEDED_SEAL:
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _NEEDED_SEAL)
            if os.fstat(fd).st_size < start + shown:
                # The last page has to be the file's as a whole.
                os.ftruncate(fd, start + shown)
            # Before anybody else sees them: what goes meanwhile is missed, too.
            kept = KeptPages(fd, start, start + shown)
        except OSError:
            return None
        try:
            dmabuf = self._udmabuf.create((Span(self._key_fd, 0, PAGE_SIZE), Span(fd, start, shown)))
        except OSError:
            kept.close()
            return None
        try:
            blob = drm.import_dmabuf(self._drm_fd, dmabuf)
        except OSError as error:
            kept.close()
            # Where it never can be, no other file is sealed and no page of it made for that.
            self._can_import = error.errno != errno.ENODEV
            return None
        finally:
            os.close(dmabuf)
        return ImportedFile(self._drm_fd, blob, self._key, (start, end), kept)

    def import_dmabuf(self, fd: int, size: int, ask: Callable[[bytes], bytes]) -> "ImportedDmabuf | None":
        """Shows the host a dmabuf of `size` bytes, which stays the caller's, for one context alone.

        `ask` is that context's: it has the host carry out a command and returns the answer.

        Returns None where that can't be: the kernel refuses it, or it would not be for that context alone.
        """
        if parse_claimed(ask(encode_expect_pages())) is None:
            return None
        try:
            blob = drm.import_dmabuf(self._drm_fd, fd)
        except OSError:
            # There is no such resource, and nothing is expected any more.
            ask(encode_claim_pages(0))
            return None
        imported = ImportedDmabuf(self._dmabufs, blob, size)
        with ExitStack() as unclaimed:
            unclaimed.callback(imported.close)
            if not parse_claimed(ask(encode_claim_pages(blob.resource_id))):
                return None
            unclaimed.pop_all()
        return imported

    def close(self) -> None:
        """Gives all up."""
        self._udmabuf.close()
        for fd in (self._drm_fd, self._key_fd):
            os.close(fd)


def _memory_nodes() -> Iterator[int]:
    """Opens the virtio-gpus that have blobs and no contexts; the fds are the caller's."""
    for path in drm.render_nodes():
        try:
            fd = drm.open_node(path)
        except OSError:
            continue
        if _is_memory_device(fd):
            yield fd
        else:
            os.close(fd)


def _is_memory_device(fd: int) -> bool:
    try:
        is_virtio_gpu = drm.driver_name(fd) == virtgpu_drm.DRIVER_NAME
    except OSError:
        return False
    has_blobs = drm.get_parameter(fd, virtgpu_drm.VIRTGPU_PARAM_RESOURCE_BLOB)
    has_contexts = drm.get_parameter(fd, virtgpu_drm.VIRTGPU_PARAM_3D_FEATURES)
    return is_virtio_gpu and bool(has_blobs) and not has_contexts
