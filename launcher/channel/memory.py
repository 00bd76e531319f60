"""How much memory to ask the host for, and how to ask: plain bytes as an R8 image.

Every host that knows cross-domain allocates R8; sommelier's wl_shm does the same.  Sizes are
quantised, so that requirements are asked once for many buffers and a released mirror fits the
next buffer of about its size.  The pages that are never touched cost nothing.
"""

from typing import Final

from crossdomain.limits import MAX_BLOB_SIZE

PAGE_SIZE: Final = 4096
"""The guest's page, in which virtio-gpu counts blobs."""

DRM_FORMAT_R8: Final = int.from_bytes(b"R8  ", "little")

_STEPS_PER_DOUBLING: Final = 8
"""Sizes between a power of two and the next: at most an eighth is asked for in vain."""


def round_to_pages(size: int) -> int:
    """`size` bytes rounded up to whole pages."""
    return -(-size // PAGE_SIZE) * PAGE_SIZE


def quantise(size: int) -> int:
    """Returns the size in bytes, whole pages, to ask for where `size` bytes (at least 1) are needed."""
    step = max(PAGE_SIZE, (1 << (size - 1).bit_length()) // (2 * _STEPS_PER_DOUBLING))
    quantised = -(-size // step) * step
    return quantised if quantised <= MAX_BLOB_SIZE else round_to_pages(size)


def linear_image(size: int) -> tuple[int, int, int]:
    """Returns width, height (px) and format of an image of `size` bytes, which are whole pages."""
    return PAGE_SIZE, size // PAGE_SIZE, DRM_FORMAT_R8
