/* Unions of rectangles: the same points, no point twice. */
#include "core.h"
#include "input.h"

enum { SIDE = 24, MAX_BOXES = 12, MAX_ROOM = 64 };

static void paint(uint8_t points[SIDE][SIDE], const xd_box *box, int once) {
    for (int32_t y = box->top < 0 ? 0 : box->top; y < box->bottom && y < SIDE; y++)
        for (int32_t x = box->left < 0 ? 0 : box->left; x < box->right && x < SIDE; x++) {
            require(!once || !points[y][x], "boxes overlap");
            points[y][x] = 1;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    uint32_t count = take_byte(&input) % (MAX_BOXES + 1), room = take_byte(&input) % (MAX_ROOM + 1);
    xd_box *boxes = malloc(count * sizeof *boxes + 1), *united = malloc(room * sizeof *united + 1);
    uint8_t wanted[SIDE][SIDE] = {{0}}, found[SIDE][SIDE] = {{0}};
    require(boxes && united, "no memory");
    for (uint32_t index = 0; index < count; index++) {
        boxes[index].left = take_coordinate(&input, SIDE);
        boxes[index].top = take_coordinate(&input, SIDE);
        boxes[index].right = take_coordinate(&input, SIDE);
        boxes[index].bottom = take_coordinate(&input, SIDE);
        paint(wanted, &boxes[index], 0);
    }
    int32_t used = xd_unite(boxes, count, united, room);
    require(used <= (int32_t)room, "more boxes than there is room for");
    for (int32_t index = 0; index < used; index++) {
        require(united[index].left < united[index].right && united[index].top < united[index].bottom, "an empty box");
        paint(found, &united[index], 1);
    }
    require(used < 0 || !memcmp(wanted, found, sizeof wanted), "the union covers something else");
    free(boxes);
    free(united);
    return 0;
}
