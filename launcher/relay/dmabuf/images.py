"""A client's image in dmabufs becomes a wl_buffer of the host's, in whichever way costs least."""

from typing import TypeAlias

from crossdomain.bridge.dmabuf import Image, MirrorLayout, PlaneMemory, mirror_layout, shm_code
from crossdomain.bridge.formats import BufferRequest
from crossdomain.errors import CrossDomainError
from launcher.channel.seam import Channel
from launcher.relay.buffers import Buffer, are_shown
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.dmabuf.host_shm import HostShm
from launcher.relay.dmabuf.params import AddedPlane
from launcher.relay.dmabuf.shared import Shared, share
from launcher.relay.dmabuf.sources import DmabufSource, Sources, close_planes
from launcher.relay.imports import Imports
from launcher.relay.messages import Host, ToHost
from launcher.stats import ClientStats

Made: TypeAlias = Buffer | Shared
"""A buffer with a mirror, or what the host has already."""


class Images:
    """One client's."""

    def __init__(
        self, host: Host, channel: Channel, buffers: ClientBuffers, imports: Imports, stats: ClientStats
    ) -> None:
        """`buffers` and `imports` are the client's."""
        self._host = host
        self._channel = channel
        self._buffers = buffers
        self._stats = stats
        self._sources = Sources(imports)

    def make(
        self, shm: HostShm, image: Image, taken: list[tuple[AddedPlane, PlaneMemory]], host_id: int
    ) -> Made | None:
        """Returns a checked image as a buffer, `host_id` on the host; None where it can't be shown.

        The planes' fds are this one's, also where this raises.
        """
        found = mirror_layout(image, [memory for _plane, memory in taken])
        if found is None:
            close_planes(taken)
            return None
        try:
            shared = share(self._channel, shm, image, found.layout, taken)
        except (CrossDomainError, OSError):
            close_planes(taken)
            raise
        if shared is not None:
            self._host.when_sent(shared.file.close)
            self._stats.count_buffer("dmabuf-blob")
            return shared
        source = self._sources.open(shm, taken)
        return None if source is None else self._mirrored(source, image, found, host_id)

    def add(self, buffer_id: int, made: Made, spare_id: int) -> ToHost:
        """The client has that buffer, whose id is the host's, too; returns what makes the host's.

        `spare_id` is free before and after that.
        """
        if isinstance(made, Shared):
            self._buffers.add_shared(buffer_id, made.buffer)
            return made.create(buffer_id, spare_id)
        return self._buffers.add(buffer_id, made, spare_id)

    def _mirrored(self, source: DmabufSource, image: Image, found: MirrorLayout, host_id: int) -> Buffer:
        stride, layout = found
        mapped = not are_shown(source.planes, layout)
        request = BufferRequest(0, 0, 0, image.width, image.height, stride, shm_code(image.fourcc))
        # Nobody else has it where there is no memory for the mirror.
        source.use()
        try:
            mirror = self._buffers.mirrors.take(layout, mapped=mapped)
            buffer = Buffer(host_id, source, request, source.planes, mirror)
        finally:
            source.leave()
        buffer.path = "dmabuf-copy" if mapped else "dmabuf-pages"
        return buffer
