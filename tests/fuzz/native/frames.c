/* Frames of any surface, whatever its client says: no copy leaves an image, and no command is but a COPY_PAGES. */
#include "frames.h"
#include "input.h"

enum { SIDE = 16, PIXEL = 4, SIZE = SIDE * SIDE * PIXEL, SURFACE = 5, FIRST_BUFFER = 10, COMMAND = 64 };
enum { ATTACH = 1, DAMAGE = 2, COMMIT = 6, SET_BUFFER_TRANSFORM = 7, SET_BUFFER_SCALE = 8, DAMAGE_BUFFER = 9 };

static xd_tables *tables;
static uint8_t *mine, *theirs;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static uint8_t packed[1 << 20];
    FILE *file = fopen(TABLES, "rb");
    require(file != NULL, "no tables");
    size_t size = fread(packed, 1, sizeof packed, file);
    fclose(file);
    tables = xd_tables_load(packed, size);
    mine = malloc(SIZE);
    theirs = malloc(SIZE);
    require(tables && mine && theirs, "no memory");
    memset(theirs, 7, SIZE);
    return 0;
}

/* What was written must be what a host takes: whole, within both images, and without overlap. */
static void check_copies(const xd_copies *copies) {
    require(copies->size <= XD_MAX_COPIES, "more commands than there is room for");
    for (uint32_t at = 0; at < copies->size;) {
        uint32_t words[COMMAND / 4];
        require(copies->size - at >= COMMAND, "half a command");
        memcpy(words, copies->bytes + at, COMMAND);
        uint32_t size = words[0] >> 16, count = words[15];
        uint8_t seen[SIDE][SIDE] = {{0}};
        require((words[0] & 0xffff) == 0xf1 && size == COMMAND + 16 * count && count, "no COPY_PAGES");
        require(size <= copies->size - at, "a command that is cut");
        for (uint32_t index = 0; index < count; index++) {
            int32_t box[4];
            memcpy(box, copies->bytes + at + COMMAND + 16 * index, sizeof box);
            require(box[0] >= 0 && box[1] >= 0 && box[2] > 0 && box[3] > 0, "a rectangle of nothing");
            require(box[0] + box[2] <= SIDE && box[1] + box[3] <= SIDE, "a rectangle outside of its image");
            for (int32_t y = box[1]; y < box[1] + box[3]; y++)
                for (int32_t x = box[0]; x < box[0] + box[2]; x++)
                    require(!seen[y][x]++, "rectangles overlap");
        }
        at += size;
    }
}

static void make_surface(xd_surface *surface, struct input *input) {
    uint32_t kind = take_byte(input);
    surface->surface_id = SURFACE;
    surface->scale = 1 + (take_byte(input) & 3);
    surface->trust = take_byte(input);
    surface->attached = -1;
    surface->mirror_count = 1 + take_byte(input) % XD_MAX_MIRRORS;
    surface->buffer_count = 1 + take_byte(input) % XD_MAX_BUFFERS;
    for (uint32_t index = 0; index < surface->mirror_count; index++)
        surface->mirrors[index] = (xd_mirror){.pixels = kind & 1 ? mine : NULL,
                                              .size = SIZE,
                                              .stride = SIDE * PIXEL,
                                              .width = SIDE,
                                              .height = SIDE - (kind >> 1 & 1),
                                              .in_place = kind >> 2 & 1};
    for (uint32_t index = 0; index < surface->buffer_count; index++)
        surface->buffers[index] = (xd_buffer){.buffer_id = FIRST_BUFFER + index,
                                              .mirror = take_byte(input) % surface->mirror_count,
                                              .pixels = theirs,
                                              /* A layout that was checked, unless it was not. */
                                              .size = kind & 8 ? SIZE / 2 : SIZE,
                                              .source_stride = SIDE * PIXEL,
                                              .block_bytes = PIXEL,
                                              .width = SIDE,
                                              .height = SIDE};
}

static int say(xd_frames *frames, int direction, struct input *input) {
    static const uint16_t opcodes[] = {ATTACH, DAMAGE, DAMAGE_BUFFER, COMMIT, COMMIT, SET_BUFFER_SCALE, SET_BUFFER_TRANSFORM, 0};
    static const uint32_t sizes[] = {20, 24, 24, 8, 8, 12, 12, 8};
    uint32_t kind = take_byte(input) % 8, room = 0;
    uint32_t size = sizes[kind] + (take_byte(input) == 255 ? take_byte(input) & 60u : 0);
    int32_t *body = malloc(size);
    require(body != NULL, "no memory");
    for (; room < (size - 8) / 4; room++)
        body[room] = take_coordinate(input, SIDE + 4);
    if (room && opcodes[kind] == ATTACH)
        body[0] = FIRST_BUFFER + body[0] % (XD_MAX_BUFFERS + 1);
    xd_record record = {.size = size, .object_id = SURFACE, .opcode = opcodes[kind]};
    if (direction == XD_EVENT)
        record.object_id = FIRST_BUFFER + take_byte(input) % (XD_MAX_BUFFERS + 1u);
    int taken = frames->taker.take(&frames->taker, direction, &record, (const uint8_t *)body);
    free(body);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    xd_walker *walker = xd_walker_create(tables, 1, 4096);
    xd_frames *frames = walker ? xd_frames_create(walker) : NULL;
    xd_surface *surface = calloc(1, sizeof *surface);
    require(frames && surface, "no memory");
    make_surface(surface, &input);
    require(!xd_frames_carry(frames, surface), "no room for one");
    while (input.left) {
        uint32_t kind = take_byte(&input) & 7, before = frames->copies.size;
        int taken = say(frames, kind == 7 ? XD_EVENT : XD_REQUEST, &input);
        require(taken || frames->copies.size == before, "what was declined was copied");
        if (kind == 6)
            frames->copies.size = 0;
        check_copies(&frames->copies);
        uint32_t readers = 0, counted = 0;
        for (uint32_t index = 0; index < surface->buffer_count; index++)
            readers += surface->buffers[index].readers;
        for (uint32_t index = 0; index < surface->mirror_count; index++)
            counted += surface->mirrors[index].readers;
        require(readers == counted, "readers got lost");
    }
    xd_frames_drop(frames, surface);
    xd_frames_free(frames);
    xd_walker_free(walker);
    free(surface);
    return 0;
}
