/* The walker on any conversation: what it says lies inside of what it was given. */
#include "spoken.h"

enum { CAPACITY = 64, MAX_OBJECTS = 4096, FEW = 8 };

static void walk(xd_walker *walker, struct input *input) {
    xd_record records[CAPACITY];
    xd_walk found;
    int direction = take_byte(input) & 1;
    size_t size, end = 0;
    uint8_t *data = take_block(input, take_short(input), &size);
    xd_walker_walk(walker, direction, data, size, records, CAPACITY, &found);
    require(found.consumed <= size, "more was consumed than there is");
    require(found.records <= CAPACITY, "more records than there is room for");
    require(found.fault <= XD_FAULT_NO_MEMORY, "a fault that has no number");
    for (uint32_t index = 0; index < found.records; index++) {
        const xd_record *record = &records[index];
        require(record->offset >= end && record->size >= 8, "records overlap");
        end = (size_t)record->offset + record->size;
        require(end <= found.consumed, "a record of a message that was not consumed");
        require(record->interface < tables->interface_count || record->interface == XD_NO_INTERFACE, "an unknown interface");
    }
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    int kind = take_byte(&input);
    xd_walker *walker = xd_walker_create(tables, kind & 1, MAX_OBJECTS);
    xd_totals *totals = xd_totals_create();
    require(walker != NULL && totals != NULL, "no memory");
    totals->max_live = FEW * 4;
    totals->max_counted = FEW;
    if (kind & 4)
        xd_walker_join(walker, totals);
    if (kind & 2)
        require(!xd_walker_limit(walker, FEW, tables->display + (uint32_t)kind / 4, FEW / 2), "no limit");
    while (input.left) {
        switch (take_byte(&input) & 7) {
        case 0:
            xd_walker_own(walker, take_word(&input), take_short(&input));
            break;
        case 1:
            xd_walker_release(walker, take_word(&input));
            break;
        case 2:
            xd_walker_lookup(walker, take_word(&input));
            xd_walker_own_pending(walker, take_word(&input));
            xd_walker_quieten(walker, take_word(&input));
            xd_walker_stir(walker, take_word(&input));
            break;
        case 3: {
            uint32_t interface = take_short(&input);
            int direction = take_byte(&input) & 1;
            uint32_t opcode = take_byte(&input);
            xd_walker_interest(walker, interface, direction, opcode, take_byte(&input) & 7);
            break;
        }
        default:
            walk(walker, &input);
        }
    }
    require(xd_walker_counted(walker) <= xd_walker_live(walker), "more of one kind than of all");
    require(!(kind & 2) || xd_walker_live(walker) <= FEW, "more objects than are allowed");
    require(!(kind & 2) || xd_walker_counted(walker) <= FEW / 2, "more of one kind than are allowed");
    require(xd_walker_next_id(walker) >= 2, "the display's id is free");
    require(!walker->totals || (totals->live == xd_walker_live(walker) && totals->live <= FEW * 4),
            "another number of all objects than of the one client that there is");
    require(!walker->totals || (totals->counted == xd_walker_counted(walker) && totals->counted <= FEW),
            "another number of all surfaces");
    xd_walker_free(walker);
    require(!totals->live && !totals->counted, "a client that is gone is counted");
    xd_totals_release(totals);
    return 0;
}
