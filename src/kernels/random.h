/* SPDX-License-Identifier: MIT */
#ifndef KERNELS_RANDOM_H
#define KERNELS_RANDOM_H

#include <stdint.h>

/* The four words of a block: Philox4x32-10 of {block, counter} under the key `seed`. */
void random_block(uint64_t seed, uint64_t counter, uint64_t block, uint32_t words[4]);

#endif /* KERNELS_RANDOM_H */
