"""Image requirements: how an image of a format, width and height lies in linear memory.

Pure arithmetic for GET_IMAGE_REQUIREMENTS.  Formats are DRM fourccs (drm_fourcc.h), which
wl_shm shares but for its two oldest.
"""

from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import ImageRequirements
from crossdomain.context.memory import round_to_pages
from crossdomain.errors import GuestFault, LimitExceeded
from crossdomain.limits import MAX_BLOB_SIZE

FORMAT_MOD_LINEAR: Final = 0

STRIDE_ALIGNMENT: Final = 64
"""Bytes.  GPUs and scan-out engines import rows at multiples of 64 (AMD: 256, not asked for here)."""


class Plane(NamedTuple):
    """One plane: bytes of a sample, and how many pixels share one in each direction."""

    bytes_per_sample: int
    horizontal: int = 1
    vertical: int = 1


def fourcc(code: str) -> int:
    """The number of a four-letter format name, as `fourcc_code` makes it."""
    return int.from_bytes(code.encode("ascii"), "little")


R8: Final = fourcc("R8  ")

_PACKED: Final = {
    1: ("R8  ", "C8  ", "RGB8", "BGR8"),
    2: (
        *("R16 ", "RG88", "GR88", "RG16", "BG16"),
        *("XR12", "XB12", "RX12", "BX12", "AR12", "AB12", "RA12", "BA12"),
        *("XR15", "XB15", "RX15", "BX15", "AR15", "AB15", "RA15", "BA15"),
        *("YUYV", "YVYU", "UYVY", "VYUY"),
    ),
    3: ("RG24", "BG24"),
    4: (
        *("XR24", "XB24", "RX24", "BX24", "AR24", "AB24", "RA24", "BA24"),
        *("XR30", "XB30", "RX30", "BX30", "AR30", "AB30", "RA30", "BA30"),
        *("RG32", "GR32", "AYUV", "XYUV"),
    ),
    8: ("XR4H", "XB4H", "AR4H", "AB4H", "XR48", "XB48", "AR48", "AB48"),
}
_PLANAR: Final = {
    ("NV12", "NV21"): (Plane(1), Plane(2, 2, 2)),
    ("NV16", "NV61"): (Plane(1), Plane(2, 2, 1)),
    ("NV24", "NV42"): (Plane(1), Plane(2)),
    ("P010", "P012", "P016"): (Plane(2), Plane(4, 2, 2)),
    ("P210",): (Plane(2), Plane(4, 2, 1)),
    ("YU12", "YV12"): (Plane(1), Plane(1, 2, 2), Plane(1, 2, 2)),
    ("YU16", "YV16"): (Plane(1), Plane(1, 2, 1), Plane(1, 2, 1)),
    ("YU24", "YV24"): (Plane(1), Plane(1), Plane(1)),
}

FORMATS: Final[dict[int, tuple[Plane, ...]]] = {
    fourcc(code): (Plane(size),) for size, codes in _PACKED.items() for code in codes
} | {fourcc(code): planes for codes, planes in _PLANAR.items() for code in codes}
"""Every format whose memory is linear rows of whole samples."""


def image_requirements(width: int, height: int, drm_format: int) -> ImageRequirements:
    """Strides, offsets and size in bytes of a linear image; `blob_id` is 0, to be filled in.

    R8 is not padded: guests ask for it when they mean plain memory of `width` x `height` bytes.

    Raises:
        GuestFault: no such format, or no pixels.
        LimitExceeded: more than MAX_BLOB_SIZE.
    """
    planes = FORMATS.get(drm_format)
    if planes is None:
        raise GuestFault(f"no image requirements for format {drm_format:#x}")
    if width == 0 or height == 0:
        raise GuestFault(f"an image of {width} x {height}")
    alignment = 1 if drm_format == R8 else STRIDE_ALIGNMENT
    strides, offsets, size = [0, 0, 0, 0], [0, 0, 0, 0], 0
    for index, plane in enumerate(planes):
        samples = -(-width // plane.horizontal)
        strides[index] = -(-samples * plane.bytes_per_sample // alignment) * alignment
        offsets[index] = size
        size += strides[index] * -(-height // plane.vertical)
    if size > MAX_BLOB_SIZE:
        raise LimitExceeded(f"an image of {width} x {height} takes {size} bytes")
    (s0, s1, s2, s3), (o0, o1, o2, o3) = strides, offsets
    return ImageRequirements((s0, s1, s2, s3), (o0, o1, o2, o3), FORMAT_MOD_LINEAR, round_to_pages(size), 0)
