/* SPDX-License-Identifier: MIT
 *
 * rendezvous_suite.h - rules R1 to R10, for any backend.
 */
#ifndef CONFORMANCE_RENDEZVOUS_SUITE_H
#define CONFORMANCE_RENDEZVOUS_SUITE_H

#include "rendezvous/rendezvous.h"

enum { RENDEZVOUS_SUITE_KEYS = 64 };

typedef struct rendezvous_suite rendezvous_suite;
struct rendezvous_suite {
    const char *name; /* of the group of tests */
    /* A new rendezvous, whose memory comes from alloc; work is a step's, or NULL. */
    df_rendezvous *(*make)(const rendezvous_suite *s, const df_allocator *alloc, memory *host,
                           df_work *work);
    uint64_t plan;   /* of the keys: the n-th has channel n; 0: of no plan */
    bool is_planned; /* the plan's own calls are used, where they may be */
    bool has_work;   /* make uses the work, so that queues can wait for each other */
};

/* Runs every test; how many failed. */
int rendezvous_suite_run(const rendezvous_suite *s);

#endif /* CONFORMANCE_RENDEZVOUS_SUITE_H */
