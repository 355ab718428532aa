/* SPDX-License-Identifier: MIT
 *
 * The CPU as a device: a name for host memory. It has no queue, since its kernels run
 * on the runtime's own threads; several of them let a graph be cut between them.
 */
#include "device/device.h"

static void cpu_close(df_device *d) {
    (void)d; /* its memory is let go by device_close */
}

static const device_ops cpu_ops = {.kind = "CPU", .close = cpu_close};

df_code cpu_open(df_device *d, const device_options *options, df_error *err) {
    (void)err;
    d->ops = &cpu_ops;
    d->mem = memory_ref(options->host);
    return DF_OK;
}
