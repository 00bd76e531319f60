/* The launcher's messages that nobody has to decide on: from socket to socket without Python.
 *
 * A lane is one connection's way between its client and its channel.  An epoll round serves what it can of
 * the lanes that Python has opened, and hands over all else: what Python gets is then exactly what it
 * would have read itself, and how much of it is walked already.  It keeps no policy: whether a lane is
 * open, and what its walker looks for, is Python's to say.
 */
#ifndef CROSSDOMAIN_LANE_H
#define CROSSDOMAIN_LANE_H

#include "frames.h"
#include "patience.h"
#include "ring.h"

#include <sys/epoll.h>

enum {
    XD_MAX_HANDED_FDS = 253, /* the kernel's SCM_MAX_FD */
    XD_MAX_READY = 64,
    /* The header of a local packet, and what precedes the data of a SEND. */
    XD_SEND_PREFIX = XD_LOCAL_HEADER_SIZE + XD_SEND_RECEIVE_SIZE,
};

typedef struct xd_lane {
    xd_walker *walker; /* not ours */
    int client_fd;
    int channel_fd;
    xd_ring *ring; /* as long as the channel is open; NULL: a local channel */
    uint32_t max_send;      /* bytes of a SEND's data */
    uint32_t allowance;     /* bytes of requests that may pass before Python has to be asked */
    uint32_t passes_events; /* whether events may pass */
    xd_copies *copies;      /* not ours: what goes before the next SEND, or NULL */
    /* The loop's. */
    uint32_t owes_poll; /* an event was taken, and the host not polled for another since: one of `owing` */
    uint64_t owes_since; /* the loop's round */
    struct xd_lane *next_owing;
    struct xd_patience with_client; /* for the SEND that a POLL can go with */
    struct xd_patience with_host;   /* for the event that answers a SEND */
} xd_lane;

enum xd_lane_handed {
    XD_HANDED_NOTHING,  /* the fd is as it was */
    XD_HANDED_REQUESTS, /* bytes of the client, and fds */
    XD_HANDED_EVENTS,   /* the data of a RECEIVE without identifiers */
    XD_HANDED_PACKET,   /* a packet of a local channel, and fds */
};

struct xd_lane_slot {
    xd_lane *lane; /* not ours; NULL where the fd is none of a lane */
    int is_channel;
};

typedef struct xd_loop {
    int epoll_fd; /* not ours */
    /* What is ready and Python's: the fd, and its events. */
    int fd;
    uint32_t events;
    /* What was read of it, valid until the next call. */
    uint32_t handed; /* enum xd_lane_handed */
    const uint8_t *data;
    uint32_t size;
    uint32_t walked;  /* bytes of the data that the walker has seen already */
    uint32_t fd_count; /* closed with the next call, but for those that xd_loop_take_fd has given away */
    uint32_t truncated; /* whether something did not fit, or found no free fd */
    int error;          /* XD_HANDED_EVENTS: errno of the POLL that failed, or 0 */
    uint64_t served;    /* how often a lane needed no Python */
    int fds[XD_MAX_HANDED_FDS];
    /* Ours. */
    /* Those whose POLL waits for a SEND to go with: a round at most, and never while Python runs; then it is sent alone
     * where none is outstanding. */
    xd_lane *owing;
    uint64_t round;
    struct xd_lane_slot *slots; /* by fd */
    uint32_t slot_count;
    struct epoll_event ready[XD_MAX_READY];
    int ready_count;
    int ready_next;
    uint8_t buffer[XD_MAX_COPIES + XD_SEND_PREFIX + XD_LOCAL_MAX_PACKET];
} xd_loop;

/* Returns NULL where memory is short. */
xd_loop *xd_loop_create(int epoll_fd);
void xd_loop_free(xd_loop *loop);

/* Both fds of a lane, which has to live until they are detached.  Returns 0, or -1 where memory is short. */
int xd_loop_attach(xd_loop *loop, xd_lane *lane);
/* An fd that leaves the epoll: nothing that is ready belongs to it any more. */
void xd_loop_detach(xd_loop *loop, int fd);

/* Waits until something is Python's, which `loop` then tells: returns 1.  Returns 0 after `timeout_ms` (-1:
 * never); a negative errno where it fails or a signal came.  Lanes are served meanwhile. */
int xd_loop_wait(xd_loop *loop, int timeout_ms);
/* Returns 1 where more of the same round is Python's, else 0. */
int xd_loop_next(xd_loop *loop);
/* Returns the next of the fds that were handed over, which is the caller's then; -1 after the last. */
int xd_loop_take_fd(xd_loop *loop);

#endif
