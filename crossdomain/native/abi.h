/* What C has to know of crossdomain/abi, by the module that says it, and words as they lie in messages: little-endian
 * and anywhere.  tests/unit/abi/test_native.py holds the numbers against the modules'.
 */
#ifndef CROSSDOMAIN_ABI_H
#define CROSSDOMAIN_ABI_H

#include <stdint.h>
#include <string.h>

enum {
    /* cross_domain.py */
    XD_COMMAND_POLL = 3,
    XD_COMMAND_SEND = 4,
    XD_COMMAND_RECEIVE = 5,
    XD_COMMAND_HEADER = 8,
    XD_SEND_RECEIVE_SIZE = 352, /* what precedes the data of a SEND or a RECEIVE */
    XD_CHANNEL_RING = 1,
    XD_RING_LOOKED_AT = 0x6b6f6f6c,
    XD_RING_SLOTS = 2,
    /* pages.py */
    XD_COMMAND_COPY_PAGES = 0xf1,
    XD_COPY_PAGES_SIZE = 64, /* what precedes the rectangles */
    XD_KEY_SIZE = 16,
    /* local.py */
    XD_LOCAL_HEADER_SIZE = 16,
    XD_LOCAL_MAX_PACKET = 131072,
    XD_LOCAL_SUBMIT = 2,
    XD_LOCAL_EVENT = 0x82,
};

static inline uint32_t xd_load(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline void xd_store(uint8_t *bytes, uint32_t word) { memcpy(bytes, &word, sizeof word); }

#endif
