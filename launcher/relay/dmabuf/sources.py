"""The dmabufs behind one buffer, and which way their pixels go."""

import os
from collections.abc import Collection

from crossdomain.bridge.dmabuf import PlaneMemory
from crossdomain.errors import CrossDomainError, LimitExceeded
from crossdomain.limits import MAX_DMABUFS
from launcher.relay.buffers import ClientPlane
from launcher.relay.dmabuf.host_shm import HostShm
from launcher.relay.dmabuf.memory import Dmabuf, identity_of
from launcher.relay.dmabuf.params import AddedPlane
from launcher.relay.imports import Imports


class DmabufSource:
    """A `buffers.Source` of one buffer, and of the surface that shows it in place."""

    __slots__ = ("_dmabufs", "_shm_id", "_sources", "_users", "planes")

    def __init__(
        self, shm: HostShm, planes: tuple[ClientPlane, ...], dmabufs: list[Dmabuf], sources: "Sources"
    ) -> None:
        """Takes ownership of `dmabufs`, which `planes` are in."""
        self._shm_id = shm.object_id
        self.planes = planes
        self._dmabufs = dmabufs
        self._sources = sources
        self._users = 0

    @property
    def shm_id(self) -> int:
        """The wl_shm with which its mirror is made."""
        return self._shm_id

    def use(self) -> None:
        """See `buffers.Source`."""
        self._users += 1

    def leave(self) -> None:
        """See `buffers.Source`."""
        self._users -= 1
        if not self._users:
            self._sources.close_all(self._dmabufs)


class Sources:
    """One client's."""

    def __init__(self, imports: Imports) -> None:
        self._imports = imports
        self._open = 0

    def open(self, shm: HostShm, taken: list[tuple[AddedPlane, PlaneMemory]]) -> DmabufSource | None:
        """Opens the planes of a checked image, whose fds this owns; None where they can't be read.

        Raises:
            LimitExceeded: the client has too many.
        """
        dmabufs: dict[tuple[int, int], Dmabuf] = {}
        planes: list[ClientPlane] = []
        fds = [plane.fd for plane, _memory in taken]
        try:
            if self._open + len(fds) > MAX_DMABUFS:
                raise LimitExceeded(f"more than {MAX_DMABUFS} dmabufs")
            together = sum({identity_of(plane.fd): memory.size for plane, memory in taken}.values())
            for plane, memory in taken:
                identity = identity_of(plane.fd)
                if identity not in dmabufs:
                    dmabufs[identity] = self._open_one(plane.fd, memory.size, together)
                    fds.remove(plane.fd)
                planes.append(ClientPlane(dmabufs[identity], plane.offset, plane.stride))
            _map_if_needed(dmabufs.values())
        except OSError:
            self.close_all(list(dmabufs.values()))
            return None
        except CrossDomainError:
            self.close_all(list(dmabufs.values()))
            raise
        finally:
            for fd in fds:
                os.close(fd)
        return DmabufSource(shm, tuple(planes), list(dmabufs.values()), self)

    def close_all(self, dmabufs: list[Dmabuf]) -> None:
        """Closes what `open` has opened."""
        for dmabuf in dmabufs:
            if dmabuf.pages is not None:
                self._imports.drop(dmabuf.pages)
            dmabuf.close()
            self._open -= 1

    def _open_one(self, fd: int, size: int, together: int) -> Dmabuf:
        dmabuf = Dmabuf(fd, size, self._imports.import_dmabuf(fd, size, together))
        self._open += 1
        return dmabuf


def _map_if_needed(dmabufs: Collection[Dmabuf]) -> None:
    """Maps all where the host does not copy one: the mirror is written here then.

    Raises:
        OSError: one can't be mapped.
    """
    if not all(dmabuf.pages is not None and dmabuf.pages.is_copied for dmabuf in dmabufs):
        for dmabuf in dmabufs:
            dmabuf.open_mapping()


def close_planes(taken: list[tuple[AddedPlane, PlaneMemory]]) -> None:
    """Closes the fds of planes that are not opened."""
    for plane, _memory in taken:
        os.close(plane.fd)
