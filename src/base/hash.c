/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

uint64_t hash_u64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t hash_pair(uint64_t x, uint64_t y) {
    return hash_u64(x + 0x9e3779b97f4a7c15u * (y + 1));
}

uint64_t hash_more(uint64_t h, const void *data, size_t n) {
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

uint64_t hash_bytes(const void *data, size_t n) {
    return hash_u64(hash_more(HASH_NOTHING, data, n));
}
