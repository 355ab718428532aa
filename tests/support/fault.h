/* SPDX-License-Identifier: MIT
 *
 * fault.h - sources of memory and of threads that keep books, and fail on demand.
 *
 * 1. Every block is the C library's own, of exactly the size asked for, so that the
 *    sanitizers see one byte too far; it is filled with junk before it is handed out
 *    and again before it is freed.
 * 2. The books are kept beside the blocks. A block that was never given out, is given
 *    back twice or with another size or alignment, a size of 0, an alignment that is no
 *    power of two: each is a mistake, kept by its first instance and reported at the end.
 * 3. A failure is arranged by countdown: the n-th call from now on fails, once or with
 *    all that follow.
 *
 * All may be called from any thread, init and end apart.
 */
#ifndef SUPPORT_FAULT_H
#define SUPPORT_FAULT_H

#include <dataflow/allocator.h>
#include <dataflow/threads.h>

#include "support/check.h"

#include <pthread.h>

typedef enum fault_span { FAULT_ONCE, FAULT_FOR_EVER } fault_span;

/* (l) under `lock`. */
typedef struct fault_plan {
    size_t calls;     /* (l) all so far */
    size_t countdown; /* (l) calls until the one that fails; 0: none will */
    fault_span span;  /* (l) */
    size_t failures;  /* (l) */
} fault_plan;

/* ---- memory -------------------------------------------------------------- */

enum { FAULT_BUCKETS = 1024 };
typedef struct fault_block fault_block;

typedef struct fault_allocator {
    df_allocator allocator; /* hand out &f.allocator */
    pthread_mutex_t lock;
    fault_plan plan;                     /* (l) */
    fault_block *buckets[FAULT_BUCKETS]; /* (l) live blocks, by address */
    size_t blocks, bytes, peak_bytes;    /* (l) live now; most bytes at once */
    check mistakes;
} fault_allocator;

void fault_allocator_init(fault_allocator *f);

/* Asserts that nothing is live and no mistake was made; on the test's own thread. What
 * leaked is freed first, so that one failure is reported, once. */
#define fault_allocator_end(f) fault_allocator_end_at((f), __FILE__, __LINE__)
void fault_allocator_end_at(fault_allocator *f, const char *file, int line);

/* The n-th allocation from now on fails; n = 1 is the next, 0 calls it off. */
void fault_fail_allocation(fault_allocator *f, size_t n, fault_span span);

size_t fault_allocations(fault_allocator *f); /* asked for so far, failed ones included */
size_t fault_allocations_failed(fault_allocator *f);
size_t fault_live_blocks(fault_allocator *f);
size_t fault_live_bytes(fault_allocator *f);
size_t fault_peak_bytes(fault_allocator *f);

/* Runs scenario(f, arg) with its first allocation failing, then with its second, and so
 * on until it runs without a failure; each time once with that one alone and once with
 * all that follow. Nothing may be live after any run. The scenario finds out by
 * fault_allocations_failed, which starts from 0 each time, whether it must fail.
 *
 * Returns how many allocations there were to fail. */
size_t fault_each_allocation(void (*scenario)(fault_allocator *f, void *arg), void *arg);

/* ---- threads ------------------------------------------------------------- */

typedef struct fault_threads {
    df_threads threads; /* hand out &f.threads */
    pthread_mutex_t lock;
    fault_plan plan; /* (l) */
    size_t live;     /* (l) started and not joined */
    check mistakes;
} fault_threads;

void fault_threads_init(fault_threads *f);

/* Asserts that every thread was joined and no mistake was made. */
#define fault_threads_end(f) fault_threads_end_at((f), __FILE__, __LINE__)
void fault_threads_end_at(fault_threads *f, const char *file, int line);

/* The k-th start from now on fails; k = 1 is the next, 0 calls it off. */
void fault_fail_start(fault_threads *f, size_t k, fault_span span);

size_t fault_starts(fault_threads *f); /* asked for so far, failed ones included */
size_t fault_live_threads(fault_threads *f);

#endif /* SUPPORT_FAULT_H */
