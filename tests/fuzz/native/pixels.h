/* Planes and rectangles for the two copies, and what a copy has to do, byte by byte. */
#ifndef FUZZ_PIXELS_H
#define FUZZ_PIXELS_H

#include "core.h"
#include "input.h"

enum { RECTANGLES = 4, MAX_IMAGE = 2048 };

struct job {
    xd_plane plane;
    xd_rectangle rectangles[RECTANGLES];
    uint32_t count;
    size_t source_size, destination_size;
};

static inline struct job take_job(struct input *input) {
    struct job job = {.count = take_byte(input) % (RECTANGLES + 1)};
    job.plane.offset = (uint64_t)(int64_t)take_coordinate(input, 64);
    job.plane.source_offset = (uint64_t)(int64_t)take_coordinate(input, 64);
    job.plane.stride = (uint32_t)take_coordinate(input, 100);
    job.plane.source_stride = (uint32_t)take_coordinate(input, 100);
    job.plane.bytes_per_pixel = (uint32_t)take_coordinate(input, 9);
    for (uint32_t index = 0; index < job.count; index++) {
        xd_rectangle *rectangle = &job.rectangles[index];
        rectangle->x = take_coordinate(input, 24);
        rectangle->y = take_coordinate(input, 24);
        rectangle->width = take_coordinate(input, 24);
        rectangle->height = take_coordinate(input, 24);
    }
    job.source_size = take_short(input) % MAX_IMAGE;
    job.destination_size = take_short(input) % MAX_IMAGE;
    return job;
}

__extension__ typedef unsigned __int128 wide;

/* Whether all rectangles lie in both images, in arithmetic that can't overflow. */
static inline int fits(const struct job *job, size_t destination_size, size_t source_size) {
    for (uint32_t index = 0; index < job->count; index++) {
        if (!job->plane.stride || !job->plane.source_stride || !job->plane.bytes_per_pixel)
            return 0;
        const xd_rectangle *rectangle = &job->rectangles[index];
        if (rectangle->x < 0 || rectangle->y < 0 || rectangle->width < 0 || rectangle->height < 0)
            return 0;
        if (!rectangle->width || !rectangle->height)
            continue;
        wide row = ((wide)rectangle->x + (wide)rectangle->width) * job->plane.bytes_per_pixel;
        wide last = (wide)rectangle->y + (wide)rectangle->height - 1;
        if (row > job->plane.stride || row > job->plane.source_stride)
            return 0;
        if (job->plane.offset + last * job->plane.stride + row > destination_size ||
            job->plane.source_offset + last * job->plane.source_stride + row > source_size)
            return 0;
    }
    return 1;
}

/* Copies what fits, slowly. */
static inline void copy_slowly(const struct job *job, uint8_t *destination, const uint8_t *source) {
    for (uint32_t index = 0; index < job->count; index++) {
        const xd_rectangle *rectangle = &job->rectangles[index];
        for (int32_t y = 0; rectangle->width && y < rectangle->height; y++)
            for (size_t byte = 0; byte < (size_t)rectangle->width * job->plane.bytes_per_pixel; byte++) {
                size_t row = (size_t)rectangle->y + (size_t)y;
                size_t left = (size_t)rectangle->x * job->plane.bytes_per_pixel + byte;
                destination[job->plane.offset + row * job->plane.stride + left] =
                    source[job->plane.source_offset + row * job->plane.source_stride + left];
            }
    }
}

/* Memory of exactly that size. */
static inline uint8_t *image(size_t size, int value) {
    uint8_t *bytes = malloc(size ? size : 1);
    require(bytes != NULL, "no memory");
    memset(bytes, value, size);
    return bytes;
}

static inline uint8_t *pattern(size_t size) {
    uint8_t *bytes = image(size, 0);
    for (size_t at = 0; at < size; at++)
        bytes[at] = (uint8_t)(1 + at % 251);
    return bytes;
}

#endif
