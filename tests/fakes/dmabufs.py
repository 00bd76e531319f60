"""Dmabufs of every kind that a Linux guest can make without a GPU, and a memory file in their place.

Each maker takes bytes and returns an fd, which is the caller's.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from crossdomain.abi import cross_domain, udmabuf, virtgpu_drm
from crossdomain.abi.cross_domain import ImageRequirements
from launcher.channel import drm, render_node
from launcher.channel.virtgpu import VirtgpuChannel

Maker: TypeAlias = Callable[[int], int]

_DUMB: Final = struct.Struct("<IIIIIIQ")
_DRM_IOCTL_MODE_CREATE_DUMB: Final = 3 << 30 | _DUMB.size << 16 | ord("d") << 8 | 0xB2
_PRIME: Final = struct.Struct("<IIi")
_DRM_IOCTL_PRIME_HANDLE_TO_FD: Final = 3 << 30 | _PRIME.size << 16 | ord("d") << 8 | 0x2D
_HEAP: Final = struct.Struct("=QIIQ")
_DMA_HEAP_IOCTL_ALLOC: Final = 3 << 30 | _HEAP.size << 16 | ord("H") << 8
_RDWR_CLOEXEC: Final = os.O_RDWR | os.O_CLOEXEC


def pages(size: int) -> int:
    """`size` bytes in whole pages."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def memory_file(size: int) -> int:
    """No dmabuf, but what can be mapped and knows its size."""
    fd = os.memfd_create("dmabuf", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, pages(size))
    return fd


def of_udmabuf(size: int) -> int:
    """Pages of a memory file (/dev/udmabuf)."""
    file = memory_file(size)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    request = udmabuf.CREATE_LIST.pack(udmabuf.UDMABUF_FLAGS_CLOEXEC, 1)
    request += udmabuf.CREATE_ITEM.pack(file, 0, 0, pages(size))
    device = os.open(udmabuf.DEVICE, _RDWR_CLOEXEC)
    try:
        return int(fcntl.ioctl(device, udmabuf.UDMABUF_CREATE_LIST, bytearray(request)))
    finally:
        os.close(device)
        os.close(file)


def of_heap(size: int) -> int:
    """Memory of the system's dma-heap."""
    device = os.open("/dev/dma_heap/system", _RDWR_CLOEXEC)
    request = bytearray(_HEAP.pack(pages(size), 0, _RDWR_CLOEXEC, 0))
    try:
        fcntl.ioctl(device, _DMA_HEAP_IOCTL_ALLOC, request)
    finally:
        os.close(device)
    return int(_HEAP.unpack(request)[1])


def of_vgem(size: int) -> int:
    """A dumb buffer of vgem, a GPU that is none; its module has to be loaded."""
    device = _open_vgem()
    request = bytearray(_DUMB.pack(1, pages(size), 8, 0, 0, 0, 0))
    fcntl.ioctl(device, _DRM_IOCTL_MODE_CREATE_DUMB, request)
    handle = _DUMB.unpack(request)[4]
    try:
        return export(device, handle)
    finally:
        os.close(device)


def of_virtgpu(size: int) -> int:
    """A blob in memory of the host's, allocated as plain bytes."""
    return allocate(pages(size), 1, int.from_bytes(b"R8  ", "little"))[0]


def allocate(width: int, height: int, fourcc: int) -> tuple[int, ImageRequirements]:
    """An image as the host wants it (GET_IMAGE_REQUIREMENTS): a dmabuf, and how it lies there."""
    requirements = _require(width, height, fourcc)
    flags = virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_MAPPABLE | virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_SHAREABLE
    device = _channel().fileno()
    memory = virtgpu_drm.VIRTGPU_BLOB_MEM_HOST3D
    blob = drm.create_blob(device, memory, flags, requirements.size, requirements.blob_id)
    try:
        # Linux asks the host to map it before anybody else can see it.
        drm.map_blob(device, blob.handle, requirements.size).close()
        return export(device, blob.handle), requirements
    finally:
        drm.close_handle(device, blob.handle)


def export(device: int, handle: int) -> int:
    """A dmabuf of a GEM object (PRIME)."""
    request = bytearray(_PRIME.pack(handle, _RDWR_CLOEXEC, -1))
    fcntl.ioctl(device, _DRM_IOCTL_PRIME_HANDLE_TO_FD, request)
    return int(_PRIME.unpack(request)[2])


@cache
def _channel() -> VirtgpuChannel:
    """A cross-domain context of this program's own, as long as it runs."""
    node = render_node.find()
    return VirtgpuChannel(node.path, node.capset, "allocator")


def _require(width: int, height: int, fourcc: int) -> ImageRequirements:
    command = cross_domain.encode_get_image_requirements(width, height, fourcc)
    return cross_domain.parse_image_requirements(_channel().ask(command))


def _open_vgem() -> int:
    for name in sorted(os.listdir(drm.DIRECTORY)):
        if name.startswith("card"):
            device = os.open(f"{drm.DIRECTORY}/{name}", _RDWR_CLOEXEC)
            if drm.driver_name(device) == b"vgem":
                return device
            os.close(device)
    raise LookupError("vgem is not loaded")


MAKERS: Final[dict[str, Maker]] = {
    "file": memory_file,
    "udmabuf": of_udmabuf,
    "heap": of_heap,
    "vgem": of_vgem,
    "blob": of_virtgpu,
}
