/* SPDX-License-Identifier: MIT
 *
 * args.h - what the host gives to each kernel of the GPU: one struct, by value. Both sides
 * read this file.
 *
 * Addresses are the device's, strides and sizes are counted in elements, and dimensions come
 * innermost first, joined where two are one run.
 */
#ifndef KERNELS_CUDA_ARGS_H
#define KERNELS_CUDA_ARGS_H

#include <dataflow/tensor.h>

#include <stdint.h>

/* Where elements lie that are read or written: an address; in OpenCL, an offset in a buffer
 * ("device/opencl/launch.h"). */
#ifdef IN_OPENCL
typedef uint64_t cuda_in, cuda_out;
#else
typedef const void *cuda_in;
typedef void *cuda_out;
#endif

/* Threads of a block where no family says otherwise. */
enum { CUDA_BLOCK = 256 };

/* ---- what only values show ----------------------------------------------- */

typedef enum cuda_mistake {
    CUDA_DIVIDES_BY_0 = 1, /* element of input 1 */
    CUDA_NEGATIVE_POWER,   /* so */
    CUDA_WRONG_INDEX, /* element of input 1; `value` is it, and `limit` what it must be below */
    CUDA_WRONG_LABEL  /* so */
} cuda_mistake;

/* The first mistake that was found; in memory that the host can read. The kernel goes on: what it
 * cannot compute is 0, and a row that it cannot find is left out. */
typedef struct cuda_fault {
    uint32_t state; /* 0: none yet; 1: being written; 2: all is there */
    int32_t mistake;
    int64_t element, value, limit;
} cuda_fault;
#ifdef IN_OPENCL
typedef uint64_t cuda_report;
#else
typedef cuda_fault *cuda_report;
#endif

/* ---- element by element -------------------------------------------------- */

enum { CUDA_OPERANDS = 3 };

typedef struct cuda_operand {
    cuda_in data; /* NULL: `number` everywhere */
    double number;
    int64_t strides[DF_MAX_RANK]; /* 0: stretched */
} cuda_operand;

/* arith_T, function_T: T is the operands' dtype. select_N: the first is bool, the others N
 * bytes. */
typedef struct cuda_elementwise {
    cuda_out out;
    int64_t n;
    int32_t kind; /* loop_kind */
    int32_t rank;
    int64_t dims[DF_MAX_RANK];
    cuda_operand in[CUDA_OPERANDS];
    cuda_report fault; /* NULL: nobody wants to know */
} cuda_elementwise;

/* cast */
typedef struct cuda_cast {
    cuda_in in;
    cuda_out out;
    int64_t n;
    int32_t from, to; /* df_dtype */
} cuda_cast;

/* range: start + i * delta. Floats are in f, integers in i. */
typedef struct cuda_range {
    cuda_out out;
    int64_t n;
    int32_t dtype;
    double start_f, delta_f;
    int64_t start_i, delta_i;
} cuda_range;

/* random_fill: as "kernels/random.c" says. */
typedef struct cuda_random {
    cuda_out out;
    int64_t n;
    uint64_t seed, counter;
    int32_t dtype, normal;
} cuda_random;

/* ---- movement ------------------------------------------------------------ */

enum { CUDA_COPY_RANK = 2 * DF_MAX_RANK };

/* copy_N, of elements of N bytes. */
typedef struct cuda_copy {
    cuda_in from; /* NULL: the lowest bytes of `bits`, everywhere */
    cuda_out to;
    uint64_t bits;
    int64_t n;
    int32_t rank;
    int64_t dims[CUDA_COPY_RANK], from_steps[CUDA_COPY_RANK], to_steps[CUDA_COPY_RANK];
} cuda_copy;

/* turn_4, turn_8: a cuda_copy whose source has dimension 1 innermost, and whose target has
 * dimension 0; a block moves CUDA_TURN x CUDA_TURN of the two. */
enum { CUDA_TURN = 32 };

/* gather_N: out[o, i, r] = x[o, indices[i], r]; 0 where there is no such. */
typedef struct cuda_gather {
    cuda_in x, indices;
    cuda_out out;
    int64_t n, size, count, row; /* elements of out; of the axis; of the indices; of r */
    int32_t wide;                /* indices are int64, not int32 */
    cuda_report fault;
} cuda_gather;

/* scatter_add: out[indices[i], r] += updates[i, r], in ascending order of i. */
typedef struct cuda_scatter {
    cuda_in indices, updates;
    cuda_out out;
    int64_t size, count, row;
    int32_t wide, dtype;
    cuda_report fault;
} cuda_scatter;

/* ---- reductions ---------------------------------------------------------- */

/* fold_float, fold_int. A block folds `lanes` results side by side, each by 1 / lanes of its
 * threads: thread p takes elements p, p + parts, ..., and then the threads of a result are
 * folded pairwise. So the order depends on the shape alone. */
enum { CUDA_FOLD_BLOCK = 1024 }; /* threads, at most */
typedef struct cuda_fold {
    cuda_in in;
    cuda_out out;
    int64_t results, count; /* elements in a result */
    int32_t from, to;       /* df_dtype */
    int32_t kind;           /* fold_kind */
    int32_t mean, smallest, arg;
    int32_t lanes; /* a power of 2 */
    int32_t kept_rank, reduced_rank;
    int64_t kept[DF_MAX_RANK], kept_steps[DF_MAX_RANK];
    int64_t reduced[DF_MAX_RANK], reduced_steps[DF_MAX_RANK];
} cuda_fold;

/* softmax, softmax_grad, cross_entropy, layer_norm, norm_moments, norm_columns, norm_grad: a block
 * a row (norm_columns: a column). Not all have all. */
typedef struct cuda_rows {
    cuda_in x, dy, y, scale, offset, labels;
    cuda_out out, loss, dscale, doffset;
    int64_t rows, n;
    double epsilon;
    int32_t dtype, wide; /* labels are int64 */
    int32_t kept;        /* moments lie where each row of `out` will be */
    cuda_report fault;
} cuda_rows;

/* ---- products and windows ------------------------------------------------ */

/* A block's part of the result, and how much of k it holds at once. */
enum { CUDA_TILE = 64, CUDA_TILE_K = 16, CUDA_TILE_EACH = 4 };

/* matmul_T: c[at, m, n] = a[at, m, k] x b[at, k, n], with batches that broadcast. */
typedef struct cuda_matmul {
    cuda_in a, b;
    cuda_out c;
    int64_t m, k, n, batches, tiles; /* of all batches */
    int64_t a_row, a_col, b_row, b_col;
    int32_t rank;
    int64_t dims[DF_MAX_RANK], a_steps[DF_MAX_RANK], b_steps[DF_MAX_RANK];
} cuda_matmul;

/* As slide in "kernels/window.h". */
typedef struct cuda_slide {
    int64_t in, out, size, apart, step, before;
} cuda_slide;

/* A block of conv_image_T has so many channels of so many pixels. */
enum { CUDA_CONV_CHANNELS = 32, CUDA_CONV_PIXELS = CUDA_BLOCK / CUDA_CONV_CHANNELS };

/* conv_T, conv_image_T, conv_filter_T: each thread an element of y, x or filter, from the others.
 * pool, pool_grad: of y, or of the gradient dx. */
typedef struct cuda_window {
    cuda_in x, filter, y;
    cuda_out to;
    int64_t n;              /* elements of `to` */
    int64_t batch, in, out; /* channels of x and y; of a pool they are equal */
    cuda_slide h, w;
    int32_t largest, dtype;
} cuda_window;

#endif /* KERNELS_CUDA_ARGS_H */
