/* Follows one Wayland connection; contract in crossdomain/wire/engine.py, oracle in walker.py. */
#include "objects.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is read in the machine's order");
_Static_assert(sizeof(xd_record) == 24, "crossdomain/wire/native.py unpacks 24 bytes");

#define HEADER_SIZE 8u
#define DELETE_ID_OPCODE 1u

/* One message --------------------------------------------------------------------------- */

struct step {
    int direction;
    int stirs; /* whether objects that it names are quiet no longer */
    uint32_t object_id;
    const uint8_t *body; /* the arguments */
    const uint8_t *end;
    const struct xd_argument *arguments;
    unsigned count;
    /* The last string and the last plain word: what a new_id without an interface refers to. */
    const uint8_t *name;
    uint32_t name_size;
    uint32_t word;
    /* What the message creates. */
    int creates;
    uint32_t new_id;
    uint32_t new_interface;
    uint32_t new_version;
};

static int check_object(const xd_walker *walker, const struct xd_argument *argument, uint32_t object_id,
                        int stirs) {
    struct xd_entry *entry = xd_entry_of(walker, object_id);
    if (!xd_has_object(entry) || entry->flags & XD_ZOMBIE)
        return -1;
    if (argument->interface != XD_NO_INTERFACE && argument->interface != entry->interface)
        return -1;
    if (stirs)
        entry->flags &= (uint8_t) ~(XD_QUIET | XD_TAKEN);
    return 0;
}

static int check_block(const struct xd_argument *argument, const uint8_t *bytes, uint32_t size) {
    if (argument->kind == XD_ARRAY)
        return 0;
    if (!size)
        return argument->nullable ? 0 : -1;
    return memchr(bytes, 0, size) == bytes + size - 1 ? 0 : -1;
}

/* Checks the arguments against the signature: bounds, terminators, nulls, objects. */
static enum xd_fault check_arguments(const xd_walker *walker, struct step *step) {
    const uint8_t *at = step->body;
    for (unsigned number = 0; number < step->count; number++) {
        const struct xd_argument *argument = &step->arguments[number];
        if (argument->kind == XD_FD)
            continue;
        if (step->end - at < 4)
            return XD_FAULT_ARGUMENTS;
        uint32_t word = xd_load(at);
        at += 4;
        switch (argument->kind) {
        case XD_STRING:
        case XD_ARRAY: {
            uint64_t padded = ((uint64_t)word + 3) & ~(uint64_t)3;
            if ((uint64_t)(step->end - at) < padded || check_block(argument, at, word))
                return XD_FAULT_ARGUMENTS;
            step->name = at;
            step->name_size = word;
            at += padded;
            break;
        }
        case XD_OBJECT:
            if (!word ? !argument->nullable
                      : step->direction == XD_REQUEST && check_object(walker, argument, word, step->stirs))
                return XD_FAULT_ARGUMENTS;
            break;
        case XD_NEW_ID:
            if (!word && !argument->nullable)
                return XD_FAULT_ARGUMENTS;
            step->creates = 1;
            step->new_id = word;
            step->new_interface = argument->interface;
            step->new_version = step->word;
            break;
        default:
            step->word = word;
            break;
        }
    }
    return at == step->end ? XD_FAULT_NONE : XD_FAULT_ARGUMENTS;
}

static int compare_name(const struct xd_interface *interface, const uint8_t *name, uint32_t size) {
    uint32_t common = interface->name_size < size ? interface->name_size : size;
    int order = memcmp(interface->name, name, common);
    return order ? order : (interface->name_size > size) - (interface->name_size < size);
}

static uint32_t find_interface(const xd_tables *tables, const uint8_t *name, uint32_t size) {
    uint32_t low = 0, high = tables->interface_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_name(&tables->interfaces[middle], name, size);
        if (!order)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return XD_NO_INTERFACE;
}

/* Resolves a new_id that names its interface in the two arguments before it (wl_registry.bind). */
static enum xd_fault resolve_bound(const xd_walker *walker, struct step *step) {
    const xd_tables *tables = walker->tables;
    if (!step->name_size)
        return XD_FAULT_GLOBAL;
    step->new_interface = find_interface(tables, step->name, step->name_size - 1);
    if (step->new_interface == XD_NO_INTERFACE || !step->new_version ||
        step->new_version > tables->interfaces[step->new_interface].version)
        return XD_FAULT_GLOBAL;
    return XD_FAULT_NONE;
}

/* Checks that the new id may be taken: the right range, no hole below it, not in use. */
static enum xd_fault admit(const xd_walker *walker, const struct step *step) {
    int side = step->new_id >= XD_SERVER_ID_START ? XD_SERVER : XD_CLIENT;
    if (side != (step->direction == XD_EVENT ? XD_SERVER : XD_CLIENT))
        return XD_FAULT_ARGUMENTS;
    uint32_t index = side == XD_SERVER ? step->new_id - XD_SERVER_ID_START : step->new_id;
    const struct xd_map *map = &walker->maps[side];
    if (index >= walker->max_objects)
        return XD_FAULT_OBJECTS;
    if (index > map->count || step->new_id == XD_DISPLAY_ID)
        return XD_FAULT_ARGUMENTS;
    if (side == XD_SERVER || index == map->count)
        return XD_FAULT_NONE;
    const struct xd_entry *entry = &map->entries[index];
    /* The client does not know of an object of the proxy's own, which is gone again by then. */
    if (walker->strict && entry->generations)
        return XD_FAULT_ARGUMENTS;
    return entry->generations == UINT16_MAX ? XD_FAULT_OBJECTS : XD_FAULT_NONE;
}

/* Checks that the client may have one more object. */
static enum xd_fault allow(const xd_walker *walker, const struct step *step) {
    if (step->direction == XD_EVENT)
        return XD_FAULT_NONE;
    const xd_totals *totals = walker->totals;
    int is_new = !xd_has_object(xd_entry_of(walker, step->new_id));
    int is_counted_too = step->new_interface == walker->counted_interface;
    if (is_new && walker->live >= walker->max_live)
        return XD_FAULT_LIVE_OBJECTS;
    if (is_counted_too && walker->counted >= walker->max_counted)
        return XD_FAULT_SURFACES;
    int is_another = step->new_id == walker->maps[XD_CLIENT].count;
    if (totals && ((is_new && totals->live >= totals->max_live) || (is_another && totals->ids >= totals->max_ids)))
        return XD_FAULT_ALL_LIVE_OBJECTS;
    return is_counted_too && totals && totals->counted >= totals->max_counted ? XD_FAULT_ALL_SURFACES : XD_FAULT_NONE;
}

static enum xd_fault create(xd_walker *walker, const struct step *step) {
    int side = step->direction == XD_EVENT ? XD_SERVER : XD_CLIENT;
    uint32_t index = side == XD_SERVER ? step->new_id - XD_SERVER_ID_START : step->new_id;
    struct xd_map *map = &walker->maps[side];
    if (index == map->count && xd_map_extend(walker, side))
        return XD_FAULT_NO_MEMORY;
    struct xd_entry *entry = &map->entries[index];
    if (side == XD_CLIENT)
        xd_count(walker, !entry->generations,
              (uint32_t)(step->new_interface == walker->counted_interface) - (uint32_t)xd_is_counted(walker, entry));
    entry->interface = (uint16_t)step->new_interface;
    entry->version = (uint8_t)step->new_version;
    entry->flags = 0;
    entry->generations = side == XD_SERVER ? 1 : (uint16_t)(entry->generations + 1);
    return XD_FAULT_NONE;
}

/* wl_display.delete_id.  Returns whether it was for one of the proxy's own objects. */
static int delete_id(xd_walker *walker, uint32_t object_id) {
    struct xd_entry *entry = xd_entry_of(walker, object_id);
    if (!entry || object_id == XD_DISPLAY_ID || object_id >= XD_SERVER_ID_START)
        return 0;
    if (entry->own) {
        entry->own--;
        return 1;
    }
    if (entry->generations == 1)
        xd_object_release(walker, entry);
    else if (entry->generations)
        entry->generations--;
    return 0;
}

/* Walks a message that needs more than its size checked. */
static enum xd_fault walk_arguments(xd_walker *walker, struct xd_entry *entry, const struct xd_message *message,
                                    struct step *step) {
    enum xd_fault fault = check_arguments(walker, step);
    if (!fault && step->creates) {
        if (step->new_interface == XD_NO_INTERFACE)
            fault = resolve_bound(walker, step);
        else
            step->new_version = entry->version;
        if (!fault)
            fault = admit(walker, step);
        if (!fault)
            fault = allow(walker, step);
    }
    if (fault)
        return fault;
    if (message->flags & XD_DESTRUCTOR && step->direction == XD_REQUEST)
        xd_object_destroy(walker, entry, step->object_id);
    /* Invalidates entry. */
    return step->creates ? create(walker, step) : XD_FAULT_NONE;
}

/* Whether an event is a wl_display.delete_id for one of the proxy's own objects. */
static int is_own_delete(const xd_walker *walker, int direction, const xd_record *record,
                         const struct xd_message *message, const uint8_t *body) {
    return direction == XD_EVENT && record->object_id == XD_DISPLAY_ID && record->opcode == DELETE_ID_OPCODE &&
           record->size == message->plain_size && xd_walker_own_pending(walker, xd_load(body));
}

/* Whether a message that is watched passes, as its object is quiet and so is what it begins with. */
static int passes_quietly(const xd_walker *walker, const struct xd_entry *entry, int watch,
                          const xd_record *record, const uint8_t *body) {
    if (watch < XD_WATCH_UNLESS_QUIET || watch == XD_WATCH_UNLESS_TAKEN || !(entry->flags & XD_QUIET))
        return 0;
    if (watch != XD_WATCH_BEGINS)
        return 1;
    const struct xd_entry *named = record->size < HEADER_SIZE + 4 ? NULL : xd_entry_of(walker, xd_load(body));
    return xd_has_object(named) && named->flags & XD_QUIET && !(named->flags & XD_ZOMBIE);
}

/* Whether the taker has taken a message that would be one for Python. */
static int is_taken(const xd_walker *walker, const struct xd_entry *entry, int direction, int watch,
                    const xd_record *record, const uint8_t *body) {
    return watch >= XD_WATCH_UNLESS_QUIET && entry->flags & XD_TAKEN && walker->taker &&
           walker->taker->take(walker->taker, direction, record, body);
}

/* What a request of some kind, which is watched now or passes, does to the quiet of its object. */
static void note_quiet(xd_walker *walker, struct xd_entry *entry, int direction, int kind, int watch) {
    if (direction == XD_EVENT)
        return;
    if (watch) {
        entry->flags &= (uint8_t)~XD_QUIET;
    } else if (kind == XD_WATCH_BEGINS) {
        entry->flags |= XD_BEGUN;
    } else if (kind == XD_WATCH_ENDS && entry->flags & XD_BEGUN) {
        entry->flags &= (uint8_t)~XD_BEGUN;
        walker->ended++;
    }
}

/* Walks one whole message.  `record` holds its header; wanted says whether it is kept.  With `stops` such a
 * message is not walked. */
static enum xd_fault walk_message(xd_walker *walker, int direction, const uint8_t *data, xd_record *record,
                                  int stops, int *wanted) {
    const xd_tables *tables = walker->tables;
    struct xd_entry *entry = xd_entry_of(walker, record->object_id);
    *wanted = 0;
    if (direction == XD_EVENT && entry && entry->own) {
        record->interface = entry->generations ? entry->interface : XD_NO_INTERFACE;
        record->flags = XD_OWN;
        *wanted = 1;
        return XD_FAULT_NONE;
    }
    if (!xd_has_object(entry))
        return direction == XD_REQUEST ? XD_FAULT_OBJECT : XD_FAULT_NONE;
    if (entry->flags & XD_ZOMBIE && direction == XD_REQUEST)
        return XD_FAULT_OBJECT;
    const struct xd_interface *interface = &tables->interfaces[entry->interface];
    record->interface = entry->interface;
    uint32_t number = interface->first_message + record->opcode;
    if (direction == XD_EVENT)
        number += interface->requests;
    if (record->opcode >= (direction == XD_EVENT ? interface->events : interface->requests))
        return XD_FAULT_OPCODE;
    const struct xd_message *message = &tables->messages[number];
    if (direction == XD_REQUEST && message->since > entry->version)
        return XD_FAULT_VERSION;
    const uint8_t *body = data + record->offset + HEADER_SIZE;
    int kind = walker->interest[number];
    int watch = passes_quietly(walker, entry, kind, record, body) ? XD_WATCH_NONE : kind;
    int taken = stops && is_taken(walker, entry, direction, watch, record, body);
    *wanted = message->fds || (watch && !taken) || is_own_delete(walker, direction, record, message, body);
    if (*wanted && stops)
        return XD_FAULT_NONE;
    if (message->flags & XD_PLAIN) {
        if (record->size != message->plain_size)
            return XD_FAULT_ARGUMENTS;
        if (message->flags & XD_DESTRUCTOR && direction == XD_REQUEST)
            xd_object_destroy(walker, entry, record->object_id);
        if (record->object_id == XD_DISPLAY_ID && direction == XD_EVENT && record->opcode == DELETE_ID_OPCODE &&
            delete_id(walker, xd_load(body)))
            record->flags = XD_OWN;
    } else {
        struct step step = {
            .direction = direction,
            .stirs = watch == XD_WATCH_ALWAYS,
            .object_id = record->object_id,
            .body = body,
            .end = data + record->offset + record->size,
            .arguments = &tables->arguments[message->first_argument],
            .count = message->arguments,
        };
        enum xd_fault fault = walk_arguments(walker, entry, message, &step);
        if (fault)
            return fault;
    }
    record->fds = message->fds;
    /* What was created may have moved it. */
    note_quiet(walker, xd_entry_of(walker, record->object_id), direction, kind, watch);
    return XD_FAULT_NONE;
}

/* The public side ----------------------------------------------------------------------- */

/* Finds again what was found before: a second walk would change the object map twice.  Returns whether it did. */
static int repeat(xd_walker *walker, int direction, size_t size, xd_record *records, uint32_t capacity,
                  xd_walk *walk) {
    const xd_ahead *ahead = walker->ahead;
    walker->ahead = NULL;
    if (!ahead || ahead->direction != direction || ahead->size != size || ahead->walk.records > capacity)
        return 0;
    *walk = ahead->walk;
    memcpy(records, ahead->records, walk->records * sizeof *records);
    return 1;
}

/* Without `records` it stops before the first message that would be one. */
static void walk_all(xd_walker *walker, int direction, const uint8_t *data, size_t size, xd_record *records,
                     uint32_t capacity, xd_walk *walk) {
    /* What is too long for the offsets stays for the next call. */
    uint32_t length = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
    uint32_t offset = 0;
    *walk = (xd_walk){0};
    while (length - offset >= HEADER_SIZE && (!records || walk->records < capacity)) {
        uint32_t word = xd_load(data + offset + 4);
        xd_record record = {
            .offset = offset,
            .size = word >> 16,
            .object_id = xd_load(data + offset),
            .interface = XD_NO_INTERFACE,
            .opcode = (uint16_t)word,
            .next_id = walker->maps[XD_CLIENT].count,
        };
        enum xd_fault fault = XD_FAULT_NONE;
        int wanted = 0;
        if (record.size < HEADER_SIZE || record.size & 3)
            fault = XD_FAULT_SIZE;
        else if (record.size > length - offset)
            break;
        else
            fault = walk_message(walker, direction, data, &record, !records, &wanted);
        if (fault && fault != XD_FAULT_SIZE && fault != XD_FAULT_NO_MEMORY && direction == XD_EVENT &&
            !walker->strict) {
            fault = XD_FAULT_NONE;
            wanted = 0;
        }
        if (fault) {
            walk->fault = fault;
            walk->object_id = record.object_id;
            walk->opcode = record.opcode;
            walk->size = record.size;
            break;
        }
        if (wanted && !records)
            break;
        if (wanted)
            records[walk->records++] = record;
        offset += record.size;
        walk->messages++;
    }
    walk->consumed = offset;
}

void xd_walker_walk(xd_walker *walker, int direction, const uint8_t *data, size_t size, xd_record *records,
                    uint32_t capacity, xd_walk *walk) {
    if (walker->ahead && repeat(walker, direction, size, records, capacity, walk))
        return;
    walk_all(walker, direction, data, size, records, capacity, walk);
}

uint32_t xd_walker_pass(xd_walker *walker, int direction, const uint8_t *data, size_t size) {
    xd_walk walk;
    walk_all(walker, direction, data, size, NULL, 0, &walk);
    return walk.consumed;
}

xd_walker *xd_walker_create(const xd_tables *tables, int strict, uint32_t max_objects) {
    xd_walker *walker = calloc(1, sizeof *walker);
    if (!walker)
        return NULL;
    walker->tables = tables;
    walker->strict = strict;
    walker->max_objects = max_objects;
    walker->max_live = UINT32_MAX;
    walker->counted_interface = XD_NO_INTERFACE;
    walker->live = 1;
    walker->interest = calloc(tables->message_count + 1u, 1);
    /* Id 0 is the null object, it never has an entry of its own; id 1 is wl_display. */
    if (!walker->interest || xd_map_extend(walker, XD_CLIENT) || xd_map_extend(walker, XD_CLIENT)) {
        xd_walker_free(walker);
        return NULL;
    }
    struct xd_entry *display = &walker->maps[XD_CLIENT].entries[XD_DISPLAY_ID];
    display->interface = (uint16_t)tables->display;
    display->version = 1;
    display->generations = 1;
    return walker;
}

void xd_walker_free(xd_walker *walker) {
    if (!walker)
        return;
    xd_walker_leave(walker);
    free(walker->interest);
    free(walker->maps[XD_CLIENT].entries);
    free(walker->maps[XD_SERVER].entries);
    free(walker);
}

int xd_walker_interest(xd_walker *walker, uint32_t interface, int direction, uint32_t opcode, uint32_t watch) {
    if (interface >= walker->tables->interface_count)
        return -1;
    const struct xd_interface *found = &walker->tables->interfaces[interface];
    if (opcode >= (direction == XD_EVENT ? found->events : found->requests) || watch > XD_WATCH_UNLESS_TAKEN)
        return -1;
    walker->interest[found->first_message + opcode + (direction == XD_EVENT ? found->requests : 0u)] = (uint8_t)watch;
    return 0;
}

int xd_walker_interest_of(xd_walker *walker, const xd_walker *other) {
    if (walker->tables != other->tables)
        return -1;
    memcpy(walker->interest, other->interest, walker->tables->message_count);
    return 0;
}

int xd_walker_adopt(xd_walker *walker, uint32_t object_id, uint32_t interface, uint32_t version) {
    struct step step = {.direction = XD_EVENT, .new_id = object_id, .new_interface = interface, .new_version = version};
    if (interface >= walker->tables->interface_count || !version || version > UINT8_MAX)
        return -1;
    return admit(walker, &step) || create(walker, &step) ? -1 : 0;
}
