"""What the commit of a surface has to wait for, and whom the end of its buffer's use concerns."""

from crossdomain.bridge.fences import Fence, gather
from launcher.relay.buffers import Release
from launcher.relay.messages import ToHost
from launcher.relay.sync.surface import Attached, SurfaceSync


class Commits:
    """One client's surfaces that are synchronized explicitly."""

    def __init__(self) -> None:
        self._syncs: dict[int, list[SurfaceSync]] = {}

    def add(self, surface_id: int, sync: SurfaceSync) -> None:
        """The client synchronizes a surface."""
        self._syncs.setdefault(surface_id, []).append(sync)

    def remove(self, sync: SurfaceSync) -> None:
        """It does so no longer."""
        surface_id = sync.surface_id
        if surface_id is None:
            return
        syncs = self._syncs.get(surface_id, [])
        if sync in syncs:
            syncs.remove(sync)
        if not syncs:
            self._syncs.pop(surface_id, None)

    def concern(self, surface_id: int) -> bool:
        """Whether the client synchronizes a surface."""
        return surface_id in self._syncs

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
        fences = gather(fence for sync in syncs for fence in sync.begin(attached))
        # What says when a buffer is ready says so where it is attached.
        is_told = fences or any(sync.is_left_to_host or not attached.attaches for sync in syncs)
        if is_told or attached.buffer is None or not attached.buffer.is_dmabuf:
            return fences
        return attached.buffer.writers()

    def take_requests(self, surface_id: int) -> ToHost | None:
        """What goes before the commit that has begun; None where there is nothing."""
        syncs = self._syncs.get(surface_id)
        found = [sync.take_requests() for sync in syncs] if syncs else ()
        requests = [request for request in found if request is not None]
        if not requests:
            return None
        identifiers = (identifier for request in requests for identifier in request.identifiers)
        return ToHost(b"".join(request.data for request in requests), tuple(identifiers))

    def take_releases(self, surface_id: int) -> list[Release]:
        """Whom the end of the use of the committed buffer concerns."""
        syncs = self._syncs.get(surface_id)
        releases = [sync.take_release() for sync in syncs] if syncs else ()
        return [release for release in releases if release is not None]
