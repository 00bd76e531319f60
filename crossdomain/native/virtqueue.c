/* Chains, commands and events of a VM's clients; contract in virtqueue.h. */
#define _GNU_SOURCE
#include "virtqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHAINS_PER_TURN = 64, /* then other rings and clients have their turn */
    COPIED_PER_TURN = 1 << 30, /* bytes: some 0.2 s */
    MAX_DESCRIPTORS = 64, /* of a chain that is looked at here */
    DESCRIPTOR_SIZE = 16,
    /* crossdomain/abi/virtio_gpu.py */
    F_NEXT = 1,
    F_WRITE = 2,
    F_INDIRECT = 4,
    NO_INTERRUPT = 1,
    NO_NOTIFY = 1,
    RING_HEADER = 4,
    USED_ELEMENT = 8,
    CTRL_HDR = 24,
    SUBMIT_DATA = 32,
    SUBMIT_3D = 0x0207,
    RESP_OK_NODATA = 0x1100,
    FLAG_FENCE = 1,
    FLAG_INFO_RING_IDX = 2,
    RING_WORDS = 8, /* bytes of a channel ring that are written last: Feature.SHARED_RING */
};

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

_Static_assert(sizeof(struct descriptor) == DESCRIPTOR_SIZE, "a descriptor is read as it lies there");

static uint64_t load_long(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint16_t *word_at(uint64_t address) { return (uint16_t *)(uintptr_t)address; }

/* Guest memory --------------------------------------------------------------------------- */

/* Where those bytes of the guest's are; NULL where they don't lie in one region. */
static uint8_t *locate(const xd_device *device, uint64_t guest_address, uint64_t size) {
    uint32_t low = 0, high = device->region_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (device->regions[middle].guest_address <= guest_address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    const xd_region *region = &device->regions[low - 1];
    uint64_t offset = guest_address - region->guest_address;
    if (size > region->size || offset > region->size - size)
        return NULL;
    return (uint8_t *)(uintptr_t)(region->address + offset);
}

int xd_device_map(xd_device *device, const xd_region *regions, uint32_t count) {
    free(device->regions);
    device->region_count = 0;
    device->queue.is_open = 0;
    device->regions = count ? malloc(count * sizeof *regions) : NULL;
    if (!count)
        return 0;
    if (!device->regions)
        return -1;
    memcpy(device->regions, regions, count * sizeof *regions);
    device->region_count = count;
    return 0;
}

/* The queue ------------------------------------------------------------------------------ */

static void store_flags(const xd_queue *queue, uint16_t flags) {
    __atomic_store_n(word_at(queue->used), flags, __ATOMIC_RELAXED);
    /* The driver sees it before we look for what it has added, or sees us look. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Whether the next chain is there, and the ring is as it may be. */
static int is_ready(const xd_queue *queue) {
    uint16_t index = __atomic_load_n(word_at(queue->available + 2), __ATOMIC_ACQUIRE);
    return index != queue->next_available;
}

static void push(xd_queue *queue, uint32_t head, uint32_t written) {
    uint32_t element[2] = {head, written};
    uint32_t at = RING_HEADER + USED_ELEMENT * (queue->used_index & (queue->size - 1));
    memcpy((uint8_t *)(uintptr_t)queue->used + at, element, sizeof element);
    queue->used_index++;
    queue->under_way--;
    __atomic_store_n(word_at(queue->used + 2), queue->used_index, __ATOMIC_RELEASE);
}

static void interrupt(xd_device *device) {
    uint64_t one = 1;
    device->quiet = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (device->call_fd < 0 || __atomic_load_n(word_at(device->queue.available), __ATOMIC_RELAXED) & NO_INTERRUPT)
        return;
    /* A full counter is a signal already; a VMM that is gone says so elsewhere. */
    ssize_t written = write(device->call_fd, &one, sizeof one);
    (void)written;
}

/* Answers OK_NODATA.  The chain's first buffer had room for it when it was taken; the memory may be gone since. */
static void answer(xd_device *device, const xd_chain *chain) {
    uint8_t header[CTRL_HDR] = {0};
    uint32_t type = RESP_OK_NODATA, flags = chain->flags & (FLAG_FENCE | FLAG_INFO_RING_IDX);
    memcpy(header, &type, sizeof type);
    if (flags & FLAG_FENCE) {
        memcpy(header + 4, &flags, sizeof flags);
        memcpy(header + 8, &chain->fence_id, sizeof chain->fence_id);
        memcpy(header + 16, &chain->ctx_id, sizeof chain->ctx_id);
        header[20] = (uint8_t)chain->ring_idx;
    }
    uint8_t *buffer = locate(device, chain->writable[0].guest_address, CTRL_HDR);
    if (buffer)
        memcpy(buffer, header, CTRL_HDR);
    push(&device->queue, chain->head, buffer ? CTRL_HDR : 0);
}

/* Takes a descriptor's bytes or notes its room; returns 0 where the chain is none for here. */
static int take_descriptor(const xd_device *device, const struct descriptor *descriptor, xd_chain *chain,
                           uint8_t *request, uint32_t *size) {
    if (descriptor->flags & F_INDIRECT)
        return 0;
    if (descriptor->flags & F_WRITE) {
        if (chain->writable_count == XD_MAX_WRITABLE)
            return 0;
        chain->writable[chain->writable_count++] = (xd_span){descriptor->address, descriptor->length};
        return 1;
    }
    if (chain->writable_count || descriptor->length > XD_SCRATCH - *size)
        return 0;
    const uint8_t *bytes = locate(device, descriptor->address, descriptor->length);
    if (!bytes)
        return 0;
    memcpy(request + *size, bytes, descriptor->length);
    *size += descriptor->length;
    return 1;
}

/* Copies the next chain's request, without taking it; returns 0 where it is none for here. */
static int read_chain(const xd_device *device, xd_chain *chain, uint8_t *request, uint32_t *size) {
    const xd_queue *queue = &device->queue;
    uint64_t at = queue->available + RING_HEADER + 2u * (queue->next_available & (queue->size - 1));
    uint16_t index = __atomic_load_n(word_at(queue->available + 2), __ATOMIC_ACQUIRE);
    uint32_t head = *(volatile uint16_t *)word_at(at), count = queue->size;
    const uint8_t *table = (const uint8_t *)(uintptr_t)queue->descriptors;
    struct descriptor descriptor;
    *size = 0;
    *chain = (xd_chain){.head = head};
    if (head >= queue->size || (uint16_t)(index - queue->next_available) > queue->size ||
        queue->under_way >= queue->most)
        return 0;
    memcpy(&descriptor, table + head * DESCRIPTOR_SIZE, sizeof descriptor);
    if (descriptor.flags & F_INDIRECT) {
        count = descriptor.length / DESCRIPTOR_SIZE;
        if (descriptor.flags & F_NEXT || descriptor.length % DESCRIPTOR_SIZE || !count || count > MAX_DESCRIPTORS)
            return 0;
        table = locate(device, descriptor.address, descriptor.length);
        if (!table)
            return 0;
        memcpy(&descriptor, table, sizeof descriptor);
    }
    for (uint32_t taken = 0; taken < MAX_DESCRIPTORS; taken++) {
        if (!take_descriptor(device, &descriptor, chain, request, size))
            return 0;
        if (!(descriptor.flags & F_NEXT))
            return chain->writable_count && chain->writable[0].size >= CTRL_HDR &&
                   locate(device, chain->writable[0].guest_address, CTRL_HDR);
        if (descriptor.next >= count)
            return 0;
        memcpy(&descriptor, table + descriptor.next * DESCRIPTOR_SIZE, sizeof descriptor);
    }
    return 0;
}

static void take(xd_queue *queue) {
    queue->next_available++;
    queue->under_way++;
}

/* Commands ------------------------------------------------------------------------------- */

static struct xd_context *find_context(const xd_device *device, uint32_t ctx_id) {
    uint32_t low = 0, high = device->context_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (device->contexts[middle].ctx_id < ctx_id)
            low = middle + 1;
        else
            high = middle;
    }
    return &device->contexts[low]; /* where it is, or would be */
}

int xd_device_set_context(xd_device *device, uint32_t ctx_id, xd_passage *passage) {
    struct xd_context *found = device->context_count ? find_context(device, ctx_id) : device->contexts;
    uint32_t at = device->context_count ? (uint32_t)(found - device->contexts) : 0;
    uint32_t behind = device->context_count - at;
    int is_there = behind && found->ctx_id == ctx_id;
    if (is_there && !passage) {
        memmove(found, found + 1, (behind - 1) * sizeof *found);
        device->context_count--;
    } else if (is_there) {
        found->passage = passage;
    } else if (passage) {
        if (device->context_count == device->context_capacity) {
            uint32_t capacity = device->context_capacity ? device->context_capacity * 2 : 16;
            struct xd_context *contexts = realloc(device->contexts, capacity * sizeof *contexts);
            if (!contexts)
                return -1;
            device->contexts = contexts;
            device->context_capacity = capacity;
        }
        memmove(device->contexts + at + 1, device->contexts + at, behind * sizeof *found);
        device->contexts[at] = (struct xd_context){ctx_id, passage};
        device->context_count++;
    }
    return 0;
}

static int can_hold(const xd_mailbox *mailbox) { return !mailbox->others && mailbox->poll_count < XD_MAX_POLLS; }

/* The bytes of the POLL that the commands begin with, where it can be held until there is an event; else 0. */
static uint32_t find_poll(const xd_passage *passage, const xd_chain *chain, const uint8_t *commands, uint32_t size) {
    const xd_mailbox *mailbox = passage->mailbox;
    if (size < XD_COMMAND_HEADER || commands[0] != XD_COMMAND_POLL || chain->ring_idx != XD_CHANNEL_RING || !mailbox ||
        !mailbox->run_count || !can_hold(mailbox) || !passage->to_guest)
        return 0;
    uint32_t length = xd_load(commands) >> 16;
    return length >= XD_COMMAND_HEADER && length <= size ? length : 0;
}

/* Carries the next command out; XD_DECLINED where it is still in the queue. */
static enum xd_served execute(xd_device *device, xd_poller *poller) {
    uint8_t *request = poller->scratch + XD_SCRATCH_HEADROOM;
    const uint8_t *data;
    uint32_t size, length;
    xd_chain *chain = &device->chain;
    if (!read_chain(device, chain, request, &size) || size < SUBMIT_DATA || xd_load(request) != SUBMIT_3D)
        return XD_DECLINED;
    chain->flags = xd_load(request + 4);
    chain->fence_id = load_long(request + 8);
    chain->ctx_id = xd_load(request + 16);
    chain->ring_idx = request[20];
    const struct xd_context *context = device->context_count ? find_context(device, chain->ctx_id) : NULL;
    uint32_t submitted = xd_load(request + CTRL_HDR);
    if (!context || context == device->contexts + device->context_count || context->ctx_id != chain->ctx_id ||
        submitted > size - SUBMIT_DATA)
        return XD_DECLINED;
    xd_passage *passage = context->passage;
    const uint8_t *commands = request + SUBMIT_DATA;
    uint32_t poll = 0;
    if ((chain->flags & (FLAG_FENCE | FLAG_INFO_RING_IDX)) == (FLAG_FENCE | FLAG_INFO_RING_IDX) && chain->ring_idx) {
        poll = find_poll(passage, chain, commands, submitted);
        if (!poll)
            return XD_DECLINED;
        if (poll == submitted) {
            take(&device->queue);
            xd_mailbox_hold(passage->mailbox, chain);
            return XD_SERVED;
        }
        commands += poll; /* a SEND that goes with it: the fence is the POLL's */
        submitted -= poll;
    }
    int64_t copies = passage->to_host && passage->left > 0 ? xd_routes_find(&passage->routes, commands, submitted) : -1;
    if (copies < 0 || !xd_find_bytes(commands + copies, submitted - (uint32_t)copies, &data, &length))
        return XD_DECLINED;
    take(&device->queue);
    poller->handover = (xd_handover){.kind = XD_COMMAND, .data = request, .size = size};
    if (!xd_passage_walk(passage, poller, XD_REQUEST, data, length))
        return XD_HANDED;
    device->copied += xd_routes_copy(&passage->routes, commands, (uint32_t)copies);
    uint32_t sent = xd_passage_send(passage, &poller->ahead.walk, data, length);
    if (poll)
        xd_mailbox_hold(passage->mailbox, chain);
    else
        answer(device, chain);
    if (sent == length)
        return XD_SERVED;
    poller->handover = (xd_handover){.kind = XD_REQUESTS, .data = data + sent, .size = length - sent};
    return XD_HANDED;
}

static enum xd_served hand_queue(xd_poller *poller) {
    poller->handover = (xd_handover){.kind = XD_QUEUE};
    return XD_HANDED;
}

/* Carries out what is there; returns XD_SERVED where nothing is left. */
static enum xd_served drain(xd_device *device, xd_poller *poller) {
    xd_queue *queue = &device->queue;
    device->copied = 0;
    for (int chain = 0; chain < CHAINS_PER_TURN && device->copied < COPIED_PER_TURN; chain++) {
        if (!is_ready(queue)) {
            store_flags(queue, 0);
            /* The driver may have added one before it saw that we want kicks again. */
            if (!is_ready(queue))
                return XD_SERVED;
            store_flags(queue, NO_NOTIFY);
        }
        enum xd_served served = execute(device, poller);
        if (served == XD_DECLINED)
            return hand_queue(poller);
        if (served == XD_HANDED)
            return XD_HANDED;
    }
    return XD_DECLINED;
}

static enum xd_served serve_kick(xd_port *port, int fd, xd_poller *poller) {
    xd_device *device = (xd_device *)((uint8_t *)port - offsetof(xd_device, kick));
    uint64_t count = 1;
    uint16_t before = device->queue.used_index;
    if (!device->queue.is_open || read(fd, &count, sizeof count) != sizeof count)
        return XD_DECLINED; /* whoever waits for it finds out what is wrong */
    store_flags(&device->queue, NO_NOTIFY);
    enum xd_served served = drain(device, poller);
    if (device->queue.used_index != before)
        interrupt(device);
    if (served != XD_DECLINED)
        return served;
    /* There is more: we kick ourselves, once others have had their turn. */
    count = 1;
    return write(fd, &count, sizeof count) == sizeof count ? XD_SERVED : hand_queue(poller);
}

xd_device *xd_device_create(void) {
    xd_device *device = calloc(1, sizeof *device);
    if (!device)
        return NULL;
    device->kick.serve = serve_kick;
    device->call_fd = -1;
    return device;
}

void xd_device_free(xd_device *device) {
    if (!device)
        return;
    free(device->regions);
    free(device->contexts);
    free(device);
}

/* Events --------------------------------------------------------------------------------- */

xd_mailbox *xd_mailbox_create(xd_device *device) {
    xd_mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (mailbox) {
        mailbox->device = device;
        mailbox->slots = 1;
    }
    return mailbox;
}

void xd_mailbox_free(xd_mailbox *mailbox) { free(mailbox); }

/* So many POLLs that a queue has no room for anything else must never be held: half of it is for second ones. */
static int are_chains_scarce(const xd_queue *queue) { return queue->is_open && queue->under_way > queue->most / 2; }

int xd_mailbox_hold(xd_mailbox *mailbox, const xd_chain *chain) {
    xd_chain oldest;
    if (!can_hold(mailbox) || !chain->writable_count || chain->writable[0].size < CTRL_HDR)
        return 0;
    if (mailbox->slots > 1 && are_chains_scarce(&mailbox->device->queue) && xd_mailbox_take(mailbox, &oldest))
        answer(mailbox->device, &oldest);
    mailbox->polls[mailbox->poll_count++] = *chain;
    return 1;
}

int xd_mailbox_take(xd_mailbox *mailbox, xd_chain *chain) {
    if (!mailbox->poll_count)
        return 0;
    *chain = mailbox->polls[0];
    mailbox->poll_count--;
    memmove(mailbox->polls, mailbox->polls + 1, mailbox->poll_count * sizeof *chain);
    return 1;
}

static uint32_t slot_size(const xd_mailbox *mailbox) { return mailbox->size / mailbox->slots; }

/* Bytes of the ring before the next event. */
static uint64_t slot_begin(const xd_mailbox *mailbox) { return (uint64_t)mailbox->slot * slot_size(mailbox); }

/* Writes what follows the first words of the event. */
static void write_rest(const xd_mailbox *mailbox, const uint8_t *event, uint32_t size) {
    uint64_t skipped = slot_begin(mailbox) + RING_WORDS;
    for (uint32_t index = 0, at = RING_WORDS; at < size; index++) {
        const xd_span *run = &mailbox->runs[index];
        if (run->size <= skipped) {
            skipped -= run->size;
            continue;
        }
        uint64_t most = run->size - skipped;
        uint32_t part = most < size - at ? (uint32_t)most : size - at;
        memcpy(locate(mailbox->device, run->guest_address + skipped, part), event + at, part);
        at += part;
        skipped = 0;
    }
}

/* Where the slot's first words are, which are looked at; NULL where they are none that can be. */
static uint32_t *find_words(const xd_mailbox *mailbox) {
    const xd_span *run = mailbox->runs, *end = run + mailbox->run_count;
    uint64_t skipped = slot_begin(mailbox);
    for (; run < end && run->size <= skipped; run++)
        skipped -= run->size;
    if (run == end || run->size - skipped < RING_WORDS)
        return NULL;
    uint8_t *words = locate(mailbox->device, run->guest_address + skipped, RING_WORDS);
    return (uintptr_t)words % sizeof(uint32_t) ? NULL : (uint32_t *)(void *)words;
}

uint32_t xd_mailbox_room(const xd_mailbox *mailbox) {
    uint32_t size = slot_size(mailbox), room = size < XD_MAX_EVENT_SIZE ? size : XD_MAX_EVENT_SIZE;
    uint64_t left = slot_begin(mailbox) + room;
    if (!mailbox->poll_count || !mailbox->device->queue.is_open)
        return 0;
    for (uint32_t index = 0; index < mailbox->run_count && left; index++) {
        const xd_span *run = &mailbox->runs[index];
        uint64_t part = run->size < left ? run->size : left;
        if (!locate(mailbox->device, run->guest_address, part))
            return 0;
        left -= part;
    }
    return left || !find_words(mailbox) ? 0 : room;
}

/* Whether the guest looks into the ring, and sees what was written there. */
static int is_looked_at(const uint32_t *words) {
    return __atomic_load_n(&words[1], __ATOMIC_RELAXED) == XD_RING_LOOKED_AT;
}

void xd_mailbox_deliver(xd_mailbox *mailbox, const uint8_t *event, uint32_t size) {
    xd_device *device = mailbox->device;
    uint32_t *words = find_words(mailbox);
    xd_chain chain;
    int is_seen;
    write_rest(mailbox, event, size);
    if (!is_looked_at(words))
        __atomic_store_n(&words[1], xd_load(event + 4), __ATOMIC_RELAXED);
    __atomic_store_n(&words[0], xd_load(event), __ATOMIC_RELEASE);
    /* The guest sees it before it stops looking, or we see that it has stopped. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    is_seen = is_looked_at(words);
    mailbox->slot = (mailbox->slot + 1) % mailbox->slots;
    if (xd_mailbox_take(mailbox, &chain))
        answer(device, &chain);
    /* A guest that has no POLL left, and takes one that was given back for another, has to hear of all. */
    if (!is_seen || !mailbox->poll_count || ++device->quiet == XD_MAX_QUIET)
        interrupt(device);
}
