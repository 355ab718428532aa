/* SPDX-License-Identifier: MIT
 *
 * hash.h - hashes for tables. They only spread; equality is always checked whole.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t hash_u64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t hash_pair(uint64_t x, uint64_t y) {
    return hash_u64(x + 0x9e3779b97f4a7c15u * (y + 1));
}

/* FNV-1a, 64 bits, not yet finished: bytes in pieces. */
#define HASH_NOTHING UINT64_C(0xcbf29ce484222325)
static inline uint64_t hash_more(uint64_t h, const void *data, size_t n) {
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* The same in one go, finished. */
static inline uint64_t hash_bytes(const void *data, size_t n) {
    return hash_u64(hash_more(HASH_NOTHING, data, n));
}

#endif /* BASE_HASH_H */
