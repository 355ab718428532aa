/* SPDX-License-Identifier: MIT
 *
 * All variables of a session over a cluster at once, for who saves and restores them: what is read
 * is fetched in one step, what is written is fed to one. So they are of one moment, or change
 * together or not at all, as in any step.
 */
#include "cluster/master.h"

#include <dataflow/ops.h>

/* ---- reading ----------------------------------------------------------------------- */

static void list_variables(const df_session *s, df_out *outs) {
    const df_graph *g = s->graph;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (s->variable_of[i] != PLAN_NONE) outs[s->variable_of[i]] = (df_out){g->nodes[i], 0};
}

df_code save_read(df_session *s, df_tensor **values, df_error *err) {
    const df_allocator *alloc = s->rt->alloc;
    df_program *p = NULL;
    df_out *outs = alloc_array(alloc, s->n_variables, sizeof *outs);
    if (!outs) return error_memory(err, "variables");
    list_variables(s, outs);
    df_code code = programs_compile(s, DF_NO_OUTS, (df_outs){outs, s->n_variables}, NULL, &p, err);
    if (code == DF_OK) code = steps_run(p, DF_NO_TENSORS, values, NULL, err);
    df_program_free(p);
    alloc_free(alloc, outs, s->n_variables * sizeof *outs);
    return code;
}

/* ---- writing ----------------------------------------------------------------------- */

/* A graph of nothing but the variables, where they are, and for each what assigns it. */
typedef struct writing {
    df_graph *g;
    df_out *assigned, *feeds;
    df_node **assigns;
    int32_t *fixed; /* by node */
} writing;

static void add_variables(const df_session *s, writing *w) {
    const master *m = s->master;
    for (uint32_t i = 0; i < s->n_variables; i++) {
        const variable *v = &s->variables[i];
        df_graph_on(w->g, m->devices[v->device].full_name);
        df_graph_name(w->g, v->name);
        w->assigned[i] = df_variable(w->g, v->name, v->type->dtype, edge_shape(v->type));
    }
    for (uint32_t i = 0; i < s->n_variables; i++) { /* whose names are not the variables' */
        const edge_type *t = s->variables[i].type;
        w->feeds[i] = df_placeholder(w->g, NULL, t->dtype, edge_shape(t));
        df_graph_on(w->g, m->devices[s->variables[i].device].full_name);
        w->assigns[i] = df_assign(w->g, w->assigned[i], w->feeds[i]).node;
        df_graph_on(w->g, NULL);
    }
}

static df_code run_writing(df_session *s, writing *w, df_tensor **values, df_error *err) {
    df_program *p = NULL;
    uint32_t n = s->n_variables;
    compile_request rq = master_request(s->master);
    rq.graph = w->g;
    rq.fixed = NULL;
    rq.feeds = (df_outs){w->feeds, n};
    rq.targets = (df_nodes){w->assigns, n};
    df_code code = compile_place_variables(&rq, w->fixed, err);
    rq.fixed = w->fixed;
    if (code == DF_OK) code = programs_make(s, &rq, &p, err);
    if (code == DF_OK) code = steps_run(p, (df_tensors){values, n}, NULL, NULL, err);
    df_program_free(p);
    return code;
}

df_code save_write(df_session *s, df_tensor **values, df_error *err) {
    arena mem;
    writing w = {.g = df_graph_new(s->rt)};
    arena_init(&mem, s->rt->alloc);
    w.assigned = arena_array(&mem, s->n_variables, sizeof *w.assigned);
    w.feeds = arena_array(&mem, s->n_variables, sizeof *w.feeds);
    w.assigns = arena_array(&mem, s->n_variables, sizeof(df_node *));
    w.fixed = arena_array(&mem, 3 * (size_t)s->n_variables, sizeof *w.fixed);
    df_code code = w.g && !mem.failed ? DF_OK : error_memory(err, "variables");
    if (code == DF_OK) {
        add_variables(s, &w);
        code = df_graph_error(w.g, err);
    }
    if (code == DF_OK) code = run_writing(s, &w, values, err);
    df_graph_free(w.g);
    arena_fini(&mem);
    return code;
}
