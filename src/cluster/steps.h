/* SPDX-License-Identifier: MIT
 *
 * steps.h - a run over a cluster, as its files share it. (l): under the master's lock.
 */
#ifndef CLUSTER_STEPS_H
#define CLUSTER_STEPS_H

#include "cluster/master.h"

/* Words to a part that are not waited for. */
typedef struct word {
    remote_call call; /* first */
    struct share *of;
    unsigned char meta[REMOTE_HEAD + 32 + FRAME_ERROR_MAX];
} word;

/* What one part does of a run. */
typedef struct share {
    cluster_run *run;
    const cluster_part *part;
    remote_call call; /* RUN */
    unsigned char meta[REMOTE_HEAD + 32];
    pack feeds;
    df_tensor *whole; /* what came back */
    df_segment place;
    part_run own;
    bool has_answered; /* (l) */
    bool is_aborted;   /* (l) it was told to stop */
    bool is_untold;    /* (l) the decision has not reached it */
    uint32_t task;
    word abort, decide;
} share;

struct cluster_run {
    refcount refs;
    cluster_program *p;          /* a reference */
    cluster_run *next;           /* (l) in the master's list */
    cluster_run *next_to_begin;  /* (l) */
    cluster_run *next_untold;    /* (l) in the master's list, if n_untold */
    uint32_t n_shares, n_untold; /* (l) the latter */
    bool is_hollow;              /* (l) nobody has it but that list: what it points to is gone */
    ticket ticket;
    uint64_t step;     /* (l) 0: its turn has not come */
    df_cancel *cancel; /* or NULL */
    const df_span *into;
    df_run_stats *stats;
    df_run_done done;
    void *user;
    uint64_t deadline; /* of the clock; 0: none */
    uint64_t began, came;
    uint32_t open;   /* (l) parts that have not answered, and who asks them */
    bool is_told;    /* (l) */
    bool is_begun;   /* (l) its parts are being asked */
    bool is_decided; /* (l) */
    bool failed;     /* (l) */
    df_error why;    /* (l) */
    df_tensor **feeds, **results;
    df_span *spans;
    size_t bytes;
    share shares[];
};

void steps_ref(cluster_run *r);
void steps_unref(cluster_run *r);
/* It ends for its caller, whatever its parts do. True: it was told here. */
bool steps_end_early(cluster_run *r, const df_error *why);
/* Ends those that have begun and need a task. */
void steps_end_at(master *m, uint32_t task, const df_error *why);
/* A decision that a task has not heard; NULL: there is none. It stays until steps_told. */
share *steps_untold(master *m, uint32_t task);
share *steps_untold_locked(const master *m, uint32_t task);
void steps_told(master *m, share *s);
/* The meta of a DECIDE, but for what goes in front. */
void steps_put_decision(const cluster_run *r, uint64_t watermark, wire_out *w);
/* A run has a deadline, in so many ns. */
void steps_watch(master *m, uint64_t timeout);

#endif /* CLUSTER_STEPS_H */
