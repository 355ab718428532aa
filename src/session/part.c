/* SPDX-License-Identifier: MIT
 *
 * Parts: what one process runs of a graph that several share.
 *
 * Each program has a graph of its own, cut for it; what they have in common, variables and runs, is
 * another session's. The graph is a partition, whose edges to other processes end in Sends and
 * Recvs; where these meet is said for each run.
 */
#include "session/session.h"

#include <string.h>

variable *session_variable(df_session *s, const char *name) {
    for (uint32_t i = 0; i < s->n_variables; i++)
        if (strcmp(s->variables[i].name, name) == 0) return &s->variables[i];
    return NULL;
}

static df_code bind_variable(df_session *s, const df_node *n, df_error *err) {
    const variable *v = session_variable(s->base, n->name);
    if (!v)
        return error_set(err, DF_NOT_FOUND, "variable %.200s is not one of this session", n->name);
    if (v->type->dtype != n->outputs->dtype ||
        !shape_equal(edge_shape(v->type), edge_shape(n->outputs)))
        return error_invalid(err, "variable %.200s has another dtype or shape in this session",
                             n->name);
    s->variable_of[n->id] = (int32_t)(v - s->variables);
    s->fixed[n->id] = (int32_t)v->device;
    return DF_OK;
}

static df_code bind_variables(df_session *s, df_error *err) {
    const df_graph *g = s->graph;
    df_code code = DF_OK;
    s->fixed = alloc_array(s->rt->alloc, g->n_nodes, sizeof *s->fixed);
    s->variable_of = alloc_array(s->rt->alloc, g->n_nodes, sizeof *s->variable_of);
    if (!s->fixed || !s->variable_of) return error_memory(err, "a part");
    for (size_t i = 0; code == DF_OK && i < g->n_nodes; i++) {
        s->fixed[i] = s->variable_of[i] = PLAN_NONE;
        if (g->nodes[i]->op->flags & OP_VARIABLE) code = bind_variable(s, g->nodes[i], err);
    }
    return code;
}

df_code session_new_part(df_session *base, df_graph *part, df_session **out, df_error *err) {
    df_session *s = session_empty(base->rt, part);
    if (!s) return error_memory(err, "a part");
    refcount_ref(&base->refs);
    s->base = base;
    s->group = base->group;
    s->variables = base->variables;
    s->n_variables = base->n_variables;
    df_code code = bind_variables(s, err);
    if (code == DF_OK) {
        graph_freeze(part);
        *out = s;
    } else {
        df_session_free(s);
    }
    return code;
}
