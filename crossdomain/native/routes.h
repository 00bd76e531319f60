/* COPY_PAGES that need no Python: those whose resources it has looked up before, and that are still what they were.
 *
 * A route is made by crossdomain/context/passage.py when a copy was carried out there, and forgotten when a resource
 * of its client goes.  Whatever else a command is, or wherever a rectangle is not in both images, it is left to
 * crossdomain/context/context.py, which says what is wrong.
 */
#ifndef CROSSDOMAIN_ROUTES_H
#define CROSSDOMAIN_ROUTES_H

#include "core.h"

enum { XD_MAX_ROUTES = 8 }; /* of a client: two buffers of some surfaces */

/* Bytes before one SEND: limits.py's MAX_COPIED_BYTES. */
#define XD_MAX_COPIED (UINT64_C(1) << 31)

/* Pages of the guest's, where they are mapped: as long as there are runs, and the memory is what it was. */
typedef struct xd_pages {
    const xd_run *runs; /* not ours */
    uint32_t run_count;
    uint64_t generation;
    const uint64_t *memory_generation; /* not ours */
} xd_pages;

typedef struct xd_route {
    uint32_t destination;
    uint32_t source;
    uint8_t key[XD_KEY_SIZE];
    uint8_t by_key; /* the key has to stand in the pages themselves */
    uint8_t *pixels;
    uint64_t size;
    const xd_pages *pages; /* not ours */
} xd_route;

typedef struct xd_routes {
    uint32_t count;
    xd_route routes[XD_MAX_ROUTES];
    uint64_t copies; /* that were carried out here, and their bytes */
    uint64_t bytes_copied;
} xd_routes;

/* Returns the bytes of the COPY_PAGES that a submit begins with, which may be none; -1 where one is not for here, or
 * they are too much. */
int64_t xd_routes_find(const xd_routes *routes, const uint8_t *commands, uint32_t size);
/* Carries out what was found; returns the bytes that were copied. */
uint64_t xd_routes_copy(xd_routes *routes, const uint8_t *commands, uint32_t size);

#endif
