/* SPDX-License-Identifier: MIT
 *
 * partition - what each device runs, with Send, Recv and a key where an edge was cut.
 *
 * Requires  devices and kernels of the items, ordered.
 * Leaves    emitted, first_before, before, is_small; channels and inputs of the plan.
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
 *    the user's can have an '@' in its name. So the user's nodes keep theirs. Several of one
 *    kind on one device are numbered.
 * 5. Nodes are emitted in canonical order, over all partitions at once; behind a node
 *    come its Sends, each followed by its Recv. So in this one order everything stands
 *    after what it depends on.
 * 6. A Send or Recv that is in the graph already is half of a pair whose other half is in another
 *    process. It has a channel of its own.
 * 7. A partition is a graph only when somebody looks at it (graphs.c). Here it is numbers: what
 *    comes before a node is found by its place in the order, what it reads by its slot.
 */
#include "compile/state.h"

#include "base/text.h"

#include <string.h>

enum { CONTROL_ONLY = -1 };

/* Where something was emitted: its place, and the slot of its first output. */
typedef struct spot {
    int32_t place; /* NONE: not yet */
    int32_t slot;
} spot;

/* One pair, or the copy of a constant: what stands for an output on a device. */
typedef struct copy {
    uint32_t source; /* item */
    int32_t slot;    /* of the item; CONTROL_ONLY */
    int32_t next;    /* of the same node's */
    spot at;         /* of the Recv, or the constant */
    uint8_t device;  /* where it is wanted */
    uint8_t memory;
} copy;

/* How many feeds and fetches of a node there are so far. */
typedef struct named_after {
    uint32_t feeds, fetches;
} named_after;

typedef struct cutting {
    compile_state *c;
    uint8_t *device_of;  /* by item */
    spot *at;            /* by item, once emitted */
    uint32_t *list_of;   /* by item: the user's node id */
    int32_t *first_copy; /* by that: a list of what is wanted of all items of the node */
    copy *copies;
    size_t n_copies, cap_copies;
    int32_t *copy_of; /* by input of the items: the copy that it reads; NONE: the source itself */
    uint32_t *first_ordered, *next_ordered; /* edges of order, by the item after; index + 1 */
    named_after *named;                     /* by the user's node id; NULL: no need to count */
    uint32_t n_before;
    df_key *keys;      /* by channel */
    uint64_t *devices; /* what a pair of devices gives to the hash of a key; 0: not yet found */
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

static int32_t *copies_of(const cutting *k, uint32_t source) {
    return &k->first_copy[k->list_of[source]];
}

static copy *find_copy(const cutting *k, uint32_t source, int32_t slot, uint32_t device,
                       uint32_t kind) {
    for (int32_t i = *copies_of(k, source); i != PLAN_NONE; i = k->copies[i].next) {
        copy *p = &k->copies[i];
        if (p->device == device && p->source == source && p->slot == slot && p->memory == kind)
            return p;
    }
    return NULL;
}

/* Its index; NONE: out of memory. */
static int32_t want_copy(cutting *k, uint32_t source, int32_t slot, uint32_t device,
                         uint32_t kind) {
    const copy *there = find_copy(k, source, slot, device, kind);
    if (there) return (int32_t)(there - k->copies);
    if (!alloc_grow(k->c->rq->alloc, (void **)&k->copies, &k->cap_copies, k->n_copies + 1,
                    sizeof(copy)))
        return PLAN_NONE;
    /* appended at the end of the node's list, so that channels have a stable order */
    int32_t *link = copies_of(k, source);
    while (*link != PLAN_NONE) link = &k->copies[*link].next;
    *link = (int32_t)k->n_copies;
    k->copies[k->n_copies] = (copy){.source = source,
                                    .slot = slot,
                                    .next = PLAN_NONE,
                                    .at = {PLAN_NONE, PLAN_NONE},
                                    .device = (uint8_t)device,
                                    .memory = (uint8_t)kind};
    return (int32_t)k->n_copies++;
}

/* What of `source` reaches this device anyway; NULL: nothing. */
static copy *find_ride(const cutting *k, uint32_t source, uint32_t device) {
    for (int32_t i = *copies_of(k, source); i != PLAN_NONE; i = k->copies[i].next)
        if (k->copies[i].source == source && k->copies[i].device == device) return &k->copies[i];
    return NULL;
}

/* Host memory that a queue's kernel writes is ready only when the queue has come so far: also
 * on the same device its reader needs a Recv, which waits for that. */
static bool is_written_late(const compile_state *c, const item *source, uint32_t output) {
    return memory_made(c, source, output) == DF_MEMORY_HOST &&
           !(source->kernel->flags & KERNEL_INLINE);
}

static bool is_cut(const cutting *k, item_out from, const item *to, uint32_t kind) {
    const compile_state *c = k->c;
    uint32_t device = k->device_of[from.item], output = (uint32_t)from.index;
    if (device != (uint32_t)to->device || c->is_small[from.item]) return true;
    if (!c->rq->devices[device].has_queue) return false; /* all its memory is one */
    const item *source = &c->items[from.item];
    return memory_made(c, source, output) != kind || is_written_late(c, source, output);
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
            int32_t *of = &k->copy_of[it->first_input + n];
            *of = PLAN_NONE;
            if (names(it, n) || !is_cut(k, from, it, kind)) continue;
            *of = want_copy(k, (uint32_t)from.item, from.index, (uint32_t)it->device, kind);
            if (*of == PLAN_NONE) return compile_no_memory(c);
        }
    }
    return true;
}

static bool want_control(cutting *k, uint32_t before, uint32_t after) {
    compile_state *c = k->c;
    uint32_t device = k->device_of[after];
    if (c->is_small[before] || k->device_of[before] == device) return true;
    if (find_ride(k, before, device)) return true;
    return compile_got(c,
                       want_copy(k, before, CONTROL_ONLY, device, DF_MEMORY_DEVICE) != PLAN_NONE);
}

static bool want_controls(cutting *k) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        for (uint32_t n = 0; n < it->n_controls; n++)
            if (!want_control(k, c->controls[it->first_control + n], i)) return false;
    }
    return true; /* those of order are between accesses of a variable, which are on one device */
}

static void find_small(cutting *k, const uint32_t *group_size) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        if (it->kind == ITEM_FEED) c->is_small[i] = c->homes != NULL;
        if (it->kind != ITEM_NODE || !(it->node->op->flags & OP_CONST)) continue;
        c->is_small[i] = !it->node->on && group_size[it->group] == 1 && !it->n_controls &&
                         df_tensor_bytes(it->node->attrs[0].tensor) <= CONST_COPY_MAX;
    }
}

/* ---- emitting ------------------------------------------------------------ */

/* What comes before it is added next. */
static spot emit(cutting *k, uint32_t of, emitted_kind what, uint32_t device, int n_outputs) {
    compile_state *c = k->c;
    uint32_t place = c->n_emitted++;
    spot at = {(int32_t)place, (int32_t)c->plan->n_slots};
    c->emitted[place] = (emitted){.item = of,
                                  .channel = PLAN_NONE,
                                  .first_slot = c->plan->n_slots,
                                  .device = (uint8_t)device,
                                  .what = (uint8_t)what};
    c->first_before[place] = k->n_before;
    c->plan->n_slots += (uint32_t)n_outputs;
    c->used |= UINT64_C(1) << device;
    return at;
}

static void add_before(cutting *k, spot at) {
    k->c->before[k->n_before++] = (uint32_t)at.place;
}

static void add_input(cutting *k, spot at, int32_t slot) {
    plan *p = k->c->plan;
    add_before(k, at);
    p->inputs[p->n_inputs++] = slot;
}

/* "y:0", "y:0@host", "x@read:0", "^y"; in the plan. NULL: out of memory. */
static const char *edge_name(const compile_state *c, const copy *p) {
    const item *it = &c->items[p->source];
    int index = it->kind == ITEM_FEED ? c->rq->feeds.items[it->index].index : p->slot;
    const char *node = it->node->name;
    char *whole = arena_alloc(&c->plan->mem, strlen(node) + sizeof "@read:1234567890@host");
    if (!whole) return NULL;
    if (p->slot == CONTROL_ONLY) {
        (void)stpcpy(stpcpy(whole, "^"), node);
        return whole;
    }
    char *at = stpcpy(stpcpy(whole, node), it->kind == ITEM_READ ? "@read:" : ":");
    at += text_number(at, (uint64_t)index);
    if (p->memory == DF_MEMORY_HOST) (void)stpcpy(at, "@host");
    return whole;
}

static const df_key *make_key(cutting *k, const copy *p, uint32_t channel) {
    const compile_request *rq = k->c->rq;
    uint32_t src = k->device_of[p->source];
    const plan_device *from = &rq->devices[src], *to = &rq->devices[p->device];
    key_parts parts = {.src = from->full_name,
                       .incarnation = from->incarnation,
                       .dst = to->full_name,
                       .edge = edge_name(k->c, p),
                       .frame = "0"};
    if (!parts.edge) return NULL;
    uint64_t *devices = &k->devices[src * rq->n_devices + p->device];
    if (!*devices) *devices = key_hash_devices(parts.src, parts.dst);
    k->keys[channel] = key_of_plan(&parts, *devices, rq->plan_id, channel);
    return &k->keys[channel];
}

static const edge_type no_value = {.dtype = DF_BOOL, .rank = 1}; /* bool[0] */

static bool is_no_value(const edge_type *t) {
    return t->dtype == no_value.dtype && shape_equal(edge_shape(t), edge_shape(&no_value));
}

static bool make_channel(cutting *k, const copy *p) {
    compile_state *c = k->c;
    const item *it = &c->items[p->source];
    bool control = p->slot == CONTROL_ONLY;
    plan_channel *ch = &c->plan->channels[c->plan->n_channels];
    *ch = (plan_channel){.key = make_key(k, p, c->plan->n_channels),
                         .type = control ? &no_value : &c->types[p->source][p->slot],
                         .src_device = k->device_of[p->source],
                         .dst_device = p->device,
                         .dst_memory = p->memory,
                         .control = control};
    if (!control) ch->src_memory = (uint8_t)memory_made(c, it, (uint32_t)p->slot);
    c->plan->n_channels++;
    return compile_got(c, ch->key);
}

/* ---- halves of pairs ------------------------------------------------------- */

/* Of the text, which the plan keeps. */
static const df_key *far_key(cutting *k, const char *words, uint32_t channel) {
    compile_state *c = k->c;
    arena *a = &c->plan->mem;
    df_key *key = NULL;
    if (df_key_parse(c->rq->alloc, words, &key, c->err) != DF_OK) return NULL;
    key_parts parts = key->parts;
    parts.src = arena_text(a, parts.src, strlen(parts.src));
    parts.dst = arena_text(a, parts.dst, strlen(parts.dst));
    parts.edge = arena_text(a, parts.edge, strlen(parts.edge));
    parts.frame = arena_text(a, parts.frame, strlen(parts.frame));
    df_key_free(key);
    if (!compile_had_memory(c)) return NULL;
    k->keys[channel] =
        key_of_plan(&parts, key_hash_devices(parts.src, parts.dst), c->rq->plan_id, channel);
    return &k->keys[channel];
}

/* What carries no value is told by the name of its edge, "^y". */
static bool make_half(cutting *k, const item *it) {
    compile_state *c = k->c;
    bool sends = it->node->op->flags & OP_SEND;
    uint32_t channel = c->plan->n_channels;
    const df_key *key = far_key(k, it->node->attrs[0].s, channel);
    if (!key) return false;
    plan_channel *ch = &c->plan->channels[channel];
    item_out from = sends && it->n_inputs ? c->inputs[it->first_input] : (item_out){0, 0};
    const edge_type *type = sends ? &c->types[from.item][from.index] : it->node->outputs;
    bool control = df_key_edge(key)[0] == '^';
    if (sends ? control != !it->n_inputs : control && !is_no_value(type))
        return compile_fail(c, DF_INVALID_ARGUMENT, "node %s: its key and its %s contradict",
                            it->node->name, sends ? "inputs" : "type");
    *ch = (plan_channel){.key = key,
                         .type = control ? &no_value : type,
                         .far = sends ? PLAN_FAR_TARGET : PLAN_FAR_SOURCE,
                         .src_device = (uint8_t)it->device,
                         .dst_device = (uint8_t)it->device,
                         .control = control,
                         .producer = it->node->name};
    c->plan->n_channels++;
    return true;
}

/* How many Sends of the copy's node are on its device already, and Recvs on the other. */
static void number_pair(const cutting *k, const copy *pair, uint32_t *sends, uint32_t *recvs) {
    for (int32_t i = *copies_of(k, pair->source); i != PLAN_NONE; i = k->copies[i].next) {
        const copy *p = &k->copies[i];
        if (p->at.place == PLAN_NONE || k->c->is_small[p->source]) continue;
        *sends += k->device_of[p->source] == k->device_of[pair->source];
        *recvs += p->device == pair->device;
    }
}

static bool emit_pair(cutting *k, copy *p) {
    compile_state *c = k->c;
    uint32_t sends = 0, recvs = 0;
    int32_t channel = (int32_t)c->plan->n_channels;
    spot of = k->at[p->source];
    if (!make_channel(k, p)) return false;
    number_pair(k, p, &sends, &recvs);
    spot send = emit(k, p->source, EMITTED_SEND, k->device_of[p->source], 0);
    if (p->slot == CONTROL_ONLY)
        add_before(k, of);
    else
        add_input(k, of, of.slot + p->slot);
    p->at = emit(k, p->source, EMITTED_RECV, p->device, 1);
    add_before(k, send);
    emitted *pair = &c->emitted[send.place];
    pair[0].channel = pair[1].channel = channel;
    pair[0].number = sends;
    pair[1].number = recvs;
    return true;
}

/* The copies of small constants that an item needs. */
static void emit_constants(cutting *k, const item *it) {
    compile_state *c = k->c;
    for (uint32_t n = it->first_input; n < it->first_input + it->n_inputs; n++) {
        copy *p = k->copy_of[n] == PLAN_NONE ? NULL : &k->copies[k->copy_of[n]];
        if (!p || p->at.place != PLAN_NONE) continue;
        p->at = emit(k, p->source, EMITTED_ITEM, p->device, 1);
        c->emitted[p->at.place].memory = p->memory;
    }
}

/* What stands for an edge's source on the consumer's device. */
static void link_input(cutting *k, const item *it, uint32_t input) {
    uint32_t n = it->first_input + input;
    item_out from = k->c->inputs[n];
    spot at = k->at[from.item];
    if (names(it, input)) {
        add_input(k, at, PLAN_NONE);
    } else if (k->copy_of[n] == PLAN_NONE) {
        add_input(k, at, at.slot + from.index);
    } else {
        at = k->copies[k->copy_of[n]].at;
        add_input(k, at, at.slot);
    }
}

static void link_control(cutting *k, uint32_t before, uint32_t device) {
    if (k->c->is_small[before]) return;
    bool here = k->device_of[before] == device;
    add_before(k, here ? k->at[before] : find_ride(k, before, device)->at);
}

static emitted_kind half_of(const item *it) {
    uint32_t flags = it->kind == ITEM_NODE ? it->node->op->flags : 0;
    return flags & OP_SEND ? EMITTED_SEND : flags & OP_RECV ? EMITTED_RECV : EMITTED_ITEM;
}

/* Its number among those that are named after the same node. */
static uint32_t number_item(const cutting *k, const item *it) {
    if (!k->named || (it->kind != ITEM_FEED && it->kind != ITEM_FETCH)) return 0;
    named_after *n = &k->named[it->node->id];
    return it->kind == ITEM_FEED ? n->feeds++ : n->fetches++;
}

static bool emit_item(cutting *k, uint32_t i) {
    compile_state *c = k->c;
    const item *it = &c->items[i];
    uint32_t device = k->device_of[i];
    emitted_kind what = half_of(it);
    int32_t channel = what == EMITTED_ITEM ? PLAN_NONE : (int32_t)c->plan->n_channels;
    emit_constants(k, it);
    if (channel != PLAN_NONE && !make_half(k, it)) return false;
    k->at[i] = emit(k, i, what, device, item_outputs(c, it));
    c->emitted[k->at[i].place].channel = channel;
    c->emitted[k->at[i].place].number = number_item(k, it);
    for (uint32_t n = 0; n < it->n_inputs; n++) link_input(k, it, n);
    for (uint32_t n = 0; n < it->n_controls; n++)
        link_control(k, c->controls[it->first_control + n], device);
    for (uint32_t e = c->n_ordered ? k->first_ordered[i] : 0; e; e = k->next_ordered[e - 1])
        link_control(k, c->ordered[e - 1].before, device);
    return true;
}

static bool emit_all(cutting *k) {
    compile_state *c = k->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        int32_t p = c->items[i].kind == ITEM_FETCH ? PLAN_NONE : *copies_of(k, i);
        while (p != PLAN_NONE && k->copies[p].source != i) p = k->copies[p].next;
        /* a small constant comes where it is used; if nowhere, where it was placed */
        if (c->is_small[i] && p != PLAN_NONE) continue;
        if (!emit_item(k, i)) return false;
        for (; p != PLAN_NONE; p = k->copies[p].next)
            if (k->copies[p].source == i && !emit_pair(k, &k->copies[p])) return false;
    }
    c->first_before[c->n_emitted] = k->n_before;
    return true;
}

/* ---- names --------------------------------------------------------------- */

static const char *suffix_of(const compile_state *c, const emitted *e) {
    static const char suffixes[][8] = {
        [ITEM_NODE] = "", [ITEM_FEED] = "@feed", [ITEM_FETCH] = "@fetch", [ITEM_READ] = "@read"};
    if (e->what != EMITTED_ITEM && c->plan->channels[e->channel].far) return ""; /* it has a name */
    if (e->what == EMITTED_SEND) return "@send";
    if (e->what == EMITTED_RECV) return "@recv";
    return e->memory == DF_MEMORY_HOST ? "@host" : suffixes[c->items[e->item].kind];
}

const char *emitted_name(const compile_state *c, const emitted *e, arena *a) {
    const char *name = c->items[e->item].node->name, *suffix = suffix_of(c, e);
    if (!*suffix) return name;
    size_t number = e->number ? sizeof "_1234567890" : 1;
    char *whole = arena_alloc(a, strlen(name) + strlen(suffix) + number);
    if (!whole) return NULL;
    char *at = stpcpy(stpcpy(whole, name), suffix);
    if (e->number) (void)text_number(stpcpy(at, "_"), e->number);
    return whole;
}

/* ---- the pass ------------------------------------------------------------ */

static bool list_ordered(cutting *k) {
    compile_state *c = k->c;
    if (!c->n_ordered) return true;
    k->first_ordered = arena_array(&c->pass, c->n_items, sizeof *k->first_ordered);
    k->next_ordered = arena_array(&c->pass, c->n_ordered, sizeof *k->next_ordered);
    if (!compile_had_memory(c)) return false;
    for (uint32_t e = c->n_ordered; e; e--) {
        k->next_ordered[e - 1] = k->first_ordered[c->ordered[e - 1].after];
        k->first_ordered[c->ordered[e - 1].after] = e;
    }
    return true;
}

static bool cutting_init(cutting *k) {
    compile_state *c = k->c;
    const compile_request *rq = c->rq;
    size_t n = c->n_items, n_nodes = rq->graph->n_nodes;
    k->device_of = arena_array(&c->pass, n, sizeof *k->device_of);
    k->at = arena_array(&c->pass, n, sizeof *k->at);
    k->list_of = arena_array(&c->pass, n, sizeof *k->list_of);
    k->first_copy = arena_array(&c->pass, n_nodes, sizeof *k->first_copy);
    k->devices = arena_array(&c->pass, (size_t)rq->n_devices * rq->n_devices, sizeof *k->devices);
    c->is_small = arena_array(&c->early, n, sizeof *c->is_small);
    k->copy_of = arena_array(&c->pass, c->n_inputs, sizeof *k->copy_of);
    uint32_t *group_size = arena_array(&c->pass, c->n_groups, sizeof *group_size);
    if (rq->feeds.n > 1 || rq->fetches.n > 1)
        k->named = arena_array(&c->pass, n_nodes, sizeof *k->named);
    if (!compile_had_memory(c) || !list_ordered(k)) return false;
    memset(k->first_copy, 0xff, n_nodes * sizeof *k->first_copy);
    for (uint32_t i = 0; i < n; i++) {
        k->device_of[i] = (uint8_t)c->items[i].device;
        k->list_of[i] = c->items[i].node->id;
        group_size[c->items[i].group]++;
    }
    find_small(k, group_size);
    return true;
}

/* The most that there can be. */
static bool make_room(cutting *k) {
    compile_state *c = k->c;
    plan *p = c->plan;
    size_t n_inputs = c->n_inputs + k->n_copies, n_controls = c->n_controls + c->n_ordered;
    size_t n_emitted = c->n_items + 2 * k->n_copies;
    size_t n_before = n_inputs + n_controls + k->n_copies, n_channels = k->n_copies;
    for (uint32_t i = 0; i < c->n_items; i++) n_channels += half_of(&c->items[i]) != EMITTED_ITEM;
    if (n_before >= INT32_MAX || n_emitted >= INT32_MAX)
        return compile_fail(c, DF_RESOURCE_EXHAUSTED, "the graph is too large: 2^31 edges");
    c->emitted = arena_array(&c->mem, n_emitted, sizeof *c->emitted);
    c->first_before = arena_array(&c->mem, n_emitted + 1, sizeof *c->first_before);
    c->before = arena_array(&c->mem, n_before, sizeof *c->before);
    p->inputs = arena_array(&p->mem, n_inputs, sizeof *p->inputs);
    p->channels = arena_array(&p->mem, n_channels, sizeof *p->channels);
    k->keys = arena_array(&p->mem, n_channels, sizeof *k->keys);
    return compile_had_memory(c);
}

bool compile_partition(compile_state *c) {
    cutting k = {.c = c};
    bool ok =
        cutting_init(&k) && want_data(&k) && want_controls(&k) && make_room(&k) && emit_all(&k);
    alloc_free(c->rq->alloc, k.copies, k.cap_copies * sizeof *k.copies);
    return ok;
}
