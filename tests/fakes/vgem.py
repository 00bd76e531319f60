"""The virtual GEM provider: dmabufs whose fences a test attaches and signals, or does not.

Source: Linux `include/uapi/drm/vgem_drm.h`.  The driver ends each fence itself, with an error, after 10 s.
"""

import fcntl
import mmap
import os
from pathlib import Path
from struct import Struct
from typing import Final, Self

from crossdomain.abi import virtgpu_drm
from crossdomain.abi.ioctl import iow, iowr
from launcher.channel import drm

_CREATE_DUMB: Final = Struct("=IIIIIIQ")
"""height, width, bpp, flags, handle (out), pitch (out), size (out)."""
_FENCE_ATTACH: Final = Struct("=IIII")
"""handle, flags, out_fence, pad."""
_FENCE_SIGNAL: Final = Struct("=II")
"""fence, flags."""
_VGEM_FENCE_WRITE: Final = 1
_PRIME_FLAGS: Final = os.O_CLOEXEC | os.O_RDWR

_IOCTL_CREATE_DUMB: Final = iowr("d", 0xB2, _CREATE_DUMB)
_IOCTL_HANDLE_TO_FD: Final = iowr("d", 0x2D, virtgpu_drm.DRM_PRIME_HANDLE)
_IOCTL_FENCE_ATTACH: Final = iowr("d", 0x41, _FENCE_ATTACH)
_IOCTL_FENCE_SIGNAL: Final = iow("d", 0x42, _FENCE_SIGNAL)


class Vgem:
    """One open file of the device."""

    def __init__(self) -> None:
        self.fd = _open()

    def create(self, width: int, height: int) -> "VgemBuffer":
        """A buffer of 32-bit px."""
        request = bytearray(_CREATE_DUMB.pack(height, width, 32, 0, 0, 0, 0))
        fcntl.ioctl(self.fd, _IOCTL_CREATE_DUMB, request)
        *_, handle, stride, size = _CREATE_DUMB.unpack(request)
        return VgemBuffer(self, handle, stride, size)

    def signal(self, fence: int) -> None:
        """Ends a fence that `VgemBuffer.begin_writing` gave."""
        fcntl.ioctl(self.fd, _IOCTL_FENCE_SIGNAL, _FENCE_SIGNAL.pack(fence, 0))

    def close(self) -> None:
        """Gives all buffers up; their fences end."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VgemBuffer:
    """One buffer; `fd` is its dmabuf, `pixels` its bytes."""

    def __init__(self, device: Vgem, handle: int, stride: int, size: int) -> None:
        self._device = device
        self._handle = handle
        self.stride = stride
        self.size = size
        request = bytearray(virtgpu_drm.DRM_PRIME_HANDLE.pack(handle, _PRIME_FLAGS, -1))
        fcntl.ioctl(device.fd, _IOCTL_HANDLE_TO_FD, request)
        self.fd: int = virtgpu_drm.DRM_PRIME_HANDLE.unpack(request)[2]
        self.pixels = mmap.mmap(self.fd, size)

    def begin_writing(self) -> int:
        """Attaches a fence of somebody who writes; returns its number for `Vgem.signal`."""
        request = bytearray(_FENCE_ATTACH.pack(self._handle, _VGEM_FENCE_WRITE, 0, 0))
        fcntl.ioctl(self._device.fd, _IOCTL_FENCE_ATTACH, request)
        return int(_FENCE_ATTACH.unpack(request)[2])

    def close(self) -> None:
        """Gives it up; who imported it keeps it."""
        self.pixels.close()
        os.close(self.fd)
        drm.close_handle(self._device.fd, self._handle)


def _open() -> int:
    # Memory without a device is made by no render node.
    for path in sorted(Path(drm.DIRECTORY).glob("card*")):
        fd = drm.open_node(str(path))
        if drm.driver_name(fd) == b"vgem":
            return fd
        os.close(fd)
    raise LookupError("no vgem: modprobe vgem")
