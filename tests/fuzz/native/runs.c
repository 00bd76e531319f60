/* Copies out of memory in pieces: as out of one piece. */
#include "pixels.h"

enum { PIECES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct job job = take_job(&input);
    uint64_t counted;
    uint32_t count = take_byte(&input) % (PIECES + 1);
    uint8_t *flat = pattern(PIECES * 256), *pieces[PIECES];
    xd_run runs[PIECES];
    uint64_t end = 0;
    for (uint32_t index = 0; index < count; index++) {
        size_t length = 1 + (size_t)take_byte(&input) % 255;
        pieces[index] = image(length, 0);
        memcpy(pieces[index], flat + end, length);
        end += length;
        runs[index] = (xd_run){(uint64_t)(uintptr_t)pieces[index], end};
    }
    uint8_t *copied = image(job.destination_size, 0), *wanted = image(job.destination_size, 0);
    int expected = fits(&job, job.destination_size, end) ? XD_COPY_OK : XD_COPY_BOUNDS;
    if (expected == XD_COPY_OK)
        copy_slowly(&job, wanted, flat);
    int status =
        xd_copy_runs(copied, job.destination_size, runs, count, &job.plane, job.rectangles, job.count, &counted);
    require(status == expected, "a copy was allowed or refused wrongly");
    require(!memcmp(copied, wanted, job.destination_size), "other bytes were copied");
    for (uint32_t index = 0; index < count; index++)
        free(pieces[index]);
    free(flat);
    free(copied);
    free(wanted);
    return 0;
}
