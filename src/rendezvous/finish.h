/* SPDX-License-Identifier: MIT
 *
 * finish.h - how a recv ends, inside the library.
 *
 * All of these end in exactly one call of done, now or soon. The caller holds no lock
 * and touches neither the recv nor the backend afterwards: done may have freed both.
 */
#ifndef RENDEZVOUS_FINISH_H
#define RENDEZVOUS_FINISH_H

#include "rendezvous/object.h"

/* With CANCELLED, in words that name the key. Never allocates. */
void finish_cancelled(df_recv *r);
/* With *err, which need not outlive the call. Does not allocate if err is the why of the
 * recv's own rendezvous. */
void finish_error(df_recv *r, const df_error *err);
/* The tensor, which is taken, is where it is wanted. */
void finish_arrived(df_recv *r, df_tensor *tensor);

#ifdef DF_SCHED_HOOK
/* For a scheduler that runs several actors on one thread: sets this thread's line of
 * finishes and returns the one before. */
void *finish_swap(void *line);
#endif

#endif /* RENDEZVOUS_FINISH_H */
