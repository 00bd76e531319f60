/* Signature tables from their packed form (layout: protocols/generate.py). */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#define DESTRUCTOR_FLAG 1u
#define NULLABLE_FLAG 0x80u
#define HEADER_SIZE 6u
#define MESSAGE_HEADER_SIZE 8u

/* A cursor that stays at the end, and says so, once something did not fit. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    int failed;
};

static const uint8_t *take(struct reader *reader, size_t size) {
    static const uint8_t nothing[4];
    if ((size_t)(reader->end - reader->at) < size) {
        reader->failed = 1;
        reader->at = reader->end;
        return nothing;
    }
    const uint8_t *start = reader->at;
    reader->at += size;
    return start;
}

static uint8_t take_u8(struct reader *reader) { return *take(reader, 1); }

static uint16_t take_u16(struct reader *reader) {
    const uint8_t *bytes = take(reader, 2);
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* An argument takes at least 3 bytes and a message at least 4: so the arrays below, with one
 * entry for every 3 bytes, hold what any packed bytes of that size can say. */
static int allocate(xd_tables *tables, size_t size) {
    tables->interfaces = calloc(tables->interface_count + 1u, sizeof *tables->interfaces);
    tables->messages = calloc(size / 3 + 1, sizeof *tables->messages);
    tables->arguments = calloc(size / 3 + 1, sizeof *tables->arguments);
    return tables->interfaces && tables->messages && tables->arguments ? 0 : -1;
}

static int is_plain(const struct xd_argument *argument) {
    switch (argument->kind) {
    case XD_INT:
    case XD_UINT:
    case XD_FIXED:
    case XD_FD:
        return 1;
    default:
        return 0;
    }
}

static void read_message(xd_tables *tables, struct reader *reader) {
    struct xd_message *message = &tables->messages[tables->message_count++];
    take(reader, take_u8(reader));
    uint8_t flags = take_u8(reader);
    message->since = take_u8(reader);
    message->arguments = take_u8(reader);
    message->first_argument = tables->argument_count;
    message->flags = XD_PLAIN | (flags & DESTRUCTOR_FLAG ? XD_DESTRUCTOR : 0);
    message->plain_size = MESSAGE_HEADER_SIZE;
    for (unsigned number = 0; number < message->arguments && !reader->failed; number++) {
        struct xd_argument *argument = &tables->arguments[tables->argument_count++];
        uint8_t kind = take_u8(reader);
        argument->kind = kind & (uint8_t)~NULLABLE_FLAG;
        argument->nullable = (kind & NULLABLE_FLAG) != 0;
        argument->interface = take_u16(reader);
        if (argument->kind > XD_FD)
            reader->failed = 1;
        if (argument->interface != XD_NO_INTERFACE && argument->interface >= tables->interface_count)
            reader->failed = 1;
        /* A new_id without an interface is told its interface by the two arguments before it. */
        if (argument->kind == XD_NEW_ID && argument->interface == XD_NO_INTERFACE &&
            (number < 2 || argument[-2].kind != XD_STRING || argument[-1].kind != XD_UINT))
            reader->failed = 1;
        if (argument->kind == XD_FD)
            message->fds++;
        else
            message->plain_size = (uint16_t)(message->plain_size + 4);
        if (!is_plain(argument))
            message->flags &= (uint8_t)~XD_PLAIN;
    }
}

static void read_interface(xd_tables *tables, struct reader *reader, struct xd_interface *interface) {
    const uint8_t *start = reader->at;
    uint16_t size = take_u16(reader);
    interface->version = take_u16(reader);
    interface->requests = take_u8(reader);
    interface->events = take_u8(reader);
    interface->name_size = take_u8(reader);
    interface->name = take(reader, interface->name_size);
    interface->first_message = tables->message_count;
    unsigned messages = (unsigned)interface->requests + interface->events;
    for (unsigned number = 0; number < messages && !reader->failed; number++)
        read_message(tables, reader);
    if ((size_t)(reader->at - start) != size || interface->version > UINT8_MAX)
        reader->failed = 1;
}

static int compare_names(const struct xd_interface *first, const struct xd_interface *second) {
    size_t common = first->name_size < second->name_size ? first->name_size : second->name_size;
    int order = memcmp(first->name, second->name, common);
    return order ? order : (int)first->name_size - (int)second->name_size;
}

static int find_display(xd_tables *tables) {
    static const char name[] = "wl_display";
    for (uint32_t index = 0; index < tables->interface_count; index++) {
        const struct xd_interface *interface = &tables->interfaces[index];
        if (interface->name_size == sizeof name - 1 && !memcmp(interface->name, name, sizeof name - 1)) {
            tables->display = index;
            return 0;
        }
    }
    return -1;
}

static int read_tables(xd_tables *tables, size_t size) {
    struct reader reader = {tables->packed, tables->packed + size, 0};
    if (size < HEADER_SIZE || memcmp(take(&reader, 4), "XDT1", 4) != 0)
        return -1;
    tables->interface_count = take_u16(&reader);
    if (allocate(tables, size))
        return -1;
    for (uint32_t index = 0; index < tables->interface_count && !reader.failed; index++) {
        struct xd_interface *interface = &tables->interfaces[index];
        read_interface(tables, &reader, interface);
        if (index && !reader.failed && compare_names(interface - 1, interface) >= 0)
            return -1;
    }
    if (reader.failed || reader.at != reader.end)
        return -1;
    return find_display(tables);
}

xd_tables *xd_tables_load(const uint8_t *packed, size_t size) {
    xd_tables *tables = calloc(1, sizeof *tables);
    if (!tables)
        return NULL;
    tables->packed = malloc(size ? size : 1);
    if (tables->packed && size)
        memcpy(tables->packed, packed, size);
    if (!tables->packed || read_tables(tables, size)) {
        xd_tables_free(tables);
        return NULL;
    }
    return tables;
}

void xd_tables_free(xd_tables *tables) {
    if (!tables)
        return;
    free(tables->packed);
    free(tables->interfaces);
    free(tables->messages);
    free(tables->arguments);
    free(tables);
}
