"""Guest pages that the compositor reads in place: SHOW_PAGES, and the messages that make such a buffer.

The guest says what it says of a mirror: a pool, one buffer of it, the end of the pool.  Where the pool's fd
is a dmabuf of ours, the compositor gets a zwp_linux_buffer_params_v1 in the pool's place, and the buffer as
one of zwp_linux_dmabuf_v1.  That global stays hidden from guests: they can't say a word of it themselves,
and what is said here is what the compositor has been seen to take (`Showing`).
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import Identifier
from crossdomain.abi.pages import Shown, ShowPages, Verdict
from crossdomain.bridge.formats import fourcc, layout
from crossdomain.context.edits import EVENT, REQUEST, Edit, Messages, Passing, find
from crossdomain.context.memory import PAGE_SIZE, round_to_pages
from crossdomain.context.ports import Image, Pages, Showing
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_SHOWN_BUFFERS, MAX_SHOWN_SIDE
from crossdomain.wire.codec import Data, decode_arguments, encode_message, integer, text

DMABUF: Final = "zwp_linux_dmabuf_v1"
PARAMS: Final = "zwp_linux_buffer_params_v1"
LINEAR: Final = 0
"""DRM_FORMAT_MOD_LINEAR."""
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


class _Global(NamedTuple):
    registry_id: int
    name: int
    version: int


class _Waiting(NamedTuple):
    """Pages that were judged, and wait for their create_pool."""

    fd: int
    show: ShowPages


class ShownPages:
    """Those of one client."""

    def __init__(self) -> None:
        """Nothing is shown before `open`."""
        self._showing: Showing | None = None
        self._own: Callable[[int], None] | None = None
        self._global: _Global | None = None
        self._next = 1
        self._waiting: dict[int, _Waiting] = {}
        self._sent: dict[int, ShowPages] = {}
        """By fd: on their way to the walk."""
        self._pools: dict[int, ShowPages] = {}
        """By the id of what the guest takes for a wl_shm_pool."""
        self._buffers: set[int] = set()
        self._params: deque[int] = deque(maxlen=MAX_SHOWN_BUFFERS)
        """Ids of the last pools that became something else."""

    def open(self, showing: Showing, own: Callable[[int], None]) -> None:
        """Pages may be shown from now on; `own` is told of ids that are deleted once more (`Walker.own`)."""
        self._showing = showing
        self._own = own

    def ask(self, show: ShowPages, pages: Pages) -> Shown:
        """Carries out SHOW_PAGES; whoever calls has seen that the guest may name these pages.

        Raises:
            GuestFault: no image that can be there.
        """
        image, start, length = _place(show)
        if self._showing is None or not self._may_show(show):
            return Shown(Verdict.NO)
        spans = pages.spans(start, length)
        verdict = self._showing.judge(image, spans)
        if verdict is not Verdict.YES:
            return Shown(verdict)
        try:
            fd = self._showing.create_dmabuf(spans)
        except OSError:
            return Shown(Verdict.NO)
        identifier, self._next = self._next, self._next + 1
        self._waiting[identifier] = _Waiting(fd, show)
        return Shown(Verdict.YES, identifier)

    def _may_show(self, show: ShowPages) -> bool:
        shown = len(self._buffers) + len(self._waiting) + len(self._sent)
        if self._global is None or shown >= MAX_SHOWN_BUFFERS:
            return False
        return not show.stride % STRIDE_ALIGNMENT

    def take(self, entry: Identifier) -> int:
        """The fd that a SEND names; it is the caller's, and known to `handle_create_pool`.

        Raises:
            GuestFault: there is none of that number.
        """
        waiting = self._waiting.pop(entry.identifier, None)
        if waiting is None:
            raise GuestFault(f"there are no shown pages {entry.identifier}")
        self._sent[waiting.fd] = waiting.show
        return waiting.fd

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
            os.close(waiting.fd)
        self._waiting.clear()
        self._sent.clear()

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
        show = self._sent.pop(request.fds[0], None) if request.fds else None
        if show is None:
            return None
        if self._global is None or self._own is None:
            raise GuestFault("the compositor takes no dmabufs any more")
        pool_id = integer(decode_arguments(_CREATE_POOL, request.data)[0])
        registry_id, name, version = self._global
        dmabuf_id = show.buffer_id
        if dmabuf_id == pool_id:
            raise GuestFault(f"pool and buffer of the same id {pool_id}")
        self._pools[pool_id] = show
        self._params.append(pool_id)
        self._buffers.add(show.buffer_id)
        self._own(dmabuf_id)
        image, _start, _length = _place(show)
        return Edit(
            encode_message(_BIND, registry_id, name, DMABUF, version, dmabuf_id)
            + encode_message(_CREATE_PARAMS, dmabuf_id, pool_id)
            + encode_message(_DESTROY_DMABUF, dmabuf_id)
            + encode_message(_ADD, pool_id, None, 0, image.offset, image.stride, LINEAR >> 32, LINEAR)
        )

    def handle_create_buffer(self, request: Passing) -> Edit | None:
        """wl_shm_pool.create_buffer."""
        show = self._pools.get(request.object_id)
        if show is None:
            return None
        values = decode_arguments(_CREATE_BUFFER, request.data)
        if values != (show.buffer_id, 0, show.width, show.height, show.stride, show.format):
            raise GuestFault("another buffer than the one that was to be shown")
        image, _start, _length = _place(show)
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


def _place(show: ShowPages) -> tuple[Image, int, int]:
    """The image, and the pages of the source that it is on: start and length in bytes.

    Raises:
        GuestFault: there is no such image, or it has several planes.
    """
    if not (0 < show.width <= MAX_SHOWN_SIDE and 0 < show.height <= MAX_SHOWN_SIDE):
        raise GuestFault(f"an image of {show.width} x {show.height}")
    found = layout(show.format, show.width, show.height, show.stride)
    if found is None or len(found.planes) != 1:
        raise GuestFault(f"no image of format {show.format:#x} and stride {show.stride} can be shown")
    offset = show.source_offset % PAGE_SIZE
    code = _RGB.get(show.format, show.format)
    image = Image(offset, code, show.width, show.height, show.stride)
    return image, show.source_offset - offset, round_to_pages(offset + found.size)


HANDLERS: Final[Messages[ShownPages]] = {
    ("wl_shm", REQUEST, "create_pool"): ShownPages.handle_create_pool,
    ("wl_shm_pool", REQUEST, "create_buffer"): ShownPages.handle_create_buffer,
    ("wl_shm_pool", REQUEST, "resize"): ShownPages.handle_resize,
    ("wl_shm_pool", REQUEST, "destroy"): ShownPages.handle_destroy_pool,
    ("wl_buffer", REQUEST, "destroy"): ShownPages.handle_destroy_buffer,
    ("wl_fixes", REQUEST, "destroy_registry"): ShownPages.handle_destroy_registry,
}
