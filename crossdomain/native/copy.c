/* Copies damaged rectangles out of or into memory whose file the guest may truncate at any time. */
#define _XOPEN_SOURCE 700
#include "blocks.h"
#include "core.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* The guard ----------------------------------------------------------------------------- */

struct span {
    const uint8_t *start;
    uint64_t size;
};

/* What the copy that runs in this thread reads and writes; SIGBUS elsewhere is not ours. */
struct guard {
    struct span source;
    struct span destination;
    volatile uint64_t fault; /* offset in the one of the two that faulted */
    sigjmp_buf landing;
};

static _Thread_local struct guard *volatile active;

/* The handler is there only while somebody copies, so that the process's own (faulthandler's,
 * say) is in place at all other times. */
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction previous;

/* Does what would have happened without us. */
static void chain(int signal_number, siginfo_t *info, void *context) {
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signal_number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal_number);
    } else {
        /* The access is tried again after the return, and ends the process. */
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigemptyset(&action.sa_mask);
        sigaction(signal_number, &action, NULL);
    }
}

/* Returns whether the address is in the span, and where. */
static int find(const struct span *span, const uint8_t *address, volatile uint64_t *offset) {
    if (address < span->start || address >= span->start + span->size)
        return 0;
    *offset = (uint64_t)(address - span->start);
    return 1;
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
    struct guard *guard = active;
    const uint8_t *address = info->si_addr;
    if (guard && (find(&guard->source, address, &guard->fault) || find(&guard->destination, address, &guard->fault)))
        siglongjmp(guard->landing, 1);
    chain(signal_number, info, context);
}

static int enter(void) {
    int status = 0;
    pthread_mutex_lock(&users_lock);
    if (!users) {
        /* SA_NODEFER: the handler is left with siglongjmp, and the mask is not saved. */
        struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
        action.sa_sigaction = on_bus_error;
        sigemptyset(&action.sa_mask);
        status = sigaction(SIGBUS, &action, &previous);
    }
    if (!status)
        users++;
    pthread_mutex_unlock(&users_lock);
    return status;
}

static void leave(void) {
    pthread_mutex_lock(&users_lock);
    if (!--users)
        sigaction(SIGBUS, &previous, NULL);
    pthread_mutex_unlock(&users_lock);
}

/* The copy ------------------------------------------------------------------------------ */

/* Returns whether an image has `row` bytes of each row up to and with `last`. */
static int has_rows(uint64_t offset, uint32_t stride, uint64_t row, uint64_t last, uint64_t size) {
    if (row > stride || offset > size)
        return 0;
    uint64_t room = size - offset;
    return row <= room && last <= (room - row) / stride;
}

int xd_inside(const xd_plane *plane, const xd_rectangle *rectangle, uint64_t destination_size, uint64_t source_size) {
    if (!plane->stride || !plane->source_stride || !plane->bytes_per_pixel)
        return 0;
    if (rectangle->x < 0 || rectangle->y < 0 || rectangle->width < 0 || rectangle->height < 0)
        return 0;
    if (!rectangle->width || !rectangle->height)
        return 1;
    /* All factors have at most 32 bits: only the sums can leave 64. */
    uint64_t row = ((uint64_t)(uint32_t)rectangle->x + (uint32_t)rectangle->width) * plane->bytes_per_pixel;
    uint64_t last = (uint64_t)(uint32_t)rectangle->y + (uint32_t)rectangle->height - 1;
    return has_rows(plane->offset, plane->stride, row, last, destination_size) &&
           has_rows(plane->source_offset, plane->source_stride, row, last, source_size);
}

uint64_t xd_bytes_of(const xd_rectangle *rectangles, uint32_t count, uint32_t bytes_per_pixel) {
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < count; index++) {
        uint64_t area = (uint64_t)(uint32_t)rectangles[index].width * (uint32_t)rectangles[index].height, more;
        if (__builtin_mul_overflow(area, bytes_per_pixel, &more) || __builtin_add_overflow(bytes, more, &bytes))
            return UINT64_MAX;
    }
    return bytes;
}

/* Rows that lie a stride apart. */
struct rows {
    uint8_t *destination;
    const uint8_t *source;
    size_t destination_stride;
    size_t source_stride;
    size_t size; /* bytes of a row */
    size_t count;
};

/* Of rows shorter than XD_AHEAD, that many are fetched ahead. */
enum { ROWS_AHEAD = 12 };

/* Where the row lies that is `ahead` behind the first. */
XD_ALWAYS_INLINE uint8_t *destination_of(const struct rows *rows, size_t ahead) {
    return rows->destination + ahead * rows->destination_stride;
}

XD_ALWAYS_INLINE const uint8_t *source_of(const struct rows *rows, size_t ahead) {
    return rows->source + ahead * rows->source_stride;
}

/* Copies the first of the rows, and fetches the one that lies `ahead` behind it, if that is not the same. */
XD_ALWAYS_INLINE void copy_row(const struct rows *rows, size_t ahead) {
    for (size_t at = 0; ahead && at < rows->size; at += XD_LINE)
        xd_fetch_line(destination_of(rows, ahead), source_of(rows, ahead), at);
    memcpy(rows->destination, rows->source, rows->size);
}

XD_ALWAYS_INLINE void copy_long_row(const struct rows *rows, size_t ahead) {
    xd_copy_ahead(rows->destination, rows->source, rows->size, destination_of(rows, ahead),
                  ahead ? source_of(rows, ahead) : NULL);
}

/* `copied` grows with every finished row, so that it is right after a fault. */
XD_ALWAYS_INLINE void copy_rows(struct rows rows, size_t ahead, void (*copy)(const struct rows *, size_t),
                             volatile uint64_t *copied) {
    uint64_t done = *copied;
    while (rows.count--) {
        copy(&rows, rows.count >= ahead ? ahead : 0);
        *copied = done += rows.size;
        if (rows.count) {
            rows.destination += rows.destination_stride;
            rows.source += rows.source_stride;
        }
    }
}

#ifdef __x86_64__
/* A sixth faster for 256 bytes: what a call of memcpy takes is what there is to fetch other rows in. */
XD_ALWAYS_INLINE void copy_row_by_blocks(const struct rows *rows, size_t ahead) {
    size_t at = 0;
    for (; rows->size - at >= XD_STEP; at += XD_STEP) {
        xd_fetch_step(destination_of(rows, ahead), source_of(rows, ahead), at);
        xd_copy_step(rows->destination + at, rows->source + at);
    }
    if (at == rows->size)
        return;
    xd_fetch_line(destination_of(rows, ahead), source_of(rows, ahead), at);
    memcpy(rows->destination + at, rows->source + at, rows->size - at);
}

__attribute__((target("avx2"))) static void copy_rows_by_blocks(const struct rows *rows, volatile uint64_t *copied) {
    copy_rows(*rows, ROWS_AHEAD, copy_row_by_blocks, copied);
}
#endif

static void copy_short_rows(const struct rows *rows, volatile uint64_t *copied) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        copy_rows_by_blocks(rows, copied);
        return;
    }
#endif
    copy_rows(*rows, ROWS_AHEAD, copy_row, copied);
}

static void copy_rectangle(uint8_t *destination, const uint8_t *source, const xd_plane *plane,
                           const xd_rectangle *rectangle, volatile uint64_t *copied) {
    size_t left = (size_t)rectangle->x * plane->bytes_per_pixel, top = (size_t)rectangle->y;
    struct rows rows = {
        .destination = destination + plane->offset + top * plane->stride + left,
        .source = source + plane->source_offset + top * plane->source_stride + left,
        .destination_stride = plane->stride,
        .source_stride = plane->source_stride,
        .size = (size_t)rectangle->width * plane->bytes_per_pixel,
        .count = (size_t)rectangle->height,
    };
    if (rows.size == plane->stride && rows.size == plane->source_stride) {
        rows.size *= rows.count;
        rows.count = 1;
    }
    if (rows.size < XD_AHEAD)
        copy_short_rows(&rows, copied);
    else
        copy_rows(rows, 1, copy_long_row, copied);
}

/* In a function of its own: no variable of it is used again after the jump. */
static int copy_guarded(uint8_t *destination, const uint8_t *source, const xd_plane *plane,
                        const xd_rectangle *rectangles, uint32_t count, struct guard *guard,
                        volatile uint64_t *copied) {
    if (sigsetjmp(guard->landing, 0))
        return XD_COPY_FAULT;
    active = guard;
    /* No access moves before the guard is up, none behind its end. */
    atomic_signal_fence(memory_order_seq_cst);
    for (uint32_t index = 0; index < count; index++)
        if (rectangles[index].width && rectangles[index].height)
            copy_rectangle(destination, source, plane, &rectangles[index], copied);
    atomic_signal_fence(memory_order_seq_cst);
    return XD_COPY_OK;
}

int xd_copy_rectangles(uint8_t *destination, uint64_t destination_size, const uint8_t *source,
                       uint64_t source_size, const xd_plane *plane, const xd_rectangle *rectangles,
                       uint32_t count, xd_copy_result *result) {
    struct guard guard = {.source = {source, source_size}, .destination = {destination, destination_size}};
    volatile uint64_t copied = 0;
    *result = (xd_copy_result){0};
    for (uint32_t index = 0; index < count; index++)
        if (!xd_inside(plane, &rectangles[index], destination_size, source_size))
            return XD_COPY_BOUNDS;
    if (enter())
        return XD_COPY_SYSTEM;
    struct guard *outer = active;
    int status = copy_guarded(destination, source, plane, rectangles, count, &guard, &copied);
    active = outer;
    leave();
    result->copied = copied;
    if (status == XD_COPY_FAULT)
        result->fault_offset = guard.fault;
    return status;
}
