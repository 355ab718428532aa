/* SPDX-License-Identifier: MIT
 *
 * hash.h - hashes for tables. They only spread; equality is always checked whole.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t hash_u64(uint64_t x);
uint64_t hash_pair(uint64_t x, uint64_t y);

/* FNV-1a, 64 bits, not yet finished: bytes in pieces. */
#define HASH_NOTHING UINT64_C(0xcbf29ce484222325)
uint64_t hash_more(uint64_t h, const void *data, size_t n);
/* The same in one go, finished. */
uint64_t hash_bytes(const void *data, size_t n);

#endif /* BASE_HASH_H */
