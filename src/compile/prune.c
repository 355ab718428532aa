/* SPDX-License-Identifier: MIT
 *
 * prune - what has to run, in canonical order.
 *
 * Requires  a frozen graph.
 * Leaves    items, inputs, controls, item_of.
 *
 * A feed replaces the edges of one output. Control edges follow the node: a node that
 * is needed by one still runs though its output is fed; but a placeholder that is fed
 * counts as run.
 *
 * Canonical order is topological, ties in the order added. Data edges always point
 * forward in that order, so unless a control edge points backward the order added is
 * already the canonical one. It does not depend on devices or threads.
 */
#include "compile/state.h"

#include <string.h>

/* The pass's own books. */
typedef struct pruning {
    compile_state *c;
    const df_graph *graph;
    int32_t *feed_of;   /* by node id: its first fed output's feed; NONE */
    int32_t *next_feed; /* by feed: the next of the same node; NONE */
    bool *feed_used;
    bool *keep;         /* by node id */
    int32_t *needed_by; /* by node id: who needs it, if it is kept */
    size_t at;          /* nodes are looked at from the last to the first: this id is the next */
    uint32_t *stack;    /* ids that are needed only when that has gone by */
    size_t top;
    uint32_t *order; /* kept node ids, canonical */
    uint32_t n_kept;
    size_t n_inputs, n_controls; /* of those */
    bool points_backward;        /* a control edge does */
    int32_t *feed_item;          /* by feed */
} pruning;

/* ---- the request --------------------------------------------------------- */

static bool node_is_good(compile_state *c, const char *what, size_t i, const df_node *n) {
    if (n && n->graph == c->rq->graph) return true;
    return compile_fail(c, DF_INVALID_ARGUMENT,
                        "%s %zu, %.200s, is no node of this session's graph; give one of it", what,
                        i, n ? n->name : "NULL");
}

static bool out_is_good(compile_state *c, const char *what, size_t i, df_out out) {
    if (!node_is_good(c, what, i, out.node)) return false;
    if (out.index >= 0 && out.index < out.node->n_outputs) return true;
    return compile_fail(c, DF_OUT_OF_RANGE, "%s %zu is output %d of node %.200s, which has %d",
                        what, i, out.index, out.node->name, out.node->n_outputs);
}

static int32_t feed_find(const pruning *p, uint32_t node, int index) {
    for (int32_t f = p->feed_of[node]; f != PLAN_NONE; f = p->next_feed[f])
        if (p->c->rq->feeds.items[f].index == index) return f;
    return PLAN_NONE;
}

static bool take_feeds(pruning *p) {
    compile_state *c = p->c;
    for (size_t i = 0; i < c->rq->feeds.n; i++) {
        df_out out = c->rq->feeds.items[i];
        if (!out_is_good(c, "feed", i, out)) return false;
        if (feed_find(p, out.node->id, out.index) != PLAN_NONE)
            return compile_fail(c, DF_INVALID_ARGUMENT,
                                "feed %zu: %.200s:%d is fed twice; leave one out", i,
                                out.node->name, out.index);
        p->next_feed[i] = p->feed_of[out.node->id];
        p->feed_of[out.node->id] = (int32_t)i;
    }
    return true;
}

static bool check_request(pruning *p) {
    compile_state *c = p->c;
    const compile_request *rq = c->rq;
    if (rq->fetches.n + rq->targets.n == 0)
        return compile_fail(c, DF_INVALID_ARGUMENT,
                            "nothing is asked for: give a fetch or a target");
    for (size_t i = 0; i < rq->fetches.n; i++)
        if (!out_is_good(c, "fetch", i, rq->fetches.items[i])) return false;
    for (size_t i = 0; i < rq->targets.n; i++)
        if (!node_is_good(c, "target", i, rq->targets.items[i])) return false;
    return take_feeds(p);
}

static node_out end_of(df_out out) {
    return (node_out){out.node->id, out.index};
}

/* ---- what is needed ------------------------------------------------------ */

/* By another node, or: */
enum { BY_FETCH = -1, BY_TARGET = -2 };

static void need_node(pruning *p, uint32_t id, int32_t by) {
    if (p->keep[id]) return;
    p->keep[id] = true;
    p->needed_by[id] = by;
    if (id >= p->at) p->stack[p->top++] = id;
}

static void need_output(pruning *p, node_out out, int32_t by) {
    int32_t feed = feed_find(p, out.node, out.index);
    if (feed == PLAN_NONE)
        need_node(p, out.node, by);
    else
        p->feed_used[feed] = true;
}

/* A control edge: the feed of a placeholder stands for the placeholder. */
static void need_control(pruning *p, uint32_t id, int32_t by) {
    int32_t feed = p->feed_of[id];
    if (feed == PLAN_NONE || !(p->graph->nodes[id]->op->flags & OP_MUST_FEED))
        need_node(p, id, by);
    else
        p->feed_used[feed] = true;
}

static bool refuse_not_fed(const pruning *p, const df_node *n) {
    int32_t by = p->needed_by[n->id];
    return compile_fail(p->c, DF_INVALID_ARGUMENT,
                        "%s %.150s is needed by %.150s and not fed: add it to the feeds",
                        n->op->name, n->name,
                        by == BY_FETCH    ? "a fetch"
                        : by == BY_TARGET ? "a target"
                                          : p->graph->nodes[by]->name);
}

static void need_inputs(pruning *p, const df_node *n) {
    int32_t by = (int32_t)n->id;
    const uint32_t *controls = node_controls(n);
    p->n_kept++;
    p->n_inputs += (size_t)n->n_inputs;
    p->n_controls += (size_t)n->n_controls;
    for (int i = 0; i < n->n_inputs; i++) {
        if (node_names_variable(n, i))
            need_node(p, n->inputs[i].node, by);
        else
            need_output(p, n->inputs[i], by);
    }
    for (int i = 0; i < n->n_controls; i++) {
        p->points_backward |= controls[i] > n->id;
        need_control(p, controls[i], by);
    }
}

/* Only control edges point to nodes that were added later. */
static bool need_all(pruning *p) {
    const compile_request *rq = p->c->rq;
    p->at = p->graph->n_nodes;
    for (size_t i = 0; i < rq->fetches.n; i++)
        need_output(p, end_of(rq->fetches.items[i]), BY_FETCH);
    for (size_t i = 0; i < rq->targets.n; i++) need_control(p, rq->targets.items[i]->id, BY_TARGET);
    while (p->top || p->at) {
        uint32_t id = p->top ? p->stack[--p->top] : (uint32_t)--p->at;
        const df_node *n = p->graph->nodes[id];
        if (!p->keep[id]) continue;
        if (n->op->flags & OP_MUST_FEED) return refuse_not_fed(p, n);
        need_inputs(p, n);
    }
    return true;
}

/* ---- canonical order ----------------------------------------------------- */

/* A heap of node ids, the smallest on top. */
static void heap_push(uint32_t *heap, size_t *n, uint32_t id) {
    size_t i = (*n)++;
    for (; i && heap[(i - 1) / 2] > id; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = id;
}

static uint32_t heap_pop(uint32_t *heap, size_t *n) {
    uint32_t top = heap[0], last = heap[--*n];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < *n) {
        if (child + 1 < *n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* Visits the kept nodes that n depends on: one a call, from *at on; NOBODY at the end. */
#define NOBODY UINT32_MAX
static uint32_t next_before(const pruning *p, const df_node *n, int *at) {
    while (*at < n->n_inputs + n->n_controls) {
        int i = (*at)++;
        uint32_t b = i < n->n_inputs ? n->inputs[i].node : node_controls(n)[i - n->n_inputs];
        bool fed = i < n->n_inputs && !node_names_variable(n, i) &&
                   feed_find(p, b, n->inputs[i].index) != PLAN_NONE;
        if (p->keep[b] && !fed) return b;
    }
    return NOBODY;
}

/* What is left when no node is ready lies on cycles or behind them: walk backward
 * among those until a node comes up again, and name the walk. */
static bool report_cycle(pruning *p, const uint32_t *waits) {
    compile_state *c = p->c;
    uint32_t *seen = arena_array(&p->c->pass, p->graph->n_nodes, sizeof *seen);
    if (!compile_had_memory(c)) return false;
    uint32_t id = 0;
    while (!p->keep[id] || !waits[id]) id++;
    for (int pass = 0;; pass++) { /* reach a cycle; go round it once */
        char names[300] = "";
        size_t length = 0;
        uint32_t mark = (uint32_t)pass + 1;
        while (seen[id] != mark) {
            seen[id] = mark;
            const df_node *n = p->graph->nodes[id];
            uint32_t b;
            int at = 0;
            do /* there is one, for which n waits */
                b = next_before(p, n, &at);
            while (!waits[b]);
            size_t name = strlen(n->name);
            if (length + name + 8 < sizeof names) {
                memcpy(names + length, n->name, name);
                memcpy(names + length + name, " <- ", 5);
                length += name + 4;
            }
            id = b;
        }
        if (pass)
            return compile_fail(c, DF_INVALID_ARGUMENT, "cycle: %s%.100s; remove a control edge",
                                names, p->graph->nodes[id]->name);
    }
}

static bool sort_with_heap(pruning *p) {
    compile_state *c = p->c;
    size_t n = p->graph->n_nodes, n_ready = 0, n_edges = 0;
    uint32_t *waits = arena_array(&p->c->pass, n, sizeof *waits);
    uint32_t *first = arena_array(&p->c->pass, n + 2, sizeof *first);
    uint32_t *ready = arena_array(&p->c->pass, n, sizeof *ready);
    if (!compile_had_memory(c)) return false;
    uint32_t b;
    for (size_t id = 0; id < n; id++)
        for (int at = 0; p->keep[id] && (b = next_before(p, p->graph->nodes[id], &at)) != NOBODY;
             n_edges++) {
            waits[id]++;
            first[b + 2]++;
        }
    uint32_t *after = arena_array(&p->c->pass, n_edges, sizeof *after);
    if (!compile_had_memory(c)) return false;
    for (size_t id = 2; id < n + 2; id++) first[id] += first[id - 1];
    for (size_t id = 0; id < n; id++)
        for (int at = 0; p->keep[id] && (b = next_before(p, p->graph->nodes[id], &at)) != NOBODY;)
            after[first[b + 1]++] = (uint32_t)id;
    for (size_t id = 0; id < n; id++)
        if (p->keep[id] && !waits[id]) heap_push(ready, &n_ready, (uint32_t)id);
    uint32_t done = 0;
    while (n_ready) {
        uint32_t id = heap_pop(ready, &n_ready);
        p->order[done++] = id;
        for (uint32_t e = first[id]; e < first[id + 1]; e++)
            if (--waits[after[e]] == 0) heap_push(ready, &n_ready, after[e]);
    }
    if (done < p->n_kept) return report_cycle(p, waits);
    return true;
}

static bool sort_nodes(pruning *p) {
    p->order = arena_array(&p->c->pass, p->n_kept, sizeof *p->order);
    if (!compile_had_memory(p->c)) return false;
    if (p->points_backward) return sort_with_heap(p);
    uint32_t n = 0;
    for (uint32_t id = 0; id < p->graph->n_nodes; id++)
        if (p->keep[id]) p->order[n++] = id;
    return true;
}

/* ---- items --------------------------------------------------------------- */

static item *new_item(compile_state *c, item_kind kind, const df_node *node, int index) {
    item *it = &c->items[c->n_items++];
    it->kind = (uint8_t)kind;
    it->node = node;
    it->index = index;
    it->device = PLAN_NONE;
    return it;
}

/* Where an edge from `out` really comes from. */
static item_out source_of(const pruning *p, node_out out) {
    int32_t feed = feed_find(p, out.node, out.index);
    if (feed != PLAN_NONE) return (item_out){p->feed_item[feed], 0};
    return (item_out){p->c->item_of[out.node], out.index};
}

static void link_node(const pruning *p, item *it, uint32_t *n_in, uint32_t *n_ctl) {
    compile_state *c = p->c;
    const df_node *n = it->node;
    it->first_input = *n_in;
    it->n_inputs = (uint32_t)n->n_inputs;
    for (int i = 0; i < n->n_inputs; i++)
        c->inputs[(*n_in)++] = node_names_variable(n, i)
                                   ? (item_out){c->item_of[n->inputs[i].node], 0}
                                   : source_of(p, n->inputs[i]);
    it->first_control = *n_ctl;
    it->n_controls = (uint32_t)n->n_controls;
    for (int i = 0; i < n->n_controls; i++) {
        uint32_t b = node_controls(n)[i];
        bool by_feed = p->feed_of[b] != PLAN_NONE && (p->graph->nodes[b]->op->flags & OP_MUST_FEED);
        c->controls[(*n_ctl)++] = (uint32_t)(by_feed ? p->feed_item[p->feed_of[b]] : c->item_of[b]);
    }
}

/* The fetch of a variable goes through a node of its own, which order puts last. */
static item_out fetch_source(pruning *p, int32_t *read_of, df_out out, uint32_t *n_in) {
    compile_state *c = p->c;
    item_out from = source_of(p, end_of(out));
    if (c->items[from.item].kind != ITEM_NODE || !(out.node->op->flags & OP_VARIABLE)) return from;
    if (read_of[out.node->id] == 0) {
        item *read = new_item(c, ITEM_READ, out.node, 0);
        read->first_input = *n_in;
        read->n_inputs = 1;
        c->inputs[(*n_in)++] = from;
        read_of[out.node->id] = (int32_t)c->n_items - 1;
    }
    return (item_out){read_of[out.node->id], 0};
}

static bool make_items(pruning *p) {
    compile_state *c = p->c;
    const compile_request *rq = c->rq;
    size_t n_in = 2 * rq->fetches.n + p->n_inputs, n_ctl = p->n_controls;
    size_t n_items = rq->feeds.n + p->n_kept + 2 * rq->fetches.n;
    c->items = arena_array(&c->mem, n_items, sizeof *c->items);
    c->inputs = arena_array(&c->early, n_in, sizeof *c->inputs);
    c->controls = arena_array(&c->early, n_ctl, sizeof *c->controls);
    c->item_of = arena_array(&c->early, p->graph->n_nodes, sizeof *c->item_of);
    p->feed_item = arena_array(&p->c->pass, rq->feeds.n, sizeof *p->feed_item);
    int32_t *read_of = arena_array(&p->c->pass, p->graph->n_nodes, sizeof *read_of);
    if (!compile_had_memory(c)) return false;
    if (n_items >= INT32_MAX || n_in >= INT32_MAX || n_ctl >= INT32_MAX)
        return compile_fail(c, DF_RESOURCE_EXHAUSTED, "the graph is too large: 2^31 edges");

    for (size_t i = 0; i < rq->feeds.n; i++) {
        if (!p->feed_used[i]) continue;
        p->feed_item[i] = (int32_t)c->n_items;
        (void)new_item(c, ITEM_FEED, rq->feeds.items[i].node, (int)i);
    }
    memset(c->item_of, 0xff, p->graph->n_nodes * sizeof *c->item_of);
    uint32_t in = 0, ctl = 0;
    for (uint32_t i = 0; i < p->n_kept; i++) c->item_of[p->order[i]] = (int32_t)(c->n_items + i);
    for (uint32_t i = 0; i < p->n_kept; i++)
        link_node(p, new_item(c, ITEM_NODE, p->graph->nodes[p->order[i]], 0), &in, &ctl);
    item_out *sources = arena_array(&p->c->pass, rq->fetches.n, sizeof *sources);
    if (!compile_had_memory(c)) return false;
    for (size_t i = 0; i < rq->fetches.n; i++)
        sources[i] = fetch_source(p, read_of, rq->fetches.items[i], &in);
    for (size_t i = 0; i < rq->fetches.n; i++) {
        item *fetch = new_item(c, ITEM_FETCH, rq->fetches.items[i].node, (int)i);
        fetch->first_input = in;
        fetch->n_inputs = 1;
        c->inputs[in++] = sources[i];
    }
    c->n_inputs = in;
    c->n_controls = ctl;
    return true;
}

bool compile_prune(compile_state *c) {
    pruning p = {.c = c, .graph = c->rq->graph};
    size_t n = p.graph->n_nodes, n_feeds = c->rq->feeds.n;
    p.feed_of = arena_array(&c->pass, n, sizeof *p.feed_of);
    p.next_feed = arena_array(&c->pass, n_feeds, sizeof *p.next_feed);
    p.feed_used = arena_array(&c->pass, n_feeds, sizeof *p.feed_used);
    p.keep = arena_array(&c->pass, n, sizeof *p.keep);
    p.needed_by = arena_array(&c->pass, n, sizeof *p.needed_by);
    p.stack = arena_array(&c->pass, n, sizeof *p.stack);
    if (!compile_had_memory(c)) return false;
    memset(p.feed_of, 0xff, n * sizeof *p.feed_of);
    return check_request(&p) && need_all(&p) && sort_nodes(&p) && make_items(&p);
}
