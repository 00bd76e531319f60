/* Whether it is worth waiting awake for an answer: a client in a round trip asks again as soon as it is answered, and
 * is answered soon.  A command, an interrupt and two changes of process cost as much each as waiting for that does.
 */
#ifndef CROSSDOMAIN_PATIENCE_H
#define CROSSDOMAIN_PATIENCE_H

#include <stdint.h>
#include <time.h>

enum { XD_PATIENCE_NS = 1000000, XD_QUICK_ENOUGH = 2, XD_MOST_QUICK = 3 };

/* With one who answers: as often as his last answers were quick. */
struct xd_patience {
    int64_t since;  /* when he was told, ns; 0: nothing is to be answered */
    uint32_t quick; /* of his last answers, XD_MOST_QUICK at most */
};

static inline int64_t xd_now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int xd_is_patient(const struct xd_patience *patience) { return patience->quick >= XD_QUICK_ENOUGH; }

static inline void xd_note_told(struct xd_patience *patience) { patience->since = xd_now_ns(); }

static inline void xd_note_answer(struct xd_patience *patience) {
    if (!patience->since)
        return;
    if (xd_now_ns() - patience->since > XD_PATIENCE_NS)
        patience->quick = 0;
    else if (patience->quick < XD_MOST_QUICK)
        patience->quick++;
    patience->since = 0;
}

#endif
