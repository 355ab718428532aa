/* SPDX-License-Identifier: MIT
 *
 * Transpose, Slice, Pad and Tile; Concat and Split. Each says where in the source and where in
 * the target every dimension steps, and copy.h does the rest.
 *
 * The first four are one: dimension d of the output takes so many elements of a dimension
 * of the input, from one on and with a step, puts them behind some others, and repeats that.
 * What an op does not say by an attr changes nothing.
 */
#include "kernels/family.h"
#include "kernels/move.h"
#include "op/number.h"

enum { PERM = 0, CONCAT_AXIS = 0, NUM = 0, SPLIT_AXIS = 1, SIZES = 2 };

/* Which attr says it, counted from 1; 0: none does. */
typedef struct move {
    uint8_t perm, begin, size, step, before, after, multiples;
    uint8_t value; /* of what lies around */
    uint8_t lists; /* so many attrs, the first, have an entry for each dimension */
} move;

enum { TRANSPOSE, SLICE, PAD, TILE };

static const move moves[] = {[TRANSPOSE] = {.perm = 1},
                             [SLICE] = {.begin = 1, .size = 2, .step = 3, .lists = 3},
                             [PAD] = {.before = 1, .after = 2, .value = 3, .lists = 2},
                             [TILE] = {.multiples = 1, .lists = 1}};

/* Entry d of a list, or what holds without it. */
static int64_t entry(const df_attr *attrs, int list, int d, int64_t otherwise) {
    return list && attrs[list - 1].shape.rank ? attrs[list - 1].shape.dims[d] : otherwise;
}

static df_code too_large(int d, df_error *err) {
    return error_invalid(err, "dimension %d of the output would be larger than any can be", d);
}

/* ---- Transpose, Slice, Pad, Tile ----------------------------------------- */

bool move_of(const df_kernel *c, move_copy *copy) {
    const df_tensor *x = kernel_input(c, 0), *out = kernel_output(c, 0);
    const move *m = &moves[kernel_which(c)];
    const df_attr *attrs = kernel_attrs(c);
    int64_t from[DF_MAX_RANK], to[DF_MAX_RANK], source = 0, target = 0;
    if (x->elements == 0 || out->elements == 0) return false;
    copy_steps(x, from);
    copy_steps(out, to);
    for (int d = 0; d < x->rank; d++) {
        int s = (int)entry(attrs, m->perm, d, m->perm ? x->rank - 1 - d : d);
        int64_t n = x->dims[s] < out->dims[d] ? x->dims[s] : out->dims[d];
        int64_t step = n > 1 ? entry(attrs, m->step, d, 1) : 1;
        source += entry(attrs, m->begin, d, 0) * from[s];
        target += entry(attrs, m->before, d, 0) * to[d];
        copy->dims[2 * d] = (copy_dim){entry(attrs, m->multiples, d, 1), 0, n * to[d]};
        copy->dims[2 * d + 1] = (copy_dim){n, from[s] * step, to[d]};
    }
    copy->rank = 2 * x->rank;
    copy->from = copy_at(x, source);
    copy->to = copy_at(out, target);
    return true;
}

bool move_surrounds(const df_kernel *c, int64_t *element) {
    const df_tensor *x = kernel_input(c, 0);
    const move *m = &moves[kernel_which(c)];
    if (!m->value || x->elements == kernel_output(c, 0)->elements) return false;
    number_store_floats(x->dtype, &kernel_attrs(c)[m->value - 1].f, 1, element);
    return true;
}

static void run(const df_kernel *c, const move_copy *m) {
    copy_strided(df_dtype_size(kernel_input(c, 0)->dtype), m->dims, m->rank, m->from, m->to);
}

static df_code compute_move(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *out = kernel_output(c, 0);
    int64_t element;
    move_copy m;
    if (move_surrounds(c, &element))
        copy_fill(df_dtype_size(out->dtype), &element, out->elements, out->data);
    if (move_of(c, &m)) run(c, &m);
    return DF_OK;
}

static df_code wrong_entries(const char *attr, int entries, int rank, df_error *err) {
    return error_invalid(err, "attr %s has %d entries; give one for each of %d dimensions", attr,
                         entries, rank);
}

/* Every list has an entry for each dimension of input 0, or is one that may be empty. */
static df_code check_lists(const df_infer *c, const move *m, int *rank, df_error *err) {
    *rank = c->inputs[0]->rank;
    for (int a = 0; a < m->lists; a++) {
        int entries = c->attrs[a].shape.rank;
        if (*rank == -1) *rank = entries < DF_MAX_RANK ? entries : DF_MAX_RANK;
        if (entries == *rank || (a + 1 == m->step && entries == 0)) continue;
        return wrong_entries(c->op->attrs[a].name, entries, *rank, err);
    }
    return DF_OK;
}

/* *n elements from `begin` on, *n of -1: as many as there are, of `size` (-1: unknown). */
static df_code cut(int d, int64_t size, int64_t begin, int64_t step, int64_t *n, df_error *err) {
    if (size == -1) return DF_OK;
    int64_t most = begin < size ? (size - begin - 1) / step + 1 : 0;
    if (begin > size || *n > most)
        return error_invalid(err,
                             "dimension %d has %lld elements; begin %lld, size %lld and step %lld "
                             "reach beyond them",
                             d, (long long)size, (long long)begin, (long long)*n, (long long)step);
    if (*n == -1) *n = most;
    return DF_OK;
}

static df_code infer_move(df_infer *c, df_error *err) {
    const move *m = &moves[infer_which(c)];
    const df_attr *attrs = c->attrs;
    int64_t dims[DF_MAX_RANK];
    int rank;
    df_code code = check_lists(c, m, &rank, err);
    for (int d = 0; d < rank && code == DF_OK; d++) {
        int64_t size = c->inputs[0]->rank == -1 ? -1 : c->inputs[0]->dims[d];
        int64_t around = entry(attrs, m->before, d, 0), multiple = entry(attrs, m->multiples, d, 1);
        dims[d] = entry(attrs, m->size, d, size);
        code =
            cut(d, size, entry(attrs, m->begin, d, 0), entry(attrs, m->step, d, 1), &dims[d], err);
        if (multiple == 0) dims[d] = 0;
        if (code != DF_OK || dims[d] == -1) continue;
        if (__builtin_add_overflow(around, entry(attrs, m->after, d, 0), &around) ||
            __builtin_add_overflow(dims[d], around, &dims[d]) ||
            __builtin_mul_overflow(dims[d], multiple, &dims[d]))
            code = too_large(d, err);
    }
    return code == DF_OK ? df_infer_set(c, 0, (df_shape){rank, dims}, err) : code;
}

static df_code check_perm(df_shape perm, df_error *err) {
    uint32_t seen = 0;
    if (perm.rank < 0 || perm.rank > DF_MAX_RANK)
        return error_invalid(err, "perm has %d entries; give 0 to %d", perm.rank, DF_MAX_RANK);
    for (int d = 0; d < perm.rank; d++) {
        if (perm.dims[d] < 0 || perm.dims[d] >= perm.rank || seen >> perm.dims[d] & 1)
            return error_invalid(
                err,
                "perm is no permutation: its entry %d is %lld; give each of 0 to %d "
                "once",
                d, (long long)perm.dims[d], perm.rank - 1);
        seen |= 1u << perm.dims[d];
    }
    return DF_OK;
}

static df_code infer_transpose(df_infer *c, df_error *err) {
    df_shape perm = c->attrs[PERM].shape;
    df_code code = check_perm(perm, err);
    if (code != DF_OK) return code;
    const edge_type *x = c->inputs[0];
    if (perm.rank && x->rank != -1 && x->rank != perm.rank)
        return wrong_entries("perm", perm.rank, x->rank, err);
    int rank = perm.rank ? perm.rank : x->rank;
    int64_t dims[DF_MAX_RANK];
    for (int d = 0; d < rank; d++)
        dims[d] = x->rank == -1 ? -1 : x->dims[entry(c->attrs, PERM + 1, d, rank - 1 - d)];
    return df_infer_set(c, 0, (df_shape){rank, dims}, err);
}

/* ---- Concat and Split ---------------------------------------------------- */

/* Parts make the whole side by side along the axis: seen from there, each is rows, and the whole's
 * rows are as long as theirs together. */
void move_part(const df_kernel *c, int i, bool split, int64_t *at, move_copy *m) {
    const df_tensor *whole = split ? kernel_input(c, 0) : kernel_output(c, 0);
    const df_tensor *part = split ? kernel_output(c, i) : kernel_input(c, i);
    int axis = axis_in(kernel_attrs(c)[split ? SPLIT_AXIS : CONCAT_AXIS].i, whole->rank);
    int64_t rows = 1, inner = 1;
    for (int d = 0; d < whole->rank; d++) {
        if (d < axis) rows *= whole->dims[d];
        if (d > axis) inner *= whole->dims[d];
    }
    int64_t row = part->dims[axis] * inner, step = whole->dims[axis] * inner;
    void *there = copy_at(whole, *at);
    m->rank = 2;
    m->dims[0] = (copy_dim){rows, split ? step : row, split ? row : step};
    m->dims[1] = (copy_dim){row, 1, 1};
    m->from = split ? there : part->data;
    m->to = split ? part->data : there;
    *at += row;
}

static df_code compute_concat(df_kernel *c, df_error *err) {
    (void)err;
    move_copy m;
    int64_t at = 0;
    for (int i = 0; i < kernel_inputs(c) && kernel_output(c, 0)->elements; i++) {
        move_part(c, i, false, &at, &m);
        run(c, &m);
    }
    return DF_OK;
}

static df_code compute_split(df_kernel *c, df_error *err) {
    (void)err;
    move_copy m;
    int64_t at = 0;
    for (int i = 0; i < kernel_outputs(c) && kernel_input(c, 0)->elements; i++) {
        move_part(c, i, true, &at, &m);
        run(c, &m);
    }
    return DF_OK;
}

/* Takes the shape of input i, beside `all`; along the axis sizes add up. */
static df_code join(const df_infer *c, int i, int axis, edge_type *all, df_error *err) {
    const edge_type *x = c->inputs[i];
    df_code code = infer_rank(c, i, all->rank, err);
    for (int d = 0; d < all->rank && code == DF_OK; d++) {
        int64_t *have = &all->dims[d], size = x->dims[d];
        if (d != axis && !infer_equal_dims(*have, size, have))
            code = error_invalid(
                err,
                "input %d has shape %s, and before there was %s; only along the axis, "
                "%d, may they differ",
                i, edge_text(x).s, edge_text(all).s, axis);
        else if (d == axis && (*have == -1 || size == -1))
            *have = -1;
        else if (d == axis && __builtin_add_overflow(*have, size, have))
            code = too_large(d, err);
    }
    return code;
}

static df_code infer_concat(df_infer *c, df_error *err) {
    edge_type all = {.rank = -1};
    bool open = false;
    int axis = 0;
    df_code code = DF_OK;
    for (int i = 0; i < c->n_inputs && code == DF_OK; i++) {
        if (c->inputs[i]->rank == -1) {
            open = true;
        } else if (all.rank == -1) {
            all = *c->inputs[i];
            code = infer_axis(c->attrs[CONCAT_AXIS].i, all.rank, &axis, err);
        } else {
            code = join(c, i, axis, &all, err);
        }
    }
    if (open) all.dims[axis] = -1;
    return code == DF_OK ? df_infer_set(c, 0, edge_shape(&all), err) : code;
}

/* The parts' sizes, of `size` elements (-1: unknown); false: they do not make them. */
static bool part_sizes(df_shape sizes, int64_t num, int64_t size, int64_t *parts) {
    int64_t rest = size, equal = size == -1 ? -1 : size / num;
    int open = -1;
    if (sizes.rank == 0) {
        for (int i = 0; i < num; i++) parts[i] = equal;
        return size == -1 || equal * num == size;
    }
    for (int i = 0; i < sizes.rank && sizes.rank == num; i++) {
        parts[i] = sizes.dims[i];
        if (parts[i] == -1 && open == -1)
            open = i;
        else if (parts[i] < 0 || (size != -1 && parts[i] > rest))
            return false;
        else if (size != -1)
            rest -= parts[i];
    }
    if (open >= 0) parts[open] = rest;
    return sizes.rank == num && (open >= 0 || rest <= 0);
}

static df_code infer_split(df_infer *c, df_error *err) {
    edge_type x = *c->inputs[0];
    df_shape sizes = c->attrs[SIZES].shape;
    int64_t num = c->attrs[NUM].i, parts[DF_MAX_OUTPUTS];
    int axis = 0;
    df_code code = x.rank == -1 ? DF_OK : infer_axis(c->attrs[SPLIT_AXIS].i, x.rank, &axis, err);
    if (code != DF_OK) return code;
    if (!part_sizes(sizes, num, x.rank == -1 ? -1 : x.dims[axis], parts)) {
        char words[SHAPE_TEXT_MAX];
        (void)shape_print(sizes, words, sizeof words);
        return error_invalid(err, "%s cannot be split along dimension %d into %lld parts of %s: %s",
                             edge_text(c->inputs[0]).s, axis, (long long)num,
                             sizes.rank ? words : "one size",
                             sizes.rank ? "sizes add up, and one may be -1" : "give sizes");
    }
    for (int i = 0; i < c->n_outputs && code == DF_OK; i++) {
        x.dims[axis] = parts[i];
        code = df_infer_set(c, i, edge_shape(&x), err);
    }
    return code;
}

/* ---- the family ---------------------------------------------------------- */

void move_ops(adder *a) {
    add_op_with(a, "Transpose(x: plain) {perm: ints = []} : x", infer_transpose, compute_move, 0,
                TRANSPOSE);
    add_op(a, "Concat(x: plain...) {axis: int} : x", infer_concat, compute_concat, 0);
    add_op(a, "Split(x: plain) {num: int in [1, 64], axis: int, sizes: ints = []} : x * num",
           infer_split, compute_split, 0);
    add_op_with(a,
                "Slice(x: plain) {begin: ints in [0, ], size: ints in [-1, ], "
                "step: ints = [] in [1, ]} : x",
                infer_move, compute_move, 0, SLICE);
    add_op_with(a,
                "Pad(x: plain) {before: ints in [0, ], after: ints in [0, ], value: float = 0} "
                ": x",
                infer_move, compute_move, 0, PAD);
    add_op_with(a, "Tile(x: plain) {multiples: ints in [0, ]} : x", infer_move, compute_move, 0,
                TILE);
}
