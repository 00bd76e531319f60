"""virtio-gpu: layouts and constants alone (virtio 1.3, 5.7; include/uapi/linux/virtio_gpu.h).

All integers are little-endian.  Sizes and offsets are bytes.
"""

from struct import Struct
from typing import Final

VIRTIO_ID_GPU: Final = 16

# Virtqueues (virtio 1.3, 5.7.2).
CONTROL_QUEUE: Final = 0
CURSOR_QUEUE: Final = 1
QUEUE_COUNT: Final = 2

# Feature bits, as bit numbers (virtio 1.3, 5.7.3 and 6).
VIRTIO_GPU_F_VIRGL: Final = 0
VIRTIO_GPU_F_EDID: Final = 1
VIRTIO_GPU_F_RESOURCE_UUID: Final = 2
VIRTIO_GPU_F_RESOURCE_BLOB: Final = 3
VIRTIO_GPU_F_CONTEXT_INIT: Final = 4
VIRTIO_GPU_F_BLOB_ALIGNMENT: Final = 5
VIRTIO_F_INDIRECT_DESC: Final = 28
VIRTIO_F_EVENT_IDX: Final = 29
VIRTIO_F_VERSION_1: Final = 32

VIRTIO_GPU_SHM_ID_HOST_VISIBLE: Final = 1

# struct virtio_gpu_config: events_read, events_clear, num_scanouts, num_capsets.
CONFIG: Final = Struct("<IIII")
CONFIG_EVENTS_CLEAR_OFFSET: Final = 4

# 2D commands.
VIRTIO_GPU_CMD_GET_DISPLAY_INFO: Final = 0x0100
VIRTIO_GPU_CMD_RESOURCE_CREATE_2D: Final = 0x0101
VIRTIO_GPU_CMD_RESOURCE_UNREF: Final = 0x0102
VIRTIO_GPU_CMD_SET_SCANOUT: Final = 0x0103
VIRTIO_GPU_CMD_RESOURCE_FLUSH: Final = 0x0104
VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D: Final = 0x0105
VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING: Final = 0x0106
VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING: Final = 0x0107
VIRTIO_GPU_CMD_GET_CAPSET_INFO: Final = 0x0108
VIRTIO_GPU_CMD_GET_CAPSET: Final = 0x0109
VIRTIO_GPU_CMD_GET_EDID: Final = 0x010A
VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID: Final = 0x010B
VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB: Final = 0x010C
VIRTIO_GPU_CMD_SET_SCANOUT_BLOB: Final = 0x010D

# 3D commands.
VIRTIO_GPU_CMD_CTX_CREATE: Final = 0x0200
VIRTIO_GPU_CMD_CTX_DESTROY: Final = 0x0201
VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE: Final = 0x0202
VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE: Final = 0x0203
VIRTIO_GPU_CMD_RESOURCE_CREATE_3D: Final = 0x0204
VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D: Final = 0x0205
VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D: Final = 0x0206
VIRTIO_GPU_CMD_SUBMIT_3D: Final = 0x0207
VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB: Final = 0x0208
VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB: Final = 0x0209

# Cursor commands: they carry no response buffer.
VIRTIO_GPU_CMD_UPDATE_CURSOR: Final = 0x0300
VIRTIO_GPU_CMD_MOVE_CURSOR: Final = 0x0301

VIRTIO_GPU_RESP_OK_NODATA: Final = 0x1100
VIRTIO_GPU_RESP_OK_DISPLAY_INFO: Final = 0x1101
VIRTIO_GPU_RESP_OK_CAPSET_INFO: Final = 0x1102
VIRTIO_GPU_RESP_OK_CAPSET: Final = 0x1103
VIRTIO_GPU_RESP_OK_EDID: Final = 0x1104
VIRTIO_GPU_RESP_OK_RESOURCE_UUID: Final = 0x1105
VIRTIO_GPU_RESP_OK_MAP_INFO: Final = 0x1106

VIRTIO_GPU_RESP_ERR_UNSPEC: Final = 0x1200
VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY: Final = 0x1201
VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID: Final = 0x1202
VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID: Final = 0x1203
VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID: Final = 0x1204
VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER: Final = 0x1205

VIRTIO_GPU_FLAG_FENCE: Final = 1 << 0
VIRTIO_GPU_FLAG_INFO_RING_IDX: Final = 1 << 1

# struct virtio_gpu_ctrl_hdr: type, flags, fence_id, ctx_id, ring_idx.
CTRL_HDR: Final = Struct("<IIQIB3x")

# What follows the header of each command.  `x` is padding.
RESOURCE_ID: Final = Struct("<I4x")
"""resource_id of UNREF, ATTACH/DETACH_RESOURCE, DETACH_BACKING, UNMAP_BLOB and ASSIGN_UUID."""
RESOURCE_ATTACH_BACKING: Final = Struct("<II")
"""resource_id, nr_entries; then nr_entries of MEM_ENTRY."""
MEM_ENTRY: Final = Struct("<QI4x")
"""struct virtio_gpu_mem_entry: addr (guest physical), length."""
RESOURCE_CREATE_BLOB: Final = Struct("<IIIIQQ")
"""resource_id, blob_mem, blob_flags, nr_entries, blob_id, size; then nr_entries of MEM_ENTRY."""
RESOURCE_MAP_BLOB: Final = Struct("<I4xQ")
"""resource_id, offset in the host-visible window."""
CTX_CREATE: Final = Struct("<II64s")
"""nlen (bytes used of debug_name), context_init, debug_name."""
SUBMIT_3D: Final = Struct("<I4x")
"""size of the commands that follow; since 6.x `padding` is num_in_fences, which cross-domain does not use."""
GET_CAPSET_INFO: Final = Struct("<I4x")
"""capset_index."""
GET_CAPSET: Final = Struct("<II")
"""capset_id, capset_version."""
GET_EDID: Final = Struct("<I4x")
"""scanout."""

# What follows the header of each response.
RESP_CAPSET_INFO: Final = Struct("<III4x")
"""capset_id, capset_max_version, capset_max_size."""
RESP_MAP_INFO: Final = Struct("<I4x")
"""map_info."""
VIRTIO_GPU_MAX_SCANOUTS: Final = 16
RESP_DISPLAY_INFO_SIZE: Final = VIRTIO_GPU_MAX_SCANOUTS * 24
"""16 of struct virtio_gpu_display_one: x, y, width, height, enabled, flags."""

VIRTIO_GPU_CONTEXT_INIT_CAPSET_ID_MASK: Final = 0x000000FF

VIRTIO_GPU_BLOB_MEM_GUEST: Final = 0x0001
VIRTIO_GPU_BLOB_MEM_HOST3D: Final = 0x0002
VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST: Final = 0x0003

VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE: Final = 0x0001
VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE: Final = 0x0002
VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE: Final = 0x0004
VIRTIO_GPU_BLOB_FLAG_MASK: Final = 0x0007

VIRTIO_GPU_MAP_CACHE_CACHED: Final = 0x01

# Split virtqueues (virtio 1.3, 2.7).
VIRTQ_DESC: Final = Struct("<QIHH")
"""addr, len, flags, next."""
VIRTQ_DESC_F_NEXT: Final = 1
VIRTQ_DESC_F_WRITE: Final = 2
VIRTQ_DESC_F_INDIRECT: Final = 4
VIRTQ_AVAIL_HEADER_SIZE: Final = 4
"""u16 flags, u16 idx; then u16 ring[size], u16 used_event."""
VIRTQ_AVAIL_F_NO_INTERRUPT: Final = 1
VIRTQ_USED_HEADER_SIZE: Final = 4
"""u16 flags, u16 idx; then ring[size] of VIRTQ_USED_ELEM, u16 avail_event."""
VIRTQ_USED_ELEM: Final = Struct("<II")
"""id (head of the chain), len (bytes written)."""
VIRTQ_USED_F_NO_NOTIFY: Final = 1
VIRTQ_DESC_ALIGN: Final = 16
VIRTQ_AVAIL_ALIGN: Final = 2
VIRTQ_USED_ALIGN: Final = 4
