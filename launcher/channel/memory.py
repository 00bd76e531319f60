"""How much memory to ask the host for, and how to ask, once: plain bytes as an R8 image.

Every host that knows cross-domain allocates R8; sommelier's wl_shm does the same.  Sizes are
quantised, so that requirements are asked once for many buffers and a released mirror fits the
next buffer of about its size.  The pages that are never touched cost nothing.
"""

from collections.abc import Callable
from typing import Final

from crossdomain.abi.cross_domain import encode_get_image_requirements, parse_image_requirements
from crossdomain.errors import HostFault
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


class Requirements:
    """What the host wants of an image, asked once for each size."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}

    def knows(self, size: int) -> bool:
        """Whether those for about `size` bytes have been asked for."""
        return quantise(size) in self._known

    def of(self, size: int, ask: Callable[[bytes], bytes | memoryview]) -> tuple[int, int]:
        """Returns a reusable blob id for about `size` bytes, and the bytes that such a blob has.

        Args:
            size: at least 1.
            ask: returns the host's answer to a command.

        Raises:
            HostFault: the host offers less, or does not answer.
        """
        wanted = quantise(size)
        found = self._known.get(wanted)
        if found is None:
            answer = parse_image_requirements(ask(encode_get_image_requirements(*linear_image(wanted))))
            if answer.size < wanted:
                raise HostFault(f"memory of {answer.size} bytes offered where {wanted} were asked for")
            found = self._known[wanted] = answer.blob_id, answer.size
        return found
