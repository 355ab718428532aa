/* SPDX-License-Identifier: MIT
 *
 * Explaining a program. The passes up to partition are run again, and four lists are read
 * off what they leave:
 *
 *   nodes      from place: a pin, a group, kernels, or the first device that is left
 *   copies     from partition: a Send/Recv pair each, with what hangs on the Recv
 *   constants  from partition: what was copied instead of being sent
 *   order      from order: edges added; from partition: edges dropped
 *
 * 1. Each fact is told once, for both forms: a column of text, a field of JSON, or both. The
 *    sentence that says why is the same.
 * 2. Text has columns. A first round over a list writes nothing, and finds their widths.
 * 3. Variables were placed before there was a program, on the whole graph. So for those,
 *    and for what names them, the whole graph is placed again, and that is explained.
 * 4. Of a group the member is named that left the fewest devices, a pin before a kernel.
 */
#include "compile/explain.h"

#include "compile/facts.h"
#include "compile/place.h"

enum { NAMES_MOST = 6 /* in a line of text */ };

/* Who decided where a group runs. */
typedef struct decider {
    const df_node *pin, *kernel; /* whose pin, whose kernels; NULL: nobody's */
    uint64_t pinned, kernels;    /* what they leave */
    const df_node *variable;     /* of the group; NULL: none, or it is being placed */
    uint32_t size;               /* of nodes */
} decider;

/* A graph that was placed. */
typedef struct placed {
    compile_state c;
    decider *of; /* by group */
} placed;

/* Who takes something from a Recv, or from the copy of a constant. */
typedef struct use {
    uint32_t user; /* emitted */
    uint32_t next; /* index + 1; 0: the last */
    bool is_order; /* by a control edge */
} use;

typedef struct explaining {
    facts f;
    placed here, whole;  /* the program; the graph, if variables are needed */
    uint32_t *first_use; /* by emitted: index + 1; 0: none */
    use *uses;
    uint32_t *became;         /* by item: the first emitted */
    uint64_t *runs_on;        /* by item: bit d: on device d */
    bool *is_fed;             /* by the user's node id */
    const df_node **first_of; /* by the user's node id: the variable that it gives a value */
} explaining;

/* ---- parts of a fact ------------------------------------------------------ */

static const char *device(const explaining *x, uint32_t d, char into[DEVICE_NAME_MAX]) {
    const compile_request *rq = x->here.c.rq;
    (void)device_name_print_short(&rq->devices[d].name, &rq->devices[rq->client].name, into,
                                  DEVICE_NAME_MAX);
    return into;
}

static void put_devices(explaining *x, uint64_t set) {
    text *t = fact_words(&x->f);
    char name[DEVICE_NAME_MAX];
    uint32_t n = 0;
    if (x->f.json) text_add(t, "[");
    for (uint32_t d = 0; d < x->here.c.rq->n_devices; d++)
        if (set >> d & 1) fact_name(&x->f, device(x, d, name), n++);
    text_add(t, x->f.json ? "]" : n ? "" : "-");
    fact_column(&x->f, fact_said(&x->f));
    fact_json(&x->f, "devices", fact_said(&x->f));
}

/* ---- where a node runs --------------------------------------------------- */

typedef struct reason {
    const char *rule;
    const df_node *by;   /* who decided; NULL: nobody else */
    const char *dropped; /* a pin; NULL: none */
} reason;

static bool is_several(uint64_t set) {
    return (set & (set - 1)) != 0;
}

/* Does `set` leave fewer devices than what was found so far? */
static bool is_narrower(uint64_t set, uint64_t *best) {
    if (set == *best || (set & ~*best)) return false;
    *best = set;
    return true;
}

static bool find_deciders(placed *p) {
    compile_state *c = &p->c;
    p->of = arena_array(&c->mem, c->n_groups, sizeof *p->of);
    if (!compile_had_memory(c)) return false;
    device_name any = device_name_any();
    uint64_t all = place_pin(c, &any);
    for (uint32_t g = 0; g < c->n_groups; g++) p->of[g].pinned = p->of[g].kernels = all;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        decider *d = &p->of[it->group];
        d->size++;
        if (it->kind != ITEM_NODE) continue;
        const df_node *n = it->node, *var = c->rq->fixed ? item_variable(it) : NULL;
        uint64_t pin = n->on ? place_pin(c, &n->on->device) : 0;
        if ((pin >> c->groups[it->group].device & 1) && is_narrower(pin, &d->pinned)) d->pin = n;
        if (var)
            d->variable = var;
        else if (is_narrower(c->unpinned[i], &d->kernels))
            d->kernel = n;
    }
    for (uint32_t g = 0; g < c->n_groups; g++)
        if (c->groups[g].absent != PLAN_NONE)
            p->of[g].pin = c->rq->graph->nodes[c->groups[g].absent];
    return true;
}

/* What is left when the pins and kernels have spoken. */
static void say_choice(explaining *x, const placed *p, uint32_t i) {
    uint64_t left = p->c.groups[p->c.items[i].group].allowed;
    if (!is_several(left)) return;
    text_add(&x->f.words, "; the first of ");
    place_list(&p->c, left, &x->f.words);
}

/* True: another member of its group decided. */
static bool say_decider(explaining *x, const placed *p, uint32_t i, reason *why) {
    const decider *d = &p->of[p->c.items[i].group];
    const df_node *n = p->c.items[i].node;
    why->by = d->pin ? d->pin : d->variable ? d->variable : d->kernel;
    if (!why->by || why->by == n) {
        why->by = NULL;
        return false;
    }
    text_add(&x->f.words, "shares its device with %s, ", why->by->name);
    if (d->pin) {
        text_add(&x->f.words, "which must run on %s", d->pin->on->text);
    } else if (d->variable) {
        text_add(&x->f.words, "a variable");
    } else {
        text_add(&x->f.words, "which has kernels only on ");
        place_list(&p->c, d->kernels, &x->f.words);
    }
    why->rule = "colocated";
    return true;
}

static void say_place(explaining *x, const placed *p, uint32_t i, reason *why) {
    const compile_state *c = &p->c;
    bool several = is_several(c->unpinned[i]);
    if (say_decider(x, p, i, why)) {
        say_choice(x, p, i);
    } else if (several) {
        why->rule = "first";
        text_add(&x->f.words, "the first of ");
        place_list(c, c->groups[c->items[i].group].allowed, &x->f.words);
        text_add(&x->f.words, p->of[c->items[i].group].size > 1
                                  ? ", where all that share its device can run"
                                  : ", where it can run");
    } else {
        why->rule = "only";
        text_add(&x->f.words, "the only device");
        if (c->rq->n_devices > 1)
            text_add(&x->f.words, " with a kernel for %s", df_dtype_name(place_dtype(c, i)));
    }
}

static void say_dropped(explaining *x, const placed *p, uint32_t i, reason *why) {
    const df_node *n = p->c.items[i].node;
    uint64_t pin = place_pin(&p->c, &n->on->device);
    why->dropped = n->on->text;
    text_add(&x->f.words, "soft placement dropped %s, ", n->on->text);
    if (!pin)
        text_add(&x->f.words, "which is not there; ");
    else if (!(pin & p->c.unpinned[i]))
        text_add(&x->f.words, "which has no kernel for %s; ", df_dtype_name(place_dtype(&p->c, i)));
    else
        text_add(&x->f.words, "where what shares its device does not run; ");
}

/* What its own pin leaves open, others of its group may have settled. */
static void say_narrower(explaining *x, const placed *p, uint32_t i, reason *why) {
    const compile_state *c = &p->c;
    if (!(c->where[i] & ~c->groups[c->items[i].group].allowed)) return;
    size_t length = x->f.words.size;
    text_add(&x->f.words, "; ");
    if (!say_decider(x, p, i, why)) {
        fact_unsay(&x->f, length);
        text_add(&x->f.words, ", where all that share its device can run");
    }
    why->rule = "pin";
}

static void say_node(explaining *x, uint32_t i, reason *why) {
    const compile_state *c = &x->here.c;
    const item *it = &c->items[i];
    const df_node *n = it->node, *var = item_variable(it);
    bool earlier = var && c->rq->fixed;
    const placed *p = earlier ? &x->whole : &x->here;
    uint32_t at = earlier ? n->id : i;
    if (n->on && device_name_matches(&n->on->device, &c->rq->devices[it->device].name)) {
        why->rule = "pin";
        text_add(&x->f.words, "must run on %s", n->on->text);
        say_narrower(x, p, at, why);
        say_choice(x, p, at);
        return;
    }
    if (n->on) say_dropped(x, p, at, why);
    if (var == n) text_add(&x->f.words, "a variable, placed once for the session: ");
    if (!var || var == n) {
        say_place(x, p, at, why);
        return;
    }
    why->rule = "variable";
    why->by = var;
    text_add(&x->f.words, "uses variable %s", var->name);
}

/* A small constant that nobody uses stays where it was placed. */
static bool is_copied(const explaining *x, uint32_t i) {
    return x->here.c.is_small[i] && x->first_use[x->became[i]];
}

/* Of the user's nodes their own, of others the one that they have got. */
static const char *name_of(const explaining *x, uint32_t i) {
    const item *it = &x->here.c.items[i];
    return it->kind == ITEM_NODE ? it->node->name : x->here.c.nodes[x->became[i]]->name;
}

static reason say_item(explaining *x, uint32_t i) {
    const compile_state *c = &x->here.c;
    const item *it = &c->items[i];
    reason why = {.rule = "client"};
    const char *const *asked = it->kind == ITEM_FEED ? c->rq->feed_devices : c->rq->fetch_devices;
    if ((it->kind == ITEM_FEED || it->kind == ITEM_FETCH) && asked && asked[it->index]) {
        why.rule = "asked";
        text_add(&x->f.words, "the program was compiled with this %s on %s",
                 it->kind == ITEM_FEED ? "feed" : "fetch", asked[it->index]);
    } else if (it->kind == ITEM_FEED) {
        text_add(&x->f.words, "feeds come from the client");
    } else if (it->kind == ITEM_FETCH) {
        text_add(&x->f.words, "fetches go to the client");
    } else if (it->kind == ITEM_READ) {
        why = (reason){.rule = "variable", .by = it->node};
        text_add(&x->f.words, "reads variable %s for the fetch, after all that use it",
                 it->node->name);
    } else if (is_copied(x, i)) {
        why.rule = "copied";
        text_add(&x->f.words,
                 "a small constant (%zu bytes, at most %d) that nobody pinned, colocated, ordered "
                 "or fed: copied",
                 df_tensor_bytes(it->node->attrs[0].tensor), CONST_COPY_MAX);
    } else {
        say_node(x, i, &why);
        if (x->is_fed[it->node->id])
            text_add(&x->f.words, "; where an output is fed, that is used instead");
    }
    return why;
}

/* ---- nodes --------------------------------------------------------------- */

static void end_node(explaining *x, reason why) {
    fact_field(&x->f, "rule", why.rule);
    if (why.by) fact_field(&x->f, "by", why.by->name);
    if (why.dropped) fact_field(&x->f, "dropped", why.dropped);
    fact_both(&x->f, "why", fact_said(&x->f));
    fact_end(&x->f);
}

static void absent_fact(explaining *x, const df_node *n) {
    reason why = {.rule = x->is_fed[n->id] ? "fed" : "unneeded", .by = x->first_of[n->id]};
    fact_begin(&x->f);
    fact_both(&x->f, "name", n->name);
    fact_both(&x->f, "op", n->op->name);
    put_devices(x, 0);
    text_add(fact_words(&x->f), x->is_fed[n->id] ? "does not run: what is fed stands for it"
                                                 : "does not run: no fetch and no target needs it");
    if (why.by) text_add(&x->f.words, "; it was the first value of variable %s", why.by->name);
    end_node(x, why);
}

/* What does not run comes where it was added. */
static void node_facts(void *arg) {
    explaining *x = arg;
    const compile_state *c = &x->here.c;
    const df_graph *g = c->rq->graph;
    size_t id = 0;
    for (uint32_t i = 0; i < c->n_items; i++) {
        const item *it = &c->items[i];
        size_t end = it->kind == ITEM_FEED ? 0 : it->kind == ITEM_NODE ? it->node->id : g->n_nodes;
        for (; id < end; id++)
            if (c->item_of[id] == PLAN_NONE) absent_fact(x, g->nodes[id]);
        fact_begin(&x->f);
        fact_both(&x->f, "name", name_of(x, i));
        fact_both(&x->f, "op", item_op(c, it)->name);
        put_devices(x, x->runs_on[i]);
        (void)fact_words(&x->f);
        end_node(x, say_item(x, i));
    }
    for (; id < g->n_nodes; id++)
        if (c->item_of[id] == PLAN_NONE) absent_fact(x, g->nodes[id]);
}

/* ---- copies -------------------------------------------------------------- */

/* The names of those who take what emitted node e holds; 0: there is none. */
static uint32_t add_users(explaining *x, uint32_t e, bool is_order) {
    text *t = &x->f.words;
    uint32_t n = 0, last = UINT32_MAX;
    if (x->f.json) text_add(t, "[");
    for (uint32_t u = x->first_use[e]; u; u = x->uses[u - 1].next) {
        const use *each = &x->uses[u - 1];
        if (each->is_order != is_order || each->user == last) continue;
        last = each->user;
        if (x->f.json || n < NAMES_MOST) fact_name(&x->f, x->here.c.nodes[last]->name, n);
        n++;
    }
    if (x->f.json)
        text_add(t, "]");
    else if (n > NAMES_MOST)
        text_add(t, " and %u more", n - NAMES_MOST);
    return n;
}

static void put_type(explaining *x, const edge_type *type, bool is_value) {
    text *t = fact_words(&x->f);
    if (!x->f.json) {
        if (is_value) edge_type_print(t, type);
        fact_column(&x->f, is_value ? fact_said(&x->f) : "no value");
        return;
    }
    fact_field(&x->f, "dtype", df_dtype_name(type->dtype));
    for (int i = 0; i < type->rank; i++)
        text_add(t, "%s%lld", i ? ", " : "[", (long long)type->dims[i]);
    text_add(t, type->rank < 0 ? "null" : type->rank ? "]" : "[]");
    fact_json(&x->f, "shape", fact_said(&x->f));
}

/* "cpu:0", or "sim:0 host" behind an arrow. */
static void put_place(explaining *x, const char *key, const char *of_memory, uint32_t d,
                      uint32_t kind) {
    char name[DEVICE_NAME_MAX];
    bool host = kind == DF_MEMORY_HOST;
    text_add(fact_words(&x->f), "%s%s%s", key[0] == 't' ? "-> " : "", device(x, d, name),
             host ? " host" : "");
    fact_column(&x->f, fact_said(&x->f));
    fact_field(&x->f, key, name);
    fact_field(&x->f, of_memory, host ? "host" : "device");
}

/* Who takes it: the end of the sentence in text, behind `link`; a list in JSON. */
static uint32_t put_users(explaining *x, uint32_t e, bool is_order, const char *key,
                          const char *link) {
    size_t length = x->f.words.size;
    if (x->f.json)
        (void)fact_words(&x->f);
    else
        text_add(&x->f.words, "%s", link);
    uint32_t n = add_users(x, e, is_order);
    if (!n && !x->f.json) fact_unsay(&x->f, length);
    fact_json(&x->f, key, fact_said(&x->f));
    return n;
}

static const char *say_copy(explaining *x, const plan_channel *ch) {
    bool stays = ch->src_device == ch->dst_device, host = ch->dst_memory == DF_MEMORY_HOST;
    text *t = fact_words(&x->f);
    if (ch->control) {
        text_add(t, "crosses as order alone");
        return "control";
    }
    if (!stays) {
        text_add(t, host ? "used there in host memory" : "used there");
        return "device";
    }
    if (ch->src_memory == ch->dst_memory) {
        text_add(t, "made by a queued kernel, so it must be waited for; used");
        return "queue";
    }
    text_add(t, host ? "used in host memory" : "made in host memory, used in the device's own");
    return "memory";
}

static void copy_fact(explaining *x, const plan_channel *ch, const emitted *pair) {
    const compile_state *c = &x->here.c;
    fact_begin(&x->f);
    fact_both(&x->f, "edge", df_key_edge(ch->key));
    put_place(x, "from", "from_memory", ch->src_device, ch->src_memory);
    put_place(x, "to", "to_memory", ch->dst_device, ch->dst_memory);
    put_type(x, ch->type, !ch->control);
    uint32_t send = (uint32_t)(pair - c->emitted), recv = send + 1;
    fact_field(&x->f, "send", c->nodes[send]->name);
    fact_field(&x->f, "recv", c->nodes[recv]->name);
    fact_field(&x->f, "rule", say_copy(x, ch));
    fact_field(&x->f, "why", fact_said(&x->f));
    uint32_t n = put_users(x, recv, false, "used_by", " by ");
    (void)put_users(x, recv, true, "order_for", n ? "; carries the order for " : " for ");
    fact_column(&x->f, fact_said(&x->f));
    const char *key = c->nodes[send]->attrs[0].s;
    fact_field(&x->f, "key", key);
    fact_line(&x->f, key);
    fact_end(&x->f);
}

static void copy_facts(void *arg) {
    explaining *x = arg;
    const compile_state *c = &x->here.c;
    for (uint32_t e = 0; e < c->n_emitted; e++) { /* a Send, and behind it its Recv */
        if (c->emitted[e].channel == PLAN_NONE) continue;
        copy_fact(x, &c->plan->channels[c->emitted[e].channel], &c->emitted[e]);
        e++;
    }
}

/* ---- constants ----------------------------------------------------------- */

static void constant_facts(void *arg) {
    explaining *x = arg;
    const compile_state *c = &x->here.c;
    for (uint32_t e = 0; e < c->n_emitted; e++) {
        const emitted *m = &c->emitted[e];
        if (m->what != EMITTED_ITEM || !is_copied(x, m->item)) continue;
        fact_begin(&x->f);
        fact_both(&x->f, "name", c->nodes[e]->name);
        fact_field(&x->f, "of", c->items[m->item].node->name);
        put_place(x, "device", "memory", m->device, m->memory);
        put_type(x, &c->nodes[e]->outputs[0], true);
        text_add(fact_words(&x->f), "used");
        (void)put_users(x, e, false, "used_by", " by ");
        fact_column(&x->f, fact_said(&x->f));
        fact_end(&x->f);
    }
}

/* ---- order --------------------------------------------------------------- */

static void order_fact(explaining *x, uint32_t before, uint32_t after, const df_node *var) {
    fact_begin(&x->f);
    fact_both(&x->f, "before", name_of(x, before));
    fact_column(&x->f, "->");
    fact_both(&x->f, "after", name_of(x, after));
    fact_field(&x->f, "rule", var ? "variable" : "dropped");
    if (var) fact_field(&x->f, "variable", var->name);
    if (var)
        text_add(fact_words(&x->f), "added: both use variable %s, and one writes it", var->name);
    else
        text_add(fact_words(&x->f), "dropped: the first is a small constant, which never waits");
    fact_both(&x->f, "why", fact_said(&x->f));
    fact_end(&x->f);
}

static void order_facts(void *arg) {
    explaining *x = arg;
    const compile_state *c = &x->here.c;
    for (uint32_t e = 0; e < c->n_ordered; e++)
        order_fact(x, c->ordered[e].before, c->ordered[e].after,
                   item_variable(&c->items[c->ordered[e].after]));
    for (uint32_t i = 0; i < c->n_items; i++)
        for (uint32_t n = 0; n < c->items[i].n_controls; n++) {
            uint32_t before = c->controls[c->items[i].first_control + n];
            if (c->is_small[before]) order_fact(x, before, i, NULL);
        }
}

/* ---- the whole ----------------------------------------------------------- */

static bool holds(const explaining *x, const emitted *m) {
    return m->what != EMITTED_ITEM || x->here.c.is_small[m->item];
}

/* Backward, so that each list is in the order emitted. */
static bool find_uses(explaining *x) {
    compile_state *c = &x->here.c;
    x->first_use = arena_array(&c->mem, c->n_emitted, sizeof *x->first_use);
    x->uses = arena_array(&c->mem, c->first_before[c->n_emitted], sizeof *x->uses);
    if (!compile_had_memory(c)) return false;
    uint32_t n_uses = 0;
    for (uint32_t e = c->n_emitted; e-- > 0;) {
        uint32_t first = c->first_before[e], inputs = emitted_inputs(c, &c->emitted[e]);
        for (uint32_t i = c->first_before[e + 1]; i-- > first;) {
            uint32_t from = c->before[i];
            if (c->emitted[e].what == EMITTED_RECV || !holds(x, &c->emitted[from])) continue;
            x->uses[n_uses] = (use){e, x->first_use[from], i - first >= inputs};
            x->first_use[from] = ++n_uses;
        }
    }
    return true;
}

static bool find_items(explaining *x) {
    compile_state *c = &x->here.c;
    x->became = arena_array(&c->mem, c->n_items, sizeof *x->became);
    x->runs_on = arena_array(&c->mem, c->n_items, sizeof *x->runs_on);
    const df_graph *g = c->rq->graph;
    x->is_fed = arena_array(&c->mem, g->n_nodes, sizeof *x->is_fed);
    x->first_of = arena_array(&c->mem, g->n_nodes, sizeof(df_node *));
    if (!compile_had_memory(c)) return false;
    for (size_t id = 0; id < g->n_nodes; id++)
        if (g->nodes[id]->has_initial) x->first_of[g->nodes[id]->inputs[0].node] = g->nodes[id];
    for (uint32_t e = c->n_emitted; e-- > 0;) {
        uint32_t i = c->emitted[e].item;
        if (c->emitted[e].what != EMITTED_ITEM) continue;
        x->became[i] = e;
        x->runs_on[i] |= UINT64_C(1) << c->emitted[e].device;
    }
    for (uint32_t i = 0; i < c->n_items; i++)
        if (c->items[i].kind == ITEM_FEED) x->is_fed[c->items[i].node->id] = true;
    return true;
}

static bool look(explaining *x) {
    compile_state *c = &x->here.c;
    if (!compile_run(c, false) || !compile_graphs(c) || !find_uses(x) || !find_items(x) ||
        !find_deciders(&x->here))
        return false;
    bool any = false;
    for (uint32_t i = 0; c->rq->fixed && i < c->n_items; i++)
        any |= item_variable(&c->items[i]) != NULL;
    return !any || (compile_place_whole(&x->whole.c) && find_deciders(&x->whole));
}

static void tell(explaining *x) {
    fact_list(&x->f, "nodes", node_facts, x);
    fact_list(&x->f, "copies", copy_facts, x);
    fact_list(&x->f, "constants", constant_facts, x);
    fact_list(&x->f, "order", order_facts, x);
    fact_end_all(&x->f);
}

df_code compile_explain(const compile_request *rq, bool json, text *t, df_error *err) {
    compile_request without = *rq; /* variables that are placed */
    explaining x = {.f = {.t = t, .json = json}};
    compile_begin(&x.here.c, rq, err);
    compile_begin(&x.whole.c, &without, x.here.c.err);
    without.fixed = NULL;
    text_init(&x.f.words, rq->alloc);

    bool ok = look(&x);
    if (ok) tell(&x);
    if (ok && (t->failed || x.f.words.failed)) (void)compile_no_memory(&x.here.c);

    text_fini(&x.f.words);
    (void)compile_end(&x.whole.c);
    return compile_end(&x.here.c);
}
