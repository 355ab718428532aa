/* SPDX-License-Identifier: MIT
 *
 * master.h - a session over a cluster, as its master has it.
 *
 * (c) constant after new, (l) under master.lock
 */
#ifndef CLUSTER_MASTER_H
#define CLUSTER_MASTER_H

#include "base/text.h"
#include "cluster/cluster.h"

typedef struct cluster_run cluster_run;

enum { MOST = PLAN_MAX_DEVICES };

struct master {
    df_session *session; /* (c) not a reference */
    df_cluster *cluster; /* (c) a reference */
    master *next;        /* under cluster.lock, as visited */
    uint64_t visited;
    bool is_closed;    /* under cluster.lock: the tasks have been told that it is over */
    uint64_t id;       /* (c) */
    uint32_t n_tasks;  /* (c) */
    bool joined[MOST]; /* (c) tasks that answered: their devices are these */
    plan_device devices[MOST];
    char names[MOST][DEVICE_NAME_MAX];
    uint8_t task_of[MOST]; /* by device */
    uint32_t n_devices, client;
    plan_device tasks[MOST]; /* its first CPU each */
    part_session *own;       /* (c) NULL: it has no part */
    _Atomic uint64_t last_program;
    mutex lock;
    condition idle;
    uint64_t last_step;               /* (l) */
    cluster_run *runs;                /* (l) that are not decided */
    uint64_t incarnations[MOST];      /* (c), and the mender's: as the session knows the tasks */
    struct cluster_program *programs; /* (l) all */
    bool is_broken[MOST];  /* (l) tasks that did not answer, or were others than were thought */
    bool repairs;          /* (l) the mender looks after those */
    df_error why;          /* (l) what could not be mended when it last did; OK: all could */
    cluster_run *to_begin; /* (l) runs that wait for it */
    cluster_run *untold;   /* (l) runs whose decision somebody has not heard */
    clerk_job repair;
    df_timer timer;
    bool is_watched; /* (l) the timer is set, for those that have deadlines */
};

/* One task's share of a program. */
typedef struct cluster_part {
    uint32_t task;
    df_graph *graph;
    uint32_t *feeds, *fetches; /* which of the program's, in the order of the part's */
    uint32_t n_feeds, n_fetches;
} cluster_part;

typedef struct cluster_program {
    program_head head;                    /* first */
    struct cluster_program *next, **link; /* under master.lock */
    master *master;
    uint64_t id;
    arena mem;
    plan_feed *feeds;
    uint32_t n_feeds, n_fetches;
    cluster_part parts[MOST];
    uint32_t n_parts;
    touches touched;
} cluster_program;

void program_hold(cluster_program *p);
void program_release(cluster_program *p);

/* ---- steps.c, wait.c ---- */
/* done is told unless it returns an error. has_room: for the results, if they are asked for. */
df_code steps_begin(cluster_program *p, df_tensors feeds, const df_run_options *options,
                    bool has_room, df_run_done done, void *user, df_error *err);
void steps_resume(cluster_run *r, const df_error *why); /* NULL: all is well */
df_code steps_run(df_program *p, df_tensors feeds, df_tensor **results,
                  const df_run_options *options, df_error *err);
void steps_forget(master *m); /* decisions that were not heard: the session is over */
void steps_start(df_program *p, df_tensors feeds, const df_run_options *options, df_run_done done,
                 void *user);
/* Ends the runs that have this handle, or all. */
void steps_end(master *m, const df_cancel *cancel, const df_error *why);
bool steps_await(master *m, uint64_t until);

/* ---- ask.c ---- */
/* Calls of which all answers are waited for. */
typedef struct asking {
    mutex lock;
    condition changed;
    uint32_t open; /* (l) */
    df_error why;  /* (l) the first, if failed */
    bool failed;   /* (l) */
} asking;

/* One call of those. */
typedef struct question {
    remote_call call; /* first */
    asking *of;
    master *m;
    uint32_t task;
    df_tensor *answer; /* its payload */
    df_segment place;
    uint64_t number; /* its meta, of a greeting */
    df_code code;    /* how it has ended */
    unsigned char meta[REMOTE_HEAD + 16 + 8 * MOST + DF_ADDRESS_MAX];
    size_t meta_bytes;
} question;

bool asking_init(asking *a);
void asking_fini(asking *a);
/* The meta of a question to a task; and the question, with the answer's payload in q->answer. */
wire_out ask_begin(question *q, master *m, uint32_t task, unsigned kind);
void ask(asking *a, question *q, const wire_out *meta, df_segments payload);
/* Until all of the n have answered, or it takes too long: then they are cancelled, and waited for.
 * The first error. */
df_code ask_await(asking *a, question *qs, uint32_t n, uint64_t timeout, df_error *err);
void ask_nap(asking *a, uint64_t ns);

/* One question for each task, and what goes with it. */
typedef struct opening {
    asking asking;
    question qs[MOST];
    pack packs[MOST];
    text words[MOST];
} opening;

/* ---- master.c ---- */
/* What all of a session's compiling has in common. */
compile_request master_request(const master *m);
/* FORGET or CLOSE, for which only df_cluster_leave waits. */
void master_notify(master *m, uint32_t task, unsigned kind, uint64_t program, const df_error *why);

/* Another, that takes part: who has no address is a master, and does not. */
bool master_asks(const master *m, uint32_t task);
void master_greet(master *m, asking *a, question *q, uint32_t task);
void master_put_incarnations(const master *m, wire_out *w);
/* CREATE, or the own part. `packed` and `words` are the caller's to free when it was answered. */
df_code master_open_part(master *m, asking *a, question *q, uint32_t task, df_session *values,
                         pack *packed, text *words, df_error *err);

/* ---- repair.c ---- */
/* How a task has answered: if not as it should, it is looked after before it is needed. */
void repair_note(master *m, uint32_t task, df_code code);
/* The tasks that the program needs are looked after now. What is wrong, if that did not help. */
df_code repair_await(cluster_program *p, df_error *err);
/* It has not heard something: the mender looks after it at once. The session is held. */
void repair_now(master *m, uint32_t task);
/* True: the run will go on when the mender has looked after the tasks that it needs; it is given to
 * steps_resume then, with what is wrong, if that cannot be mended. *posts: repair_post comes next,
 * without the lock; the session is held. */
bool repair_first_locked(master *m, cluster_run *r, bool *posts);
void repair_post(master *m);

/* ---- programs.c ---- */
/* The part's text to its task, in `words`, the caller's to free when it was answered. */
df_code programs_hand_out(cluster_program *p, const cluster_part *part, asking *a, question *q,
                          text *words, df_error *err);
/* A request of this session's: its graph may be another, of the same variables. */
df_code programs_make(df_session *s, compile_request *rq, df_program **out, df_error *err);
df_code programs_compile(df_session *s, df_outs feeds, df_outs fetches,
                         const df_compile_options *options, df_program **out, df_error *err);
void programs_forget(df_program *p);
size_t programs_parts(const df_program *program);
const df_graph *programs_part(const df_program *program, size_t i, const char **name);

/* ---- save.c ---- */
df_code save_read(df_session *s, df_tensor **values, df_error *err);
df_code save_write(df_session *s, df_tensor **values, df_error *err);

#endif /* CLUSTER_MASTER_H */
