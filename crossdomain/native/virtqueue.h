/* The control queue of a virtio-gpu, as far as its commands need no Python: SUBMIT_3D of one SEND without
 * identifiers, with the copies before it, of one POLL, or of a POLL and then those.  All else is left in the queue, in
 * order, for crossdomain/device/ring.py.
 *
 * What the guest wrote is copied once, bounded by the memory that the VMM has shared, and what was checked is what
 * is used.  Indices are shared with crossdomain/device/virtqueue.py, which is the oracle and the other path.
 */
#ifndef CROSSDOMAIN_VIRTQUEUE_H
#define CROSSDOMAIN_VIRTQUEUE_H

#include "passage.h"

enum {
    XD_MAX_WRITABLE = 4, /* buffers of an answer: Linux's driver has one */
    XD_MAX_POLLS = 4,    /* held for one passage: a guest has one, or one for each of its ring's slots */
    XD_MAX_RING_RUNS = 16,
    XD_MAX_QUIET = 16, /* a driver frees what belongs to an answer when it is interrupted */
};

/* Guest memory: `size` bytes from a guest address on, mapped at `address`. */
typedef struct xd_region {
    uint64_t guest_address;
    uint64_t size;
    uint64_t address;
} xd_region;

typedef struct xd_span {
    uint64_t guest_address;
    uint64_t size;
} xd_span;

/* A chain that was taken: where its answer goes, and what the fence of its command is. */
typedef struct xd_chain {
    uint32_t head;
    uint32_t writable_count;
    xd_span writable[XD_MAX_WRITABLE];
    uint32_t flags;
    uint64_t fence_id;
    uint32_t ctx_id;
    uint32_t ring_idx;
} xd_chain;

typedef struct xd_queue {
    uint64_t descriptors; /* addresses of ours; good while `is_open` */
    uint64_t available;
    uint64_t used;
    uint32_t size;
    uint32_t most;      /* chains that may be under way */
    uint32_t under_way; /* taken and not given back */
    uint16_t next_available;
    uint16_t used_index;
    uint8_t is_open; /* started, enabled, and its addresses are those of the memory as it is now */
} xd_queue;

/* One context: its passage, and its events' way. */
struct xd_context {
    uint32_t ctx_id;
    xd_passage *passage; /* not ours */
};

struct xd_device {
    xd_port kick;
    xd_queue queue;
    xd_region *regions; /* by guest address */
    uint32_t region_count;
    struct xd_context *contexts;
    uint32_t context_count;
    uint32_t context_capacity;
    int call_fd; /* or -1 */
    uint64_t copied; /* bytes in this turn */
    uint32_t quiet; /* answers since the last interrupt that nobody waits to be interrupted for */
    xd_chain chain; /* of a handover: taken, and not carried out */
};

typedef struct xd_device xd_device;

/* Returns NULL where memory is short. */
xd_device *xd_device_create(void);
void xd_device_free(xd_device *device);
/* The guest's memory as it is from now on, by guest address, which does not overlap.  Returns 0, or -1 where memory
 * is short: then there is none. */
int xd_device_map(xd_device *device, const xd_region *regions, uint32_t count);
/* The passage of a context; NULL for none.  Returns 0, or -1 where memory is short. */
int xd_device_set_context(xd_device *device, uint32_t ctx_id, xd_passage *passage);

/* Where the events of a context go: its channel ring, and the POLLs that wait for them. */
struct xd_mailbox {
    xd_device *device; /* not ours */
    xd_span runs[XD_MAX_RING_RUNS];
    uint32_t run_count;  /* none: no event is carried */
    uint32_t size;       /* bytes of the ring */
    uint32_t slots;      /* events that it has room for at once */
    uint32_t slot;       /* where the next one goes */
    uint32_t others;     /* POLLs that Python holds, which came later than those here */
    uint32_t poll_count; /* held here, oldest first */
    xd_chain polls[XD_MAX_POLLS];
};

typedef struct xd_mailbox xd_mailbox;

xd_mailbox *xd_mailbox_create(xd_device *device);
void xd_mailbox_free(xd_mailbox *mailbox);
/* Holds one more POLL: returns 1, or 0 where it has to be held elsewhere.  A guest that has more than it needs gets the
 * oldest back where there are many chains under way. */
int xd_mailbox_hold(xd_mailbox *mailbox, const xd_chain *chain);
/* The oldest POLL that is held here: returns 1 and fills the chain, which is the caller's, or 0. */
int xd_mailbox_take(xd_mailbox *mailbox, xd_chain *chain);
/* Whether an event can be delivered now: the bytes that it may have, or 0. */
uint32_t xd_mailbox_room(const xd_mailbox *mailbox);
/* Delivers an event for which there is room, and completes the oldest POLL. */
void xd_mailbox_deliver(xd_mailbox *mailbox, const uint8_t *event, uint32_t size);

#endif
