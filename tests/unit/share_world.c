/* SPDX-License-Identifier: MIT */
#include "unit/share_world.h"

#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- what is shared ------------------------------------------------------- */

void share_open(run_world *w, const char *devices, int workers) {
    run_open(w, devices, workers);
    w->rt->grain = 0;
}

executor *share_executor(run_world *w, const df_program *p) {
    executor *x = pool_executors_lock(w->rt->pool);
    while (x && x->o.owner != p) x = x->next;
    pool_executors_unlock(w->rt->pool);
    assert_non_null(x);
    return x;
}

void share_cut_for(executor *x, uint64_t per_node) {
    mutex_lock(&x->lock);
    x->sharing.ns[0] = per_node * x->o.plan->n_nodes;
    x->sharing.is_cutting = true;
    mutex_unlock(&x->lock);
    share_cut(x);
}

void share_never(executor *x) {
    mutex_lock(&x->lock);
    x->sharing.untimed = UINT32_MAX;
    mutex_unlock(&x->lock);
}

void share_always(executor *x) {
    const uint64_t ages = UINT64_C(1) << 58;
    share_cut_for(x, 50000);
    mutex_lock(&x->lock);
    sharing *sh = &x->sharing;
    assert_true(sh->shared.n_blocks > 1);
    sh->n_timed = 1000;
    sh->untimed = sh->trial = 0;
    sh->is_kept = true;
    sh->content = INT64_MAX;
    sh->ns[0] = sh->cut_for = ages;
    sh->ns[1] = 1;
    mutex_unlock(&x->lock);
}

bool share_was(const executor *x) {
    assert_null(x->made->next_made);
    return x->made->cut == &x->sharing.shared;
}

/* ---- graphs --------------------------------------------------------------- */

uint32_t share_draw(uint32_t below) {
    return (uint32_t)(yield_random() % below);
}

static void put(drawing *d, df_out out) {
    assert_true(d->n < DRAWN_MOST);
    d->at[d->n++] = out;
}

static void put_sum(drawing *d, uint32_t a, uint32_t b) {
    df_graph *g = d->w.g;
    d->is_read[a] = d->is_read[b] = true;
    put(d, share_draw(2) ? df_add(g, d->at[a], d->at[b]) : df_sub(g, d->at[a], d->at[b]));
}

/* Now and then one that can be made to fail. */
static void put_one(drawing *d, uint32_t a, uint32_t b) {
    if (d->n_probes == DRAWN_PROBES || share_draw(12)) {
        put_sum(d, a, b);
        return;
    }
    probe *p = &d->probes[d->n_probes++];
    p->code = DF_DATA_LOSS;
    d->is_read[a] = true;
    put(d, probe_node(d->w.g, "TestCopy", d->at[a], p));
}

static void put_layer(drawing *d, uint32_t width) {
    for (uint32_t i = 0, first = d->n > width ? d->n - width : 0; i < width; i++)
        put_one(d, first + i % (d->n - first), first + share_draw(d->n - first));
}

static void put_random(drawing *d, uint32_t near, const char *second) {
    uint32_t back = d->n < near ? d->n : near;
    df_graph_on(d->w.g, second && !share_draw(4) ? second : NULL);
    put_one(d, d->n - 1 - share_draw(back), d->n - 1 - share_draw(back));
    if (!share_draw(8)) df_control(d->w.g, d->at[share_draw(d->n - 1)].node, d->at[d->n - 1].node);
    df_graph_on(d->w.g, NULL);
}

static void put_all(drawing *d, shape_drawn shape, uint32_t n, const char *second) {
    const uint32_t near = 1 + share_draw(n);
    while (d->n < n) {
        if (shape == DRAWN_CHAIN) put_one(d, d->n - 1, d->n - 1);
        if (shape == DRAWN_WIDE) put_one(d, 0, 0);
        if (shape == DRAWN_LAYERED) put_layer(d, 1 + n / 10);
        if (shape == DRAWN_RANDOM) put_random(d, near, second);
    }
}

void drawing_open(drawing *d, const char *devices, int workers, shape_drawn shape, uint32_t n,
                  const char *second) {
    memset(d, 0, sizeof *d);
    share_open(&d->w, devices, workers);
    for (int i = 0; i < DRAWN_PROBES; i++) probe_init(&d->probes[i]);
    df_graph *g = d->w.g;
    d->x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(DRAWN_LONG));
    d->v = df_variable(g, "v", DF_INT64, DF_SCALAR);
    put(d, df_add(g, d->x, df_assign_add(g, d->v, run_const(g, 1))));
    put_all(d, shape, n, second);
    df_out sum = d->at[d->n - 1];
    for (uint32_t i = 0; i < d->n - 1; i++)
        if (!d->is_read[i]) sum = df_add(g, sum, d->at[i]);
    d->p = run_compile(&d->w, DF_OUTS(d->x), DF_OUTS(sum));
    d->count = run_compile(&d->w, DF_NO_OUTS, DF_OUTS(d->v));
    d->exec = share_executor(&d->w, d->p);
}

void drawing_close(drawing *d) {
    df_program_free(d->p);
    df_program_free(d->count);
    run_close(&d->w);
    for (int i = 0; i < DRAWN_PROBES; i++) probe_fini(&d->probes[i]);
}

df_tensor *drawing_feed(int64_t first) {
    int64_t values[DRAWN_LONG];
    df_tensor *t = NULL;
    for (int i = 0; i < DRAWN_LONG; i++) values[i] = first + i;
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(DRAWN_LONG), values, &t, NULL), DF_OK);
    return t;
}

df_tensor *drawing_run(drawing *d, int64_t first, const df_run_options *options) {
    df_tensor *fed = drawing_feed(first), *result = NULL;
    df_code code = df_program_run(d->p, DF_TENSORS(fed), &result, options, &d->w.err);
    assert_int_equal(code == DF_OK, result != NULL);
    df_tensor_unref(fed);
    return result;
}

bool drawing_same(const df_tensor *a, const df_tensor *b) {
    size_t size = df_tensor_bytes(a);
    return size == df_tensor_bytes(b) && memcmp(df_tensor_data(a), df_tensor_data(b), size) == 0;
}
