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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RING_SIZE = 4096, SLOTS = 2, SLOT_SIZE = RING_SIZE / SLOTS, BEFORE_DATA = 352, LOCAL_HEADER = 16, LOOKED_AT = 0x6b6f6f6c };

static struct stream requests, events;
static xd_loop *loop;
static xd_lane lane;
static int client, channel; /* the other ends */
static _Alignas(8) uint8_t ring[RING_SIZE];
static xd_ring shared = {.bytes = ring, .size = RING_SIZE};
static unsigned polls; /* that the host holds: so many events may it write into the ring */
static unsigned slot;  /* where the next one goes */
static unsigned untold; /* POLLs that are answered, and whose fences the guest's kernel does not know of yet */
static int failing; /* what the next ioctl fails with, or 0 */
static int is_broken; /* whether one has failed: a launcher ends then */
static int gives_back; /* whether the host answers a POLL without an event when there is another with a SEND */
static int64_t time_ns;
static int is_running;
static struct input *answers; /* what the host says as soon as it is sent something, where it does */
static struct input *meanwhile; /* the same while fences are read, once */
static struct input *runs; /* what the client says while it is waited for, where it does */

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

/* Time goes by where the core looks at it.  The fuzzer looks at another clock, from its alarm also in the middle of a
 * run, and would take one that began decades ago for a hang. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!is_running || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, time);
    time_ns += 150000;
    *time = (struct timespec){time_ns / 1000000000, time_ns % 1000000000};
    return 0;
}

static void say_events(struct input *input);

/* Nobody waits here. */
int epoll_wait(int fd, struct epoll_event *ready, int most, int timeout_ms) {
    (void)timeout_ms;
    return (int)syscall(SYS_epoll_pwait, fd, ready, most, 0, NULL, 8);
}

/* The node's events, as many as there are, up to one that is cut short, behind which nothing could be found; the host
 * may say something just before. */
ssize_t read(int fd, void *data, size_t size) {
    struct input *input = meanwhile;
    ssize_t got = 8, all = 0;
    if (!is_running || fd != lane.channel_fd)
        return syscall(SYS_read, fd, data, size);
    meanwhile = NULL;
    if (input)
        say_events(input);
    while (got == 8 && size - (size_t)all >= 8 && (got = recv(fd, (uint8_t *)data + all, 8, MSG_DONTWAIT)) > 0)
        all += got;
    errno = EAGAIN;
    return all ? all : -1;
}

static void say_requests(struct input *input);

/* A client that was woken runs; the sanitizers yield, too, once all is over. */
int sched_yield(void) {
    if (is_running && runs)
        say_requests(runs);
    return 0;
}

static uint32_t ring_word(unsigned of_slot, int index) {
    uint32_t word;
    memcpy(&word, ring + of_slot * SLOT_SIZE + 4 * index, sizeof word);
    return word;
}

static int has_events(void) { return ring_word(0, 0) || ring_word(1, 0); }

static int tell_fence(size_t size) {
    static const uint8_t fence[8] = {0, 0, 0, 0x90, 8};
    return send(channel, fence, size, MSG_DONTWAIT) == (ssize_t)size;
}

/* The guest is interrupted. */
static void tell_all(void) {
    while (untold && tell_fence(8))
        untold--;
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
    if (errno) {
        is_broken |= errno != EINTR;
        return -1;
    }
    const uint8_t *command = (const uint8_t *)(uintptr_t)fields[1];
    uint32_t flags = (uint32_t)fields[0];
    size_t size = fields[0] >> 32;
    if (flags) {
        require(flags == 4 && size >= 8 && command[0] == 3 && command[1] == 1 && command[2] == 8, "no POLL");
        require(size == 8 || shared.is_shared, "a POLL with something else");
        require(polls < (shared.is_shared ? SLOTS : 1), "too many POLLs");
        polls++;
        command += 8;
        size -= 8;
    }
    if (size || !flags)
        hear_send(command, size);
    if (!flags)
        tell_all();
    if (flags && size && gives_back) {
        polls--;
        untold++;
        tell_all();
    }
    if (size && answers)
        say_events(answers);
    return 0;
}

static void hear_all(void) {
    static uint8_t data[XD_LOCAL_MAX_PACKET];
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
    if (shared.is_shared && lane.ring && size > SLOT_SIZE - BEFORE_DATA)
        size = SLOT_SIZE - BEFORE_DATA;
    memset(packet, 0, sizeof packet);
    packet[0] = kind & 1 ? 0x84 : 0x82;
    event[0] = kind & 2 ? 6 : 5;
    event[8] = kind & 4 ? 1 : 0;
    uint32_t told = (uint32_t)size + (kind & 8 ? 0xfff0 : 0);
    memcpy(event + 12, &told, sizeof told);
    memcpy(event + BEFORE_DATA, data, size);
    size_t whole = kind & 16 ? size : LOCAL_HEADER + BEFORE_DATA + size;
    int is_plain = size && !(kind & (lane.ring ? 14 : 31 + 32));
    if (shared.is_shared && lane.ring && polls) {
        uint8_t *at = ring + slot * SLOT_SIZE;
        require(!ring_word(slot, 0), "an event that nobody has taken");
        memcpy(at + 8, event + 8, SLOT_SIZE - 8);
        memcpy(at, event, 4);
        polls--;
        untold++;
        if (ring_word(slot, 1) != LOOKED_AT || !polls || kind & 64)
            tell_all();
        slot = (slot + 1) % SLOTS;
        say(&events, data, is_plain ? size : 0);
    } else if (lane.ring && polls) {
        memcpy(ring, event, sizeof ring);
        polls = !tell_fence(kind & 64 ? 4 : 8) || kind & 64;
        say(&events, data, is_plain && !polls ? size : 0);
    } else if (lane.ring) {
        /* It has to wait. */
    } else if (kind & 32) {
        send_with_fd(channel, packet, whole, channel);
    } else if (send(channel, packet, whole, MSG_DONTWAIT) > 0 && is_plain) {
        say(&events, data, size);
    }
    free(data);
}

/* What launcher/channel/virtgpu.py does. */
static void read_shared_ring(void) {
    uint8_t fence[8];
    uint32_t told;
    while (recv(lane.channel_fd, fence, sizeof fence, MSG_DONTWAIT) == sizeof fence)
        shared.early--;
    while (xd_ring_has_event(&shared)) {
        const uint8_t *event = ring + shared.slot * SLOT_SIZE;
        memcpy(&told, event + 12, sizeof told);
        int is_plain = event[0] == 5 && !event[8] && told <= SLOT_SIZE - BEFORE_DATA;
        hear(&events, event + BEFORE_DATA, is_plain ? told : 0);
        xd_ring_clear(&shared);
    }
    while (xd_ring_lose_poll(&shared))
        ;
    if (!shared.polled) {
        shared.polled = 1;
        polls++;
    }
}

/* What Python reads itself. */
static void read_without_lane(void) {
    if (shared.is_shared && lane.ring && loop->fd == lane.channel_fd) {
        read_shared_ring();
        return;
    }
    static uint8_t data[XD_LOCAL_MAX_PACKET];
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
        polls = 1;
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
    int found = xd_loop_wait(loop, kind & 4 ? 5 : 0);
    for (int rounds = 0; found && rounds < 8; rounds++) {
        take_handed(kind & 1);
        if (kind & 2 && rounds == 1) {
            xd_loop_detach(loop, lane.client_fd);
            require(!xd_loop_attach(loop, &lane), "no memory");
        }
        found = xd_loop_next(loop);
    }
    hear_all();
    require(!lane.ring || (ring_word(0, 1) != LOOKED_AT && ring_word(1, 1) != LOOKED_AT), "nobody looks any more");
    require(!shared.is_shared || !has_events() || !untold, "an event that nobody was told of");
    uint8_t byte;
    int is_told = recv(lane.channel_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    if (!lane.ring || !shared.is_shared || is_told || is_broken || found)
        return;
    require(!has_events(), "an event is forgotten");
    require(polls && polls == shared.polled, "a POLL is lost");
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
    polls = shared.polled = 1;
    slot = shared.slot = 0;
    is_running = 1;
    untold = 0;
    is_broken = gives_back = 0;
    time_ns = 0;
    answers = runs = meanwhile = NULL;
    shared.is_shared = kind & 4 ? 1 : 0;
    shared.early = 0;
    memset(ring, shared.is_shared ? 0 : 0xff, sizeof ring);
    lane = (xd_lane){.ring = kind & 1 ? &shared : NULL, .max_send = kind & 2 ? 100 : 60000};
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
        case 6:
            kind = take_byte(&input);
            answers = kind & 1 ? &input : NULL;
            gives_back = kind >> 1 & 1;
            runs = kind & 4 ? &input : NULL;
            meanwhile = kind & 8 ? &input : NULL;
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
    is_running = 0;
    return 0;
}
