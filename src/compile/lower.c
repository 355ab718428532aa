/* SPDX-License-Identifier: MIT
 *
 * lower - from what partition emitted to the flat arrays of plan.h.
 *
 * Requires  emitted, first_before, before; channels and inputs of the plan.
 * Leaves    the plan.
 *
 * The emitted order has everything after what it depends on, a Recv after its Send.
 * That dependency included, the nodes of all partitions form one graph; blocks.c cuts
 * it into blocks; nodes are then laid out block by block, and edges between blocks
 * become events.
 */
#include "base/text.h"
#include "compile/blocks.h"
#include "compile/state.h"
#include "compile/uses.h"

#include <string.h>

/* Touching so many thousand elements is worth a thread's while. */
static const float GRAIN = 16.0f;

typedef struct lowering {
    compile_state *c;
    plan *p;
    uint32_t n; /* emitted nodes, called by their place in that order */
    bool *ends_later;
    bool any_later;
    uint32_t *block_of;   /* by place */
    uint32_t *node_of;    /* by place: index in plan->nodes */
    int32_t *variable_of; /* by the user's node id: index in plan->variables; NULL: there is none */
    const op_def *send, *recv;
} lowering;

/* ---- the joined graph ---------------------------------------------------- */

/* A Recv ends by an event if another process has to be waited for, or a fence: from a queue to the
 * host. */
static bool recv_ends_later(const lowering *l, const plan_channel *ch) {
    if (ch->far) return true;
    const plan_device *devices = l->c->rq->devices;
    bool to_host = !devices[ch->dst_device].has_queue || ch->dst_memory == DF_MEMORY_HOST;
    return devices[ch->src_device].has_queue && to_host;
}

/* NULL: a Send or Recv, or an item that needs none. */
static const kernel_def *kernel_of(const lowering *l, const emitted *e) {
    return e->what == EMITTED_ITEM ? l->c->items[e->item].kernel : NULL;
}

static const op_def *op_of(const lowering *l, const emitted *e) {
    return e->what == EMITTED_SEND   ? l->send
           : e->what == EMITTED_RECV ? l->recv
                                     : item_op(l->c, &l->c->items[e->item]);
}

/* An async kernel; and on a queue one whose outputs have no shape before it has run. */
static bool kernel_ends_later(const lowering *l, const emitted *e, const kernel_def *k) {
    if (k->flags & (KERNEL_ASYNC | KERNEL_INLINE)) return k->flags & KERNEL_ASYNC;
    return !k->op->infer && l->c->rq->devices[e->device].has_queue && emitted_outputs(l->c, e) > 0;
}

static bool find_later(lowering *l) {
    compile_state *c = l->c;
    l->ends_later = arena_array(&l->c->pass, l->n, sizeof *l->ends_later);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < l->n; i++) {
        const emitted *e = &c->emitted[i];
        const kernel_def *k = kernel_of(l, e);
        l->ends_later[i] = e->what == EMITTED_RECV ? recv_ends_later(l, &l->p->channels[e->channel])
                                                   : k && kernel_ends_later(l, e, k);
        l->any_later |= l->ends_later[i];
    }
    return true;
}

/* Thousands of elements that a node touches; unknown dimensions count as 32. */
static float elements(const edge_type *t) {
    float n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dims[i] < 0 ? 32.0f : (float)t->dims[i];
    return n / 1000;
}

/* What input k of place i is, whose inputs begin there in the plan; of a variable that is
 * named, its output. */
static const edge_type *input_type(const lowering *l, uint32_t i, uint32_t first, uint32_t k) {
    const compile_state *c = l->c;
    int32_t slot = l->p->inputs[first + k];
    if (slot != PLAN_NONE) return l->p->slots[slot].type;
    return emitted_types(c, &c->emitted[c->before[c->first_before[i] + k]]);
}

/* *first moves behind its inputs. */
static float work_of(const lowering *l, uint32_t i, uint32_t *first) {
    const compile_state *c = l->c;
    const emitted *e = &c->emitted[i];
    float work = 0.05f, largest = 0;
    const kernel_def *kernel = kernel_of(l, e);
    uint32_t n_inputs = emitted_inputs(c, e), at = *first;
    *first += n_inputs;
    if (kernel && (kernel->flags & KERNEL_CHEAP)) return work;
    for (uint32_t k = 0; k < n_inputs; k++) {
        float x = elements(input_type(l, i, at, k));
        work += x;
        if (x > largest) largest = x;
    }
    for (int k = 0; k < emitted_outputs(c, e); k++) {
        const edge_type *t = &emitted_types(c, e)[k];
        work += elements(t);
        /* a matrix product touches its larger input once for each column */
        if (n_inputs == 2 && t->rank == 2 && strcmp(op_of(l, e)->name, "MatMul") == 0)
            work += largest * (t->dims[1] < 0 ? 32.0f : (float)t->dims[1]);
    }
    return work;
}

static bool cut_blocks(lowering *l) {
    compile_state *c = l->c;
    bool many = c->rq->parallelism > 1;
    float *work = arena_array(&l->c->pass, many ? l->n : 0, sizeof *work);
    l->block_of = arena_array(&l->c->pass, l->n, sizeof *l->block_of);
    if (!compile_had_memory(c)) return false;
    uint32_t first = 0;
    for (uint32_t i = 0; many && i < l->n; i++) work[i] = work_of(l, i, &first);
    bool is_part = false;
    for (uint32_t i = 0; i < l->p->n_channels; i++) is_part |= l->p->channels[i].far != PLAN_NEAR;
    block_graph g = {&l->c->pass, l->n, c->first_before, c->before, l->ends_later, work, is_part};
    float grain = c->rq->grain;
    if (grain <= 0) {
        l->p->is_fine = many && !l->any_later && !c->rq->is_foreign;
        grain = l->p->is_fine ? 0 : GRAIN;
    }
    l->p->n_blocks = many ? blocks_for_many(&g, c->rq->parallelism, grain, l->block_of)
                          : blocks_for_one(&g, l->block_of);
    return compile_got(c, l->p->n_blocks > 0);
}

/* ---- nodes --------------------------------------------------------------- */

static bool lay_out(lowering *l) {
    plan *p = l->p;
    p->blocks = arena_array(&p->mem, (size_t)p->n_blocks + 1, sizeof *p->blocks);
    l->node_of = arena_array(&l->c->pass, l->n, sizeof *l->node_of);
    if (!compile_had_memory(l->c)) return false;
    for (uint32_t i = 0; i < l->n; i++) p->blocks[l->block_of[i]].count++;
    uint32_t at = 0;
    for (uint32_t b = 0; b <= p->n_blocks; b++) {
        p->blocks[b].first = at;
        at += p->blocks[b].count;
        p->blocks[b].count = 0;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        plan_block *b = &p->blocks[l->block_of[i]];
        l->node_of[i] = b->first + b->count++;
    }
    return true;
}

static plan_role role_of(const lowering *l, const emitted *e, const kernel_def *k) {
    if (e->what == EMITTED_SEND) return ROLE_SEND;
    if (e->what == EMITTED_RECV) return ROLE_RECV;
    item_kind kind = l->c->items[e->item].kind;
    if (kind == ITEM_FEED) return ROLE_FEED;
    if (kind == ITEM_FETCH) return ROLE_FETCH;
    if (!k) return ROLE_NOTHING;
    if (k->flags & KERNEL_INLINE) return ROLE_INLINE;
    bool later = kernel_ends_later(l, e, k);
    if (l->c->rq->devices[e->device].has_queue) return later ? ROLE_QUEUE_LATER : ROLE_QUEUE;
    return later ? ROLE_ASYNC : ROLE_KERNEL;
}

static bool is_constant(const lowering *l, const emitted *e) {
    return op_of(l, e)->flags & OP_CONST;
}

static uint8_t output_memory(const lowering *l, const emitted *e, const kernel_def *k, int i) {
    if (!l->c->rq->devices[e->device].has_queue) return DF_MEMORY_DEVICE;
    if (e->what == EMITTED_RECV) return l->p->channels[e->channel].dst_memory;
    if (is_constant(l, e)) return e->memory;
    return kernel_host_output(k, (uint32_t)i) ? DF_MEMORY_HOST : DF_MEMORY_DEVICE;
}

static bool make_slots(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    p->slots = arena_array(&p->mem, p->n_slots, sizeof *p->slots);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < l->n; i++) {
        const emitted *e = &c->emitted[i];
        const kernel_def *k = kernel_of(l, e);
        const edge_type *types = emitted_types(c, e);
        plan_slot *slot = &p->slots[e->first_slot];
        for (int o = 0; o < emitted_outputs(c, e); o++)
            *slot++ = (plan_slot){
                .type = &types[o], .device = e->device, .memory = output_memory(l, e, k, o)};
    }
    return true;
}

static int32_t variable_index(lowering *l, const emitted *e) {
    const df_node *v = e->what == EMITTED_ITEM ? item_variable(&l->c->items[e->item]) : NULL;
    if (!v) return PLAN_NONE;
    plan *p = l->p;
    int32_t *index = &l->variable_of[v->id];
    if (*index == PLAN_NONE) {
        *index = (int32_t)p->n_variables;
        p->variables[p->n_variables++] = v->id;
    }
    if (op_of(l, e)->flags & OP_WRITES) p->writes[*index]++;
    return *index;
}

static int32_t index_of(lowering *l, const emitted *e) {
    const item *it = &l->c->items[e->item];
    if (e->what != EMITTED_ITEM) return e->channel;
    if (it->kind == ITEM_FEED || it->kind == ITEM_FETCH) return it->index;
    if (!is_constant(l, e)) return PLAN_NONE;
    plan *p = l->p;
    p->constants[p->n_constants] = (plan_constant){.value = it->node->attrs[0].tensor,
                                                   .device = e->device,
                                                   .memory = output_memory(l, e, NULL, 0)};
    return (int32_t)p->n_constants++;
}

/* Of the inputs too: a known output does not say that those will fit, such as a [?] beside
 * the [3] that it is added to. */
static bool known_shapes(const lowering *l, uint32_t i, const plan_node *n) {
    const plan_slot *slots = l->p->slots;
    for (uint32_t o = 0; o < n->n_outputs; o++)
        if (!shape_is_known(edge_shape(slots[n->first_slot + o].type))) return false;
    for (uint32_t k = 0; k < n->n_inputs; k++)
        if (!shape_is_known(edge_shape(input_type(l, i, n->first_input, k)))) return false;
    return true;
}

static bool make_node(lowering *l, uint32_t i, uint32_t *n_inputs) {
    compile_state *c = l->c;
    plan *p = l->p;
    const emitted *e = &c->emitted[i];
    const item *it = &c->items[e->item];
    plan_node *node = &p->nodes[l->node_of[i]];
    const kernel_def *k = kernel_of(l, e);
    *node = (plan_node){.name = emitted_name(c, e, &p->mem),
                        .op = op_of(l, e),
                        .kernel = k,
                        .attrs = e->what == EMITTED_ITEM && it->kind == ITEM_NODE ? it->node->attrs
                                                                                  : NULL,
                        .role = (uint8_t)role_of(l, e, k),
                        .flags = l->ends_later[i] ? PLAN_ENDS_LATER : 0,
                        .device = e->device,
                        .n_outputs = (uint8_t)emitted_outputs(c, e),
                        .first_input = *n_inputs,
                        .n_inputs = emitted_inputs(c, e),
                        .first_slot = e->first_slot,
                        .index = index_of(l, e),
                        .variable = variable_index(l, e)};
    *n_inputs += node->n_inputs;
    if (known_shapes(l, i, node)) node->flags |= PLAN_KNOWN_SHAPES;
    if (e->what == EMITTED_SEND) {
        plan_channel *ch = &p->channels[e->channel];
        if (!ch->far || node->n_inputs) /* else the user's Send, which has its own name */
            ch->producer = p->nodes[l->node_of[c->before[c->first_before[i]]]].name;
        if (node->n_inputs) ch->slot = (uint32_t)p->inputs[node->first_input];
    }
    if (c->rq->devices[e->device].has_queue) {
        p->queues |= UINT64_C(1) << e->device;
        bool recv = e->what == EMITTED_RECV, send = e->what == EMITTED_SEND;
        if (recv && p->channels[e->channel].dst_memory == DF_MEMORY_DEVICE)
            p->arrives |= UINT64_C(1) << e->device;
        if (send && p->channels[e->channel].src_memory == DF_MEMORY_DEVICE)
            p->leaves |= UINT64_C(1) << e->device;
    }
    return compile_got(c, node->name);
}

static bool make_nodes(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    size_t n_constants = 0, n_variables = 0, n_nodes = c->rq->graph->n_nodes;
    for (uint32_t i = 0; i < l->n; i++) {
        if (c->emitted[i].what != EMITTED_ITEM) continue;
        uint32_t flags = op_of(l, &c->emitted[i])->flags;
        n_constants += (flags & OP_CONST) != 0;
        n_variables += (flags & OP_VARIABLE) != 0;
    }
    p->n_nodes = l->n;
    p->nodes = arena_array(&p->mem, l->n, sizeof *p->nodes);
    p->constants = arena_array(&p->mem, n_constants, sizeof *p->constants);
    p->variables = arena_array(&p->mem, n_variables, sizeof *p->variables);
    p->writes = arena_array(&p->mem, n_variables, sizeof *p->writes);
    l->variable_of = arena_array(&l->c->pass, n_variables ? n_nodes : 0, sizeof *l->variable_of);
    if (!compile_had_memory(c)) return false;
    if (n_variables) memset(l->variable_of, 0xff, n_nodes * sizeof *l->variable_of);
    uint32_t n_inputs = 0;
    for (uint32_t i = 0; i < l->n; i++)
        if (!make_node(l, i, &n_inputs)) return false;
    return true;
}

/* ---- events -------------------------------------------------------------- */

/* Collects the pairs (event, block that waits for it) without doubles: once for all
 * pairs of one block, so a mark per event with the block's number is enough. */
typedef struct event_list {
    uint32_t *of_block, *of_node; /* marks: block + 1 */
    uint32_t *counts_block, *counts_node;
    bool fill;
} event_list;

static void add_event(lowering *l, event_list *ev, uint32_t u, uint32_t block) {
    plan *p = l->p;
    bool later = l->ends_later[u];
    uint32_t from = later ? l->node_of[u] : l->block_of[u];
    uint32_t *mark = later ? &ev->of_node[from] : &ev->of_block[from];
    if (!later && from == block) return;
    if (*mark == block + 1) return;
    *mark = block + 1;
    uint32_t *count = later ? &p->nodes[from].n_after : &p->blocks[from].n_after;
    uint32_t first = later ? p->nodes[from].first_after : p->blocks[from].first_after;
    if (ev->fill)
        p->after[first + *count] = block;
    else
        p->blocks[block].pending++;
    ++*count;
}

/* Places of the emitted order, sorted by block. */
static void walk_events(lowering *l, event_list *ev, const uint32_t *by_node) {
    const compile_state *c = l->c;
    for (uint32_t k = 0; k < l->n; k++) {
        uint32_t i = by_node[k];
        for (uint32_t e = c->first_before[i]; e < c->first_before[i + 1]; e++)
            add_event(l, ev, c->before[e], l->block_of[i]);
    }
}

static void end_waits_for(plan *p, uint32_t *n_after, uint32_t first, bool fill) {
    if (fill && *n_after == 0) {
        p->after[first] = p->n_blocks;
        *n_after = 1;
    }
}

static bool make_events(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    event_list ev = {0};
    bool any = p->n_blocks > 1 || l->any_later; /* else there is one, for END */
    uint32_t n_later = any ? p->n_nodes : 0;
    ev.of_block = arena_array(&l->c->pass, p->n_blocks, sizeof *ev.of_block);
    ev.of_node = arena_array(&l->c->pass, n_later, sizeof *ev.of_node);
    uint32_t *by_node = arena_array(&l->c->pass, n_later, sizeof *by_node);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < n_later; i++) by_node[l->node_of[i]] = i;
    if (any) walk_events(l, &ev, by_node); /* counts */

    /* Each source gets its room, at least one entry: for END, if nobody else waits. */
    size_t total = 0;
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        p->blocks[b].first_after = (uint32_t)total;
        total += p->blocks[b].n_after ? p->blocks[b].n_after : 1;
        p->blocks[p->n_blocks].pending += p->blocks[b].n_after == 0;
        p->blocks[b].n_after = 0;
    }
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        plan_node *n = &p->nodes[i];
        n->first_after = (uint32_t)total;
        if (!(n->flags & PLAN_ENDS_LATER)) continue;
        total += n->n_after ? n->n_after : 1;
        p->blocks[p->n_blocks].pending += n->n_after == 0;
        n->n_after = 0;
    }
    p->after = arena_array(&p->mem, total, sizeof *p->after);
    if (!compile_had_memory(c)) return false;
    p->n_after = (uint32_t)total;
    memset(ev.of_block, 0, p->n_blocks * sizeof *ev.of_block);
    memset(ev.of_node, 0, n_later * sizeof *ev.of_node);
    ev.fill = true;
    if (any) walk_events(l, &ev, by_node);
    for (uint32_t b = 0; b < p->n_blocks; b++)
        end_waits_for(p, &p->blocks[b].n_after, p->blocks[b].first_after, true);
    for (uint32_t i = 0; i < p->n_nodes; i++)
        end_waits_for(p, &p->nodes[i].n_after, p->nodes[i].first_after,
                      p->nodes[i].flags & PLAN_ENDS_LATER);
    return true;
}

/* ---- the rest ------------------------------------------------------------ */

static bool make_feeds(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    p->n_feeds = (uint32_t)c->rq->feeds.n;
    p->n_fetches = (uint32_t)c->rq->fetches.n;
    p->feeds = arena_array(&p->mem, p->n_feeds, sizeof *p->feeds);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < p->n_feeds; i++) {
        df_out out = c->rq->feeds.items[i];
        char *name = arena_alloc(&p->mem, strlen(out.node->name) + sizeof ":1234567890");
        if (!compile_had_memory(c)) return false;
        (void)text_number(stpcpy(stpcpy(name, out.node->name), ":"), (uint64_t)out.index);
        p->feeds[i] =
            (plan_feed){.name = name, .type = out.node->outputs[out.index], .device = PLAN_NONE};
    }
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        if (it->kind != ITEM_FEED) continue;
        p->feeds[it->index].type = *c->types[i];
        p->feeds[it->index].device = it->device;
    }
    return true;
}

bool compile_lower(compile_state *c) {
    const op_registry *ops = c->rq->graph->ops;
    plan *p = c->plan;
    lowering l = {.c = c,
                  .p = p,
                  .n = c->n_emitted,
                  .send = op_find(ops, "Send"),
                  .recv = op_find(ops, "Recv")};
    p->id = c->rq->plan_id;
    p->parallelism = c->rq->parallelism;
    p->devices = c->rq->devices;
    p->n_devices = c->rq->n_devices;
    return find_later(&l) && make_slots(&l) && cut_blocks(&l) && lay_out(&l) && make_nodes(&l) &&
           make_events(&l) && compile_got(c, uses_make(p, &c->pass)) && make_feeds(&l);
}
