"""A client's buffers: memory of its own on one side, a mirror on the other."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from crossdomain.bridge.copy import Pixels, Place, TruncatedFault, copy_plane
from crossdomain.bridge.damage import Rectangle, Region
from crossdomain.bridge.fences import Fence, gather
from crossdomain.bridge.formats import BufferRequest, Layout, Plane, ShmError, plane_row
from crossdomain.errors import LocalError
from crossdomain.native.system import FileMapping
from crossdomain.wire import WireFault
from launcher.channel.seam import HostCopies, ImportedFile
from launcher.relay.host_copy import copy_on_host
from launcher.relay.mirrors import Mirror

if TYPE_CHECKING:
    from crossdomain.native._core import FilePointer


class ClientMemory(Protocol):
    """Where pixels are the client's: a file of wl_shm, or a dmabuf."""

    @property
    def mapping(self) -> FileMapping:
        """It, mapped here."""
        ...

    @property
    def has_holes(self) -> bool:
        """Whether the host sees pages that are not the client's any more: it has punched them out."""
        ...

    @property
    def file(self) -> "FilePointer | None":
        """Tells `has_holes` to C; None where nothing can be punched out of it."""
        ...

    def pages_of(self, start: int, end: int) -> ImportedFile | None:
        """The bytes from `start` to `end` as the host sees them; None where it does not see all of them."""
        ...

    @property
    def dmabuf(self) -> int | None:
        """The fd that fences are at, its own; None where nothing but the CPU writes it."""
        ...

    def access(self, *, write: bool) -> AbstractContextManager[None]:
        """What has to be around each access through `mapping`."""
        ...


class Release(Protocol):
    """Who wants to know that a commit of a buffer is not read any more."""

    def signal(self) -> None:
        """It is not; called once."""
        ...


class Drawn(Protocol):
    """A wl_buffer, for those who ask when it may be read and say when it has been."""

    @property
    def is_dmabuf(self) -> bool:
        """Whether devices may write it."""
        ...

    @property
    def is_in_place(self) -> bool:
        """Whether the compositor has it as a dmabuf of the client's own memory."""
        ...

    def writers(self) -> list[Fence]:
        """What is being written into it now by devices; the fences are the caller's."""
        ...

    def release_later(self, releases: Iterable[Release]) -> None:
        """A commit of it is done, whose end of use concerns somebody."""
        ...


class Source(Protocol):
    """What buffers are made of."""

    @property
    def shm_id(self) -> int:
        """The host's wl_shm with which their mirrors are made."""
        ...

    def use(self) -> None:
        """A buffer was made of it."""
        ...

    def leave(self) -> None:
        """A buffer of it is gone."""
        ...


class ClientPlane(NamedTuple):
    """One plane in the client's memory: bytes from its start to the first pixel, and from row to row."""

    memory: ClientMemory
    offset: int
    stride: int


class Buffer:
    """A client's wl_buffer and the mirror that it lives in, alone or with others of its surface."""

    __slots__ = (
        "_releases",
        "asked",
        "bits_per_pixel",
        "buffer_id",
        "is_dmabuf",
        "mirror",
        "own",
        "path",
        "pins",
        "planes",
        "readers",
        "request",
        "source",
    )

    def __init__(
        self,
        buffer_id: int,
        source: Source,
        request: BufferRequest,
        planes: Iterable[ClientPlane],
        mirror: Mirror,
    ) -> None:
        """`buffer_id` is that of the host's wl_buffer, and `request` what it is made by."""
        source.use()
        mirror.buffers += 1
        self.source = source
        self.planes = tuple(planes)
        self.is_dmabuf = any(plane.memory.dmabuf is not None for plane in self.planes)
        """Whether devices may write it."""
        self.readers = 0
        """Commits of it that the compositor has not given back."""
        self._releases: list[Release] = []
        self.asked = 0
        """How many times it was asked whether the compositor reads it in place."""
        self.path = ""
        """What it is and which way its pixels go, as it is counted: "shm-pages"."""
        self.buffer_id = buffer_id
        self.request = request
        self.mirror: Mirror | None = mirror
        """None once the client has destroyed it."""
        self.own: Callable[[], None] | None = None
        """Has to be called where the host's wl_buffer is made (again) and the client does not know it."""
        self.bits_per_pixel = _bits_per_pixel(mirror.layout)
        self.pins = 0
        """Who else names the host's wl_buffer, such as an attach without its commit: it can't be another."""

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height, px."""
        return self.request.width, self.request.height

    @property
    def has_pages(self) -> bool:
        """Whether the host can copy all of it, as it is."""
        return self.mirror is not None and are_shown(self.planes, self.mirror.layout)

    @property
    def is_in_place(self) -> bool:
        """Whether the compositor has it as a dmabuf of the client's own memory."""
        return self.mirror is not None and self.mirror.in_place

    @property
    def has_holes(self) -> bool:
        """Whether the host sees something else than what the client draws."""
        return any(plane.memory.has_holes for plane in self.planes)

    def writers(self) -> list[Fence]:
        """What is being written into it now by devices; the fences are the caller's.

        Raises:
            OSError: the kernel does not tell.
        """
        dmabufs = {plane.memory.dmabuf for plane in self.planes} - {None}
        return gather(Fence.of_writers(dmabuf) for dmabuf in dmabufs if dmabuf is not None)

    def release_later(self, releases: Iterable[Release]) -> None:
        """A commit of it is done, whose end of use concerns somebody.

        What has been copied here already is not read any more; else the compositor's release says so.
        """
        self._releases += releases
        if self.mirror is None or self.mirror.pixels is not None:
            self.signal_releases()

    def signal_releases(self) -> None:
        """The compositor has given it back."""
        releases, self._releases = self._releases, []
        for release in releases:
            release.signal()

    @property
    def is_movable(self) -> bool:
        """Whether the host's wl_buffer may be made anew: nobody refers to it."""
        return self.readers == 0 and self.pins == 0

    @property
    def is_alone(self) -> bool:
        """Whether nobody else has to do with its mirror: no other buffer, and no compositor."""
        return self.mirror is not None and self.mirror.buffers == 1 and self.mirror.is_idle

    def recall(self) -> None:
        """What is known of it, and of what shares its mirror, elsewhere is needed here."""
        if self.mirror is not None and self.mirror.home is not None:
            self.mirror.home.recall()

    def committed(self) -> None:
        """The compositor reads it from now on."""
        self.recall()
        if self.mirror is not None:
            self.readers += 1
            self.mirror.readers += 1

    def released(self) -> None:
        """The compositor does not read it any more."""
        self.recall()
        if self.mirror is not None and self.readers:
            self.readers -= 1
            self.mirror.readers -= 1

    def refresh(self, copies: HostCopies | None = None) -> int:
        """Copies what is stale, here or on the host; returns the bytes copied.

        Raises:
            WireFault: the client has truncated its file.
        """
        mirror = self.mirror
        if mirror is None or not mirror.stale:
            return 0
        if mirror.in_place:
            mirror.stale.clear()
            return 0
        layout = mirror.layout
        mirror.stale.clip(layout.width, layout.height)
        if mirror.pixels is not None:
            copied = self._copy(mirror.pixels, layout, mirror.stale, write=False)
        elif copies is not None:
            copied = self._copy_on_host(copies, mirror)
        else:
            raise LocalError("a mirror that nobody can write")
        mirror.stale.clear()
        return copied

    def open_for_writing(self) -> None:
        """Lets `write_back` be called.

        Raises:
            WireFault: the client's file can't be written.
        """
        try:
            for plane in self.planes:
                plane.memory.mapping.make_writable()
        except OSError as error:
            text = f"the buffer can't be written: {error.strerror}"
            raise WireFault(self.buffer_id, ShmError.INVALID_FD, text) from None

    def write_back(self, region: Region) -> int:
        """Copies what the compositor has written to the client's file; returns the bytes copied.

        `region` is px of the buffer, and is clipped to it.

        Raises:
            WireFault: the client has truncated its file.
        """
        mirror = self.mirror
        if mirror is None or mirror.pixels is None:
            return 0
        layout = mirror.layout
        region.clip(layout.width, layout.height)
        return self._copy(mirror.pixels, layout, region, write=True)

    def _copy(self, pixels: Pixels, layout: Layout, region: Region, *, write: bool) -> int:
        rectangles = tuple(region)
        pairs = zip(layout.planes, self.planes, strict=True)
        try:
            return sum(_copy_plane(pixels, *pair, rectangles, write=write) for pair in pairs)
        except TruncatedFault:
            text = "error accessing SHM buffer"
            raise WireFault(self.buffer_id, ShmError.INVALID_FD, text) from None

    def _copy_on_host(self, copies: HostCopies, mirror: Mirror) -> int:
        copied = 0
        for plane, own in zip(mirror.layout.planes, self.planes, strict=True):
            pages = pages_of(plane, own, mirror.layout.width)
            if pages is None:
                raise LocalError("a mirror that nobody can write")
            copied += copy_on_host(copies, mirror, plane, pages, (own.offset, own.stride))
        return copied

    def move(self, mirror: Mirror) -> Mirror | None:
        """Lives in another mirror from now on; returns the one that nobody lives in any more."""
        left = self._leave_mirror()
        mirror.buffers += 1
        self.mirror = mirror
        return left

    def leave(self) -> Mirror | None:
        """The client has destroyed it; returns its mirror if nobody lives there any more."""
        self.signal_releases()
        self.source.leave()
        return self._leave_mirror()

    def _leave_mirror(self) -> Mirror | None:
        mirror, self.mirror = self.mirror, None
        if mirror is None:
            return None
        mirror.buffers -= 1
        return None if mirror.buffers else mirror


class SharedBuffer:
    """A wl_buffer whose pixels are in memory of the host's: a `buffers.Drawn`."""

    is_dmabuf = True
    is_in_place = False

    def __init__(self, dmabuf: int) -> None:
        """Takes ownership of the fd."""
        self._dmabuf = dmabuf
        self._releases: list[Release] = []

    def writers(self) -> list[Fence]:
        """What is being written into it now; the fences are the caller's."""
        return [Fence.of_writers(self._dmabuf)]

    def release_later(self, releases: Iterable[Release]) -> None:
        """A commit of it is done, whose end of use concerns somebody."""
        self._releases += releases

    def signal_releases(self) -> None:
        """The compositor has given it back."""
        releases, self._releases = self._releases, []
        for release in releases:
            release.signal()

    def leave(self) -> None:
        """The client has destroyed it."""
        self.signal_releases()
        os.close(self._dmabuf)


def are_shown(planes: Iterable[ClientPlane], layout: Layout) -> bool:
    """Whether the host can copy all pixels of planes that hold a buffer of that layout."""
    pairs = zip(layout.planes, planes, strict=True)
    return all(_is_copied(plane, own, layout.width) for plane, own in pairs)


def _is_copied(plane: Plane, own: ClientPlane, width: int) -> bool:
    pages = pages_of(plane, own, width)
    return pages is not None and pages.is_copied and not own.memory.has_holes


def pages_of(plane: Plane, own: ClientPlane, width: int) -> ImportedFile | None:
    """What the host sees of a plane of a buffer of `width` px; None where that is not all."""
    end = own.offset + own.stride * (plane.rows - 1) + plane_row(plane.format, width)
    return own.memory.pages_of(own.offset, end)


def _copy_plane(
    pixels: Pixels, plane: Plane, own: ClientPlane, rectangles: tuple[Rectangle, ...], *, write: bool
) -> int:
    """Copies the client's plane into the mirror, or the other way where that was written."""
    with own.memory.access(write=write):
        mapping = own.memory.mapping
        mine = Place(pixels, plane.offset, plane.stride)
        theirs = Place(Pixels(mapping.address, mapping.size), own.offset, own.stride)
        to, from_ = (theirs, mine) if write else (mine, theirs)
        return copy_plane(to, from_, plane.format, rectangles)


def _bits_per_pixel(layout: Layout) -> int:
    """Returns the bits of a pixel in all planes, for the counters."""
    formats_ = (plane.format for plane in layout.planes)
    return sum(
        8 * found.block_bytes // (found.block_width * found.horizontal * found.vertical) for found in formats_
    )
