/* SPDX-License-Identifier: MIT
 *
 * partition - one graph a device, with Send, Recv and a key where an edge was cut.
 *
 * Requires  devices and kernels of the items, ordered.
 * Leaves    graphs, emitted, channels, is_small.
 *
 * 1. One pair for each (source output, destination device, memory), however many
 *    consumers. It is needed between devices, on an accelerator between its own memory
 *    and host memory, and behind host memory that its queue writes.
 * 2. A control edge to a device that already gets data from the same node rides on
 *    that data: who has received it knows that the node has run. Otherwise it gets a pair of
 *    its own, which carries no value.
 * 3. A small constant that nobody pinned, colocated or put behind a control edge is
 *    copied to where it is used instead of being sent. It never waits, so edges from
 *    it that carry only order are dropped.
 * 4. What is put in is named after the node that it stands for, "y@send", "x@feed"; no node of
 *    the user's can have an '@' in its name. So the user's nodes keep theirs.
 * 5. Nodes are emitted in canonical order, over all partitions at once; behind a node
 *    come its Sends, each followed by its Recv. So in this one order everything stands
 *    after what it depends on.
 */
#include "compile/state.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { CONTROL_ONLY = -1 };

/* One pair, or the copy of a constant: what stands for an output on a device. */
typedef struct copy {
    int32_t slot;    /* of the source item; CONTROL_ONLY */
    uint32_t device; /* where it is wanted */
    uint32_t memory;
    df_node *node; /* the Recv, or the constant; NULL: not yet emitted */
    int32_t next;  /* of the same item */
} copy;

typedef struct cutting {
    compile_state *c;
    const op_def *send, *recv;
    int32_t *first_copy; /* by item */
    copy *copies;
    size_t n_copies, cap_copies;
    df_node **node_of;                      /* by item, once emitted */
    uint32_t *first_ordered, *next_ordered; /* edges of order, by the item after; index + 1 */
} cutting;

/* ---- which pairs --------------------------------------------------------- */

static uint32_t kind_of(const compile_state *c, uint32_t device, bool host) {
    return host && c->rq->devices[device].has_queue ? DF_MEMORY_HOST : DF_MEMORY_DEVICE;
}

static uint32_t memory_wanted(const compile_state *c, const item *it, uint32_t input) {
    return kind_of(c, (uint32_t)it->device, kernel_host_input(it->kernel, input));
}

static uint32_t memory_made(const compile_state *c, const item *it, uint32_t output) {
    return kind_of(c, (uint32_t)it->device, kernel_host_output(it->kernel, output));
}

static copy *find_copy(const cutting *k, int32_t source, int32_t slot, uint32_t device,
                       uint32_t kind) {
    for (int32_t i = k->first_copy[source]; i != PLAN_NONE; i = k->copies[i].next) {
        copy *p = &k->copies[i];
        if (p->slot == slot && p->device == device && p->memory == kind) return p;
    }
    return NULL;
}

static bool want_copy(cutting *k, int32_t source, int32_t slot, uint32_t device, uint32_t kind) {
    if (find_copy(k, source, slot, device, kind)) return true;
    if (!alloc_grow(k->c->rq->alloc, (void **)&k->copies, &k->cap_copies, k->n_copies + 1,
                    sizeof(copy)))
        return compile_no_memory(k->c);
    /* appended at the end of the item's list, so that channels have a stable order */
    int32_t *link = &k->first_copy[source];
    while (*link != PLAN_NONE) link = &k->copies[*link].next;
    *link = (int32_t)k->n_copies;
    k->copies[k->n_copies++] =
        (copy){.slot = slot, .device = device, .memory = kind, .next = PLAN_NONE};
    return true;
}

/* What of `source` reaches this device anyway; NULL: nothing. */
static copy *find_ride(const cutting *k, int32_t source, uint32_t device) {
    for (int32_t i = k->first_copy[source]; i != PLAN_NONE; i = k->copies[i].next)
        if (k->copies[i].device == device) return &k->copies[i];
    return NULL;
}

/* Host memory that a queue's kernel writes is ready only when the queue has come so far: also
 * on the same device its reader needs a Recv, which waits for that. */
static bool is_written_late(const compile_state *c, const item *source, uint32_t output) {
    return memory_made(c, source, output) == DF_MEMORY_HOST && source->kernel &&
           !(source->kernel->flags & KERNEL_INLINE);
}

static bool is_cut(const cutting *k, item_out from, const item *to, uint32_t kind) {
    const compile_state *c = k->c;
    const item *source = &c->items[from.item];
    uint32_t output = (uint32_t)from.index;
    return c->is_small[from.item] || source->device != to->device ||
           memory_made(c, source, output) != kind || is_written_late(c, source, output);
}

static bool names(const item *it, uint32_t input) {
    return input == 0 &&
           (it->kind == ITEM_READ || (it->kind == ITEM_NODE && node_names_variable(it->node, 0)));
}

static bool want_data(cutting *k) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        for (uint32_t n = 0; n < it->n_inputs; n++) {
            item_out from = c->inputs[it->first_input + n];
            uint32_t kind = memory_wanted(c, it, n);
            if (names(it, n) || !is_cut(k, from, it, kind)) continue;
            if (!want_copy(k, from.item, from.index, (uint32_t)it->device, kind)) return false;
        }
    }
    return true;
}

static bool want_control(cutting *k, uint32_t before, uint32_t after) {
    compile_state *c = k->c;
    uint32_t device = (uint32_t)c->items[after].device;
    if (c->is_small[before] || (uint32_t)c->items[before].device == device) return true;
    if (find_ride(k, (int32_t)before, device)) return true;
    return want_copy(k, (int32_t)before, CONTROL_ONLY, device, DF_MEMORY_DEVICE);
}

static bool want_controls(cutting *k) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        for (uint32_t n = 0; n < it->n_controls; n++)
            if (!want_control(k, c->controls[it->first_control + n], i)) return false;
    }
    for (uint32_t e = 0; e < c->n_ordered; e++)
        if (!want_control(k, c->ordered[e].before, c->ordered[e].after)) return false;
    return true;
}

static void find_small(cutting *k, const uint32_t *group_size) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        if (it->kind != ITEM_NODE || !(it->node->op->flags & OP_CONST)) continue;
        c->is_small[i] = !it->node->on && group_size[it->group] == 1 && !it->n_controls &&
                         df_tensor_bytes(it->node->attrs[0].tensor) <= CONST_COPY_MAX;
    }
}

/* ---- emitting ------------------------------------------------------------ */

static df_graph *graph_of(compile_state *c, uint32_t device) {
    df_graph **g = &c->graphs[device];
    if (!*g) *g = graph_new(c->rq->graph->ops, c->rq->alloc, NULL, NULL);
    if (*g) (*g)->is_partition = true;
    return *g;
}

/* name and suffix, and a number if that is not the first, in the graph's arena. */
static const char *suffixed(df_graph *g, const char *name, const char *suffix, name_place *place) {
    size_t n = strlen(name), s = strlen(suffix), whole = n + s;
    if (!graph_reserve(g)) return NULL;
    char *made = s ? arena_alloc(&g->mem, n + s + TEXT_NUMBER + 2) : NULL;
    if (!made) {
        *place = graph_name_place(g, name, n);
        return s ? NULL : name;
    }
    memcpy(made, name, n);
    memcpy(made + n, suffix, s + 1);
    *place = graph_name_place(g, made, whole);
    df_node *first = place->node;
    while (place->node) {
        made[n + s] = '_';
        whole = n + s + 1 + text_number(made + n + s + 1, ++first->last_number);
        *place = graph_name_place(g, made, whole);
    }
    return made;
}

/* A node of a partition, named after the user's, or by the next name that is free. */
static df_node *emit(compile_state *c, uint32_t device, const op_def *op, const df_node *after,
                     const char *suffix, uint32_t n_inputs, const df_attr *attrs,
                     const edge_type *types, int32_t item_index) {
    df_graph *g = graph_of(c, device);
    name_place place;
    const char *name = g ? suffixed(g, after->name, suffix, &place) : NULL;
    int n_outputs =
        item_index == PLAN_NONE ? op->n_outputs : item_outputs(c, &c->items[item_index]);
    df_node *n =
        name ? graph_add_raw(g, place, op, name, (int)n_inputs, n_outputs, attrs, types) : NULL;
    if (!n) {
        (void)compile_no_memory(c);
        return NULL;
    }
    c->emitted[c->n_emitted++] =
        (emitted){.node = n, .device = device, .item = item_index, .channel = PLAN_NONE};
    return n;
}

static bool edge_name(const compile_state *c, uint32_t source, const copy *p, char *into,
                      size_t size) {
    const item *it = &c->items[source];
    const char *node = it->node->name, *read = it->kind == ITEM_READ ? "@read" : "";
    int index = it->kind == ITEM_FEED ? c->rq->feeds.items[it->index].index : p->slot;
    int n = p->slot == CONTROL_ONLY ? snprintf(into, size, "^%s", node)
                                    : snprintf(into, size, "%s%s:%d%s", node, read, index,
                                               p->memory == DF_MEMORY_HOST ? "@host" : "");
    return n > 0 && (size_t)n < size;
}

static bool make_channel(cutting *k, uint32_t source, const copy *p, const char *edge) {
    compile_state *c = k->c;
    const item *it = &c->items[source];
    uint32_t src = (uint32_t)it->device;
    plan_channel *ch = &c->channels[c->n_channels];
    ch->src_device = (uint8_t)src;
    ch->dst_device = (uint8_t)p->device;
    ch->dst_memory = (uint8_t)p->memory;
    ch->control = p->slot == CONTROL_ONLY;
    ch->producer = k->node_of[source]->name;
    static const edge_type nothing = {.dtype = DF_BOOL, .rank = 1}; /* bool[0] */
    ch->type = ch->control ? &nothing : &c->types[source][p->slot];
    if (!ch->control) ch->src_memory = (uint8_t)memory_made(c, it, (uint32_t)p->slot);
    key_parts parts = {.src = c->rq->devices[src].full_name,
                       .incarnation = c->rq->devices[src].incarnation,
                       .dst = c->rq->devices[p->device].full_name,
                       .edge = edge,
                       .frame = "0"};
    if (key_new(c->rq->alloc, &parts, c->rq->plan_id, (int64_t)c->n_channels, &ch->key, c->err) !=
        DF_OK)
        return false;
    c->n_channels++;
    return true;
}

static void set_dtype(df_attr *a, df_dtype dtype) {
    a->type = DF_ATTR_DTYPE;
    a->i = dtype;
}

/* The dims lie in the node. */
static void set_shape(df_attr *a, const df_node *n) {
    a->type = DF_ATTR_SHAPE;
    a->shape = edge_shape(&n->outputs[0]);
}

/* The attrs of Recv, without the shape; Send has the first of them. They lie in the Recv's graph,
 * which is released when the Send's is. */
static df_attr *pair_attrs(compile_state *c, const plan_channel *ch) {
    df_graph *g = graph_of(c, ch->dst_device);
    df_attr *a = g ? arena_array(&g->mem, 3, sizeof *a) : NULL;
    size_t length = df_key_text(ch->key, NULL, 0);
    char *whole = a ? arena_alloc(&g->mem, length + 1) : NULL;
    if (!whole) return NULL;
    (void)df_key_text(ch->key, whole, length + 1);
    a[0].type = DF_ATTR_STRING;
    a[0].s = whole;
    set_dtype(&a[1], ch->type->dtype);
    return a;
}

static bool emit_pair(cutting *k, uint32_t source, copy *p) {
    compile_state *c = k->c;
    const df_node *of = c->items[source].node;
    char edge[1200];
    if (!edge_name(c, source, p, edge, sizeof edge))
        return compile_fail(c, DF_INVALID_ARGUMENT, "node %s: the name is too long for a key",
                            of->name);
    if (!make_channel(k, source, p, edge)) return false;
    plan_channel *ch = &c->channels[c->n_channels - 1];
    df_attr *attrs = pair_attrs(c, ch);
    if (!attrs) return compile_no_memory(c);
    df_node *send =
        emit(c, ch->src_device, k->send, of, "@send", !ch->control, attrs, NULL, PLAN_NONE);
    if (!send) return false;
    c->emitted[c->n_emitted - 1].channel = (int32_t)c->n_channels - 1;
    if (!ch->control)
        send->inputs[0] = (node_out){k->node_of[source]->id, p->slot};
    else if (!graph_add_control(graph_of(c, ch->src_device), k->node_of[source], send))
        return compile_no_memory(c);
    p->node = emit(c, ch->dst_device, k->recv, of, "@recv", 0, attrs, ch->type, PLAN_NONE);
    if (!p->node) return false;
    set_shape(&attrs[2], p->node);
    c->emitted[c->n_emitted - 1].channel = (int32_t)c->n_channels - 1;
    return true;
}

static bool emit_constant(cutting *k, uint32_t source, copy *p) {
    compile_state *c = k->c;
    const df_node *n = c->items[source].node;
    p->node = emit(c, p->device, n->op, n, p->memory == DF_MEMORY_HOST ? "@host" : "", 0, n->attrs,
                   n->outputs, (int32_t)source);
    if (p->node) c->emitted[c->n_emitted - 1].memory = p->memory;
    return p->node != NULL;
}

/* What stands for an edge's source on the consumer's device. */
static bool local_source(cutting *k, item_out from, const item *to, uint32_t kind, node_out *out) {
    if (!is_cut(k, from, to, kind)) {
        *out = (node_out){k->node_of[from.item]->id, from.index};
        return true;
    }
    copy *p = find_copy(k, from.item, from.index, (uint32_t)to->device, kind);
    if (!p->node && !emit_constant(k, (uint32_t)from.item, p)) return false;
    *out = (node_out){p->node->id, 0};
    return true;
}

static bool link_control(cutting *k, uint32_t before, df_node *after, uint32_t device) {
    compile_state *c = k->c;
    if (c->is_small[before]) return true;
    df_node *b = k->node_of[before];
    if ((uint32_t)c->items[before].device != device)
        b = find_ride(k, (int32_t)before, device)->node;
    return graph_add_control(c->graphs[device], b, after) || compile_no_memory(c);
}

/* The attrs of an item's node, in its op's order; a feed's without its shape. NULL: out of
 * memory. */
static const df_attr *item_attrs(compile_state *c, uint32_t i, df_graph *g) {
    const item *it = &c->items[i];
    if (it->kind == ITEM_NODE) return it->node->attrs;
    df_attr *a = arena_array(&g->mem, 3, sizeof *a);
    if (!a || it->kind == ITEM_READ) return a;
    a[0].type = DF_ATTR_INT;
    a[0].i = it->index;
    if (it->kind == ITEM_FEED) set_dtype(&a[1], c->types[i]->dtype);
    return a;
}

static const char suffixes[][8] = {
    [ITEM_NODE] = "", [ITEM_FEED] = "@feed", [ITEM_FETCH] = "@fetch", [ITEM_READ] = "@read"};

/* The inputs are found first: constants that they need are emitted before the node. */
static bool emit_item(cutting *k, uint32_t i) {
    compile_state *c = k->c;
    const item *it = &c->items[i];
    uint32_t device = (uint32_t)it->device;
    node_out *sources = arena_array(&c->mem, it->n_inputs, sizeof *sources);
    df_graph *g = graph_of(c, device);
    const df_attr *attrs = g ? item_attrs(c, i, g) : NULL;
    if (!sources || !g || (!attrs && item_op(c, it)->n_attrs)) return compile_no_memory(c);
    for (uint32_t n = 0; n < it->n_inputs; n++) {
        item_out from = c->inputs[it->first_input + n];
        if (names(it, n))
            sources[n] = (node_out){k->node_of[from.item]->id, from.index};
        else if (!local_source(k, from, it, memory_wanted(c, it, n), &sources[n]))
            return false;
    }
    df_node *node = emit(c, device, item_op(c, it), it->node, suffixes[it->kind], it->n_inputs,
                         attrs, c->types[i], (int32_t)i);
    if (!node) return false;
    if (it->kind == ITEM_FEED) set_shape(&node->attrs[2], node);
    k->node_of[i] = node;
    if (it->n_inputs) memcpy(node->inputs, sources, it->n_inputs * sizeof *sources);
    for (uint32_t n = 0; n < it->n_controls; n++)
        if (!link_control(k, c->controls[it->first_control + n], node, device)) return false;
    for (uint32_t e = k->first_ordered[i]; e; e = k->next_ordered[e - 1])
        if (!link_control(k, c->ordered[e - 1].before, node, device)) return false;
    return true;
}

static bool emit_all(cutting *k) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        /* a small constant comes where it is used; if nowhere, where it was placed */
        if (c->is_small[i] && k->first_copy[i] != PLAN_NONE) continue;
        if (!emit_item(k, i)) return false;
        for (int32_t p = k->first_copy[i]; p != PLAN_NONE; p = k->copies[p].next)
            if (!emit_pair(k, i, &k->copies[p])) return false;
    }
    return true;
}

/* ---- the pass ------------------------------------------------------------ */

static bool cutting_init(cutting *k, compile_state *c) {
    const op_registry *ops = c->rq->graph->ops;
    *k = (cutting){.c = c, .send = op_find(ops, "Send"), .recv = op_find(ops, "Recv")};
    k->first_copy = arena_array(&c->mem, c->n_items, sizeof *k->first_copy);
    k->node_of = arena_array(&c->mem, c->n_items, sizeof *k->node_of);
    c->is_small = arena_array(&c->mem, c->n_items, sizeof *c->is_small);
    k->first_ordered = arena_array(&c->mem, c->n_items, sizeof *k->first_ordered);
    k->next_ordered = arena_array(&c->mem, c->n_ordered, sizeof *k->next_ordered);
    uint32_t *group_size = arena_array(&c->mem, c->n_groups, sizeof *group_size);
    if (!k->first_copy || !k->node_of || !c->is_small || !k->first_ordered || !k->next_ordered ||
        !group_size)
        return compile_no_memory(c);
    memset(k->first_copy, 0xff, c->n_items * sizeof *k->first_copy);
    for (uint32_t i = 0; i < c->n_items; i++) group_size[c->items[i].group]++;
    for (uint32_t e = c->n_ordered; e; e--) {
        k->next_ordered[e - 1] = k->first_ordered[c->ordered[e - 1].after];
        k->first_ordered[c->ordered[e - 1].after] = e;
    }
    find_small(k, group_size);
    return true;
}

static bool cut(cutting *k) {
    compile_state *c = k->c;
    if (!want_data(k) || !want_controls(k)) return false;
    c->emitted = arena_array(&c->mem, c->n_items + 2 * k->n_copies, sizeof *c->emitted);
    c->channels = arena_array(&c->mem, k->n_copies, sizeof *c->channels);
    if (!c->emitted || !c->channels) return compile_no_memory(c);
    return emit_all(k);
}

bool compile_partition(compile_state *c) {
    cutting k;
    bool ok = cutting_init(&k, c) && cut(&k);
    alloc_free(c->rq->alloc, k.copies, k.cap_copies * sizeof *k.copies);
    return ok;
}
