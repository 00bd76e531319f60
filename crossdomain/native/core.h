/* The C core: what is on the path of every message and every damaged pixel.
 *
 * It takes (pointer, length), checks every bound, and keeps no policy.  What it does is
 * defined by crossdomain/wire/engine.py (walker) and crossdomain/bridge/copy.py (copy);
 * crossdomain/wire/walker.py is the walker's oracle.  Wire data and the packed tables
 * are little-endian.
 */
#ifndef CROSSDOMAIN_CORE_H
#define CROSSDOMAIN_CORE_H

#include "abi.h"

#include <stddef.h>
#include <stdint.h>

/* tables.c ------------------------------------------------------------------------------ */

enum xd_kind { XD_INT, XD_UINT, XD_FIXED, XD_STRING, XD_OBJECT, XD_NEW_ID, XD_ARRAY, XD_FD };

#define XD_NO_INTERFACE 0xffffu

enum xd_message_flag {
    XD_DESTRUCTOR = 1,
    /* All that the message holds is a fixed number of words that may have any value. */
    XD_PLAIN = 2,
};

struct xd_argument {
    uint8_t kind;
    uint8_t nullable;
    uint16_t interface;
};

struct xd_message {
    uint32_t first_argument;
    uint16_t plain_size; /* bytes with the header, where XD_PLAIN */
    uint8_t arguments;
    uint8_t fds;
    uint8_t since;
    uint8_t flags;
};

struct xd_interface {
    const uint8_t *name; /* not terminated; inside the packed bytes */
    uint32_t first_message; /* requests, then events */
    uint16_t version;
    uint8_t name_size;
    uint8_t requests;
    uint8_t events;
};

typedef struct xd_tables {
    uint8_t *packed; /* our copy */
    struct xd_interface *interfaces;
    struct xd_message *messages;
    struct xd_argument *arguments;
    uint32_t interface_count;
    uint32_t message_count;
    uint32_t argument_count;
    uint32_t display; /* index of wl_display */
} xd_tables;

/* Returns NULL where the bytes are not a table or memory is short. */
xd_tables *xd_tables_load(const uint8_t *packed, size_t size);
void xd_tables_free(xd_tables *tables);

/* walker.c, objects.c ------------------------------------------------------------------- */

enum xd_direction { XD_REQUEST = 0, XD_EVENT = 1 };
enum xd_record_flag { XD_OWN = 1 };

/* The numbers of engine.py's FaultKind. */
enum xd_fault {
    XD_FAULT_NONE,
    XD_FAULT_SIZE,
    XD_FAULT_OBJECT,
    XD_FAULT_OPCODE,
    XD_FAULT_VERSION,
    XD_FAULT_ARGUMENTS,
    XD_FAULT_GLOBAL,
    XD_FAULT_OBJECTS,
    XD_FAULT_LIVE_OBJECTS,
    XD_FAULT_SURFACES,
    XD_FAULT_ALL_LIVE_OBJECTS,
    XD_FAULT_ALL_SURFACES,
    XD_FAULT_NO_MEMORY, /* ours alone: malloc failed */
};

/* engine.py's Record, in its order. */
typedef struct xd_record {
    uint32_t offset;
    uint32_t size;
    uint32_t object_id;
    uint16_t interface;
    uint16_t opcode;
    uint8_t fds;
    uint8_t flags;
    uint8_t pad[2];
    uint32_t next_id;
} xd_record;

typedef struct xd_walk {
    uint32_t consumed;
    uint32_t records;
    uint32_t fault;
    uint32_t object_id; /* of the message at fault, as are the next two */
    uint32_t opcode;
    uint32_t size;
    uint32_t messages; /* that were consumed */
} xd_walk;

enum xd_entry_flag {
    XD_ZOMBIE = 1,
    XD_QUIET = 2,
    XD_BEGUN = 4, /* a message that begins has passed, and none that ends since */
    XD_TAKEN = 8, /* the taker may take messages of it */
};

/* engine.py's Watch. */
enum xd_watch {
    XD_WATCH_NONE,
    XD_WATCH_ALWAYS,
    XD_WATCH_UNLESS_QUIET,
    XD_WATCH_BEGINS,
    XD_WATCH_ENDS,
    XD_WATCH_UNLESS_TAKEN,
};

/* One id.  It has an object while generations > 0. */
struct xd_entry {
    uint16_t interface;
    uint16_t generations; /* new_ids without a delete_id yet */
    uint16_t own;         /* delete_ids to come for an object of the proxy's own */
    uint8_t version;
    uint8_t flags; /* enum xd_entry_flag */
};

struct xd_map {
    struct xd_entry *entries;
    uint32_t count; /* ids that were in use at some time: the next one leaves no hole */
    uint32_t capacity;
};

/* A walk that was made before anybody knew what its records mean. */
typedef struct xd_ahead {
    int direction;
    size_t size; /* bytes that were given to it */
    xd_walk walk;
    const xd_record *records;
} xd_ahead;

/* What the clients of one VM have together, and may have.  Lives until the last walker has left it. */
typedef struct xd_totals {
    uint32_t live;
    uint32_t max_live;
    uint32_t counted;
    uint32_t max_counted;
    uint32_t ids; /* the client's, in use now or once: each takes an entry of its walker's map */
    uint32_t max_ids;
    uint32_t users; /* whoever made it, and walkers */
} xd_totals;

/* Who knows what to do about messages that are watched, in Python's place. */
struct xd_taker {
    /* Whether it has done it; where not, nothing has changed.  What it takes has nothing wrong about it. */
    int (*take)(struct xd_taker *taker, int direction, const xd_record *record, const uint8_t *body);
};

typedef struct xd_walker {
    struct xd_taker *taker;  /* not ours, or NULL: asked by xd_walker_pass about objects that it was given */
    const xd_ahead *ahead;   /* not ours: what the next walk of the same bytes finds, or NULL */
    const xd_tables *tables; /* not ours */
    uint8_t *interest;       /* per message of the tables: enum xd_watch */
    struct xd_map maps[2];   /* ids of the client, ids of the compositor */
    uint32_t max_objects;
    uint32_t ended; /* messages that ended what had begun, and passed */
    uint32_t live; /* ids of the client with an object */
    uint32_t max_live;
    uint32_t counted_interface;
    uint32_t counted; /* of that interface, the client's and not destroyed */
    uint32_t max_counted;
    xd_totals *totals; /* where all of this counts, too, or NULL */
    int strict;
} xd_walker;

/* The tables must outlive the walker.  Returns NULL where memory is short. */
xd_walker *xd_walker_create(const xd_tables *tables, int strict, uint32_t max_objects);
void xd_walker_free(xd_walker *walker);

/* Returns 0, or -1 where there is no such message. */
int xd_walker_interest(xd_walker *walker, uint32_t interface, int direction, uint32_t opcode, uint32_t watch);
/* Takes over all that another has; returns 0, or -1 where that one has other tables. */
int xd_walker_interest_of(xd_walker *walker, const xd_walker *other);

/* Refuses more objects of the client at a time, and more of one interface.
 * What is there already stays.  Returns 0, or -1 where there is no such interface. */
int xd_walker_limit(xd_walker *walker, uint32_t max_live, uint32_t interface, uint32_t max_counted);
/* How many there are now. */
uint32_t xd_walker_live(const xd_walker *walker);
uint32_t xd_walker_counted(const xd_walker *walker);

/* Returns NULL where memory is short. */
xd_totals *xd_totals_create(void);
/* Whoever made it needs it no more. */
void xd_totals_release(xd_totals *totals);
/* What the walker has counts there from now on, until it leaves or is freed; it has joined none. */
void xd_walker_join(xd_walker *walker, xd_totals *totals);
/* May be called again. */
void xd_walker_leave(xd_walker *walker);

/* Walks at most `capacity` records' worth of the whole messages in `data`. */
void xd_walker_walk(xd_walker *walker, int direction, const uint8_t *data, size_t size, xd_record *records,
                    uint32_t capacity, xd_walk *walk);

/* Walks the messages that would be no records, up to the first that would, that is not whole or that is at
 * fault: that one has changed nothing.  Returns their bytes. */
uint32_t xd_walker_pass(xd_walker *walker, int direction, const uint8_t *data, size_t size);

/* Each returns 0, or -1 where the call is against engine.py's contract or memory is short. */
int xd_walker_own(xd_walker *walker, uint32_t object_id, uint32_t deletes);
int xd_walker_release(xd_walker *walker, uint32_t object_id);

/* Lets the taker take messages of an object, until a request that is always watched names it.  Does nothing where the
 * id has no live object; nor does the next. */
void xd_walker_give(xd_walker *walker, uint32_t object_id);
void xd_walker_quieten(xd_walker *walker, uint32_t object_id);
/* Quiet no longer; returns whether something has begun and not ended. */
int xd_walker_stir(xd_walker *walker, uint32_t object_id);
/* Returns how many messages ended something and passed, since it was asked. */
uint32_t xd_walker_take_ended(xd_walker *walker);

uint32_t xd_walker_own_pending(const xd_walker *walker, uint32_t object_id);
/* Returns interface << 16 | version, or -1 where the id has no object. */
int64_t xd_walker_lookup(const xd_walker *walker, uint32_t object_id);

/* Returns the lowest id that neither the client nor the proxy has used yet. */
uint32_t xd_walker_next_id(const xd_walker *walker);
/* The server's object that the proxy itself gives the client: its id leaves no hole.  Returns 0 or -1. */
int xd_walker_adopt(xd_walker *walker, uint32_t object_id, uint32_t interface, uint32_t version);
/* The lowest id of the server's that the client has not seen. */
uint32_t xd_walker_next_server_id(const xd_walker *walker);

/* system.c ------------------------------------------------------------------------------ */

/* Bit n - 1 of the mask is signal n.  Each returns a negative errno where it fails. */
int xd_signalfd(uint64_t mask);
/* Maps a file for reading, also beyond its end: what is read there is a SIGBUS. */
int64_t xd_map(int fd, uint64_t size);
int64_t xd_remap(int64_t address, uint64_t old_size, uint64_t new_size);
int xd_unmap(int64_t address, uint64_t size);
/* Has all pages of a part of a mapping there and in it, as if each was read; EFAULT beyond the file's end. */
int xd_populate(int64_t address, uint64_t size);
/* Lets a mapping be written, too; EACCES where the file was not opened for that. */
int xd_make_writable(int64_t address, uint64_t size);

/* copy.c -------------------------------------------------------------------------------- */

/* Pixels; in a subsampled plane, that plane's. */
typedef struct xd_rectangle {
    int32_t x;
    int32_t y;
    int32_t width;
    int32_t height;
} xd_rectangle;

/* Where the first pixel of a plane lies, and how far it is from row to row, in either image: bytes. */
typedef struct xd_plane {
    uint64_t offset;
    uint64_t source_offset;
    uint32_t stride;
    uint32_t source_stride;
    uint32_t bytes_per_pixel;
} xd_plane;

enum xd_copy_status {
    XD_COPY_OK = 0,
    XD_COPY_BOUNDS = 1, /* a rectangle leaves an image; nothing was copied */
    XD_COPY_FAULT = 2,  /* a file is shorter than its mapping */
    XD_COPY_SYSTEM = 3, /* the signal handler could not be installed */
};

typedef struct xd_copy_result {
    uint64_t copied;       /* bytes written for sure */
    uint64_t fault_offset; /* XD_COPY_FAULT: a byte of that file's mapping that is not there */
} xd_copy_result;

/* Copies the rectangles of one plane; survives SIGBUS on either side.
 * Safe in several threads at once. */
int xd_copy_rectangles(uint8_t *destination, uint64_t destination_size, const uint8_t *source,
                       uint64_t source_size, const xd_plane *plane, const xd_rectangle *rectangles,
                       uint32_t count, xd_copy_result *result);

/* Bytes of the rectangles, each for itself: as many as are copied where all lie in their images.  UINT64_MAX where they
 * are more than that says. */
uint64_t xd_bytes_of(const xd_rectangle *rectangles, uint32_t count, uint32_t bytes_per_pixel);

/* Whether a plane can be, and the rectangle of it lies in both images. */
int xd_inside(const xd_plane *plane, const xd_rectangle *rectangle, uint64_t destination_size, uint64_t source_size);

/* Memory in pieces: `address` is of the first byte, `end` the bytes up to and with this piece. */
typedef struct xd_run {
    uint64_t address;
    uint64_t end;
} xd_run;

/* As xd_copy_rectangles, from memory in pieces, which stay mapped and are read in place.
 * `copied` gets the bytes written. */
int xd_copy_runs(uint8_t *destination, uint64_t destination_size, const xd_run *runs, uint32_t run_count,
                 const xd_plane *plane, const xd_rectangle *rectangles, uint32_t count, uint64_t *copied);

/* region.c ------------------------------------------------------------------------------ */

enum { XD_MAX_BOXES = 2048 };

/* Pixels; right and bottom are outside. */
typedef struct xd_box {
    int32_t left;
    int32_t top;
    int32_t right;
    int32_t bottom;
} xd_box;

/* Writes boxes that do not overlap and cover exactly what the given ones cover, top to bottom and left to
 * right, as few as their bands allow.  Returns how many, or -1 where there are more than `capacity` or more
 * than XD_MAX_BOXES were given; what was written means nothing then. */
int32_t xd_unite(const xd_box *boxes, uint32_t count, xd_box *united, uint32_t capacity);

#endif
