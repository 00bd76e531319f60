"""Surfaces whose frames C carries: what it needs to know of them, and what has become of them meanwhile.

Such a surface shows buffers of its client in turn, each in the mirror where it stays, and nothing but its
damage differs from frame to frame.  After a commit of which that is true C has its state
(`crossdomain/native/frames.c`, on the path of `launcher.lane`); whoever needs any of it here calls
`Surface.recall` first.
"""

from typing import TYPE_CHECKING, Final

from crossdomain.bridge.damage import Region
from crossdomain.native import ffi, lib
from crossdomain.wire import Walker
from launcher.channel.seam import HostCopies
from launcher.relay.buffers import Buffer, pages_of
from launcher.relay.in_place import may_be_shown
from launcher.relay.mirrors import Mirror
from launcher.relay.surface import Surface
from launcher.stats import ClientStats

if TYPE_CHECKING:
    from crossdomain.native._core import (
        CarriedBuffer,
        CarriedMirror,
        CarriedSurface,
        CopiesPointer,
        Damage,
        FramesPointer,
    )

_BOX: Final = 16
"""Bytes of an xd_box."""
_NONE: Final = -1


class Frames:
    """Those of one client."""

    def __init__(self, walker: Walker, copies: HostCopies | None, stats: ClientStats) -> None:
        """The walker is to find the messages; `copies` says whether buffers may yet be shown in place."""
        pointer = lib.xd_frames_create(walker.pointer)
        if not pointer:
            raise MemoryError
        self._frames: FramesPointer = ffi.gc(pointer, lib.xd_frames_free)
        self._walker = walker  # which the frames point to
        self._copies = copies
        self._stats = stats
        self._carried: set[_Carried] = set()

    @property
    def copies(self) -> "CopiesPointer":
        """What goes before the next SEND, for C; good while this object lives."""
        return ffi.addressof(self._frames, "copies")

    def take_copies(self) -> bytes:
        """Returns it, for whoever sends in C's place."""
        copies = self._frames.copies
        size, copies.size = copies.size, 0
        return bytes(ffi.buffer(copies.bytes)[:size]) if size else b""

    def carry(self, surface_id: int, surface: Surface) -> None:
        """Lets C carry a steady surface, if it can."""
        mirrors = list(surface.mirrors)
        size = None if surface.buffer is None else surface.buffer.size
        buffers = [one for one in surface.recent.values() if one.size == size and self._fits(one, mirrors)]
        if surface.buffer not in buffers or len(mirrors) > lib.XD_MAX_MIRRORS:
            return
        carried = _Carried(self, surface, mirrors, buffers)
        if carried.fill(surface_id) and not lib.xd_frames_carry(self._frames, carried.pointer):
            self._carried.add(carried)
            surface.carried = carried

    def drop(self, carried: "_Carried") -> None:
        """Its state comes back."""
        lib.xd_frames_drop(self._frames, carried.pointer)
        self._carried.remove(carried)
        carried.collect(self._stats)

    def collect(self) -> None:
        """Adds what was carried since the last time to the client's counters."""
        for carried in self._carried:
            carried.collect(self._stats)

    def _fits(self, buffer: Buffer, mirrors: list[Mirror]) -> bool:
        """Whether a buffer stays where it is, and one copy makes its mirror current."""
        mirror = buffer.mirror
        if mirror not in mirrors or buffer.is_dmabuf or buffer.own is not None or buffer.pins:
            return False
        plane, *others = mirror.layout.planes
        blocks = plane.format
        if others or blocks.block_width * blocks.horizontal * blocks.vertical != 1:
            return False
        if self._copies is not None and may_be_shown(buffer) is not None:
            return False
        return mirror.in_place or mirror.pixels is not None or buffer.has_pages


class _Carried:
    """A surface's state in C; see `surface.Carried`."""

    def __init__(
        self, frames: Frames, surface: Surface, mirrors: list[Mirror], buffers: list[Buffer]
    ) -> None:
        self.pointer: CarriedSurface = ffi.new("xd_surface *")
        self._frames = frames
        self._surface = surface
        self._mirrors = mirrors
        self._buffers = buffers

    def fill(self, surface_id: int) -> bool:
        """Writes all of it; returns whether it has room there."""
        surface, pointer = self._surface, self.pointer
        pointer.surface_id = surface_id
        pointer.scale, pointer.transform = surface.mapping.scale, surface.mapping.transform
        pointer.streak, pointer.trust = surface.sharing.streak, surface.sharing.trust
        pointer.shown = next(n for n, buffer in enumerate(self._buffers) if buffer is surface.buffer)
        pointer.attached = _NONE
        pointer.mirror_count, pointer.buffer_count = len(self._mirrors), len(self._buffers)
        regions = [(pointer.damage, surface.damage), (pointer.buffer_damage, surface.buffer_damage)]
        for number, mirror in enumerate(self._mirrors):
            regions.append((pointer.mirrors[number].stale, mirror.stale))
            _fill_mirror(pointer.mirrors[number], mirror)
        for number, buffer in enumerate(self._buffers):
            if buffer.mirror is not None:
                pointer.buffers[number].mirror = self._mirrors.index(buffer.mirror)
                _fill_buffer(pointer.buffers[number], buffer, buffer.mirror)
        return all(_fill_damage(damage, region) for damage, region in regions)

    def end(self) -> None:
        """See `surface.Carried`."""
        surface, pointer = self._surface, self.pointer
        self._frames.drop(self)
        surface.sharing.streak = pointer.streak
        for number, mirror in enumerate(self._mirrors):
            mirror.readers = pointer.mirrors[number].readers
            mirror.stale = _region(pointer.mirrors[number].stale)
        for number, buffer in enumerate(self._buffers):
            buffer.readers = pointer.buffers[number].readers
        shown = self._buffers[pointer.shown]
        if shown is not surface.buffer:
            surface.buffer = shown
            surface.hold(shown)
        surface.attached_id = shown.buffer_id
        surface.damage, surface.buffer_damage = _region(pointer.damage), _region(pointer.buffer_damage)
        if pointer.attached != _NONE:
            attached = self._buffers[pointer.attached]
            surface.attach(attached)
            surface.attached_id = attached.buffer_id

    def collect(self, stats: ClientStats) -> None:
        """Moves its counters."""
        pointer = self.pointer
        stats.frames += pointer.frames
        stats.bytes_damaged += pointer.bytes_damaged
        pointer.frames = pointer.bytes_damaged = 0
        for number, buffer in enumerate(self._buffers):
            carried = pointer.buffers[number]
            copied, carried.copied = carried.copied, 0
            stats.count_copied(buffer.path, copied)
            if self._mirrors[carried.mirror].pixels is None:
                stats.bytes_copied_host += copied
            else:
                stats.bytes_copied += copied


def _fill_mirror(carried: "CarriedMirror", mirror: Mirror) -> None:
    layout = mirror.layout
    if mirror.pixels is not None:
        carried.pixels = ffi.cast("uint8_t *", mirror.pixels.address)
        carried.size = mirror.pixels.size
    carried.offset, carried.stride = layout.planes[0].offset, layout.planes[0].stride
    carried.resource_id = mirror.memory.identifier.identifier
    carried.width, carried.height = layout.width, layout.height
    carried.readers, carried.in_place = mirror.readers, mirror.in_place


def _fill_buffer(carried: "CarriedBuffer", buffer: Buffer, mirror: Mirror) -> None:
    own, plane = buffer.planes[0], mirror.layout.planes[0]
    carried.buffer_id = buffer.buffer_id
    carried.source_offset, carried.source_stride = own.offset, own.stride
    carried.block_bytes = plane.format.block_bytes
    carried.width, carried.height = buffer.size
    carried.readers = buffer.readers
    if mirror.pixels is not None:
        mapping = own.memory.mapping
        carried.pixels, carried.size = ffi.cast("uint8_t *", mapping.address), mapping.size
        return
    if own.memory.file is not None:
        carried.file = own.memory.file
    pages = pages_of(plane, own, mirror.layout.width)
    if pages is not None:
        carried.source, carried.key = pages.resource_id, pages.key
        carried.source_offset += pages.begin


def _fill_damage(damage: "Damage", region: Region) -> bool:
    """Whether it has room for that."""
    boxes = region.boxes()
    count = len(boxes) // _BOX
    if count > lib.XD_MAX_DAMAGE:
        return False
    damage.count = count
    ffi.memmove(damage.boxes, boxes, len(boxes))
    return True


def _region(damage: "Damage") -> Region:
    return Region.of_boxes(ffi.buffer(damage.boxes)[: damage.count * _BOX])
