/* SPDX-License-Identifier: MIT
 *
 * soak.h - a world drawn at random, and what goes on in it, for test_soak.c.
 *
 *   soak_world.c    a runtime, sessions, graphs and programs; how they go
 *   soak_kernels.c  ops whose kernels fail, cancel, run programs, end late or very late
 *   soak_meet.c     rendezvous of the world's own
 *   soak_ward.c     what happens later: a list, and a thread that makes it happen
 *   soak_runs.c     runs, and what is checked of each
 *
 * A world is all that its seed says, but for the order in which its threads come.
 *
 * Legend: (c) constant once the world is made, (a) atomic, (l) under `lock`.
 */
#ifndef STRESS_SOAK_H
#define STRESS_SOAK_H

#include <dataflow/dataflow.h>

#include "property/random.h"
#include "support/crew.h"
#include "support/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SOAK_SESSIONS = 2,
    SOAK_DEVICES = 4,
    SOAK_CANCELS = 12,
    SOAK_SITES = 64,
    SOAK_RUNS = 128,
    SOAK_FETCHES = 3,
    SOAK_VECTOR_MAX = 5,
    SOAK_PAIRS = 4,
    SOAK_ISSUERS = 3,
    SOAK_SERVANTS = 4
};

typedef struct soak_world soak_world;
typedef struct soak_session soak_session;

/* ---- what happens later --------------------------------------------------- */

/* In memory of its own: `now` frees it. */
typedef struct soak_late soak_late;
struct soak_late {
    void (*now)(soak_late *l);
    soak_late *next;
};

typedef struct soak_ward {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    soak_late *soon;  /* (l) happens by itself */
    soak_late *stuck; /* (l) happens when somebody says so */
    bool rescues;     /* (l) what is stuck, or comes, happens by itself, too */
    bool stops;       /* (l) the thread goes when nothing is left for it */
} soak_ward;

void ward_init(soak_ward *v);
void ward_fini(soak_ward *v); /* nothing is left */
void ward_add(soak_ward *v, soak_late *l, bool stuck);
void ward_rescue(soak_ward *v);
void ward_let_one_go(soak_ward *v); /* of those that are stuck, on the calling thread */
void ward_empty(soak_ward *v);      /* all, on the calling thread */
size_t ward_count(soak_ward *v);
void ward_stop(soak_ward *v);
void ward_main(void *ward, int i); /* a job */

/* ---- programs ------------------------------------------------------------- */

typedef enum soak_kind {
    SOAK_COUNT,  /* two variables grow by 1, together: their new values */
    SOAK_READ,   /* both, and by how much they differ */
    SOAK_PURE,   /* 3x, and -x */
    SOAK_VECTOR, /* of a length that is not known before: its sum, and itself */
    SOAK_KINDS
} soak_kind;

typedef enum soak_meet {
    MEET_OWN,   /* the library's */
    MEET_RELAY, /* hands everything on at once, and says that it is closed */
    MEET_OPEN,  /* the same, and does not say so */
    MEET_LATE,  /* some of it later */
    MEET_LOSSY, /* and some of it never */
    MEET_FAILS  /* as MEET_OPEN; sometimes there is none to be had */
} soak_meet;

/* All (c) but where it says so. */
struct soak_session {
    soak_world *w;
    df_graph *graph;     /* the test's own thread's */
    df_session *session; /* NULL: freed at once; only its programs are left */
    soak_meet meets;
    df_outs feeds[SOAK_KINDS], fetches[SOAK_KINDS];
    df_out feed_items[SOAK_KINDS][1], fetch_items[SOAK_KINDS][SOAK_FETCHES];
    df_program *programs[SOAK_KINDS];
    size_t crossings[SOAK_KINDS];
    _Atomic int64_t n_counted;             /* (a) runs of SOAK_COUNT that were told success */
    _Atomic unsigned char seen[SOAK_RUNS]; /* (a) how often a count of i + 1 came out */
};

/* A node of the test's own ops: its attr is this. */
typedef struct soak_site {
    soak_world *w;
    uint64_t number;
    _Atomic uint64_t n; /* (a) how often it ran */
} soak_site;

/* ---- runs ------------------------------------------------------------------ */

enum { RUN_NONE, RUN_BEGUN, RUN_STARTED };

/* Set by who issues it, before it begins, but for what is (a), or (t): by the end, and read once
 * `told` says so. */
typedef struct soak_run {
    soak_world *w;
    soak_session *s;
    soak_kind kind;
    uint64_t number, timeout, began;
    int depth;                  /* how many callbacks and kernels started it, one in another */
    _Atomic uint32_t state;     /* (a) STARTED: df_program_start has returned */
    _Atomic uint32_t entered;   /* (a) how often its end came */
    _Atomic uint32_t told;      /* (a) */
    _Atomic(df_program *) own;  /* (a) for this run alone: who takes it frees it */
    bool frees_own;             /* the callback does */
    bool failed;                /* (t) */
    int64_t at_least;           /* the counter, when it began */
    int64_t x[SOAK_VECTOR_MAX]; /* what was fed: n_x */
    int64_t n_x;
    _Atomic uint32_t wraps; /* (a) tensors that borrow x, and were not given back */
    bool has_into, has_stats;
    df_span into[SOAK_FETCHES];
    int64_t room[SOAK_FETCHES][SOAK_VECTOR_MAX];
    size_t n_crossings, n_room;
    df_run_stats stats, stats_then;    /* the second: (t) */
    df_pair_traffic pairs[SOAK_PAIRS]; /* those from n_room on are nobody's */
    df_tensor *kept[SOAK_FETCHES];     /* (t) results, until the world has gone */
} soak_run;

/* Draws a run and starts it, or (depth 0) runs it. */
void soak_issue(soak_world *w, draws *d, int depth);
/* No run is on its way any more. */
void soak_check_runs(soak_world *w);
/* Every run whose start has returned was told. */
void soak_check_told(soak_world *w);

/* ---- the world ------------------------------------------------------------- */

typedef enum soak_threads {
    THREADS_NONE,
    THREADS_WORKERS,
    THREADS_LENT,
    THREADS_LOOP
} soak_threads;
typedef enum soak_end {
    END_CLOSED, /* the sessions are closed while all goes on */
    END_FREED,  /* everything is freed while all goes on */
    END_CALM    /* all goes to its end before */
} soak_end;

struct soak_world {
    uint64_t seed; /* (c) as all down to rt */
    char words[240];
    const char *devices;
    const char *places[SOAK_DEVICES];
    size_t n_places;
    soak_threads threads;
    int n_threads;
    soak_end end;
    size_t n_sessions, n_issuers, n_ops, n_troubles;
    unsigned acts, fails, lates, stucks, fires, nests; /* chances: once in; 0: never */
    bool has_keeper;                                   /* the runtime outlives every handle */
    bool has_faults;                                   /* memory may fail */
    df_runtime *rt;
    df_cancel *keeper;
    fault_allocator memory;
    fault_threads sources;
    check check;

    soak_session sessions[SOAK_SESSIONS];
    df_session *nest;   /* (c) */
    df_program *nested; /* (c) -x on CPUs, for kernels to run */
    soak_site sites[SOAK_SITES];
    size_t n_sites;
    df_cancel *cancels[SOAK_CANCELS];
    _Atomic uint32_t n_fired; /* (a) those before it were fired */
    _Atomic uint32_t is_calm; /* (a) nothing fails and nothing is late any more */
    soak_ward ward;

    soak_run *runs;                  /* SOAK_RUNS */
    _Atomic uint32_t n_runs, n_open; /* ever; that began, and whose callbacks have not returned */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_inside; /* (l) threads that use what the test's own thread will free */
    bool is_shut;      /* (l) no more of these */
    unsigned calls;    /* (l) for lent threads, that have not come */
    bool servants_go;  /* (l) */

    crew_job issuers[SOAK_ISSUERS], servants[SOAK_SERVANTS], keeper_of_ward, helper;
    int n_servants;

    /* (a) for the watchdog */
    _Atomic(const char *) phase;
    _Atomic uint32_t is_open; /* sessions may be asked what they wait for */
};

/* Over all worlds: how runs ended, and what was late when all was freed. */
enum { SOAK_CODES = 17 };
typedef struct soak_counts {
    _Atomic uint64_t codes[SOAK_CODES], after_all;
} soak_counts;
extern soak_counts soak_tally;

/* Worlds, runs and whatever else goes on are counted: by that the watchdog sees that it does. */
void soak_moves(void);

soak_world *soak_open(uint64_t seed);
/* Starts and ends the threads that a runtime of this kind is lent, or needs. */
void soak_hire(soak_world *w);
void soak_dismiss(soak_world *w);
void soak_free_all(soak_world *w); /* all that was opened but the handles to cancel by */
void soak_free_cancels(soak_world *w);
void soak_close(soak_world *w); /* everything was freed, and nothing is late */

/* True: what it takes to call the library is there until soak_leave. */
bool soak_enter(soak_world *w);
void soak_leave(soak_world *w);
void soak_shut(soak_world *w); /* waits for those inside */

void soak_fire(soak_world *w);                   /* one of the handles, inside */
df_cancel *soak_cancel(soak_world *w, draws *d); /* one that was fired, or may be; NULL */

/* ---- soak_kernels.c, soak_meet.c ------------------------------------------- */

df_code soak_register(df_runtime *rt, df_error *err);
/* x, or a node behind it that copies. */
df_out soak_act(soak_world *w, df_graph *g, draws *d, df_out x);
df_rendezvous_factory soak_factory(soak_session *s);

#endif /* STRESS_SOAK_H */
