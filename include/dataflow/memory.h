/* SPDX-License-Identifier: MIT
 *
 * memory.h - in which of a device's memories a tensor lies.
 */
#ifndef DATAFLOW_MEMORY_H
#define DATAFLOW_MEMORY_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DF_MEMORY_DEVICE = 0, /* its own; a CPU's own is host memory */
    DF_MEMORY_HOST = 1    /* host memory, next to an accelerator */
};

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_MEMORY_H */
