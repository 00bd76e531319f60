"""Surfaces: what of which buffer changed, and the copy of it that goes before each commit.

A buffer's mirror has to have all that the client has drawn since the buffer was last copied.
The client says at each commit what changed on the surface, so the damage of one commit is stale
in all mirrors of that surface, and that of the committed buffer is made current then.  Where buffers
change in ways that damage does not tell (another surface, no buffer, another scale), they are stale whole.
"""

from struct import Struct
from typing import Final, TypeAlias

from crossdomain.bridge.damage import Rectangle, Region, SurfaceMapping, Viewport
from crossdomain.bridge.fences import Fence
from crossdomain.wire import Direction, Record, Watch
from launcher.channel.seam import HostCopies
from launcher.relay import encode
from launcher.relay.buffers import Buffer, Source
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
from launcher.relay.sharing import Move, Sharing
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
and nothing waits."""


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
        width, height = buffer.request.width, buffer.request.height
        return SurfaceMapping(width, height, self.scale, self.transform, viewport)


class _Surface:
    """One wl_surface."""

    __slots__ = (
        "attached",
        "attached_id",
        "attaches",
        "awaited",
        "buffer",
        "buffer_damage",
        "damage",
        "has_begun",
        "held",
        "is_lost",
        "is_quiet",
        "is_shown",
        "mapping",
        "mirrors",
        "remapped",
        "sharing",
    )

    def __init__(self) -> None:
        self.buffer: Buffer | None = None
        """What the last commit left."""
        self.attaches = False
        self.attached: Buffer | None = None
        """What the next commit shows, where `attaches`; None: nothing, or a buffer that has no mirror."""
        self.attached_id = 0
        """The client's id of what was attached last."""
        self.held: Source | None = None
        """Whose memory the compositor reads in place, whatever the client does with its buffer."""
        self.is_shown = False
        """Whether the last attach was one of a buffer, of any kind."""
        self.has_begun = False
        """Whether a commit waits for what is `awaited`."""
        self.awaited: list[Fence] = []
        self.is_lost = False
        """Whether what is attached was never finished: it is not shown."""
        self.damage = Region()
        """In surface coordinates."""
        self.buffer_damage = Region()
        """In px of the buffer."""
        self.mapping = _Mapping()
        self.remapped = False
        """Whether `mapping` changes with the next commit."""
        self.is_quiet = False
        """Whether its frames may have passed unseen."""
        self.mirrors: set[Mirror] = set()
        """Those that were shown here last, and hold what this surface showed at some time."""
        self.sharing = Sharing()

    @property
    def is_calm(self) -> bool:
        """Whether it shows what the compositor has from the client itself, and nothing is under way."""
        shows_ours = self.buffer is not None or self.held is not None or bool(self.mirrors)
        return self.is_shown and not (shows_ours or self.attaches or self.has_begun or self.is_lost)

    def drop(self, mirror: Mirror) -> None:
        """The mirror is shown elsewhere, or is gone."""
        self.mirrors.discard(mirror)

    def attach(self, buffer: Buffer | None) -> None:
        """The next commit shows that buffer."""
        self.cancel_attach()
        self.attaches = True
        self.is_lost = False
        self.attached = buffer
        if buffer is not None:
            buffer.pins += 1

    def cancel_attach(self) -> None:
        """No buffer waits for a commit."""
        if self.attached is not None:
            self.attached.pins -= 1
        self.attaches = False
        self.attached = None

    def await_next(self) -> Fence | None:
        """Returns a fence that a commit that has begun still waits for."""
        while self.awaited:
            if self.awaited[-1].is_pending:
                return self.awaited[-1]
            self.awaited.pop().close()
        return None

    def end_waiting(self) -> None:
        """The commit that has begun is done, or will never be."""
        self.has_begun = False
        while self.awaited:
            self.awaited.pop().close()

    def take_damage(self, buffer: Buffer) -> Region:
        """Returns what the commit says has changed, in px of the buffer, and forgets it."""
        region = Region()
        if self.remapped:
            region.add_rectangle(Rectangle(0, 0, buffer.request.width, buffer.request.height))
        region.add_region(self.buffer_damage)
        if self.damage:
            mapping = self.mapping.of(buffer)
            for left, top, right, bottom in self.damage:
                region.add_rectangle(mapping.to_buffer(left, top, right - left, bottom - top))
        region.clip(buffer.request.width, buffer.request.height)
        self.buffer_damage.clear()
        self.damage.clear()
        self.remapped = False
        return region


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
        """Surfaces of this batch that may be quiet after it."""
        self._buffers = buffers
        self._commits = commits
        self._copies = copies
        self._all_stats = stats
        self._stats = client_stats
        self._surfaces: dict[int, _Surface] = {}
        self._viewports: dict[int, int] = {}

    @property
    def shows_anything(self) -> bool:
        """Whether the compositor shows a buffer of this client."""
        return any(surface.is_shown for surface in self._surfaces.values())

    def hide_everything(self) -> bytes:
        """Returns the requests after which `shows_anything` is false: windows vanish with their contents."""
        shown = [surface_id for surface_id, surface in self._surfaces.items() if surface.buffer is not None]
        for surface_id in shown:
            self._surfaces[surface_id].buffer = None
        return b"".join(map(encode.show_nothing, shown))

    def close(self) -> None:
        """Nothing is shown any more, and no commit waits."""
        for surface in self._surfaces.values():
            surface.end_waiting()
            _hold(surface, None)

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

    def _place(self, surface: _Surface, buffer: Buffer) -> ToHost | None:
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

    def _handle_commit(self, record: Record, _data: memoryview, _fds: list[int]) -> ToHost | None:
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
        releases = self._commits.take_releases(record.object_id)
        drawn = self._buffers.drawn(surface.attached_id) if releases else None
        if drawn is not None:
            drawn.release_later(releases)
        self._committed.add(record.object_id)
        return None

    def end_batch(self) -> None:
        """All that the walker has seen is handled: surfaces that need nobody are quiet from now on."""
        for surface_id in self._committed:
            surface = self._surfaces.get(surface_id)
            if surface is not None and surface.is_calm and not self._commits.concern(surface_id):
                surface.is_quiet = True
                self._host.quieten(surface_id)
        self._committed.clear()

    def drop_commit(self, surface_id: int) -> None:
        """The commit that has begun will never be: what is attached is not shown by a later one either."""
        surface = self._surfaces[surface_id]
        surface.end_waiting()
        surface.is_lost = surface.attaches
        for release in self._commits.take_releases(surface_id):
            release.signal()

    def _commit(self, surface: _Surface) -> None:
        attaches = surface.attaches
        if attaches:
            self._show_attached(surface)
        buffer = surface.buffer
        if buffer is not None and buffer.mirror is not None:
            self._copy(surface, buffer, buffer.mirror, attaches)
        elif attaches and surface.is_shown:
            self._count_frame()

    def _show_attached(self, surface: _Surface) -> None:
        """The commit shows what was attached."""
        buffer = surface.buffer = surface.attached
        surface.cancel_attach()
        _hold(surface, buffer)
        if buffer is None or buffer.mirror is None:
            # What the next buffers have to hold is no longer told by damage.
            _forget_mirrors(surface)
            return
        buffer.mirror.settle(surface)
        surface.mirrors.add(buffer.mirror)
        buffer.committed()

    def _copy(self, surface: _Surface, buffer: Buffer, mirror: Mirror, attaches: bool) -> None:
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
            surface.end_waiting()
            surface.cancel_attach()
            _hold(surface, None)
            _forget_mirrors(surface)
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

    def _surface(self, surface_id: int) -> _Surface:
        surface = self._surfaces.get(surface_id)
        if surface is None:
            surface = self._surfaces[surface_id] = _Surface()
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

    def _viewed(self, viewport_id: int) -> _Surface | None:
        surface_id = self._viewports.get(viewport_id)
        return None if surface_id is None else self._surface(surface_id)


def _hold(surface: _Surface, buffer: Buffer | None) -> None:
    """Keeps the memory of what is shown in place, and lets that go which was shown before."""
    held, surface.held = surface.held, None
    if buffer is not None and buffer.mirror is not None and buffer.mirror.in_place:
        surface.held = buffer.source
        surface.held.use()
    if held is not None:
        held.leave()


def _forget_mirrors(surface: _Surface) -> None:
    for mirror in list(surface.mirrors):
        mirror.settle(None)
    surface.damage.clear()
    surface.buffer_damage.clear()
