/* SPDX-License-Identifier: MIT
 *
 * family.h - a family of ops: one file of this folder, and the function that adds them.
 *
 * Ops are added by calls, not kept in a table: so many pointers would have to be relocated in
 * each process, and take three times the room.
 */
#ifndef KERNELS_FAMILY_H
#define KERNELS_FAMILY_H

#include "base/error.h"
#include "kernels/blas.h"
#include "kernels/infer.h"
#include "op/op.h"

/* Adds to a registry until the first failure. */
typedef struct adder {
    op_registry *r;
    const blas *blas; /* for kernel_blas; or NULL */
    bool wide;        /* kernels for CPUs with wide vectors, where there are such */
    df_error *err;
    df_code code;
} adder;

/* What there is to say of an op and its kernel: OP_... flags, and these. */
enum { ADD_INLINE = KERNEL_INLINE << 16 };
#define ADD_HOST_INPUT(I)  (UINT32_C(1) << (20 + (I))) /* I is 0 to 3, in all of them */
#define ADD_HOST_OUTPUT(I) (UINT32_C(1) << (24 + (I)))
#define ADD_OVERWRITES(I)  (UINT32_C(1) << (28 + (I)))

/* Adds an op and its one kernel, which serves CPU and SIM alike, or, if it is ADD_INLINE, any kind
 * of device. compute NULL: it has none. `which` is for the family to know the op by, and is 0
 * without. "Add|Sub(a: number, b: a) : a" is several ops, numbered from `which` up. */
void add_op_with(adder *a, const char *signature, df_code (*infer)(df_infer *c, df_error *err),
                 df_code (*compute)(df_kernel *c, df_error *err), uint32_t how, int which);
void add_op(adder *a, const char *signature, df_code (*infer)(df_infer *c, df_error *err),
            df_code (*compute)(df_kernel *c, df_error *err), uint32_t how);

static inline int kernel_which(const df_kernel *c) {
    return (int)(intptr_t)c->io->kernel->op->user;
}

/* What products of matrices are to be computed by; NULL: by the code in here. */
static inline const blas *kernel_blas(const df_kernel *c) {
    return c->io->kernel->user;
}

static inline int infer_which(const df_infer *c) {
    return (int)(intptr_t)c->op->user;
}

void state_ops(adder *a);
void elementwise_ops(adder *a);
void cast_ops(adder *a);
void matmul_ops(adder *a);
void nn_ops(adder *a);
void norm_ops(adder *a);
void conv_ops(adder *a);
void pool_ops(adder *a);
void reduce_ops(adder *a);
void shape_ops(adder *a);
void move_ops(adder *a);
void gather_ops(adder *a);
void random_ops(adder *a);

#endif /* KERNELS_FAMILY_H */
