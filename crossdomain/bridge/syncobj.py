"""DRM's sync objects as timelines: fences at numbered points, on any DRM device that has them.

Handles belong to one open file of a device, fds cross processes and devices.  Everything raises
OSError with the kernel's errno where it refuses.
"""

import errno
import fcntl
import os
from struct import Struct
from typing import Final, Self

from crossdomain.abi import drm_syncobj as abi
from crossdomain.bridge.fences import Fence
from crossdomain.native.system import address_of

_HANDLE: Final = Struct("=I")
_POINT: Final = Struct("=Q")
_NO_HANDLE: Final = 0
_DIRECTORY: Final = "/dev/dri"


class SyncDevice:
    """One open file of a DRM device with timelines."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        """Takes ownership of `fd`, which `has_timelines`."""
        self._fd = fd

    @property
    def fd(self) -> int:
        """The device's own."""
        return self._fd

    @classmethod
    def open(cls, path: str) -> Self | None:
        """The device at `path`; None where it has no timelines, or can't be opened."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        if has_timelines(fd):
            return cls(fd)
        os.close(fd)
        return None

    @classmethod
    def find(cls) -> Self | None:
        """The first render node of this machine that has timelines."""
        try:
            names = sorted(name for name in os.listdir(_DIRECTORY) if name.startswith("renderD"))
        except OSError:
            return None
        return next(filter(None, (cls.open(f"{_DIRECTORY}/{name}") for name in names)), None)

    def create_timeline(self, *, signalled: bool = False) -> "Timeline":
        """A new one, at point 0; the caller closes it."""
        flags = abi.DRM_SYNCOBJ_CREATE_SIGNALED if signalled else 0
        created = _call(self._fd, abi.DRM_IOCTL_SYNCOBJ_CREATE, abi.DRM_SYNCOBJ_CREATE, _NO_HANDLE, flags)
        return Timeline(self._fd, created[0])

    def import_timeline(self, fd: int) -> "Timeline":
        """The one behind an fd, which stays the caller's, as the timeline's closing does.

        Raises:
            OSError: it is none.
        """
        found = _call(
            self._fd, abi.DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, abi.DRM_SYNCOBJ_HANDLE, _NO_HANDLE, 0, fd, 0
        )
        return Timeline(self._fd, found[0])

    def close(self) -> None:
        """Gives the device up, with all its timelines."""
        os.close(self._fd)


class Timeline:
    """One sync object of a device that is open as long as this is used."""

    __slots__ = ("_device", "_handle")

    def __init__(self, device: int, handle: int) -> None:
        """Takes ownership of `handle`; the device's fd stays the caller's."""
        self._device = device
        self._handle = handle

    @property
    def handle(self) -> int:
        """Its number among those of the device's open file."""
        return self._handle

    def fence(self, point: int) -> Fence:
        """A fence that is over when `point` has signalled, which may not have been submitted yet."""
        eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        request = abi.DRM_SYNCOBJ_EVENTFD.pack(self._handle, 0, point, eventfd, 0)
        try:
            fcntl.ioctl(self._device, abi.DRM_IOCTL_SYNCOBJ_EVENTFD, request)
        except OSError:
            os.close(eventfd)
            raise
        return Fence.of_eventfd(eventfd)

    def signal(self, point: int) -> None:
        """`point` and all before it have signalled."""
        handle, value = bytearray(_HANDLE.pack(self._handle)), bytearray(_POINT.pack(point))
        request = abi.DRM_SYNCOBJ_TIMELINE_ARRAY.pack(address_of(handle), address_of(value), 1, 0)
        fcntl.ioctl(self._device, abi.DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, request)

    def query(self) -> int:
        """Returns the last point that has signalled."""
        handle, value = bytearray(_HANDLE.pack(self._handle)), bytearray(_POINT.pack(0))
        request = abi.DRM_SYNCOBJ_TIMELINE_ARRAY.pack(address_of(handle), address_of(value), 1, 0)
        fcntl.ioctl(self._device, abi.DRM_IOCTL_SYNCOBJ_QUERY, request)
        return int(_POINT.unpack(value)[0])

    def import_sync_file(self, point: int, sync_file: int) -> None:
        """`point` signals when a sync file does, whose fd stays the caller's."""
        carrier = _call(self._device, abi.DRM_IOCTL_SYNCOBJ_CREATE, abi.DRM_SYNCOBJ_CREATE, _NO_HANDLE, 0)[0]
        try:
            _call(
                self._device,
                abi.DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE,
                abi.DRM_SYNCOBJ_HANDLE,
                *(carrier, abi.DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE, sync_file, 0),
            )
            self._transfer(carrier, 0, self._handle, point)
        finally:
            _destroy(self._device, carrier)

    def export_sync_file(self, point: int) -> int:
        """Returns a sync file of what is submitted for `point`; the caller owns it.

        Raises:
            OSError: EINVAL where nothing is.
        """
        carrier = _call(self._device, abi.DRM_IOCTL_SYNCOBJ_CREATE, abi.DRM_SYNCOBJ_CREATE, _NO_HANDLE, 0)[0]
        try:
            self._transfer(self._handle, point, carrier, 0)
            exported = _call(
                self._device,
                abi.DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD,
                abi.DRM_SYNCOBJ_HANDLE,
                *(carrier, abi.DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE, -1, 0),
            )
        finally:
            _destroy(self._device, carrier)
        return exported[2]

    def export(self) -> int:
        """Returns an fd of the timeline, which other processes can import; the caller owns it."""
        exported = _call(
            self._device, abi.DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, abi.DRM_SYNCOBJ_HANDLE, self._handle, 0, -1, 0
        )
        return exported[2]

    def close(self) -> None:
        """Forgets it; who imported it keeps it, and fences of it go on.  May be called again."""
        if self._handle != _NO_HANDLE:
            _destroy(self._device, self._handle)
            self._handle = _NO_HANDLE

    def _transfer(self, source: int, source_point: int, destination: int, destination_point: int) -> None:
        request = abi.DRM_SYNCOBJ_TRANSFER.pack(source, destination, source_point, destination_point, 0, 0)
        fcntl.ioctl(self._device, abi.DRM_IOCTL_SYNCOBJ_TRANSFER, request)


def has_timelines(fd: int) -> bool:
    """Whether a DRM device, whose fd stays the caller's, has timelines that can be awaited by eventfd."""
    try:
        _capability, value = _call(
            fd, abi.DRM_IOCTL_GET_CAP, abi.DRM_GET_CAP, abi.DRM_CAP_SYNCOBJ_TIMELINE, 0
        )
        if not value:
            return False
        _call(fd, abi.DRM_IOCTL_SYNCOBJ_EVENTFD, abi.DRM_SYNCOBJ_EVENTFD, _NO_HANDLE, 0, 0, -1, 0)
    except OSError as error:
        # It knows the ioctl, and there is no such object.
        return error.errno == errno.ENOENT
    return False


def _call(fd: int, number: int, layout: Struct, *values: int) -> tuple[int, ...]:
    """Returns the values as the kernel has left them."""
    request = bytearray(layout.pack(*values))
    fcntl.ioctl(fd, number, request)
    return layout.unpack(request)


def _destroy(device: int, handle: int) -> None:
    fcntl.ioctl(device, abi.DRM_IOCTL_SYNCOBJ_DESTROY, abi.DRM_SYNCOBJ_DESTROY.pack(handle, 0))
