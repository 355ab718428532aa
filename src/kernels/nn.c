/* SPDX-License-Identifier: MIT
 *
 * Softmax, and the cross entropy of logits with labels, loss and gradient at once.
 */
#include <math.h>

#include "kernels/family.h"

static int64_t label_at(const df_tensor *labels, int64_t i) {
    if (labels->dtype == DF_INT32) return ((const int32_t *)labels->data)[i];
    return ((const int64_t *)labels->data)[i];
}

#define NN_T   float
#define NN_TAG f32
#define NN_EXP expf
#define NN_LOG logf
#include "kernels/nn_of.inc"

#define NN_T   double
#define NN_TAG f64
#define NN_EXP exp
#define NN_LOG log
#include "kernels/nn_of.inc"

static df_code compute_softmax(df_kernel *c, df_error *err) {
    (void)err;
    const df_tensor *x = c->inputs[0];
    if (x->elements == 0) return DF_OK;
    int64_t n = x->dims[x->rank - 1];
    if (x->dtype == DF_FLOAT32)
        softmax_f32(x->data, x->elements / n, n, c->outputs[0]->data);
    else
        softmax_f64(x->data, x->elements / n, n, c->outputs[0]->data);
    return DF_OK;
}

static df_code compute_cross_entropy(df_kernel *c, df_error *err) {
    const df_tensor *logits = c->inputs[0], *labels = c->inputs[1];
    int64_t classes = logits->dims[1];
    for (int64_t i = 0; i < labels->elements; i++) {
        int64_t label = label_at(labels, i);
        if (label < 0 || label >= classes)
            return error_set(err, DF_INVALID_ARGUMENT,
                             "label %lld, of row %lld, is none of the %lld classes; labels are 0 "
                             "to one less than there are columns of logits",
                             (long long)label, (long long)i, (long long)classes);
    }
    if (logits->dtype == DF_FLOAT32)
        cross_entropy_f32(logits, labels, c->outputs[0]->data, c->outputs[1]->data);
    else
        cross_entropy_f64(logits, labels, c->outputs[0]->data, c->outputs[1]->data);
    return DF_OK;
}

static df_code infer_softmax(df_infer *c, df_error *err) {
    if (c->inputs[0]->rank == 0)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "input 0 is a scalar; Softmax runs along the last of at least one "
                         "dimension: use Reshape");
    return df_infer_same(c, err);
}

static df_code infer_cross_entropy(df_infer *c, df_error *err) {
    df_code code = infer_rank(c, 0, 2, err);
    if (code == DF_OK) code = infer_rank(c, 1, 1, err);
    if (code != DF_OK) return code;
    const edge_type *logits = c->inputs[0], *labels = c->inputs[1];
    int64_t rows = logits->rank == 2 ? logits->dims[0] : -1, batch;
    if (!infer_equal_dims(rows, labels->rank == 1 ? labels->dims[0] : -1, &batch))
        return error_set(err, DF_INVALID_ARGUMENT,
                         "logits %s have %lld rows, and there are %lld labels; one label a row",
                         edge_text(logits).s, (long long)rows, (long long)labels->dims[0]);
    int64_t dims[] = {batch, logits->rank == 2 ? logits->dims[1] : -1};
    code = df_infer_set(c, 0, (df_shape){1, dims}, err);
    return code == DF_OK ? df_infer_set(c, 1, (df_shape){2, dims}, err) : code;
}

static const op_row rows[] = {
    {.signature = "Softmax(x: real) : x",
     .infer = infer_softmax,
     .compute = compute_softmax,
     .may_overwrite = 1},
    {.signature = "SparseSoftmaxCrossEntropy(logits: real, labels: index) : logits, logits",
     .infer = infer_cross_entropy,
     .compute = compute_cross_entropy},
};

const family nn_family = FAMILY(rows);
