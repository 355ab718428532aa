/* SPDX-License-Identifier: MIT
 *
 * huge.h - what both parts of the bench have in common: a clock, memory that is counted, and a
 * runtime of four CPUs without threads.
 */
#ifndef BENCH_HUGE_H
#define BENCH_HUGE_H

#include <dataflow/dataflow.h>

#include "bench/common.h"

/* For one thread. */
typedef struct heap {
    df_allocator allocator;
    size_t live, peak; /* bytes */
} heap;

typedef struct bench {
    heap heap;
    df_runtime *rt;
} bench;

/* Ops besides the standard ones: Nowhere(x: int64) has no kernel on a CPU; Join(xs: int64...) is
 * their sum, by an asynchronous kernel. */
void bench_open(bench *b);
void bench_close(bench *b); /* and checks that nothing is left */

double bench_now(void); /* ns that this thread has run */
/* Chains, fans and the like, each at most / 10 and at most; prints a line of each, and what
 * grows faster than the graph. */
void bench_shapes(size_t most);

#endif /* BENCH_HUGE_H */
