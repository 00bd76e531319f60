"""The blob identifiers of one context: what CREATE_BLOB(HOST3D) may name, and the one counter.

Received fds are good once.  The identifier of image requirements stands for a size and is
good any number of times, with fresh memory each time.
"""

import os
import stat
from typing import Final

from crossdomain.abi.cross_domain import FIRST_HOST_IDENTIFIER, Identifier, IdentifierType, ImageRequirements
from crossdomain.context.images import image_requirements
from crossdomain.context.memory import HostMemory, round_to_pages
from crossdomain.errors import GuestFault, HostFault, LimitExceeded
from crossdomain.limits import MAX_BLOB_SIZE, MAX_IMAGE_SIZES, MAX_UNTAKEN_BLOBS

_DMABUF_LINK: Final = "/dmabuf"


class IdentifierCounter:
    """Numbers received fds, write pipes and image requirements of one context alike."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST_HOST_IDENTIFIER

    def take(self) -> int:
        """The next number."""
        identifier = self._next
        self._next += 1
        return identifier

    def was_taken(self, identifier: int) -> bool:
        """Whether `take` has returned it already."""
        return FIRST_HOST_IDENTIFIER <= identifier < self._next


class Blobs:
    """What one context can turn into host memory."""

    __slots__ = ("_counter", "_received", "_size_of", "_with_size")

    def __init__(self, counter: IdentifierCounter) -> None:
        self._counter = counter
        self._received: dict[int, tuple[int, int]] = {}
        self._size_of: dict[int, int] = {}
        self._with_size: dict[int, int] = {}

    @property
    def untaken(self) -> int:
        """Received fds that nobody fetched yet."""
        return len(self._received)

    def receive(self, fd: int, size: int) -> Identifier:
        """Announces a seekable fd of `size` bytes; takes ownership of it, on errors too.

        Raises:
            LimitExceeded: the guest leaves too many of them.
            HostFault: no guest could map it.
        """
        if not 0 < size <= MAX_BLOB_SIZE or len(self._received) >= MAX_UNTAKEN_BLOBS:
            os.close(fd)
            if size:
                raise LimitExceeded(f"a file of {size} bytes, {len(self._received)} others not fetched yet")
            raise HostFault("an empty file for the guest")
        identifier = self._counter.take()
        self._received[identifier] = (fd, size)
        return Identifier(identifier, IdentifierType.VIRTGPU_BLOB, size)

    def require_image(self, width: int, height: int, drm_format: int) -> ImageRequirements:
        """The answer to GET_IMAGE_REQUIREMENTS.  Images of one size in bytes share an identifier.

        Raises:
            GuestFault: see `image_requirements`; or too many different sizes.
        """
        requirements = image_requirements(width, height, drm_format)
        identifier = self._with_size.get(requirements.size)
        if identifier is None:
            if len(self._size_of) >= MAX_IMAGE_SIZES:
                raise LimitExceeded(f"images of {MAX_IMAGE_SIZES} different sizes")
            identifier = self._counter.take()
            self._size_of[identifier] = requirements.size
            self._with_size[requirements.size] = identifier
        return requirements._replace(blob_id=identifier)

    def take(self, blob_id: int, size: int) -> HostMemory:
        """The memory for a blob of `size` bytes; the caller owns it.

        The contents of a received file are copied: a keymap is often sealed or read-only, which no
        VMM can map; a guest must not write what other clients of the compositor read; and whoever
        could shrink the file could crash the VMM.  A dmabuf can't be copied and has none of that.

        Raises:
            GuestFault: no such identifier, taken before, or the wrong size.
        """
        expected = self._size_of.get(blob_id)
        if expected is not None:
            if size != expected:
                raise GuestFault(f"blob {blob_id} has {expected} bytes, not {size}")
            return HostMemory.create(size)
        fd, raw_size = self._received.pop(blob_id, (-1, 0))
        if fd < 0:
            raise GuestFault(f"there is no blob {blob_id}")
        if round_to_pages(size) != round_to_pages(raw_size):
            os.close(fd)
            raise GuestFault(f"blob {blob_id} has {raw_size} bytes, not {size}")
        if is_dmabuf(fd):
            return HostMemory(fd, round_to_pages(size))
        try:
            return HostMemory.copy_of(fd, raw_size)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Gives up everything that was not fetched."""
        for fd, _size in self._received.values():
            os.close(fd)
        self._received.clear()


def is_dmabuf(fd: int) -> bool:
    """Whether `fd` is a dmabuf, whose size is whole pages and whose bytes pread can't read."""
    return os.readlink(f"/proc/self/fd/{fd}").startswith(_DMABUF_LINK)


def size_of(fd: int) -> int | None:
    """Bytes of a file that a guest could map (a memfd, a regular file, a dmabuf), else None."""
    if not stat.S_ISREG(os.fstat(fd).st_mode) and not is_dmabuf(fd):
        return None
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    except OSError:
        return None
