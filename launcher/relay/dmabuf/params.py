"""What a client collects for one buffer (zwp_linux_buffer_params_v1), with the protocol's own errors."""

import os
from typing import Final, NamedTuple

from crossdomain.bridge.dmabuf import MAX_PLANES, Image, ParamsError, PlaneMemory, check_image
from crossdomain.wire import WireFault
from launcher.relay.dmabuf.host_shm import HostShm
from launcher.relay.dmabuf.memory import size_of

_FORMATS_CHECKED_SINCE: Final = 4
"""From then on a pair of format and modifier that was not offered is an error, and not a failure."""
_ONE_MODIFIER_SINCE: Final = 5


class AddedPlane(NamedTuple):
    """The arguments of add, but the index."""

    fd: int
    offset: int
    stride: int
    modifier: int


class Params:
    """One object; owns the fds that were added until `take`."""

    __slots__ = ("_is_used", "_modifiers", "_planes", "object_id", "shm")

    def __init__(self, object_id: int, shm: HostShm, modifiers: tuple[int, ...]) -> None:
        """`modifiers` are those that were offered."""
        shm.use()
        self.object_id = object_id
        self.shm = shm
        self._planes: dict[int, AddedPlane] = {}
        self._modifiers = modifiers
        self._is_used = False

    def add(self, index: int, plane: AddedPlane) -> None:
        """Takes ownership of the plane's fd, also where it raises.

        Raises:
            WireFault: what the protocol says.
        """
        try:
            self._check(index)
        except WireFault:
            os.close(plane.fd)
            raise
        self._planes[index] = plane

    def _check(self, index: int) -> None:
        self._check_unused()
        if index >= MAX_PLANES:
            raise WireFault(self.object_id, ParamsError.PLANE_IDX, f"plane index {index} is too high")
        if index in self._planes:
            raise WireFault(self.object_id, ParamsError.PLANE_SET, f"plane {index} was set already")

    def _check_unused(self) -> None:
        if self._is_used:
            text = "params were already used to create a wl_buffer"
            raise WireFault(self.object_id, ParamsError.ALREADY_USED, text)

    def take(self, image: Image) -> list[tuple[AddedPlane, PlaneMemory]] | None:
        """Checks the image and gives away the planes, in order; None where they can't be imported.

        The fds are the caller's then.

        Raises:
            WireFault: what the protocol says; the fds stay here.
        """
        self._check_unused()
        self._is_used = True
        memories = {
            index: PlaneMemory(plane.offset, plane.stride, size_of(plane.fd))
            for index, plane in self._planes.items()
        }
        if not memories:
            raise WireFault(self.object_id, ParamsError.INCOMPLETE, "no dmabuf has been added")
        if not self.shm.takes(image.fourcc):
            text = f"format {image.fourcc:#x} is not offered"
            raise WireFault(self.object_id, ParamsError.INVALID_FORMAT, text)
        check_image(image, [memories.get(index) for index in range(MAX_PLANES)])
        if not self._are_modifiers_known() or image.flags:
            return None
        taken = [(self._planes[index], memories[index]) for index in sorted(memories)]
        self._planes = {}
        return taken

    def _are_modifiers_known(self) -> bool:
        """Whether the planes are linear.

        Raises:
            WireFault: where the version says that anything else is an error.
        """
        modifiers = {plane.modifier for plane in self._planes.values()}
        version = self.shm.version
        if len(modifiers) > 1 and version >= _ONE_MODIFIER_SINCE:
            raise WireFault(self.object_id, ParamsError.INVALID_FORMAT, "planes of different modifiers")
        unknown = modifiers - set(self._modifiers)
        if unknown and version >= _FORMATS_CHECKED_SINCE:
            text = f"modifier {min(unknown):#x} is not offered"
            raise WireFault(self.object_id, ParamsError.INVALID_FORMAT, text)
        return not unknown

    def close(self) -> None:
        """The client has destroyed it."""
        for plane in self._planes.values():
            os.close(plane.fd)
        self._planes = {}
