/* The object map of a walker and what is counted of it: what walker.c and objects.c share.  The public side is core.h's;
 * what is inline here is on the path of every message. */
#ifndef CROSSDOMAIN_OBJECTS_H
#define CROSSDOMAIN_OBJECTS_H

#include "core.h"

#define XD_DISPLAY_ID 1u
#define XD_SERVER_ID_START 0xff000000u

/* The maps of a walker. */
enum { XD_CLIENT, XD_SERVER };

/* Returns NULL for an id that has never been used. */
static inline struct xd_entry *xd_entry_of(const xd_walker *walker, uint32_t object_id) {
    const struct xd_map *map = &walker->maps[object_id >= XD_SERVER_ID_START ? XD_SERVER : XD_CLIENT];
    uint32_t index = object_id >= XD_SERVER_ID_START ? object_id - XD_SERVER_ID_START : object_id;
    return index < map->count ? &map->entries[index] : NULL;
}

static inline int xd_has_object(const struct xd_entry *entry) { return entry && entry->generations; }

static inline int xd_is_counted(const xd_walker *walker, const struct xd_entry *entry) {
    return entry->generations && !(entry->flags & XD_ZOMBIE) && entry->interface == walker->counted_interface;
}

/* There are so many more, or fewer: differences are modulo 2^32, as what they are added to. */
static inline void xd_count(xd_walker *walker, uint32_t live, uint32_t counted) {
    walker->live += live;
    walker->counted += counted;
    if (walker->totals) {
        walker->totals->live += live;
        walker->totals->counted += counted;
    }
}

/* Makes room for the entry that follows the last one of a side; returns -1 where there is no memory. */
int xd_map_extend(xd_walker *walker, int side);

/* A destructor of the client's. */
void xd_object_destroy(xd_walker *walker, struct xd_entry *entry, uint32_t object_id);

/* The client's id is free again. */
void xd_object_release(xd_walker *walker, struct xd_entry *entry);

#endif
