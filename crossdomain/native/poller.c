/* The loop around epoll_wait; contract in poller.h. */
#define _GNU_SOURCE
#include "poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

xd_poller *xd_poller_create(void) {
    xd_poller *poller = calloc(1, sizeof *poller);
    if (!poller)
        return NULL;
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll < 0) {
        int error = errno;
        free(poller);
        errno = error;
        return NULL;
    }
    return poller;
}

void xd_poller_free(xd_poller *poller) {
    if (!poller)
        return;
    close(poller->epoll);
    free(poller->slots);
    free(poller);
}

/* The fd's slot, which is made where there is none; NULL where memory is short. */
static struct xd_slot *slot_of(xd_poller *poller, int fd) {
    uint32_t number = (uint32_t)fd;
    if (number >= poller->slot_count) {
        uint32_t count = poller->slot_count ? poller->slot_count : 64;
        while (count <= number)
            count *= 2;
        struct xd_slot *slots = realloc(poller->slots, count * sizeof *slots);
        if (!slots)
            return NULL;
        memset(slots + poller->slot_count, 0, (count - poller->slot_count) * sizeof *slots);
        poller->slots = slots;
        poller->slot_count = count;
    }
    return &poller->slots[number];
}

/* What this round still has of the fd belongs to a file that may be closed, and its number in use again. */
static void forget(xd_poller *poller, int fd) {
    for (uint32_t index = poller->next; index < poller->count; index++)
        if (poller->events[index].data.fd == fd)
            poller->events[index].events = 0;
    for (uint32_t index = 0; index < poller->ready_count; index++)
        if (poller->ready[index] == fd)
            poller->ready_events[index] = 0;
}

int xd_poller_watch(xd_poller *poller, int fd, uint32_t events) {
    struct xd_slot *slot = fd < 0 ? NULL : slot_of(poller, fd);
    if (!slot)
        return fd < 0 ? -EBADF : -ENOMEM;
    struct epoll_event event = {.events = events, .data.fd = fd};
    int operation = !events ? EPOLL_CTL_DEL : slot->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (!events) {
        forget(poller, fd);
        slot->events = 0;
    }
    if (epoll_ctl(poller->epoll, operation, fd, &event))
        return -errno;
    slot->events = events;
    return 0;
}

int xd_poller_attach(xd_poller *poller, int fd, xd_port *port) {
    struct xd_slot *slot = fd < 0 ? NULL : slot_of(poller, fd);
    if (!slot)
        return fd < 0 ? -EBADF : -ENOMEM;
    slot->port = port;
    return 0;
}

/* Serves what is left of the round; returns the fd that something is handed over of, or XD_READY. */
static int serve_round(xd_poller *poller) {
    while (poller->next < poller->count) {
        const struct epoll_event *event = &poller->events[poller->next++];
        int fd = event->data.fd;
        const struct xd_slot *slot = &poller->slots[fd];
        enum xd_served served = XD_DECLINED;
        if (!event->events)
            continue;
        if (slot->port && slot->events == EPOLLIN)
            served = slot->port->serve(slot->port, fd, poller);
        if (served == XD_HANDED)
            return fd;
        if (served == XD_DECLINED) {
            poller->ready[poller->ready_count] = fd;
            poller->ready_events[poller->ready_count++] = event->events;
        }
    }
    return XD_READY;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int xd_poller_wait(xd_poller *poller, int milliseconds) {
    int64_t deadline = milliseconds > 0 ? now() + milliseconds : 0;
    if (poller->is_told)
        poller->ready_count = 0;
    poller->is_told = 0;
    /* What the last call has handed over was not the end of its round. */
    int handed = serve_round(poller);
    while (handed < 0 && !poller->ready_count) {
        int count = epoll_wait(poller->epoll, poller->events, XD_ROUND, milliseconds);
        poller->next = 0;
        poller->count = count > 0 ? (uint32_t)count : 0;
        if (count < 0 && errno != EINTR)
            return XD_FAILED;
        handed = serve_round(poller);
        if (count <= 0 || !milliseconds)
            break;
        if (milliseconds > 0) {
            int64_t left = deadline - now();
            milliseconds = left > 0 ? (int)left : 0;
        }
    }
    poller->is_told = handed < 0;
    return handed;
}

static void take_fds(struct msghdr *message, xd_handover *handover) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t);
        memcpy(handover->fds + handover->fd_count, CMSG_DATA(header), count * sizeof(int32_t));
        handover->fd_count += (uint32_t)count;
    }
}

int64_t xd_receive(int fd, uint8_t *buffer, uint32_t size, xd_handover *handover) {
    union {
        struct cmsghdr header; /* for its alignment */
        char space[CMSG_SPACE(XD_MAX_FDS * sizeof(int32_t))];
    } control;
    struct iovec vector = {buffer, size};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0)
        return -errno;
    handover->data = buffer;
    handover->size = (uint32_t)received;
    handover->flags = (uint32_t)message.msg_flags;
    handover->fd_count = 0;
    if (message.msg_controllen)
        take_fds(&message, handover);
    return received;
}
