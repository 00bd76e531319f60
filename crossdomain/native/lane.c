/* Serves lanes; contract in lane.h.  The layouts are those of crossdomain/abi: local.py and cross_domain.py, whose
 * tests hold them against what is sent here. */
#define _GNU_SOURCE
#include "lane.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_COMMAND 65535u
#define RECEIVE_SIZE 65536u

/* What is handed over --------------------------------------------------------------------- */

static void close_fds(xd_loop *loop) {
    while (loop->fd_count)
        close(loop->fds[--loop->fd_count]);
}

static void forget_handed(xd_loop *loop) {
    close_fds(loop);
    loop->handed = XD_HANDED_NOTHING;
    loop->size = loop->walked = loop->truncated = 0;
    loop->error = 0;
}

/* Returns 0: it is Python's. */
static int hand_over(xd_loop *loop, enum xd_lane_handed handed, const uint8_t *data, uint32_t size, uint32_t walked) {
    loop->handed = handed;
    loop->data = data;
    loop->size = size;
    loop->walked = walked;
    return 0;
}

int xd_loop_take_fd(xd_loop *loop) {
    if (!loop->fd_count)
        return -1;
    int fd = loop->fds[0];
    memmove(loop->fds, loop->fds + 1, --loop->fd_count * sizeof *loop->fds);
    return fd;
}

/* Reading and writing ---------------------------------------------------------------------- */

static void keep_fds(xd_loop *loop, struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t size = header->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            if (loop->fd_count < XD_MAX_HANDED_FDS)
                loop->fds[loop->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

/* recvmsg with its fds and flags kept in `loop`; never blocks. */
static ssize_t receive(xd_loop *loop, int fd, uint8_t *data, size_t size) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(XD_MAX_HANDED_FDS * sizeof(int))];
    } control;
    struct iovec iovec = {.iov_base = data, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &iovec, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received;
    do
        received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received >= 0) {
        keep_fds(loop, &message);
        loop->truncated = (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
    }
    return received;
}

/* Returns the bytes that were taken, or -1. */
static ssize_t send_now(int fd, const uint8_t *data, size_t size) {
    ssize_t sent;
    do
        sent = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/* POLLs ------------------------------------------------------------------------------------ */

static void owe_poll(xd_loop *loop, xd_lane *lane) {
    if (lane->owes_poll)
        return;
    lane->owes_poll = 1;
    lane->owes_since = loop->round;
    lane->next_owing = loop->owing;
    loop->owing = lane;
}

static void settle(xd_loop *loop, xd_lane *lane) {
    xd_lane **link = &loop->owing;
    while (*link != lane)
        link = &(*link)->next_owing;
    *link = lane->next_owing;
    lane->owes_poll = 0;
}

/* Sends the POLL that is owed, unless there is another.  Returns 0 or an errno. */
static int poll_alone(const xd_lane *lane) {
    return lane->ring->polled ? 0 : xd_ring_poll(lane->ring, lane->channel_fd);
}

/* Sends what was owed until that round; leaves those in `owing` that fail. */
static void pay(xd_loop *loop, uint64_t round) {
    for (xd_lane *lane = loop->owing, *next; lane; lane = next) {
        next = lane->next_owing;
        if (lane->owes_since > round)
            continue;
        if (!poll_alone(lane))
            settle(loop, lane);
    }
}

/* Returns whether a POLL fails, which is Python's to hear of. */
static int hand_failed(xd_loop *loop) {
    xd_lane *lane = loop->owing;
    if (!lane)
        return 0;
    int error = poll_alone(lane);
    settle(loop, lane);
    if (!error)
        return 0;
    forget_handed(loop);
    loop->error = error;
    loop->fd = lane->channel_fd;
    loop->events = EPOLLIN;
    hand_over(loop, XD_HANDED_EVENTS, loop->buffer, 0, 0);
    return 1;
}

/* Requests --------------------------------------------------------------------------------- */

/* Sends one SEND of that data, behind a POLL where the ring has room for one more event, and the copies that wait for
 * it; they all have room before it.  Returns whether it was taken. */
static int submit(xd_loop *loop, xd_lane *lane, uint8_t *data, uint32_t size) {
    uint32_t copies = lane->copies ? lane->copies->size : 0;
    uint32_t poll = lane->ring && xd_ring_has_room(lane->ring) ? XD_POLL_SIZE : 0;
    uint32_t before = poll + copies, length = before + XD_SEND_RECEIVE_SIZE + size;
    uint8_t *send = data - XD_SEND_RECEIVE_SIZE, *commands = send - before;
    memset(send, 0, XD_SEND_RECEIVE_SIZE);
    xd_store(send, XD_COMMAND_SEND | (XD_SEND_RECEIVE_SIZE + size) << 16);
    xd_store(send + 12, size);
    memcpy(commands, XD_POLL, poll);
    if (copies)
        memcpy(commands + poll, lane->copies->bytes, copies);
    if (lane->ring) {
        if (xd_ring_submit(lane->ring, lane->channel_fd, commands, length, poll != 0))
            return 0;
    } else {
        uint8_t *packet = commands - XD_LOCAL_HEADER_SIZE;
        memset(packet, 0, XD_LOCAL_HEADER_SIZE);
        xd_store(packet, XD_LOCAL_SUBMIT);
        length += XD_LOCAL_HEADER_SIZE;
        if (send_now(lane->channel_fd, packet, length) != (ssize_t)length)
            return 0;
    }
    if (lane->owes_poll)
        settle(loop, lane);
    if (copies)
        lane->copies->size = 0;
    return 1;
}

/* Bytes of data that one SEND may have. */
static uint32_t most_of(const xd_lane *lane) {
    uint32_t most = MAX_COMMAND - XD_SEND_RECEIVE_SIZE;
    return most < lane->max_send ? most : lane->max_send;
}

/* Bytes of one read: they make one SEND, but for a host that takes little at once. */
static uint32_t read_size(const xd_lane *lane) {
    uint32_t most = most_of(lane);
    return most > RECEIVE_SIZE / 2 ? most : RECEIVE_SIZE;
}

/* Sends what was read of the client; returns the bytes that were taken.  Overwrites them. */
static uint32_t submit_all(xd_loop *loop, xd_lane *lane, uint8_t *data, uint32_t size) {
    uint32_t most = most_of(lane);
    uint32_t sent = 0;
    while (sent < size) {
        uint32_t part = size - sent < most ? size - sent : most;
        if (!part || !submit(loop, lane, data + sent, part))
            break;
        sent += part;
    }
    return sent;
}

/* Events ----------------------------------------------------------------------------------- */

/* Returns the bytes of data of a RECEIVE without identifiers, which may be no hang-up, else 0. */
static uint32_t plain_size(const uint8_t *event, uint32_t size) {
    if (size < XD_SEND_RECEIVE_SIZE || event[0] != XD_COMMAND_RECEIVE || xd_load(event + 8))
        return 0;
    uint32_t data = xd_load(event + 12);
    return data <= size - XD_SEND_RECEIVE_SIZE ? data : 0;
}

/* Walks the data of a RECEIVE and sends it to the client.  Returns whether nothing is left for Python. */
static int pass_events(xd_loop *loop, const xd_lane *lane, const uint8_t *data, uint32_t size) {
    uint32_t walked = xd_walker_pass(lane->walker, XD_EVENT, data, size);
    uint32_t sent = 0;
    if (walked == size) {
        ssize_t taken = send_now(lane->client_fd, data, size);
        sent = taken > 0 ? (uint32_t)taken : 0;
    }
    return sent == size || hand_over(loop, XD_HANDED_EVENTS, data + sent, size - sent, walked - sent);
}

static int serve_socket(xd_loop *loop, const xd_lane *lane) {
    ssize_t received = receive(loop, lane->channel_fd, loop->buffer, XD_LOCAL_MAX_PACKET);
    if (received <= 0)
        return received < 0 && errno == EAGAIN;
    uint32_t size = (uint32_t)received, data = 0;
    if (size >= XD_LOCAL_HEADER_SIZE && xd_load(loop->buffer) == XD_LOCAL_EVENT && !loop->fd_count && !loop->truncated)
        data = plain_size(loop->buffer + XD_LOCAL_HEADER_SIZE, size - XD_LOCAL_HEADER_SIZE);
    if (!data)
        return hand_over(loop, XD_HANDED_PACKET, loop->buffer, size, 0);
    return pass_events(loop, lane, loop->buffer + XD_SEND_PREFIX, data);
}

/* Takes the event of that size that stands in the ring. */
static int take_event(xd_loop *loop, xd_lane *lane, uint32_t size) {
    /* The host writes into the ring again as soon as it is polled. */
    memcpy(loop->buffer, xd_ring_data(lane->ring), size);
    xd_note_answer(&lane->with_host);
    xd_note_told(&lane->with_client);
    loop->fd = lane->channel_fd;
    loop->events = EPOLLIN;
    if (lane->ring->is_shared) {
        xd_ring_clear(lane->ring);
        owe_poll(loop, lane);
        return pass_events(loop, lane, loop->buffer, size);
    }
    /* The client comes first: it may run meanwhile. */
    int passed = pass_events(loop, lane, loop->buffer, size);
    loop->error = xd_ring_poll(lane->ring, lane->channel_fd);
    return loop->error && passed ? hand_over(loop, XD_HANDED_EVENTS, loop->buffer, 0, 0) : passed;
}

static int serve_node(xd_loop *loop, xd_lane *lane) {
    xd_ring *ring = lane->ring;
    if (ring->is_shared) {
        xd_ring_take_fences(ring, lane->channel_fd);
        if (!xd_ring_has_event(ring)) {
            if (xd_ring_lose_poll(ring))
                owe_poll(loop, lane);
            return 1;
        }
    }
    /* One POLL is outstanding: what its fence tells of stands in the ring since before the fd was readable. */
    uint32_t size = xd_ring_plain_event(ring);
    if (!size)
        return 0;
    return ring->is_shared || xd_ring_take_fences(ring, lane->channel_fd) ? take_event(loop, lane, size) : 1;
}

static int serve_channel(xd_loop *loop, xd_lane *lane) {
    if (!lane->passes_events)
        return 0;
    return lane->ring ? serve_node(loop, lane) : serve_socket(loop, lane);
}

/* A client --------------------------------------------------------------------------------- */

/* Looks into the ring for an answer, which then comes without an interrupt; `looks` before what is answered. */
static int begin_to_look(const xd_loop *loop, xd_lane *lane) {
    int looks = lane->ring && lane->ring->is_shared && lane->passes_events &&
                loop->ready_next == loop->ready_count && xd_is_patient(&lane->with_host);
    if (looks)
        xd_ring_begin_to_look(lane->ring);
    return looks;
}

/* Returns whether nothing is left for Python. */
static int look(xd_loop *loop, xd_lane *lane) {
    xd_ring *ring = lane->ring;
    int64_t end = xd_now_ns() + XD_PATIENCE_NS;
    while (!xd_ring_has_event(ring) && xd_now_ns() < end)
        ;
    xd_ring_end_to_look(ring);
    if (!xd_ring_has_event(ring))
        return 1;
    uint32_t size = xd_ring_plain_event(ring);
    if (!size) {
        loop->fd = lane->channel_fd;
        loop->events = EPOLLIN;
        return 0;
    }
    return take_event(loop, lane, size);
}

/* Returns whether nothing is left for Python. */
static int serve_client(xd_loop *loop, xd_lane *lane) {
    uint8_t *data = loop->buffer + XD_MAX_COPIES + XD_SEND_PREFIX;
    if (!lane->allowance)
        return 0;
    ssize_t received = receive(loop, lane->client_fd, data, read_size(lane));
    if (received <= 0)
        /* The end, and errors, are still there for whoever reads next. */
        return received < 0 && errno == EAGAIN;
    uint32_t size = (uint32_t)received, sent = 0;
    uint32_t walked = xd_walker_pass(lane->walker, XD_REQUEST, data, size);
    if (walked != size || size > lane->allowance || loop->fd_count || loop->truncated)
        return hand_over(loop, XD_HANDED_REQUESTS, data, size, walked);
    xd_note_answer(&lane->with_client);
    int looks = begin_to_look(loop, lane);
    sent = submit_all(loop, lane, data, size);
    xd_note_told(&lane->with_host);
    lane->allowance -= sent;
    if (sent == size)
        return looks ? look(loop, lane) : 1;
    if (looks)
        xd_ring_end_to_look(lane->ring);
    return hand_over(loop, XD_HANDED_REQUESTS, data + sent, size - sent, walked - sent);
}

/* Rounds ----------------------------------------------------------------------------------- */

static struct xd_lane_slot *slot_of(xd_loop *loop, int fd) {
    return fd >= 0 && (uint32_t)fd < loop->slot_count ? &loop->slots[fd] : NULL;
}

static int serve(xd_loop *loop) {
    const struct xd_lane_slot *slot = slot_of(loop, loop->fd);
    if (!slot || !slot->lane || loop->events != EPOLLIN)
        return 0;
    return slot->is_channel ? serve_channel(loop, slot->lane) : serve_client(loop, slot->lane);
}

static int serve_round(xd_loop *loop) {
    forget_handed(loop);
    while (loop->ready_next < loop->ready_count) {
        const struct epoll_event *event = &loop->ready[loop->ready_next++];
        loop->fd = event->data.fd;
        loop->events = event->events;
        if (loop->fd < 0)
            continue;
        if (!serve(loop))
            return 1;
        loop->served++;
    }
    return 0;
}

int xd_loop_next(xd_loop *loop) {
    int is_pythons = serve_round(loop);
    pay(loop, loop->round);
    return is_pythons ? is_pythons : hand_failed(loop);
}

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int expects_send(const xd_loop *loop) {
    for (const xd_lane *lane = loop->owing; lane; lane = lane->next_owing)
        if (xd_is_patient(&lane->with_client))
            return 1;
    return 0;
}

/* Waits awake for a SEND that a POLL can go with; returns what is ready. */
static int wait_for_send(xd_loop *loop) {
    int64_t end = xd_now_ns() + XD_PATIENCE_NS;
    int ready;
    do {
        sched_yield(); /* the client may have been woken here */
        ready = epoll_wait(loop->epoll_fd, loop->ready, XD_MAX_READY, 0);
    } while (!ready && xd_now_ns() < end);
    return ready;
}

/* Returns as xd_loop_wait does, after one round. */
static int wait_round(xd_loop *loop, int timeout_ms) {
    loop->ready_next = 0;
    loop->ready_count = expects_send(loop) ? wait_for_send(loop) : 0;
    if (!loop->ready_count) {
        pay(loop, loop->round);
        if (loop->owing)
            return 0;
        loop->ready_count = epoll_wait(loop->epoll_fd, loop->ready, XD_MAX_READY, timeout_ms);
    }
    if (loop->ready_count < 0) {
        loop->ready_count = 0;
        return -errno;
    }
    uint64_t before = loop->round++;
    int is_pythons = serve_round(loop);
    pay(loop, before);
    return is_pythons;
}

int xd_loop_wait(xd_loop *loop, int timeout_ms) {
    int64_t end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
    for (;;) {
        int found = wait_round(loop, timeout_ms);
        if (found || !loop->ready_count || timeout_ms == 0) {
            pay(loop, loop->round);
            return found ? found : hand_failed(loop);
        }
        if (timeout_ms > 0) {
            int64_t left = end - now_ms();
            timeout_ms = left > 0 ? (int)left : 0;
        }
    }
}

xd_loop *xd_loop_create(int epoll_fd) {
    xd_loop *loop = calloc(1, sizeof *loop);
    if (loop)
        loop->epoll_fd = epoll_fd;
    return loop;
}

void xd_loop_free(xd_loop *loop) {
    if (!loop)
        return;
    close_fds(loop);
    free(loop->slots);
    free(loop);
}

static int make_room(xd_loop *loop, int fd) {
    uint32_t count = (uint32_t)fd + 1;
    if (fd < 0)
        return -1;
    if (count <= loop->slot_count)
        return 0;
    count = count < 64 ? 64 : count * 2;
    struct xd_lane_slot *slots = realloc(loop->slots, count * sizeof *slots);
    if (!slots)
        return -1;
    memset(slots + loop->slot_count, 0, (count - loop->slot_count) * sizeof *slots);
    loop->slots = slots;
    loop->slot_count = count;
    return 0;
}

int xd_loop_attach(xd_loop *loop, xd_lane *lane) {
    if (make_room(loop, lane->client_fd) || make_room(loop, lane->channel_fd))
        return -1;
    loop->slots[lane->client_fd] = (struct xd_lane_slot){lane, 0};
    loop->slots[lane->channel_fd] = (struct xd_lane_slot){lane, 1};
    return 0;
}

void xd_loop_detach(xd_loop *loop, int fd) {
    struct xd_lane_slot *slot = slot_of(loop, fd);
    if (slot && slot->lane && slot->lane->owes_poll)
        settle(loop, slot->lane);
    if (slot)
        *slot = (struct xd_lane_slot){0};
    for (int index = loop->ready_next; index < loop->ready_count; index++)
        if (loop->ready[index].data.fd == fd)
            loop->ready[index].data.fd = -1;
}
