/* SPDX-License-Identifier: MIT
 *
 * counted.h - memory and threads that are lent to what is tested, and counted.
 */
#ifndef CONFORMANCE_COUNTED_H
#define CONFORMANCE_COUNTED_H

#include "stage.h"

#include <dataflow/allocator.h>
#include <dataflow/threads.h>

typedef struct counted {
    stage *stage;
    df_allocator allocator;
    df_threads threads;
    size_t n_blocks, n_threads; /* alive; under the stage's lock */
} counted;

void counted_init(counted *c, stage *s);
/* Whether all of it has come back; else what has not is noted. */
bool counted_is_back(counted *c);

#endif /* CONFORMANCE_COUNTED_H */
