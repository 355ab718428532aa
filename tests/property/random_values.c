/* SPDX-License-Identifier: MIT
 *
 * Values of a random graph: their shapes as formulas, their elements, and the books.
 */
#include "property/random_graph.h"

#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Larger ones say no more, and cost time. */
enum { MAX_ELEMENTS = 3000 };

/* ---- dtypes -------------------------------------------------------------- */

bool is_integer(df_dtype d) {
    return d == DF_INT32 || d == DF_INT64;
}
bool is_wide(df_dtype d) {
    return is_integer(d) || d == DF_FLOAT32 || d == DF_FLOAT64;
}
bool is_number(df_dtype d) {
    return is_wide(d) || d == DF_INT8 || d == DF_INT16 || d == DF_UINT8;
}

/* ---- shapes -------------------------------------------------------------- */

static int64_t evaluate(formula f, int64_t batch) {
    int64_t n = f.times;
    for (int i = 0; i < f.power; i++) n *= batch;
    return n;
}

int formulas_dims(const formulas *f, int64_t batch, int64_t dims[RANDOM_RANK]) {
    for (int d = 0; d < f->rank; d++) dims[d] = evaluate(f->dims[d], batch);
    return f->rank;
}

int64_t formulas_count(const formulas *f, int64_t batch) {
    return evaluate(formulas_product(f), batch);
}

formula formulas_product(const formulas *f) {
    formula p = {1, 0};
    for (int d = 0; d < f->rank; d++) {
        p.times *= f->dims[d].times;
        p.power += f->dims[d].power;
    }
    return p.times ? p : (formula){0, 0};
}

static bool formula_equal(formula a, formula b) {
    return a.times == b.times && a.power == b.power;
}

bool formulas_equal(const formulas *a, const formulas *b) {
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (!formula_equal(a->dims[d], b->dims[d])) return false;
    return true;
}

bool formulas_are_known(const formulas *f) {
    for (int d = 0; d < f->rank; d++)
        if (f->dims[d].power) return false;
    return true;
}

bool formulas_broadcast(const formulas *a, const formulas *b, formulas *out) {
    static const formula one = {1, 0};
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int d = 0; d < out->rank; d++) {
        int da = d - (out->rank - a->rank), db = d - (out->rank - b->rank);
        formula x = da < 0 ? one : a->dims[da], y = db < 0 ? one : b->dims[db];
        if (!formula_equal(x, y) && !formula_equal(x, one) && !formula_equal(y, one)) return false;
        out->dims[d] = formula_equal(x, one) ? y : x;
    }
    return true;
}

bool formulas_are_small(const formulas *f) {
    return formulas_count(f, RANDOM_BATCH) <= MAX_ELEMENTS;
}

formulas random_shape(draws *d, int max_rank) {
    static const int64_t sizes[] = {1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 16, 0};
    formulas f;
    do {
        f.rank = (int)draw_below(d, (size_t)max_rank + 1);
        for (int i = 0; i < f.rank; i++) {
            size_t n = sizeof sizes / sizeof *sizes;
            f.dims[i] = (formula){sizes[draw_below(d, draw_once_in(d, 4) ? n : n - 1)], 0};
        }
        if (f.rank && draw_once_in(d, 8)) f.dims[0] = (formula){draw_between(d, 200, 400), 0};
    } while (formulas_count(&f, 1) > MAX_ELEMENTS);
    return f;
}

/* ---- elements ------------------------------------------------------------ */

static int64_t random_integer(draws *d, contents c, int64_t classes, bool far) {
    if (c == INDICES) return (int64_t)draw_below(d, (size_t)classes);
    int64_t n = far ? (int64_t)draw(d) : draw_between(d, -4, 4);
    return c == DIVISORS && (int32_t)n == 0 ? 3 : n;
}

/* Integers near 0 or anywhere; floats that are small multiples of 1/4, now and then huge. */
void fill_random(draws *d, df_dtype dtype, contents c, int64_t classes, int64_t n, void *data) {
    bool far = draw_once_in(d, 3);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = random_integer(d, c, classes, far);
        double f = (double)(x % 64) / 4;
        if (far && draw_once_in(d, 16)) f *= 1e30;
        if (dtype == DF_INT32)
            ((int32_t *)data)[i] = (int32_t)(uint32_t)(uint64_t)x;
        else if (dtype == DF_INT64)
            ((int64_t *)data)[i] = x;
        else if (dtype == DF_FLOAT32)
            ((float *)data)[i] = (float)f;
        else if (dtype == DF_FLOAT64)
            ((double *)data)[i] = f;
        else if (dtype == DF_INT16)
            ((int16_t *)data)[i] = (int16_t)(uint16_t)(uint64_t)x;
        else if (dtype == DF_BOOL)
            ((uint8_t *)data)[i] = x & 1;
        else
            ((uint8_t *)data)[i] = (uint8_t)(uint64_t)x;
    }
}

static void spoil(draws *d, const value *v, int64_t n, void *data) {
    if (n == 0) return;
    int64_t i = draw_between(d, 0, n - 1), bad = 0;
    if (v->contents == INDICES) bad = draw_once_in(d, 2) ? -1 : v->classes;
    if (v->dtype == DF_INT32)
        ((int32_t *)data)[i] = (int32_t)bad;
    else
        ((int64_t *)data)[i] = bad;
}

static void release_block(void *user, void *data) {
    (void)user;
    free(data);
}

df_tensor *random_feed(const value *v, int64_t batch, uint64_t seed, bool spoilt) {
    draws d = draws_of(seed, 1);
    int64_t dims[RANDOM_RANK];
    df_shape shape = {formulas_dims(&v->shape, batch, dims), dims};
    int64_t n = formulas_count(&v->shape, batch);
    size_t bytes = (size_t)n * df_dtype_size(v->dtype);
    void *data = malloc(bytes ? bytes : 1);
    df_tensor *t = NULL;
    if (!data) abort();
    fill_random(&d, v->dtype, v->contents, v->classes, n, data);
    if (spoilt) spoil(&d, v, n, data);
    if (draw_once_in(&d, 2)) {
        if (df_tensor_wrap(NULL, v->dtype, shape, data, release_block, NULL, &t, NULL)) abort();
        return t;
    }
    if (df_tensor_from(NULL, v->dtype, shape, data, &t, NULL)) abort();
    free(data);
    return t;
}

/* ---- the books ----------------------------------------------------------- */

value *pick(random_graph *g, value_test *test, const void *arg) {
    for (int tries = 0; g->n_values && tries < 12; tries++) {
        size_t recent = draw_once_in(&g->draws, 2) && g->n_values > 8 ? 8 : g->n_values;
        value *v = &g->values[g->n_values - 1 - draw_below(&g->draws, recent)];
        if (test(v, arg)) return v;
    }
    return NULL;
}

static void control_edges(random_graph *g) {
    for (uint32_t n = draw_once_in(&g->draws, 4) ? 1 + draw_below(&g->draws, 3) : 0; n; n--) {
        uint32_t x = draw_below(&g->draws, g->n_members), y = draw_below(&g->draws, g->n_members);
        const member *a = &g->members[x], *b = &g->members[y];
        bool right = a->height < b->height && (a->clean || !b->clean);
        if (x != y && (right || (g->recipe.wild && draw_once_in(&g->draws, 10))))
            df_control(g->graph, df_graph_node(g->graph, x), df_graph_node(g->graph, y));
    }
}

void keep_node(random_graph *g, df_node *n, const df_node *with) {
    if (n && n->id < g->n_members) return; /* its second output */
    places_after(g);
    if (!n) return; /* of a wild graph */
    member *m = &g->members[g->n_members];
    *m = (member){.clean = true, .group = (uint32_t)g->n_members, .allowed = g->devices};
    for (int i = 0; i < n->n_inputs; i++) {
        const member *in = &g->members[n->inputs[i].node];
        if (in->height > m->height) m->height = in->height;
        m->clean = m->clean && in->clean;
    }
    m->height += 1 + draw_below(&g->draws, 6);
    if (n->op->flags & (OP_MUST_FEED | OP_WRITES) || n->has_initial) m->clean = false;
    g->n_members++;
    if (with) places_join(g, n, with);
    places_colocate(g);
    control_edges(g);
}

value *keep(random_graph *g, df_out out, df_dtype dtype, const formulas *shape) {
    const df_node *n = out.node;
    bool names = n && n->n_inputs && node_names_variable(n, 0);
    keep_node(g, out.node, names ? node_input(n, 0).node : NULL);
    if (g->n_values == RANDOM_VALUES) abort();
    value *v = &g->values[g->n_values++];
    *v = (value){.out = out, .dtype = dtype, .shape = *shape};
    return v;
}

/* ---- sources ------------------------------------------------------------- */

value *new_const(random_graph *g, df_dtype dtype, const formulas *shape, contents c,
                 int64_t classes) {
    int64_t dims[RANDOM_RANK];
    df_tensor *t = NULL;
    df_shape s = {formulas_dims(shape, 1, dims), dims};
    if (df_tensor_new(NULL, dtype, s, &t, NULL)) abort();
    fill_random(&g->draws, dtype, c, classes, df_tensor_elements(t), df_tensor_data(t));
    places_before(g, NULL);
    df_out out = df_const(g->graph, t);
    df_tensor_unref(t);
    value *v = keep(g, out, dtype, shape);
    v->contents = c; /* it may be fed */
    v->classes = classes;
    return v;
}

value *new_placeholder(random_graph *g, df_dtype dtype, const formulas *shape, contents c,
                       int64_t classes) {
    int64_t dims[RANDOM_RANK];
    char name[32];
    bool vague = draw_once_in(&g->draws, 8);
    for (int d = 0; d < shape->rank; d++)
        dims[d] = shape->dims[d].power || (vague && draw_once_in(&g->draws, 2))
                      ? -1
                      : shape->dims[d].times;
    df_shape s = {shape->rank, dims};
    if (vague && draw_once_in(&g->draws, 2)) s = DF_SHAPE_UNKNOWN;
    (void)snprintf(name, sizeof name, "p%zu", g->n_members);
    places_before(g, NULL);
    value *v = keep(g, df_placeholder(g->graph, name, dtype, s), dtype, shape);
    v->placeholder = true;
    v->contents = c;
    v->classes = classes;
    return v;
}
