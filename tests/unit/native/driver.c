/* Runs the C core under sanitizers: a script of calls from a file, or many random copies or unions.
 *
 * driver script FILE   calls, little-endian; each answers with one line
 *     t SIZE BYTES         xd_tables_load, used by what follows if it loads
 *     n STRICT MAX         a new walker
 *     i INTERFACE DIRECTION OPCODE WATCH
 *     w DIRECTION SIZE BYTES, or p
 *     o ID DELETES, r ID, l ID
 *     q ID, s ID           xd_walker_quieten; xd_walker_stir and xd_walker_take_ended
 *   Numbers are u32.  Bytes are walked in memory of exactly their size.
 * driver copy SEED
 * driver unite SEED
 * driver runs SEED
 */
#define _GNU_SOURCE
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CAPACITY 256u

static void require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "driver: %s\n", what);
        exit(2);
    }
}

/* Scripts -------------------------------------------------------------------------------- */

static uint32_t number(FILE *script) {
    unsigned char bytes[4];
    require(fread(bytes, 1, 4, script) == 4, "the script ends inside of a call");
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint8_t *block(FILE *script, uint32_t size) {
    /* Of exactly this size, so that every read beyond it is seen. */
    uint8_t *bytes = malloc(size);
    require(bytes || !size, "no memory");
    require(!size || fread(bytes, 1, size, script) == size, "the script ends inside of a block");
    return bytes;
}

/* With `passes` what would be no record is passed by first: all is told as if it had been walked. */
static void walk(xd_walker *walker, FILE *script, int passes) {
    static xd_record records[CAPACITY];
    int direction = (int)number(script);
    uint32_t size = number(script);
    uint8_t *data = block(script, size);
    xd_walk found;
    uint32_t passed = passes ? xd_walker_pass(walker, direction, data, size) : 0;
    require(passed <= size, "more was passed by than there is");
    xd_walker_walk(walker, direction, data + passed, size - passed, records, CAPACITY, &found);
    printf("w %u %d", passed + found.consumed, found.fault != XD_FAULT_NONE);
    for (uint32_t index = 0; index < found.records; index++) {
        const xd_record *record = &records[index];
        printf(" %u,%u,%u,%u,%u,%u,%u,%u", passed + record->offset, record->size, record->object_id, record->interface,
               record->opcode, record->fds, record->flags, record->next_id);
    }
    printf("\n");
    free(data);
}

static void answer_lookup(const xd_walker *walker, uint32_t object_id) {
    int64_t found = xd_walker_lookup(walker, object_id);
    printf("l %d %d %u %u\n", (int)(found < 0 ? -1 : found >> 16), (int)(found < 0 ? -1 : found & 0xffff),
           xd_walker_own_pending(walker, object_id), xd_walker_next_id(walker));
}

static int run_script(const char *path) {
    FILE *script = fopen(path, "rb");
    xd_tables *tables = NULL;
    xd_walker *walker = NULL;
    require(script != NULL, "no script");
    for (int call; (call = fgetc(script)) != EOF;) {
        require(call == 't' || tables, "no tables");
        require(call == 't' || call == 'n' || walker, "no walker");
        if (call == 't') {
            uint32_t size = number(script);
            uint8_t *packed = block(script, size);
            xd_walker_free(walker);
            walker = NULL;
            xd_tables_free(tables);
            tables = xd_tables_load(packed, size);
            free(packed);
            printf("t %d\n", tables != NULL);
        } else if (call == 'n') {
            int strict = (int)number(script);
            xd_walker_free(walker);
            walker = xd_walker_create(tables, strict, number(script));
            require(walker != NULL, "no memory");
            printf("n\n");
        } else if (call == 'c') {
            xd_walker *next = xd_walker_create(tables, walker->strict, walker->max_objects);
            require(next != NULL, "no memory");
            printf("c %d\n", xd_walker_interest_of(next, walker));
            xd_walker_free(walker);
            walker = next;
        } else if (call == 'w' || call == 'p') {
            walk(walker, script, call == 'p');
        } else if (call == 'l') {
            answer_lookup(walker, number(script));
        } else if (call == 'q') {
            xd_walker_quieten(walker, number(script));
            printf("q\n");
        } else if (call == 's') {
            int begun = xd_walker_stir(walker, number(script));
            printf("s %d %u\n", begun, xd_walker_take_ended(walker));
        } else if (call == 'r') {
            printf("r %d\n", xd_walker_release(walker, number(script)));
        } else {
            uint32_t first = number(script), second = number(script);
            if (call == 'o') {
                printf("o %d\n", xd_walker_own(walker, first, second));
            } else {
                require(call == 'i', "an unknown call");
                uint32_t opcode = number(script);
                printf("i %d\n", xd_walker_interest(walker, first, (int)second, opcode, number(script)));
            }
        }
    }
    xd_walker_free(walker);
    xd_tables_free(tables);
    fclose(script);
    return 0;
}

/* Copies --------------------------------------------------------------------------------- */

static uint64_t state;

/* A small number most of the time, now and then one at the end of the range. */
static int32_t any(int32_t limit) {
    static const int32_t extremes[] = {INT32_MIN, -1, 0, INT32_MAX - 1, INT32_MAX};
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t random = (uint32_t)(state >> 33);
    if (random % 50 == 0)
        return extremes[random / 50 % 5];
    return (int32_t)(random % (uint32_t)limit);
}

static xd_plane any_plane(void) {
    uint64_t offset = (uint64_t)(int64_t)any(64), source_offset = (uint64_t)(int64_t)any(64);
    uint32_t stride = (uint32_t)any(200), source_stride = (uint32_t)any(200);
    return (xd_plane){offset, source_offset, stride, source_stride, (uint32_t)any(9)};
}

static void copy_anything(void) {
    xd_rectangle rectangles[4];
    xd_plane plane = any_plane();
    for (int index = 0; index < 4; index++)
        rectangles[index] = (xd_rectangle){any(40), any(40), any(40), any(40)};
    uint64_t sizes[2];
    for (int index = 0; index < 2; index++)
        sizes[index] = (uint64_t)(uint32_t)any(4000) & 0xffff;
    uint8_t *destination = calloc(1, sizes[0] + 1), *source = malloc(sizes[1] + 1);
    require(destination && source, "no memory");
    /* Exactly so many bytes: what follows them is not initialised, or not ours. */
    destination = realloc(destination, sizes[0] ? sizes[0] : 1);
    source = realloc(source, sizes[1] ? sizes[1] : 1);
    require(destination && source, "no memory");
    memset(source, 1, sizes[1]);
    xd_copy_result result;
    int status = xd_copy_rectangles(destination, sizes[0], source, sizes[1], &plane, rectangles, 4, &result);
    require(status == XD_COPY_OK || status == XD_COPY_BOUNDS, "a copy failed in a new way");
    require(status == XD_COPY_OK || !result.copied, "a refused copy copied something");
    free(destination);
    free(source);
}

static void copy_truncated(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 8 * page;
    int fd = memfd_create("truncated", 0);
    require(fd >= 0 && !ftruncate(fd, (off_t)size), "no memfd");
    uint8_t *source = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    uint8_t *destination = malloc(size);
    require(source != MAP_FAILED && destination, "no memory");
    for (size_t pages = 0; pages <= 8; pages++) {
        require(!ftruncate(fd, (off_t)(pages * page)), "not truncated");
        xd_plane plane = {0, 0, (uint32_t)page / 4, (uint32_t)page / 4, 4};
        xd_rectangle rectangle = {0, 0, (int32_t)page / 16 - 1, 32};
        xd_copy_result result;
        int status = xd_copy_rectangles(destination, size, source, size, &plane, &rectangle, 1, &result);
        require(status == (pages == 8 ? XD_COPY_OK : XD_COPY_FAULT), "a truncated file was not noticed");
        require(result.copied == pages * 4 * (page / 4 - 4), "another number of bytes was copied");
        require(status == XD_COPY_OK || result.fault_offset == pages * page, "the fault is elsewhere");
    }
    munmap(source, size);
    free(destination);
    close(fd);
}

/* Unions --------------------------------------------------------------------------------- */

static void unite_anything(void) {
    uint32_t count = (uint32_t)any(40) & 63, capacity = (uint32_t)any(60) & 127;
    xd_box *boxes = malloc(count * sizeof *boxes + 1), *united = malloc(capacity * sizeof *united + 1);
    require(boxes && united, "no memory");
    for (uint32_t index = 0; index < count; index++)
        boxes[index] = (xd_box){any(40), any(40), any(40), any(40)};
    int32_t found = xd_unite(boxes, count, united, capacity);
    require(found <= (int32_t)capacity, "more boxes than there is room for");
    for (int32_t index = 0; index < found; index++)
        require(united[index].left < united[index].right && united[index].top < united[index].bottom, "an empty box");
    free(boxes);
    free(united);
}

static int run_unions(void) {
    static xd_box many[XD_MAX_BOXES + 1];
    for (int32_t index = 0; index <= XD_MAX_BOXES; index++)
        many[index] = (xd_box){3 * index, 2 * index, 3 * index + 2, 2 * index + 3};
    xd_box *united = malloc(4 * XD_MAX_BOXES * sizeof *united);
    require(united != NULL, "no memory");
    require(xd_unite(many, XD_MAX_BOXES, united, 4 * XD_MAX_BOXES) > XD_MAX_BOXES, "a staircase has more boxes");
    require(xd_unite(many, XD_MAX_BOXES + 1, united, 4 * XD_MAX_BOXES) == -1, "too many boxes were taken");
    free(united);
    for (int round = 0; round < 50000; round++)
        unite_anything();
    printf("done\n");
    return 0;
}

/* Copies out of pieces -------------------------------------------------------------------- */

static void copy_pieces(void) {
    enum { PIECES = 5 };
    xd_run runs[PIECES];
    uint8_t *pieces[PIECES];
    uint32_t count = (uint32_t)any(PIECES + 1) % (PIECES + 1);
    uint64_t end = 0;
    for (uint32_t index = 0; index < count; index++) {
        uint64_t size = 1 + ((uint32_t)any(900) & 0x3ff);
        pieces[index] = calloc(1, size);
        require(pieces[index] != NULL, "no memory");
        end += size;
        runs[index] = (xd_run){(uint64_t)(uintptr_t)pieces[index], end};
    }
    uint64_t room = (uint32_t)any(4000) & 0xfff, copied;
    uint8_t *destination = malloc(room ? room : 1);
    xd_plane plane = any_plane();
    xd_rectangle rectangles[3];
    for (int index = 0; index < 3; index++)
        rectangles[index] = (xd_rectangle){any(20), any(20), any(20), any(20)};
    require(destination != NULL, "no memory");
    int status = xd_copy_runs(destination, room, runs, count, &plane, rectangles, 3, &copied);
    require(status == XD_COPY_OK || (status == XD_COPY_BOUNDS && !copied), "a refused copy copied something");
    for (uint32_t index = 0; index < count; index++)
        free(pieces[index]);
    free(destination);
}

static int run_pieces(void) {
    for (int round = 0; round < 50000; round++)
        copy_pieces();
    printf("done\n");
    return 0;
}

int main(int argc, char **argv) {
    require(argc == 3, "driver script FILE | copy SEED | unite SEED | runs SEED");
    if (!strcmp(argv[1], "script"))
        return run_script(argv[2]);
    state = strtoull(argv[2], NULL, 10);
    if (!strcmp(argv[1], "unite"))
        return run_unions();
    if (!strcmp(argv[1], "runs"))
        return run_pieces();
    for (int round = 0; round < 20000; round++)
        copy_anything();
    for (int round = 0; round < 50; round++)
        copy_truncated();
    printf("done\n");
    return 0;
}
