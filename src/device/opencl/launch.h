/* SPDX-License-Identifier: MIT
 *
 * launch.h - kernels from text, for the code that calls them.
 *
 * A kernel has a struct as its first parameter. Addresses of the device's among its members are
 * replaced by offsets in bytes, and the buffers that these count from are parameters of their own.
 */
#ifndef DEVICE_OPENCL_LAUNCH_H
#define DEVICE_OPENCL_LAUNCH_H

#include <dataflow/error.h>

enum { OPENCL_TEXTS = 4, OPENCL_ADDRESSES = 12, OPENCL_REPORT = 64 /* bytes, at most */ };

typedef struct opencl_launch {
    const char *name;                /* by which the kernel is kept when it is built */
    const char *entry, *options;     /* the function in the text, and what its compiler is told */
    const char *texts[OPENCL_TEXTS]; /* one behind the other; the rest is NULL */
    size_t groups, group;            /* so many groups of so many work items */
    void *args;                      /* the struct, which is changed, */
    size_t bytes;
    const uint16_t *addresses; /* and where in it addresses stand, in 8 bytes whatever they take,
                                * each of which is one parameter more: NULL stays NULL */
    unsigned n_addresses;
    /* If report_bytes is not 0 the last parameter is a block of so many zeros, and what the kernel
     * leaves there is copied to `report`, host memory; NULL: it is NULL, and nothing is copied. */
    void *report;
    size_t report_bytes;
} opencl_launch;

/* Puts it on a queue, as df_device_ops.queue_new gave it. The first launch of a name builds its
 * text, which takes the driver its time. */
df_code opencl_queue_launch(void *queue, const opencl_launch *l, df_error *err);

#endif /* DEVICE_OPENCL_LAUNCH_H */
