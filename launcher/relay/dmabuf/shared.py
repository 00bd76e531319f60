"""Images in memory of the host's: the compositor gets that memory, and nothing is copied.

A program of the guest that lets the host allocate (GET_IMAGE_REQUIREMENTS) has such a blob.  It is handed
on as a wl_shm_pool, where all planes lie in it as wl_shm wants them.
"""

import os
from typing import NamedTuple

from crossdomain.bridge.dmabuf import Image, PlaneMemory, is_same_layout, shm_code
from crossdomain.bridge.formats import INT32_MAX, Layout
from launcher.channel.seam import Channel, SharedFile
from launcher.relay import encode
from launcher.relay.buffers import SharedBuffer
from launcher.relay.dmabuf.host_shm import HostShm
from launcher.relay.dmabuf.memory import identity_of
from launcher.relay.dmabuf.params import AddedPlane
from launcher.relay.dmabuf.sources import close_planes
from launcher.relay.messages import ToHost


class Shared(NamedTuple):
    """An image that the host has; `file` may be closed once what `create` returns was sent."""

    file: SharedFile
    shm_id: int
    image: Image
    place: PlaneMemory
    """Of the first plane."""
    buffer: SharedBuffer

    def create(self, buffer_id: int, pool_id: int) -> ToHost:
        """Returns what makes the host's wl_buffer; `pool_id` is free before and after it."""
        image, (offset, stride, size) = self.image, self.place
        messages = (
            encode.create_pool(self.shm_id, pool_id, size),
            encode.create_buffer(
                pool_id, buffer_id, image.width, image.height, stride, shm_code(image.fourcc), offset=offset
            ),
            encode.destroy_pool(pool_id),
        )
        return ToHost(b"".join(messages), (self.file.identifier,))


def share(
    channel: Channel, shm: HostShm, image: Image, layout: Layout, taken: list[tuple[AddedPlane, PlaneMemory]]
) -> Shared | None:
    """Returns the image as one of the host's, and closes the planes' fds; None where it is none of them.

    Otherwise, and where this raises, they stay the caller's.
    `layout` is that of a wl_shm buffer for it.
    """
    memories = [memory for _plane, memory in taken]
    fds = [plane.fd for plane, _memory in taken]
    if len({identity_of(fd) for fd in fds}) > 1 or not is_same_layout(layout.planes, memories):
        return None
    if memories[0].size > INT32_MAX or memories[0].offset + layout.size > memories[0].size:
        return None
    file = channel.share_dmabuf(fds[0], memories[0].size)
    if file is None:
        return None
    try:
        buffer = SharedBuffer(os.dup(fds[0]))
    except OSError:
        file.close()
        raise
    close_planes(taken)
    return Shared(file, shm.object_id, image, memories[0], buffer)
