/* SPDX-License-Identifier: MIT
 *
 * Opening a session: variables are placed, once for the whole graph, and given their first
 * values.
 *
 * Variables without an initialiser start with zeros. An initialiser is any output of the graph.
 * Those that need no variable which has one are fetched by one program, the first round; the others
 * in later rounds, behind the variables that they need. What comes is moved to the variables'
 * devices.
 */
#include "session/session.h"

#include <string.h>

#include "base/options.h"

/* ---- variables ----------------------------------------------------------- */

static df_code find_variables(df_session *s, df_error *err) {
    const df_graph *g = s->graph;
    uint32_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++) n += (g->nodes[i]->op->flags & OP_VARIABLE) != 0;
    if (n == 0) return DF_OK;
    s->fixed = alloc_array(s->rt->alloc, g->n_nodes, sizeof *s->fixed);
    s->variable_of = alloc_array(s->rt->alloc, g->n_nodes, sizeof *s->variable_of);
    s->variables = alloc_array(s->rt->alloc, n, sizeof *s->variables);
    if (s->variables) s->n_variables = n;
    if (!s->fixed || !s->variable_of || !s->variables) return error_memory(err, "variables");
    compile_request rq = {.graph = s->graph,
                          .alloc = s->rt->alloc,
                          .devices = s->rt->plan_devices,
                          .n_devices = s->rt->n_devices,
                          .client = s->rt->client,
                          .soft_placement = s->soft_placement};
    df_code code = compile_place_variables(&rq, s->fixed, err);
    if (code != DF_OK) return code;
    uint32_t at = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        s->variable_of[i] = PLAN_NONE;
        if (!(g->nodes[i]->op->flags & OP_VARIABLE)) continue;
        s->variable_of[i] = (int32_t)at;
        s->variables[at++] = (variable){.name = g->nodes[i]->name,
                                        .type = &g->nodes[i]->outputs[0],
                                        .device = (uint32_t)s->fixed[i]};
    }
    return DF_OK;
}

/* Takes the reference of `value`, a host tensor. What an initialiser may have written to the
 * variable gives way. */
static df_code set_value(df_session *s, variable *v, df_tensor *value, df_error *err) {
    df_tensor_unref(v->value);
    v->value = NULL;
    df_device *d = s->rt->devices[v->device];
    df_code code = device_is_host(d) ? DF_OK : runtime_may_wait(s->rt, "makes a session", err);
    if (code == DF_OK) code = move_tensor(d, DF_MEMORY_DEVICE, value, &v->value, err);
    df_tensor_unref(value);
    return code;
}

static df_code named(df_code code, const variable *v, df_error *err) {
    if (code != DF_OK) error_prefix(err, "first value of variable %.150s: ", v->name);
    return code;
}

static df_code set_zeros(df_session *s, variable *v, df_error *err) {
    df_tensor *zeros;
    if (!shape_is_known(edge_shape(v->type))) return DF_OK; /* until it is assigned */
    df_code code =
        tensor_new_in(s->rt->host, s->rt->host, v->type->dtype, edge_shape(v->type), &zeros, err);
    if (code != DF_OK) return code;
    if (v->type->dtype != DF_STRING) memset(zeros->data, 0, zeros->bytes);
    return set_value(s, v, zeros, err);
}

/* A variable that starts from an output. */
typedef struct first {
    df_out from;
    uint32_t variable, round;
    df_tensor *value; /* owned, in host memory; once its round has run */
} first;

/* The round from which on a node has what it needs. */
static uint32_t round_of(const df_node *node, const uint32_t *rounds) {
    const uint32_t *controls = node_controls(node);
    uint32_t r = node->has_initial ? rounds[node->inputs[0].node] + 1 : 0;
    for (int k = 0; k < node->n_inputs; k++)
        if (rounds[node->inputs[k].node] > r) r = rounds[node->inputs[k].node];
    for (int k = 0; k < node->n_controls; k++)
        if (rounds[controls[k]] > r) r = rounds[controls[k]];
    return r;
}

/* In the graph's order and back, until nothing changes: a control edge may come from behind. At
 * most as many rounds as variables: where one waits for itself they would never end. Returns how
 * many. */
static uint32_t number_rounds(const df_graph *g, uint32_t most, uint32_t *rounds) {
    const uint32_t last = (uint32_t)g->n_nodes - 1;
    uint32_t n = 0;
    bool changes = true;
    for (uint32_t pass = 0; changes; pass++) {
        changes = false;
        for (uint32_t k = 0; k <= last; k++) {
            uint32_t i = pass % 2 ? last - k : k, r = round_of(g->nodes[i], rounds);
            if (r > most) r = most;
            changes |= r != rounds[i];
            rounds[i] = r;
            if (g->nodes[i]->has_initial && r > n) n = r;
        }
    }
    return n;
}

/* Sets all that are known by now: what this round has written to those before gives way. */
static df_code run_round(df_session *s, first *firsts, size_t n, uint32_t round, df_out *outs,
                         df_tensor **values, df_error *err) {
    df_program *p = NULL;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (firsts[i].round == round) outs[m++] = firsts[i].from;
    if (m == 0) return DF_OK;
    df_code code = session_compile(s, DF_NO_OUTS, (df_outs){outs, m}, NULL, &p, err);
    if (code == DF_OK) code = df_program_run(p, DF_NO_TENSORS, values, NULL, err);
    df_program_free(p);
    if (code != DF_OK) {
        error_prefix(err, "initialisers: ");
        return code;
    }
    m = 0;
    for (size_t i = 0; i < n; i++)
        if (firsts[i].round == round) firsts[i].value = values[m++];
    for (size_t i = 0; code == DF_OK && i < n; i++) {
        variable *v = &s->variables[firsts[i].variable];
        if (firsts[i].value)
            code = named(set_value(s, v, tensor_ref(firsts[i].value), err), v, err);
    }
    return code;
}

static df_code initialise(df_session *s, df_error *err) {
    const df_allocator *alloc = s->rt->alloc;
    const df_graph *g = s->graph;
    size_t room = s->n_variables, n = 0;
    uint32_t n_rounds = 0;
    if (room == 0) return DF_OK;
    first *firsts = alloc_array(alloc, room, sizeof *firsts);
    df_out *outs = alloc_array(alloc, room, sizeof *outs);
    df_tensor **values = alloc_array(alloc, room, sizeof(df_tensor *));
    uint32_t *rounds = alloc_array(alloc, g->n_nodes, sizeof *rounds);
    df_code code = firsts && outs && values && rounds ? DF_OK : error_memory(err, "variables");
    if (code == DF_OK) n_rounds = number_rounds(g, s->n_variables, rounds);
    for (size_t i = 0; code == DF_OK && i < g->n_nodes; i++) {
        if (s->variable_of[i] == PLAN_NONE) continue;
        uint32_t v = (uint32_t)s->variable_of[i];
        if (g->nodes[i]->has_initial)
            firsts[n++] = (first){node_initial(g->nodes[i]), v, rounds[i] - 1, NULL};
        else
            code = named(set_zeros(s, &s->variables[v], err), &s->variables[v], err);
    }
    for (uint32_t r = 0; code == DF_OK && r < n_rounds; r++)
        code = run_round(s, firsts, n, r, outs, values, err);
    for (size_t i = 0; i < n; i++) df_tensor_unref(firsts[i].value);
    alloc_free(alloc, firsts, room * sizeof *firsts);
    alloc_free(alloc, outs, room * sizeof *outs);
    alloc_free(alloc, values, room * sizeof(df_tensor *));
    alloc_free(alloc, rounds, g->n_nodes * sizeof *rounds);
    return code;
}

/* ---- making -------------------------------------------------------------- */

static df_code read_factory(const df_rendezvous_factory *given, df_rendezvous_factory *f,
                            df_error *err) {
    df_code code = options_read(f, given, "df_rendezvous_factory", err);
    if (code != DF_OK || f->create) return code;
    return error_invalid(err, "df_session_options.rendezvous has no create: set it");
}

run_group *session_group_new(const df_allocator *alloc) {
    run_group *g = alloc_zeroed(alloc, sizeof *g);
    if (g && run_group_init(g)) return g;
    alloc_free(alloc, g, sizeof *g);
    return NULL;
}

df_session *session_empty(df_runtime *rt, df_graph *graph) {
    df_session *s = alloc_zeroed(rt->alloc, sizeof *s);
    if (!s) return NULL;
    refcount_init(&s->refs);
    s->rt = runtime_ref(rt);
    s->graph = graph_ref(graph);
    runtime_enter(rt);
    return s;
}

df_code df_session_new(df_graph *graph, const df_session_options *options, df_session **out,
                       df_error *err) {
    if (!graph)
        return error_invalid(err, "the graph is NULL: df_graph_new had no runtime, or no memory");
    if (graph->is_partition)
        return error_set(err, DF_FAILED_PRECONDITION,
                         "the graph is a partition, which can be looked at, not run: make the "
                         "session of the graph that it was cut from");
    if (!out) return error_no_out(err);
    df_runtime *rt = graph->owner;
    df_session_options o = {.struct_size = sizeof o};
    df_rendezvous_factory factory = {.struct_size = sizeof factory};
    df_code code = options_read(&o, options, "df_session_options", err);
    if (code == DF_OK && o.rendezvous) code = read_factory(o.rendezvous, &factory, err);
    if (code == DF_OK) code = df_graph_error(graph, err);
    if (code == DF_OK && o.cluster)
        return ((session_cluster *)(void *)o.cluster)->calls->open(graph, &o, out, err);
    if (code == DF_OK) code = pool_start(rt->pool, err);
    if (code != DF_OK) return code;
    df_session *s = session_empty(rt, graph);
    if (s) s->group = session_group_new(rt->alloc);
    if (!s || !s->group) {
        df_session_free(s);
        return error_memory(err, "a session");
    }
    s->group->factory = factory;
    s->soft_placement = o.soft_placement;
    s->strict_order = o.strict_order;
    code = find_variables(s, err);
    if (code == DF_OK) code = initialise(s, err);
    if (code == DF_OK) {
        graph_freeze(graph);
        *out = s;
    } else {
        df_session_free(s);
    }
    return code;
}
