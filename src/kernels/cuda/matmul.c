/* SPDX-License-Identifier: MIT
 *
 * MatMul: by cuBLAS if there is one and it can, else by the kernel in here, which gives the CPU's
 * bits.
 */
#include "kernels/cuda/host.h"
#include "op/number.h"

/* Where each matrix of the batch lies, along what stands in front of the last two dimensions
 * of the output. */
static void set_batches(cuda_matmul *a, const df_tensor *x, const df_tensor *y,
                        const df_tensor *out) {
    int64_t inside[] = {x->dims[x->rank - 2] * x->dims[x->rank - 1],
                        y->dims[y->rank - 2] * y->dims[y->rank - 1]};
    const df_tensor *const t[] = {x, y};
    int64_t *const steps[] = {a->a_steps, a->b_steps};
    a->batches = 1;
    for (int i = 3; i <= out->rank; i++) {
        a->dims[a->rank] = out->dims[out->rank - i];
        a->batches *= a->dims[a->rank];
        for (int s = 0; s < 2; s++) {
            int64_t own = i <= t[s]->rank ? t[s]->dims[t[s]->rank - i] : 1;
            steps[s][a->rank] = own == 1 ? 0 : inside[s];
            inside[s] *= own;
        }
        a->rank++;
    }
}

/* Joins each dimension to the one inside of it, where the matrices lie in one run. */
static void join_batches(cuda_matmul *a) {
    int n = a->rank;
    a->rank = 0;
    for (int d = 0; d < n; d++) {
        int last = a->rank - 1;
        if (a->dims[d] == 1) continue;
        if (last >= 0 && a->a_steps[d] == a->a_steps[last] * a->dims[last] &&
            a->b_steps[d] == a->b_steps[last] * a->dims[last]) {
            a->dims[last] *= a->dims[d];
            continue;
        }
        a->dims[a->rank] = a->dims[d];
        a->a_steps[a->rank] = a->a_steps[d];
        a->b_steps[a->rank++] = a->b_steps[d];
    }
}

/* Rows and columns of the last two dimensions, and their steps; of a transposed one exchanged. */
static void set_sides(const df_tensor *t, bool turn, int64_t *rows, int64_t *cols, int64_t *row,
                      int64_t *col) {
    const int64_t *last = t->dims + t->rank - 2;
    *rows = last[turn];
    *cols = last[!turn];
    *row = turn ? 1 : last[1];
    *col = turn ? last[1] : 1;
}

df_code cuda_matmul_compute(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0), *y = kernel_input(c, 1), *out = kernel_output(c, 0);
    const df_attr *turn = kernel_attrs(c);
    cuda_matmul a = {.a = x->data, .b = y->data, .c = out->data};
    if (out->elements == 0) return DF_OK;
    set_sides(x, turn[0].i, &a.m, &a.k, &a.a_row, &a.a_col);
    set_sides(y, turn[1].i, &a.k, &a.n, &a.b_row, &a.b_col);
    set_batches(&a, x, y, out);
    join_batches(&a);
    if (y->elements == a.k * a.n && !turn[0].i && a.rank == 1) {
        a.m *= a.batches; /* all meet the same b: one product */
        a.batches = 1;
        a.rank = 0;
    }
    const cuda_kernels *with = cuda_with(c);
    df_code code = DF_OK;
    if (with->products &&
        cublas_multiply(with->products, kernel_queue(c), with->stream(kernel_queue(c)), out->dtype,
                        &a, &code, err))
        return code;
    cuda_name name = cuda_name_of_dtype("matmul", out->dtype);
    if (!number_is_float(out->dtype)) return cuda_each(c, name.s, out->elements, &a, err);
    a.tiles = a.batches * ((a.m - 1) / CUDA_TILE + 1) * ((a.n - 1) / CUDA_TILE + 1);
    return cuda_blocks(c, name.s, a.tiles, CUDA_BLOCK, &a, err);
}
