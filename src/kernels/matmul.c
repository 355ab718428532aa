/* SPDX-License-Identifier: MIT
 *
 * MatMul: [m,k] x [k,n] -> [m,n]. A transposed operand is the same elements with the two
 * strides exchanged. Integers are multiplied as unsigned ones, which wrap around.
 */
#include <string.h>

#include "kernels/family.h"

/* A tile of four rows, two vectors each, takes 8 of the 16 vector registers that every
 * x86-64 has; a panel of 256 steps of k is 8 KiB, well inside a first-level cache. */
enum { ROWS = 4, VECTORS = 2, VECTOR_BYTES = 16, BLOCK = 256 };

enum { TRANSPOSE_A = 0, TRANSPOSE_B = 1 };

typedef struct matmul {
    int64_t m, k, n;
    const void *a, *b;
    int64_t a_row, a_col, b_row, b_col; /* strides of [m,k] and [k,n], in elements */
    void *c;
} matmul;

#define MATMUL_T   float
#define MATMUL_TAG f32
#include "kernels/matmul_of.inc"

#define MATMUL_T   double
#define MATMUL_TAG f64
#include "kernels/matmul_of.inc"

#define MATMUL_T   uint32_t
#define MATMUL_TAG i32
#include "kernels/matmul_of.inc"

#define MATMUL_T   uint64_t
#define MATMUL_TAG i64
#include "kernels/matmul_of.inc"

static matmul matmul_of(const df_kernel *c) {
    const df_tensor *a = c->inputs[0], *b = c->inputs[1];
    bool turn_a = c->attrs[TRANSPOSE_A].i, turn_b = c->attrs[TRANSPOSE_B].i;
    matmul m = {.m = a->dims[turn_a],
                .k = a->dims[!turn_a],
                .n = b->dims[!turn_b],
                .a = a->data,
                .b = b->data,
                .a_row = turn_a ? 1 : a->dims[1],
                .a_col = turn_a ? a->dims[1] : 1,
                .b_row = turn_b ? 1 : b->dims[1],
                .b_col = turn_b ? b->dims[1] : 1,
                .c = c->outputs[0]->data};
    return m;
}

static df_code compute_matmul(df_kernel *c, df_error *err) {
    (void)err;
    df_tensor *out = c->outputs[0];
    matmul m = matmul_of(c);
    if (out->elements == 0) return DF_OK;
    memset(out->data, 0, out->bytes); /* 0 is all bits 0 in each of the dtypes */
    switch (out->dtype) {
    case DF_FLOAT32:
        multiply_f32(&m);
        break;
    case DF_FLOAT64:
        multiply_f64(&m);
        break;
    case DF_INT32:
        multiply_i32(&m);
        break;
    case DF_INT64:
        multiply_i64(&m);
        break;
    default:
        break;
    }
    return DF_OK;
}

/* Dimension d of an input as it enters the product; -1: unknown. */
static int64_t dim_of(const edge_type *t, bool turned, int d) {
    return t->rank == 2 ? t->dims[turned ? 1 - d : d] : -1;
}

static df_code infer_matmul(df_infer *c, df_error *err) {
    df_code code = infer_rank(c, 0, 2, err);
    if (code == DF_OK) code = infer_rank(c, 1, 2, err);
    if (code != DF_OK) return code;
    const edge_type *a = c->inputs[0], *b = c->inputs[1];
    bool turn_a = c->attrs[TRANSPOSE_A].i, turn_b = c->attrs[TRANSPOSE_B].i;
    int64_t k;
    if (!infer_equal_dims(dim_of(a, turn_a, 1), dim_of(b, turn_b, 0), &k))
        return error_set(err, DF_INVALID_ARGUMENT,
                         "%s%s x %s%s: %lld columns meet %lld rows; they must be equal, perhaps "
                         "with transpose_a or transpose_b",
                         edge_text(a).s, turn_a ? " transposed" : "", edge_text(b).s,
                         turn_b ? " transposed" : "", (long long)dim_of(a, turn_a, 1),
                         (long long)dim_of(b, turn_b, 0));
    int64_t dims[] = {dim_of(a, turn_a, 0), dim_of(b, turn_b, 1)};
    return df_infer_set(c, 0, (df_shape){2, dims}, err);
}

static const op_row rows[] = {
    {.signature = "MatMul(a: float32|float64|int32|int64, b: a) "
                  "{transpose_a: bool = false, transpose_b: bool = false} : a",
     .infer = infer_matmul,
     .compute = compute_matmul},
};

const family matmul_family = FAMILY(rows);
