"""The virtio-gpu driver's ioctls as functions, numbers and bytes in, numbers out, and who needs a handle.

Each raises OSError with the kernel's errno.  The layouts are `crossdomain.abi.virtgpu_drm`'s;
memory that an ioctl points to is kept alive here for the length of the call.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from struct import Struct

from crossdomain.abi import virtgpu_drm as abi
from crossdomain.native.system import address_of

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

DIRECTORY: Final = "/dev/dri"

_INT: Final = Struct("=i")
_HANDLE: Final = Struct("<I")
_NAME_SIZE: Final = 64
_MAX_DEBUG_NAME: Final = 62


class Blob:
    """A GEM object of ours, and the resource's number on the wire."""

    __slots__ = ("handle", "resource_id")

    def __init__(self, handle: int, resource_id: int) -> None:
        self.handle = handle
        self.resource_id = resource_id


class SharedHandles:
    """GEM handles that several need: the kernel knows an object by one, however often it is imported."""

    __slots__ = ("_fd", "_users")

    def __init__(self, fd: int) -> None:
        """`fd` is the node's, and stays the caller's."""
        self._fd = fd
        self._users: dict[int, int] = {}

    def take(self, handle: int) -> None:
        """One more needs it."""
        self._users[handle] = self._users.get(handle, 0) + 1

    def give_back(self, handle: int) -> None:
        """One needs it no longer; the last closes it."""
        self._users[handle] -= 1
        if not self._users[handle]:
            del self._users[handle]
            close_handle(self._fd, handle)


def render_nodes() -> list[str]:
    """Returns the paths of all render nodes, in order."""
    try:
        names = os.listdir(DIRECTORY)
    except OSError:
        return []
    return sorted(os.path.join(DIRECTORY, name) for name in names if name.startswith("renderD"))


def open_node(path: str) -> int:
    """Opens a render node without blocking reads; the caller owns the fd."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)


def driver_name(fd: int) -> bytes:
    """Returns what the driver of a DRM node calls itself."""
    name = bytearray(_NAME_SIZE)
    version = bytearray(abi.DRM_VERSION.pack(0, 0, 0, len(name), address_of(name), 0, 0, 0, 0))
    fcntl.ioctl(fd, abi.DRM_IOCTL_VERSION, version)
    length: int = abi.DRM_VERSION.unpack(version)[3]
    return bytes(name[:length])


def get_parameter(fd: int, parameter: int) -> int:
    """Returns a VIRTGPU_PARAM; 0 where this kernel does not know it."""
    value = bytearray(_INT.size)
    try:
        fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_GETPARAM, abi.GETPARAM.pack(parameter, address_of(value)))
    except OSError:
        return 0
    return int(_INT.unpack(value)[0])


def get_capset(fd: int, capset_id: int, size: int) -> bytes:
    """Returns up to `size` bytes of a capset; what the host does not fill stays zero."""
    capset = bytearray(size)
    request = abi.GET_CAPS.pack(capset_id, 0, address_of(capset), size, 0)
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_GET_CAPS, request)
    return bytes(capset)


def create_context(fd: int, capset_id: int, rings: int, poll_rings_mask: int, name: str) -> None:
    """Makes this open file a context of a capset; once, before anything else.

    `name` is for the host's log, where this kernel can pass it on.
    """
    chosen = {
        abi.VIRTGPU_CONTEXT_PARAM_CAPSET_ID: capset_id,
        abi.VIRTGPU_CONTEXT_PARAM_NUM_RINGS: rings,
        abi.VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK: poll_rings_mask,
    }
    string = name.encode(errors="replace")[:_MAX_DEBUG_NAME] + b"\0"
    if get_parameter(fd, abi.VIRTGPU_PARAM_EXPLICIT_DEBUG_NAME):
        chosen[abi.VIRTGPU_CONTEXT_PARAM_DEBUG_NAME] = address_of(string)
    parameters = b"".join(abi.CONTEXT_SET_PARAM.pack(*pair) for pair in chosen.items())
    count = len(chosen)
    fcntl.ioctl(
        fd, abi.DRM_IOCTL_VIRTGPU_CONTEXT_INIT, abi.CONTEXT_INIT.pack(count, 0, address_of(parameters))
    )


def create_blob(fd: int, memory: int, flags: int, size: int, blob_id: int) -> Blob:
    """Creates a blob of `size` bytes (whole pages); the caller closes its handle."""
    request = bytearray(abi.RESOURCE_CREATE_BLOB.pack(memory, flags, 0, 0, size, 0, 0, 0, blob_id))
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, request)
    _memory, _flags, handle, resource_id, *_rest = abi.RESOURCE_CREATE_BLOB.unpack(request)
    return Blob(handle, resource_id)


def import_dmabuf(fd: int, dmabuf: int) -> Blob:
    """Makes a resource of a dmabuf, whose fd stays the caller's; the caller closes its handle."""
    request = bytearray(abi.DRM_PRIME_HANDLE.pack(0, 0, dmabuf))
    fcntl.ioctl(fd, abi.DRM_IOCTL_PRIME_FD_TO_HANDLE, request)
    handle: int = abi.DRM_PRIME_HANDLE.unpack(request)[0]
    information = bytearray(abi.RESOURCE_INFO.pack(handle, 0, 0, 0))
    try:
        fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_RESOURCE_INFO, information)
    except OSError:
        close_handle(fd, handle)
        raise
    return Blob(handle, abi.RESOURCE_INFO.unpack(information)[1])


def memory_of(fd: int, handle: int) -> int:
    """Returns where a resource's memory is: VIRTGPU_BLOB_MEM_*, 0 where it is no blob."""
    information = bytearray(abi.RESOURCE_INFO.pack(handle, 0, 0, 0))
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_RESOURCE_INFO, information)
    memory: int = abi.RESOURCE_INFO.unpack(information)[3]
    return memory


def map_blob(fd: int, handle: int, size: int) -> mmap.mmap:
    """Maps a whole blob, shared and writable."""
    request = bytearray(abi.MAP.pack(0, handle, 0))
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_MAP, request)
    offset: int = abi.MAP.unpack(request)[0]
    if sys.version_info >= (3, 13):
        # Otherwise each mapping holds a duplicate of the fd, and a client with many buffers has many.
        return mmap.mmap(fd, size, offset=offset, trackfd=False)
    return mmap.mmap(fd, size, offset=offset)


def close_handle(fd: int, handle: int) -> None:
    """Drops a GEM handle; what is mapped or known to the host by other means lives on."""
    fcntl.ioctl(fd, abi.DRM_IOCTL_GEM_CLOSE, abi.DRM_GEM_CLOSE.pack(handle, 0))


def execute(fd: int, commands: bytes, *, ring_idx: int | None = None, handle: int = 0) -> None:
    """Submits commands, which the kernel copies; waits while the queue to the host is full.

    With `ring_idx` there is a fence on that ring; `handle` is a GEM object that `wait` then waits for.
    """
    handles = _HANDLE.pack(handle) if handle else b""
    flags = 0 if ring_idx is None else abi.VIRTGPU_EXECBUF_RING_IDX
    request = bytearray(
        abi.EXECBUFFER.pack(
            flags,
            len(commands),
            address_of(commands),
            address_of(handles) if handles else 0,
            len(handles) // _HANDLE.size,
            -1,
            ring_idx or 0,
            *(0, 0, 0, 0, 0),
        )
    )
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_EXECBUFFER, request)


def execute_fenced(fd: int, commands: bytes, ring_idx: int) -> int:
    """Submits commands; returns a sync file of their fence on that ring, which is the caller's."""
    flags = abi.VIRTGPU_EXECBUF_RING_IDX | abi.VIRTGPU_EXECBUF_FENCE_FD_OUT
    request = bytearray(
        abi.EXECBUFFER.pack(flags, len(commands), address_of(commands), 0, 0, -1, ring_idx, *(0, 0, 0, 0, 0))
    )
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_EXECBUFFER, request)
    return int(abi.EXECBUFFER.unpack(request)[5])


def wait(fd: int, handle: int) -> None:
    """Waits until the host has done what was submitted with `handle`; EBUSY after the kernel's 15 s."""
    fcntl.ioctl(fd, abi.DRM_IOCTL_VIRTGPU_WAIT, abi.WAIT.pack(handle, 0))
