"""Layouts and numbers of the Linux virtio-gpu driver's user interface.

Source: Linux `include/uapi/drm/virtgpu_drm.h` and `include/uapi/drm/drm.h`, named as there.
Every layout is a `struct` format in native alignment without holes; pointers travel as
unsigned 64-bit numbers.  `launcher.channel.virtgpu` is the one user.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False  # the launcher has these before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

_IOC_WRITE: Final = 1
_IOC_READ: Final = 2
_DRM_IOCTL_BASE: Final = ord("d")
_DRM_COMMAND_BASE: Final = 0x40


def _ioc(direction: int, number: int, size: int) -> int:
    """Number an ioctl as `_IOC` of `asm-generic/ioctl.h` does."""
    return direction << 30 | size << 16 | _DRM_IOCTL_BASE << 8 | number


def _command(number: int, layout: Struct) -> int:
    """Number a driver-specific read-write ioctl (`DRM_IOWR(DRM_COMMAND_BASE + ...)`)."""
    return _ioc(_IOC_READ | _IOC_WRITE, _DRM_COMMAND_BASE + number, layout.size)


# drm.h: what every DRM driver has.

DRM_VERSION: Final = Struct("<iiixxxxQQQQQQ")
"""version_major, version_minor, version_patchlevel, then length and address of name, date and desc."""

DRM_GEM_CLOSE: Final = Struct("<II")
"""handle, pad."""

DRM_PRIME_HANDLE: Final = Struct("<IIi")
"""handle (out), flags, fd."""

DRM_IOCTL_VERSION: Final = _ioc(_IOC_READ | _IOC_WRITE, 0x00, DRM_VERSION.size)
DRM_IOCTL_GEM_CLOSE: Final = _ioc(_IOC_WRITE, 0x09, DRM_GEM_CLOSE.size)

DRM_IOCTL_PRIME_FD_TO_HANDLE: Final = _ioc(_IOC_READ | _IOC_WRITE, 0x2E, DRM_PRIME_HANDLE.size)

DRM_EVENT: Final = Struct("<II")
"""type, length of the whole event in bytes, header included."""

DRIVER_NAME: Final = b"virtio_gpu"
"""What DRM_IOCTL_VERSION calls the driver."""

# virtgpu_drm.h

MAP: Final = Struct("<QII")
"""offset for mmap (out), handle, pad."""

EXECBUFFER: Final = Struct("<IIQQIiIIIIQQ")
"""flags, size, command, bo_handles, num_bo_handles, fence_fd, ring_idx, syncobj_stride, num_in_syncobjs,
num_out_syncobjs, in_syncobjs, out_syncobjs."""

GETPARAM: Final = Struct("<QQ")
"""param, address of an int that receives the value."""

RESOURCE_INFO: Final = Struct("<IIII")
"""bo_handle, res_handle (out), size (out), blob_mem (out)."""

WAIT: Final = Struct("<II")
"""handle, flags."""

GET_CAPS: Final = Struct("<IIQII")
"""cap_set_id, cap_set_ver, addr, size, pad."""

RESOURCE_CREATE_BLOB: Final = Struct("<IIIIQIIQQ")
"""blob_mem, blob_flags, bo_handle (out), res_handle (out), size, pad, cmd_size, cmd, blob_id."""

CONTEXT_INIT: Final = Struct("<IIQ")
"""num_params, pad, address of that many CONTEXT_SET_PARAM."""

CONTEXT_SET_PARAM: Final = Struct("<QQ")
"""param, value."""

DRM_IOCTL_VIRTGPU_MAP: Final = _command(0x01, MAP)
DRM_IOCTL_VIRTGPU_EXECBUFFER: Final = _command(0x02, EXECBUFFER)
DRM_IOCTL_VIRTGPU_GETPARAM: Final = _command(0x03, GETPARAM)
DRM_IOCTL_VIRTGPU_RESOURCE_INFO: Final = _command(0x05, RESOURCE_INFO)
DRM_IOCTL_VIRTGPU_WAIT: Final = _command(0x08, WAIT)
DRM_IOCTL_VIRTGPU_GET_CAPS: Final = _command(0x09, GET_CAPS)
DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB: Final = _command(0x0A, RESOURCE_CREATE_BLOB)
DRM_IOCTL_VIRTGPU_CONTEXT_INIT: Final = _command(0x0B, CONTEXT_INIT)

VIRTGPU_EXECBUF_FENCE_FD_OUT: Final = 0x02
VIRTGPU_EXECBUF_RING_IDX: Final = 0x04

VIRTGPU_PARAM_3D_FEATURES: Final = 1
VIRTGPU_PARAM_CAPSET_QUERY_FIX: Final = 2
VIRTGPU_PARAM_RESOURCE_BLOB: Final = 3
VIRTGPU_PARAM_HOST_VISIBLE: Final = 4
VIRTGPU_PARAM_CROSS_DEVICE: Final = 5
VIRTGPU_PARAM_CONTEXT_INIT: Final = 6
VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs: Final = 7
VIRTGPU_PARAM_EXPLICIT_DEBUG_NAME: Final = 8

VIRTGPU_BLOB_MEM_GUEST: Final = 1
VIRTGPU_BLOB_MEM_HOST3D: Final = 2
VIRTGPU_BLOB_FLAG_USE_MAPPABLE: Final = 1
VIRTGPU_BLOB_FLAG_USE_SHAREABLE: Final = 2

VIRTGPU_CONTEXT_PARAM_CAPSET_ID: Final = 1
VIRTGPU_CONTEXT_PARAM_NUM_RINGS: Final = 2
VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK: Final = 3
VIRTGPU_CONTEXT_PARAM_DEBUG_NAME: Final = 4
"""Address of a string of at most 63 bytes and a NUL; where EXPLICIT_DEBUG_NAME says so (Linux 6.11)."""

VIRTGPU_EVENT_FENCE_SIGNALED: Final = 0x90000000
