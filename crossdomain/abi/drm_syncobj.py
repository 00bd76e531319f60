"""Layouts and numbers of DRM's sync objects: containers of fences, with or without a timeline.

Source: Linux `include/uapi/drm/drm.h`, named as there.  Every DRM device whose driver says so has them, and
an fd of one is good on every such device.
"""

from struct import Struct
from typing import Final

from crossdomain.abi.ioctl import iowr

DRM_GET_CAP: Final = Struct("=QQ")
"""capability, value (out)."""
DRM_CAP_SYNCOBJ_TIMELINE: Final = 0x14

DRM_SYNCOBJ_CREATE: Final = Struct("=II")
"""handle (out), flags."""
DRM_SYNCOBJ_CREATE_SIGNALED: Final = 1
DRM_SYNCOBJ_DESTROY: Final = Struct("=II")
"""handle, pad."""

DRM_SYNCOBJ_HANDLE: Final = Struct("=IIiI")
"""handle, flags, fd, pad; which of them is the result depends on the ioctl."""
DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE: Final = 1
"""The fd is a sync file, whose fence goes into the object `handle`."""
DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE: Final = 1
"""The fd is a sync file of the object's fence."""

DRM_SYNCOBJ_TIMELINE_ARRAY: Final = Struct("=QQII")
"""addresses of the handles and of their points, count_handles, flags."""
DRM_SYNCOBJ_TRANSFER: Final = Struct("=IIQQII")
"""src_handle, dst_handle, src_point, dst_point, flags, pad."""
DRM_SYNCOBJ_EVENTFD: Final = Struct("=IIQiI")
"""handle, flags, point, fd, pad."""

DRM_IOCTL_GET_CAP: Final = iowr("d", 0x0C, DRM_GET_CAP)
DRM_IOCTL_SYNCOBJ_CREATE: Final = iowr("d", 0xBF, DRM_SYNCOBJ_CREATE)
DRM_IOCTL_SYNCOBJ_DESTROY: Final = iowr("d", 0xC0, DRM_SYNCOBJ_DESTROY)
DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD: Final = iowr("d", 0xC1, DRM_SYNCOBJ_HANDLE)
DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE: Final = iowr("d", 0xC2, DRM_SYNCOBJ_HANDLE)
DRM_IOCTL_SYNCOBJ_QUERY: Final = iowr("d", 0xCB, DRM_SYNCOBJ_TIMELINE_ARRAY)
DRM_IOCTL_SYNCOBJ_TRANSFER: Final = iowr("d", 0xCC, DRM_SYNCOBJ_TRANSFER)
DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL: Final = iowr("d", 0xCD, DRM_SYNCOBJ_TIMELINE_ARRAY)
DRM_IOCTL_SYNCOBJ_EVENTFD: Final = iowr("d", 0xCF, DRM_SYNCOBJ_EVENTFD)
"""Writes the eventfd when the point is there, whether or not it was submitted before (Linux 6.6)."""
