/* SPDX-License-Identifier: MIT
 *
 * What is computed along the last dimension: a block a row.
 */
#include "kernels/cuda/host.h"
#include "kernels/tile.h"

enum { WARP = 32, COLUMNS = 32, MOMENTS = 16 /* bytes */ };

static cuda_rows rows_of(const df_tensor *x, const df_tensor *out) {
    int64_t n = tile_row(x);
    return (cuda_rows){.x = x->data,
                       .out = out->data,
                       .rows = n ? x->elements / n : 0,
                       .n = n,
                       .dtype = (int32_t)x->dtype};
}

static df_code each_row(const df_kernel *c, const char *kernel, const cuda_rows *a, df_error *err) {
    return cuda_blocks(c, kernel, a->rows, cuda_threads(a->n, WARP, CUDA_BLOCK), a, err);
}

df_code cuda_softmax(df_kernel *c, df_error *err) {
    const cuda_rows a = rows_of(kernel_input(c, 0), kernel_output(c, 0));
    return each_row(c, "softmax", &a, err);
}

df_code cuda_softmax_grad(df_kernel *c, df_error *err) {
    cuda_rows a = rows_of(kernel_input(c, 0), kernel_output(c, 0));
    a.dy = a.x;
    a.y = kernel_input(c, 1)->data;
    return each_row(c, "softmax_grad", &a, err);
}

df_code cuda_cross_entropy(df_kernel *c, df_error *err) {
    const df_tensor *labels = kernel_input(c, 1);
    cuda_rows a = rows_of(kernel_input(c, 0), kernel_output(c, 1));
    a.loss = kernel_output(c, 0)->data;
    a.labels = labels->data;
    a.wide = labels->dtype == DF_INT64;
    a.rows = labels->elements; /* without classes each label is wrong, and there are no logits */
    a.fault = cuda_fault_of(c);
    return each_row(c, "cross_entropy", &a, err);
}

df_code cuda_norm(df_kernel *c, df_error *err) {
    cuda_rows a = rows_of(kernel_input(c, 0), kernel_output(c, 0));
    a.scale = kernel_input(c, 1)->data;
    a.offset = kernel_input(c, 2)->data;
    a.epsilon = kernel_attrs(c)[0].f;
    return each_row(c, "layer_norm", &a, err);
}

df_code cuda_norm_grad(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 1), *dscale = kernel_output(c, 1);
    cuda_rows a = rows_of(x, kernel_output(c, 0));
    df_code code = DF_OK;
    a.dy = kernel_input(c, 0)->data;
    a.scale = kernel_input(c, 2)->data;
    a.dscale = dscale->data;
    a.doffset = kernel_output(c, 2)->data;
    a.epsilon = kernel_attrs(c)[0].f;
    a.kept = (size_t)a.n * df_dtype_size(x->dtype) >= MOMENTS;
    if (a.kept) code = each_row(c, "norm_moments", &a, err);
    if (code == DF_OK)
        code = cuda_blocks(c, "norm_columns", (a.n + COLUMNS - 1) / COLUMNS, CUDA_BLOCK, &a, err);
    return code == DF_OK ? each_row(c, "norm_grad", &a, err) : code;
}
