"""The client's timelines at a compositor that knows wp_linux_drm_syncobj_v1 (`crossdomain.abi.points`).

The compositor has an object under the id of each of the client's that it needs.  On the same kernel it gets
the client's timelines themselves, and all else is between the two.  Otherwise the host has made it timelines
of its own, and each point is told: what is over here is told there, what is released there is told here.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from crossdomain.abi.cross_domain import Buffer, Identifier, IdentifierType
from crossdomain.abi.points import POINTS, Point, encode_points, parse_points
from crossdomain.bridge.fences import Fence
from crossdomain.limits import MAX_PENDING_POINTS, MAX_TIMELINES
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import Message, load
from launcher.channel.seam import Channel
from launcher.relay.host_globals import HostGlobal
from launcher.relay.messages import Anchor, Host, ToHost
from launcher.relay.stand_ins import StandIns
from launcher.relay.sync.watches import Watches

_MANAGER: Final = "wp_linux_drm_syncobj_manager_v1"
_SURFACE: Final = "wp_linux_drm_syncobj_surface_v1"
_NEW_TIMELINE: Final = Identifier(0, IdentifierType.TIMELINE, 0)
_MOST_PENDING: Final = MAX_PENDING_POINTS // 2
"""The host counts those, too, of which it has told us already."""


class NamedPoint(Protocol):
    """One point of a timeline that the compositor has, too; `signal` or `drop` ends its use."""

    @property
    def named(self) -> Point:
        """As it is told."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it has signalled here."""
        ...

    def fence(self) -> Fence:
        """A fence that is over when it has signalled here, which is the caller's."""
        ...

    def signal(self) -> None:
        """It signals here."""
        ...

    def drop(self) -> None:
        """Nobody needs it any more."""
        ...


class HostTimelines:
    """One client's."""

    def __init__(
        self,
        host: Host,
        channel: Channel,
        stand_ins: StandIns,
        watches: Watches,
        write: Callable[[int, bytes], None],
    ) -> None:
        """`write` sends a WRITE; `stand_ins` are those of the client's objects.  All stay the caller's."""
        self.manager: Final = HostGlobal(_MANAGER, 1)
        self._host = host
        self._channel = channel
        self._stand_ins = stand_ins
        self._watches = watches
        self._write = write
        self._managers: set[int] = set()
        self._timelines = 0
        self._awaited: dict[Point, list[NamedPoint]] = {}
        self._watched: set[NamedPoint] = set()
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether one more commit's points may be told."""
        return len(self._watched) + len(self._awaited) < _MOST_PENDING

    def has_manager(self, manager_id: int) -> bool:
        """Whether the compositor has that manager."""
        return manager_id in self._managers

    def bind(self, anchor: Anchor, manager_id: int) -> ToHost | None:
        """The client binds the global; returns what makes the compositor's, None where it has none."""
        bound = self.manager.bind(anchor, manager_id)
        if bound is None:
            return None
        self._managers.add(manager_id)
        self._stand_ins.own(manager_id)
        return ToHost(bound)

    def leave_manager(self, manager_id: int) -> ToHost:
        """The client destroys a manager; what was made through it stays."""
        if manager_id not in self._managers:
            return ToHost(b"")
        self._managers.discard(manager_id)
        return ToHost(_encode(_MANAGER, "destroy", manager_id))

    def import_timeline(self, manager_id: int, timeline_id: int, fd: int) -> ToHost | None:
        """Returns what gives the compositor a timeline; None where it gets none.

        The fd stays the caller's.
        """
        if manager_id not in self._managers or self._timelines >= MAX_TIMELINES:
            return None
        self._timelines += 1
        self._stand_ins.own(timeline_id)
        shares = self._channel.shares_fences
        identifier = self._channel.share_fence(fd) if shares else _NEW_TIMELINE
        return ToHost(_encode(_MANAGER, "import_timeline", manager_id, timeline_id, None), (identifier,))

    def leave_timeline(self, timeline_id: int) -> None:
        """Nobody needs a timeline any more that the compositor has."""
        if not self._closed:
            self._timelines -= 1
            self._host.send_request(_encode("wp_linux_drm_syncobj_timeline_v1", "destroy", timeline_id))

    def make_surface(self, manager_id: int, object_id: int, surface_id: int) -> bytes:
        """Returns what makes the compositor's object for a surface."""
        self._stand_ins.own(object_id)
        return _encode(_MANAGER, "get_surface", manager_id, object_id, surface_id)

    def leave_surface(self, object_id: int) -> bytes:
        """Returns what destroys that again."""
        return _encode(_SURFACE, "destroy", object_id)

    def tell(self, object_id: int, acquire: NamedPoint, release: NamedPoint) -> bytes:
        """Returns what goes before a commit that the compositor itself synchronizes.

        Takes both points over.
        """
        acquired, released = acquire.named, release.named
        if self._channel.shares_fences:
            # Not before it knows them: they may be all that keeps their timelines.
            self._host.when_sent(acquire.drop)
            self._host.when_sent(release.drop)
        else:
            self._awaited.setdefault(released, []).append(release)
            self._watched.add(acquire)
            self._host.when_sent(lambda: self._watch(acquire))
        return b"".join(
            _encode(_SURFACE, name, object_id, timeline_id, *divmod(point, 1 << 32))
            for name, (timeline_id, point) in (
                ("set_acquire_point", acquired),
                ("set_release_point", released),
            )
        )

    def tell_again(self, points: Iterable[Point]) -> None:
        """These are over here: the compositor has to know before it gets what is handled now."""
        if not self._channel.shares_fences:
            self._write(POINTS, encode_points(points))

    def waits_for(self, acquire: NamedPoint) -> bool:
        """Whether the compositor may still wait for a point that it was told of."""
        if self._channel.shares_fences:
            return not acquire.is_over
        return any(watched.named == acquire.named for watched in self._watched)

    def handle_points(self, data: Buffer) -> None:
        """A READ of POINTS: the compositor has signalled these."""
        for named in parse_points(data):
            for release in self._awaited.pop(named, ()):
                release.signal()

    def close(self) -> None:
        """Nothing is told any more."""
        self._closed = True
        self._watches.close()
        while self._awaited:
            for release in self._awaited.popitem()[1]:
                release.drop()
        while self._watched:
            self._watched.pop().drop()

    def _watch(self, acquire: NamedPoint) -> None:
        """The compositor waits for a point: it is told when it has signalled."""

        def over() -> None:
            self._watched.discard(acquire)
            self._write(POINTS, encode_points((acquire.named,)))
            acquire.drop()

        if not self._closed:
            self._watches.add(acquire.fence(), over)


def _encode(interface: str, name: str, object_id: int, *values: int | None) -> bytes:
    return encode_message(_find(interface, name), object_id, *values)


def _find(interface: str, name: str) -> Message:
    return next(message for message in load().interface(interface).requests if message.name == name)
