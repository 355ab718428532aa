/* SPDX-License-Identifier: MIT
 *
 * ours.h - this library as a racer, with ops of the bench's own, by the public calls alone.
 */
#ifndef BENCH_OURS_H
#define BENCH_OURS_H

#include <dataflow/dataflow.h>

#include "bench/speed/racer.h"

/* "dataflow": each step in the library's own rendezvous; "dataflow-table": in one that the
 * session's factory makes, where keys are looked up and a Recv may come first. */
extern const bench_racer ours_racer, ours_table_racer;

typedef struct ours_options {
    const df_allocator *allocator;           /* of the runtime; or NULL */
    const df_rendezvous_factory *rendezvous; /* or NULL */
} ours_options;

typedef struct ours ours;

ours *ours_new(const bench_job *job, const ours_options *options);
void ours_run(void *self, size_t times);
bool ours_check(void *self);
void ours_free(void *self);

/* What runs, for those who run it in another way. The feeds are borrowed. */
df_runtime *ours_runtime(const ours *o);
df_program *ours_program(const ours *o);
df_tensors ours_feeds(const ours *o);

#endif /* BENCH_OURS_H */
