"""How the pixels of every wl_shm format lie in memory.

wl_shm describes a buffer by offset, width, height, stride and a format, which is a
DRM fourcc (but argb8888 is 0 and xrgb8888 is 1).  Formats of several planes have
them one after the other, as Weston expects it: the stride is that of the first
plane, the others' follow from it.
"""

from enum import IntEnum
from functools import cache
from typing import Final, NamedTuple

from crossdomain.wire.faults import WireFault

INT32_MAX: Final = 0x7FFFFFFF


class ShmError(IntEnum):
    """Codes of the wl_shm.error enum."""

    INVALID_FORMAT = 0
    INVALID_STRIDE = 1
    INVALID_FD = 2


class PlaneFormat(NamedTuple):
    """One plane: `block_bytes` for every `block_width` samples of a row.

    A sample stands for `horizontal` x `vertical` pixels.
    """

    block_bytes: int
    block_width: int = 1
    horizontal: int = 1
    vertical: int = 1


class Plane(NamedTuple):
    """One plane of a certain buffer: offset from the buffer's start, stride and length in bytes."""

    offset: int
    stride: int
    rows: int
    format: PlaneFormat


class Layout(NamedTuple):
    """Where the pixels of one buffer lie, `size` bytes in all from its start."""

    width: int
    height: int
    size: int
    planes: tuple[Plane, ...]


def _packed(block_bytes: int, block_width: int = 1) -> tuple[PlaneFormat, ...]:
    return (PlaneFormat(block_bytes, block_width),)


def _chroma(first: PlaneFormat, second: PlaneFormat, count: int = 1) -> tuple[PlaneFormat, ...]:
    return (first, *[second] * count)


def _subsampled(sample: int, horizontal: int, vertical: int) -> tuple[PlaneFormat, ...]:
    """Three planes of `sample` bytes, the last two subsampled."""
    return _chroma(PlaneFormat(sample), PlaneFormat(sample, 1, horizontal, vertical), 2)


def _semiplanar(sample: int, horizontal: int, vertical: int) -> tuple[PlaneFormat, ...]:
    """A plane of `sample` bytes, and one of pairs of them."""
    return _chroma(PlaneFormat(sample), PlaneFormat(2 * sample, 1, horizontal, vertical))


# fourccs by layout (drm_fourcc.h).  Left out are those that exist only with a modifier (YU08, YU10, VU30) and
# those of two-dimensional blocks (Y0L0, X0L0, Y0L2, X0L2), for which wl_shm's stride has no agreed meaning.
_FOURCCS: Final = (
    (_packed(1, 8), "C1 D1 R1"),
    (_packed(1, 4), "C2 D2 R2"),
    (_packed(1, 2), "C4 D4 R4"),
    (_packed(1), "C8 D8 R8 RGB8 BGR8 GREY"),
    (_packed(2), "XR12 XB12 RX12 BX12 AR12 AB12 RA12 BA12 XR15 XB15 RX15 BX15 AR15 AB15 RA15 BA15 RG16 BG16"),
    (_packed(2), "R10 R12 R16 RG88 GR88"),
    (_packed(3), "RG24 BG24 VU24"),
    (_packed(4), "XB24 RX24 BX24 AB24 RA24 BA24 XR30 XB30 RX30 BX30 AR30 AB30 RA30 BA30"),
    (_packed(4), "RG32 GR32 AYUV XYUV AVUY XVUY Y410 XV30 XY30"),
    (_packed(6), "RG48 BG48"),
    (_packed(8), "XR4H XB4H AR4H AB4H XR48 XB48 AR48 AB48 AB10 Y412 Y416 XV36 XV48"),
    (_packed(4, 3), "YPA4"),
    (_packed(4, 2), "YUYV YVYU UYVY VYUY"),
    (_packed(8, 2), "Y210 Y212 Y216"),
    (_subsampled(1, 4, 4), "YUV9 YVU9"),
    (_subsampled(1, 4, 1), "YU11 YV11"),
    (_subsampled(1, 2, 2), "YU12 YV12"),
    (_subsampled(1, 2, 1), "YU16 YV16"),
    (_subsampled(1, 1, 1), "YU24 YV24"),
    (_subsampled(2, 1, 1), "Q410 Q401 S410 S412 S416"),
    (_subsampled(2, 2, 2), "S010 S012 S016"),
    (_subsampled(2, 2, 1), "S210 S212 S216"),
    (_semiplanar(1, 2, 2), "NV12 NV21"),
    (_semiplanar(1, 2, 1), "NV16 NV61"),
    (_semiplanar(1, 1, 1), "NV24 NV42"),
    (_semiplanar(2, 2, 2), "P010 P012 P016"),
    (_semiplanar(2, 2, 1), "P210"),
    (_chroma(PlaneFormat(5, 4), PlaneFormat(5, 2, 2, 2)), "NV15"),
    (_chroma(PlaneFormat(5, 4), PlaneFormat(5, 2, 2, 1)), "NV20"),
    (_chroma(PlaneFormat(5, 4), PlaneFormat(5, 2, 1, 1)), "NV30"),
    (_chroma(PlaneFormat(4, 3), PlaneFormat(8, 3, 2, 2)), "P030"),
    (_chroma(PlaneFormat(4, 3), PlaneFormat(8, 3, 2, 1)), "P230"),
    (_chroma(PlaneFormat(4, 3), PlaneFormat(4, 3), 2), "T430"),
    (_chroma(PlaneFormat(2), PlaneFormat(1)), "R5A8 B5A8"),
    (_chroma(PlaneFormat(3), PlaneFormat(1)), "R8A8 B8A8"),
    (_chroma(PlaneFormat(4), PlaneFormat(1)), "XRA8 XBA8 RXA8 BXA8"),
)

# Floating-point formats whose fourcc reads like "R  H" with blanks inside.
_SPACED: Final = (
    (_packed(2), ("R  H",)),
    (_packed(4), ("GR H", "R  F")),
    (_packed(6), ("BGRH",)),
    (_packed(8), ("GR F",)),
    (_packed(12), ("BGRF",)),
    (_packed(16), ("AB8F",)),
)


def fourcc(code: str) -> int:
    """Returns the number of a DRM fourcc, padded with blanks."""
    return int.from_bytes(code.ljust(4).encode("ascii"), "little")


@cache
def formats() -> dict[int, tuple[PlaneFormat, ...]]:
    """Returns the planes of every known format, by wl_shm's number."""
    known = {0: _packed(4), 1: _packed(4)}
    known |= {fourcc(code): planes for planes, codes in _FOURCCS for code in codes.split()}
    known |= {fourcc(code): planes for planes, codes in _SPACED for code in codes}
    return known


def layout(format_code: int, width: int, height: int, stride: int) -> Layout | None:
    """Returns where the pixels lie; None where the format is unknown or a row does not fit the stride.

    Width and height are px, the stride is bytes; all are positive.
    """
    plane_formats = formats().get(format_code)
    if plane_formats is None:
        return None
    first = plane_formats[0]
    planes: list[Plane] = []
    size = 0
    for plane in plane_formats:
        row = stride * plane.block_bytes * first.block_width
        row //= first.block_bytes * plane.block_width * plane.horizontal
        rows = -(-height // plane.vertical)
        if row < plane_row(plane, width):
            return None
        planes.append(Plane(size, row, rows, plane))
        size += row * rows
    return Layout(width, height, size, tuple(planes))


def plane_row(plane: PlaneFormat, width: int) -> int:
    """Returns the bytes of a row of `width` px."""
    samples = -(-width // plane.horizontal)
    return -(-samples // plane.block_width) * plane.block_bytes


class BufferRequest(NamedTuple):
    """The arguments of wl_shm_pool.create_buffer, and the pool they are for.

    `pool_size` is bytes, as the client last set it.
    """

    pool_id: int
    pool_size: int
    offset: int
    width: int
    height: int
    stride: int
    format: int


def check_buffer(request: BufferRequest) -> Layout:
    """Returns where the pixels of the new buffer lie, all inside the pool.

    Raises WireFault as libwayland does for the first plane (wl_shm.error); beyond
    that, no row may be longer than the stride, and all planes must lie in the pool.
    """
    if request.format not in formats():
        reason = f"invalid format {request.format:#x}"
        raise WireFault(request.pool_id, ShmError.INVALID_FORMAT, reason)
    positive = request.offset >= 0 and request.width > 0 and request.height > 0 and request.stride > 0
    bounded = positive and request.stride * request.height <= INT32_MAX
    found = layout(request.format, request.width, request.height, request.stride) if bounded else None
    if found is None or request.offset + found.size > request.pool_size:
        reason = f"invalid width, height or stride ({request.width}x{request.height}, {request.stride})"
        raise WireFault(request.pool_id, ShmError.INVALID_STRIDE, reason)
    return found
