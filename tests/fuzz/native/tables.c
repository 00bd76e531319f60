/* Signature tables of any bytes: refused, or safe to walk with. */
#include "core.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    xd_record records[16];
    xd_walk found;
    size_t walked, packed;
    uint8_t *messages = take_block(&input, take_byte(&input), &walked);
    uint8_t *bytes = take_block(&input, input.left, &packed);
    xd_tables *tables = xd_tables_load(bytes, packed);
    free(bytes);
    if (tables) {
        xd_walker *walker = xd_walker_create(tables, 1, 64);
        require(walker != NULL, "no memory");
        for (int direction = 0; direction < 2; direction++) {
            xd_walker_walk(walker, direction, messages, walked, records, 16, &found);
            require(found.consumed <= walked && found.records <= 16, "more than there is");
        }
        xd_walker_free(walker);
        xd_tables_free(tables);
    }
    free(messages);
    return 0;
}
