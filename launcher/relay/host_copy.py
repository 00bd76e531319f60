"""Damage that the host copies, out of the client's own pages into a mirror that only the host writes."""

from crossdomain.abi.pages import PAGE_SIZE, CopyPages
from crossdomain.bridge.copy import blocks_of
from launcher.channel import HostCopies, ImportedFile
from launcher.relay.mirrors import Mirror


def copy_on_host(copies: HostCopies, pages: ImportedFile, offset: int, mirror: Mirror) -> int:
    """Has what is stale copied before the next message reaches the compositor; returns the bytes.

    `offset` is that of the buffer in the client's file; the stale rectangles are clipped to the buffer.
    """
    rectangles = tuple(mirror.stale)
    copied = 0
    for plane in mirror.layout.planes:
        blocks = blocks_of(plane.format, rectangles)
        copies.copy(
            CopyPages(
                destination=mirror.memory.identifier.identifier,
                source=pages.resource_id,
                source_offset=PAGE_SIZE + offset,
                key=pages.key,
                plane_offset=plane.offset,
                stride=plane.stride,
                block_bytes=plane.format.block_bytes,
                rectangles=blocks,
            )
        )
        sizes = memoryview(blocks).cast("i")
        copied += plane.format.block_bytes * sum(
            width * height for width, height in zip(sizes[2::4], sizes[3::4], strict=True)
        )
    return copied
