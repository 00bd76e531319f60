/* Reads numbers and blocks off a fuzzer's input; at its end everything is 0 and empty. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
    const uint8_t *at;
    size_t left;
};

/* Ends the process as a crash that the fuzzer keeps the input of. */
static inline void require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "fuzz: %s\n", what);
        abort();
    }
}

static inline uint8_t take_byte(struct input *input) {
    if (!input->left)
        return 0;
    input->left--;
    return *input->at++;
}

static inline uint32_t take_short(struct input *input) {
    uint32_t low = take_byte(input);
    return low | (uint32_t)take_byte(input) << 8;
}

static inline uint32_t take_word(struct input *input) {
    uint32_t low = take_short(input);
    return low | take_short(input) << 16;
}

/* A copy of at most `size` bytes in memory of exactly that size, so that every read beyond it is seen. */
static inline uint8_t *take_block(struct input *input, size_t size, size_t *taken) {
    *taken = size < input->left ? size : input->left;
    uint8_t *block = malloc(*taken ? *taken : 1);
    require(block != NULL, "no memory");
    block = *taken ? memcpy(block, input->at, *taken) : block;
    input->at += *taken;
    input->left -= *taken;
    return block;
}

/* Small most of the time, now and then at the end of the range. */
static inline int32_t take_coordinate(struct input *input, int32_t limit) {
    static const int32_t extremes[] = {INT32_MIN, -1, INT32_MAX - 1, INT32_MAX};
    uint8_t byte = take_byte(input);
    return byte >= 252 ? extremes[byte - 252] : (int32_t)byte % limit;
}

#endif
