"""Surfaces: what of which buffer changed, and the copy of it that goes before each commit.

A buffer's mirror has to have all that the client has drawn since the buffer was last copied.
The client says at each commit what changed on the surface, so the damage of one commit is stale
in all mirrors of that surface, and that of the committed buffer is made current then.  Where buffers
change in ways that damage does not tell (another surface, no buffer, another scale or size), they are stale
whole.
"""

from struct import Struct
from typing import Final, TypeAlias

from crossdomain.wire import Direction, Record, Watch
from launcher.channel.seam import HostCopies
from launcher.relay import encode
from launcher.relay.buffers import Buffer
from launcher.relay.client_buffers import ClientBuffers
from launcher.relay.messages import (
    DROP_REQUEST,
    EventHandler,
    Host,
    RequestHandler,
    Route,
    ToHost,
    Wait,
    before,
)
from launcher.relay.mirrors import Mirror
from launcher.relay.sharing import Move
from launcher.relay.steady import Frames
from launcher.relay.surface import Surface
from launcher.relay.sync.commits import Commits
from launcher.relay.sync.surface import Attached
from launcher.stats import ClientStats, Stats

_HEADER: Final = 8
_UINT: Final = Struct("<I")
_INT: Final = Struct("<i")
_OBJECTS: Final = Struct("<II")
_SIZE: Final = Struct("<ii")
_RECTANGLE: Final = Struct("<iiii")

_Rectangle: TypeAlias = tuple[int, int, int, int]
"""x, y, width and height; none is negative."""


QUIETABLE: Final = (
    ("wl_surface", Direction.REQUEST, "attach", Watch.BEGINS),
    ("wl_surface", Direction.REQUEST, "damage", Watch.UNLESS_QUIET),
    ("wl_surface", Direction.REQUEST, "damage_buffer", Watch.UNLESS_QUIET),
    ("wl_surface", Direction.REQUEST, "commit", Watch.ENDS),
    ("wl_buffer", Direction.EVENT, "release", Watch.UNLESS_QUIET),
)
"""What nobody has to see of surfaces and buffers that are quiet: those of which nothing has to be copied,
and nothing waits.  Of those whose frames C carries (`steady`) it sees them, and these too:"""

TAKABLE: Final = (
    ("wl_surface", Direction.REQUEST, "set_buffer_scale", Watch.UNLESS_TAKEN),
    ("wl_surface", Direction.REQUEST, "set_buffer_transform", Watch.UNLESS_TAKEN),
)
"""What clients say with each frame, though it changes nothing."""


class Surfaces:
    """One client's surfaces; a `messages.Part`."""

    def __init__(
        self,
        host: Host,
        buffers: ClientBuffers,
        commits: Commits,
        copies: HostCopies | None,
        stats: Stats,
        client_stats: ClientStats,
    ) -> None:
        self._host = host
        self._committed: set[int] = set()
        """Surfaces of this batch that may be quiet, or carried, after it."""
        self._buffers = buffers
        self._commits = commits
        self._copies = copies
        self._all_stats = stats
        self._stats = client_stats
        self._surfaces: dict[int, Surface] = {}
        self.frames: Frames | None = None
        """Carries those of steady surfaces, where messages pass in C at all."""
        self._viewports: dict[int, int] = {}

    @property
    def shows_anything(self) -> bool:
        """Whether the compositor shows a buffer of this client."""
        return any(surface.is_shown for surface in self._surfaces.values())

    def hide_everything(self) -> bytes:
        """Returns the requests after which `shows_anything` is false: windows vanish with their contents."""
        shown = {
            key: surface for key, surface in self._surfaces.items() if surface.is_shown or surface.buffer
        }
        for surface in shown.values():
            surface.recall()
            surface.buffer = None
            surface.is_shown = False
        return b"".join(map(encode.show_nothing, shown))

    def close(self) -> None:
        """Nothing is shown any more, and no commit waits."""
        for surface in self._surfaces.values():
            surface.recall()
            surface.end_waiting()
            surface.hold(None)

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

    def _handle_attach(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        (buffer_id,) = _UINT.unpack_from(data, record.offset + _HEADER)
        surface = self._surface(record.object_id)
        buffer = self._buffers.get(buffer_id)
        moved = None if buffer is None else self._place(surface, buffer)
        surface.attach(buffer)
        surface.attached_id = buffer_id
        surface.is_shown = buffer_id != 0
        return None if moved is None else before(moved, record, data)

    def _place(self, surface: Surface, buffer: Buffer) -> ToHost | None:
        """Brings a buffer into the mirror that costs least; returns what does so on the host."""
        mine, shown = buffer.mirror, surface.buffer
        if mine is not None and mine.pixels is None and buffer.has_holes and buffer.is_movable:
            # What the host sees is not what the client draws any more.
            return self._buffers.part(buffer, mine)
        if buffer.is_movable and (in_place := self._buffers.show(buffer)) is not None:
            return in_place
        match surface.sharing.judge(buffer, shown):
            case Move.JOIN if shown is not None and shown.mirror is not None:
                return self._buffers.join(buffer, shown.mirror)
            case Move.LEAVE if mine is not None:
                return self._buffers.part(buffer, mine)
            case _:
                return None

    def _handle_damage(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        self._surface(record.object_id).damage.add(*_RECTANGLE.unpack_from(data, record.offset + _HEADER))

    def _handle_damage_buffer(self, record: Record, data: memoryview, _fds: list[int]) -> None:
        rectangle = _RECTANGLE.unpack_from(data, record.offset + _HEADER)
        self._surface(record.object_id).buffer_damage.add(*rectangle)

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

    def _handle_commit(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        surface = self._surface(record.object_id)
        if surface.is_lost:
            return DROP_REQUEST
        if not surface.has_begun:
            attached = Attached(surface.attaches, surface.is_shown, self._buffers.drawn(surface.attached_id))
            surface.awaited = self._commits.begin(record.object_id, attached)
            surface.has_begun = True
        fence = surface.await_next()
        if fence is not None:
            return ToHost(b"", wait=Wait(fence, surface.attached_id))
        surface.end_waiting()
        self._commit(surface)
        requests = self._commits.take_requests(record.object_id)
        releases = self._commits.take_releases(record.object_id)
        drawn = self._buffers.drawn(surface.attached_id) if releases else None
        if drawn is not None:
            drawn.release_later(releases)
        self._committed.add(record.object_id)
        return None if requests is None else before(requests, record, data)

    def end_batch(self) -> None:
        """All that the walker has seen is handled: surfaces that need nobody are quiet from now on."""
        for surface_id in self._committed:
            surface = self._surfaces.get(surface_id)
            if surface is None or self._commits.concern(surface_id):
                continue
            if surface.is_calm:
                surface.is_quiet = True
                self._host.quieten(surface_id)
            elif surface.is_steady and self.frames is not None:
                self.frames.carry(surface_id, surface)
        self._committed.clear()

    def drop_commit(self, surface_id: int) -> None:
        """The commit that has begun will never be: what is attached is not shown by a later one either."""
        surface = self._surfaces[surface_id]
        surface.end_waiting()
        surface.is_lost = surface.attaches
        for release in self._commits.take_releases(surface_id):
            release.signal()

    def _commit(self, surface: Surface) -> None:
        attaches = surface.attaches
        if attaches:
            surface.show_attached()
        buffer = surface.buffer
        if buffer is not None and buffer.mirror is not None:
            self._copy(surface, buffer, buffer.mirror, attaches)
        elif attaches and surface.is_shown:
            self._count_frame()

    def _copy(self, surface: Surface, buffer: Buffer, mirror: Mirror, attaches: bool) -> None:
        """Makes the mirror of the committed buffer current."""
        damage = surface.take_damage(buffer)
        if not damage and not attaches:
            return
        if damage:
            mirror.stale.add_region(damage)
            for other in surface.mirrors:
                if other is not mirror:
                    other.stale.add_region(damage)
        self._stats.bytes_damaged += damage.area * buffer.bits_per_pixel // 8
        self._refresh(buffer)
        self._count_frame()

    def _refresh(self, buffer: Buffer) -> None:
        copied = buffer.refresh(self._copies)
        self._stats.count_copied(buffer.path, copied)
        if buffer.mirror is not None and buffer.mirror.pixels is None:
            self._stats.bytes_copied_host += copied
        else:
            self._stats.bytes_copied += copied

    def _count_frame(self) -> None:
        self._stats.frames += 1
        if self._stats.first_frame_s is None:
            self._all_stats.first_frame(self._stats)

    def _handle_destroy(self, record: Record, _data: memoryview, _fds: list[int]) -> None:
        surface = self._surfaces.pop(record.object_id, None)
        self._commits.lose_surface(record.object_id)
        if surface is not None:
            surface.recall()
            surface.end_waiting()
            surface.cancel_attach()
            surface.hold(None)
            surface.forget_mirrors()
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

    def _handle_other_use(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        """The compositor reads a buffer that is on no surface, whole."""
        (buffer_id,) = _UINT.unpack_from(data, record.offset + _HEADER)
        buffer = self._buffers.get(buffer_id)
        if buffer is None or buffer.mirror is None:
            return None
        moved = None
        if buffer.mirror.in_place and not buffer.is_movable:
            # The compositor would end the client for a dmabuf there (xdg_toplevel_icon_v1.add_buffer).
            return DROP_REQUEST
        if buffer.is_movable and (buffer.mirror.in_place or not buffer.mirror.is_idle):
            moved = self._buffers.part(buffer, buffer.mirror)
        buffer.mirror.settle(None)
        buffer.mirror.forget()
        self._refresh(buffer)
        buffer.committed()
        return None if moved is None else before(moved, record, data)

    def _surface(self, surface_id: int) -> Surface:
        surface = self._surfaces.get(surface_id)
        if surface is None:
            surface = self._surfaces[surface_id] = Surface()
        elif surface.carried is not None:
            surface.recall()
        elif surface.is_quiet:
            surface.is_quiet = False
            if self._host.stir(surface_id):
                surface.attach(None)
                surface.attached_id = 0
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

    def _viewed(self, viewport_id: int) -> Surface | None:
        surface_id = self._viewports.get(viewport_id)
        return None if surface_id is None else self._surface(surface_id)
