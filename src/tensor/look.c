/* SPDX-License-Identifier: MIT
 *
 * look - what a tensor is, for its users. Kernels ask for every element they touch, so that these
 * are compiled to be fast.
 *
 * A step that failed leaves NULLs: they are looked at as if they were no tensor.
 */
#include "tensor/tensor.h"

df_dtype df_tensor_dtype(const df_tensor *tensor) {
    return tensor ? tensor->dtype : DF_DTYPE_NONE;
}

df_shape df_tensor_shape(const df_tensor *tensor) {
    return tensor ? tensor_shape(tensor) : DF_SHAPE_UNKNOWN;
}

int64_t df_tensor_elements(const df_tensor *tensor) {
    return tensor ? tensor->elements : 0;
}

size_t df_tensor_bytes(const df_tensor *tensor) {
    return tensor ? tensor->bytes : 0;
}

bool df_tensor_is_host(const df_tensor *tensor) {
    return tensor && tensor->is_host;
}

void *df_tensor_data(const df_tensor *tensor) {
    return tensor && tensor->is_host ? tensor->data : NULL;
}

void *df_tensor_address(const df_tensor *tensor) {
    return tensor ? tensor->data : NULL;
}
