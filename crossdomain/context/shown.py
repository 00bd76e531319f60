"""Guest pages that the compositor reads in place: SHOW_PAGES, and the messages that make such a buffer.

The guest says what it says of a mirror: a pool, one buffer of it, the end of the pool.  Where the pool's fd
is a dmabuf of ours, the compositor gets a zwp_linux_buffer_params_v1 in the pool's place, and the buffer as
one of zwp_linux_dmabuf_v1.  That global stays hidden from guests: they can't say a word of it themselves,
and what is said here is what the compositor has been seen to take (`Showing`).
"""

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import Identifier
from crossdomain.abi.pages import Shown, ShowPages, ShowPlane, Verdict
from crossdomain.bridge.formats import formats, fourcc, plane_row
from crossdomain.bridge.udmabuf import Span
from crossdomain.context.compositor import close_all
from crossdomain.context.edits import EVENT, REQUEST, Edit, Messages, Passing, find
from crossdomain.context.memory import PAGE_SIZE, round_to_pages
from crossdomain.context.ports import Image, Pages, PlacedPlane, Showing
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_SHOWN_BUFFERS, MAX_SHOWN_SIDE
from crossdomain.wire.codec import Data, decode_arguments, encode_message, integer, text

DMABUF: Final = "zwp_linux_dmabuf_v1"
PARAMS: Final = "zwp_linux_buffer_params_v1"
QUIET_VERSION: Final = 4
"""The first version of DMABUF that says nothing when it is bound; newer ones say no more that we use."""
LEAST_VERSION: Final = 3
"""The first one with modifiers."""
STRIDE_ALIGNMENT: Final = 256
"""Bytes.  Compositors import a dmabuf of another stride and fail to draw it later: GPUs want 64 or 256."""

_GLOBAL: Final = find("wl_registry", EVENT, "global")
_GLOBAL_REMOVE: Final = find("wl_registry", EVENT, "global_remove")
_CREATE_POOL: Final = find("wl_shm", REQUEST, "create_pool")
_CREATE_BUFFER: Final = find("wl_shm_pool", REQUEST, "create_buffer")
_BIND: Final = find("wl_registry", REQUEST, "bind")
_CREATE_PARAMS: Final = find(DMABUF, REQUEST, "create_params")
_DESTROY_DMABUF: Final = find(DMABUF, REQUEST, "destroy")
_ADD: Final = find(PARAMS, REQUEST, "add")
_CREATE_IMMED: Final = find(PARAMS, REQUEST, "create_immed")
_DESTROY_PARAMS: Final = find(PARAMS, REQUEST, "destroy")
_RGB: Final = {0: fourcc("AR24"), 1: fourcc("XR24")}
"""The formats that wl_shm numbers otherwise than DRM does."""


_UINT32_MAX: Final = 0xFFFFFFFF


class _Global(NamedTuple):
    registry_id: int
    name: int
    version: int


class _Waiting(NamedTuple):
    """Pages that were judged, and wait for their create_pool: an fd for each plane."""

    fds: list[int]
    show: ShowPages
    image: Image
    modifier: int


class _Part(NamedTuple):
    """Pages of one source that have planes of an image, bytes."""

    source: int
    start: int
    length: int


class ShownPages:
    """Those of one client."""

    def __init__(self) -> None:
        """Nothing is shown before `open`."""
        self._showing: Showing | None = None
        self._own: Callable[[int], None] | None = None
        self._global: _Global | None = None
        self._next = 1
        self._waiting: dict[int, _Waiting] = {}
        self._sent: dict[int, _Waiting] = {}
        """By the first plane's fd: on their way to the walk."""
        self._further: set[int] = set()
        """Fds of the other planes of these; ours until they are given to the compositor."""
        self._pools: dict[int, _Waiting] = {}
        """By the id of what the guest takes for a wl_shm_pool."""
        self._buffers: set[int] = set()
        self._params: deque[int] = deque(maxlen=MAX_SHOWN_BUFFERS)
        """Ids of the last pools that became something else."""

    def open(self, showing: Showing, own: Callable[[int], None]) -> None:
        """Pages may be shown from now on; `own` is told of ids that are deleted once more (`Walker.own`)."""
        self._showing = showing
        self._own = own

    @property
    def untaken(self) -> int:
        """Fds of pages that no request has named yet, and of planes that the compositor has not got."""
        return sum(len(waiting.fds) for waiting in self._waiting.values()) + len(self._further)

    def ask(self, show: ShowPages, pages: Mapping[int, Pages]) -> Shown:
        """Carries out SHOW_PAGES; `pages` are those of all its sources, which the guest may name.

        Raises:
            GuestFault: no image that can be there.
        """
        showing = self._showing
        image, parts = _place(show, cuts=showing is None or showing.cuts)
        if showing is None or not self._may_show(show):
            return Shown(Verdict.NO)
        memories = [pages[part.source].spans(part.start, part.length) for part in parts]
        verdict = showing.judge(image, memories)
        if verdict is not Verdict.YES:
            return Shown(verdict)
        try:
            fds = _open_planes(showing, image, memories)
        except OSError:
            return Shown(Verdict.NO)
        identifier, self._next = self._next, self._next + 1
        self._waiting[identifier] = _Waiting(fds, show, image, showing.modifier(image))
        return Shown(Verdict.YES, identifier)

    def _may_show(self, show: ShowPages) -> bool:
        shown = len(self._buffers) + len(self._waiting) + len(self._sent)
        if self._global is None or shown >= MAX_SHOWN_BUFFERS:
            return False
        return not any(
            stride % STRIDE_ALIGNMENT for stride in (show.stride, *(p.stride for p in show.planes))
        )

    def take(self, entry: Identifier) -> int:
        """The fd that a SEND names; it is the caller's, and known to `handle_create_pool`.

        Raises:
            GuestFault: there is none of that number.
        """
        waiting = self._waiting.pop(entry.identifier, None)
        if waiting is None:
            raise GuestFault(f"there are no shown pages {entry.identifier}")
        first, *others = waiting.fds
        self._sent[first] = waiting
        self._further.update(others)
        return first

    def check(self, fds: Sequence[int]) -> None:
        """Whether the fds of a message other than wl_shm.create_pool may cross.

        Raises:
            GuestFault: one of them is of pages.
        """
        if self._sent and not self._sent.keys().isdisjoint(fds):
            raise GuestFault("pages were sent with another message than wl_shm.create_pool")

    def note_failure(self, object_id: int) -> None:
        """The compositor ended the client because of that object."""
        if self._showing is not None and object_id in self._params:
            self._showing.distrust()

    def close(self) -> None:
        """Gives up what nobody has sent."""
        for waiting in self._waiting.values():
            close_all(waiting.fds)
        close_all([*self._further])
        self._waiting.clear()
        self._sent.clear()
        self._further.clear()

    def note_global(self, registry_id: int, event: Data) -> None:
        """wl_registry.global, of whatever interface."""
        if DMABUF.encode() not in bytes(event):
            return
        name, interface, version = decode_arguments(_GLOBAL, event)
        if text(interface) == DMABUF and integer(version) >= LEAST_VERSION:
            self._global = _Global(registry_id, integer(name), min(integer(version), QUIET_VERSION))

    def note_global_remove(self, event: Data) -> None:
        """wl_registry.global_remove."""
        name = integer(decode_arguments(_GLOBAL_REMOVE, event)[0])
        if self._global is not None and self._global.name == name:
            self._global = None

    def handle_destroy_registry(self, request: Passing) -> None:
        """wl_fixes.destroy_registry."""
        registry_id = int.from_bytes(request.data[8:12], "little")
        if self._global is not None and self._global.registry_id == registry_id:
            self._global = None

    def handle_create_pool(self, request: Passing) -> Edit | None:
        """wl_shm.create_pool."""
        waiting = self._sent.pop(request.fds[0], None) if request.fds else None
        if waiting is None:
            return None
        show = waiting.show
        if self._global is None or self._own is None:
            raise GuestFault("the compositor takes no dmabufs any more")
        pool_id = integer(decode_arguments(_CREATE_POOL, request.data)[0])
        registry_id, name, version = self._global
        dmabuf_id = show.buffer_id
        if dmabuf_id == pool_id:
            raise GuestFault(f"pool and buffer of the same id {pool_id}")
        self._pools[pool_id] = waiting
        self._params.append(pool_id)
        self._buffers.add(show.buffer_id)
        self._own(dmabuf_id)
        made = (
            encode_message(_BIND, registry_id, name, DMABUF, version, dmabuf_id)
            + encode_message(_CREATE_PARAMS, dmabuf_id, pool_id)
            + encode_message(_DESTROY_DMABUF, dmabuf_id)
            + encode_planes(pool_id, waiting.image, waiting.modifier)
        )
        _first, *others = waiting.fds

        def give() -> list[int]:
            self._further.difference_update(others)
            return others

        return Edit(made, give=give if others else None)

    def handle_create_buffer(self, request: Passing) -> Edit | None:
        """wl_shm_pool.create_buffer."""
        judged = self._pools.get(request.object_id)
        if judged is None:
            return None
        show, image = judged.show, judged.image
        values = decode_arguments(_CREATE_BUFFER, request.data)
        if values != (show.buffer_id, 0, show.width, show.height, show.stride, show.format):
            raise GuestFault("another buffer than the one that was to be shown")
        return Edit(
            encode_message(
                _CREATE_IMMED, request.object_id, show.buffer_id, image.width, image.height, image.format, 0
            )
        )

    def handle_resize(self, request: Passing) -> None:
        """wl_shm_pool.resize."""
        if request.object_id in self._pools:
            raise GuestFault("shown pages can't be resized")

    def handle_destroy_pool(self, request: Passing) -> Edit | None:
        """wl_shm_pool.destroy."""
        if self._pools.pop(request.object_id, None) is None:
            return None
        return Edit(encode_message(_DESTROY_PARAMS, request.object_id))

    def handle_destroy_buffer(self, request: Passing) -> None:
        """wl_buffer.destroy."""
        self._buffers.discard(request.object_id)


def encode_planes(params_id: int, image: Image, modifier: int) -> bytes:
    """The requests that add all planes of an image to params; an fd of its own goes with each."""
    words = divmod(modifier, 1 << 32)
    return b"".join(
        encode_message(_ADD, params_id, None, index, plane.offset, plane.stride, *words)
        for index, plane in enumerate(image.planes)
    )


def _place(show: ShowPages, *, cuts: bool) -> tuple[Image, list[_Part]]:
    """The image, and the pages of the sources that it is on, each of which becomes one dmabuf.

    Without `cuts` a dmabuf begins where its source does.

    Raises:
        GuestFault: there is no such image.
    """
    if not (0 < show.width <= MAX_SHOWN_SIDE and 0 < show.height <= MAX_SHOWN_SIDE):
        raise GuestFault(f"an image of {show.width} x {show.height}")
    planes = (ShowPlane(show.source, show.stride, show.source_offset, show.key), *show.planes)
    plane_formats = formats().get(show.format, ())
    if len(plane_formats) != len(planes):
        raise GuestFault(f"no image of format {show.format:#x} in {len(planes)} planes can be shown")
    ends = [_end(show, index, plane) for index, plane in enumerate(planes)]
    parts: list[_Part] = []
    for source in dict.fromkeys(plane.source for plane in planes):
        own = [
            (plane.source_offset, end)
            for plane, end in zip(planes, ends, strict=True)
            if plane.source == source
        ]
        first = min(offset for offset, _end in own)
        start = first - first % PAGE_SIZE if cuts else 0
        parts.append(_Part(source, start, round_to_pages(max(end for _offset, end in own) - start)))
    sources = [part.source for part in parts]
    placed: list[PlacedPlane] = []
    for plane in planes:
        memory = sources.index(plane.source)
        distance = plane.source_offset - parts[memory].start
        if distance > _UINT32_MAX:
            raise GuestFault(f"a plane {distance} bytes behind another")
        placed.append(PlacedPlane(memory, distance, plane.stride))
    code = _RGB.get(show.format, show.format)
    (_memory, offset, stride), *others = placed
    return Image(offset, code, show.width, show.height, stride, tuple(others)), parts


def _end(show: ShowPages, index: int, plane: ShowPlane) -> int:
    """The first byte behind a plane in its source.

    Raises:
        GuestFault: its rows overlap.
    """
    format_ = formats()[show.format][index]
    row = plane_row(format_, show.width)
    if plane.stride < row:
        raise GuestFault(f"rows of {row} bytes every {plane.stride}")
    # Of the first plane compositors want the whole last row, padding included.
    last = row if index else plane.stride
    return plane.source_offset + plane.stride * (-(-show.height // format_.vertical) - 1) + last


def _open_planes(showing: Showing, image: Image, memories: Sequence[Sequence[Span]]) -> list[int]:
    """An fd for each plane, which are the caller's.

    Raises:
        OSError: this kernel makes no dmabuf of one of the memories.
    """
    fds: list[int] = []
    first: dict[int, int] = {}
    try:
        for plane in image.planes:
            known = first.get(plane.memory)
            fd = os.dup(known) if known is not None else showing.create_dmabuf(memories[plane.memory])
            first.setdefault(plane.memory, fd)
            fds.append(fd)
    except OSError:
        close_all(fds)
        raise
    return fds


HANDLERS: Final[Messages[ShownPages]] = {
    ("wl_shm", REQUEST, "create_pool"): ShownPages.handle_create_pool,
    ("wl_shm_pool", REQUEST, "create_buffer"): ShownPages.handle_create_buffer,
    ("wl_shm_pool", REQUEST, "resize"): ShownPages.handle_resize,
    ("wl_shm_pool", REQUEST, "destroy"): ShownPages.handle_destroy_pool,
    ("wl_buffer", REQUEST, "destroy"): ShownPages.handle_destroy_buffer,
    ("wl_fixes", REQUEST, "destroy_registry"): ShownPages.handle_destroy_registry,
}
