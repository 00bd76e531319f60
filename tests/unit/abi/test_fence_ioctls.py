"""Numbers of the ioctls around fences, as C's macros make them on x86-64 and arm64."""

import pytest

from crossdomain.abi import dma_buf, drm_syncobj, sync_file


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (dma_buf.DMA_BUF_IOCTL_SYNC, 0x40086200),
        (dma_buf.DMA_BUF_IOCTL_EXPORT_SYNC_FILE, 0xC0086202),
        (sync_file.SYNC_IOC_FILE_INFO, 0xC0383E04),
        (drm_syncobj.DRM_IOCTL_GET_CAP, 0xC010640C),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_CREATE, 0xC00864BF),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_DESTROY, 0xC00864C0),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, 0xC01064C1),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, 0xC01064C2),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_QUERY, 0xC01864CB),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_TRANSFER, 0xC02064CC),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, 0xC01864CD),
        (drm_syncobj.DRM_IOCTL_SYNCOBJ_EVENTFD, 0xC01864CF),
    ],
    ids=hex,
)
def test_the_number_is_the_headers(number: int, expected: int) -> None:
    assert number == expected
