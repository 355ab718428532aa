/* SPDX-License-Identifier: MIT */
#include "kernels/cuda/host.h"

#include <limits.h>
#include <stdio.h>

cuda_name cuda_name_of_size(const char *family, size_t size) {
    cuda_name name;
    (void)snprintf(name.s, sizeof name.s, "%s_%zu", family, size);
    return name;
}

cuda_name cuda_name_of_dtype(const char *family, df_dtype dtype) {
    cuda_name name;
    (void)snprintf(name.s, sizeof name.s, "%s_%s", family, df_dtype_name(dtype));
    return name;
}

/* A kernel whose grid is too small for all goes round. */
df_code cuda_blocks(const df_kernel *c, const char *kernel, int64_t blocks, unsigned threads,
                    const void *args, df_error *err) {
    if (blocks <= 0) return DF_OK;
    void *params[] = {(void *)(uintptr_t)args};
    const cuda_launch l = {.kernel = kernel,
                           .grid = {blocks < INT_MAX ? (unsigned)blocks : INT_MAX, 1, 1},
                           .block = {threads, 1, 1},
                           .params = params};
    return cuda_with(c)->launch(kernel_queue(c), &l, err);
}

df_code cuda_each(const df_kernel *c, const char *kernel, int64_t n, const void *args,
                  df_error *err) {
    return cuda_blocks(c, kernel, n / CUDA_BLOCK + (n % CUDA_BLOCK != 0), CUDA_BLOCK, args, err);
}

unsigned cuda_threads(int64_t n, unsigned least, unsigned most) {
    unsigned threads = least;
    while (threads < most && threads < n / 4) threads *= 2;
    return threads;
}

df_code cuda_fault_error(const cuda_fault *f, df_error *err) {
    long long element = f->element, value = f->value, limit = f->limit;
    switch (f->mistake) {
    case CUDA_DIVIDES_BY_0:
        return error_invalid(err,
                             "division by 0: element %lld of input 1, the divisor, is 0; only "
                             "floats can be divided by 0",
                             element);
    case CUDA_NEGATIVE_POWER:
        return error_invalid(err,
                             "element %lld of input 1, the exponent, is negative; only floats can "
                             "be raised to that: use Cast",
                             element);
    case CUDA_WRONG_INDEX:
        return error_invalid(err,
                             "element %lld of input 1, the indices, is %lld; the dimension has "
                             "%lld elements, which count from 0",
                             element, value, limit);
    case CUDA_WRONG_LABEL:
        return error_invalid(err,
                             "label %lld, of row %lld, is none of the %lld classes; labels are 0 "
                             "to one less than there are columns of logits",
                             value, element, limit);
    default:
        return DF_OK;
    }
}
