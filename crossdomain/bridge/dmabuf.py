"""What a wl_buffer of dmabufs has to be, and how its pixels lie: the rules of zwp_linux_buffer_params_v1.

Plain numbers in, a layout or the protocol's error out.  Linear memory alone is known here.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from crossdomain.bridge.formats import INT32_MAX, Layout, Plane, formats, fourcc, layout, plane_row
from crossdomain.wire.faults import WireFault

MAX_PLANES: Final = 4
DRM_FORMAT_MOD_LINEAR: Final = 0
DRM_FORMAT_MOD_INVALID: Final = 0x00FFFFFFFFFFFFFF
"""No modifier: what the driver that made it means, linear where there is no GPU (drm_fourcc.h)."""
_UINT32_MAX: Final = 0xFFFFFFFF
_STRIDE_ALIGNMENT: Final = 4
"""Bytes, of a mirror: pixman, with which some compositors draw, takes no other stride."""

_SHM_CODES: Final = {fourcc("AR24"): 0, fourcc("XR24"): 1}
"""The two formats that wl_shm numbers otherwise."""
_FOURCCS: Final = {code: number for number, code in _SHM_CODES.items()}


class ParamsError(IntEnum):
    """Codes of the zwp_linux_buffer_params_v1.error enum."""

    ALREADY_USED = 0
    PLANE_IDX = 1
    PLANE_SET = 2
    INCOMPLETE = 3
    INVALID_FORMAT = 4
    INVALID_DIMENSIONS = 5
    OUT_OF_BOUNDS = 6
    INVALID_WL_BUFFER = 7


class Image(NamedTuple):
    """The arguments of create and create_immed, and the params they are for; px."""

    params_id: int
    width: int
    height: int
    fourcc: int
    flags: int


class PlaneMemory(NamedTuple):
    """One plane of it: offset and stride, and the size of its dmabuf; bytes."""

    offset: int
    stride: int
    size: int


def shm_code(fourcc_: int) -> int:
    """Returns wl_shm's number of a format."""
    return _SHM_CODES.get(fourcc_, fourcc_)


def drm_fourcc(code: int) -> int:
    """Returns the fourcc of one of wl_shm's formats."""
    return _FOURCCS.get(code, code)


def check_image(image: Image, memories: Sequence[PlaneMemory | None]) -> None:
    """Checks the planes, by index, against the image.

    Raises:
        WireFault: a plane is missing or too many, the format is unknown, or a plane leaves its dmabuf.
    """
    plane_formats = formats().get(shm_code(image.fourcc))
    if plane_formats is None:
        raise _fault(image, ParamsError.INVALID_FORMAT, f"unknown format {image.fourcc:#x}")
    if image.width < 1 or image.height < 1:
        text = f"invalid width {image.width} or height {image.height}"
        raise _fault(image, ParamsError.INVALID_DIMENSIONS, text)
    found = [memory for memory in memories[: len(plane_formats)] if memory is not None]
    if len(found) != len(plane_formats) or any(memories[len(plane_formats) :]):
        text = f"format {image.fourcc:#x} has {len(plane_formats)} planes"
        raise _fault(image, ParamsError.INCOMPLETE, text)
    for index, (plane, memory) in enumerate(zip(plane_formats, found, strict=True)):
        rows = -(-image.height // plane.vertical)
        row = min(plane_row(plane, image.width), memory.stride)
        # Of the first plane compositors want the whole last row, padding included.
        last = memory.stride if index == 0 else row
        end = memory.offset + memory.stride * (rows - 1) + last
        if memory.offset + memory.stride > _UINT32_MAX or end > memory.size:
            text = f"plane {index} ends at byte {end} of a dmabuf of {memory.size}"
            raise _fault(image, ParamsError.OUT_OF_BOUNDS, text)


class MirrorLayout(NamedTuple):
    """Of a wl_shm buffer: the stride that it is made by, and where its planes lie."""

    stride: int
    layout: Layout


def mirror_layout(image: Image, memories: Sequence[PlaneMemory]) -> MirrorLayout | None:
    """Returns a wl_shm buffer that holds a checked image; None where there is none.

    Strides are the dmabuf's where they can be, which copies whole rows at once.
    """
    plane_formats = formats()[shm_code(image.fourcc)]
    rows = zip(plane_formats, memories, strict=True)
    if any(memory.stride < plane_row(plane, image.width) for plane, memory in rows):
        return None
    stride = -(-memories[0].stride // _STRIDE_ALIGNMENT) * _STRIDE_ALIGNMENT
    if stride * image.height > INT32_MAX:
        return None
    found = layout(shm_code(image.fourcc), image.width, image.height, stride)
    return None if found is None or found.size > INT32_MAX else MirrorLayout(stride, found)


def is_same_layout(planes: Sequence[Plane], memories: Sequence[PlaneMemory]) -> bool:
    """Whether the planes lie in one dmabuf as in a wl_shm buffer that begins where the first does."""
    first = memories[0].offset
    pairs = zip(planes, memories, strict=True)
    return all((plane.offset + first, plane.stride) == (own.offset, own.stride) for plane, own in pairs)


def _fault(image: Image, code: ParamsError, text: str) -> WireFault:
    return WireFault(image.params_id, code, text)
