"""Buffers of dmabufs instead of wl_shm pools, for the same pictures."""

import mmap
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from crossdomain.bridge.dmabuf import drm_fourcc
from crossdomain.bridge.formats import Plane
from crossdomain.bridge.formats import layout as planes_of
from tests.fakes.client import FakeClient, Proxy, Value
from tests.fakes.dmabufs import MAKERS, allocate, pages
from tests.fakes.windows import Backing, Buffer, Layout

_GAP: Final = 4096 + 256
"""Bytes before a plane that is in a dmabuf of its own: more than a page."""


class Place(NamedTuple):
    """Where a plane is: a dmabuf, and offset and stride in bytes."""

    fd: int
    offset: int
    stride: int


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


class Apart:
    """A dmabuf for each plane, written as if one plane lay behind the other."""

    def __init__(self, client: FakeClient, kinds: Sequence[str], planes: Sequence[Plane]) -> None:
        self.client = client
        self.memory = self
        self._planes = planes
        sizes = [_GAP + plane.stride * plane.rows for plane in planes]
        self._parts = [
            Memory(client, MAKERS[kinds[index % len(kinds)]](size), pages(size))
            for index, size in enumerate(sizes)
        ]

    @property
    def places(self) -> list[Place]:
        """Where the planes are."""
        pairs = zip(self._parts, self._planes, strict=True)
        return [Place(part.fd, _GAP, plane.stride) for part, plane in pairs]

    def __setitem__(self, place: slice, pixels: bytes) -> None:
        for part, plane in zip(self._parts, self._planes, strict=True):
            at = place.start - plane.offset
            if 0 <= at < plane.stride * plane.rows:
                part.memory[_GAP + at : _GAP + at + len(pixels)] = pixels

    def close(self) -> None:
        """Give all up."""
        for part in self._parts:
            part.close()


class DmabufBuffer(Buffer):
    """A wl_buffer in dmabufs."""

    def __init__(
        self,
        memory: Backing,
        dmabuf: Proxy,
        layout: Layout,
        code: int,
        places: Sequence[Place],
        *,
        immediate: bool,
    ) -> None:
        """`immediate`: by create_immed, otherwise by create."""
        self.pool = memory
        self.layout = layout
        self.busy = False
        params = dmabuf.create("create_params")
        for index, (fd, offset, stride) in enumerate(places):
            params.send("add", fd, index, offset, stride, 0, 0)
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
    """Makes buffers of several kinds of dmabufs in turn, in both ways in turn.

    "image" lies as the host says; "heap+vgem" has the first plane in the one, and the second in the other.
    """

    def __init__(self, client: FakeClient, kinds: list[str]) -> None:
        self._client = client
        self._dmabuf = client.bind("zwp_linux_dmabuf_v1", 3)
        self._kinds = kinds
        self._count = 0

    def buffer(self, layout: Layout, code: int, size: int) -> tuple[Backing, Buffer]:
        """A buffer in a dmabuf of `size` bytes, or in several, and that."""
        kind = self._kinds[self._count % len(self._kinds)]
        immediate = self._count // len(self._kinds) % 2 == 0
        self._count += 1
        found = planes_of(code, layout.width, layout.height, layout.stride)
        assert found is not None
        memory: Memory | Apart
        if kind == "image":
            fd, wanted = allocate(layout.width, layout.height, drm_fourcc(code))
            memory = Memory(self._client, fd, wanted.size)
            pairs = list(zip(wanted.offsets, wanted.strides, strict=True))[: len(found.planes)]
            layout = layout._replace(offset=pairs[0][0], stride=pairs[0][1])
            places = [Place(fd, *pair) for pair in pairs]
        elif "+" in kind:
            memory = Apart(self._client, kind.split("+"), found.planes)
            layout = layout._replace(offset=0)
            places = memory.places
        else:
            memory = Memory(self._client, MAKERS[kind](size), pages(size))
            places = [Place(memory.fd, layout.offset + plane.offset, plane.stride) for plane in found.planes]
        return memory, DmabufBuffer(memory, self._dmabuf, layout, code, places, immediate=immediate)
