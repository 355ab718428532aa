/* SPDX-License-Identifier: MIT
 *
 * session.h - the state of one graph, and its programs.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <dataflow/session.h>

#include "compile/compile.h"
#include "session/runtime.h"

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
};

/* Without variables, and of no group. NULL: out of memory. */
df_session *session_empty(df_runtime *rt, df_graph *graph);
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
/* The keys of its channels, and its plan. */
const df_key *const *session_part_keys(const df_program *program, const plan **p);

/* The variable that has this name; NULL: none. */
variable *session_variable(df_session *s, const char *name);

/* For the user, and for initialisers. */
df_code session_compile(df_session *s, df_outs feeds, df_outs fetches,
                        const df_compile_options *options, df_program **out, df_error *err);

#endif /* SESSION_SESSION_H */
