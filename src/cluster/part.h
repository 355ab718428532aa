/* SPDX-License-Identifier: MIT
 *
 * part.h - what a task runs of the sessions in which it takes part, whoever is their master.
 *
 *     a session:  variables, and programs: each the task's part of a graph
 *     a run:      starts -> has failed, or is prepared -> is decided -> over
 *
 * The master's own task is one like the others.
 */
#ifndef CLUSTER_PART_H
#define CLUSTER_PART_H

#include "rendezvous/remote.h"
#include "session/session.h"

typedef struct part_session part_session;

/* `words`: the variables, as a graph's text; values: what they have at first, in this order, NULL:
 * nothing yet. */
typedef struct part_session_options {
    df_runtime *rt;
    remote *remote;
    uint64_t id;
    uint32_t master;
    const char *words;
    size_t size;
    df_tensor *const *values;
    size_t n_values;
} part_session_options;

/* One reference, the caller's. */
df_code part_session_new(const part_session_options *options, part_session **out, df_error *err);
part_session *part_session_ref(part_session *s);
void part_session_unref(part_session *s);
uint64_t part_session_id(const part_session *s);
uint32_t part_session_master(const part_session *s);
/* Its runs end with *why, and no more begin. */
void part_session_end(part_session *s, const df_error *why);

/* words: the part, as partitions are written. Errors are those of compiling. One that is there
 * already is the same: it stays. */
df_code part_compile(part_session *s, uint64_t program, const char *words, size_t size,
                     df_error *err);
void part_forget(part_session *s, uint64_t program); /* runs go on */

/* In the caller's memory, until `over`. Zero it, and set the calls. */
typedef struct part_run part_run;
struct part_run {
    /* Exactly one of these two: results are borrowed for the call, err as well. Both may be called
     * before part_start returns. */
    void (*prepared)(part_run *run, df_tensor *const *results, size_t n);
    void (*failed)(part_run *run, const df_error *err);
    /* Last, when it was decided, or the session has ended. */
    void (*over)(part_run *run);
    void *user;
    part_session *session; /* as all below: part.c's */
    part_run *next;
    uint64_t step;
    df_cancel *cancel; /* a reference */
    struct step *held; /* while it is prepared */
    uint32_t state;
    uint32_t n_stopping;
    bool is_told, is_decided, fails, is_over;
    df_error why;
};

/* All steps up to the watermark are over. */
void part_start(part_session *s, uint64_t program, uint64_t step, uint64_t watermark,
                df_tensors feeds, part_run *run);
/* The step succeeds, or fails with *why; unknown ones, and those that were decided, are left. */
void part_decide(part_session *s, uint64_t step, uint64_t watermark, const df_error *why);
/* It ends with *why, whether it has begun or will. To be decided all the same. */
void part_abort(part_session *s, uint64_t step, const df_error *why);

#endif /* CLUSTER_PART_H */
