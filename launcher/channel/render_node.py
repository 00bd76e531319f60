"""Finds the render node that leads to a host with capset 5, or says what is missing.

Each thing that can be missing has its own words: a bare EINVAL from an ioctl has cost users of
other proxies days.
"""

from __future__ import annotations

import errno
import os

from crossdomain.abi import capset as abi
from crossdomain.abi import virtgpu_drm
from crossdomain.errors import EnvironmentFault
from launcher.channel import drm

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

    from crossdomain.abi.cross_domain import Capset

_CAPSET_SIZE: Final = abi.CAPSET.size + abi.EXTENSION.size
_HOST_HINT: Final = (
    "the VM's virtual GPU has to come from a host that speaks cross-domain: start QEMU (11.1 or newer) "
    "with the arguments that `crossdomain host --qemu-args` prints"
)
_PARAMETERS: Final = (
    (virtgpu_drm.VIRTGPU_PARAM_3D_FEATURES, "3D commands (F_VIRGL)", _HOST_HINT),
    (virtgpu_drm.VIRTGPU_PARAM_RESOURCE_BLOB, "blob resources (F_RESOURCE_BLOB)", _HOST_HINT),
    (
        virtgpu_drm.VIRTGPU_PARAM_HOST_VISIBLE,
        "a host-visible window",
        "the VMM has to give the virtual GPU a shared-memory region: QEMU 11.1 or newer with "
        "the arguments that `crossdomain host --qemu-args` prints",
    ),
    (
        virtgpu_drm.VIRTGPU_PARAM_CONTEXT_INIT,
        "contexts by capset (F_CONTEXT_INIT)",
        "it needs Linux 5.16 or newer in the guest, and a host that speaks cross-domain",
    ),
)


class RenderNode:
    """A node that can carry us, and what its host offers."""

    __slots__ = ("_capset", "path")

    def __init__(self, path: str, capset: bytes) -> None:
        self.path = path
        self._capset = capset

    @property
    def capset(self) -> Capset:
        """The capset, read when it is needed: that takes most of the protocol's code."""
        from crossdomain.abi.cross_domain import parse_capset  # noqa: PLC0415

        return parse_capset(self._capset)


def find(path: str = "") -> RenderNode:
    """Returns the node at `path`, or the first one that can carry us.

    Raises:
        EnvironmentFault: there is none; of several that can't, the most promising one's reason.
    """
    if path:
        return _probe(path)
    faults: list[EnvironmentFault] = []
    for candidate in drm.render_nodes():
        try:
            return _probe(candidate)
        except _NotVirtioGpuError as fault:
            faults.append(fault)
        except EnvironmentFault as fault:
            # A virtio-gpu that lacks something says more than a node of another kind.
            faults.insert(0, fault)
    if faults:
        raise faults[0]
    raise EnvironmentFault(
        f"there is no render node in {drm.DIRECTORY}",
        hint="inside a VM: the driver virtio_gpu has to be loaded and the VM needs a virtual GPU "
        "(`crossdomain host --qemu-args`); outside: --channel local:SOCKET",
    )


class _NotVirtioGpuError(EnvironmentFault):
    """A node of another driver."""


def _probe(path: str) -> RenderNode:
    try:
        fd = drm.open_node(path)
    except OSError as error:
        raise _open_fault(path, error) from None
    try:
        return RenderNode(path, _check(path, fd))
    finally:
        os.close(fd)


def _check(path: str, fd: int) -> bytes:
    try:
        name = drm.driver_name(fd)
    except OSError:
        name = b""
    if name != virtgpu_drm.DRIVER_NAME:
        raise _NotVirtioGpuError(
            f"{path} is not a virtio-gpu ({name.decode(errors='replace') or 'no DRM device'!r})",
            hint="crossdomain-run belongs inside a VM with a virtual GPU; outside: --channel local:SOCKET",
        )
    for parameter, what, hint in _PARAMETERS:
        if not drm.get_parameter(fd, parameter):
            raise EnvironmentFault(f"the virtual GPU {path} has no {what}", hint=hint)
    capsets = drm.get_parameter(fd, virtgpu_drm.VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs)
    if not capsets >> abi.CAPSET_ID & 1:
        raise EnvironmentFault(
            f"the host of the virtual GPU {path} does not offer cross-domain (capset 5)", hint=_HOST_HINT
        )
    capset = _read_capset(path, fd)
    _version, channels, _dmabuf, _memory = abi.CAPSET.unpack_from(capset)
    if not channels >> abi.CHANNEL_WAYLAND & 1:
        raise EnvironmentFault(
            f"the host of the virtual GPU {path} offers no Wayland channel",
            hint="is a compositor running there, and was it given to the host service?",
        )
    return capset


def _read_capset(path: str, fd: int) -> bytes:
    try:
        return drm.get_capset(fd, abi.CAPSET_ID, _CAPSET_SIZE)
    except OSError as error:
        raise EnvironmentFault(
            f"the host of the virtual GPU {path} did not give capset 5: {error.strerror}", hint=_HOST_HINT
        ) from None


def _open_fault(path: str, error: OSError) -> EnvironmentFault:
    if error.errno in (errno.EACCES, errno.EPERM):
        return EnvironmentFault(
            f"{path}: permission denied",
            hint="add this user to the group that owns it, usually render or video",
        )
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return EnvironmentFault(
            f"there is no render node {path}",
            hint="`ls /dev/dri` shows those that there are; --channel auto picks one",
        )
    return EnvironmentFault(
        f"{path} can't be opened: {error.strerror}", hint="is it a render node in /dev/dri?"
    )
