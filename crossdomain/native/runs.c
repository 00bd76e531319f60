/* Copies damaged rectangles out of memory in pieces: the scattered pages of a guest. */
#include "blocks.h"
#include "core.h"

/* Returns the piece that byte `at` lies in; there is one. */
static const xd_run *find_run(const xd_run *runs, uint32_t count, uint64_t at) {
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (runs[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return &runs[low];
}

static void copy_span(uint8_t *destination, const xd_run *runs, uint32_t count, uint64_t at, uint64_t length) {
    const xd_run *run = find_run(runs, count, at);
    while (length) {
        uint64_t left = run->end - at;
        uint64_t piece = length < left ? length : left;
        uint64_t start = run == runs ? 0 : run[-1].end;
        const uint8_t *from = (const uint8_t *)(uintptr_t)(run->address + (at - start));
        const uint8_t *next = piece < length ? (const uint8_t *)(uintptr_t)run[1].address : NULL;
        xd_copy_ahead(destination, from, piece, destination + piece, next);
        destination += piece;
        at += piece;
        length -= piece;
        run++;
    }
}

int xd_copy_runs(uint8_t *destination, uint64_t destination_size, const xd_run *runs, uint32_t run_count,
                 const xd_plane *plane, const xd_rectangle *rectangles, uint32_t count, uint64_t *copied) {
    uint64_t source_size = run_count ? runs[run_count - 1].end : 0;
    *copied = 0;
    for (uint32_t index = 0; index < count; index++)
        if (!xd_inside(plane, &rectangles[index], destination_size, source_size))
            return XD_COPY_BOUNDS;
    for (uint32_t index = 0; index < count; index++) {
        const xd_rectangle *rectangle = &rectangles[index];
        uint64_t row = (uint64_t)(uint32_t)rectangle->width * plane->bytes_per_pixel;
        uint64_t rows = (uint64_t)(uint32_t)rectangle->height;
        uint64_t left = (uint64_t)(uint32_t)rectangle->x * plane->bytes_per_pixel;
        uint64_t to = plane->offset + (uint64_t)(uint32_t)rectangle->y * plane->stride + left;
        uint64_t from = plane->source_offset + (uint64_t)(uint32_t)rectangle->y * plane->source_stride + left;
        if (!row || !rows)
            continue;
        if (row == plane->stride && row == plane->source_stride) {
            row *= rows;
            rows = 1;
        }
        for (; rows; rows--, to += plane->stride, from += plane->source_stride) {
            copy_span(destination + to, runs, run_count, from, row);
            *copied += row;
        }
    }
    return XD_COPY_OK;
}
