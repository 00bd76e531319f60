/* One epoll, and fds whose usual messages are served here without a word to Python.
 *
 * An fd may have a port: what serves it when it is readable, before whoever waits for it is told.  A port
 * takes what it knows; what it has taken and can't finish stands in the poller's handover, and what it has
 * not taken is left to whoever waits.  Python's side is crossdomain/context/selector.py.
 */
#ifndef CROSSDOMAIN_POLLER_H
#define CROSSDOMAIN_POLLER_H

#include "core.h"

#include <sys/epoll.h>

enum {
    XD_ROUND = 64, /* fds of one epoll_wait */
    /* Bytes that a port may take at once: a packet of the local channel, or a command of a guest's. */
    XD_SCRATCH = 1 << 17,
    XD_SCRATCH_HEADROOM = 512, /* before them, for headers */
    XD_MAX_FDS = 253,          /* the kernel's SCM_MAX_FD: with space for all of them none can be lost */
    XD_MAX_RECORDS = 256,      /* engine.py's MAX_RECORDS */
};

enum xd_served {
    XD_SERVED,   /* as much as there is, or as one turn may be: the fd says whether there is more */
    XD_DECLINED, /* nothing was taken */
    XD_HANDED,   /* what was taken and is not finished stands in the handover */
};

/* What a port has taken and can't finish.  Its fds are the taker's. */
typedef struct xd_handover {
    uint32_t kind; /* the port's own */
    const uint8_t *data;
    uint32_t size;
    uint32_t flags; /* recvmsg's */
    uint32_t fd_count;
    int32_t fds[XD_MAX_FDS];
} xd_handover;

typedef struct xd_poller xd_poller;

typedef struct xd_port {
    enum xd_served (*serve)(struct xd_port *port, int fd, xd_poller *poller);
} xd_port;

struct xd_slot {
    xd_port *port; /* not ours */
    uint32_t events;
};

struct xd_poller {
    int epoll;
    struct xd_slot *slots; /* by fd */
    uint32_t slot_count;
    struct epoll_event events[XD_ROUND]; /* of this round; those from `next` on are still to be served */
    uint32_t next;
    uint32_t count;
    int32_t ready[XD_ROUND]; /* fds that others wait for, and what is ready */
    uint32_t ready_events[XD_ROUND];
    uint32_t ready_count;
    int is_told; /* and they were told of already */
    xd_handover handover;
    xd_ahead ahead;
    xd_record records[XD_MAX_RECORDS];
    uint8_t scratch[XD_SCRATCH_HEADROOM + XD_SCRATCH];
};

/* Returns NULL with errno where there is no memory or no fd. */
xd_poller *xd_poller_create(void);
void xd_poller_free(xd_poller *poller);

/* Waits for these events of an fd (EPOLLIN, EPOLLOUT) from now on; for none: forgets it.  Returns 0 or -errno. */
int xd_poller_watch(xd_poller *poller, int fd, uint32_t events);

/* The port serves the fd while it is watched for EPOLLIN alone, until another, or none, is given; it must live so
 * long.  Returns 0 or -errno. */
int xd_poller_attach(xd_poller *poller, int fd, xd_port *port);

/* Serves ports until somebody else has something to do, or milliseconds are over (negative: for ever).
 *
 * Returns the fd that a handover is of, or XD_READY: `ready` tells of ready_count fds, none after a signal or at the
 * end of the time; or XD_FAILED with errno.  A handover's fds must be taken before the next call.
 */
enum { XD_READY = -1, XD_FAILED = -2 };
int xd_poller_wait(xd_poller *poller, int milliseconds);

/* recvmsg that never waits, with all fds that may come: bytes, or -errno.  Fills the handover but for its kind. */
int64_t xd_receive(int fd, uint8_t *buffer, uint32_t size, xd_handover *handover);

#endif
