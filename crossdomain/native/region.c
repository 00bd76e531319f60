/* The union of rectangles, as rectangles that do not overlap. */
#include "core.h"

#include <stdlib.h>

static int by_left(const void *one, const void *other) {
    int32_t first = ((const xd_box *)one)->left, second = ((const xd_box *)other)->left;
    return (first > second) - (first < second);
}

static int by_value(const void *one, const void *other) {
    int32_t first = *(const int32_t *)one, second = *(const int32_t *)other;
    return (first > second) - (first < second);
}

/* Sorts the edges that bands begin or end at; returns how many different ones there are. */
static uint32_t sort_edges(const xd_box *boxes, uint32_t count, int32_t *edges) {
    uint32_t different = 0;
    for (uint32_t index = 0; index < count; index++) {
        edges[2 * index] = boxes[index].top;
        edges[2 * index + 1] = boxes[index].bottom;
    }
    qsort(edges, 2 * (size_t)count, sizeof *edges, by_value);
    for (uint32_t index = 0; index < 2 * count; index++)
        if (!different || edges[different - 1] != edges[index])
            edges[different++] = edges[index];
    return different;
}

/* Appends what lies between two neighbouring edges; returns the new number of boxes, or -1 if it is too
 * large.  The boxes come sorted by their left edges. */
static int32_t append_band(const xd_box *boxes, uint32_t count, int32_t top, int32_t bottom, xd_box *united,
                           uint32_t used, uint32_t capacity) {
    uint32_t first = used;
    for (uint32_t index = 0; index < count; index++) {
        const xd_box *box = &boxes[index];
        if (box->top > top || box->bottom < bottom)
            continue;
        if (used > first && box->left <= united[used - 1].right) {
            if (box->right > united[used - 1].right)
                united[used - 1].right = box->right;
        } else if (used == capacity) {
            return -1;
        } else {
            united[used++] = (xd_box){box->left, top, box->right, bottom};
        }
    }
    return (int32_t)used;
}

/* Whether the band from `second` on continues the one from `first` on. */
static int continues(const xd_box *united, uint32_t first, uint32_t second, uint32_t end) {
    if (second - first != end - second || united[first].bottom != united[second].top)
        return 0;
    for (uint32_t index = 0; index < end - second; index++)
        if (united[first + index].left != united[second + index].left ||
            united[first + index].right != united[second + index].right)
            return 0;
    return 1;
}

int32_t xd_unite(const xd_box *boxes, uint32_t count, xd_box *united, uint32_t capacity) {
    xd_box sorted[XD_MAX_BOXES];
    int32_t edges[2 * XD_MAX_BOXES];
    uint32_t kept = 0, used = 0, last_band = 0;
    if (count > XD_MAX_BOXES)
        return -1;
    for (uint32_t index = 0; index < count; index++)
        if (boxes[index].left < boxes[index].right && boxes[index].top < boxes[index].bottom)
            sorted[kept++] = boxes[index];
    qsort(sorted, kept, sizeof *sorted, by_left);
    uint32_t bands = sort_edges(sorted, kept, edges);
    for (uint32_t band = 1; band < bands; band++) {
        int32_t end = append_band(sorted, kept, edges[band - 1], edges[band], united, used, capacity);
        if (end < 0)
            return -1;
        if ((uint32_t)end > used && used > last_band && continues(united, last_band, used, (uint32_t)end)) {
            for (uint32_t index = last_band; index < used; index++)
                united[index].bottom = edges[band];
        } else if ((uint32_t)end > used) {
            last_band = used;
            used = (uint32_t)end;
        }
    }
    return (int32_t)used;
}
