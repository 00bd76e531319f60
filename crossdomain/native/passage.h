/* One client between its channel and the compositor, as far as nobody has to decide anything.
 *
 * A SEND without identifiers is walked as the host's policy walks it, and its bytes go to the compositor; bytes of
 * the compositor's become a RECEIVE.  Where the walk finds something for Python, where fds travel, or where somebody
 * does not take what he gets, Python goes on from there (crossdomain/context/passage.py).  Each way is closed until
 * Python opens it: it does while nothing of that way waits on its side.
 */
#ifndef CROSSDOMAIN_PASSAGE_H
#define CROSSDOMAIN_PASSAGE_H

#include "poller.h"
#include "routes.h"

enum {
    XD_MAX_EVENT_SIZE = 65536, /* limits.py's MAX_EVENT_SIZE */
    /* crossdomain/context/latency.py */
    XD_TIME_STEPS = 4,
    XD_TIME_CLASSES = 32 * XD_TIME_STEPS,
    XD_TIMED = 16, /* of so many walks, each way, one is timed: clocks cost something, too */
};

/* What a handover is. */
enum xd_handed {
    XD_PACKET = 1,  /* a packet of the launcher's, as it was received; walked, where it is one to be walked */
    XD_REQUESTS,    /* bytes that may pass, and that the compositor has not taken */
    XD_EVENTS,      /* bytes and fds of the compositor's, as they were received; walked, where there are no fds */
    XD_UNDELIVERED, /* bytes that may pass, and that the guest has not taken */
    XD_COMMAND,     /* a command of a guest's, taken from its queue: walked; the device's `chain` is its chain */
    XD_QUEUE,       /* nothing but that the queue has a command for Python */
};

struct xd_mailbox;

/* Times of one way, of a sample of what is walked. */
typedef struct xd_times {
    uint32_t walks;
    int64_t began; /* CLOCK_MONOTONIC, ns: of a walk that is timed and not over; or 0 */
    uint32_t counts[XD_TIME_CLASSES]; /* by us, as latency.py has them */
} xd_times;

typedef struct xd_passage {
    xd_port client;
    xd_port compositor;
    xd_walker *walker; /* not ours, like the fds */
    int client_fd;     /* a local client's socket, or -1 */
    int compositor_fd;
    struct xd_mailbox *mailbox; /* not ours: where a VM's client gets its events, or NULL */
    uint8_t to_host;  /* open: the context takes requests */
    uint8_t to_guest; /* open: the context takes events */
    uint8_t has_room; /* the client's channel takes events */
    int64_t left;     /* requests that may pass, a SEND of none is one; the last batch may take more */
    int64_t reads_left; /* reads of the compositor that may pass */
    /* What went this way. */
    uint64_t sends;
    uint64_t requests;
    uint64_t bytes_to_host;
    uint64_t events;
    uint64_t bytes_to_guest;
    xd_routes routes; /* of the copies that go before a SEND of a VM's client */
    xd_times times_to_host;  /* from the walk until the compositor's socket has it */
    xd_times times_to_guest; /* from the walk until the guest has it; what it did not take whole is left to Python */
} xd_passage;

/* Finds the bytes of a submit that is one SEND without identifiers; returns whether it is. */
int xd_find_bytes(const uint8_t *commands, uint32_t size, const uint8_t **data, uint32_t *length);
/* Whether all of it is whole messages that nobody asked for.  Where not, the walk stays for who asks again. */
int xd_passage_walk(xd_passage *passage, xd_poller *poller, int direction, const uint8_t *data, uint32_t size);
/* Gives the compositor what may pass, of that walk; returns the bytes that it takes. */
uint32_t xd_passage_send(xd_passage *passage, const xd_walk *walk, const uint8_t *data, uint32_t length);

/* A passage of a local client's.  Returns NULL where memory is short. */
xd_passage *xd_passage_create(xd_walker *walker);
void xd_passage_free(xd_passage *passage);
/* What was handed over has been looked at, or never will be: a walk that nobody asked for again is void. */
void xd_passage_forget(xd_passage *passage);

#endif
