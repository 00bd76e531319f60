/* Messages that pass; contract in passage.h. */
#define _GNU_SOURCE
#include "virtqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

_Static_assert((int)XD_LOCAL_MAX_PACKET <= (int)XD_SCRATCH, "a packet fits the scratch space");
_Static_assert((int)XD_LOCAL_HEADER_SIZE + (int)XD_SEND_RECEIVE_SIZE <= (int)XD_SCRATCH_HEADROOM, "headers fit before it");

/* Then other clients have their turn. */
enum { PACKETS_PER_TURN = 16 };

static uint8_t *scratch(xd_poller *poller) { return poller->scratch + XD_SCRATCH_HEADROOM; }

/* A reset is told once, before what had been sent until then; anything else is for others to judge. */
static enum xd_served failed(int64_t error) {
    return error == -EAGAIN || error == -EINTR || error == -ECONNRESET ? XD_SERVED : XD_DECLINED;
}

static enum xd_served hand_over(xd_poller *poller, enum xd_handed kind) {
    poller->handover.kind = kind;
    return XD_HANDED;
}

static enum xd_served hand_rest(xd_poller *poller, enum xd_handed kind, const uint8_t *data, uint32_t size) {
    poller->handover = (xd_handover){.kind = kind, .data = data, .size = size};
    return XD_HANDED;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void begin_time(xd_times *times) { times->began = times->walks++ % XD_TIMED ? 0 : now(); }

static void end_time(xd_times *times) {
    if (!times->began)
        return;
    uint64_t microseconds = (uint64_t)(now() - times->began) / 1000;
    microseconds += !microseconds;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(microseconds);
    uint32_t step = (uint32_t)(microseconds * XD_TIME_STEPS >> octave) - XD_TIME_STEPS;
    uint32_t class = octave * XD_TIME_STEPS + step;
    times->counts[class < XD_TIME_CLASSES ? class : XD_TIME_CLASSES - 1]++;
    times->began = 0;
}

int xd_passage_walk(xd_passage *passage, xd_poller *poller, int direction, const uint8_t *data, uint32_t size) {
    xd_ahead *ahead = &poller->ahead;
    passage->walker->ahead = NULL;
    begin_time(direction == XD_REQUEST ? &passage->times_to_host : &passage->times_to_guest);
    xd_walker_walk(passage->walker, direction, data, size, poller->records, XD_MAX_RECORDS, &ahead->walk);
    if (!ahead->walk.fault && !ahead->walk.records && ahead->walk.consumed == size)
        return 1;
    ahead->direction = direction;
    ahead->size = size;
    ahead->records = poller->records;
    passage->walker->ahead = ahead;
    return 0;
}

int xd_find_bytes(const uint8_t *commands, uint32_t size, const uint8_t **data, uint32_t *length) {
    if (size < XD_SEND_RECEIVE_SIZE || commands[0] != XD_COMMAND_SEND || xd_load(commands) >> 16 != size)
        return 0;
    *data = commands + XD_SEND_RECEIVE_SIZE;
    *length = xd_load(commands + 12);
    return xd_load(commands + 8) == 0 && *length <= size - XD_SEND_RECEIVE_SIZE;
}

uint32_t xd_passage_send(xd_passage *passage, const xd_walk *walk, const uint8_t *data, uint32_t length) {
    passage->sends++;
    passage->requests += walk->messages;
    passage->left -= walk->messages ? walk->messages : 1; /* an empty one takes time, too */
    passage->bytes_to_host += length;
    ssize_t sent = length ? send(passage->compositor_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    end_time(&passage->times_to_host);
    /* What is wrong with it is found again by who tries again. */
    return sent < 0 ? 0 : (uint32_t)sent;
}

static enum xd_served serve_packet(xd_passage *passage, xd_poller *poller) {
    const xd_handover *handover = &poller->handover;
    const uint8_t *packet = handover->data, *data;
    uint32_t length;
    if (handover->fd_count || handover->flags & (MSG_TRUNC | MSG_CTRUNC) || handover->size < XD_LOCAL_HEADER_SIZE ||
        xd_load(packet) != XD_LOCAL_SUBMIT ||
        !xd_find_bytes(packet + XD_LOCAL_HEADER_SIZE, handover->size - XD_LOCAL_HEADER_SIZE, &data, &length) ||
        !xd_passage_walk(passage, poller, XD_REQUEST, data, length))
        return hand_over(poller, XD_PACKET);
    uint32_t sent = xd_passage_send(passage, &poller->ahead.walk, data, length);
    return sent == length ? XD_SERVED : hand_rest(poller, XD_REQUESTS, data + sent, length - sent);
}

static enum xd_served serve_client(xd_port *port, int fd, xd_poller *poller) {
    xd_passage *passage = (xd_passage *)((uint8_t *)port - offsetof(xd_passage, client));
    if (!passage->to_host || passage->left <= 0)
        return XD_DECLINED;
    for (int packet = 0; packet < PACKETS_PER_TURN; packet++) {
        int64_t size = xd_receive(fd, scratch(poller), XD_LOCAL_MAX_PACKET, &poller->handover);
        if (size < 0)
            return failed(size);
        enum xd_served served = serve_packet(passage, poller);
        if (served != XD_SERVED || passage->left <= 0)
            return served;
    }
    return XD_SERVED;
}

/* Puts the header of a RECEIVE into the headroom; returns where it begins. */
static uint8_t *encode_receive(xd_poller *poller, uint32_t size) {
    uint8_t *receive = scratch(poller) - XD_SEND_RECEIVE_SIZE;
    memset(receive, 0, XD_SEND_RECEIVE_SIZE);
    xd_store(receive, XD_COMMAND_RECEIVE); /* hosts leave the size of an event 0 */
    xd_store(receive + 12, size);
    return receive;
}

/* Makes an event of the bytes at the scratch space; returns how many were taken. */
static uint32_t deliver(const xd_passage *passage, xd_poller *poller, uint32_t size, uint32_t room) {
    uint32_t taken = size < room ? size : room;
    uint8_t *receive = encode_receive(poller, taken), *packet = receive - XD_LOCAL_HEADER_SIZE;
    uint32_t length = XD_SEND_RECEIVE_SIZE + taken;
    if (passage->mailbox) {
        xd_mailbox_deliver(passage->mailbox, receive, length);
        return taken;
    }
    memset(packet, 0, XD_LOCAL_HEADER_SIZE);
    xd_store(packet, XD_LOCAL_EVENT);
    length += XD_LOCAL_HEADER_SIZE;
    return send(passage->client_fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? 0 : taken;
}

/* Bytes that an event may have now. */
static uint32_t room_for_event(const xd_passage *passage) {
    if (passage->mailbox)
        return xd_mailbox_room(passage->mailbox);
    return passage->has_room ? XD_MAX_EVENT_SIZE : 0;
}

static enum xd_served serve_compositor(xd_port *port, int fd, xd_poller *poller) {
    xd_passage *passage = (xd_passage *)((uint8_t *)port - offsetof(xd_passage, compositor));
    uint8_t *data = scratch(poller);
    uint32_t room = passage->to_guest && passage->reads_left > 0 ? room_for_event(passage) : 0;
    if (room <= XD_SEND_RECEIVE_SIZE)
        return XD_DECLINED;
    passage->reads_left--;
    int64_t received = xd_receive(fd, data, XD_MAX_EVENT_SIZE - XD_SEND_RECEIVE_SIZE, &poller->handover);
    if (received < 0)
        return failed(received);
    uint32_t size = (uint32_t)received;
    if (!size || poller->handover.fd_count || poller->handover.flags & MSG_CTRUNC ||
        !xd_passage_walk(passage, poller, XD_EVENT, data, size))
        return hand_over(poller, XD_EVENTS);
    uint32_t taken = deliver(passage, poller, size, room - XD_SEND_RECEIVE_SIZE);
    passage->bytes_to_guest += size;
    passage->events += taken != 0;
    if (taken == size)
        end_time(&passage->times_to_guest);
    return taken == size ? XD_SERVED : hand_rest(poller, XD_UNDELIVERED, data + taken, size - taken);
}

xd_passage *xd_passage_create(xd_walker *walker) {
    xd_passage *passage = calloc(1, sizeof *passage);
    if (!passage)
        return NULL;
    passage->client.serve = serve_client;
    passage->compositor.serve = serve_compositor;
    passage->walker = walker;
    passage->client_fd = passage->compositor_fd = -1;
    return passage;
}

void xd_passage_free(xd_passage *passage) { free(passage); }

void xd_passage_forget(xd_passage *passage) { passage->walker->ahead = NULL; }
