"""One wl_surface of the client's: what it shows, what the next commit shows, and what has changed."""

from typing import Final, Protocol

from crossdomain.bridge.damage import Rectangle, Region, SurfaceMapping, Viewport
from crossdomain.bridge.fences import Fence
from launcher.relay.buffers import Buffer, Source
from launcher.relay.mirrors import Mirror
from launcher.relay.sharing import Sharing

MAX_RECENT: Final = 8
"""Buffers that a surface shows in turn: clients have two to four."""


class Carried(Protocol):
    """A surface's state as long as it is in C (`steady`)."""

    def end(self) -> None:
        """Brings it back."""
        ...


class Mapping:
    """The double-buffered state that tells which pixels a rectangle in surface coordinates means."""

    __slots__ = ("destination", "scale", "source", "transform")

    def __init__(self) -> None:
        self.scale = 1
        self.transform = 0
        self.source: tuple[int, int, int, int] | None = None
        self.destination: tuple[int, int] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether all that it does is to multiply by the scale."""
        return self.transform == 0 and self.source is None and self.destination is None

    def of(self, buffer: Buffer) -> SurfaceMapping:
        """Returns it for a buffer."""
        viewport = Viewport(self.source, self.destination)
        return SurfaceMapping(*buffer.size, self.scale, self.transform, viewport)


class Surface:
    """Its state is here, but for what of it C carries: `recall` brings that back."""

    __slots__ = (
        "attached",
        "attached_id",
        "attaches",
        "awaited",
        "buffer",
        "buffer_damage",
        "carried",
        "damage",
        "has_begun",
        "held",
        "is_lost",
        "is_quiet",
        "is_shown",
        "mapping",
        "mirrors",
        "recent",
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
        self.mapping = Mapping()
        self.remapped = False
        """Whether `mapping`, or the size of what is shown, changes with the next commit."""
        self.is_quiet = False
        """Whether its frames may have passed unseen."""
        self.mirrors: set[Mirror] = set()
        """Those that were shown here last, and hold what this surface showed at some time."""
        self.sharing = Sharing()
        self.recent: dict[int, Buffer] = {}
        """The last buffers that were shown, by the client's id, the latest last."""
        self.carried: Carried | None = None

    @property
    def is_calm(self) -> bool:
        """Whether it shows what the compositor has from the client itself, and nothing is under way."""
        shows_ours = self.buffer is not None or self.held is not None or bool(self.mirrors)
        return self.is_shown and not (shows_ours or self.attaches or self.has_begun or self.is_lost)

    @property
    def is_steady(self) -> bool:
        """Whether it shows a buffer that has a mirror, as it is, and nothing is under way."""
        under_way = self.attaches or self.has_begun or self.is_lost or self.remapped
        shows_ours = self.buffer is not None and self.buffer.mirror is not None
        return shows_ours and self.is_shown and self.mapping.is_plain and not under_way

    def recall(self) -> None:
        """Whoever wants to know or to change anything of it, its mirrors or its buffers calls this first."""
        carried, self.carried = self.carried, None
        if carried is not None:
            carried.end()

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

    def show_attached(self) -> None:
        """A commit shows what was attached."""
        before, buffer = self.buffer, self.attached
        self.buffer = buffer
        if before is not None and buffer is not None and before.size != buffer.size:
            # Its damage is told in px of its own, and compositors take all of it.
            self.remapped = True
        self.cancel_attach()
        self.hold(buffer)
        if buffer is None or buffer.mirror is None:
            # What the next buffers have to hold is no longer told by damage.
            self.forget_mirrors()
            return
        buffer.mirror.settle(self)
        self.mirrors.add(buffer.mirror)
        buffer.committed()
        self.remember(buffer)

    def remember(self, buffer: Buffer) -> None:
        """It is the latest of those that are shown in turn."""
        self.recent.pop(buffer.buffer_id, None)
        self.recent[buffer.buffer_id] = buffer
        if len(self.recent) > MAX_RECENT:
            del self.recent[next(iter(self.recent))]

    def take_damage(self, buffer: Buffer) -> Region:
        """Returns what the commit says has changed, in px of the buffer, and forgets it."""
        region = Region()
        if self.remapped:
            region.add_rectangle(Rectangle(0, 0, *buffer.size))
        region.add_region(self.buffer_damage)
        if self.damage:
            mapping = self.mapping.of(buffer)
            for left, top, right, bottom in self.damage:
                region.add_rectangle(mapping.to_buffer(left, top, right - left, bottom - top))
        region.clip(*buffer.size)
        self.buffer_damage.clear()
        self.damage.clear()
        self.remapped = False
        return region

    def hold(self, buffer: Buffer | None) -> None:
        """Keeps the memory of what is shown in place, and lets that go which was shown before."""
        held, self.held = self.held, None
        if buffer is not None and buffer.mirror is not None and buffer.mirror.in_place:
            self.held = buffer.source
            self.held.use()
        if held is not None:
            held.leave()

    def forget_mirrors(self) -> None:
        """No mirror holds what this surface showed."""
        for mirror in list(self.mirrors):
            mirror.settle(None)
        self.recent.clear()
        self.damage.clear()
        self.buffer_damage.clear()
