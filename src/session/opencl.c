/* SPDX-License-Identifier: MIT
 *
 * The standard ops on OpenCL, for a runtime that has such a device. One that has none pays nothing.
 */
#include "device/opencl/opencl.h"
#include "kernels/opencl/launch.h"
#include "session/runtime.h"

static const cuda_kernels with = {.launch = opencl_kernel_launch, .small_blocks = true};

df_code opencl_open_ops(df_runtime *rt, df_error *err) {
    for (uint32_t d = 0; d < rt->n_devices; d++)
        if (rt->devices[d]->ops && rt->devices[d]->ops->open == opencl_ops.open)
            return kernels_register_gpu(rt->ops, opencl_ops.kind, &with, err);
    return DF_OK;
}
