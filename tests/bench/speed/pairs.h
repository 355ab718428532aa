/* SPDX-License-Identifier: MIT
 *
 * pairs.h - designs of a place where a send and a recv meet, beside the library's.
 */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { PAIR_SLOTS = 4096 };

/* Either half of a pair may come first; whoever comes second calls pair_done. */
typedef struct pair_design {
    void *(*make)(void);
    void (*send)(void *self, uint32_t slot);
    void (*recv)(void *self, uint32_t slot);
    void (*free)(void *self);
} pair_design;

/* Counts a pair as received, for the thread that is running. */
void pair_done(void);

extern const pair_design pair_bare;  /* one word a slot, one compare-exchange a side */
extern const pair_design pair_map;   /* a mutex, and a map with strings as keys */
extern const pair_design pair_built; /* the same, and both sides build the string */
extern const pair_design pair_ours;  /* df_rendezvous_new_local, through its vtable */

#endif /* BENCH_PAIRS_H */
