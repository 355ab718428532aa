/* SPDX-License-Identifier: MIT
 *
 * place - a device for every item.
 *
 * Requires  items, types.
 * Leaves    group, device and kernel of each item; where, unpinned, groups.
 *
 * 1. Items that must share a device form a group: colocated nodes, and a variable with
 *    everything that names it.
 * 2. A group may run where every member may: where its pin points, and where its op
 *    has a kernel for its dtype. A set of devices is one word of bits.
 * 3. Feeds and fetches are where the caller has them, the client's device if he does not say; a
 *    variable that the session has placed stays where it is.
 * 4. What is left open is the placer's choice. A pin is obeyed or refused: only soft
 *    placement, which must be asked for, may drop one. Even that keeps (1), and never goes
 *    where a member has no kernel or its variable is not.
 */
#include "compile/place.h"

#include <string.h>

/* Which kernel an op has on a kind of device: what was found lately. Where it stands tells the
 * dtype, too. */
typedef struct known_kernel {
    const op_def *op;
    const char *kind;
    const kernel_def *kernel;
} known_kernel;
enum { KNOWN_KERNELS = 64 };

typedef struct placing {
    compile_state *c;
    known_kernel known[KNOWN_KERNELS];
    const graph_place *pin; /* the last that was looked at, and what it matches */
    uint64_t pinned;
    uint32_t *parent;  /* union-find, by node id */
    int32_t *group_of; /* by the id of a group's root: the group, + 1; 0: none is needed */
} placing;

/* ---- groups -------------------------------------------------------------- */

static uint32_t find(placing *p, uint32_t node) {
    while (p->parent[node] != node) node = p->parent[node] = p->parent[p->parent[node]];
    return node;
}

static void join(placing *p, uint32_t a, uint32_t b) {
    p->parent[find(p, a)] = find(p, b);
}

/* Groups are of the user's nodes, needed or not: two that are colocated with a third one
 * stay together though nobody needs the third. */
static void make_groups(placing *p) {
    compile_state *c = p->c;
    const df_graph *g = c->rq->graph;
    for (uint32_t id = 0; id < g->n_nodes; id++) p->parent[id] = id;
    for (uint32_t id = 0; id < g->n_nodes; id++)
        if (g->nodes[id]->with) join(p, id, g->nodes[id]->with - 1);
    for (uint32_t i = 0; i < c->n_items; i++) {
        const df_node *var = item_variable(&c->items[i]);
        if (var && var != c->items[i].node) join(p, c->items[i].node->id, var->id);
    }
    for (uint32_t i = 0; i < c->n_items; i++) {
        item *it = &c->items[i];
        if (it->kind == ITEM_FEED || it->kind == ITEM_FETCH) {
            it->group = (int32_t)c->n_groups++; /* the caller's, not the node's */
            continue;
        }
        int32_t *group = &p->group_of[find(p, it->node->id)];
        if (*group == 0) *group = (int32_t)++c->n_groups;
        it->group = *group - 1;
    }
}

/* ---- where an item may run ----------------------------------------------- */

static uint64_t all_devices(const compile_state *c) {
    return c->rq->n_devices >= 64 ? UINT64_MAX : (UINT64_C(1) << c->rq->n_devices) - 1;
}

df_dtype place_dtype(const compile_state *c, uint32_t i) {
    const item *it = &c->items[i];
    if (it->n_inputs) {
        item_out from = c->inputs[it->first_input];
        return c->types[from.item][from.index].dtype;
    }
    return item_outputs(c, it) ? c->types[i][0].dtype : DF_DTYPE_NONE;
}

static const kernel_def *kernel_at(placing *p, uint32_t i, uint32_t device) {
    const compile_state *c = p->c;
    const op_def *op = item_op(c, &c->items[i]);
    const char *kind = c->rq->devices[device].kind;
    df_dtype dtype = place_dtype(c, i);
    known_kernel *k = &p->known[((uintptr_t)op / 64 + dtype) % KNOWN_KERNELS];
    if (k->op != op || strcmp(k->kind, kind) != 0)
        *k = (known_kernel){op, kind, kernel_find(op, kind, dtype)};
    return k->kernel;
}

static bool needs_kernel(const compile_state *c, const item *it) {
    return !(item_op(c, it)->flags & (OP_FEED | OP_FETCH | OP_NO_KERNEL | OP_MUST_FEED | OP_FAR));
}

/* Strings lie in host memory only: an accelerator can have them where its kernel says so. */
static bool strings_fit(const compile_state *c, uint32_t i, const kernel_def *k, uint32_t device) {
    const item *it = &c->items[i];
    if (!c->rq->devices[device].has_queue) return true;
    for (uint32_t n = 0; n < it->n_inputs; n++) {
        item_out from = c->inputs[it->first_input + n];
        if (c->types[from.item][from.index].dtype == DF_STRING && !kernel_host_input(k, n))
            return false;
    }
    for (int o = 0; o < item_outputs(c, it); o++)
        if (c->types[i][o].dtype == DF_STRING && !kernel_host_output(k, (uint32_t)o)) return false;
    return true;
}

/* Tensors go to other processes, and come from them, by host memory. */
static uint64_t devices_of_host(const compile_state *c) {
    uint64_t set = 0;
    for (uint32_t d = 0; d < c->rq->n_devices; d++)
        if (!c->rq->devices[d].has_queue) set |= UINT64_C(1) << d;
    return set;
}

static uint64_t devices_with_kernel(placing *p, uint32_t i) {
    const compile_state *c = p->c;
    if (item_op(c, &c->items[i])->flags & OP_FAR) return devices_of_host(c);
    if (!needs_kernel(c, &c->items[i])) return all_devices(c);
    const plan_device *devices = c->rq->devices;
    const kernel_def *k = NULL;
    uint64_t set = 0;
    for (uint32_t d = 0; d < c->rq->n_devices; d++) {
        if (d == 0 || strcmp(devices[d].kind, devices[d - 1].kind) != 0) k = kernel_at(p, i, d);
        if (k && strings_fit(c, i, k, d)) set |= UINT64_C(1) << d;
    }
    return set;
}

uint64_t place_pin(const compile_state *c, const device_name *pin) {
    uint64_t set = 0;
    for (uint32_t d = 0; d < c->rq->n_devices; d++)
        if (device_name_matches(pin, &c->rq->devices[d].name)) set |= UINT64_C(1) << d;
    return set;
}

void place_list(const compile_state *c, uint64_t set, text *t) {
    const char *comma = "";
    for (uint32_t d = 0; d < c->rq->n_devices; d++) {
        if (!(set >> d & 1)) continue;
        char name[DEVICE_NAME_MAX];
        (void)device_name_print_short(&c->rq->devices[d].name, &c->rq->devices[c->rq->client].name,
                                      name, sizeof name);
        text_add(t, "%s%s", comma, name);
        comma = ", ";
    }
}

static bool refuse(compile_state *c, df_code code, uint32_t i, text *why) {
    char who[ITEM_TEXT_MAX];
    if (why->failed)
        (void)compile_no_memory(c);
    else
        (void)compile_fail(c, code, "%s %s", item_text(&c->items[i], who, sizeof who), why->data);
    text_fini(why);
    return false;
}

static bool refuse_no_kernel(placing *p, uint32_t i, uint64_t pinned) {
    compile_state *c = p->c;
    text why;
    text_init(&why, c->rq->alloc);
    const item *it = &c->items[i];
    text_add(&why, "has no kernel for %s on ", df_dtype_name(place_dtype(c, i)));
    place_list(c, pinned, &why);
    uint64_t elsewhere = devices_with_kernel(p, i);
    if (elsewhere) {
        text_add(&why, "; it has one on ");
        place_list(c, elsewhere, &why);
    } else {
        text_add(&why, "; %s has kernels for other dtypes on: ", item_op(c, it)->name);
        kernel_kinds(item_op(c, it), &why);
    }
    return refuse(c, DF_NOT_FOUND, i, &why);
}

static bool refuse_pin(compile_state *c, uint32_t i, const char *does, const char *pin) {
    text why;
    text_init(&why, c->rq->alloc);
    text_add(&why, "must %s on %s, which is not there; the devices are ", does, pin);
    place_list(c, all_devices(c), &why);
    return refuse(c, DF_INVALID_ARGUMENT, i, &why);
}

/* Where the caller has a feed, or wants a fetch. */
static bool place_end(placing *p, uint32_t i) {
    compile_state *c = p->c;
    const compile_request *rq = c->rq;
    const item *it = &c->items[i];
    const char *const *names = it->kind == ITEM_FEED ? rq->feed_devices : rq->fetch_devices;
    const char *name = names ? names[it->index] : NULL;
    char who[ITEM_TEXT_MAX];
    device_name asked;
    df_error why;
    uint64_t set = UINT64_C(1) << rq->client;
    if (name && device_name_parse(name, &asked, &why) != DF_OK)
        return compile_fail(c, DF_INVALID_ARGUMENT, "%s: %s", item_text(it, who, sizeof who),
                            why.message);
    if (name) set = place_pin(c, &asked);
    if (!set) return refuse_pin(c, i, "lie", name);
    uint32_t device = (uint32_t)__builtin_ctzll(set);
    if (rq->devices[device].has_queue && place_dtype(c, i) == DF_STRING)
        return compile_fail(c, DF_INVALID_ARGUMENT, "%s is of strings, which cannot lie on %s",
                            item_text(it, who, sizeof who), name);
    c->where[i] = c->unpinned[i] = UINT64_C(1) << device;
    return true;
}

/* The set for one item alone; an empty one is an error, here where its cause is known. */
static bool place_item(placing *p, uint32_t i) {
    compile_state *c = p->c;
    const item *it = &c->items[i];
    if (it->kind == ITEM_FEED || it->kind == ITEM_FETCH) return place_end(p, i);
    uint64_t pinned = all_devices(c);
    const df_node *var = item_variable(it);
    c->unpinned[i] = devices_with_kernel(p, i);
    if (var && c->rq->fixed) {
        pinned = UINT64_C(1) << c->rq->fixed[var->id];
        c->unpinned[i] &= pinned;
    } else if (it->kind == ITEM_NODE && it->node->on) {
        if (it->node->on != p->pin) p->pinned = place_pin(c, &it->node->on->device);
        p->pin = it->node->on;
        pinned = p->pinned;
    }
    if (!pinned && !c->rq->soft_placement) return refuse_pin(c, i, "run", it->node->on->text);
    c->where[i] = pinned & c->unpinned[i];
    if (c->where[i]) return true;
    if (!c->unpinned[i] || !c->rq->soft_placement)
        return refuse_no_kernel(p, i, pinned ? pinned : all_devices(c));
    c->where[i] = c->unpinned[i];
    return true;
}

/* ---- where a group may run ----------------------------------------------- */

static bool refuse_group(placing *p, uint32_t i, uint32_t other) {
    compile_state *c = p->c;
    char first[ITEM_TEXT_MAX];
    text why;
    text_init(&why, c->rq->alloc);
    text_add(&why, "must share a device with %s, but may run only on ",
             item_text(&c->items[other], first, sizeof first));
    place_list(c, c->where[i], &why);
    text_add(&why, ", and the other only on ");
    place_list(c, c->groups[c->items[other].group].allowed, &why);
    text_add(&why, "; drop a pin or the colocation");
    return refuse(c, DF_INVALID_ARGUMENT, i, &why);
}

static bool intersect(placing *p) {
    compile_state *c = p->c;
    uint32_t *first = arena_array(&p->c->pass, c->n_groups, sizeof *first);
    uint64_t *unpinned =
        arena_array(&p->c->pass, c->n_groups, sizeof *unpinned); /* of all so far */
    c->groups = arena_array(&c->early, c->n_groups, sizeof *c->groups);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < c->n_items; i++) {
        int32_t g = c->items[i].group;
        if (!c->groups[g].allowed) { /* its first member: sets are never empty */
            c->groups[g] =
                (place_group){.allowed = c->where[i], .device = PLAN_NONE, .absent = PLAN_NONE};
            unpinned[g] = c->unpinned[i];
            first[g] = i;
            continue;
        }
        uint64_t both = c->groups[g].allowed & c->where[i];
        unpinned[g] &= c->unpinned[i];
        if (!both && c->rq->soft_placement) both = unpinned[g];
        if (!both) return refuse_group(p, i, first[g]);
        c->groups[g].allowed = both;
    }
    return true;
}

static bool refuse_absent(placing *p, const df_node *n, int32_t group) {
    compile_state *c = p->c;
    uint32_t member = 0;
    text why;
    while (c->items[member].group != group) member++;
    text_init(&why, c->rq->alloc);
    text_add(&why, "must share a device with node %.150s (%s), but may run only on ", n->name,
             n->op->name);
    place_list(c, c->groups[group].allowed, &why);
    text_add(&why, ", and the other only on %s; drop a pin or the colocation", n->on->text);
    return refuse(c, DF_INVALID_ARGUMENT, member, &why);
}

/* A node that is not needed here still speaks for its group: where the group runs must not
 * depend on which program was asked for. */
static bool hear_absent(placing *p) {
    compile_state *c = p->c;
    const df_graph *g = c->rq->graph;
    for (size_t id = 0; c->item_of && id < g->n_nodes; id++) {
        const df_node *n = g->nodes[id];
        int32_t group = p->group_of[find(p, (uint32_t)id)] - 1;
        if (!n->on || group < 0 || c->item_of[id] != PLAN_NONE) continue;
        uint64_t both = c->groups[group].allowed & place_pin(c, &n->on->device);
        if (both && both != c->groups[group].allowed) c->groups[group].absent = (int32_t)id;
        if (both)
            c->groups[group].allowed = both;
        else if (!c->rq->soft_placement)
            return refuse_absent(p, n, group);
    }
    return true;
}

bool place_first(place_problem *p, df_error *err) {
    (void)err;
    for (uint32_t g = 0; g < p->n_groups; g++)
        p->groups[g].device = __builtin_ctzll(p->groups[g].allowed);
    return true;
}

/* Sets for groups, and the placer's answers. */
static bool choose(placing *p) {
    compile_state *c = p->c;
    if (!intersect(p) || !hear_absent(p)) return false;
    place_problem problem = {.c = c, .groups = c->groups, .n_groups = c->n_groups};
    return place_first(&problem, c->err);
}

static void take_answer(placing *p) {
    compile_state *c = p->c;
    for (uint32_t i = 0; i < c->n_items; i++) {
        int32_t device = c->groups[c->items[i].group].device;
        c->items[i].device = (int8_t)device;
        if (needs_kernel(c, &c->items[i])) c->items[i].kernel = kernel_at(p, i, (uint32_t)device);
    }
}

static bool placing_init(placing *p) {
    compile_state *c = p->c;
    size_t n_nodes = c->rq->graph->n_nodes;
    p->parent = arena_array(&p->c->pass, n_nodes, sizeof *p->parent);
    p->group_of = arena_array(&p->c->pass, n_nodes, sizeof *p->group_of);
    c->where = arena_array(&c->early, c->n_items, sizeof *c->where);
    c->unpinned = arena_array(&c->early, c->n_items, sizeof *c->unpinned);
    return compile_had_memory(c);
}

bool compile_place(compile_state *c) {
    placing p = {.c = c};
    if (!placing_init(&p)) return false;
    make_groups(&p);
    for (uint32_t i = 0; i < c->n_items; i++)
        if (!place_item(&p, i)) return false;
    if (!choose(&p)) return false;
    take_answer(&p);
    return true;
}

/* ---- variables, once per session ----------------------------------------- */

/* Every node of the graph becomes an item, needed or not: where a variable lives must
 * not depend on which program came first. */
static bool whole_graph(compile_state *c) {
    const df_graph *g = c->rq->graph;
    size_t n_inputs = 0;
    for (size_t id = 0; id < g->n_nodes; id++) n_inputs += (size_t)g->nodes[id]->n_inputs;
    c->items = arena_array(&c->mem, g->n_nodes, sizeof *c->items);
    c->inputs = arena_array(&c->early, n_inputs, sizeof *c->inputs);
    c->types = arena_array(&c->mem, g->n_nodes, sizeof *c->types);
    if (!compile_had_memory(c)) return false;
    uint32_t in = 0;
    for (size_t id = 0; id < g->n_nodes; id++) {
        const df_node *n = g->nodes[id];
        item *it = &c->items[c->n_items++]; /* an ITEM_NODE, as zeros say */
        it->node = n;
        it->first_input = in;
        it->n_inputs = (uint32_t)n->n_inputs;
        it->device = PLAN_NONE;
        for (int i = 0; i < n->n_inputs; i++)
            c->inputs[in++] = (item_out){(int32_t)n->inputs[i].node, n->inputs[i].index};
        c->types[id] = n->outputs;
    }
    return true;
}

/* Only groups with a variable are asked for: what no program will use may stay wrong. */
static bool place_variables(compile_state *c) {
    placing p = {.c = c};
    if (!placing_init(&p)) return false;
    make_groups(&p);
    bool *wanted = arena_array(&c->pass, c->n_groups, sizeof *wanted);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < c->n_items; i++)
        if (c->items[i].node->op->flags & OP_VARIABLE) wanted[c->items[i].group] = true;
    for (uint32_t i = 0; i < c->n_items; i++) {
        c->where[i] = c->unpinned[i] = all_devices(c);
        if (wanted[c->items[i].group] && !place_item(&p, i)) return false;
    }
    return choose(&p);
}

bool compile_place_whole(compile_state *c) {
    return whole_graph(c) && place_variables(c);
}

df_code compile_place_variables(const compile_request *rq, int32_t *fixed, df_error *err) {
    compile_state c;
    compile_begin(&c, rq, err);
    bool ok = compile_place_whole(&c);
    for (uint32_t i = 0; ok && i < c.n_items; i++)
        fixed[i] = c.items[i].node->op->flags & OP_VARIABLE ? c.groups[c.items[i].group].device
                                                            : PLAN_NONE;
    return compile_end(&c);
}
