/* SPDX-License-Identifier: MIT */
#include "device/cuda/cuda.h"

#include "base/error.h"
#include "base/options.h"
#include "device/core.h"
#include "device/cuda/launch.h"

#include <string.h>

/* Whatever path its driver was given by. */
static bool is_cuda(const df_device *d) {
    return d && d->ops && d->ops->open == cuda_ops.open;
}

df_code df_cuda_device(const df_device *device, df_cuda_info *out, df_error *err) {
    df_cuda_info info = {.struct_size = sizeof info};
    if (!out) return error_no_out(err);
    if (!is_cuda(device))
        return error_invalid(err, "device %s is no CUDA device",
                             device ? device->full_name : "NULL");
    df_code code = options_read(&info, out, "df_cuda_info", err);
    if (code != DF_OK) return code;
    info = ((const cuda_device *)device->core->impl)->info;
    info.struct_size = out->struct_size;
    memcpy(out, &info, info.struct_size < sizeof info ? info.struct_size : sizeof info);
    return DF_OK;
}

void *df_cuda_stream(const df_queue *queue) {
    if (!queue || !is_cuda(queue->device)) return NULL;
    queue_lend(queue);
    return cuda_queue_stream(queue->impl);
}

void *df_cuda_kernel_stream(void *kernel_queue) {
    return kernel_queue ? cuda_queue_stream(kernel_queue) : NULL;
}
