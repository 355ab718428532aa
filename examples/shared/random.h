/* SPDX-License-Identifier: MIT
 *
 * random.h - random numbers that are the same on every machine: SplitMix64 (Steele, Lea
 * and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
 */
#ifndef SHARED_RANDOM_H
#define SHARED_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct random_state {
    uint64_t at; /* start it with the seed */
} random_state;

static inline uint64_t random_next(random_state *r) {
    uint64_t z = r->at += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Evenly between low and high; 24 bits, so that every step is exact in a float. */
static inline float random_between(random_state *r, float low, float high) {
    float unit = (float)(random_next(r) >> 40) / 16777216.0f;
    return low + unit * (high - low);
}

/* Fisher and Yates. The remainder's bias is far too small to matter here. */
static inline void random_shuffle(random_state *r, size_t *items, size_t n) {
    for (size_t left = n; left > 1; left--) {
        size_t i = (size_t)(random_next(r) % left);
        size_t last = items[left - 1];
        items[left - 1] = items[i];
        items[i] = last;
    }
}

#endif /* SHARED_RANDOM_H */
