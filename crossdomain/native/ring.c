/* What is asked of a render node and its ring; contract in ring.h.  The layouts are those of crossdomain/abi:
 * cross_domain.py and virtgpu_drm.py, whose tests hold them against what is sent here. */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* crossdomain/abi/virtgpu_drm.py */
#define EXECBUF_RING_IDX 4u
#define EVENT_FENCE_SIGNALED 0x90000000u

struct execbuffer {
    uint32_t flags;
    uint32_t size;
    uint64_t command;
    uint64_t bo_handles;
    uint32_t num_bo_handles;
    int32_t fence_fd;
    uint32_t ring_idx;
    uint32_t syncobj_stride;
    uint32_t num_in_syncobjs;
    uint32_t num_out_syncobjs;
    uint64_t in_syncobjs;
    uint64_t out_syncobjs;
};

#define IOCTL_EXECBUFFER _IOWR('d', 0x42, struct execbuffer)

_Static_assert(sizeof(struct execbuffer) == 64, "virtgpu_drm.h");

const uint8_t XD_POLL[XD_POLL_SIZE] = {XD_COMMAND_POLL, XD_CHANNEL_RING, XD_POLL_SIZE};

int xd_ring_submit(int node, const uint8_t *commands, uint32_t size, int is_polling) {
    struct execbuffer request = {
        .flags = is_polling ? EXECBUF_RING_IDX : 0,
        .size = size,
        .command = (uint64_t)(uintptr_t)commands,
        .fence_fd = -1,
        .ring_idx = is_polling ? XD_CHANNEL_RING : 0,
    };
    int result;
    do
        result = ioctl(node, IOCTL_EXECBUFFER, &request);
    while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result < 0 ? errno : 0;
}

int xd_ring_poll(int node) { return xd_ring_submit(node, XD_POLL, XD_POLL_SIZE, 1); }

uint32_t xd_ring_take_fences(int node) {
    uint8_t events[256];
    uint32_t fences = 0;
    ssize_t size;
    do
        size = read(node, events, sizeof events);
    while (size < 0 && errno == EINTR);
    for (ssize_t at = 0; size - at >= 8;) {
        uint32_t length = xd_load(events + at + 4);
        fences += xd_load(events + at) == EVENT_FENCE_SIGNALED;
        at += length > 8 && length < sizeof events ? (ssize_t)length : 8;
    }
    return fences;
}

static uint32_t *word_of(const xd_ring *ring, uint32_t index) { return (uint32_t *)(void *)ring->bytes + index; }

int xd_ring_has_event(const xd_ring *ring) { return __atomic_load_n(word_of(ring, 0), __ATOMIC_ACQUIRE) != 0; }

uint32_t xd_ring_plain_event(const xd_ring *ring) {
    uint8_t head[16];
    memcpy(head, ring->bytes, sizeof head);
    uint32_t size = head[0] == XD_COMMAND_RECEIVE && !xd_load(head + 8) ? xd_load(head + 12) : 0;
    return size <= ring->size - XD_SEND_RECEIVE_SIZE && size <= XD_LOCAL_MAX_PACKET ? size : 0;
}

const uint8_t *xd_ring_data(const xd_ring *ring) { return ring->bytes + XD_SEND_RECEIVE_SIZE; }

void xd_ring_clear(xd_ring *ring) {
    ring->early++;
    __atomic_store_n(word_of(ring, 0), 0, __ATOMIC_RELAXED);
}

void xd_ring_begin_to_look(xd_ring *ring) { __atomic_store_n(word_of(ring, 1), XD_RING_LOOKED_AT, __ATOMIC_RELAXED); }

void xd_ring_end_to_look(xd_ring *ring) {
    __atomic_store_n(word_of(ring, 1), 0, __ATOMIC_RELAXED);
    /* The host sees that nobody looks any more, or we see what it wrote before it looked. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
