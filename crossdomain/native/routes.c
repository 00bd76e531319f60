/* Finds and carries out copies; contract in routes.h. */
#include "routes.h"

#include <string.h>

enum {
    /* crossdomain/abi/pages.py */
    COPY_PAGES = 0xf1,
    COPY_PAGES_SIZE = 64,
};

struct copy {
    uint32_t size; /* of the command */
    const xd_route *route;
    xd_plane plane;
    const xd_rectangle *rectangles;
    uint32_t count;
};

static uint32_t load(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static const xd_route *find_route(const xd_routes *routes, const uint8_t *command) {
    uint32_t destination = load(command + 8), source = load(command + 12);
    for (uint32_t index = 0; index < routes->count; index++) {
        const xd_route *route = &routes->routes[index];
        if (route->destination == destination && route->source == source && !memcmp(route->key, command + 16, XD_PAGES_KEY))
            return route;
    }
    return NULL;
}

/* Whether the pages are there, and are the ones that the key opens. */
static int is_open(const xd_route *route) {
    const xd_pages *pages = route->pages;
    if (!pages->run_count || pages->generation != *pages->memory_generation)
        return 0;
    return !route->by_key || (pages->runs[0].end >= XD_PAGES_KEY &&
                              !memcmp((const uint8_t *)(uintptr_t)pages->runs[0].address, route->key, XD_PAGES_KEY));
}

/* Reads the first command; returns whether it is a copy for here. */
static int read_copy(const xd_routes *routes, const uint8_t *command, uint32_t size, struct copy *copy) {
    if (size < COPY_PAGES_SIZE)
        return 0;
    *copy = (struct copy){.size = load(command) >> 16, .route = find_route(routes, command), .count = load(command + 60)};
    /* A command has at most 64 KiB, and so few rectangles. */
    if (!copy->route || copy->size > size || copy->count > size ||
        copy->size != COPY_PAGES_SIZE + copy->count * (uint32_t)sizeof *copy->rectangles)
        return 0;
    memcpy(&copy->plane.offset, command + 32, sizeof copy->plane.offset);
    memcpy(&copy->plane.source_offset, command + 40, sizeof copy->plane.source_offset);
    copy->plane.stride = load(command + 48);
    copy->plane.source_stride = load(command + 52);
    copy->plane.bytes_per_pixel = load(command + 56);
    copy->rectangles = (const xd_rectangle *)(const void *)(command + COPY_PAGES_SIZE);
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
    struct copy copy;
    while (at < size && commands[at] == COPY_PAGES) {
        if (!read_copy(routes, commands + at, size - at, &copy) || !is_open(copy.route) || !is_inside(&copy))
            return -1;
        at += copy.size;
    }
    return at;
}

void xd_routes_copy(xd_routes *routes, const uint8_t *commands, uint32_t size) {
    uint32_t at = 0;
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
}
