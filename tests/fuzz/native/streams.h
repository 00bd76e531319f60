/* What was said in one direction and what has come out again, and fds on their way, for targets that carry bytes. */
#ifndef FUZZ_STREAMS_H
#define FUZZ_STREAMS_H

#include "input.h"

#include <sys/socket.h>
#include <unistd.h>

enum { STREAM_SIZE = 1 << 22 };

struct stream {
    uint8_t bytes[STREAM_SIZE];
    size_t said;
    size_t heard;
};

static inline void say(struct stream *stream, const uint8_t *data, size_t size) {
    require(stream->said + size <= STREAM_SIZE, "the stream is too long");
    if (size)
        memcpy(stream->bytes + stream->said, data, size);
    stream->said += size;
}

static inline void hear(struct stream *stream, const uint8_t *data, size_t size) {
    require(size <= stream->said - stream->heard, "more came out than was said");
    require(!size || !memcmp(stream->bytes + stream->heard, data, size), "something else came out than was said");
    stream->heard += size;
}

/* The kernel gives out the lowest: one that stayed open, or was closed twice, shows here while all others are open. */
static inline int lowest_free_fd(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

/* Returns what sendmsg does. */
static inline ssize_t send_with_fd(int socket, const uint8_t *data, size_t size, int fd) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof fd)];
    } control = {.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iovec = {(void *)(uintptr_t)data, size};
    struct msghdr message = {
        .msg_iov = &iovec, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

#endif
