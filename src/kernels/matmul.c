/* SPDX-License-Identifier: MIT
 *
 * MatMul: [..,m,k] x [..,k,n] -> [..,m,n]. A transposed operand is the same elements with the
 * two strides exchanged, and one without a batch is met again at a stride of 0. Integers are
 * multiplied as unsigned ones, which wrap around.
 */
#include "kernels/matmul.h"

#include <string.h>

#include "kernels/family.h"
#include "kernels/types.h"

/* A tile of four rows, two vectors each, takes 8 of the 16 vector registers that every
 * x86-64 has; a panel of 256 steps of k is 8 KiB, well inside a first-level cache. */
enum { ROWS = 4, VECTORS = 2, VECTOR_BYTES = 16, BLOCK = 256 };

enum { TRANSPOSE_A = 0, TRANSPOSE_B = 1 };

#define MATMUL_T   float
#define MATMUL_TAG f32
#include "kernels/matmul_of.inc"

#define MATMUL_T   double
#define MATMUL_TAG f64
#include "kernels/matmul_of.inc"

/* Integers, which are seldom many, need no more than rows of c. */
#define MULTIPLY(ARG, DTYPE, TAG, T, W, CLASS)                                                     \
    static void multiply_##TAG(const matmul *m) {                                                  \
        const W *a = m->a;                                                                         \
        for (int64_t i = 0; i < m->m; i++)                                                         \
            for (int64_t p = 0; p < m->k; p++) {                                                   \
                W x = a[i * m->a_row + p * m->a_col], *c = (W *)m->c + i * m->c_row;               \
                const W *b = (const W *)m->b + p * m->b_row;                                       \
                for (int64_t j = 0; j < m->n; j++) c[j] += x * b[j * m->b_col];                    \
            }                                                                                      \
    }
WIDE_INTEGERS(MULTIPLY, )

void matmul_add(df_dtype dtype, const matmul *m) {
    static void (*const multiply_by_dtype[])(const matmul *) = {
        REALS(BY_DTYPE, multiply) WIDE_INTEGERS(BY_DTYPE, multiply)};
    multiply_by_dtype[dtype](m);
}

/* ---- batches ------------------------------------------------------------- */

/* What is the same of all the products. */
static matmul matmul_of(const df_kernel *c) {
    const df_tensor *a = c->inputs[0], *b = c->inputs[1];
    const int64_t *last_a = a->dims + a->rank - 2, *last_b = b->dims + b->rank - 2;
    bool turn_a = c->attrs[TRANSPOSE_A].i, turn_b = c->attrs[TRANSPOSE_B].i;
    return (matmul){.m = last_a[turn_a],
                    .k = last_a[!turn_a],
                    .n = last_b[!turn_b],
                    .a_row = turn_a ? 1 : last_a[1],
                    .a_col = turn_a ? last_a[1] : 1,
                    .b_row = turn_b ? 1 : last_b[1],
                    .b_col = turn_b ? last_b[1] : 1,
                    .c_row = last_b[!turn_b]};
}

/* Where matrix `at` of the batch begins in t, whose matrices have `size` elements. */
static int64_t matrix_at(const df_tensor *t, const df_tensor *out, int64_t at, int64_t size) {
    int64_t offset = 0;
    for (int d = t->rank - 3, o = out->rank - 3; d >= 0; d--, o--) {
        if (t->dims[d] != 1) offset += at % out->dims[o] * size;
        size *= t->dims[d];
        at /= out->dims[o];
    }
    return offset;
}

static df_code compute_matmul(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *a = c->inputs[0], *b = c->inputs[1];
    df_tensor *out = c->outputs[0];
    matmul m = matmul_of(c);
    if (out->elements == 0) return DF_OK;
    int64_t size_a = m.m * m.k, size_b = m.k * m.n;
    if (b->elements == size_b && m.a_row == m.k) m.m = out->elements / m.n; /* one product */
    int64_t n = out->elements / (m.m * m.n);
    size_t size = df_dtype_size(out->dtype), step = out->bytes / (size_t)n;
    m.c = memset(out->data, 0, out->bytes); /* 0 is all bits 0 in each of the dtypes */
    for (int64_t i = 0; i < n; i++) {
        m.a = (const char *)a->data + (size_t)matrix_at(a, out, i, size_a) * size;
        m.b = (const char *)b->data + (size_t)matrix_at(b, out, i, size_b) * size;
        matmul_add(out->dtype, &m);
        m.c = (char *)m.c + step;
    }
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

/* Takes the last two dimensions off as [rows, cols] of the product; false: there are none. */
static bool split(const edge_type *t, bool turned, edge_type *batch, int64_t last[2]) {
    *batch = *t;
    last[0] = last[1] = -1;
    if (t->rank == -1) return true;
    if (t->rank < 2) return false;
    batch->rank -= 2;
    last[turned] = t->dims[t->rank - 2];
    last[!turned] = t->dims[t->rank - 1];
    return true;
}

static df_code infer_matmul(df_infer *c, df_error *err) {
    edge_type batch[2];
    int64_t a[2], b[2], k;
    bool turn_a = c->attrs[TRANSPOSE_A].i, turn_b = c->attrs[TRANSPOSE_B].i;
    int bad = !split(c->inputs[0], turn_a, &batch[0], a)   ? 0
              : !split(c->inputs[1], turn_b, &batch[1], b) ? 1
                                                           : -1;
    if (bad >= 0)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "input %d has shape %s; it takes at least 2 dimensions: use Reshape", bad,
                         edge_text(c->inputs[bad]).s);
    shape_text words[] = {edge_text(c->inputs[0]), edge_text(c->inputs[1])};
    if (!infer_equal_dims(a[1], b[0], &k))
        return error_set(err, DF_INVALID_ARGUMENT,
                         "%s%s x %s%s: %lld columns meet %lld rows; they must be equal, perhaps "
                         "with transpose_a or transpose_b",
                         words[0].s, turn_a ? " transposed" : "", words[1].s,
                         turn_b ? " transposed" : "", (long long)a[1], (long long)b[0]);
    df_infer front = *c;
    front.inputs = (const edge_type *[]){&batch[0], &batch[1]};
    if (infer_broadcast(&front, err) != DF_OK)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "%s x %s: what is in front of the last two dimensions must broadcast, and "
                         "%s and %s do not",
                         words[0].s, words[1].s, edge_text(&batch[0]).s, edge_text(&batch[1]).s);
    edge_type *out = &c->outputs[0];
    if (out->rank == -1) return DF_OK;
    out->dims[out->rank++] = a[0];
    out->dims[out->rank++] = b[1];
    return DF_OK;
}

static const op_row rows[] = {
    {.signature = "MatMul(a: float32|float64|int32|int64, b: a) "
                  "{transpose_a: bool = false, transpose_b: bool = false} : a",
     .infer = infer_matmul,
     .compute = compute_matmul},
};

const family matmul_family = FAMILY(rows);
