/* SPDX-License-Identifier: MIT
 *
 * family.h - a family of ops: one file of this folder, and its table.
 */
#ifndef KERNELS_FAMILY_H
#define KERNELS_FAMILY_H

#include "base/error.h"
#include "kernels/infer.h"
#include "op/op.h"

/* An op and its one kernel, which serves CPU and SIM alike, or, if it is KERNEL_INLINE, any
 * kind of device. */
typedef struct op_row {
    const char *signature;
    df_code (*infer)(df_infer *c, df_error *err);
    df_code (*compute)(df_kernel *c, df_error *err); /* NULL: none */
    const void *user;                                /* for both; see kernel_user */
    uint16_t op_flags;                               /* OP_... */
    uint8_t flags;                                   /* KERNEL_... */
    uint8_t host_inputs, host_outputs, may_overwrite;
} op_row;

typedef struct family {
    const op_row *rows;
    size_t n;
} family;

#define FAMILY(ROWS)                                                                               \
    { (ROWS), sizeof(ROWS) / sizeof *(ROWS) }

/* The row's `user`. */
static inline const void *kernel_user(const df_kernel *c) {
    return c->def->user;
}

extern const family state_family;
extern const family arith_family;
extern const family compare_family;
extern const family unary_family;
extern const family cast_family;
extern const family matmul_family;
extern const family nn_family;
extern const family norm_family;
extern const family conv_family;
extern const family pool_family;
extern const family reduce_family;
extern const family shape_family;

#endif /* KERNELS_FAMILY_H */
