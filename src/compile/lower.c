/* SPDX-License-Identifier: MIT
 *
 * lower - from partitions to the flat arrays of plan.h.
 *
 * Requires  emitted, graphs, channels.
 * Leaves    plan.
 *
 * The emitted order has everything after what it depends on, a Recv after its Send.
 * That dependency included, the nodes of all partitions form one graph; blocks.c cuts
 * it into blocks; nodes are then laid out block by block, and edges between blocks
 * become events.
 */
#include "compile/blocks.h"
#include "compile/state.h"

#include <stdio.h>
#include <string.h>

/* Touching so many thousand elements is worth a thread's while. */
static const float GRAIN = 16.0f;

typedef struct lowering {
    compile_state *c;
    plan *p;
    uint32_t n;                           /* emitted nodes, called by their place in that order */
    uint32_t *place_of[PLAN_MAX_DEVICES]; /* by the partition's node id: its place */
    uint32_t *first_before, *before;      /* joined graph */
    bool *ends_later;
    uint32_t *first_slot; /* by place */
    uint32_t *block_of;   /* by place */
    uint32_t *node_of;    /* by place: index in plan->nodes */
    int32_t *variable_of; /* by the user's node id: index in plan->variables */
    uint32_t *send_of;    /* by channel: place */
} lowering;

static uint32_t place_of(const lowering *l, uint32_t id, uint32_t device) {
    return l->place_of[device][id];
}

/* ---- the joined graph ---------------------------------------------------- */

/* A Recv ends by an event if a fence has to be waited for: from a queue to the host. */
static bool recv_ends_later(const lowering *l, const plan_channel *ch) {
    const plan_device *devices = l->c->rq->devices;
    bool to_host = !devices[ch->dst_device].has_queue || ch->dst_memory == DF_MEMORY_HOST;
    return devices[ch->src_device].has_queue && to_host;
}

/* NULL: a Send or Recv, or an item that needs none. */
static const kernel_def *kernel_of(const lowering *l, uint32_t i) {
    int32_t of = l->c->emitted[i].item;
    return of == PLAN_NONE ? NULL : l->c->items[of].kernel;
}

/* An async kernel; and on a queue one whose outputs have no shape before it has run. */
static bool kernel_ends_later(const lowering *l, const emitted *e, const kernel_def *k) {
    bool finds_shapes = !k->op->infer && e->node->n_outputs > 0 && !(k->flags & KERNEL_INLINE);
    return (k->flags & KERNEL_ASYNC) || (finds_shapes && l->c->rq->devices[e->device].has_queue);
}

static bool index_nodes(lowering *l) {
    compile_state *c = l->c;
    for (uint32_t d = 0; d < c->rq->n_devices; d++) {
        if (!c->graphs[d]) continue;
        l->place_of[d] = arena_array(&c->mem, c->graphs[d]->n_nodes, sizeof(uint32_t));
        if (!l->place_of[d]) return compile_no_memory(c);
    }
    for (uint32_t i = 0; i < l->n; i++) {
        const emitted *e = &c->emitted[i];
        l->place_of[e->device][e->node->id] = i;
        if (e->node->op->flags & OP_SEND) l->send_of[e->channel] = i;
    }
    return true;
}

static uint32_t count_before(const df_node *n) {
    return (uint32_t)n->n_inputs + (uint32_t)n->n_controls + (n->op->flags & OP_RECV ? 1 : 0);
}

static bool join_graphs(lowering *l) {
    compile_state *c = l->c;
    size_t n_edges = 0;
    for (uint32_t i = 0; i < l->n; i++) n_edges += count_before(c->emitted[i].node);
    if (n_edges >= UINT32_MAX)
        return compile_fail(c, DF_RESOURCE_EXHAUSTED, "the graph is too large: 2^32 edges");
    l->first_before = arena_array(&c->mem, (size_t)l->n + 1, sizeof *l->first_before);
    l->before = arena_array(&c->mem, n_edges, sizeof *l->before);
    l->ends_later = arena_array(&c->mem, l->n, sizeof *l->ends_later);
    if (!l->first_before || !l->before || !l->ends_later) return compile_no_memory(c);
    uint32_t at = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const emitted *e = &c->emitted[i];
        const df_node *n = e->node;
        l->first_before[i] = at;
        for (int k = 0; k < n->n_inputs; k++)
            l->before[at++] = place_of(l, n->inputs[k].node, e->device);
        for (int k = 0; k < n->n_controls; k++)
            l->before[at++] = place_of(l, node_controls(n)[k], e->device);
        if (n->op->flags & OP_RECV) {
            l->before[at++] = l->send_of[e->channel];
            l->ends_later[i] = recv_ends_later(l, &c->channels[e->channel]);
        }
        const kernel_def *k = kernel_of(l, i);
        if (k && kernel_ends_later(l, e, k)) l->ends_later[i] = true;
    }
    l->first_before[l->n] = at;
    return true;
}

/* Thousands of elements that a node touches; unknown dimensions count as 32. */
static float elements(const edge_type *t) {
    float n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dims[i] < 0 ? 32.0f : (float)t->dims[i];
    return n / 1000;
}

static float work_of(const lowering *l, uint32_t i) {
    const df_node *n = l->c->emitted[i].node;
    float work = 0.05f, largest = 0;
    const kernel_def *kernel = kernel_of(l, i);
    if (kernel && (kernel->flags & KERNEL_CHEAP)) return work;
    for (int k = 0; k < n->n_inputs; k++) {
        float x = elements(&node_input(n, k).node->outputs[n->inputs[k].index]);
        work += x;
        if (x > largest) largest = x;
    }
    for (int k = 0; k < n->n_outputs; k++) {
        const edge_type *t = &n->outputs[k];
        work += elements(t);
        /* a matrix product touches its larger input once for each column */
        if (n->n_inputs == 2 && strcmp(n->op->name, "MatMul") == 0 && t->rank == 2)
            work += largest * (t->dims[1] < 0 ? 32.0f : (float)t->dims[1]);
    }
    return work;
}

static bool cut_blocks(lowering *l) {
    compile_state *c = l->c;
    float *work = arena_array(&c->mem, l->n, sizeof *work);
    l->block_of = arena_array(&c->mem, l->n, sizeof *l->block_of);
    if (!work || !l->block_of) return compile_no_memory(c);
    for (uint32_t i = 0; i < l->n; i++) work[i] = work_of(l, i);
    block_graph g = {&c->mem, l->n, l->first_before, l->before, l->ends_later, work};
    float grain = c->rq->grain > 0 ? c->rq->grain : GRAIN;
    l->p->n_blocks = c->rq->parallelism > 1
                         ? blocks_for_many(&g, c->rq->parallelism, grain, l->block_of)
                         : blocks_for_one(&g, l->block_of);
    return l->p->n_blocks || compile_no_memory(c);
}

/* ---- nodes --------------------------------------------------------------- */

static bool lay_out(lowering *l) {
    plan *p = l->p;
    p->blocks = arena_array(&p->mem, (size_t)p->n_blocks + 1, sizeof *p->blocks);
    l->node_of = arena_array(&l->c->mem, l->n, sizeof *l->node_of);
    if (!p->blocks || !l->node_of) return compile_no_memory(l->c);
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
    uint32_t flags = e->node->op->flags;
    if (flags & OP_SEND) return ROLE_SEND;
    if (flags & OP_RECV) return ROLE_RECV;
    if (flags & OP_FEED) return ROLE_FEED;
    if (flags & OP_FETCH) return ROLE_FETCH;
    if (!k) return ROLE_NOTHING;
    if (k->flags & KERNEL_INLINE) return ROLE_INLINE;
    bool later = kernel_ends_later(l, e, k);
    if (l->c->rq->devices[e->device].has_queue) return later ? ROLE_QUEUE_LATER : ROLE_QUEUE;
    return later ? ROLE_ASYNC : ROLE_KERNEL;
}

static uint8_t output_memory(const lowering *l, const emitted *e, const kernel_def *k, int i) {
    if (!l->c->rq->devices[e->device].has_queue) return DF_MEMORY_DEVICE;
    if (e->node->op->flags & OP_RECV) return l->c->channels[e->channel].dst_memory;
    if (e->node->op->flags & OP_CONST) return (uint8_t)e->memory;
    return kernel_host_output(k, (uint32_t)i) ? DF_MEMORY_HOST : DF_MEMORY_DEVICE;
}

static bool make_slots(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    l->first_slot = arena_array(&c->mem, l->n, sizeof *l->first_slot);
    if (!l->first_slot) return compile_no_memory(c);
    for (uint32_t i = 0; i < l->n; i++) {
        l->first_slot[i] = p->n_slots;
        p->n_slots += (uint32_t)c->emitted[i].node->n_outputs;
    }
    p->slots = arena_array(&p->mem, p->n_slots, sizeof *p->slots);
    if (!p->slots) return compile_no_memory(c);
    for (uint32_t i = 0; i < l->n; i++) {
        const emitted *e = &c->emitted[i];
        const kernel_def *k = kernel_of(l, i);
        for (int o = 0; o < e->node->n_outputs; o++) {
            plan_slot *slot = &p->slots[l->first_slot[i] + (uint32_t)o];
            slot->type = &e->node->outputs[o];
            slot->device = (uint8_t)e->device;
            slot->memory = output_memory(l, e, k, o);
        }
    }
    return true;
}

static int32_t variable_index(lowering *l, const emitted *e) {
    const df_node *v = e->item == PLAN_NONE ? NULL : item_variable(&l->c->items[e->item]);
    if (!v) return PLAN_NONE;
    plan *p = l->p;
    int32_t *index = &l->variable_of[v->id];
    if (*index == PLAN_NONE) {
        *index = (int32_t)p->n_variables;
        p->variables[p->n_variables++] = v->id;
    }
    if (e->node->op->flags & OP_WRITES) p->writes[*index] = true;
    return *index;
}

static int32_t index_of(lowering *l, const emitted *e) {
    if (e->channel != PLAN_NONE) return e->channel;
    uint32_t flags = e->node->op->flags;
    if (flags & (OP_FEED | OP_FETCH)) return (int32_t)e->node->attrs[0].i;
    if (!(flags & OP_CONST)) return PLAN_NONE;
    plan *p = l->p;
    p->constants[p->n_constants] = (plan_constant){.value = e->node->attrs[0].tensor,
                                                   .device = e->device,
                                                   .memory = output_memory(l, e, NULL, 0)};
    return (int32_t)p->n_constants++;
}

/* Of the inputs too: a known output does not say that those will fit, such as a [?] beside
 * the [3] that it is added to. */
static bool known_shapes(const df_node *n) {
    for (int i = 0; i < n->n_outputs; i++)
        if (!shape_is_known(edge_shape(&n->outputs[i]))) return false;
    for (int i = 0; i < n->n_inputs; i++) {
        df_out in = node_input(n, i);
        if (!shape_is_known(edge_shape(&in.node->outputs[in.index]))) return false;
    }
    return true;
}

static bool make_node(lowering *l, uint32_t i) {
    compile_state *c = l->c;
    plan *p = l->p;
    const emitted *e = &c->emitted[i];
    const df_node *n = e->node;
    plan_node *node = &p->nodes[l->node_of[i]];
    const kernel_def *k = kernel_of(l, i);
    *node = (plan_node){.name = n->name,
                        .op = n->op,
                        .kernel = k,
                        .attrs = n->attrs,
                        .role = (uint8_t)role_of(l, e, k),
                        .flags = l->ends_later[i] ? PLAN_ENDS_LATER : 0,
                        .device = (uint8_t)e->device,
                        .first_input = p->n_inputs,
                        .n_inputs = (uint32_t)n->n_inputs,
                        .first_slot = l->first_slot[i],
                        .n_outputs = (uint8_t)n->n_outputs,
                        .forward = PLAN_NONE,
                        .index = index_of(l, e),
                        .variable = variable_index(l, e)};
    if (known_shapes(n)) node->flags |= PLAN_KNOWN_SHAPES;
    for (int s = 0; s < n->n_inputs; s++)
        p->inputs[p->n_inputs++] =
            node_names_variable(n, s)
                ? PLAN_NONE
                : (int32_t)l->first_slot[l->before[l->first_before[i] + (uint32_t)s]] +
                      n->inputs[s].index;
    if (c->rq->devices[e->device].has_queue) p->queues |= UINT64_C(1) << e->device;
    return true;
}

static bool make_nodes(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    size_t n_inputs = 0, n_constants = 0, n_variables = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        n_inputs += (size_t)c->emitted[i].node->n_inputs;
        n_constants += (c->emitted[i].node->op->flags & OP_CONST) != 0;
        n_variables += (c->emitted[i].node->op->flags & OP_VARIABLE) != 0;
    }
    p->n_nodes = l->n;
    p->nodes = arena_array(&p->mem, l->n, sizeof *p->nodes);
    p->inputs = arena_array(&p->mem, n_inputs, sizeof *p->inputs);
    p->constants = arena_array(&p->mem, n_constants, sizeof *p->constants);
    p->variables = arena_array(&p->mem, n_variables, sizeof *p->variables);
    p->writes = arena_array(&p->mem, n_variables, sizeof *p->writes);
    l->variable_of = arena_array(&c->mem, c->rq->graph->n_nodes, sizeof *l->variable_of);
    if (!p->nodes || !p->inputs || !p->constants || !p->variables || !p->writes || !l->variable_of)
        return compile_no_memory(c);
    memset(l->variable_of, 0xff, c->rq->graph->n_nodes * sizeof *l->variable_of);
    for (uint32_t i = 0; i < l->n; i++)
        if (!make_node(l, i)) return false;
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
    for (uint32_t k = 0; k < l->n; k++) {
        uint32_t i = by_node[k];
        for (uint32_t e = l->first_before[i]; e < l->first_before[i + 1]; e++)
            add_event(l, ev, l->before[e], l->block_of[i]);
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
    ev.of_block = arena_array(&c->mem, p->n_blocks, sizeof *ev.of_block);
    ev.of_node = arena_array(&c->mem, p->n_nodes, sizeof *ev.of_node);
    uint32_t *by_node = arena_array(&c->mem, l->n, sizeof *by_node);
    if (!ev.of_block || !ev.of_node || !by_node) return compile_no_memory(c);
    for (uint32_t i = 0; i < l->n; i++) by_node[l->node_of[i]] = i;
    walk_events(l, &ev, by_node); /* counts */

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
    if (!p->after) return compile_no_memory(c);
    p->n_after = (uint32_t)total;
    memset(ev.of_block, 0, p->n_blocks * sizeof *ev.of_block);
    memset(ev.of_node, 0, p->n_nodes * sizeof *ev.of_node);
    ev.fill = true;
    walk_events(l, &ev, by_node);
    for (uint32_t b = 0; b < p->n_blocks; b++)
        end_waits_for(p, &p->blocks[b].n_after, p->blocks[b].first_after, true);
    for (uint32_t i = 0; i < p->n_nodes; i++)
        end_waits_for(p, &p->nodes[i].n_after, p->nodes[i].first_after,
                      p->nodes[i].flags & PLAN_ENDS_LATER);
    return true;
}

/* ---- drops and forwards -------------------------------------------------- */

/* Nodes lie block by block, in order: the last reader of a slot within a block is the last
 * that is met before the block changes. */
typedef struct last_reads {
    uint32_t *node_block; /* by node */
    int32_t *reader;      /* by slot: the input that read it last */
    uint32_t *read_block; /* by slot: in which block, + 1 */
    uint32_t *n_blocks;   /* by slot: blocks that read it */
    uint32_t *async_node; /* by slot: the async node that read it last, + 1 */
    bool *drops;          /* by input: this read is the last one in its block */
} last_reads;

/* An async kernel reads on when its block has long gone by: it counts as a block of its own,
 * and drops when it has ended. */
static void note_async_read(const plan *p, last_reads *r, uint32_t node, uint32_t input) {
    int32_t s = p->inputs[input];
    bool again = r->async_node[s] == node + 1;
    r->async_node[s] = node + 1;
    r->drops[input] = !again;
    r->n_blocks[s] += !again;
}

static void note_read(const plan *p, last_reads *r, uint32_t node, uint32_t input) {
    int32_t s = p->inputs[input];
    uint32_t block = r->node_block[node] + 1;
    if (r->read_block[s] == block)
        r->drops[r->reader[s]] = false;
    else
        r->n_blocks[s]++;
    r->drops[input] = true;
    r->reader[s] = (int32_t)input;
    r->read_block[s] = block;
}

static bool find_last_reads(lowering *l, last_reads *r) {
    compile_state *c = l->c;
    plan *p = l->p;
    r->node_block = arena_array(&c->mem, p->n_nodes, sizeof *r->node_block);
    r->reader = arena_array(&c->mem, p->n_slots, sizeof *r->reader);
    r->n_blocks = arena_array(&c->mem, p->n_slots, sizeof *r->n_blocks);
    r->drops = arena_array(&c->mem, p->n_inputs, sizeof *r->drops);
    r->read_block = arena_array(&c->mem, p->n_slots, sizeof *r->read_block);
    r->async_node = arena_array(&c->mem, p->n_slots, sizeof *r->async_node);
    if (!r->node_block || !r->reader || !r->read_block || !r->async_node || !r->n_blocks ||
        !r->drops)
        return compile_no_memory(c);
    for (uint32_t i = 0; i < l->n; i++) r->node_block[l->node_of[i]] = l->block_of[i];
    for (uint32_t n = 0; n < p->n_nodes; n++)
        for (uint32_t k = 0; k < p->nodes[n].n_inputs; k++) {
            uint32_t input = p->nodes[n].first_input + k;
            if (p->inputs[input] == PLAN_NONE) continue;
            if (p->nodes[n].role == ROLE_ASYNC || p->nodes[n].role == ROLE_QUEUE_LATER)
                note_async_read(p, r, n, input);
            else
                note_read(p, r, n, input);
        }
    return true;
}

static bool make_drops(lowering *l, last_reads *r) {
    plan *p = l->p;
    size_t most = p->n_slots;
    for (uint32_t i = 0; i < p->n_inputs; i++) most += r->drops[i];
    p->drops = arena_array(&p->mem, most, sizeof *p->drops);
    if (!p->drops) return compile_no_memory(l->c);
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        plan_node *node = &p->nodes[n];
        node->first_drop = p->n_drops;
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (r->drops[node->first_input + k])
                p->drops[p->n_drops++] = (uint32_t)p->inputs[node->first_input + k];
        /* a kernel that ends later drops then; a Recv has readers */
        for (uint32_t o = 0; o < node->n_outputs && node->role != ROLE_RECV; o++)
            if (r->n_blocks[node->first_slot + o] == 0)
                p->drops[p->n_drops++] = node->first_slot + o; /* nobody reads it */
        node->n_drops = p->n_drops - node->first_drop;
    }
    for (uint32_t s = 0; s < p->n_slots; s++)
        p->slots[s].readers = r->n_blocks[s] > 1 ? r->n_blocks[s] : 0;
    return true;
}

/* Input i may give its buffer to output 0 if this node alone drops it. */
static bool may_forward(const plan *p, const last_reads *r, const plan_node *n, uint32_t i) {
    int32_t s = p->inputs[n->first_input + i];
    if (s == PLAN_NONE || i >= 31 || !(n->kernel->may_overwrite >> i & 1)) return false;
    if (!r->drops[n->first_input + i] || p->slots[s].readers) return false;
    for (uint32_t k = 0; k < n->n_inputs; k++) /* not read through another input as well */
        if (k != i && p->inputs[n->first_input + k] == s) return false;
    const plan_slot *to = &p->slots[n->first_slot], *from = &p->slots[s];
    return from->type->dtype == to->type->dtype && from->memory == to->memory &&
           from->device == to->device;
}

static void find_forwards(plan *p, const last_reads *r) {
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        plan_node *node = &p->nodes[n];
        bool computes = node->role == ROLE_KERNEL || node->role == ROLE_QUEUE;
        for (uint32_t i = 0; computes && node->forward == PLAN_NONE && i < node->n_inputs; i++)
            if (may_forward(p, r, node, i)) node->forward = (int32_t)i;
    }
}

static bool make_last_uses(lowering *l) {
    last_reads r = {0};
    if (!find_last_reads(l, &r) || !make_drops(l, &r)) return false;
    find_forwards(l->p, &r);
    return true;
}

/* ---- the rest ------------------------------------------------------------ */

static bool make_feeds(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    p->n_feeds = (uint32_t)c->rq->feeds.n;
    p->n_fetches = (uint32_t)c->rq->fetches.n;
    p->feeds = arena_array(&p->mem, p->n_feeds, sizeof *p->feeds);
    if (!p->feeds) return compile_no_memory(c);
    for (uint32_t i = 0; i < p->n_feeds; i++) {
        df_out out = c->rq->feeds.items[i];
        size_t size = strlen(out.node->name) + 16;
        char *name = arena_alloc(&p->mem, size);
        if (!name) return compile_no_memory(c);
        (void)snprintf(name, size, "%s:%d", out.node->name, out.index);
        p->feeds[i] = (plan_feed){.name = name, .type = out.node->outputs[out.index]};
    }
    for (uint32_t i = 0; i < c->n_items; i++)
        if (c->items[i].kind == ITEM_FEED) p->feeds[c->items[i].index].type = *c->types[i];
    return true;
}

static bool make_channels(lowering *l) {
    compile_state *c = l->c;
    plan *p = l->p;
    p->channels = arena_array(&p->mem, c->n_channels, sizeof *p->channels);
    if (!p->channels) return compile_no_memory(c);
    if (c->n_channels) memcpy(p->channels, c->channels, c->n_channels * sizeof *p->channels);
    p->n_channels = c->n_channels;
    c->n_channels = 0; /* the keys are the plan's now */
    return true;
}

bool compile_lower(compile_state *c) {
    lowering l = {.c = c, .n = c->n_emitted};
    l.p = c->plan;
    l.send_of = arena_array(&c->mem, c->n_channels, sizeof *l.send_of);
    if (!l.send_of) return compile_no_memory(c);
    l.p->id = c->rq->plan_id;
    l.p->parallelism = c->rq->parallelism;
    l.p->devices = c->rq->devices;
    l.p->n_devices = c->rq->n_devices;
    return index_nodes(&l) && join_graphs(&l) && cut_blocks(&l) && lay_out(&l) && make_slots(&l) &&
           make_nodes(&l) && make_events(&l) && make_last_uses(&l) && make_feeds(&l) &&
           make_channels(&l);
}
