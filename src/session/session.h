/* SPDX-License-Identifier: MIT
 *
 * session.h - the state of one graph, and its programs.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <dataflow/session.h>

#include "compile/compile.h"
#include "session/runtime.h"

/* What a session of a cluster answers, instead of this layer (cluster/master.c). */
typedef struct session_calls {
    df_code (*open)(df_graph *graph, const df_session_options *options, df_session **out,
                    df_error *err);
    void (*end)(df_session *s, const df_error *why); /* its runs */
    bool (*await)(df_session *s, uint64_t until);    /* true: none goes on */
    void (*close)(df_session *s);                    /* last */
    df_code (*compile)(df_session *s, df_outs feeds, df_outs fetches,
                       const df_compile_options *options, df_program **out, df_error *err);
    void (*forget)(df_program *p);
    df_code (*run)(df_program *p, df_tensors feeds, df_tensor **results,
                   const df_run_options *options, df_error *err);
    void (*start)(df_program *p, df_tensors feeds, const df_run_options *options, df_run_done done,
                  void *user);
    size_t (*parts)(const df_program *p);
    const df_graph *(*part)(const df_program *p, size_t i, const char **name);
    /* All variables, as they are between two steps: to host memory, and from it. What is read is
     * the caller's; on failure nothing is, and nothing was written. */
    df_code (*read)(df_session *s, df_tensor **values, df_error *err);
    df_code (*write)(df_session *s, df_tensor **values, df_error *err);
    /* Ends the runs that have this handle. hold is called under the runtime's lock. */
    void (*hold)(session_cluster *c);
    void (*cancel)(session_cluster *c, df_cancel *cancel, const df_error *why);
    void (*release)(session_cluster *c);
} session_calls;

/* How a df_program begins. */
typedef struct program_head {
    refcount refs;       /* (a) the user's, and those of runs that nobody waits for */
    df_session *session; /* (c) a reference */
} program_head;

struct df_session {
    refcount refs;  /* (a) the user's, and one of each program */
    df_runtime *rt; /* (c), as all below */
    df_graph *graph;
    bool soft_placement, strict_order;
    int32_t *fixed;       /* by node id: the device of a variable; NONE. NULL: there is none */
    int32_t *variable_of; /* by node id: its index in variables; NONE. NULL: as fixed */
    variable *variables;
    uint32_t n_variables;
    run_group *group;
    df_session *base; /* whose variables and group these are: a reference; NULL: its own */
    const session_calls *calls; /* NULL: it is of this process */
    void *master;               /* theirs */
};

/* NULL: the program is of this process. */
static inline const session_calls *calls_of(const df_program *program) {
    return ((const program_head *)(const void *)program)->session->calls;
}

/* Without variables, and of no group. NULL: out of memory. */
df_session *session_empty(df_runtime *rt, df_graph *graph);
run_group *session_group_new(const df_allocator *alloc); /* the same */
void session_unref(df_session *s);

/* A session of one part of a graph, whose Sends and Recvs meet those of other processes: it has the
 * variables of `base`, by their names, and runs in its group. Takes no reference of the graph but
 * its own. NOT_FOUND: base has no such variable. */
df_code session_new_part(df_session *base, df_graph *part, df_session **out, df_error *err);

/* A run of a program of such a session; see run_request. Takes the reference of meets. */
void session_start_part(df_program *program, df_tensors feeds, df_cancel *cancel,
                        df_rendezvous *meets,
                        void (*prepared)(void *user, struct step *s, df_tensor *const *results,
                                         size_t n),
                        df_run_done done, void *user);
/* As df_program_free, for a program that is not the user's (runtime_disown). NULL is fine. */
void session_drop_program(df_program *program);
/* The keys of its channels, and its plan. */
const df_key *const *session_part_keys(const df_program *program, const plan **p);

/* INVALID_ARGUMENT for a handle of another runtime: its df_cancel_fire would not find the run. NULL
 * is fine. */
df_code session_check_cancel(const df_session *s, const df_cancel *cancel, df_error *err);

/* FAILED_PRECONDITION once it is closed. */
df_code session_check_open(const df_session *s, df_error *err);

/* The variable that has this name; NULL: none. */
variable *session_variable(df_session *s, const char *name);

/* For the user, and for initialisers. */
df_code session_compile(df_session *s, df_outs feeds, df_outs fetches,
                        const df_compile_options *options, df_program **out, df_error *err);

#endif /* SESSION_SESSION_H */
