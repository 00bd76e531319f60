/* Copies of rectangles, inside and outside of the images. */
#include "pixels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct job job = take_job(&input);
    uint8_t *source = pattern(job.source_size), *copied = image(job.destination_size, 0);
    uint8_t *wanted = image(job.destination_size, 0);
    int expected = fits(&job, job.destination_size, job.source_size) ? XD_COPY_OK : XD_COPY_BOUNDS;
    xd_copy_result result;
    int status = xd_copy_rectangles(copied, job.destination_size, source, job.source_size, &job.plane,
                                    job.rectangles, job.count, &result);
    if (expected == XD_COPY_OK)
        copy_slowly(&job, wanted, source);
    require(status == expected, "a copy was allowed or refused wrongly");
    require(!memcmp(copied, wanted, job.destination_size), "other bytes were copied");
    free(source);
    free(copied);
    free(wanted);
    return 0;
}
