/* SPDX-License-Identifier: MIT
 *
 * weak.h - a few actors on the real source, over everything that C11's memory model allows.
 *
 * tests/support/dfs.h interleaves them one step after another: each sees at once what the others
 * did. Hardware and compilers promise less. Here an atomic load may give any value that the model
 * lets this thread still see, a store may come anywhere in the order of the word's changes where
 * the model lets it, and two accesses to plain memory that nothing orders are a failure: a race. So
 * a missing acquire or release is found, which no interleaving shows.
 *
 * The model is RC11 (Lahav and others, PLDI 2017): C11 as C++20 mends it, without values out of
 * thin air. Release sequences are those of C++20. There are no fences and nothing is sequentially
 * consistent, since the library has none: one that comes is a failure.
 */
#ifndef MODEL_WEAK_H
#define MODEL_WEAK_H

#include "support/dfs.h"

#include "model/weak/atomics.h"

/* What is made worse at one place, to see that it is found. */
typedef enum weak_plant {
    WEAK_AS_IT_IS,
    WEAK_NO_ACQUIRE,
    WEAK_NO_RELEASE,
    WEAK_TORN, /* read, then written: others come between */
    WEAK_PLANTS
} weak_plant;

typedef struct weak_site {
    weak_place place;
    const char *what;      /* "load", "store", "swap", "add", "cas" */
    bool can[WEAK_PLANTS]; /* whether that makes it worse */
} weak_site;

/* As dfs_run. The world is `world_size` bytes, which must be given, and holds all that is shared.
 */
uint64_t weak_run(df_schedules what, df_schedules_report *report);

/* The places that were passed so far, in the order in which they came. */
int weak_sites(const weak_site **sites);
/* From now on. */
void weak_spoil(int site, weak_plant how);

#endif /* MODEL_WEAK_H */
