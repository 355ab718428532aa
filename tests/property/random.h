/* SPDX-License-Identifier: MIT
 *
 * random.h - choices that come again with their seed: SplitMix64.
 */
#ifndef PROPERTY_RANDOM_H
#define PROPERTY_RANDOM_H

#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct draws {
    uint64_t state;
} draws;

/* Sequences of one seed with different purposes have nothing to do with each other. */
static inline draws draws_of(uint64_t seed, uint64_t purpose) {
    return (draws){hash_pair(seed, purpose)};
}

static inline uint64_t draw(draws *d) {
    d->state += 0x9e3779b97f4a7c15u;
    return hash_u64(d->state);
}

/* 0 to n - 1; n is not 0. */
static inline uint32_t draw_below(draws *d, size_t n) {
    return (uint32_t)(draw(d) % n);
}

/* True once in n times. */
static inline bool draw_once_in(draws *d, uint32_t n) {
    return draw_below(d, n) == 0;
}

/* first to last, both included. */
static inline int64_t draw_between(draws *d, int64_t first, int64_t last) {
    return first + (int64_t)(draw(d) % (uint64_t)(last - first + 1));
}

#endif /* PROPERTY_RANDOM_H */
