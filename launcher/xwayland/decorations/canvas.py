"""wl_buffers of our own, in shared memory."""

import os
from mmap import mmap
from typing import Final

from crossdomain.wire.codec import Value
from launcher.xwayland.wayland.proxy import Proxy

ARGB: Final = 0
XRGB: Final = 1
_PAGE: Final = 4096


class Buffer:
    """One wl_buffer of a fixed size with memory of its own."""

    def __init__(self, shm: Proxy, width: int, height: int, format_: int) -> None:
        """`width` and `height` in px, 4 bytes each.  Raises OSError where there is no memory."""
        self.size = (width, height)
        self.is_busy = False
        """Whether the compositor may be reading it."""
        size = max(_PAGE, width * height * 4)
        fd = os.memfd_create("crossdomain-frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            self._memory = mmap(fd, size)
        except OSError:
            os.close(fd)
            raise
        pool = shm.create("create_pool", fd, size)
        self.proxy = pool.create("create_buffer", 0, width, height, width * 4, format_)
        pool.send("destroy")
        self.proxy.handlers["release"] = self._handle_release

    def write(self, pixels: bytes) -> None:
        """Fills it, row by row."""
        self._memory[: len(pixels)] = pixels

    def close(self) -> None:
        """Gives it up; the compositor keeps what it is showing."""
        self.proxy.send("destroy")
        self._memory.close()

    def _handle_release(self, _values: tuple[Value, ...], _fds: list[int]) -> None:
        self.is_busy = False


class Canvas:
    """A surface's buffers: as many as the compositor keeps busy, two as a rule."""

    def __init__(self, shm: Proxy, format_: int) -> None:
        self._shm = shm
        self._format = format_
        self._buffers: list[Buffer] = []

    def draw(self, surface: Proxy, width: int, height: int, pixels: bytes) -> None:
        """Attaches pixels to a surface and damages it; a commit has to follow."""
        surface.send("attach", self.fill(width, height, pixels).proxy, 0, 0)
        surface.send("damage_buffer", 0, 0, width, height)

    def fill(self, width: int, height: int, pixels: bytes) -> Buffer:
        """Returns a buffer with pixels, which is to be attached to the surface."""
        buffer = self._find(width, height)
        buffer.write(pixels)
        buffer.is_busy = True
        return buffer

    def close(self) -> None:
        """Gives all of them up."""
        for buffer in self._buffers:
            buffer.close()
        self._buffers.clear()

    def _find(self, width: int, height: int) -> Buffer:
        for buffer in [buffer for buffer in self._buffers if not buffer.is_busy]:
            if buffer.size == (width, height):
                return buffer
            buffer.close()
            self._buffers.remove(buffer)
        buffer = Buffer(self._shm, width, height, self._format)
        self._buffers.append(buffer)
        return buffer
