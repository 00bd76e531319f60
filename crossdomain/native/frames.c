/* Follows frames; contract in frames.h, oracle in launcher/relay/surfaces.py. */
#define _GNU_SOURCE
#include "frames.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    /* wayland.xml: opcodes of wl_surface */
    ATTACH = 1,
    DAMAGE = 2,
    COMMIT = 6,
    SET_BUFFER_TRANSFORM = 7,
    SET_BUFFER_SCALE = 8,
    DAMAGE_BUFFER = 9,
    HEADER = 8,
    FAR = 1 << 30,       /* px; a buffer's sides are shorter */
    MAX_LIST = 256,      /* boxes that do not overlap, of one copy */
};

/* What is copied, or has changed: it does not overlap. */
struct list {
    uint32_t count;
    xd_box boxes[MAX_LIST];
};

static int32_t load_signed(const uint8_t *bytes) { return (int32_t)xd_load(bytes); }

/* Damage --------------------------------------------------------------------------------- */

static int32_t between(int64_t low, int64_t value, int64_t high) {
    return (int32_t)(value < low ? low : value > high ? high : value);
}

static int is_empty(const xd_box *box) { return box->left >= box->right || box->top >= box->bottom; }

static int contains(const xd_box *outer, const xd_box *inner) {
    return outer->left <= inner->left && inner->right <= outer->right && outer->top <= inner->top &&
           inner->bottom <= outer->bottom;
}

/* Makes room for so many boxes more; returns whether there is. */
static int make_room(xd_damage *damage, uint32_t count) {
    xd_box united[XD_MAX_DAMAGE];
    if (count > XD_MAX_DAMAGE)
        return 0;
    if (damage->count + count <= XD_MAX_DAMAGE)
        return 1;
    int32_t fewer = xd_unite(damage->boxes, damage->count, united, XD_MAX_DAMAGE);
    if (fewer < 0 || (uint32_t)fewer + count > XD_MAX_DAMAGE)
        return 0;
    damage->count = (uint32_t)fewer;
    memcpy(damage->boxes, united, damage->count * sizeof *united);
    return 1;
}

static int add(xd_damage *damage, const uint8_t *rectangle) {
    int64_t x = load_signed(rectangle), y = load_signed(rectangle + 4);
    int64_t right = x + load_signed(rectangle + 8), bottom = y + load_signed(rectangle + 12);
    xd_box box = {between(-FAR, x, FAR), between(-FAR, y, FAR), between(-FAR, right, FAR), between(-FAR, bottom, FAR)};
    if (is_empty(&box) || (damage->count && contains(&damage->boxes[damage->count - 1], &box)))
        return 1;
    if (!make_room(damage, 1))
        return 0;
    damage->boxes[damage->count++] = box;
    return 1;
}

/* Appends what of the boxes, scaled, lies within a buffer; returns the new number. */
static uint32_t append_clipped(xd_box *boxes, uint32_t count, const xd_box *added, uint32_t more, int64_t scale,
                               int32_t width, int32_t height) {
    for (uint32_t index = 0; index < more; index++) {
        const xd_box *box = &added[index];
        xd_box clipped = {between(0, box->left * scale, width), between(0, box->top * scale, height),
                          between(0, box->right * scale, width), between(0, box->bottom * scale, height)};
        if (!is_empty(&clipped))
            boxes[count++] = clipped;
    }
    return count;
}

/* Returns whether the list has room for their union. */
static int unite(struct list *list, const xd_box *boxes, uint32_t count) {
    if (count <= 1) {
        memcpy(list->boxes, boxes, count * sizeof *boxes);
        list->count = count;
        return 1;
    }
    int32_t united = xd_unite(boxes, count, list->boxes, MAX_LIST);
    list->count = united < 0 ? 0 : (uint32_t)united;
    return united >= 0;
}

/* What a commit says has changed of a buffer: returns whether that is little enough. */
static int collect(const xd_surface *surface, const xd_buffer *buffer, struct list *changed) {
    xd_box boxes[2 * XD_MAX_DAMAGE];
    uint32_t count = append_clipped(boxes, 0, surface->buffer_damage.boxes, surface->buffer_damage.count, 1,
                                    buffer->width, buffer->height);
    count = append_clipped(boxes, count, surface->damage.boxes, surface->damage.count, surface->scale, buffer->width,
                           buffer->height);
    return unite(changed, boxes, count);
}

static uint64_t area(const struct list *list) {
    uint64_t pixels = 0;
    for (uint32_t index = 0; index < list->count; index++) {
        const xd_box *box = &list->boxes[index];
        pixels += (uint64_t)(box->right - box->left) * (uint64_t)(box->bottom - box->top);
    }
    return pixels;
}

/* Copies --------------------------------------------------------------------------------- */

static void write_copy(xd_copies *copies, const xd_mirror *mirror, const xd_buffer *buffer,
                       const xd_rectangle *rectangles, uint32_t count) {
    uint32_t size = XD_COPY_PAGES_SIZE + count * (uint32_t)sizeof *rectangles;
    uint32_t head[4] = {XD_COMMAND_COPY_PAGES | size << 16, 0, mirror->resource_id, buffer->source};
    uint64_t offsets[2] = {mirror->offset, buffer->source_offset};
    uint32_t rest[4] = {mirror->stride, buffer->source_stride, buffer->block_bytes, count};
    uint8_t *at = copies->bytes + copies->size;
    memcpy(at, head, sizeof head);
    memcpy(at + 16, buffer->key, XD_KEY_SIZE);
    memcpy(at + 32, offsets, sizeof offsets);
    memcpy(at + 48, rest, sizeof rest);
    memcpy(at + XD_COPY_PAGES_SIZE, rectangles, count * sizeof *rectangles);
    copies->size += size;
}

/* Copies what the mirror lacks, or has the host copy it; returns whether that could be. */
static int copy(xd_frames *frames, const xd_mirror *mirror, const xd_buffer *buffer, const struct list *lacks) {
    xd_rectangle rectangles[MAX_LIST];
    xd_copy_result result;
    for (uint32_t index = 0; index < lacks->count; index++) {
        const xd_box *box = &lacks->boxes[index];
        rectangles[index] = (xd_rectangle){box->left, box->top, box->right - box->left, box->bottom - box->top};
    }
    if (mirror->pixels) {
        const xd_plane plane = {mirror->offset, buffer->source_offset, mirror->stride, buffer->source_stride,
                                buffer->block_bytes};
        return xd_copy_rectangles(mirror->pixels, mirror->size, buffer->pixels, buffer->size, &plane, rectangles,
                                  lacks->count, &result) == XD_COPY_OK;
    }
    if (XD_COPY_PAGES_SIZE + lacks->count * sizeof *rectangles > XD_MAX_COPIES - frames->copies.size)
        return 0;
    write_copy(&frames->copies, mirror, buffer, rectangles, lacks->count);
    return 1;
}

/* Makes the mirror current that has changed; returns whether that could be. */
static int refresh(xd_frames *frames, xd_mirror *mirror, xd_buffer *buffer, const struct list *changed) {
    xd_box boxes[XD_MAX_DAMAGE + MAX_LIST];
    struct list lacks;
    if (mirror->in_place)
        return 1;
    uint32_t count =
        append_clipped(boxes, 0, mirror->stale.boxes, mirror->stale.count, 1, mirror->width, mirror->height);
    count = append_clipped(boxes, count, changed->boxes, changed->count, 1, mirror->width, mirror->height);
    if (!unite(&lacks, boxes, count) || (lacks.count && !copy(frames, mirror, buffer, &lacks)))
        return 0;
    buffer->copied += area(&lacks) * buffer->block_bytes;
    return 1;
}

/* Whether the mirrors that are not shown take note of what has changed. */
static int can_note(xd_surface *surface, uint32_t mirror, uint32_t changes) {
    for (uint32_t index = 0; index < surface->mirror_count; index++)
        if (index != mirror && !make_room(&surface->mirrors[index].stale, changes))
            return 0;
    return 1;
}

static void note(xd_surface *surface, uint32_t mirror, const struct list *changed) {
    for (uint32_t index = 0; index < surface->mirror_count; index++) {
        xd_damage *stale = &surface->mirrors[index].stale;
        if (index == mirror) {
            stale->count = 0;
        } else {
            memcpy(stale->boxes + stale->count, changed->boxes, changed->count * sizeof *changed->boxes);
            stale->count += changed->count;
        }
    }
}

/* Messages ------------------------------------------------------------------------------- */

static int64_t change_of(const xd_file *file) {
    struct stat status;
    if (fstat(file->fd, &status))
        return 0;
    return status.st_ctim.tv_sec * INT64_C(1000000000) + status.st_ctim.tv_nsec;
}

int xd_file_look(xd_file *file) {
    int64_t before = file->changed;
    file->changed = change_of(file);
    return !before || file->changed != before;
}

/* Whether a buffer that nobody refers to stays in its mirror: launcher/relay/sharing.py's judge. */
static int stays(xd_surface *surface, const xd_buffer *buffer) {
    const xd_mirror *mine = &surface->mirrors[buffer->mirror];
    const xd_mirror *front = &surface->mirrors[surface->buffers[surface->shown].mirror];
    if (buffer->file && (!buffer->file->changed || change_of(buffer->file) != buffer->file->changed))
        return 0; /* whether pages are missing is looked at elsewhere */
    if (mine->in_place)
        return 1;
    if (mine->readers)
        return 0;
    if (front == mine || front->in_place)
        return 1;
    if (!front->readers && surface->streak + 1 >= surface->trust)
        return 0;
    surface->streak = front->readers ? 0 : surface->streak + 1;
    return 1;
}

static int attach(xd_surface *surface, uint32_t buffer_id) {
    uint32_t index = 0;
    while (index < surface->buffer_count && surface->buffers[index].buffer_id != buffer_id)
        index++;
    if (index == surface->buffer_count)
        return 0;
    const xd_buffer *buffer = &surface->buffers[index];
    int is_movable = !buffer->readers && surface->attached != (int32_t)index;
    if (is_movable && !stays(surface, buffer))
        return 0;
    surface->attached = (int32_t)index;
    return 1;
}

static int commit(xd_frames *frames, xd_surface *surface) {
    int attaches = surface->attached >= 0;
    uint32_t shown = attaches ? (uint32_t)surface->attached : surface->shown;
    xd_buffer *buffer = &surface->buffers[shown];
    xd_mirror *mirror = &surface->mirrors[buffer->mirror];
    struct list changed;
    if (!collect(surface, buffer, &changed))
        return 0;
    if (attaches || changed.count) {
        if (!can_note(surface, buffer->mirror, changed.count) || !refresh(frames, mirror, buffer, &changed))
            return 0;
        note(surface, buffer->mirror, &changed);
        surface->frames++;
        surface->bytes_damaged += area(&changed) * buffer->block_bytes;
    }
    surface->damage.count = surface->buffer_damage.count = 0;
    surface->shown = shown;
    surface->attached = -1;
    buffer->readers += (uint32_t)attaches;
    mirror->readers += (uint32_t)attaches;
    return 1;
}

/* wl_buffer.release */
static int release(xd_frames *frames, uint32_t buffer_id) {
    for (uint32_t at = 0; at < frames->count; at++) {
        xd_surface *surface = frames->surfaces[at];
        for (uint32_t index = 0; index < surface->buffer_count; index++) {
            xd_buffer *buffer = &surface->buffers[index];
            if (buffer->buffer_id != buffer_id)
                continue;
            if (buffer->readers) {
                buffer->readers--;
                surface->mirrors[buffer->mirror].readers--;
            }
            return 1;
        }
    }
    return 0;
}

static xd_surface *find(const xd_frames *frames, uint32_t surface_id) {
    for (uint32_t index = 0; index < frames->count; index++)
        if (frames->surfaces[index]->surface_id == surface_id)
            return frames->surfaces[index];
    return NULL;
}

/* Takes a message of a surface or a buffer; what is not whole is for others to refuse. */
static int take(struct xd_taker *taker, int direction, const xd_record *record, const uint8_t *body) {
    xd_frames *frames = (xd_frames *)taker;
    uint32_t size = record->size - HEADER;
    if (direction == XD_EVENT)
        return !size && release(frames, record->object_id);
    xd_surface *surface = find(frames, record->object_id);
    if (!surface)
        return 0;
    switch (record->opcode) {
    case ATTACH:
        return size == 12 && attach(surface, xd_load(body));
    case DAMAGE:
        return size == 16 && add(&surface->damage, body);
    case DAMAGE_BUFFER:
        return size == 16 && add(&surface->buffer_damage, body);
    case COMMIT:
        return !size && commit(frames, surface);
    case SET_BUFFER_TRANSFORM:
        return size == 4 && load_signed(body) == surface->transform;
    case SET_BUFFER_SCALE:
        return size == 4 && load_signed(body) == surface->scale;
    default:
        return 0;
    }
}

xd_frames *xd_frames_create(xd_walker *walker) {
    xd_frames *frames = calloc(1, sizeof *frames);
    if (!frames)
        return NULL;
    frames->taker.take = take;
    frames->walker = walker;
    walker->taker = &frames->taker;
    return frames;
}

void xd_frames_free(xd_frames *frames) { free(frames); }

int xd_frames_carry(xd_frames *frames, xd_surface *surface) {
    if (frames->count == XD_MAX_CARRIED)
        return -1;
    frames->surfaces[frames->count++] = surface;
    xd_walker_give(frames->walker, surface->surface_id);
    for (uint32_t index = 0; index < surface->buffer_count; index++)
        xd_walker_give(frames->walker, surface->buffers[index].buffer_id);
    return 0;
}

void xd_frames_drop(xd_frames *frames, const xd_surface *surface) {
    for (uint32_t index = 0; index < frames->count; index++) {
        if (frames->surfaces[index] != surface)
            continue;
        frames->surfaces[index] = frames->surfaces[--frames->count];
        return;
    }
}
