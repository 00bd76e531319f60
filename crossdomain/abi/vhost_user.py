"""vhost-user: layouts and constants alone (QEMU 11.1, docs/interop/vhost-user).

Integers are in the machine's byte order; every machine that runs this is
little-endian.  Sizes and offsets are bytes.
"""

from struct import Struct
from typing import Final

HEADER: Final = Struct("<III")
"""request, flags, size of the payload."""

VHOST_USER_VERSION: Final = 0x1
VHOST_USER_VERSION_MASK: Final = 0x3
VHOST_USER_REPLY_MASK: Final = 1 << 2
VHOST_USER_NEED_REPLY_MASK: Final = 1 << 3

VHOST_USER_F_PROTOCOL_FEATURES: Final = 30
"""A virtio feature bit that only front-end and back-end see."""

# Protocol features, as bit numbers.
VHOST_USER_PROTOCOL_F_MQ: Final = 0
VHOST_USER_PROTOCOL_F_REPLY_ACK: Final = 3
VHOST_USER_PROTOCOL_F_BACKEND_REQ: Final = 5
VHOST_USER_PROTOCOL_F_CONFIG: Final = 9
VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD: Final = 10
VHOST_USER_PROTOCOL_F_RESET_DEVICE: Final = 13
VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS: Final = 15
VHOST_USER_PROTOCOL_F_STATUS: Final = 16
VHOST_USER_PROTOCOL_F_SHMEM_MAP: Final = 22

# Requests of the front-end.
VHOST_USER_GET_FEATURES: Final = 1
VHOST_USER_SET_FEATURES: Final = 2
VHOST_USER_SET_OWNER: Final = 3
VHOST_USER_RESET_OWNER: Final = 4
VHOST_USER_SET_MEM_TABLE: Final = 5
VHOST_USER_SET_LOG_BASE: Final = 6
VHOST_USER_SET_LOG_FD: Final = 7
VHOST_USER_SET_VRING_NUM: Final = 8
VHOST_USER_SET_VRING_ADDR: Final = 9
VHOST_USER_SET_VRING_BASE: Final = 10
VHOST_USER_GET_VRING_BASE: Final = 11
VHOST_USER_SET_VRING_KICK: Final = 12
VHOST_USER_SET_VRING_CALL: Final = 13
VHOST_USER_SET_VRING_ERR: Final = 14
VHOST_USER_GET_PROTOCOL_FEATURES: Final = 15
VHOST_USER_SET_PROTOCOL_FEATURES: Final = 16
VHOST_USER_GET_QUEUE_NUM: Final = 17
VHOST_USER_SET_VRING_ENABLE: Final = 18
VHOST_USER_SET_BACKEND_REQ_FD: Final = 21
VHOST_USER_GET_CONFIG: Final = 24
VHOST_USER_SET_CONFIG: Final = 25
VHOST_USER_GET_INFLIGHT_FD: Final = 31
VHOST_USER_RESET_DEVICE: Final = 34
VHOST_USER_GET_MAX_MEM_SLOTS: Final = 36
VHOST_USER_ADD_MEM_REG: Final = 37
VHOST_USER_REM_MEM_REG: Final = 38
VHOST_USER_SET_STATUS: Final = 39
VHOST_USER_GET_STATUS: Final = 40
VHOST_USER_GET_SHARED_OBJECT: Final = 41
VHOST_USER_SET_DEVICE_STATE_FD: Final = 42
VHOST_USER_CHECK_DEVICE_STATE: Final = 43
VHOST_USER_GET_SHMEM_CONFIG: Final = 44

# Requests of the back-end.
VHOST_USER_BACKEND_CONFIG_CHANGE_MSG: Final = 2
VHOST_USER_BACKEND_SHMEM_MAP: Final = 9
VHOST_USER_BACKEND_SHMEM_UNMAP: Final = 10

# Payloads.
U64: Final = Struct("<Q")
VRING_STATE: Final = Struct("<II")
"""index, num."""
VRING_ADDR: Final = Struct("<IIQQQQ")
"""index, flags, descriptor, used, available, log: addresses in the front-end's own space."""
VRING_INDEX_MASK: Final = 0xFF
VRING_NOFD_MASK: Final = 1 << 8
MEMORY_REGION: Final = Struct("<QQQQ")
"""guest address, size, user address (the front-end's own), offset in the fd."""
MEMORY_HEADER: Final = Struct("<I4x")
"""number of regions of SET_MEM_TABLE, of MEMORY_REGION each."""
MEMORY_MAX_REGIONS: Final = 8
SINGLE_MEMORY_REGION: Final = Struct("<8xQQQQ")
"""Payload of ADD_MEM_REG and REM_MEM_REG."""
CONFIG_HEADER: Final = Struct("<III")
"""offset, size, flags; then `size` bytes of the configuration space."""
CONFIG_MAX_SIZE: Final = 256
MMAP: Final = Struct("<B7xQQQQ")
"""shmid, fd_offset, shm_offset, len, flags of SHMEM_MAP and SHMEM_UNMAP."""
MMAP_FLAG_RW: Final = 1
SHMEM_CONFIG: Final = Struct("<I4x256Q")
"""number of regions with a size, then the size of each region by its id."""

MAX_FDS: Final = 8
"""File descriptors of one message."""
