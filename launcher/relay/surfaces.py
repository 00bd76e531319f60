"""Surfaces: what of which buffer changed, and the copy of it that goes before each commit.

A buffer's mirror has to have all that the client has drawn since the buffer was last copied.
The client says at each commit what changed on the surface, so the damage of one commit is stale
in all buffers of that surface, and the committed one is copied then.  Where buffers change in
ways that damage does not tell (another surface, no buffer, another scale), they are stale whole.
"""

from struct import Struct
from typing import Final, TypeAlias

from crossdomain.bridge.damage import Rectangle, Region, SurfaceMapping, Viewport
from crossdomain.wire import Record
from launcher.relay.messages import EventHandler, RequestHandler, Route
from launcher.relay.shm import Buffer, Shm
from launcher.stats import ClientStats, Stats

_HEADER: Final = 8
_UINT: Final = Struct("<I")
_INT: Final = Struct("<i")
_OBJECTS: Final = Struct("<II")
_SIZE: Final = Struct("<ii")
_RECTANGLE: Final = Struct("<iiii")
_MAX_PENDING: Final = 256
"""Rectangles of damage that are kept apart until a commit."""

_Rectangle: TypeAlias = tuple[int, int, int, int]
"""x, y, width and height; none is negative."""


class _Mapping:
    """The double-buffered state that tells which pixels a rectangle in surface coordinates means."""

    __slots__ = ("destination", "scale", "source", "transform")

    def __init__(self) -> None:
        self.scale = 1
        self.transform = 0
        self.source: tuple[int, int, int, int] | None = None
        self.destination: tuple[int, int] | None = None

    def of(self, buffer: Buffer) -> SurfaceMapping:
        """Returns it for a buffer."""
        viewport = Viewport(self.source, self.destination)
        width, height = buffer.layout.width, buffer.layout.height
        return SurfaceMapping(width, height, self.scale, self.transform, viewport)


class _Surface:
    """One wl_surface."""

    __slots__ = (
        "attached",
        "attaches",
        "buffer",
        "buffer_damage",
        "buffers",
        "damage",
        "mapping",
        "remapped",
    )

    def __init__(self) -> None:
        self.buffer: Buffer | None = None
        """What the last commit left."""
        self.attaches = False
        self.attached: Buffer | None = None
        """What the next commit shows, where `attaches`; None: nothing, or no buffer of wl_shm."""
        self.damage: list[_Rectangle] = []
        """x, y, width, height in surface coordinates."""
        self.buffer_damage: list[_Rectangle] = []
        """The same in px of the buffer."""
        self.mapping = _Mapping()
        self.remapped = False
        """Whether `mapping` changes with the next commit."""
        self.buffers: set[Buffer] = set()
        """Those that were committed here last, and hold what this surface showed at some time."""

    def drop(self, buffer: Buffer) -> None:
        """The buffer is shown elsewhere, or is gone."""
        self.buffers.discard(buffer)

    def take_damage(self, buffer: Buffer) -> Region:
        """Returns what the commit says has changed, in px of the buffer, and forgets it."""
        region = Region()
        if self.remapped:
            region.add_rectangle(Rectangle(0, 0, buffer.layout.width, buffer.layout.height))
        for x, y, width, height in self.buffer_damage:
            region.add(x, y, width, height)
        if self.damage:
            mapping = self.mapping.of(buffer)
            for x, y, width, height in self.damage:
                region.add_rectangle(mapping.to_buffer(x, y, width, height))
        region.clip(buffer.layout.width, buffer.layout.height)
        self.buffer_damage.clear()
        self.damage.clear()
        self.remapped = False
        return region


class Surfaces:
    """One client's surfaces; a `messages.Part`."""

    def __init__(self, shm: Shm, stats: Stats, client_stats: ClientStats) -> None:
        self._shm = shm
        self._all_stats = stats
        self._stats = client_stats
        self._surfaces: dict[int, _Surface] = {}
        self._viewports: dict[int, int] = {}

    @property
    def shows_anything(self) -> bool:
        """Whether the compositor shows a buffer of this client."""
        return any(surface.buffer is not None for surface in self._surfaces.values())

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {
            ("wl_surface", "attach"): self._handle_attach,
            ("wl_surface", "damage"): self._handle_damage,
            ("wl_surface", "damage_buffer"): self._handle_damage_buffer,
            ("wl_surface", "set_buffer_scale"): self._handle_set_scale,
            ("wl_surface", "set_buffer_transform"): self._handle_set_transform,
            ("wl_surface", "commit"): self._handle_commit,
            ("wl_surface", "destroy"): self._handle_destroy,
            ("wp_viewporter", "get_viewport"): self._handle_get_viewport,
            ("wp_viewport", "set_source"): self._handle_set_source,
            ("wp_viewport", "set_destination"): self._handle_set_destination,
            ("wp_viewport", "destroy"): self._handle_destroy_viewport,
            ("xdg_toplevel_icon_v1", "add_buffer"): self._handle_other_use,
        }

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {}

    def _handle_attach(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        (buffer_id,) = _UINT.unpack_from(data, record.offset + _HEADER)
        surface = self._surface(record.object_id)
        surface.attaches = True
        surface.attached = self._shm.buffer(buffer_id)

    def _handle_damage(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        rectangle = _RECTANGLE.unpack_from(data, record.offset + _HEADER)
        _add(self._surface(record.object_id).damage, rectangle)

    def _handle_damage_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        rectangle = _RECTANGLE.unpack_from(data, record.offset + _HEADER)
        _add(self._surface(record.object_id).buffer_damage, rectangle)

    def _handle_set_scale(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        (scale,) = _INT.unpack_from(data, record.offset + _HEADER)
        surface = self._surface(record.object_id)
        # Where it is not, the compositor says so.
        if scale > 0 and scale != surface.mapping.scale:
            surface.mapping.scale = scale
            surface.remapped = True

    def _handle_set_transform(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        (transform,) = _INT.unpack_from(data, record.offset + _HEADER)
        surface = self._surface(record.object_id)
        if 0 <= transform < 8 and transform != surface.mapping.transform:
            surface.mapping.transform = transform
            surface.remapped = True

    def _handle_commit(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        surface = self._surfaces.get(record.object_id)
        if surface is None:
            return
        attaches = surface.attaches
        if attaches:
            self._show_attached(surface)
        buffer = surface.buffer
        if buffer is not None and buffer.memory is not None:
            self._copy(surface, buffer, attaches)

    def _show_attached(self, surface: _Surface) -> None:
        """The commit shows what was attached."""
        buffer = surface.buffer = surface.attached
        surface.attaches = False
        surface.attached = None
        if buffer is None or buffer.memory is None:
            # What the next buffers have to hold is no longer told by damage.
            self._forget_buffers(surface)
            return
        if buffer.home is not surface:
            if buffer.home is not None:
                buffer.home.drop(buffer)
            buffer.forget()
            buffer.home = surface
            surface.buffers.add(buffer)
        buffer.committed()

    def _copy(self, surface: _Surface, buffer: Buffer, attaches: bool) -> None:
        """Makes the mirror of the committed buffer current."""
        damage = surface.take_damage(buffer)
        if not damage and not attaches:
            return
        if damage:
            buffer.stale.add_region(damage)
            for other in surface.buffers:
                if other is not buffer:
                    other.stale.add_region(damage)
        stats = self._stats
        stats.frames += 1
        stats.bytes_damaged += damage.area * buffer.bits_per_pixel // 8
        stats.bytes_copied += buffer.refresh()
        if stats.first_frame_s is None:
            self._all_stats.first_frame(stats)

    def _forget_buffers(self, surface: _Surface) -> None:
        for buffer in surface.buffers:
            buffer.home = None
        surface.buffers.clear()
        surface.damage.clear()
        surface.buffer_damage.clear()

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        surface = self._surfaces.pop(record.object_id, None)
        if surface is not None:
            self._forget_buffers(surface)
        for viewport_id in [key for key, value in self._viewports.items() if value == record.object_id]:
            del self._viewports[viewport_id]

    def _handle_get_viewport(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        viewport_id, surface_id = _OBJECTS.unpack_from(data, record.offset + _HEADER)
        self._viewports[viewport_id] = surface_id

    def _handle_set_source(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        x, y, width, height = _RECTANGLE.unpack_from(data, record.offset + _HEADER)
        valid = x >= 0 and y >= 0 and width > 0 and height > 0
        self._set_source(record.object_id, (x, y, width, height) if valid else None)

    def _handle_set_destination(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        width, height = _SIZE.unpack_from(data, record.offset + _HEADER)
        self._set_destination(record.object_id, (width, height) if width > 0 and height > 0 else None)

    def _handle_destroy_viewport(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        self._set_source(record.object_id, None)
        self._set_destination(record.object_id, None)
        self._viewports.pop(record.object_id, None)

    def _handle_other_use(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        """The compositor reads a buffer that is on no surface, whole."""
        (buffer_id,) = _UINT.unpack_from(data, record.offset + _HEADER)
        buffer = self._shm.buffer(buffer_id)
        if buffer is not None:
            buffer.forget()
            self._stats.bytes_copied += buffer.refresh()
            buffer.committed()

    def _surface(self, surface_id: int) -> _Surface:
        surface = self._surfaces.get(surface_id)
        if surface is None:
            surface = self._surfaces[surface_id] = _Surface()
        return surface

    def _set_source(self, viewport_id: int, source: _Rectangle | None) -> None:
        surface = self._viewed(viewport_id)
        if surface is not None and surface.mapping.source != source:
            surface.mapping.source = source
            surface.remapped = True

    def _set_destination(self, viewport_id: int, destination: tuple[int, int] | None) -> None:
        surface = self._viewed(viewport_id)
        if surface is not None and surface.mapping.destination != destination:
            surface.mapping.destination = destination
            surface.remapped = True

    def _viewed(self, viewport_id: int) -> _Surface | None:
        surface_id = self._viewports.get(viewport_id)
        return None if surface_id is None else self._surface(surface_id)


def _add(damage: list[_Rectangle], rectangle: _Rectangle) -> None:
    """Appends a rectangle (x, y, width, height); very many are joined, for a client that never commits."""
    if rectangle[2] <= 0 or rectangle[3] <= 0:
        return
    damage.append(rectangle)
    if len(damage) > _MAX_PENDING:
        left = min(x for x, _, _, _ in damage)
        top = min(y for _, y, _, _ in damage)
        right = max(x + width for x, _, width, _ in damage)
        bottom = max(y + height for _, y, _, height in damage)
        damage[:] = [(left, top, right - left, bottom - top)]
