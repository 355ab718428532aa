/* SPDX-License-Identifier: MIT
 *
 * Operations of a random graph: each function picks inputs that fit, making them if
 * there are none, and adds one node, seldom a few.
 */
#include "property/random_graph.h"

#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what to pick -------------------------------------------------------- */

typedef struct wanted {
    bool (*takes)(df_dtype);
    int min_rank, max_rank;
} wanted;

static bool is_wanted(const value *v, const void *arg) {
    const wanted *w = arg;
    return (!w->takes || w->takes(v->dtype)) && v->shape.rank >= w->min_rank &&
           v->shape.rank <= w->max_rank;
}

static bool is_real(df_dtype d) {
    return d == DF_FLOAT32 || d == DF_FLOAT64;
}

static bool is_like(const value *v, const void *arg) {
    const value *a = arg;
    return v->dtype == a->dtype && formulas_equal(&v->shape, &a->shape);
}

static bool broadcasts(const value *v, const void *arg) {
    const value *a = arg;
    formulas out;
    return v->dtype == a->dtype && formulas_broadcast(&v->shape, &a->shape, &out) &&
           formulas_are_small(&out);
}

static df_dtype random_dtype(draws *d) {
    static const df_dtype often[] = {DF_INT32, DF_INT32, DF_INT64, DF_FLOAT32, DF_FLOAT32};
    static const df_dtype seldom[] = {DF_FLOAT64, DF_INT8, DF_UINT8, DF_INT16, DF_BOOL};
    return draw_once_in(d, 8) ? seldom[draw_below(d, 5)] : often[draw_below(d, 5)];
}

static df_dtype dtype_for(draws *d, bool (*takes)(df_dtype)) {
    df_dtype dtype = random_dtype(d);
    while (takes && !takes(dtype)) dtype = random_dtype(d);
    return dtype;
}

/* A value that is wanted; a new one if there is none at hand. By value: later ones may be
 * added while it is in use. */
static value get(random_graph *g, bool (*takes)(df_dtype), int min_rank, int max_rank) {
    wanted w = {takes, min_rank, max_rank};
    value *found = pick(g, is_wanted, &w);
    if (found) return *found;
    formulas shape;
    do shape = random_shape(&g->draws, max_rank);
    while (shape.rank < min_rank);
    return *new_const(g, dtype_for(&g->draws, takes), &shape, ANYTHING, 0);
}

static df_out added(random_graph *g, df_node *n, int i) {
    (void)g;
    return df_node_output(n, i);
}

/* ---- sources ------------------------------------------------------------- */

static void add_const(random_graph *g) {
    formulas shape = random_shape(&g->draws, 3);
    (void)new_const(g, random_dtype(&g->draws), &shape, ANYTHING, 0);
}

static void add_scalar(random_graph *g) {
    formulas scalar = {.rank = 0};
    df_dtype dtype = dtype_for(&g->draws, is_number);
    int64_t n = draw_between(&g->draws, -9, 9);
    places_before(g, NULL);
    bool real = draw_once_in(&g->draws, 2);
    df_out out =
        real ? df_const_float(g->graph, dtype, (double)n) : df_const_int(g->graph, dtype, n);
    (void)keep(g, out, dtype, &scalar);
}

static void add_placeholder(random_graph *g) {
    formulas shape = random_shape(&g->draws, 3);
    if (shape.rank && draw_once_in(&g->draws, 2)) {
        shape.dims[0] = (formula){1, 1};
        if (formulas_count(&shape, RANDOM_BATCH) > 1500) shape.rank = 1;
    }
    (void)new_placeholder(g, random_dtype(&g->draws), &shape, ANYTHING, 0);
}

/* ---- state --------------------------------------------------------------- */

static bool is_initialiser(const value *v, const void *arg) {
    const random_graph *g = arg;
    return v->out.node && g->members[v->out.node->id].clean && formulas_are_known(&v->shape);
}

static void add_variable(random_graph *g) {
    char name[32];
    (void)snprintf(name, sizeof name, "v%zu", g->n_members);
    const value *initial = draw_once_in(&g->draws, 2) ? pick(g, is_initialiser, g) : NULL;
    value *v;
    if (initial) {
        value from = *initial;
        places_before(g, NULL);
        v = keep(g, df_variable_from(g->graph, name, from.out), from.dtype, &from.shape);
    } else {
        formulas shape = random_shape(&g->draws, 2);
        int64_t dims[RANDOM_RANK];
        df_dtype dtype = dtype_for(&g->draws, is_number);
        df_shape s = {formulas_dims(&shape, 1, dims), dims};
        places_before(g, NULL);
        v = keep(g, df_variable(g->graph, name, dtype, s), dtype, &shape);
    }
    v->variable = true;
    g->variables[g->n_variables++] = (uint32_t)(v - g->values);
}

/* A variable that there is, or a new one. */
static value get_variable(random_graph *g) {
    if (g->n_variables == 0) add_variable(g);
    return g->values[g->variables[draw_below(&g->draws, g->n_variables)]];
}

static void add_read(random_graph *g) {
    value v = get_variable(g);
    places_before(g, v.out.node);
    (void)keep(g, df_read(g->graph, v.out), v.dtype, &v.shape);
}

static void add_write(random_graph *g) {
    value v = get_variable(g);
    value *like = pick(g, is_like, &v);
    if (!like && draw_once_in(&g->draws, 2))
        like = new_placeholder(g, v.dtype, &v.shape, ANYTHING, 0);
    if (!like) like = new_const(g, v.dtype, &v.shape, ANYTHING, 0);
    df_out by = like->out, out;
    uint32_t how = is_number(v.dtype) ? draw_below(&g->draws, 3) : 0;
    places_before(g, v.out.node);
    if (how == 0)
        out = df_assign(g->graph, v.out, by);
    else if (how == 1)
        out = df_assign_add(g->graph, v.out, by);
    else
        out = df_assign_sub(g->graph, v.out, by);
    (void)keep(g, out, v.dtype, &v.shape);
}

static void add_identity(random_graph *g) {
    value x = get(g, NULL, 0, RANDOM_RANK);
    places_before(g, NULL);
    (void)keep(g, df_identity(g->graph, x.out), x.dtype, &x.shape);
}

static void add_no_op(random_graph *g) {
    places_before(g, NULL);
    keep_node(g, df_no_op(g->graph), NULL);
}

/* ---- elementwise --------------------------------------------------------- */

/* The shape of something that broadcasts with a: sizes become 1, or are left out. */
static formulas broadcast_partner(draws *d, const formulas *a) {
    formulas b = {.rank = 0};
    int first = a->rank ? (int)draw_below(d, (size_t)a->rank + 1) : 0;
    for (int i = first; i < a->rank; i++) {
        bool one = a->dims[i].power || draw_once_in(d, 3);
        b.dims[b.rank++] = one ? (formula){1, 0} : a->dims[i];
    }
    return b;
}

static void add_binary(random_graph *g) {
    typedef df_out binary(df_graph *, df_out, df_out);
    static binary *const ops[] = {df_add,     df_add,       df_sub,  df_mul,        df_maximum,
                                  df_minimum, df_not_equal, df_less, df_less_equal, df_greater};
    value a = get(g, is_number, 0, RANDOM_RANK), b;
    const value *other = pick(g, broadcasts, &a);
    if (other) {
        b = *other;
    } else {
        formulas shape = broadcast_partner(&g->draws, &a.shape);
        b = *new_const(g, a.dtype, &shape, ANYTHING, 0);
    }
    formulas shape;
    if (!formulas_broadcast(&a.shape, &b.shape, &shape)) abort();
    uint32_t op = draw_below(&g->draws, sizeof ops / sizeof *ops);
    bool turned = draw_once_in(&g->draws, 2);
    places_before(g, NULL);
    df_out out = ops[op](g->graph, turned ? b.out : a.out, turned ? a.out : b.out);
    (void)keep(g, out, op >= 6 ? DF_BOOL : a.dtype, &shape);
}

static void add_divide(random_graph *g) {
    value a = get(g, is_integer, 0, RANDOM_RANK), b;
    formulas shape = broadcast_partner(&g->draws, &a.shape);
    if (draw_once_in(&g->draws, 2))
        b = *new_const(g, a.dtype, &shape, DIVISORS, 0);
    else
        b = *new_placeholder(g, a.dtype, &shape, DIVISORS, 0);
    places_before(g, NULL);
    static df_out (*const ops[])(df_graph *, df_out, df_out) = {df_div, df_floor_div, df_floor_mod};
    df_out out = ops[draw_below(&g->draws, 3)](g->graph, a.out, b.out);
    (void)keep(g, out, a.dtype, &a.shape);
}

static void add_unary(random_graph *g) {
    typedef df_out unary(df_graph *, df_out);
    static unary *const ops[] = {df_neg, df_abs,  df_sign, df_square,  df_relu,
                                 df_exp, df_tanh, df_sqrt, df_sigmoid, df_floor};
    uint32_t op = draw_below(&g->draws, g->recipe.exact ? 5 : sizeof ops / sizeof *ops);
    value x = get(g, op >= 5 ? is_real : is_number, 0, RANDOM_RANK);
    places_before(g, NULL);
    (void)keep(g, ops[op](g->graph, x.out), x.dtype, &x.shape);
}

static void add_cast(random_graph *g) {
    value x = get(g, NULL, 0, RANDOM_RANK);
    df_dtype to = random_dtype(&g->draws);
    places_before(g, NULL);
    (void)keep(g, df_cast(g->graph, x.out, to), to, &x.shape);
}

/* ---- linear algebra and networks ----------------------------------------- */

/* a with itself transposed, or with a constant that fits. */
static void add_matmul(random_graph *g) {
    value a = get(g, is_wide, 2, 2), b = a;
    bool turn_a = draw_once_in(&g->draws, 2), turn_b = !turn_a;
    formula m = a.shape.dims[turn_a], k = a.shape.dims[!turn_a], n = m;
    if (k.power == 0 && !draw_once_in(&g->draws, 4)) {
        n = (formula){draw_between(&g->draws, 0, 9), 0};
        turn_b = draw_once_in(&g->draws, 2);
        formulas shape = {2, {turn_b ? n : k, turn_b ? k : n}};
        b = *new_const(g, a.dtype, &shape, ANYTHING, 0);
    }
    formulas shape = {2, {m, n}};
    if (!formulas_are_small(&shape)) return;
    places_before(g, NULL);
    df_out out = df_matmul_t(g->graph, a.out, turn_a, b.out, turn_b);
    (void)keep(g, out, a.dtype, &shape);
}

static void add_softmax(random_graph *g) {
    value x = get(g, is_real, 1, RANDOM_RANK);
    places_before(g, NULL);
    (void)keep(g, df_softmax(g->graph, x.out), x.dtype, &x.shape);
}

/* [batch, 2..6] floats */
static value get_logits(random_graph *g) {
    wanted w = {is_real, 2, 2};
    const value *x = pick(g, is_wanted, &w);
    if (x && x->shape.dims[1].power == 0 && x->shape.dims[1].times > 0) return *x;
    formulas shape = {2, {{1, 1}, {draw_between(&g->draws, 2, 6), 0}}};
    return *new_placeholder(g, DF_FLOAT32, &shape, ANYTHING, 0);
}

static value *get_labels(random_graph *g, const value *logits) {
    formulas shape = {1, {logits->shape.dims[0]}};
    int64_t classes = logits->shape.dims[1].times;
    if (draw_once_in(&g->draws, 2)) {
        places_before(g, NULL);
        value *v = keep(g, df_argmax(g->graph, logits->out, 1), DF_INT64, &shape);
        v->sealed = true;
        return v;
    }
    df_dtype dtype = draw_once_in(&g->draws, 2) ? DF_INT32 : DF_INT64;
    return new_placeholder(g, dtype, &shape, INDICES, classes);
}

static df_node *add_cross_entropy_of(random_graph *g, const value *logits, df_out labels,
                                     const char *name) {
    formulas loss = {1, {logits->shape.dims[0]}};
    if (name) df_graph_name(g->graph, name);
    places_before(g, NULL);
    df_node *n = df_sparse_softmax_cross_entropy(g->graph, logits->out, labels);
    (void)keep(g, added(g, n, 0), logits->dtype, &loss);
    (void)keep(g, added(g, n, 1), logits->dtype, &logits->shape);
    return n;
}

static void add_cross_entropy(random_graph *g) {
    value logits = get_logits(g);
    (void)add_cross_entropy_of(g, &logits, get_labels(g, &logits)->out, NULL);
}

/* ---- reductions ---------------------------------------------------------- */

/* Means of floats only: one of no integers is an error. */
static void add_reduction(random_graph *g) {
    bool exact = g->recipe.exact;
    bool mean = !exact && draw_once_in(&g->draws, 3), keep_dims = draw_once_in(&g->draws, 2);
    value x = get(g, exact ? is_integer : mean ? is_real : is_number, 0, RANDOM_RANK);
    int64_t axes[RANDOM_RANK];
    int n = 0;
    for (int d = 0; d < x.shape.rank; d++)
        if (draw_once_in(&g->draws, 2))
            axes[n++] = draw_once_in(&g->draws, 2) ? d : d - x.shape.rank;
    formulas shape = {.rank = 0};
    for (int d = 0; d < x.shape.rank; d++) {
        bool gone = n == 0;
        for (int i = 0; i < n; i++) gone |= axes[i] == d || axes[i] == d - x.shape.rank;
        if (!gone || keep_dims) shape.dims[shape.rank++] = gone ? (formula){1, 0} : x.shape.dims[d];
    }
    places_before(g, NULL);
    df_out out = (mean ? df_mean : df_sum)(g->graph, x.out, axes, n, keep_dims);
    (void)keep(g, out, x.dtype, &shape);
}

static void add_argmax(random_graph *g) {
    value x = get(g, is_number, 1, RANDOM_RANK);
    int axis = (int)draw_below(&g->draws, (size_t)x.shape.rank);
    if (x.shape.dims[axis].power || x.shape.dims[axis].times == 0) return;
    formulas shape = {.rank = 0};
    for (int d = 0; d < x.shape.rank; d++)
        if (d != axis) shape.dims[shape.rank++] = x.shape.dims[d];
    int asked = draw_once_in(&g->draws, 2) ? axis : axis - x.shape.rank;
    places_before(g, NULL);
    (void)keep(g, df_argmax(g->graph, x.out, asked), DF_INT64, &shape);
}

/* ---- shapes -------------------------------------------------------------- */

/* Flat; or two neighbours joined; or with a 1 more. */
static formulas other_shape(draws *d, const formulas *x) {
    formulas f = {.rank = 1, .dims = {formulas_product(x)}};
    uint32_t how = draw_below(d, 3);
    if (how == 1 && x->rank >= 2) {
        int at = (int)draw_below(d, (size_t)x->rank - 1);
        f = *x;
        formulas pair = {2, {x->dims[at], x->dims[at + 1]}};
        f.dims[at] = formulas_product(&pair);
        for (int i = at + 1; i + 1 < x->rank; i++) f.dims[i] = x->dims[i + 1];
        f.rank--;
    } else if (how == 2 && x->rank < RANDOM_RANK) {
        int at = (int)draw_below(d, (size_t)x->rank + 1);
        f.rank = x->rank + 1;
        for (int i = 0; i < f.rank; i++)
            f.dims[i] = i == at ? (formula){1, 0} : x->dims[i < at ? i : i - 1];
    }
    return f;
}

/* As an attr: at most one -1, and then no 0 beside it. */
static bool shape_attr(draws *d, const formulas *f, int64_t dims[RANDOM_RANK]) {
    int open = -1;
    int64_t rest = 1;
    for (int i = 0; i < f->rank; i++) {
        dims[i] = f->dims[i].times;
        if (!f->dims[i].power) continue;
        if (open >= 0) return false;
        open = i;
    }
    if (open < 0 && f->rank && draw_once_in(d, 2)) open = (int)draw_below(d, (size_t)f->rank);
    for (int i = 0; i < f->rank; i++)
        if (i != open) rest *= dims[i];
    if (open < 0) return true;
    if (rest == 0) return f->dims[open].power == 0;
    dims[open] = -1;
    return true;
}

static void add_reshape(random_graph *g) {
    value x = get(g, NULL, 0, RANDOM_RANK);
    formulas shape = other_shape(&g->draws, &x.shape);
    int64_t dims[RANDOM_RANK];
    if (!shape_attr(&g->draws, &shape, dims)) return;
    places_before(g, NULL);
    df_out out = df_reshape(g->graph, x.out, (df_shape){shape.rank, dims});
    (void)keep(g, out, x.dtype, &shape);
}

static value *add_shape_of(random_graph *g, const value *x) {
    formulas shape = {1, {{x->shape.rank, 0}}};
    places_before(g, NULL);
    return keep(g, df_shape_of(g->graph, x->out), DF_INT64, &shape);
}

static void add_shape(random_graph *g) {
    value x = get(g, NULL, 0, RANDOM_RANK);
    (void)add_shape_of(g, &x);
}

/* The same numbers by a longer way, which may lead over an accelerator's memory. */
static value same_numbers(random_graph *g, value v) {
    for (uint32_t n = draw_below(&g->draws, 3); n; n--) {
        uint32_t how = draw_below(&g->draws, 3);
        places_before(g, NULL);
        df_out out = how == 0   ? df_identity(g->graph, v.out)
                     : how == 1 ? df_maximum(g->graph, v.out, v.out)
                                : df_transpose(g->graph, v.out, NULL, 0);
        value *next = keep(g, out, v.dtype, &v.shape);
        next->sealed = true;
        v = *next;
    }
    return v;
}

static bool has_as_many(const value *v, const void *arg) {
    const value *x = arg;
    formula a = formulas_product(&v->shape), b = formulas_product(&x->shape);
    return a.times == b.times && a.power == b.power;
}

static void add_reshape_to(random_graph *g) {
    value x = get(g, NULL, 0, RANDOM_RANK);
    const value *as = pick(g, has_as_many, &x);
    value like = as ? *as : x;
    value *of = add_shape_of(g, &like);
    of->sealed = true;
    value shape = same_numbers(g, *of);
    places_before(g, NULL);
    (void)keep(g, df_reshape_to(g->graph, x.out, shape.out), x.dtype, &like.shape);
}

static void add_transpose(random_graph *g) {
    value x = get(g, NULL, 0, RANDOM_RANK);
    int64_t perm[RANDOM_RANK];
    formulas shape = {.rank = x.shape.rank};
    int n = draw_once_in(&g->draws, 2) ? x.shape.rank : 0;
    for (int i = 0; i < x.shape.rank; i++) perm[i] = n ? i : x.shape.rank - 1 - i;
    for (int i = n - 1; i > 0; i--) {
        uint32_t j = draw_below(&g->draws, (size_t)i + 1);
        int64_t t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
    for (int i = 0; i < x.shape.rank; i++) shape.dims[i] = x.shape.dims[perm[i]];
    places_before(g, NULL);
    (void)keep(g, df_transpose(g->graph, x.out, perm, n), x.dtype, &shape);
}

/* ---- one that can be made to fail ---------------------------------------- */

/* It has an element whenever the batch is not 0. */
static bool is_dividend(const value *v, const void *arg) {
    (void)arg;
    return is_integer(v->dtype) && formulas_count(&v->shape, 1) > 0;
}

static void culprit_divides(random_graph *g) {
    formulas row = {1, {{1, 1}}};
    const value *found = pick(g, is_dividend, NULL);
    value x = found ? *found : *new_placeholder(g, DF_INT32, &row, ANYTHING, 0);
    formulas shape = draw_once_in(&g->draws, 2) ? x.shape : (formulas){.rank = 0};
    value by = *new_placeholder(g, x.dtype, &shape, DIVISORS, 0);
    g->poison = (uint32_t)g->n_values - 1;
    df_graph_name(g->graph, "culprit");
    places_before(g, NULL);
    g->culprit = keep(g, df_div(g->graph, x.out, by.out), x.dtype, &x.shape)->out.node;
}

static void culprit_looks_up(random_graph *g) {
    value logits = get_logits(g);
    if (formulas_count(&logits.shape, 1) == 0) {
        culprit_divides(g);
        return;
    }
    formulas shape = {1, {logits.shape.dims[0]}};
    value labels = *new_placeholder(g, DF_INT64, &shape, INDICES, logits.shape.dims[1].times);
    g->poison = (uint32_t)g->n_values - 1;
    g->culprit = add_cross_entropy_of(g, &logits, labels.out, "culprit");
}

void random_culprit(random_graph *g) {
    if (!g->recipe.exact && draw_once_in(&g->draws, 3))
        culprit_looks_up(g);
    else
        culprit_divides(g);
}

/* ---- any ----------------------------------------------------------------- */

void random_op(random_graph *g) {
    typedef void adder(random_graph *);
    static const struct {
        adder *add;
        int share;
    } kinds[] = {
        {add_const, 4},     {add_scalar, 2},  {add_placeholder, 5},   {add_variable, 3},
        {add_read, 4},      {add_write, 7},   {add_identity, 4},      {add_no_op, 3},
        {add_binary, 20},   {add_divide, 3},  {add_unary, 10},        {add_cast, 6},
        {add_matmul, 6},    {add_softmax, 2}, {add_cross_entropy, 4}, {add_reduction, 6},
        {add_argmax, 4},    {add_reshape, 5}, {add_shape, 2},         {add_reshape_to, 5},
        {add_transpose, 5},
    };
    int total = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) total += kinds[i].share;
    int at = (int)draw_below(&g->draws, (size_t)total);
    size_t i = 0;
    while (at >= kinds[i].share) at -= kinds[i++].share;
    bool rounds = kinds[i].add == add_softmax || kinds[i].add == add_cross_entropy;
    if (!(g->recipe.exact && rounds)) kinds[i].add(g);
}
