/* SPDX-License-Identifier: MIT
 *
 * The builder: what a user says becomes nodes, or the graph's first mistake.
 *
 * A node is checked whole before it is added: op, inputs, attrs, name, dtypes and
 * shapes. So every node in a graph is well formed, and all that is left for the
 * compiler to refuse is what only shows in the whole: cycles, devices, feeds.
 *
 * Scopes form a stack. Each has the prefix of its names and the device for what is added
 * in it, already merged with those of the scopes around it.
 */
#include "graph/graph.h"

#include <stddef.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 1000, INPUTS_ON_STACK = 16 };

struct graph_scope {
    graph_scope *outer;
    const char *prefix;    /* "a/b/" */
    const graph_place *on; /* NULL: anywhere */
};

static const graph_scope outermost = {.prefix = ""};

static const graph_scope *scope_of(const df_graph *g) {
    return g->scope ? g->scope : &outermost;
}

/* True: the call may go on. */
static bool building(df_graph *g) {
    if (!g || g->error.code != DF_OK) return false;
    if (!g->frozen) return true;
    (void)graph_fail(g, DF_FAILED_PRECONDITION,
                     "the graph is frozen: a session was made of it; build a new graph to add to");
    return false;
}

static void no_memory(df_graph *g) {
    (void)graph_fail(g, DF_RESOURCE_EXHAUSTED, "out of memory for the graph");
}

/* ---- names and scopes ---------------------------------------------------- */

/* What the library puts in is named after a node, with an '@'. */
static size_t longest_name(const df_graph *g) {
    return g->is_partition ? 2 * NAME_MAX_LENGTH : NAME_MAX_LENGTH;
}

static bool name_is_good(const df_graph *g, const char *name) {
    const char *others = g->is_partition ? "_.-/@" : "_.-/";
    size_t n = strlen(name);
    if (n == 0 || n > longest_name(g) || strchr("_-/@", name[0])) return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr(others, c)) return false;
    }
    return true;
}

static bool check_name(df_graph *g, const char *name) {
    if (name && name_is_good(g, name)) return true;
    (void)graph_fail(g, DF_INVALID_ARGUMENT,
                     "the name \"%.200s\" is not one: letters, digits and any of \"_.-/\", at most "
                     "%d of them, the first a letter, a digit or '.'",
                     name ? name : "", NAME_MAX_LENGTH);
    return false;
}

/* All three, in the arena. */
static const char *join(df_graph *g, const char *prefix, const char *name, const char *suffix) {
    char *whole = arena_alloc(&g->mem, strlen(prefix) + strlen(name) + strlen(suffix) + 1);
    if (whole) (void)stpcpy(stpcpy(stpcpy(whole, prefix), name), suffix);
    return whole;
}

void df_graph_name(df_graph *graph, const char *name) {
    if (!building(graph) || !check_name(graph, name)) return;
    graph->next_name = arena_text(&graph->mem, name, strlen(name));
    if (!graph->next_name) no_memory(graph);
}

void df_graph_scope(df_graph *graph, const char *name) {
    if (!building(graph) || (name && !check_name(graph, name))) return;
    const graph_scope *outer = scope_of(graph);
    graph_scope *s = arena_alloc(&graph->mem, sizeof *s);
    const char *prefix = name ? join(graph, outer->prefix, name, "/") : outer->prefix;
    if (!s || !prefix) {
        no_memory(graph);
        return;
    }
    *s = *outer;
    s->outer = graph->scope;
    s->prefix = prefix;
    graph->scope = s;
}

void df_graph_scope_end(df_graph *graph) {
    if (!building(graph)) return;
    if (!graph->scope || graph->scope->outer == graph->scope)
        (void)graph_fail(graph, DF_FAILED_PRECONDITION,
                         "df_graph_scope_end without a df_graph_scope");
    else
        graph->scope = graph->scope->outer;
}

/* The bottom of the stack is a scope that points to itself: a df_graph_on outside of any
 * scope has to be kept somewhere. */
static graph_scope *scope_to_write(df_graph *g) {
    if (g->scope) return g->scope;
    graph_scope *s = arena_alloc(&g->mem, sizeof *s);
    if (!s) return NULL;
    *s = outermost;
    s->outer = s;
    return g->scope = s;
}

/* One for many scopes, if it was asked for lately. */
const graph_place *graph_place_on(df_graph *g, const device_name *device) {
    enum { LOOK_BACK = 16 };
    int looked = 0;
    for (const graph_place *p = g->places; p && looked < LOOK_BACK; p = p->older, looked++)
        if (device_name_equal(&p->device, device)) return p;
    char full[DEVICE_NAME_MAX];
    size_t length = device_name_print(device, full, sizeof full);
    graph_place *p = arena_alloc(&g->mem, sizeof *p);
    if (!p) return NULL;
    p->text = arena_text(&g->mem, full, length);
    if (!p->text) return NULL;
    p->device = *device;
    p->older = g->places;
    return g->places = p;
}

void df_graph_on(df_graph *graph, const char *device) {
    if (!building(graph)) return;
    graph_scope *s = scope_to_write(graph);
    if (!s) {
        no_memory(graph);
        return;
    }
    const graph_scope *around = s->outer && s->outer != s ? s->outer : &outermost;
    device_name asked, any = device_name_any();
    df_error why;
    if (device_name_parse(device, &asked, &why) != DF_OK) {
        (void)graph_fail(graph, why.code, "%s", why.message);
        return;
    }
    asked = device_name_over(&asked, around->on ? &around->on->device : &any);
    s->on = NULL;
    if (device_name_equal(&asked, &any)) return;
    s->on = graph_place_on(graph, &asked);
    if (!s->on) no_memory(graph);
}

/* ---- nodes --------------------------------------------------------------- */

/* A node on its way into the graph. */
typedef struct draft {
    df_graph *graph;
    const op_def *op;
    const char *name;
    name_place place;
    const df_out *inputs;
    int n_inputs;
    int n_outputs;
    df_attr attrs[DF_MAX_ATTRS];
    df_error err;
    edge_type outputs[DF_MAX_OUTPUTS]; /* the last: they are set, never zeroed */
} draft;

static df_code check_lists(draft *d, df_outs inputs, const df_attr *attrs, size_t n_attrs) {
    if (inputs.n > INT32_MAX)
        return error_invalid(&d->err, "has more inputs than any node; give fewer");
    if ((inputs.items || !inputs.n) && (attrs || !n_attrs)) return DF_OK;
    return error_invalid(&d->err, "has %zu inputs and %zu attrs, and NULL for one of the lists",
                         inputs.n, n_attrs);
}

static df_code check_inputs(draft *d) {
    const op_def *op = d->op;
    for (int i = 0; i < d->n_inputs; i++) {
        df_out in = d->inputs[i];
        if (!in.node)
            return error_invalid(&d->err, "input %d is no output of any node; give one", i);
        if (in.node->graph != d->graph)
            return error_invalid(&d->err,
                                 "input %d, %s, is a node of another graph; add one like it here",
                                 i, in.node->name);
        if (in.index < 0 || in.index >= in.node->n_outputs)
            return error_set(&d->err, DF_OUT_OF_RANGE,
                             "input %d is output %d of %.100s, which has %d", i, in.index,
                             in.node->name, in.node->n_outputs);
    }
    if (d->n_inputs && (op->flags & (OP_READS | OP_WRITES)) &&
        !(d->inputs[0].node->op->flags & OP_VARIABLE))
        return error_invalid(&d->err, "input 0 must be a variable, and %s is a %s",
                             d->inputs[0].node->name, d->inputs[0].node->op->name);
    return DF_OK;
}

static int attr_index(const op_def *op, const char *name) {
    for (int i = 0; i < op->n_attrs; i++)
        if (name && strcmp(op->attrs[i].name, name) == 0) return i;
    return -1;
}

static df_code take_attr(draft *d, const df_attr *a) {
    int i = attr_index(d->op, a->name);
    if (i < 0)
        return error_set(&d->err, DF_NOT_FOUND, "has no attr \"%.100s\"; it is %s",
                         a->name ? a->name : "", d->op->signature);
    const op_attr_def *def = &d->op->attrs[i];
    if (d->attrs[i].type != DF_ATTR_NONE)
        return error_invalid(&d->err, "attr %s is given twice; leave one out", a->name);
    if (op_check_attr(def, a, &d->err) != DF_OK) return d->err.code;
    if (!attr_copy(&d->graph->mem, a, &d->attrs[i])) return error_memory(&d->err, a->name);
    d->attrs[i].name = def->name;
    return DF_OK;
}

static df_code take_attrs(draft *d, const df_attr *attrs, size_t n_attrs) {
    for (size_t i = 0; i < n_attrs; i++)
        if (take_attr(d, &attrs[i]) != DF_OK) return d->err.code;
    for (int i = 0; i < d->op->n_attrs; i++) {
        const op_attr_def *def = &d->op->attrs[i];
        if (d->attrs[i].type != DF_ATTR_NONE) continue;
        if (def->required)
            return error_invalid(&d->err, "attr %s (%s) is missing", def->name,
                                 attr_type_name(def->type));
        if (def->initial.type != DF_ATTR_NONE &&
            !attr_copy(&d->graph->mem, &def->initial, &d->attrs[i]))
            return error_memory(&d->err, def->name);
        d->attrs[i].name = def->name;
    }
    d->n_outputs = op_outputs(d->op, d->attrs);
    return DF_OK;
}

/* The op's name, or with _1, _2... behind it: the first that is free. The last number given is
 * remembered where the name is, so that many nodes of one op are named in linear time. */
static size_t find_free(draft *d, char *name, size_t length) {
    d->place = graph_name_place(d->graph, name, length);
    df_node *first = d->place.node;
    size_t whole = length;
    while (d->place.node) {
        name[length] = '_';
        whole = length + 1 + text_number(name + length + 1, ++first->last_number);
        d->place = graph_name_place(d->graph, name, whole);
    }
    return whole;
}

static df_code take_name(draft *d) {
    df_graph *g = d->graph;
    char name[2 * NAME_MAX_LENGTH + 1 + TEXT_NUMBER]; /* the longest that may be, and a number */
    const char *asked = g->next_name, *prefix = scope_of(g)->prefix;
    const char *last = asked ? asked : d->op->name;
    size_t length = strlen(prefix) + strlen(last);
    g->next_name = NULL;
    if (!graph_reserve(g)) return error_memory(&d->err, "a node");
    bool fits = length <= longest_name(g);
    if (fits) {
        (void)stpcpy(stpcpy(name, prefix), last);
        if (asked)
            d->place = graph_name_place(g, name, length);
        else
            length = find_free(d, name, length);
    }
    d->name = fits ? arena_text(&g->mem, name, length) : join(g, prefix, last, "");
    if (!d->name) return error_memory(&d->err, "a name");
    if (length > longest_name(g))
        return error_invalid(&d->err, "the name is longer than %d", NAME_MAX_LENGTH);
    if (d->place.node)
        return error_set(&d->err, DF_ALREADY_EXISTS,
                         "there is a node of this name; choose another, or open a scope");
    return DF_OK;
}

static df_tensor *constant_of(df_out out) {
    return out.node->op->flags & OP_CONST ? out.node->attrs[0].tensor : NULL;
}

static df_code take_types(draft *d, const edge_type *types, size_t n) {
    size_t wanted = (size_t)d->n_outputs;
    if (n != wanted)
        return error_invalid(&d->err, "has %zu outputs, and %zu types are given; each needs one",
                             wanted, n);
    if (n) memcpy(d->outputs, types, n * sizeof *types);
    return DF_OK;
}

/* The inputs fit, and the outputs have their types: those of a partition's node are given. */
static df_code take_edges(draft *d, const edge_type *given, size_t n_given) {
    const edge_type *few_types[INPUTS_ON_STACK];
    df_tensor *few_values[INPUTS_ON_STACK];
    const edge_type **types = few_types;
    df_tensor **values = few_values;
    size_t n = (size_t)d->n_inputs;
    if (n > INPUTS_ON_STACK) {
        types = arena_array(&d->graph->mem, n, sizeof *types);
        values = arena_array(&d->graph->mem, n, sizeof *values);
        if (!types || !values) return error_memory(&d->err, "inputs");
    }
    for (size_t i = 0; i < n; i++) {
        types[i] = &d->inputs[i].node->outputs[d->inputs[i].index];
        values[i] = constant_of(d->inputs[i]);
    }
    df_infer c = {.op = d->op,
                  .attrs = d->attrs,
                  .n_inputs = d->n_inputs,
                  .n_outputs = d->n_outputs,
                  .inputs = types,
                  .values = values,
                  .outputs = d->outputs};
    df_code code = op_check_inputs(&c, &d->err);
    if (code != DF_OK) return code;
    return d->graph->is_partition ? take_types(d, given, n_given) : op_infer(&c, &d->err);
}

static df_node *add_draft(draft *d) {
    df_graph *g = d->graph;
    size_t n_attrs = (size_t)d->op->n_attrs;
    df_attr *attrs = n_attrs ? arena_array(&g->mem, n_attrs, sizeof *attrs) : NULL;
    const edge_type *outputs = types_keep(&g->types, d->outputs, d->n_outputs);
    df_node *n = NULL;
    if (outputs && (attrs || !n_attrs))
        n = graph_add_raw(g, d->place, d->op, d->name, d->n_inputs, d->n_outputs, attrs, outputs);
    if (!n) {
        (void)error_memory(&d->err, "a node");
        return NULL;
    }
    if (attrs) memcpy(attrs, d->attrs, n_attrs * sizeof *attrs);
    n->owns_attrs = true;
    for (int i = 0; i < d->n_inputs; i++)
        n->inputs[i] = (node_out){d->inputs[i].node->id, d->inputs[i].index};
    n->on = scope_of(g)->on;
    return n;
}

const op_def *graph_find_op(df_graph *g, const char *name) {
    const uint32_t inserted = OP_SEND | OP_RECV | OP_FEED | OP_FETCH;
    const op_def *op = name ? op_find(g->ops, name) : NULL;
    if (op && (g->is_partition || !(op->flags & inserted))) return op;
    if (op)
        (void)graph_fail(g, DF_INVALID_ARGUMENT,
                         "op %s is put in by the library where a graph is cut; say instead where "
                         "nodes run, and feed and fetch outputs",
                         name);
    else
        (void)graph_fail(
            g, DF_NOT_FOUND,
            "there is no op \"%.100s\" in this runtime; <dataflow/ops.h> has the standard ones",
            name ? name : "");
    return NULL;
}

df_node *graph_add_node(df_graph *g, const op_def *op, df_outs inputs, const df_attr *attrs,
                        size_t n_attrs, const edge_type *types, size_t n_types) {
    draft d;
    memset(&d, 0, offsetof(draft, outputs));
    d.graph = g;
    d.op = op;
    d.inputs = inputs.items;
    d.n_inputs = (int)inputs.n;
    df_node *n = NULL;
    if (take_name(&d) == DF_OK && check_lists(&d, inputs, attrs, n_attrs) == DF_OK &&
        check_inputs(&d) == DF_OK && take_attrs(&d, attrs, n_attrs) == DF_OK &&
        take_edges(&d, types, n_types) == DF_OK)
        n = add_draft(&d);
    if (n) return n;
    for (int i = 0; i < DF_MAX_ATTRS; i++) attr_drop(&d.attrs[i]);
    (void)graph_fail(g, d.err.code, "node %.200s (%s): %s", d.name ? d.name : "?", d.op->name,
                     d.err.message);
    return NULL;
}

df_node *df_node_add(df_graph *graph, const char *op, const df_out *inputs, size_t n_inputs,
                     const df_attr *attrs, size_t n_attrs) {
    if (!building(graph)) return NULL;
    const op_def *def = graph_find_op(graph, op);
    if (!def) return NULL;
    return graph_add_node(graph, def, (df_outs){inputs, n_inputs}, attrs, n_attrs, NULL, 0);
}

/* ---- edges without tensors ----------------------------------------------- */

/* True: two nodes of this graph, different ones. */
static bool check_pair(df_graph *g, const df_node *a, const df_node *b, const char *what) {
    if (!building(g)) return false;
    if (!a || !b || a->graph != g || b->graph != g)
        (void)graph_fail(g, DF_INVALID_ARGUMENT,
                         "%s between %.150s and %.150s: both must be nodes of "
                         "this graph",
                         what, a ? a->name : "NULL", b ? b->name : "NULL");
    else if (a == b)
        (void)graph_fail(g, DF_INVALID_ARGUMENT, "%s of node %.200s with itself; leave it out",
                         what, a->name);
    return g->error.code == DF_OK;
}

void df_control(df_graph *graph, df_node *before, df_node *after) {
    if (check_pair(graph, before, after, "control edge") &&
        !graph_add_control(graph, before, after))
        no_memory(graph);
}

df_node *graph_group(df_node *n) {
    while (n->with) n = n->graph->nodes[n->with - 1];
    return n;
}

void df_colocate(df_graph *graph, df_node *node, df_node *with) {
    if (!check_pair(graph, node, with, "colocation")) return;
    df_node *a = graph_group(node), *b = graph_group(with);
    if (a == b) return;
    if (a->depth > b->depth) { /* the deeper tree takes the other: no way is long */
        df_node *deeper = a;
        a = b;
        b = deeper;
    }
    a->with = b->id + 1;
    if (a->depth == b->depth) b->depth++;
}
