/* SPDX-License-Identifier: MIT
 *
 * executor - a plan made ready to run: constants on their devices, and frames.
 *
 * Each running step has a frame. Frames that are not in use wait in a list; there are
 * as many as steps ever ran at once.
 */
#include "exec/step.h"

#include <string.h>

/* ---- making -------------------------------------------------------------- */

static df_code place_constant(executor *x, uint32_t i, df_error *err) {
    const plan_constant *k = &x->o.plan->constants[i];
    return move_tensor(x->o.devices[k->device], k->memory, k->value, &x->constants[i], err);
}

static df_code make_constants(executor *x, df_error *err) {
    uint32_t n = x->o.plan->n_constants;
    x->constants = alloc_array(x->o.alloc, n, sizeof *x->constants);
    if (!x->constants) return error_memory(err, "constants");
    df_code code = DF_OK;
    for (uint32_t i = 0; code == DF_OK && i < n; i++) code = place_constant(x, i, err);
    return code;
}

const df_key *const *executor_keys(const executor *x) {
    return x->keys;
}

/* For the group's factory of rendezvous, or who makes them otherwise. */
static df_code list_keys(executor *x, df_error *err) {
    uint32_t n = x->o.plan->n_channels;
    if (!x->o.group->factory.create && !x->o.is_part) return DF_OK;
    x->keys = alloc_array(x->o.alloc, n, sizeof *x->keys);
    if (!x->keys) return error_memory(err, "the keys of a program");
    for (uint32_t c = 0; c < n; c++) x->keys[c] = x->o.plan->channels[c].key;
    return DF_OK;
}

/* ---- the state of nodes -------------------------------------------------- */

/* What `open` sees of its node: no tensors. */
typedef struct opening {
    df_kernel ctx; /* first member */
    const kernel_node *node;
} opening;

static const kernel_node *what(const df_kernel *c) {
    return ((const opening *)c)->node;
}

static const struct kernel_calls calls = {.node = what};

static df_code open_node(executor *x, uint32_t node, df_error *err) {
    const plan_node *n = &x->o.plan->nodes[node];
    if (!n->kernel || !n->kernel->open) return DF_OK;
    kernel_io io = {.kernel = n->kernel, .index = node};
    opening k = {{.io = &io, .calls = &calls}, &n->what};
    df_error why = {.code = DF_OK};
    df_code code = n->kernel->open(&k.ctx, &x->states[node], &why);
    if (code == DF_OK) return DF_OK;
    x->states[node] = NULL;
    (void)error_from(&why, code, "its kernel's open");
    error_prefix(&why, "node %.200s (%s): ", n->name, n->op->name);
    *err = why;
    return code;
}

static df_code open_nodes(executor *x, df_error *err) {
    const plan *p = x->o.plan;
    bool any = false;
    for (uint32_t i = 0; i < p->n_nodes; i++) any |= p->nodes[i].kernel && p->nodes[i].kernel->open;
    if (!any) return DF_OK;
    x->states = alloc_array(x->o.alloc, p->n_nodes, sizeof *x->states);
    if (!x->states) return error_memory(err, "the state of nodes");
    df_code code = DF_OK;
    while (code == DF_OK && x->n_open < p->n_nodes) {
        code = open_node(x, x->n_open, err);
        if (code == DF_OK) x->n_open++;
    }
    return code;
}

static void close_nodes(executor *x) {
    const plan *p = x->o.plan;
    while (x->n_open) {
        const kernel_def *k = p->nodes[--x->n_open].kernel;
        if (k && k->open && k->close) k->close(k->user, x->states[x->n_open]);
    }
    alloc_free(x->o.alloc, x->states, p->n_nodes * sizeof *x->states);
}

step *executor_frame(executor *x, df_error *err) {
    step *s = step_new(x, err);
    if (!s) return NULL;
    mutex_lock(&x->lock);
    s->next_made = x->made;
    x->made = s;
    mutex_unlock(&x->lock);
    return s;
}

df_code executor_new(const executor_options *options, executor **out, df_error *err) {
    const plan *p = options->plan;
    df_error *why = ERROR_OR_LOCAL(err);
    if ((uint64_t)p->n_blocks + p->n_nodes >= LIVE_TOKENS_MAX)
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "the program has %u nodes in %u blocks; together they must be below %u: "
                         "run it in parts",
                         p->n_nodes, p->n_blocks, (unsigned)LIVE_TOKENS_MAX);
    executor *x = alloc_zeroed(options->alloc, sizeof *x);
    if (!x) return error_memory(err, "a program");
    if (!mutex_init(&x->lock)) {
        alloc_free(options->alloc, x, sizeof *x);
        return error_memory(err, "a program");
    }
    x->o = *options;
    df_code code = tensor_new_in(x->o.host, x->o.host, DF_BOOL, DF_SHAPE(0), &x->token, err);
    if (code == DF_OK) code = make_constants(x, err);
    if (code == DF_OK) code = list_keys(x, err);
    if (code == DF_OK) code = quick_make(x, err);
    if (code == DF_OK && !share_init(x)) code = error_memory(err, "a program");
    if (code == DF_OK) code = open_nodes(x, why);
    if (code == DF_OK) { /* the first frame is made here: the first step only runs */
        x->spares = executor_frame(x, why);
        if (!x->spares) code = why->code;
    }
    if (code != DF_OK) {
        executor_free(x);
        return code;
    }
    pool_add(x->o.pool, x); /* not before: who looks for runs would see half of it */
    *out = x;
    return DF_OK;
}

void executor_free(executor *x) {
    if (!x) return;
    pool_remove(x->o.pool, x);
    for (step *s = x->made; s;) {
        step *next = s->next_made;
        step_free(s);
        s = next;
    }
    uint32_t n = x->o.plan->n_constants;
    for (uint32_t i = 0; x->constants && i < n; i++) df_tensor_unref(x->constants[i]);
    alloc_free(x->o.alloc, x->constants, n * sizeof *x->constants);
    alloc_free(x->o.alloc, x->keys, x->o.plan->n_channels * sizeof *x->keys);
    close_nodes(x);
    quick_free(x);
    share_fini(x);
    df_tensor_unref(x->token);
    mutex_fini(&x->lock);
    alloc_free(x->o.alloc, x, sizeof *x);
}

/* ---- what went through ---------------------------------------------------- */

void executor_traffic(executor *x, uint32_t channel, uint64_t *transfers, uint64_t *bytes) {
    *transfers = *bytes = 0;
    mutex_lock(&x->lock);
    for (step *s = x->made; s; s = s->next_made) {
        *transfers += atomic_get(&s->traffic[channel].transfers, RELAXED);
        *bytes += atomic_get(&s->traffic[channel].bytes, RELAXED);
    }
    mutex_unlock(&x->lock);
}
