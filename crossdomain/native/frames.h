/* Frames of surfaces whose buffers have mirrors, as far as nobody has to decide anything about them.
 *
 * A client's surface that shows its buffers in turn, each in its mirror, is carried here: attach, damage and commit
 * are followed, and what a commit has changed is copied, or a COPY_PAGES for it written, before the commit goes on.
 * What begins and ends here is Python's to say (launcher/relay/steady.py, by surfaces.py's rules, which are the
 * oracle), and whatever is new or unusual is declined: then nothing has changed.
 */
#ifndef CROSSDOMAIN_FRAMES_H
#define CROSSDOMAIN_FRAMES_H

#include "core.h"

enum {
    XD_MAX_CARRIED = 16, /* surfaces of a client */
    XD_MAX_MIRRORS = 4,  /* of a surface */
    XD_MAX_BUFFERS = 8,
    XD_MAX_DAMAGE = 64,  /* boxes of a region */
    /* Bytes of commands before one SEND: some frames' worth. */
    XD_MAX_COPIES = 16384,
};

typedef struct xd_damage {
    uint32_t count;
    xd_box boxes[XD_MAX_DAMAGE];
} xd_damage;

/* A file whose pages the host sees: where it has changed, somebody has to look whether it has them still. */
typedef struct xd_file {
    int64_t changed; /* when it had when it was looked at last, ns of its ctime; 0 before that */
    int fd;          /* not ours */
} xd_file;

/* Whether the file has changed since it was looked at last, which is now.  Kernels that import files (6.14) give each
 * change a time of its own, if the one before was asked for. */
int xd_file_look(xd_file *file);

/* Where the compositor finds the pixels of a buffer: memory that is mapped here, or a resource that only the host
 * writes, or the client's own pages. */
typedef struct xd_mirror {
    uint8_t *pixels; /* or NULL */
    uint64_t size;
    uint64_t offset; /* of the first pixel */
    uint32_t resource_id;
    uint32_t stride;
    int32_t width;
    int32_t height;
    uint32_t readers;
    uint8_t in_place;
    xd_damage stale;
} xd_mirror;

typedef struct xd_buffer {
    uint32_t buffer_id;
    uint32_t mirror;       /* its index in the surface */
    const uint8_t *pixels; /* the client's, where the mirror's are mapped */
    uint64_t size;
    xd_file *file; /* where the host sees them */
    uint64_t source_offset;
    uint32_t source;
    uint32_t source_stride;
    uint8_t key[XD_KEY_SIZE];
    uint32_t block_bytes;
    int32_t width;
    int32_t height;
    uint32_t readers;
    uint64_t copied; /* bytes, since it is carried */
} xd_buffer;

typedef struct xd_surface {
    uint32_t surface_id;
    int32_t scale;
    int32_t transform;
    uint32_t streak; /* launcher/relay/sharing.py */
    uint32_t trust;
    uint32_t shown;   /* index of the buffer of the last commit */
    int32_t attached; /* index of that of the next one; -1: it attaches none */
    uint32_t mirror_count;
    uint32_t buffer_count;
    xd_damage damage; /* in surface coordinates */
    xd_damage buffer_damage;
    uint64_t frames;
    uint64_t bytes_damaged;
    xd_mirror mirrors[XD_MAX_MIRRORS];
    xd_buffer buffers[XD_MAX_BUFFERS];
} xd_surface;

/* Commands that go before the next SEND. */
typedef struct xd_copies {
    uint32_t size;
    uint8_t bytes[XD_MAX_COPIES];
} xd_copies;

typedef struct xd_frames {
    struct xd_taker taker;
    xd_walker *walker; /* not ours */
    uint32_t count;
    xd_surface *surfaces[XD_MAX_CARRIED]; /* not ours */
    xd_copies copies;
} xd_frames;

/* One connection's, whose walker asks it from now on: it has to live as long as that walks.  NULL where memory is
 * short. */
xd_frames *xd_frames_create(xd_walker *walker);
void xd_frames_free(xd_frames *frames);
/* Carries a surface until it is dropped.  Returns 0, or -1 where there are too many. */
int xd_frames_carry(xd_frames *frames, xd_surface *surface);
void xd_frames_drop(xd_frames *frames, const xd_surface *surface);

#endif
