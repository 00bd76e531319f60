/* A control queue whose rings, chains and commands are any bytes: C touches nothing but the guest's memory. */
#include "spoken.h"
#include "virtqueue.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 16, LOW = 1 << 14, HIGH = 4096, HIGH_ADDRESS = 1 << 20, CTX = 1, FEW = 8 };
enum { COPY = 64, DESTINATION = 3, SOURCE = 4, KEY = 'k', IMAGE = 1024 };
enum { DESCRIPTORS = 0, AVAILABLE = 512, USED = 1024, COMMANDS = 2048 };

static xd_poller *poller; /* made once: it has 130 KiB of scratch space */

/* A COPY_PAGES of the one route, or nearly; returns its bytes. */
static uint32_t write_copy(uint8_t *at, struct input *input) {
    uint32_t kind = take_byte(input), count = take_byte(input) & 3, size = COPY + 16 * count;
    uint32_t words[COPY / 4] = {0xf1 | size << 16, 0, DESTINATION, SOURCE};
    memset(&words[4], KEY, 16);
    words[8] = (uint32_t)take_coordinate(input, 64);
    words[10] = (uint32_t)take_coordinate(input, 64);
    words[12] = words[13] = 1 + (uint32_t)take_coordinate(input, 64);
    words[14] = 1 + (kind & 3);
    words[15] = count;
    if (kind >= 0xf0)
        words[take_byte(input) % (COPY / 4)] = take_word(input);
    memcpy(at, words, sizeof words);
    for (uint32_t index = 0; index < 4 * count; index++) {
        int32_t number = take_coordinate(input, 40);
        memcpy(at + COPY + 4 * index, &number, sizeof number);
    }
    return size;
}

/* A submit that gets far: one SEND of whatever comes, with a copy before it or without, or a POLL. */
static void write_command(uint8_t *memory, struct input *input) {
    uint32_t kind = take_byte(input), is_poll = kind & 1, length = take_byte(input);
    uint8_t *at = memory + COMMANDS;
    uint32_t copy = kind & 2 && !is_poll ? write_copy(at + 32, input) : 0;
    uint32_t command = is_poll ? 8 : XD_SEND_RECEIVE_SIZE + length;
    uint32_t words[8] = {0x0207, take_byte(input) & 3, 1, 0, CTX, is_poll, copy + command, 0};
    uint32_t header[4] = {(is_poll ? 3u : XD_COMMAND_SEND) | command << 16, 0, 0, length};
    memcpy(at, words, sizeof words);
    at += copy;
    memset(at + sizeof words, 0, XD_SEND_RECEIVE_SIZE);
    memcpy(at + sizeof words, header, is_poll ? 8 : sizeof header);
    for (uint32_t index = 0; index < length; index++)
        at[sizeof words + XD_SEND_RECEIVE_SIZE + index] = take_byte(input);
    uint64_t places[2] = {COMMANDS, COMMANDS + 1024};
    uint32_t sizes[2] = {(uint32_t)sizeof words + copy + command, 24};
    for (uint32_t index = 0; index < 2; index++) {
        uint16_t flags[2] = {index ? 2 : 1, 1};
        memcpy(memory + DESCRIPTORS + 16 * index, &places[index], 8);
        memcpy(memory + DESCRIPTORS + 16 * index + 8, &sizes[index], 4);
        memcpy(memory + DESCRIPTORS + 16 * index + 12, flags, 4);
    }
}

static void kick(xd_device *device, uint8_t *memory, int fd) {
    uint64_t one = 1;
    uint16_t index;
    memcpy(&index, memory + AVAILABLE + 2, sizeof index);
    index++;
    memcpy(memory + AVAILABLE + 2, &index, sizeof index);
    require(write(fd, &one, sizeof one) == sizeof one, "no kick");
    device->kick.serve(&device->kick, fd, poller);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    uint8_t *low = aligned_alloc(4096, LOW), *high = aligned_alloc(4096, HIGH);
    int ends[2], fd = eventfd(0, EFD_NONBLOCK);
    poller = poller ? poller : xd_poller_create();
    require(poller != NULL, "no memory");
    require(low && high && fd >= 0 && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), "no memory");
    memset(low, 0, LOW);
    memset(high, 0, HIGH);
    const xd_region regions[] = {{0, LOW, (uint64_t)(uintptr_t)low},
                                 {HIGH_ADDRESS, HIGH, (uint64_t)(uintptr_t)high}};
    xd_device *device = xd_device_create();
    xd_walker *walker = xd_walker_create(tables, 0, 4096);
    xd_passage *passage = xd_passage_create(walker);
    xd_mailbox *mailbox = xd_mailbox_create(device);
    require(!xd_device_map(device, regions, 2) && !xd_device_set_context(device, CTX, passage), "no memory");
    passage->mailbox = mailbox;
    uint8_t *image = malloc(IMAGE), *pages = malloc(IMAGE);
    require(image && pages, "no memory");
    memset(pages, KEY, IMAGE);
    const xd_run runs[] = {{(uint64_t)(uintptr_t)pages + IMAGE / 2, IMAGE / 2}, {(uint64_t)(uintptr_t)pages, IMAGE}};
    uint64_t generation = 0;
    xd_pages place = {.runs = runs, .run_count = 2, .memory_generation = &generation};
    passage->routes.count = 1;
    passage->routes.routes[0] = (xd_route){
        .destination = DESTINATION, .source = SOURCE, .by_key = 1, .pixels = image, .size = IMAGE, .pages = &place};
    memset(passage->routes.routes[0].key, KEY, XD_KEY_SIZE);
    passage->compositor_fd = ends[0];
    const uint32_t kind = take_byte(&input);
    mailbox->run_count = 1 + (kind & 1);
    mailbox->slots = 1 + (kind >> 1 & 1);
    mailbox->runs[0] = (xd_span){take_byte(&input) & 1 ? HIGH_ADDRESS : LOW - 64u, HIGH};
    mailbox->runs[1] = (xd_span){take_word(&input), HIGH};
    mailbox->size = 4096;
    device->queue = (xd_queue){.descriptors = (uint64_t)(uintptr_t)low + DESCRIPTORS,
                               .available = (uint64_t)(uintptr_t)low + AVAILABLE,
                               .used = (uint64_t)(uintptr_t)low + USED,
                               .size = SIZE,
                               .most = SIZE};
    while (input.left) {
        passage->to_host = passage->to_guest = device->queue.is_open = 1;
        passage->walker->ahead = NULL;
        passage->left = passage->reads_left = FEW;
        switch (take_byte(&input) & 3) {
        case 0:
            low[take_short(&input) % LOW] = take_byte(&input);
            break;
        case 1:
            write_command(low, &input);
            break;
        case 2: {
            uint8_t said[12] = {1, 0, 0, 0, 1, 0, 12, 0, take_byte(&input)};
            if (write(ends[1], said, 1u + take_byte(&input) % sizeof said) > 0)
                passage->compositor.serve(&passage->compositor, ends[0], poller);
            break;
        }
        default:
            kick(device, low, fd);
        }
    }
    xd_device_free(device);
    xd_mailbox_free(mailbox);
    xd_passage_free(passage);
    xd_walker_free(walker);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    free(image);
    free(pages);
    free(low);
    free(high);
    return 0;
}
