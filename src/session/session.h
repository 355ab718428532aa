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
    run_group group;
};

void session_unref(df_session *s);

/* For the user, and for initialisers. */
df_code session_compile(df_session *s, df_outs feeds, df_outs fetches,
                        const df_compile_options *options, df_program **out, df_error *err);

#endif /* SESSION_SESSION_H */
