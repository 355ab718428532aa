/* SPDX-License-Identifier: MIT
 *
 * cluster.h - a process as a task of a cluster.
 *
 *   spec.c      who there is
 *   cluster.c   joining and leaving
 *   requests.c  what other tasks ask of this one
 *   greet.c     who the others are
 *   clerk.c     threads that do what takes time
 *   part.c      what this one runs of a session
 *   pack.c      values and texts in one message
 *   master.c    sessions of this process: the tasks that take part, variables
 *   programs.c  their programs
 *   ask.c       asking tasks, and waiting for the answers
 *   steps.c     their runs
 *   late.c      those that end early
 *   repair.c    tasks that come back
 *   wait.c      those that the caller waits for
 *   save.c      all variables at once
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include <dataflow/cluster.h>

#include "cluster/pack.h"
#include "cluster/part.h"
#include "rendezvous/remote.h"
#include "transport/frame.h"

/* In the order in which they come. Metas, after the head; payloads:
 *
 *   HELLO    where the caller is reached           reply: incarnation; devices, as text
 *   CREATE   session, all tasks' incarnations;     variables as text, and first values
 *   COMPILE  session, program;                     the part as text
 *   RUN      session, program, step, watermark;    feeds      reply: fetches
 *   ABORT    session, step, error
 *   DECIDE   session, step, watermark, error: OK if it has succeeded
 *   FORGET   session, program
 *   CLOSE    session, error
 *   MEET     session, all tasks' incarnations: one was restarted
 */
enum {
    KIND_CREATE = KIND_OTHERS + 1,
    KIND_COMPILE,
    KIND_RUN,
    KIND_ABORT,
    KIND_DECIDE,
    KIND_FORGET,
    KIND_CLOSE,
    KIND_MEET
};

/* What a clerk does, in the memory of who wants it. */
typedef struct clerk_job clerk_job;
struct clerk_job {
    clerk_job *next;
    void (*work)(clerk_job *job);
};

/* A thread that does one job after the other. */
typedef struct clerk {
    df_cluster *of;          /* (c) */
    clerk_job *first, *last; /* (l) */
    void *thread;            /* (c) */
} clerk;

typedef struct guest guest; /* a session in which this task takes part for somebody else */

struct df_cluster {
    session_cluster base;     /* first */
    refcount refs;            /* (a) the user's, and one of each session of its own */
    df_runtime *rt;           /* (c) a reference */
    df_cluster_spec *spec;    /* (c) */
    const char *const *names; /* (c) of the tasks */
    void *names_block;
    uint32_t self;        /* (c) */
    df_cluster_options o; /* (c) */
    remote *remote;       /* (c) */
    mutex lock;
    condition changed;
    guest *guests;                 /* (l) */
    clerk clerk;                   /* what others ask: it waits for nobody */
    clerk mender;                  /* repairs of the own sessions, which wait for the clerks
                                    * of others */
    bool greets[PLAN_MAX_DEVICES]; /* (l) tasks that are being greeted, as they are doubtful */
    bool leaving;                  /* (l) */
    size_t n_requests;             /* (l) of others, that are not over */
    size_t n_notices;              /* (l) to others, that have not been answered */
    uint64_t last_visit;           /* (l) */
    struct master *masters;        /* (l) sessions of its own */
};

df_cluster *cluster_ref(df_cluster *c);
void cluster_unref(df_cluster *c);
df_code error_left(df_error *err, const df_cluster *c); /* CANCELLED: this task has left */

/* ---- spec.c ---- */
df_code spec_copy(const df_allocator *alloc, const df_cluster_spec *spec, df_cluster_spec **out,
                  df_error *err);
uint64_t spec_hash(const df_cluster_spec *spec);
/* "/job:worker/task:1", of each, in one block. */
df_code spec_names(const df_allocator *alloc, const df_cluster_spec *spec, const char ***names,
                   df_error *err);
void spec_names_free(const df_allocator *alloc, const df_cluster_spec *spec, const char **names);

/* ---- requests.c ---- */
df_code requests_take(void *user, remote_peer *from, unsigned kind, wire_in *meta, uint64_t payload,
                      remote_request **out, df_segments *place, df_error *err);
void requests_lost(void *user, remote_peer *peer, const df_error *why);
/* All sessions in which this task takes part for others. */
void guests_end(df_cluster *c, const df_error *why);

/* ---- greet.c ---- */
/* What a greeting says, but for the head. */
void greet_put(const df_cluster *c, wire_out *w);
/* Asks a task who it is; `then` is told when that is known, or cannot be. */
void greet_task(df_cluster *c, uint32_t task, void (*then)(void *user), void *user);
void greet_doubtful(void *cluster, remote_peer *peer); /* as remote_options.doubt */

/* ---- clerk.c ---- */
df_code clerk_start(clerk *k, df_cluster *c, const char *name, df_error *err);
/* False: the task is leaving, and the job will not be done. */
bool clerk_post(clerk *k, clerk_job *job);
void clerk_await(clerk *k); /* its end: the task is leaving */

/* ---- errors in metas ---- */
void wire_put_error(wire_out *w, const df_error *why); /* NULL: none */
/* False: there is none. */
bool wire_get_error(wire_in *w, df_error *why);

/* ---- master.c ---- */
extern const session_calls master_calls;
typedef struct master master;
/* All its own sessions end with *why. */
void masters_end(df_cluster *c, const df_error *why);

/* The devices of this process, as a greeting tells of them. NULL: out of memory. */
char *cluster_devices(const df_cluster *c, size_t *bytes);

#endif /* CLUSTER_CLUSTER_H */
