"""One surface that its client synchronizes explicitly, by whichever of the protocols.

The state that comes with the next commit is an acquire fence and whom the release concerns; what a protocol
takes for a mistake is its own (`timelines`, `fences`).  Where the compositor reads the buffer in place and
knows that protocol, both are for the compositor: the commit does not wait.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

from crossdomain.bridge.fences import Fence, gather
from crossdomain.errors import LocalError
from crossdomain.wire import WireFault
from launcher.relay.buffers import Drawn, Release
from launcher.relay.messages import ToHost


class Attached(NamedTuple):
    """What a commit does about the surface's buffer."""

    attaches: bool
    """Whether it changes it."""
    is_shown: bool
    """Whether it changes it to a buffer of whatever kind."""
    buffer: Drawn | None
    """That, where devices may have to do with it."""

    @property
    def is_dmabuf(self) -> bool:
        """Whether the buffer is one that devices draw into."""
        return self.buffer is not None and self.buffer.is_dmabuf

    @property
    def is_in_place(self) -> bool:
        """Whether the compositor has that buffer as a dmabuf."""
        return self.buffer is not None and self.buffer.is_in_place


class Acquire(Protocol):
    """What the next commit has to wait for; `take` or `drop` is called, once."""

    def take(self) -> Fence:
        """Its fence, which is the caller's."""
        ...

    def drop(self) -> None:
        """No commit waits for it."""
        ...


class PendingRelease(Release, Protocol):
    """Whom the end of the use of the next commit's buffer concerns; `signal` or `cancel` is called, once."""

    def cancel(self) -> None:
        """There will be no such commit."""
        ...


class SurfaceSync(Protocol):
    """The object through which a client synchronizes one surface."""

    @property
    def surface_id(self) -> int | None:
        """None once the surface is gone."""
        ...

    def begin(self, attached: Attached) -> list[Fence]:
        """Checks the state that is to be committed, and takes it.

        Returns what the commit waits for, which is the caller's: nothing where this says nothing of it, or
        the compositor waits.

        Raises:
            WireFault: the state is incomplete, or contradicts itself.
        """
        ...

    @property
    def is_left_to_host(self) -> bool:
        """Whether the compositor waits for what was begun."""
        ...

    def take_requests(self) -> ToHost | None:
        """What goes before the commit that was begun; the compositor releases it then.

        Called once, or not at all where there will be no such commit.
        """
        ...

    def take_release(self) -> Release | None:
        """Whom the end of the use of what was begun concerns, once."""
        ...

    def lose_surface(self) -> None:
        """The surface is gone."""
        ...

    def forget(self) -> None:
        """No commit follows."""
        ...


A = TypeVar("A", bound=Acquire)
R = TypeVar("R", bound=PendingRelease)
S = TypeVar("S", bound=SurfaceSync)


class Synchronization(ABC, Generic[A, R]):
    """A `SurfaceSync`, of any protocol."""

    __slots__ = ("_begun", "_left", "_object_id", "_shows", "acquire", "release", "surface_id")

    def __init__(self, object_id: int, surface_id: int) -> None:
        self._object_id = object_id
        self.surface_id: int | None = surface_id
        self.acquire: A | None = None
        self.release: R | None = None
        """For the next commit."""
        self._begun: R | None = None
        """That of the commit that has begun."""
        self._left: A | None = None
        """What the compositor is to wait for with that."""
        self._shows = False
        """Whether that commit shows a buffer."""

    @abstractmethod
    def check(self, attached: Attached) -> None:
        """Checks the state that is to be committed.

        Raises:
            WireFault: it is incomplete, or contradicts itself.
        """

    def begin(self, attached: Attached) -> list[Fence]:
        """See `SurfaceSync`."""
        self.check(attached)
        acquire, self.acquire = self.acquire, None
        self._end_begun()
        self._begun, self.release = self.release, None
        self._shows = attached.attaches and attached.is_shown
        if acquire is None:
            return []
        if self._begun is not None and attached.is_in_place and self.can_leave(acquire, self._begun):
            self._left = acquire
            return []
        return gather(self._awaited(acquire))

    def _awaited(self, acquire: A) -> Iterator[Fence]:
        yield acquire.take()
        yield from self.awaited_at_host()

    @property
    def is_left_to_host(self) -> bool:
        """See `SurfaceSync`."""
        return self._left is not None

    def can_leave(self, acquire: A, release: R) -> bool:
        """Whether the compositor can wait for and release a buffer that it reads in place."""
        del acquire, release
        return False

    def leave(self, acquire: A, release: R) -> ToHost:
        """Returns what leaves that to the compositor, where it can; both are given away."""
        raise LocalError(f"a compositor that can't wait for {acquire} and release {release}")

    def awaited_at_host(self) -> Iterator[Fence]:
        """What the compositor waits for that has to be over before `keep`; the fences are the caller's."""
        return iter(())

    def keep(self) -> ToHost | None:
        """Returns what lets the compositor show a buffer of which it is told nothing; None: nothing."""
        return None

    def take_requests(self) -> ToHost | None:
        """See `SurfaceSync`."""
        left, self._left = self._left, None
        if left is None:
            return self.keep() if self._shows else None
        release, self._begun = self._begun, None
        if release is None:
            left.drop()
            return None
        return self.leave(left, release)

    def take_release(self) -> Release | None:
        """See `SurfaceSync`."""
        begun, self._begun = self._begun, None
        if self._left is not None:
            self._left.drop()
            self._left = None
        return begun

    def lose_surface(self) -> None:
        """See `SurfaceSync`."""
        self.surface_id = None
        self.forget()

    def forget(self) -> None:
        """See `SurfaceSync`."""
        if self.acquire is not None:
            self.acquire.drop()
        if self.release is not None:
            self.release.cancel()
        self.acquire = self.release = None
        self._end_begun()

    def fault(self, code: IntEnum, text: str) -> WireFault:
        """A mistake of the client's."""
        return WireFault(self._object_id, code, text)

    def _end_begun(self) -> None:
        if self._left is not None:
            self._left.drop()
            self._left = None
        if self._begun is not None:
            self._begun.signal()
            self._begun = None


class Synchronizations(Generic[S]):
    """Those of one client by one protocol."""

    def __init__(self) -> None:
        self._made: dict[int, S] = {}

    def __getitem__(self, object_id: int) -> S:
        return self._made[object_id]

    def has(self, surface_id: int) -> bool:
        """Whether a surface is synchronized."""
        return any(made.surface_id == surface_id for made in self._made.values())

    def add(self, object_id: int, made: S) -> None:
        """One more."""
        self._made[object_id] = made

    def remove(self, object_id: int) -> S:
        """The client has destroyed one; returns it, which has forgotten all."""
        made = self._made.pop(object_id)
        made.forget()
        return made

    def close(self) -> None:
        """All are gone."""
        for made in self._made.values():
            made.forget()
        self._made.clear()
