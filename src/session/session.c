/* SPDX-License-Identifier: MIT */
#include "session/session.h"

void session_unref(df_session *s) {
    if (!s || !refcount_unref(&s->refs)) return;
    const df_allocator *alloc = s->rt->alloc;
    for (uint32_t i = 0; i < s->n_variables; i++) df_tensor_unref(s->variables[i].value);
    alloc_free(alloc, s->variables, s->n_variables * sizeof *s->variables);
    alloc_free(alloc, s->variable_of, s->graph->n_nodes * sizeof *s->variable_of);
    alloc_free(alloc, s->fixed, s->graph->n_nodes * sizeof *s->fixed);
    tickets_fini(&s->tickets);
    graph_unref(s->graph);
    df_runtime *rt = s->rt;
    alloc_free(alloc, s, sizeof *s);
    runtime_unref(rt);
}

void df_session_free(df_session *session) {
    session_unref(session);
}
