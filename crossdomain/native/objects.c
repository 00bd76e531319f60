/* The object map of a walker, what is counted of it, and the proxy's own objects; contract in core.h and objects.h. */
#include "objects.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16u

/* Entries ------------------------------------------------------------------------------- */

int xd_map_extend(xd_walker *walker, int side) {
    struct xd_map *map = &walker->maps[side];
    if (map->count == map->capacity) {
        uint32_t capacity = map->capacity ? map->capacity * 2 : FIRST_CAPACITY;
        struct xd_entry *entries = realloc(map->entries, capacity * sizeof *entries);
        if (!entries)
            return -1;
        map->entries = entries;
        map->capacity = capacity;
    }
    memset(&map->entries[map->count++], 0, sizeof *map->entries);
    if (side == XD_CLIENT && walker->totals)
        walker->totals->ids++;
    return 0;
}

void xd_object_destroy(xd_walker *walker, struct xd_entry *entry, uint32_t object_id) {
    if (object_id < XD_SERVER_ID_START && xd_is_counted(walker, entry))
        xd_count(walker, 0, -1u);
    entry->flags |= XD_ZOMBIE;
}

void xd_object_release(xd_walker *walker, struct xd_entry *entry) {
    xd_count(walker, -1u, 0u - (uint32_t)xd_is_counted(walker, entry));
    entry->generations = 0;
}

void xd_walker_give(xd_walker *walker, uint32_t object_id) {
    struct xd_entry *entry = xd_entry_of(walker, object_id);
    if (xd_has_object(entry) && !(entry->flags & XD_ZOMBIE))
        entry->flags |= XD_TAKEN;
}

void xd_walker_quieten(xd_walker *walker, uint32_t object_id) {
    struct xd_entry *entry = xd_entry_of(walker, object_id);
    if (xd_has_object(entry) && !(entry->flags & XD_ZOMBIE))
        entry->flags |= XD_QUIET;
}

int xd_walker_stir(xd_walker *walker, uint32_t object_id) {
    struct xd_entry *entry = xd_entry_of(walker, object_id);
    int begun = xd_has_object(entry) && entry->flags & XD_BEGUN;
    if (entry)
        entry->flags &= (uint8_t) ~(XD_QUIET | XD_BEGUN);
    return begun;
}

uint32_t xd_walker_take_ended(xd_walker *walker) {
    uint32_t ended = walker->ended;
    walker->ended = 0;
    return ended;
}

/* Counts -------------------------------------------------------------------------------- */

int xd_walker_limit(xd_walker *walker, uint32_t max_live, uint32_t interface, uint32_t max_counted) {
    if (interface >= walker->tables->interface_count)
        return -1;
    const struct xd_map *map = &walker->maps[XD_CLIENT];
    walker->max_live = max_live;
    walker->max_counted = max_counted;
    if (walker->counted_interface != interface) {
        walker->counted_interface = interface;
        xd_count(walker, 0, 0u - walker->counted);
        for (uint32_t id = 0; id < map->count; id++)
            xd_count(walker, 0, (uint32_t)xd_is_counted(walker, &map->entries[id]));
    }
    return 0;
}

xd_totals *xd_totals_create(void) {
    xd_totals *totals = calloc(1, sizeof *totals);
    if (totals) {
        totals->users = 1;
        totals->max_live = totals->max_counted = totals->max_ids = UINT32_MAX;
    }
    return totals;
}

void xd_totals_release(xd_totals *totals) {
    if (totals && !--totals->users)
        free(totals);
}

void xd_walker_join(xd_walker *walker, xd_totals *totals) {
    walker->totals = totals;
    totals->users++;
    totals->live += walker->live;
    totals->counted += walker->counted;
    totals->ids += walker->maps[XD_CLIENT].count;
}

void xd_walker_leave(xd_walker *walker) {
    xd_totals *totals = walker->totals;
    if (!totals)
        return;
    totals->live -= walker->live;
    totals->counted -= walker->counted;
    totals->ids -= walker->maps[XD_CLIENT].count;
    walker->totals = NULL;
    xd_totals_release(totals);
}

uint32_t xd_walker_live(const xd_walker *walker) { return walker->live; }

uint32_t xd_walker_counted(const xd_walker *walker) { return walker->counted; }

/* Ids, and the proxy's own objects ------------------------------------------------------ */

int xd_walker_own(xd_walker *walker, uint32_t object_id, uint32_t deletes) {
    struct xd_map *map = &walker->maps[XD_CLIENT];
    if (object_id <= XD_DISPLAY_ID || object_id > map->count || object_id >= walker->max_objects)
        return -1;
    if (!deletes || deletes > UINT16_MAX - xd_walker_own_pending(walker, object_id))
        return -1;
    if (object_id == map->count && xd_map_extend(walker, XD_CLIENT))
        return -1;
    struct xd_entry *entry = &map->entries[object_id];
    entry->own = (uint16_t)(entry->own + deletes);
    return 0;
}

uint32_t xd_walker_own_pending(const xd_walker *walker, uint32_t object_id) {
    const struct xd_entry *entry = xd_entry_of(walker, object_id);
    return entry ? entry->own : 0;
}

uint32_t xd_walker_next_id(const xd_walker *walker) { return walker->maps[XD_CLIENT].count; }

uint32_t xd_walker_next_server_id(const xd_walker *walker) {
    return XD_SERVER_ID_START + walker->maps[XD_SERVER].count;
}

int xd_walker_release(xd_walker *walker, uint32_t object_id) {
    struct xd_entry *entry = xd_entry_of(walker, object_id);
    if (!xd_has_object(entry) || object_id == XD_DISPLAY_ID)
        return -1;
    if (object_id < XD_SERVER_ID_START)
        xd_object_release(walker, entry);
    else
        entry->generations = 0;
    return 0;
}

int64_t xd_walker_lookup(const xd_walker *walker, uint32_t object_id) {
    const struct xd_entry *entry = xd_entry_of(walker, object_id);
    return xd_has_object(entry) ? (int64_t)entry->interface << 16 | entry->version : -1;
}
