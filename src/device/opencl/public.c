/* SPDX-License-Identifier: MIT */
#include "device/opencl/opencl.h"

#include "base/error.h"
#include "base/options.h"
#include "device/core.h"

#include <string.h>

/* Whatever path its loader was given by. */
static opencl_device *opencl_of(const df_device *d) {
    return d && d->ops && d->ops->open == opencl_ops.open ? d->core->impl : NULL;
}

df_code df_opencl_device(const df_device *device, df_opencl_info *out, df_error *err) {
    df_opencl_info info = {.struct_size = sizeof info};
    const opencl_device *d = opencl_of(device);
    if (!out) return error_no_out(err);
    if (!d)
        return error_invalid(err, "device %s is no OpenCL device",
                             device ? device->full_name : "NULL");
    df_code code = options_read(&info, out, "df_opencl_info", err);
    if (code != DF_OK) return code;
    info = (df_opencl_info){out->struct_size, d->platform, d->handle, d->context};
    memcpy(out, &info, info.struct_size < sizeof info ? info.struct_size : sizeof info);
    return DF_OK;
}

void *df_opencl_queue(const df_queue *queue) {
    if (!queue || !opencl_of(queue->device)) return NULL;
    queue_lend(queue);
    return df_opencl_kernel_queue(queue->impl);
}

void *df_opencl_kernel_queue(void *kernel_queue) {
    return kernel_queue ? ((opencl_queue *)kernel_queue)->queue : NULL;
}

static df_code find_buffer(opencl_device *d, const void *address, void **buffer, size_t *offset,
                           df_error *err) {
    opencl_place at;
    df_code code = opencl_find(d, address, 0, &at, err);
    if (code != DF_OK) return code;
    *buffer = at.buffer;
    *offset = at.offset;
    return DF_OK;
}

df_code df_opencl_buffer(const df_tensor *tensor, void **buffer, size_t *offset, df_error *err) {
    opencl_device *d = opencl_of(df_tensor_device(tensor));
    if (!buffer || !offset) return error_no_out(err);
    if (!d) return error_invalid(err, "the tensor lies on no OpenCL device");
    return find_buffer(d, df_tensor_address(tensor), buffer, offset, err);
}

df_code df_opencl_kernel_buffer(void *kernel_queue, const void *address, void **buffer,
                                size_t *offset, df_error *err) {
    if (!kernel_queue || !buffer || !offset)
        return error_invalid(err, "the queue or a place for the result is NULL");
    return find_buffer(((opencl_queue *)kernel_queue)->device, address, buffer, offset, err);
}
