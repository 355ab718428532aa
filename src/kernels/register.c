/* SPDX-License-Identifier: MIT
 *
 * All families, registered by the same two calls that anybody uses.
 */
#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

#include "kernels/family.h"
#include "kernels/matmul.h"

enum { SIGNATURE_MAX = 512 };

static df_code add_one(adder *a, df_op_def *op, df_kernel_def *kernel) {
    df_code code = op_register(a->r, op, a->err);
    if (code != DF_OK || !kernel->compute) return code;
    kernel->op = op_at(a->r, op_count(a->r) - 1)->name;
    return kernel_register(a->r, kernel, a->err);
}

void add_op_with(adder *a, const char *signature, df_code (*infer)(df_infer *c, df_error *err),
                 df_code (*compute)(df_kernel *c, df_error *err), uint32_t how, int which) {
    char one[SIGNATURE_MAX];
    df_op_def op = {
        .struct_size = sizeof op, .signature = one, .infer = infer, .flags = how & 0xffff};
    df_kernel_def kernel = {.struct_size = sizeof kernel,
                            .devices = how & ADD_INLINE ? "*" : "CPU,SIM",
                            .compute = compute,
                            .user = (void *)(uintptr_t)a->blas, /* only read */
                            .flags = how >> 16 & 15,
                            .host_inputs = how >> 20 & 15,
                            .host_outputs = how >> 24 & 15,
                            .may_overwrite = how >> 28 & 15};
    const char *name = signature, *rest = strchr(name, '(');
    while (*name != '(' && a->code == DF_OK) { /* each name in front of the bracket */
        int length = (int)strcspn(name, "|(");
        (void)snprintf(one, sizeof one, "%.*s%s", length, name, rest);
        op.user = (void *)(intptr_t)which++;
        a->code = add_one(a, &op, &kernel);
        name += length;
        if (*name == '|') name++;
    }
}

void add_op(adder *a, const char *signature, df_code (*infer)(df_infer *c, df_error *err),
            df_code (*compute)(df_kernel *c, df_error *err), uint32_t how) {
    add_op_with(a, signature, infer, compute, how, 0);
}

df_code kernels_register(op_registry *r, const blas *products, df_error *err) {
    adder a = {.r = r, .blas = products, .wide = matmul_can_be_wide(), .err = err};
    state_ops(&a);
    elementwise_ops(&a);
    cast_ops(&a);
    matmul_ops(&a);
    nn_ops(&a);
    norm_ops(&a);
    conv_ops(&a);
    pool_ops(&a);
    reduce_ops(&a);
    shape_ops(&a);
    move_ops(&a);
    gather_ops(&a);
    random_ops(&a);
    return a.code;
}
