/* SPDX-License-Identifier: MIT
 *
 * MatMul: [..,m,k] x [..,k,n] -> [..,m,n]. A transposed operand is the same elements with the
 * two strides exchanged. Integers are multiplied as unsigned ones, which wrap around.
 */
#include "kernels/matmul.h"

#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "kernels/family.h"
#include "op/number.h"

enum { TRANSPOSE_A = 0, TRANSPOSE_B = 1 }; /* the index of the attr is the input's */

/* What COLD calls must not be compiled as small as that. */
#define HOT __attribute__((hot, noinline))

/* ---- one product --------------------------------------------------------- */

/* The output is cut into tiles of ROWS rows and two vectors of columns, held in registers while
 * they run through a block of k; the part of b that they need, a panel, is first copied to
 * the stack, where its rows lie side by side, stored transposed or not; unless only few
 * rows meet it, and it can be read where it is. Blocks of k come in ascending order and a
 * tile goes on from what the last one left, so every element is the plain sum in ascending
 * order of k, the tile's edges included; how many of them a vector has makes no difference.
 *
 * A tile takes 8 vector registers, of the 16 that every x86-64 has, or of wide ones. A panel of 256
 * steps of k is 8 KiB, or 16: well inside a first-level cache. */
enum { ROWS = 4, NARROW = 32, WIDE = 64, BLOCK = 256, FEW_ROWS = 8 };

/* c += a x b, for k > 0: of four rows and two vectors of columns. Where all rows of a, and all of
 * c, are one and the same, it is one row. */
typedef void tile_loop(const char *a, int64_t a_row, int64_t a_col, const char *b, int64_t b_row,
                       int64_t k, char *c, int64_t c_row);
/* The same of one row, and of so many bytes of it that there are. */
typedef void row_loop(const char *a, int64_t a_col, const char *b, int64_t b_row, int64_t k,
                      size_t bytes, char *c);

#define MATMUL_T     float
#define MATMUL_TAG   f32
#define MATMUL_BYTES 16
#define MATMUL_TILE
#define MATMUL_FOR
#include "kernels/matmul_of.inc"

#define MATMUL_T     double
#define MATMUL_TAG   f64
#define MATMUL_BYTES 16
#define MATMUL_TILE
#define MATMUL_FOR
#include "kernels/matmul_of.inc"

#define MATMUL_T     uint32_t
#define MATMUL_TAG   i32
#define MATMUL_BYTES 16
#define MATMUL_FOR   COLD
#include "kernels/matmul_of.inc"

#define MATMUL_T     uint64_t
#define MATMUL_TAG   i64
#define MATMUL_BYTES 16
#define MATMUL_FOR   COLD
#include "kernels/matmul_of.inc"

#ifdef __x86_64__
#define MATMUL_T     float
#define MATMUL_TAG   wide_f32
#define MATMUL_BYTES 32
#define MATMUL_TILE
#define MATMUL_FOR __attribute__((target("avx2")))
#include "kernels/matmul_of.inc"

#define MATMUL_T     double
#define MATMUL_TAG   wide_f64
#define MATMUL_BYTES 32
#define MATMUL_TILE
#define MATMUL_FOR __attribute__((target("avx2")))
#include "kernels/matmul_of.inc"

COLD bool matmul_can_be_wide(void) {
    unsigned a, b, c, d, xcr0, ignored;
    const unsigned saves = bit_OSXSAVE | bit_AVX;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & saves) != saves) return false;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(ignored) : "c"(0));
    return (xcr0 & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
#else
#define tile_wide_f32 tile_f32 /* never asked for */
#define tile_wide_f64 tile_f64

bool matmul_can_be_wide(void) {
    return false;
}
#endif

/* A block of k: np rows of a strip of b, as they lie. */
typedef struct block {
    const char *b;
    int64_t b_row, np, bytes, strip;
} block;

/* np rows of b, `bytes` wide, into a panel `strip` wide, so many bytes of a row at a time. Where
 * the strip is wider there are zeros, and what they give is not stored. */
HOT static void pack(const matmul *m, const char *b, int64_t piece, const block *k, char *panel) {
    int64_t step = piece == NARROW ? NARROW : m->b_col;
    if (k->bytes < k->strip) memset(panel, 0, (size_t)(k->np * k->strip));
    for (int64_t j = 0; j < k->bytes; j += piece, b += step) {
        const char *from = b;
        char *to = panel + j, *end = to + k->np * k->strip;
        for (; to != end; to += k->strip, from += m->b_row)
            if (piece == NARROW)
                memcpy(to, from, NARROW);
            else if (piece == 4)
                memcpy(to, from, 4);
            else
                memcpy(to, from, 8);
    }
}

/* n rows, four or one, that are not as wide as the strip: computed beside c, with whatever lies
 * there for the rest. */
HOT static void add_edge(tile_loop *loop, const matmul *m, const char *a, int64_t a_row,
                         const block *k, char *c, int64_t c_row, int n) {
    char tile[ROWS * WIDE];
    size_t bytes = (size_t)k->bytes;
    for (int i = 0; i < n; i++) memcpy(tile + i * WIDE, c + i * c_row, bytes);
    loop(a, a_row, m->a_col, k->b, k->b_row, k->np, tile, n == 1 ? 0 : WIDE);
    for (int i = 0; i < n; i++) memcpy(c + i * c_row, tile + i * WIDE, bytes);
}

COLD static void add_floats(tile_loop *loop, const matmul *m, const char *a, const block *k,
                            char *c) {
    for (int64_t i = m->m, n; i > 0; i -= n, a += n * m->a_row, c += n * m->c_row) {
        n = i < ROWS ? 1 : ROWS;
        int64_t a_row = n == 1 ? 0 : m->a_row, c_row = n == 1 ? 0 : m->c_row;
        if (k->bytes == k->strip)
            loop(a, a_row, m->a_col, k->b, k->b_row, k->np, c, c_row);
        else
            add_edge(loop, m, a, a_row, k, c, c_row, (int)n);
    }
}

/* Integers, which are seldom many: row by row. */
COLD static void add_ints(row_loop *loop, const matmul *m, const char *a, const block *k, char *c) {
    for (int64_t i = m->m; i > 0; i--, a += m->a_row, c += m->c_row)
        loop(a, m->a_col, k->b, k->b_row, k->np, (size_t)k->bytes, c);
}

COLD static void add_block(df_dtype dtype, const matmul *m, const char *a, const block *k,
                           char *c) {
    bool wide = k->strip == WIDE;
    if (dtype == DF_FLOAT32)
        add_floats(wide ? tile_wide_f32 : tile_f32, m, a, k, c);
    else if (dtype == DF_FLOAT64)
        add_floats(wide ? tile_wide_f64 : tile_f64, m, a, k, c);
    else
        add_ints(dtype == DF_INT32 ? row_i32 : row_i64, m, a, k, c);
}

COLD void matmul_add(df_dtype dtype, const matmul *m) {
    if (m->blas && blas_add(m->blas, dtype, m)) return;
    char panel[BLOCK * WIDE];
    int64_t size = (int64_t)df_dtype_size(dtype), width = m->n * size;
    bool wide = m->wide && number_is_float(dtype);
    block k;
    for (int64_t p = 0; p < m->k; p += k.np) {
        const char *b = m->b + p * m->b_row;
        k.np = m->k - p < BLOCK ? m->k - p : BLOCK;
        for (int64_t j = 0; j < width; j += k.bytes, b += m->b_col * (k.bytes / size)) {
            k.strip = wide && width - j > NARROW ? WIDE : NARROW;
            k.bytes = width - j < k.strip ? width - j : k.strip;
            bool lies = m->b_col == size && k.bytes == k.strip;
            k.b = lies && m->m < FEW_ROWS ? b : panel;
            k.b_row = k.b == b ? m->b_row : k.strip;
            if (k.b != b) pack(m, b, lies ? NARROW : size, &k, panel);
            add_block(dtype, m, m->a + p * m->a_col, &k, m->c + j);
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
    df_tensor *out = kernel_output(c, 0);
    int64_t size = (int64_t)df_dtype_size(out->dtype);
    int64_t bytes[2], n[2][2], stride[2][2]; /* of a matrix; of its rows and columns */
    if (out->elements == 0) return DF_OK;
    for (int s = 0; s < 2; s++) {
        const df_tensor *t = kernel_input(c, s);
        const int64_t *last = t->dims + t->rank - 2;
        bool turn = kernel_attrs(c)[s].i;
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
                .wide = kernel_which(c),
                .blas = kernel_blas(c)};
    if (kernel_input(c, 1)->bytes == (size_t)bytes[1] && !kernel_attrs(c)[TRANSPOSE_A].i)
        m.m = out->elements / m.n; /* all meet the same b: one product */
    char *to = memset(out->data, 0, out->bytes), *end = to + out->bytes; /* 0 is all bits 0 */
    for (int64_t i = 0; to < end; i++, to += m.m * m.c_row) {
        const char *from[2];
        for (int s = 0; s < 2; s++)
            from[s] =
                (char *)kernel_input(c, s)->data + matrix_at(kernel_input(c, s), out, i) * bytes[s];
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
    add_op_with(a,
                "MatMul(a: float32|float64|int32|int64, b: a) "
                "{transpose_a: bool = false, transpose_b: bool = false} : a",
                infer_matmul, compute_matmul, 0, a->wide);
}
