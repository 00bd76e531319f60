/* The render node of a launcher's context: commands go out by EXECBUFFER, events stand in the channel ring, and the
 * node's own events tell of fences.
 *
 * One POLL is outstanding at most: the host answers it when it has written an event.  A ring that is shared
 * (crossdomain/abi/cross_domain.py, Feature.SHARED_RING) may be looked at without waiting for that, and has a slot
 * and a POLL for each of two events.
 */
#ifndef CROSSDOMAIN_RING_H
#define CROSSDOMAIN_RING_H

#include "abi.h"

enum { XD_POLL_SIZE = XD_COMMAND_HEADER };

/* What a channel looks at, too. */
typedef struct xd_ring {
    uint8_t *bytes; /* as long as the channel is open */
    uint32_t size;
    uint32_t is_shared;
    /* Of shared rings: */
    uint32_t slot;   /* where the next event comes */
    uint32_t polled; /* POLLs that are outstanding */
    int32_t early;   /* of those that are no more, less the fences of theirs that were read */
} xd_ring;

/* The command, for what is submitted to begin with. */
extern const uint8_t XD_POLL[XD_POLL_SIZE];

/* Submits commands to the node, which has a fence where they begin with a POLL.  Returns 0 or an errno. */
int xd_ring_submit(xd_ring *ring, int node, const uint8_t *commands, uint32_t size, int is_polling);
int xd_ring_poll(xd_ring *ring, int node);
/* Whether a shared ring has a slot for an event that nobody has polled for. */
int xd_ring_has_room(const xd_ring *ring);

/* Reads the node's events up to the first that may tell of something new, which has to be taken then: the node does
 * not tell of it again.  Returns the fences among them. */
uint32_t xd_ring_take_fences(xd_ring *ring, int node);
/* A fence was read, and no event stands in a shared ring: whether the host has given a POLL back. */
int xd_ring_lose_poll(xd_ring *ring);

/* Whether an event stands in a shared ring. */
int xd_ring_has_event(const xd_ring *ring);
/* The bytes of data of the RECEIVE that comes next, which has no identifiers and is no hang-up; 0 for anything else. */
uint32_t xd_ring_plain_event(const xd_ring *ring);
const uint8_t *xd_ring_data(const xd_ring *ring);
/* A shared ring's event was taken. */
void xd_ring_clear(xd_ring *ring);

/* Until then the host need not interrupt us, of a shared ring.  After the end has to be looked once more. */
void xd_ring_begin_to_look(xd_ring *ring);
void xd_ring_end_to_look(xd_ring *ring);

#endif
