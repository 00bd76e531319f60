"""The two virtio-gpus that one VM may have of us, told apart by what they offer.

GPU has capset 5.  MEMORY has no contexts at all: Linux imports foreign dmabufs, and so the pages of a
client's own buffers, only where F_VIRGL was not negotiated (since 6.14).
"""

from typing import Final, NamedTuple

from crossdomain.abi import vhost_user as abi
from crossdomain.abi import virtio_gpu as gpu_abi

_COMMON: Final = (
    1 << gpu_abi.VIRTIO_GPU_F_RESOURCE_BLOB
    | 1 << gpu_abi.VIRTIO_F_INDIRECT_DESC
    | 1 << gpu_abi.VIRTIO_F_VERSION_1
    | 1 << abi.VHOST_USER_F_PROTOCOL_FEATURES
)
"""EVENT_IDX is left out: with it a device must write avail_event at the right moments, and gains little here,
because kicks are switched off with VIRTQ_USED_F_NO_NOTIFY while the ring is being emptied."""

_COMMON_PROTOCOL: Final = (
    1 << abi.VHOST_USER_PROTOCOL_F_MQ
    | 1 << abi.VHOST_USER_PROTOCOL_F_REPLY_ACK
    | 1 << abi.VHOST_USER_PROTOCOL_F_CONFIG
    | 1 << abi.VHOST_USER_PROTOCOL_F_RESET_DEVICE
    | 1 << abi.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS
)
"""STATUS is left out: QEMU writes status 0 for a VM that merely pauses, too."""


class Profile(NamedTuple):
    """What a device offers to the VMM and the guest's driver."""

    features: int
    protocol_features: int
    config: bytes
    """The configuration space, padded to the largest that vhost-user has."""
    has_window: bool


def _config(capsets: int) -> bytes:
    # No scanouts: the guest's screens are another device's.
    return gpu_abi.CONFIG.pack(0, 0, 0, capsets).ljust(abi.CONFIG_MAX_SIZE, b"\0")


GPU: Final = Profile(
    features=_COMMON | 1 << gpu_abi.VIRTIO_GPU_F_VIRGL | 1 << gpu_abi.VIRTIO_GPU_F_CONTEXT_INIT,
    protocol_features=_COMMON_PROTOCOL
    | 1 << abi.VHOST_USER_PROTOCOL_F_BACKEND_REQ
    | 1 << abi.VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD
    | 1 << abi.VHOST_USER_PROTOCOL_F_SHMEM_MAP,
    config=_config(1),  # Linux drops all capsets if one is missing
    has_window=True,
)
MEMORY: Final = Profile(
    features=_COMMON, protocol_features=_COMMON_PROTOCOL, config=_config(0), has_window=False
)
