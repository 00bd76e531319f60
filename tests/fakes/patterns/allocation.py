"""Buffers of dmabufs instead of wl_shm pools, for the same pictures."""

import mmap
import os

from crossdomain.bridge.dmabuf import drm_fourcc
from crossdomain.bridge.formats import layout as planes_of
from tests.fakes.client import FakeClient, Proxy, Value
from tests.fakes.dmabufs import MAKERS, pages
from tests.fakes.windows import Buffer, Layout


class Memory:
    """One dmabuf, mapped: what a buffer takes for its pool."""

    def __init__(self, client: FakeClient, kind: str, size: int) -> None:
        self.client = client
        self.fd = MAKERS[kind](size)
        self.memory = mmap.mmap(self.fd, pages(size))

    def close(self) -> None:
        """Unmap and close it."""
        self.memory.close()
        os.close(self.fd)


class DmabufBuffer(Buffer):
    """A wl_buffer in one dmabuf."""

    def __init__(self, memory: Memory, dmabuf: Proxy, layout: Layout, code: int, *, immediate: bool) -> None:
        """`immediate`: by create_immed, otherwise by create."""
        self.pool = memory
        self.layout = layout
        self.busy = False
        found = planes_of(code, layout.width, layout.height, layout.stride)
        assert found is not None
        params = dmabuf.create("create_params")
        for index, plane in enumerate(found.planes):
            params.send("add", memory.fd, index, layout.offset + plane.offset, plane.stride, 0, 0)
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
        """A buffer in a dmabuf of `size` bytes, and that."""
        kind = self._kinds[self._count % len(self._kinds)]
        memory = Memory(self._client, kind, size)
        immediate = self._count // len(self._kinds) % 2 == 0
        self._count += 1
        return memory, DmabufBuffer(memory, self._dmabuf, layout, code, immediate=immediate)
