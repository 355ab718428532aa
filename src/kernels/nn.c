/* SPDX-License-Identifier: MIT
 *
 * Softmax and its gradient, and the cross entropy of logits with labels, loss and gradient at
 * once.
 *
 * All is computed in double, and rounded once. The largest element of a row is subtracted
 * first, so that no exponential overflows; sums are in ascending order. A NaN reaches all
 * of its row by way of the sum.
 */
#include <math.h>

#include "kernels/copy.h"
#include "kernels/family.h"
#include "kernels/tile.h"

/* Softmax of the n elements from `at` on, which is the gradient of their cross entropy with
 * `label` once that has 1 less. Gives the entropy; a label of -1 is none. out may be x, since a
 * tile is read before it is written. */
static double softmax_row(const df_tensor *x, int64_t at, int64_t n, int64_t label,
                          df_tensor *out) {
    double tile[TILE], most = -INFINITY, sum = 0, own = 0;
    int64_t m = 0;
    if (label >= 0) (void)tile_load(x, at + label, 1, &own);
    for (int64_t j = 0; j < n; j += m) {
        m = tile_load(x, at + j, n - j, tile);
        most = tile_most(m, tile, most);
    }
    for (int64_t j = 0; j < n; j += m) {
        m = tile_load(x, at + j, n - j, tile);
        sum = tile_exp(m, tile, most, sum);
    }
    for (int64_t j = 0; j < n; j += m) {
        if (n > TILE) { /* else it is there still */
            m = tile_load(x, at + j, n - j, tile);
            (void)tile_exp(m, tile, most, 0);
        }
        tile_divide(m, tile, sum);
        if (label >= j && label < j + m) tile[label - j] -= 1;
        tile_store(out, at + j, m, tile);
    }
    return label >= 0 ? log(sum) - (own - most) : 0;
}

COLD static df_code compute_softmax(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = kernel_input(c, 0);
    for (int64_t at = 0, n = tile_row(x); at < x->elements; at += n)
        (void)softmax_row(x, at, n, -1, kernel_output(c, 0));
    return DF_OK;
}

COLD static df_code compute_softmax_grad(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *y = kernel_input(c, 1);
    double a[TILE], b[TILE];
    for (int64_t at = 0, n = tile_row(y); at < y->elements; at += n) {
        double sum = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0, m; j < n; j += m) {
                m = tile_load(kernel_input(c, 0), at + j, n - j, a);
                (void)tile_load(y, at + j, m, b);
                if (pass == 0) {
                    sum = tile_sum(m, a, b, sum);
                    continue;
                }
                tile_shift(m, a, sum, 1);
                tile_multiply(m, a, b);
                tile_store(kernel_output(c, 0), at + j, m, a);
            }
    }
    return DF_OK;
}

COLD static df_code compute_cross_entropy(df_kernel *c, df_error *err) {
    const df_tensor *logits = kernel_input(c, 0), *labels = kernel_input(c, 1);
    int64_t classes = logits->dims[1];
    for (int64_t i = 0; i < labels->elements; i++) {
        int64_t label = copy_index(labels, i);
        if (label < 0 || label >= classes)
            return error_invalid(
                err,
                "label %lld, of row %lld, is none of the %lld classes; labels are 0 "
                "to one less than there are columns of logits",
                (long long)label, (long long)i, (long long)classes);
    }
    for (int64_t i = 0; i < labels->elements; i++) {
        double loss =
            softmax_row(logits, i * classes, classes, copy_index(labels, i), kernel_output(c, 1));
        tile_store(kernel_output(c, 0), i, 1, &loss);
    }
    return DF_OK;
}

/* ---- shapes -------------------------------------------------------------- */

COLD static df_code infer_softmax(df_infer *c, df_error *err) {
    df_code code = df_infer_same(c, err);
    return code == DF_OK ? infer_row(c, err) : code;
}

COLD static df_code infer_softmax_grad(df_infer *c, df_error *err) {
    df_code code = infer_equal_shapes(c, 2, err);
    return code == DF_OK ? infer_row(c, err) : code;
}

COLD static df_code infer_cross_entropy(df_infer *c, df_error *err) {
    df_code code = infer_rank(c, 0, 2, err);
    if (code == DF_OK) code = infer_rank(c, 1, 1, err);
    if (code != DF_OK) return code;
    const edge_type *logits = c->inputs[0], *labels = c->inputs[1];
    int64_t rows = logits->rank == 2 ? logits->dims[0] : -1, batch;
    if (!infer_equal_dims(rows, labels->rank == 1 ? labels->dims[0] : -1, &batch))
        return error_invalid(err,
                             "logits %s have %lld rows, and there are %lld labels; one label a row",
                             edge_text(logits).s, (long long)rows, (long long)labels->dims[0]);
    int64_t dims[] = {batch, logits->rank == 2 ? logits->dims[1] : -1};
    code = df_infer_set(c, 0, (df_shape){1, dims}, err);
    return code == DF_OK ? df_infer_set(c, 1, (df_shape){2, dims}, err) : code;
}

void nn_ops(adder *a) {
    add_op(a, "Softmax(x: real) : x", infer_softmax, compute_softmax, ADD_OVERWRITES(0));
    add_op(a, "SoftmaxGrad(dy: real, y: dy) : dy", infer_softmax_grad, compute_softmax_grad,
           ADD_OVERWRITES(0) | ADD_OVERWRITES(1));
    add_op(a, "SparseSoftmaxCrossEntropy(logits: real, labels: index) : logits, logits",
           infer_cross_entropy, compute_cross_entropy, 0);
}
