/* SPDX-License-Identifier: MIT
 *
 * MatMul: [..,m,k] x [..,k,n] -> [..,m,n]. A transposed operand is the same elements with the
 * two strides exchanged. Integers are multiplied as unsigned ones, which wrap around.
 */
#include "kernels/matmul.h"

#include <string.h>

#include "kernels/family.h"

enum { TRANSPOSE_A = 0, TRANSPOSE_B = 1 }; /* the index of the attr is the input's */

/* ---- one product --------------------------------------------------------- */

/* The output is cut into tiles of ROWS rows and VECTORS vectors, each held in registers while it
 * runs through a block of k; the part of b that it needs, a panel of strips, is first copied to
 * the stack, where its rows lie side by side, stored transposed or not. Blocks of k come
 * in ascending order and a tile goes on from what the last one left, so every element is
 * the plain sum in ascending order of k, the tile's edges included.
 *
 * A tile takes 8 of the 16 vector registers that every x86-64 has; a panel of 256 steps of k is
 * 8 KiB, well inside a first-level cache. */
enum { ROWS = 4, VECTORS = 2, VECTOR_BYTES = 16, STRIP = VECTORS * VECTOR_BYTES, BLOCK = 256 };

typedef struct strip {
    _Alignas(VECTOR_BYTES) char bytes[STRIP];
} strip;

#define MATMUL_T   float
#define MATMUL_TAG f32
#define MATMUL_WHOLE
#include "kernels/matmul_of.inc"

#define MATMUL_T   double
#define MATMUL_TAG f64
#define MATMUL_WHOLE
#include "kernels/matmul_of.inc"

#define MATMUL_T   uint32_t
#define MATMUL_TAG i32
#include "kernels/matmul_of.inc"

#define MATMUL_T   uint64_t
#define MATMUL_TAG i64
#include "kernels/matmul_of.inc"

typedef struct tile_loops {
    void (*whole)(const matmul *m, const char *a, const strip *panel, int64_t np, char *c);
    void (*part)(const matmul *m, const char *a, const strip *panel, int64_t np, size_t bytes,
                 char *c);
} tile_loops;

/* Integers, which are seldom many, go row by row. */
static const tile_loops loops_by_dtype[] = {
    [DF_FLOAT32] = {whole_tile_f32, part_row_f32},
    [DF_FLOAT64] = {whole_tile_f64, part_row_f64},
    [DF_INT32] = {NULL, part_row_i32},
    [DF_INT64] = {NULL, part_row_i64},
};

/* np rows of b, `bytes` wide; where the strip is wider there are zeros, and what they give is
 * not stored. */
static void pack(const matmul *m, const char *b, int64_t size, int64_t np, int64_t bytes,
                 strip *panel) {
    if (bytes < STRIP) memset(panel, 0, (size_t)np * sizeof *panel);
    if (m->b_col == size && bytes == STRIP) size = STRIP; /* a whole row at once */
    for (int64_t j = 0; j < bytes; j += size, b += m->b_col) {
        const char *from = b;
        char *to = panel->bytes + j, *end = to + np * STRIP;
        for (; to != end; to += STRIP, from += m->b_row)
            if (size == STRIP)
                memcpy(to, from, STRIP);
            else if (size == 4)
                memcpy(to, from, 4);
            else
                memcpy(to, from, 8);
    }
}

void matmul_add(df_dtype dtype, const matmul *m) {
    if (m->blas && blas_add(m->blas, dtype, m)) return;
    strip panel[BLOCK];
    tile_loops loops = loops_by_dtype[dtype];
    int64_t size = (int64_t)df_dtype_size(dtype), width = m->n * size, np;
    for (int64_t p = 0; p < m->k; p += np) {
        np = m->k - p < BLOCK ? m->k - p : BLOCK;
        const char *b = m->b + p * m->b_row;
        for (int64_t j = 0; j < width; j += STRIP, b += m->b_col * (STRIP / size)) {
            int64_t bytes = width - j < STRIP ? width - j : STRIP, i = m->m;
            const char *a = m->a + p * m->a_col;
            char *c = m->c + j;
            pack(m, b, size, np, bytes, panel);
            for (; i >= ROWS && bytes == STRIP && loops.whole; i -= ROWS) {
                loops.whole(m, a, panel, np, c);
                a += ROWS * m->a_row;
                c += ROWS * m->c_row;
            }
            for (; i > 0; i--) {
                loops.part(m, a, panel, np, (size_t)bytes, c);
                a += m->a_row;
                c += m->c_row;
            }
        }
    }
}

/* ---- batches ------------------------------------------------------------- */

/* Where matrix `at` of the batch begins in t, in matrices. */
static int64_t matrix_at(const df_tensor *t, const df_tensor *out, int64_t at) {
    int64_t offset = 0, stride = 1;
    for (int d = t->rank - 3, o = out->rank - 3; d >= 0; d--, o--) {
        if (t->dims[d] != 1) offset += at % out->dims[o] * stride;
        stride *= t->dims[d];
        at /= out->dims[o];
    }
    return offset;
}

COLD static df_code compute_matmul(df_kernel *c, df_error *err) {
    (void)err;
    df_tensor *out = c->outputs[0];
    int64_t size = (int64_t)df_dtype_size(out->dtype);
    int64_t bytes[2], n[2][2], stride[2][2]; /* of a matrix; of its rows and columns */
    if (out->elements == 0) return DF_OK;
    for (int s = 0; s < 2; s++) {
        const df_tensor *t = c->inputs[s];
        const int64_t *last = t->dims + t->rank - 2;
        bool turn = c->attrs[s].i;
        n[s][turn] = last[0];
        n[s][!turn] = last[1];
        stride[s][turn] = last[1] * size;
        stride[s][!turn] = size;
        bytes[s] = last[0] * last[1] * size;
    }
    matmul m = {.m = n[0][0],
                .k = n[0][1],
                .n = n[1][1],
                .a_row = stride[0][0],
                .a_col = stride[0][1],
                .b_row = stride[1][0],
                .b_col = stride[1][1],
                .c_row = n[1][1] * size,
                .blas = kernel_blas(c)};
    if (c->inputs[1]->bytes == (size_t)bytes[1] && !c->attrs[TRANSPOSE_A].i)
        m.m = out->elements / m.n; /* all meet the same b: one product */
    char *to = memset(out->data, 0, out->bytes), *end = to + out->bytes; /* 0 is all bits 0 */
    for (int64_t i = 0; to < end; i++, to += m.m * m.c_row) {
        const char *from[2];
        for (int s = 0; s < 2; s++)
            from[s] = (char *)c->inputs[s]->data + matrix_at(c->inputs[s], out, i) * bytes[s];
        m.a = from[0];
        m.b = from[1];
        m.c = to;
        matmul_add(out->dtype, &m);
    }
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

COLD static df_code infer_matmul(df_infer *c, df_error *err) {
    edge_type batch[2];
    int64_t last[2][2] = {{-1, -1}, {-1, -1}}, k; /* rows and columns of each */
    shape_text words[2];
    const char *turned[2];
    for (int i = 0; i < 2; i++) {
        const edge_type *t = c->inputs[i];
        bool turn = c->attrs[i].i;
        batch[i] = *t;
        words[i] = edge_text(t);
        turned[i] = turn ? " transposed" : "";
        if (t->rank == -1) continue;
        if (t->rank < 2)
            return error_invalid(
                err, "input %d has shape %s; it takes at least 2 dimensions: use Reshape", i,
                words[i].s);
        batch[i].rank -= 2;
        last[i][turn] = t->dims[t->rank - 2];
        last[i][!turn] = t->dims[t->rank - 1];
    }
    if (!infer_equal_dims(last[0][1], last[1][0], &k))
        return error_invalid(
            err,
            "%s%s x %s%s: %lld columns meet %lld rows; they must be equal, perhaps "
            "with transpose_a or transpose_b",
            words[0].s, turned[0], words[1].s, turned[1], (long long)last[0][1],
            (long long)last[1][0]);
    df_infer front = *c;
    front.inputs = (const edge_type *[]){&batch[0], &batch[1]};
    if (infer_broadcast(&front, err) != DF_OK)
        return error_invalid(
            err,
            "%s x %s: what is in front of the last two dimensions must broadcast, and "
            "%s and %s do not",
            words[0].s, words[1].s, edge_text(&batch[0]).s, edge_text(&batch[1]).s);
    edge_type *out = &c->outputs[0];
    if (out->rank == -1) return DF_OK;
    out->dims[out->rank++] = last[0][0];
    out->dims[out->rank++] = last[1][1];
    return DF_OK;
}

void matmul_ops(adder *a) {
    add_op(a,
           "MatMul(a: float32|float64|int32|int64, b: a) "
           "{transpose_a: bool = false, transpose_b: bool = false} : a",
           infer_matmul, compute_matmul, 0);
}
