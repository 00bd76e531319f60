"""Buffers of dmabufs instead of wl_shm pools, for the same pictures."""

import mmap
import os
from typing import TypeAlias

from crossdomain.bridge.dmabuf import drm_fourcc
from crossdomain.bridge.formats import layout as planes_of
from tests.fakes.client import FakeClient, Proxy, Value
from tests.fakes.dmabufs import MAKERS, allocate, pages
from tests.fakes.windows import Buffer, Layout

Places: TypeAlias = list[tuple[int, int]]
"""Offset and stride of each plane, bytes."""


class Memory:
    """One dmabuf, mapped: what a buffer takes for its pool."""

    def __init__(self, client: FakeClient, fd: int, size: int) -> None:
        """Takes ownership of the fd."""
        self.client = client
        self.fd = fd
        self.memory = mmap.mmap(fd, size)

    def close(self) -> None:
        """Unmap and close it."""
        self.memory.close()
        os.close(self.fd)


class DmabufBuffer(Buffer):
    """A wl_buffer in one dmabuf."""

    def __init__(
        self, memory: Memory, dmabuf: Proxy, layout: Layout, code: int, places: Places, *, immediate: bool
    ) -> None:
        """`immediate`: by create_immed, otherwise by create."""
        self.pool = memory
        self.layout = layout
        self.busy = False
        params = dmabuf.create("create_params")
        for index, (offset, stride) in enumerate(places):
            params.send("add", memory.fd, index, offset, stride, 0, 0)
        image: tuple[Value, ...] = (layout.width, layout.height, drm_fourcc(code), 0)
        if immediate:
            self.proxy = params.create("create_immed", *image)
        else:
            params.send("create", *image)
            memory.client.wait(lambda: bool(params.received("created")), what="created")
            ((made,),) = params.received("created")
            assert isinstance(made, Proxy)
            self.proxy = made
        self.proxy.handlers["release"] = self._handle_release
        params.send("destroy")


class Allocator:
    """Makes buffers of several kinds of dmabufs in turn, in both ways in turn."""

    def __init__(self, client: FakeClient, kinds: list[str]) -> None:
        self._client = client
        self._dmabuf = client.bind("zwp_linux_dmabuf_v1", 3)
        self._kinds = kinds
        self._count = 0

    def buffer(self, layout: Layout, code: int, size: int) -> tuple[Memory, Buffer]:
        """A buffer in a dmabuf of `size` bytes, and that; an "image" lies as the host says."""
        kind = self._kinds[self._count % len(self._kinds)]
        immediate = self._count // len(self._kinds) % 2 == 0
        self._count += 1
        found = planes_of(code, layout.width, layout.height, layout.stride)
        assert found is not None
        if kind == "image":
            fd, wanted = allocate(layout.width, layout.height, drm_fourcc(code))
            places = list(zip(wanted.offsets, wanted.strides, strict=True))[: len(found.planes)]
            layout = layout._replace(offset=places[0][0], stride=places[0][1])
            memory = Memory(self._client, fd, wanted.size)
        else:
            places = [(layout.offset + plane.offset, plane.stride) for plane in found.planes]
            memory = Memory(self._client, MAKERS[kind](size), pages(size))
        return memory, DmabufBuffer(memory, self._dmabuf, layout, code, places, immediate=immediate)
