/* Finds and carries out copies; contract in routes.h. */
#include "routes.h"

#include <string.h>

struct copy {
    uint32_t size; /* of the command */
    const xd_route *route;
    xd_plane plane;
    const xd_rectangle *rectangles;
    uint32_t count;
};

static const xd_route *find_route(const xd_routes *routes, const uint8_t *command) {
    uint32_t destination = xd_load(command + 8), source = xd_load(command + 12);
    for (uint32_t index = 0; index < routes->count; index++) {
        const xd_route *route = &routes->routes[index];
        if (route->destination == destination && route->source == source && !memcmp(route->key, command + 16, XD_KEY_SIZE))
            return route;
    }
    return NULL;
}

/* Whether the pages are there, and are the ones that the key opens. */
static int is_open(const xd_route *route) {
    const xd_pages *pages = route->pages;
    if (!pages->run_count || pages->generation != *pages->memory_generation)
        return 0;
    return !route->by_key || (pages->runs[0].end >= XD_KEY_SIZE &&
                              !memcmp((const uint8_t *)(uintptr_t)pages->runs[0].address, route->key, XD_KEY_SIZE));
}

/* Reads the first command; returns whether it is a copy for here. */
static int read_copy(const xd_routes *routes, const uint8_t *command, uint32_t size, struct copy *copy) {
    if (size < XD_COPY_PAGES_SIZE)
        return 0;
    *copy = (struct copy){.size = xd_load(command) >> 16, .route = find_route(routes, command), .count = xd_load(command + 60)};
    /* A command has at most 64 KiB, and so few rectangles. */
    if (!copy->route || copy->size > size || copy->count > size ||
        copy->size != XD_COPY_PAGES_SIZE + copy->count * (uint32_t)sizeof *copy->rectangles)
        return 0;
    memcpy(&copy->plane.offset, command + 32, sizeof copy->plane.offset);
    memcpy(&copy->plane.source_offset, command + 40, sizeof copy->plane.source_offset);
    copy->plane.stride = xd_load(command + 48);
    copy->plane.source_stride = xd_load(command + 52);
    copy->plane.bytes_per_pixel = xd_load(command + 56);
    copy->rectangles = (const xd_rectangle *)(const void *)(command + XD_COPY_PAGES_SIZE);
    return (uintptr_t)copy->rectangles % _Alignof(xd_rectangle) == 0;
}

static int is_inside(const struct copy *copy) {
    const xd_pages *pages = copy->route->pages;
    uint64_t source_size = pages->runs[pages->run_count - 1].end;
    for (uint32_t index = 0; index < copy->count; index++)
        if (!xd_inside(&copy->plane, &copy->rectangles[index], copy->route->size, source_size))
            return 0;
    return 1;
}

int64_t xd_routes_find(const xd_routes *routes, const uint8_t *commands, uint32_t size) {
    uint32_t at = 0;
    uint64_t left = XD_MAX_COPIED;
    struct copy copy;
    while (at < size && commands[at] == XD_COMMAND_COPY_PAGES) {
        if (!read_copy(routes, commands + at, size - at, &copy) || !is_open(copy.route) || !is_inside(&copy))
            return -1;
        uint64_t bytes = xd_bytes_of(copy.rectangles, copy.count, copy.plane.bytes_per_pixel);
        if (bytes > left)
            return -1;
        left -= bytes;
        at += copy.size;
    }
    return at;
}

uint64_t xd_routes_copy(xd_routes *routes, const uint8_t *commands, uint32_t size) {
    uint32_t at = 0;
    uint64_t before = routes->bytes_copied;
    struct copy copy;
    while (at < size && read_copy(routes, commands + at, size - at, &copy)) {
        const xd_pages *pages = copy.route->pages;
        uint64_t copied = 0;
        xd_copy_runs(copy.route->pixels, copy.route->size, pages->runs, pages->run_count, &copy.plane, copy.rectangles,
                     copy.count, &copied);
        routes->copies++;
        routes->bytes_copied += copied;
        at += copy.size;
    }
    return routes->bytes_copied - before;
}
