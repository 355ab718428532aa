/* SPDX-License-Identifier: MIT
 *
 * The standard ops on CUDA, for a runtime that has such a device. One that has none pays nothing.
 */
#include "device/core.h"
#include "device/cuda/cuda.h"
#include "session/runtime.h"

#include <string.h>

static df_device *find_device(const df_runtime *rt) {
    for (uint32_t d = 0; d < rt->n_devices; d++)
        if (rt->devices[d]->ops && rt->devices[d]->ops->open == cuda_ops.open)
            return rt->devices[d];
    return NULL;
}

/* cuBLAS is used if it is there, unless another file is named, or none: "". */
static df_code open_cublas(df_runtime *rt, const char *file, df_error *err) {
    if (file && !*file) return DF_OK;
    df_code code = cublas_open(rt->alloc, file, &rt->cuda.products, err);
    return code == DF_NOT_FOUND && !file ? DF_OK : code;
}

df_code cuda_open_ops(df_runtime *rt, const char *cublas_file, df_error *err) {
    if (!find_device(rt)) return DF_OK;
    df_code code = open_cublas(rt, cublas_file, err);
    if (code != DF_OK) return code;
    rt->cuda.launch = cuda_queue_launch;
    rt->cuda.stream = cuda_queue_stream;
    return kernels_register_gpu(rt->ops, "CUDA", &rt->cuda, err);
}

void cuda_close_ops(df_runtime *rt) {
    df_device *d = find_device(rt);
    void *before = NULL;
    if (!d || !rt->cuda.products) return;
    bool lost = d->ops->enter(d->core->impl, &before, NULL) != DF_OK;
    cublas_close(rt->cuda.products, lost);
    if (!lost) d->ops->leave(d->core->impl, before);
}
