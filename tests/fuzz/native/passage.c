/* The passage of a local client: packets of any bytes with any fds, a compositor that says anything with fds, and
 * neither of them reads when he should.  No byte is lost, changed or out of order, and no fd stays open. */
#define _GNU_SOURCE
#include "passage.h"
#include "spoken.h"
#include "streams.h"

enum { BEFORE_DATA = XD_LOCAL_HEADER_SIZE + XD_SEND_RECEIVE_SIZE, ROUNDS = 8 };

static struct stream requests, events;
static xd_poller *poller;
static xd_passage *passage;
static int launcher, compositor; /* the other ends */
static uint8_t packet[BEFORE_DATA + 0x1000];

/* What has arrived at the compositor, or at the launcher, in C's way. */
static void hear_requests(void) {
    static uint8_t data[1 << 16];
    ssize_t size;
    while ((size = recv(compositor, data, sizeof data, MSG_DONTWAIT)) > 0)
        hear(&requests, data, (size_t)size);
}

static void hear_events(void) {
    static uint8_t data[XD_LOCAL_MAX_PACKET];
    ssize_t size;
    while ((size = recv(launcher, data, sizeof data, MSG_DONTWAIT)) > 0) {
        uint32_t told;
        require(size > BEFORE_DATA && data[0] == XD_LOCAL_EVENT && data[XD_LOCAL_HEADER_SIZE] == XD_COMMAND_RECEIVE, "no RECEIVE");
        memcpy(&told, data + XD_LOCAL_HEADER_SIZE + 12, sizeof told);
        require(told == (uint32_t)size - BEFORE_DATA, "a RECEIVE that tells another length");
        hear(&events, data + BEFORE_DATA, told);
    }
}

/* A SUBMIT of one SEND, as it should be or not, with an fd or without; or any bytes. */
static void say_packet(struct input *input) {
    uint32_t kind = take_byte(input);
    size_t size;
    uint8_t *data = take_block(input, take_short(input) & 0x7ff, &size);
    uint32_t told = (uint32_t)size + (kind & 1 ? 1 : 0), identifiers = kind & 2 ? 1 : 0;
    uint32_t command = XD_COMMAND_SEND | (uint32_t)(XD_SEND_RECEIVE_SIZE + size + (kind & 4 ? 8 : 0)) << 16;
    size_t whole = kind & 8 ? size : BEFORE_DATA + size;
    memset(packet, 0, BEFORE_DATA);
    packet[0] = kind & 16 ? 3 : XD_LOCAL_SUBMIT;
    memcpy(packet + XD_LOCAL_HEADER_SIZE, &command, sizeof command);
    memcpy(packet + XD_LOCAL_HEADER_SIZE + 8, &identifiers, sizeof identifiers);
    memcpy(packet + XD_LOCAL_HEADER_SIZE + 12, &told, sizeof told);
    memcpy(packet + BEFORE_DATA, data, size);
    ssize_t sent = kind & 32 ? send_with_fd(launcher, packet, whole, launcher)
                             : send(launcher, packet, whole, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0 && !(kind & 31))
        say(&requests, data, size);
    free(data);
}

static void say_events(struct input *input) {
    uint32_t kind = take_byte(input);
    size_t size;
    uint8_t *data = take_block(input, take_short(input) & 0x7ff, &size);
    ssize_t sent = kind & 1 && size ? send_with_fd(compositor, data, size, compositor)
                                    : send(compositor, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    say(&events, data, sent > 0 ? (size_t)sent : 0);
    free(data);
}

/* Python's part, of a packet: the data of a SEND that is as it should be. */
static void take_packet(const uint8_t *data, uint32_t size) {
    const uint8_t *found;
    uint32_t length;
    if (size > XD_LOCAL_HEADER_SIZE && data[0] == XD_LOCAL_SUBMIT && !data[1] &&
        xd_find_bytes(data + XD_LOCAL_HEADER_SIZE, size - XD_LOCAL_HEADER_SIZE, &found, &length))
        hear(&requests, found, length);
}

/* Of what was handed over. */
static void take_handed(void) {
    const xd_handover *handover = &poller->handover;
    for (uint32_t index = 0; index < handover->fd_count; index++)
        require(!close(handover->fds[index]), "an fd that is none");
    require(!handover->size || (handover->data >= poller->scratch && handover->data + handover->size <= poller->scratch + sizeof poller->scratch), "outside of the buffer");
    hear_requests();
    hear_events();
    if (handover->kind == XD_PACKET)
        take_packet(handover->data, handover->size);
    else if (handover->kind == XD_REQUESTS)
        hear(&requests, handover->data, handover->size);
    else
        hear(&events, handover->data, handover->size);
    xd_passage_forget(passage);
}

/* Of what C has left alone. */
static void take_declined(int fd) {
    static uint8_t data[XD_LOCAL_MAX_PACKET];
    xd_handover *handover = &poller->handover;
    int64_t size = xd_receive(fd, data, sizeof data, handover);
    for (uint32_t index = 0; size >= 0 && index < handover->fd_count; index++)
        require(!close(handover->fds[index]), "an fd that is none");
    hear_requests();
    hear_events();
    if (size > 0 && fd == passage->client_fd)
        take_packet(data, (uint32_t)size);
    else if (size > 0)
        hear(&events, data, (size_t)size);
}

static void serve(int reads) {
    for (int round = 0; round < ROUNDS; round++) {
        int handed = xd_poller_wait(poller, 0);
        require(handed != XD_FAILED, "no epoll");
        if (handed >= 0)
            take_handed();
        for (uint32_t index = 0; handed == XD_READY && index < poller->ready_count; index++)
            if (poller->ready_events[index])
                take_declined(poller->ready[index]);
    }
    if (reads & 1)
        hear_requests();
    if (reads & 2)
        hear_events();
}

static int open_pair(int type, xd_port *port) {
    int pair[2], size = 1;
    require(!socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), "no sockets");
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    require(!xd_poller_watch(poller, pair[0], EPOLLIN) && !xd_poller_attach(poller, pair[0], port), "no epoll");
    *(port == &passage->client ? &passage->client_fd : &passage->compositor_fd) = pair[0];
    return pair[1];
}

static void open_ways(struct input *input) {
    uint32_t ways = take_byte(input);
    passage->to_host = ways & 1;
    passage->to_guest = ways >> 1 & 1;
    passage->has_room = ways >> 2 & 1;
    passage->left = ways & 8 ? 1 << 20 : take_byte(input);
    passage->reads_left = ways & 16 ? 1 << 20 : take_byte(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    requests.said = requests.heard = events.said = events.heard = 0;
    poller = poller ? poller : xd_poller_create();
    xd_walker *walker = xd_walker_create(tables, take_byte(&input) & 1, 4096);
    passage = xd_passage_create(walker);
    require(poller && walker && passage, "no memory");
    launcher = open_pair(SOCK_SEQPACKET, &passage->client);
    compositor = open_pair(SOCK_STREAM, &passage->compositor);
    const int lowest = lowest_free_fd();
    open_ways(&input);
    while (input.left) {
        switch (take_byte(&input) & 3) {
        case 0:
            open_ways(&input);
            break;
        case 1:
            say_packet(&input);
            break;
        case 2:
            say_events(&input);
            break;
        default:
            serve(take_byte(&input));
        }
    }
    require(lowest_free_fd() == lowest, "fds stay open");
    const int fds[] = {passage->client_fd, passage->compositor_fd, launcher, compositor};
    for (size_t index = 0; index < sizeof fds / sizeof *fds; index++) {
        if (index < 2)
            require(!xd_poller_attach(poller, fds[index], NULL) && !xd_poller_watch(poller, fds[index], 0), "no epoll");
        close(fds[index]);
    }
    xd_passage_free(passage);
    xd_walker_free(walker);
    return 0;
}
