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
#define EVENT_SIZE 8u /* of all that this driver has */
#define MOST_EVENTS 32u

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

int xd_ring_submit(xd_ring *ring, int node, const uint8_t *commands, uint32_t size, int is_polling) {
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
    if (result < 0)
        return errno;
    ring->polled += is_polling && ring->is_shared;
    return 0;
}

int xd_ring_poll(xd_ring *ring, int node) { return xd_ring_submit(ring, node, XD_POLL, XD_POLL_SIZE, 1); }

int xd_ring_has_room(const xd_ring *ring) { return ring->is_shared && ring->polled < XD_RING_SLOTS; }

uint32_t xd_ring_take_fences(xd_ring *ring, int node) {
    uint8_t events[MOST_EVENTS * EVENT_SIZE];
    size_t most = 1 + (size_t)(ring->early > 0 ? ring->early : 0);
    uint32_t fences = 0;
    ssize_t size;
    do
        size = read(node, events, (most < MOST_EVENTS ? most : MOST_EVENTS) * EVENT_SIZE);
    while (size < 0 && errno == EINTR);
    for (ssize_t at = 0; size - at >= (ssize_t)EVENT_SIZE; at += (ssize_t)EVENT_SIZE)
        fences += xd_load(events + at) == EVENT_FENCE_SIGNALED;
    if (ring->is_shared)
        ring->early -= (int32_t)fences;
    return fences;
}

int xd_ring_lose_poll(xd_ring *ring) {
    if (ring->early >= 0)
        return 0;
    ring->early++;
    ring->polled--;
    return 1;
}

/* Bytes that an event may have. */
static uint32_t slot_size(const xd_ring *ring) { return ring->is_shared ? ring->size / XD_RING_SLOTS : ring->size; }

static uint8_t *slot_of(const xd_ring *ring) { return ring->bytes + (size_t)ring->slot * slot_size(ring); }

static uint32_t *word_of(const xd_ring *ring, uint32_t index) { return (uint32_t *)(void *)slot_of(ring) + index; }

int xd_ring_has_event(const xd_ring *ring) { return __atomic_load_n(word_of(ring, 0), __ATOMIC_ACQUIRE) != 0; }

uint32_t xd_ring_plain_event(const xd_ring *ring) {
    uint8_t head[16];
    memcpy(head, slot_of(ring), sizeof head);
    uint32_t size = head[0] == XD_COMMAND_RECEIVE && !xd_load(head + 8) ? xd_load(head + 12) : 0;
    return size <= slot_size(ring) - XD_SEND_RECEIVE_SIZE && size <= XD_LOCAL_MAX_PACKET ? size : 0;
}

const uint8_t *xd_ring_data(const xd_ring *ring) { return slot_of(ring) + XD_SEND_RECEIVE_SIZE; }

void xd_ring_clear(xd_ring *ring) {
    __atomic_store_n(word_of(ring, 0), 0, __ATOMIC_RELAXED);
    ring->slot = (ring->slot + 1) % XD_RING_SLOTS;
    ring->polled--;
    ring->early++;
}

void xd_ring_begin_to_look(xd_ring *ring) { __atomic_store_n(word_of(ring, 1), XD_RING_LOOKED_AT, __ATOMIC_RELAXED); }

void xd_ring_end_to_look(xd_ring *ring) {
    __atomic_store_n(word_of(ring, 1), 0, __ATOMIC_RELAXED);
    /* The host sees that nobody looks any more, or we see what it wrote before it looked. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
