"""Fds and the identifiers that stand for them in SEND and RECEIVE, both ways."""

from collections.abc import Iterable

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.context.blobs import Blobs, size_of
from crossdomain.context.compositor import close_all
from crossdomain.context.counters import Counters
from crossdomain.context.descriptors import Kind, classify, describe, fill, open_writer
from crossdomain.context.pipes import Pipes
from crossdomain.context.ports import Resources
from crossdomain.context.shown import ShownPages
from crossdomain.context.syncs import Syncs
from crossdomain.context.timelines import GuestTimelines
from crossdomain.errors import CrossDomainError, GuestFault, HostFault
from crossdomain.wire.policy import Carriage


class Identifiers:
    """Those of one context."""

    def __init__(
        self,
        resources: Resources,
        blobs: Blobs,
        pipes: Pipes,
        syncs: Syncs,
        shown: ShownPages,
        timelines: GuestTimelines,
        counters: Counters,
    ) -> None:
        self._resources = resources
        self._blobs = blobs
        self._pipes = pipes
        self._syncs = syncs
        self._shown = shown
        self._timelines = timelines
        self._counters = counters

    @property
    def descriptors(self) -> int:
        """Fds that are held for the guest until it takes them, or ends their pipe."""
        untaken = self._blobs.untaken + self._syncs.untaken + self._shown.untaken
        return len(self._pipes) + untaken + self._timelines.descriptors

    def resolve(self, identifiers: Iterable[Identifier]) -> list[int]:
        """The fds that a SEND names, in order; all are the caller's.

        Raises:
            GuestFault: one that there is not, or of a type that is not offered.
        """
        read_pipe = IdentifierType.READ_PIPE
        self._pipes.check_guesses([entry.identifier for entry in identifiers if entry.type == read_pipe])
        fds: list[int] = []
        try:
            for entry in identifiers:
                fds.append(self._resolve_one(entry))
        except (CrossDomainError, OSError):
            close_all(fds)
            raise
        return fds

    def announce(self, fds: list[int], carriages: Iterable[Carriage | None]) -> tuple[Identifier, ...]:
        """Identifiers for fds from the compositor, which this owns.

        `carriages` says of each how the policy wants it carried.

        Raises:
            HostFault: one that can't cross.
            LimitExceeded: the guest leaves too many of them unused.
        """
        fds.reverse()
        try:
            return tuple(self._announce_one(fds, carriage) for carriage in carriages)
        finally:
            close_all(fds)

    def _resolve_one(self, entry: Identifier) -> int:
        match entry.type:
            case IdentifierType.READ_PIPE:
                return self._pipes.open_read_pipe()
            case IdentifierType.VIRTGPU_BLOB:
                self._counters.buffers_mapped += 1
                return self._resources.lookup(entry.identifier).export()
            case IdentifierType.VIRTGPU_SYNC:
                return self._syncs.export(entry.identifier)
            case IdentifierType.PAGES:
                self._counters.buffers_shown += 1
                return self._shown.take(entry)
            case IdentifierType.TIMELINE:
                return self._timelines.create()
            case _:
                raise GuestFault(f"identifiers of type {entry.type} are not offered")

    def _announce_one(self, fds: list[int], carriage: Carriage | None) -> Identifier:
        if carriage is Carriage.FILE:
            fds[-1] = fill(fds[-1])
        described = describe(fds[-1])
        match classify(fds[-1], carriage):
            case Kind.WRITER:
                return self._pipes.open_write_pipe(open_writer(fds.pop()))
            case Kind.FENCE:
                return self._syncs.receive(fds.pop())
            case Kind.BLOB if (size := size_of(fds[-1])) is not None:
                return self._blobs.receive(fds.pop(), size)
            case _:
                raise HostFault(f"an fd that can't cross to a guest: {described!r}")
