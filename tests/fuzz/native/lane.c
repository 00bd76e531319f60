/* A lane between any client and any host: no byte is lost, changed or out of order, and no fd stays open. */
#define _GNU_SOURCE
#include "lane.h"
#include "spoken.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RING_SIZE = 4096, BEFORE_DATA = 352, LOCAL_HEADER = 16 };

static struct stream requests, events;
static xd_loop *loop;
static xd_lane lane;
static int client, channel; /* the other ends */
static uint8_t ring[RING_SIZE];
static int is_polled; /* whether the host may write into the ring */
static int failing; /* what the next ioctl fails with, or 0 */

static void hear_send(const uint8_t *command, size_t size) {
    require(size > BEFORE_DATA && command[0] == 4 && !command[1], "no SEND");
    require((size_t)(command[2] | command[3] << 8) == size, "a SEND that tells another size");
    for (int index = 4; index < BEFORE_DATA; index++)
        require(!command[index] || (index >= 12 && index < 16), "a SEND with something before its data");
    uint32_t data;
    memcpy(&data, command + 12, sizeof data);
    require(data == size - BEFORE_DATA && data <= lane.max_send, "a SEND of another length");
    hear(&requests, command + BEFORE_DATA, data);
}

/* The node's EXECBUFFER. */
int ioctl(int fd, unsigned long request, ...) {
    uint64_t fields[8];
    va_list arguments;
    va_start(arguments, request);
    memcpy(fields, va_arg(arguments, void *), sizeof fields);
    va_end(arguments);
    require(fd == lane.channel_fd && request == 0xc0406442, "an unknown ioctl");
    errno = failing;
    failing = 0;
    if (errno)
        return -1;
    const uint8_t *command = (const uint8_t *)(uintptr_t)fields[1];
    uint32_t flags = (uint32_t)fields[0];
    if (flags) {
        require(flags == 4 && fields[0] >> 32 == 8 && command[0] == 3 && command[1] == 1, "no POLL");
        require(!is_polled, "two POLLs");
        is_polled = 1;
    } else {
        hear_send(command, fields[0] >> 32);
    }
    return 0;
}

static void hear_all(void) {
    static uint8_t data[XD_MAX_PACKET];
    ssize_t size;
    while ((size = recv(client, data, sizeof data, MSG_DONTWAIT)) > 0)
        hear(&events, data, (size_t)size);
    while (!lane.ring && (size = recv(channel, data, sizeof data, MSG_DONTWAIT)) > 0) {
        require(size > LOCAL_HEADER && data[0] == 2, "no SUBMIT");
        hear_send(data + LOCAL_HEADER, (size_t)size - LOCAL_HEADER);
    }
}

/* Something of the client's: it is said as far as its socket takes it. */
static void say_requests(struct input *input) {
    int kind = take_byte(input);
    size_t size;
    uint8_t *data = take_block(input, take_short(input) & 0xfff, &size);
    if (kind & 1 && size) {
        send_with_fd(client, data, size, client);
        say(&requests, data, size);
    } else {
        ssize_t sent = send(client, data, size, MSG_DONTWAIT);
        say(&requests, data, sent > 0 ? (size_t)sent : 0);
    }
    free(data);
}

/* Something of the host's: a RECEIVE, as it should be or not. */
static void say_events(struct input *input) {
    static uint8_t packet[LOCAL_HEADER + RING_SIZE];
    uint8_t *event = packet + LOCAL_HEADER;
    int kind = take_byte(input);
    size_t size;
    uint8_t *data = take_block(input, take_short(input) & 0x7ff, &size);
    memset(packet, 0, sizeof packet);
    packet[0] = kind & 1 ? 0x84 : 0x82;
    event[0] = kind & 2 ? 6 : 5;
    event[8] = kind & 4 ? 1 : 0;
    uint32_t told = (uint32_t)size + (kind & 8 ? 0xfff0 : 0);
    memcpy(event + 12, &told, sizeof told);
    memcpy(event + BEFORE_DATA, data, size);
    size_t whole = kind & 16 ? size : LOCAL_HEADER + BEFORE_DATA + size;
    int is_plain = size && !(kind & (lane.ring ? 14 : 31 + 32));
    if (lane.ring && is_polled) {
        static const uint8_t fence[8] = {0, 0, 0, 0x90, 8};
        memcpy(ring, event, sizeof ring);
        is_polled = send(channel, fence, kind & 64 ? 4 : 8, MSG_DONTWAIT) != 8;
        say(&events, data, is_plain && !is_polled ? size : 0);
    } else if (lane.ring) {
        /* It has to wait. */
    } else if (kind & 32) {
        send_with_fd(channel, packet, whole, channel);
    } else if (send(channel, packet, whole, MSG_DONTWAIT) > 0 && is_plain) {
        say(&events, data, size);
    }
    free(data);
}

/* What Python reads itself. */
static void read_without_lane(void) {
    static uint8_t data[XD_MAX_PACKET];
    struct iovec iovec = {data, sizeof data};
    struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};
    ssize_t size = recvmsg(loop->fd, &message, MSG_DONTWAIT);
    uint8_t *event = lane.ring ? ring : data + LOCAL_HEADER;
    uint32_t told;
    memcpy(&told, event + 12, sizeof told);
    ssize_t room = (lane.ring ? RING_SIZE : size - LOCAL_HEADER) - BEFORE_DATA;
    int is_event = event[0] == 5 && !event[8] && told <= room;
    if (loop->fd == lane.client_fd) {
        hear(&requests, data, size > 0 ? (size_t)size : 0);
    } else if (lane.ring && size == 8) {
        hear(&events, ring + BEFORE_DATA, is_event ? told : 0);
        is_polled = 1;
    } else if (!lane.ring && size >= LOCAL_HEADER + BEFORE_DATA && !message.msg_flags && data[0] == 0x82) {
        hear(&events, event + BEFORE_DATA, is_event ? told : 0);
    }
}

/* Python's part: it takes what it gets. */
static void take_handed(int keeps_fds) {
    hear_all();
    require(loop->walked <= loop->size, "more was walked than there is");
    require(!loop->size || (loop->data >= loop->buffer && loop->data + loop->size <= loop->buffer + sizeof loop->buffer), "outside of the buffer");
    if (loop->handed == XD_HANDED_REQUESTS)
        hear(&requests, loop->data, loop->size);
    if (loop->handed == XD_HANDED_EVENTS)
        hear(&events, loop->data, loop->size);
    if (!loop->handed)
        read_without_lane();
    while (keeps_fds && loop->fd_count)
        require(!close(xd_loop_take_fd(loop)), "an fd that is none");
}

static void serve(struct input *input) {
    int kind = take_byte(input);
    int found = xd_loop_wait(loop, 0);
    for (int rounds = 0; found && rounds < 8; rounds++) {
        take_handed(kind & 1);
        if (kind & 2 && rounds == 1) {
            xd_loop_detach(loop, lane.client_fd);
            require(!xd_loop_attach(loop, &lane), "no memory");
        }
        found = xd_loop_next(loop);
    }
    hear_all();
}

static void open_pair(int type, int *one, int *other, int epoll_fd) {
    int pair[2], size = 1;
    require(!socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), "no sockets");
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = pair[0]};
    require(!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair[0], &event), "no epoll");
    *one = pair[0];
    *other = pair[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), kind = take_byte(&input);
    requests.said = requests.heard = events.said = events.heard = 0;
    failing = 0;
    is_polled = 1;
    memset(ring, 0xff, sizeof ring);
    lane = (xd_lane){.ring = kind & 1 ? ring : NULL, .ring_size = RING_SIZE, .max_send = kind & 2 ? 100 : 60000};
    open_pair(SOCK_STREAM, &lane.client_fd, &client, epoll_fd);
    open_pair(SOCK_SEQPACKET, &lane.channel_fd, &channel, epoll_fd);
    lane.walker = xd_walker_create(tables, 1, 4096);
    loop = xd_loop_create(epoll_fd);
    require(lane.walker && loop && !xd_loop_attach(loop, &lane), "no memory");
    lane.allowance = 1 << 20;
    lane.passes_events = 1;
    const int lowest = lowest_free_fd();
    while (input.left) {
        switch (take_byte(&input) & 7) {
        case 0:
            lane.allowance = take_short(&input);
            lane.passes_events = take_byte(&input) & 3;
            break;
        case 1:
            failing = take_byte(&input) & 1 ? EINTR : ENOMEM;
            break;
        case 2:
        case 3:
            say_requests(&input);
            break;
        case 4:
        case 5:
            say_events(&input);
            serve(&input);
            break;
        default:
            serve(&input);
        }
    }
    xd_loop_free(loop);
    require(lowest_free_fd() == lowest, "fds stay open");
    xd_walker_free(lane.walker);
    const int fds[] = {lane.client_fd, client, lane.channel_fd, channel, epoll_fd};
    for (size_t index = 0; index < sizeof fds / sizeof *fds; index++)
        close(fds[index]);
    return 0;
}
