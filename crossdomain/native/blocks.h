/* Copies of what the caches may not hold, in blocks wider than a machine word.
 *
 * A processor's own prefetching ends where a page does, and begins anew in each row.  Whoever says where both sides go
 * on has them fetched before they are wanted, while something else is copied.
 */
#ifndef CROSSDOMAIN_BLOCKS_H
#define CROSSDOMAIN_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define XD_ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    XD_LINE = 64,    /* bytes of a cache line */
    XD_AHEAD = 2048, /* bytes between what is fetched and what is copied */
};

/* Copies `size` bytes and fetches what comes XD_AHEAD behind each of them: behind the end, what lies at `next_to` and
 * `next_from`, which may be NULL. */
void xd_copy_ahead(uint8_t *to, const uint8_t *from, size_t size, const uint8_t *next_to, const uint8_t *next_from);

/* Addresses that are not there are not fetched, and do no harm. */
XD_ALWAYS_INLINE void xd_fetch_line(const uint8_t *to, const uint8_t *from, size_t at) {
    __builtin_prefetch((const void *)((uintptr_t)from + at), 0);
    __builtin_prefetch((const void *)((uintptr_t)to + at), 1);
}

#ifdef __x86_64__
typedef uint8_t xd_block __attribute__((vector_size(32), aligned(1), may_alias));

enum { XD_STEP = 4 * sizeof(xd_block) };

XD_ALWAYS_INLINE void xd_fetch_step(const uint8_t *to, const uint8_t *from, size_t at) {
    xd_fetch_line(to, from, at);
    xd_fetch_line(to, from, at + XD_LINE);
}

/* Copies XD_STEP bytes. */
XD_ALWAYS_INLINE void xd_copy_step(uint8_t *to, const uint8_t *from) {
    const xd_block *read = (const void *)from;
    xd_block *written = (void *)to;
    xd_block first = read[0], second = read[1], third = read[2], fourth = read[3];
    written[0] = first;
    written[1] = second;
    written[2] = third;
    written[3] = fourth;
}
#endif

#endif
