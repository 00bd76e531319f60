"""What the commit of a surface has to wait for, and whom the end of its buffer's use concerns."""

from typing import NamedTuple, Protocol

from crossdomain.bridge.fences import Fence
from launcher.relay.buffers import Drawn, Release


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


class SurfaceSync(Protocol):
    """The object through which a client synchronizes one surface."""

    def begin(self, attached: Attached) -> Fence | None:
        """Checks the state that is to be committed, and takes it.

        Returns what the commit waits for, which is the caller's; None where this says nothing of it.

        Raises:
            WireFault: the state is incomplete, or contradicts itself.
        """
        ...

    def take_release(self) -> Release | None:
        """Whom the end of the use of what was begun concerns, once."""
        ...

    def lose_surface(self) -> None:
        """The surface is gone."""
        ...


class Commits:
    """One client's surfaces that are synchronized explicitly."""

    def __init__(self) -> None:
        self._syncs: dict[int, list[SurfaceSync]] = {}

    def add(self, surface_id: int, sync: SurfaceSync) -> None:
        """The client synchronizes a surface."""
        self._syncs.setdefault(surface_id, []).append(sync)

    def remove(self, surface_id: int, sync: SurfaceSync) -> None:
        """It does so no longer."""
        syncs = self._syncs.get(surface_id, [])
        if sync in syncs:
            syncs.remove(sync)
        if not syncs:
            self._syncs.pop(surface_id, None)

    def lose_surface(self, surface_id: int) -> None:
        """The client destroys a surface."""
        for sync in self._syncs.pop(surface_id, ()):
            sync.lose_surface()

    def begin(self, surface_id: int, attached: Attached) -> list[Fence]:
        """Returns what a commit has to wait for: what the client says, else what draws into its buffer.

        Raises:
            WireFault: see `SurfaceSync.begin`.
        """
        syncs = self._syncs.get(surface_id, ())
        fences = [fence for fence in [sync.begin(attached) for sync in syncs] if fence is not None]
        if fences or attached.buffer is None or not attached.buffer.is_dmabuf:
            return fences
        return attached.buffer.writers()

    def take_releases(self, surface_id: int) -> list[Release]:
        """Whom the end of the use of the committed buffer concerns."""
        syncs = self._syncs.get(surface_id)
        releases = [sync.take_release() for sync in syncs] if syncs else ()
        return [release for release in releases if release is not None]
