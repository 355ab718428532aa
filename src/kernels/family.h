/* SPDX-License-Identifier: MIT
 *
 * family.h - a family of ops: one file of this folder, and its two tables.
 */
#ifndef KERNELS_FAMILY_H
#define KERNELS_FAMILY_H

#include "base/error.h"
#include "kernels/infer.h"
#include "op/op.h"

typedef struct family {
    const op_def *ops;
    size_t n_ops;
    const kernel_def *kernels;
    size_t n_kernels;
} family;

/* For kernel tables: one function for both kinds whose kernels the host's code is. */
#define CPU_AND_SIM(...)                                                                           \
    {.kind = "CPU", __VA_ARGS__}, {                                                                \
        .kind = "SIM", __VA_ARGS__                                                                 \
    }

#define FAMILY(OPS, KERNELS)                                                                       \
    { (OPS), sizeof(OPS) / sizeof *(OPS), (KERNELS), sizeof(KERNELS) / sizeof *(KERNELS) }

extern const family state_family;
extern const family arith_family;
extern const family compare_family;
extern const family unary_family;
extern const family cast_family;
extern const family matmul_family;
extern const family nn_family;
extern const family reduce_family;
extern const family shape_family;

#endif /* KERNELS_FAMILY_H */
