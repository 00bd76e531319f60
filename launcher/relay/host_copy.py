"""Damage that the host copies, out of the client's own pages into a mirror that only the host writes."""

from crossdomain.abi.pages import CopyPages
from crossdomain.bridge.copy import blocks_of
from crossdomain.bridge.formats import Plane
from launcher.channel.seam import HostCopies, ImportedFile
from launcher.relay.mirrors import Mirror


def copy_on_host(
    copies: HostCopies, mirror: Mirror, plane: Plane, shown: ImportedFile, place: tuple[int, int]
) -> int:
    """Has what is stale of one plane copied before the compositor gets the next message.

    Returns the bytes.  `place` is the plane's offset and stride in the client's memory; the stale
    rectangles are clipped to the buffer.
    """
    blocks = blocks_of(plane.format, tuple(mirror.stale))
    offset, stride = place
    copies.copy(
        CopyPages(
            destination=mirror.memory.identifier.identifier,
            source=shown.resource_id,
            key=shown.key,
            offset=plane.offset,
            source_offset=shown.begin + offset,
            stride=plane.stride,
            source_stride=stride,
            block_bytes=plane.format.block_bytes,
            rectangles=blocks,
        )
    )
    sizes = memoryview(blocks).cast("i")
    return plane.format.block_bytes * sum(
        width * height for width, height in zip(sizes[2::4], sizes[3::4], strict=True)
    )
