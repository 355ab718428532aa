/* SPDX-License-Identifier: MIT
 *
 * The text form read back: what graph_print writes makes the same graph.
 *
 *   name = Op(x, y:1, ^before) {attr=value} from x on device with node : float32[4], ...
 *
 * 1. A line becomes one node by the calls that a user would make, so that what is wrong with it
 *    is said in the same words, with the place in front.
 * 2. Data comes from nodes above, whose types are known. Control edges and colocation may name
 *    nodes below; they wait until all lines are read.
 * 3. A name with an '@' makes the text a partition's: see graph_add_node.
 * 4. Time and memory are linear in the size of the text, whatever it says.
 */
#include "graph/graph.h"

#include <limits.h>
#include <string.h>

/* A node that is named, and may stand below. */
typedef struct mention {
    df_node *node; /* that names it */
    scan_span name;
    bool colocates; /* else it runs before */
} mention;

typedef struct parser {
    scan s;
    df_graph *g;
    df_out *inputs; /* of the line; used again */
    size_t n_inputs, cap_inputs;
    mention *mentions;
    size_t n_mentions, cap_mentions;
    scan_span device; /* of the line before: what the scope has; size 0: none */
} parser;

/* What a line says. */
typedef struct line {
    const char *at, *types_at;
    const op_def *op;
    df_out initial;
    size_t first_mention;
    size_t n_attrs, n_types;
    df_attr attrs[DF_MAX_ATTRS];
    edge_type types[DF_MAX_OUTPUTS];
    arena mem; /* of what is copied when the node is added */
} line;

static int shown(scan_span span) {
    return span.size < 100 ? (int)span.size : 100;
}

/* The graph's mistake, and where it is. */
static bool graph_wrong(parser *p, const char *at) {
    (void)df_graph_error(p->g, p->s.err);
    return scan_place(&p->s, at);
}

/* ---- other nodes --------------------------------------------------------- */

static bool parse_name(parser *p, scan_span *out) {
    *out = scan_name(&p->s);
    return out->size || scan_expected(&p->s, "the name of a node");
}

static bool no_such_node(parser *p, scan_span name, const char *where) {
    return scan_wrong(&p->s, name.at, DF_NOT_FOUND, "there is no node \"%.*s\"%s", shown(name),
                      name.at, where);
}

/* x, or x:1 */
static bool parse_out(parser *p, df_out *out) {
    scan *s = &p->s;
    scan_span name;
    int64_t index = 0;
    if (!parse_name(p, &name)) return false;
    bool numbered = scan_left(s) > 1 && s->at[0] == ':' && s->at[1] >= '0' && s->at[1] <= '9';
    if (numbered && !(scan_take(s, ":") && scan_int(s, &index))) return false;
    df_node *node = graph_find(p->g, name.at, name.size);
    if (!node) return no_such_node(p, name, " above, and data only comes from above");
    if (index >= node->n_outputs)
        return scan_wrong(s, name.at, DF_OUT_OF_RANGE, "%s has %d outputs and none numbered %lld",
                          node->name, node->n_outputs, (long long)index);
    *out = df_node_output(node, (int)index);
    return true;
}

static bool parse_mention(parser *p, bool colocates) {
    scan_span name;
    if (!parse_name(p, &name)) return false;
    if (!alloc_grow(p->g->alloc, (void **)&p->mentions, &p->cap_mentions, p->n_mentions + 1,
                    sizeof *p->mentions))
        return scan_no_memory(&p->s, "control edges");
    p->mentions[p->n_mentions++] = (mention){.name = name, .colocates = colocates};
    return true;
}

static bool parse_input(parser *p) {
    if (scan_take(&p->s, "^")) return parse_mention(p, false);
    if (!alloc_grow(p->g->alloc, (void **)&p->inputs, &p->cap_inputs, p->n_inputs + 1,
                    sizeof *p->inputs))
        return scan_no_memory(&p->s, "inputs");
    return parse_out(p, &p->inputs[p->n_inputs++]);
}

static bool parse_inputs(parser *p) {
    p->n_inputs = 0;
    if (!scan_want(&p->s, "(")) return false;
    if (scan_take(&p->s, ")")) return true;
    do {
        if (!parse_input(p)) return false;
    } while (scan_take(&p->s, ","));
    return scan_want(&p->s, ")");
}

/* ---- op and attrs -------------------------------------------------------- */

static bool parse_op(parser *p, line *l) {
    scan_span word = scan_word(&p->s);
    if (!word.size) return scan_expected(&p->s, "the name of an op");
    const char *name = arena_text(&l->mem, word.at, word.size);
    if (!name) return scan_no_memory(&p->s, "a name");
    l->op = graph_find_op(p->g, name);
    return l->op || graph_wrong(p, word.at);
}

static const op_attr_def *find_attr(const op_def *op, scan_span name) {
    for (int i = 0; i < op->n_attrs; i++)
        if (span_is(name, op->attrs[i].name)) return &op->attrs[i];
    return NULL;
}

static bool parse_attr(parser *p, line *l) {
    scan_span name = scan_word(&p->s);
    if (!name.size) return scan_expected(&p->s, "the name of an attr");
    const op_attr_def *def = find_attr(l->op, name);
    if (!def)
        return scan_wrong(&p->s, name.at, DF_NOT_FOUND, "%s has no attr \"%.*s\"", l->op->name,
                          shown(name), name.at);
    for (size_t i = 0; i < l->n_attrs; i++)
        if (l->attrs[i].name == def->name)
            return scan_wrong(&p->s, name.at, DF_INVALID_ARGUMENT, "attr %s is given twice",
                              def->name);
    df_attr *a = &l->attrs[l->n_attrs];
    if (!scan_want(&p->s, "=") || !attr_parse(&p->s, &l->mem, p->g->alloc, def->type, a))
        return false;
    a->name = def->name;
    l->n_attrs++;
    return true;
}

static bool parse_attrs(parser *p, line *l) {
    if (!scan_take(&p->s, "{")) return true;
    do {
        if (!parse_attr(p, l)) return false;
    } while (scan_take(&p->s, ","));
    return scan_want(&p->s, "}");
}

/* ---- where, and of which types ------------------------------------------- */

static bool same_span(scan_span a, scan_span b) {
    return a.size == b.size && (!a.size || memcmp(a.at, b.at, a.size) == 0);
}

/* The scope is changed only where the device does. */
static bool parse_device(parser *p, line *l) {
    scan_span device = {p->s.at, 0};
    if (scan_take(&p->s, "on")) {
        device = scan_solid(&p->s);
        if (!device.size) return scan_expected(&p->s, "a device");
    }
    if (same_span(device, p->device)) return true;
    const char *name = arena_text(&l->mem, device.at, device.size);
    if (!name) return scan_no_memory(&p->s, "a name");
    p->device = device;
    df_graph_on(p->g, name);
    return df_graph_error(p->g, NULL) == DF_OK || graph_wrong(p, device.at);
}

static bool parse_types(parser *p, line *l) {
    l->types_at = p->s.at;
    if (!scan_take(&p->s, ":")) return true;
    do {
        if (l->n_types == DF_MAX_OUTPUTS)
            return scan_wrong(&p->s, p->s.at, DF_INVALID_ARGUMENT, "a node has at most %d outputs",
                              DF_MAX_OUTPUTS);
        if (!edge_type_parse(&p->s, &l->types[l->n_types], &l->mem)) return false;
        l->n_types++;
    } while (scan_take(&p->s, ","));
    return true;
}

/* What the text says of the outputs must be what is known of them. */
static bool check_type(parser *p, const line *l, const edge_type *is, const edge_type *said,
                       const char *what) {
    if (is->dtype == said->dtype && shape_equal(edge_shape(is), edge_shape(said))) return true;
    char a[SHAPE_TEXT_MAX], b[SHAPE_TEXT_MAX];
    (void)shape_print(edge_shape(is), a, sizeof a);
    (void)shape_print(edge_shape(said), b, sizeof b);
    return scan_wrong(&p->s, l->types_at, DF_INVALID_ARGUMENT, "%s is %s%s, and not %s%s", what,
                      df_dtype_name(is->dtype), a, df_dtype_name(said->dtype), b);
}

static bool check_types(parser *p, const line *l, const df_node *n) {
    if (!l->n_types) return true;
    if (l->n_types != (size_t)n->n_outputs)
        return scan_wrong(&p->s, l->types_at, DF_INVALID_ARGUMENT,
                          "%zu types are given, and %s has %d outputs", l->n_types, n->op->name,
                          n->n_outputs);
    for (size_t i = 0; i < l->n_types; i++)
        if (!check_type(p, l, &n->outputs[i], &l->types[i], "the output")) return false;
    return true;
}

/* ---- a line -------------------------------------------------------------- */

static bool set_initial(parser *p, const line *l, df_node *n) {
    df_out from = l->initial;
    if (!from.node) return true;
    if (!(n->op->flags & OP_VARIABLE))
        return scan_wrong(&p->s, l->at, DF_INVALID_ARGUMENT,
                          "a %s starts from nothing; only a variable does", n->op->name);
    node_set_initial(n, from);
    return check_type(p, l, &n->outputs[0], &from.node->outputs[from.index],
                      "the variable is not of the type that it starts from; it");
}

static bool add_node(parser *p, line *l) {
    df_node *n = graph_add_node(p->g, l->op, (df_outs){p->inputs, p->n_inputs}, l->attrs,
                                l->n_attrs, l->types, l->n_types);
    if (!n) return graph_wrong(p, l->at);
    for (size_t i = l->first_mention; i < p->n_mentions; i++) p->mentions[i].node = n;
    return check_types(p, l, n) && set_initial(p, l, n);
}

static bool parse_end(parser *p) {
    return !scan_left(&p->s) || scan_take(&p->s, "\n") ||
           scan_expected(&p->s, "the end of the line");
}

static bool name_node(parser *p, line *l) {
    scan_span name;
    if (!parse_name(p, &name)) return false;
    const char *whole = arena_text(&l->mem, name.at, name.size);
    if (!whole) return scan_no_memory(&p->s, "a name");
    df_graph_name(p->g, whole);
    return df_graph_error(p->g, NULL) == DF_OK || graph_wrong(p, name.at);
}

static bool parse_node(parser *p, line *l) {
    return name_node(p, l) && scan_want(&p->s, "=") && parse_op(p, l) && parse_inputs(p) &&
           parse_attrs(p, l) && (!scan_take(&p->s, "from") || parse_out(p, &l->initial)) &&
           parse_device(p, l) && (!scan_take(&p->s, "with") || parse_mention(p, true)) &&
           parse_types(p, l) && parse_end(p) && add_node(p, l);
}

static bool parse_line(parser *p) {
    line l;
    l.at = p->s.at;
    l.initial = (df_out){NULL, 0};
    l.first_mention = p->n_mentions;
    l.n_attrs = l.n_types = 0;
    arena_init(&l.mem, p->g->alloc);
    bool ok = parse_node(p, &l);
    for (size_t i = 0; i < l.n_attrs; i++) attr_drop(&l.attrs[i]);
    arena_fini(&l.mem);
    return ok;
}

/* ---- the whole ----------------------------------------------------------- */

/* Nodes of the user's have no '@' in their names. */
static bool has_library_names(scan s) {
    for (; scan_left(&s); (void)scan_take(&s, "\n")) {
        scan_blanks(&s);
        scan_span name = scan_name(&s);
        if (memchr(name.at, '@', name.size)) return true;
        scan_line(&s);
    }
    return false;
}

static bool resolve(parser *p, const mention *m) {
    df_node *other = graph_find(p->g, m->name.at, m->name.size);
    if (!other) return no_such_node(p, m->name, "");
    if (m->colocates)
        df_colocate(p->g, m->node, other);
    else
        df_control(p->g, other, m->node);
    return df_graph_error(p->g, NULL) == DF_OK || graph_wrong(p, m->name.at);
}

static bool parse_all(parser *p) {
    while (scan_left(&p->s))
        if (!scan_take(&p->s, "\n") && !parse_line(p)) return false;
    for (size_t i = 0; i < p->n_mentions; i++)
        if (!resolve(p, &p->mentions[i])) return false;
    if (p->device.size) df_graph_on(p->g, NULL);
    return df_graph_error(p->g, p->s.err) == DF_OK;
}

df_code graph_parse(df_graph *g, const char *words, size_t size, df_error *err) {
    parser p = {.g = g, .s = scan_of(words, size, ERROR_OR_LOCAL(err))};
    g->is_partition = has_library_names(p.s);
    bool ok = parse_all(&p);
    alloc_free(g->alloc, p.inputs, p.cap_inputs * sizeof *p.inputs);
    alloc_free(g->alloc, p.mentions, p.cap_mentions * sizeof *p.mentions);
    if (ok && g->is_partition) graph_freeze(g);
    return ok ? DF_OK : p.s.err->code;
}
