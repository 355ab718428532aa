/* SPDX-License-Identifier: MIT
 *
 * All families, registered by the same two calls that anybody uses.
 */
#include "kernels/kernels.h"

#include "kernels/family.h"

static df_code add_row(op_registry *r, const op_row *row, df_error *err) {
    void *user = (void *)(uintptr_t)row->user;
    df_op_def op = {.struct_size = sizeof op,
                    .signature = row->signature,
                    .infer = row->infer,
                    .flags = row->op_flags,
                    .user = user};
    df_code code = op_register(r, &op, err);
    if (code != DF_OK || !row->compute) return code;
    df_kernel_def kernel = {.struct_size = sizeof kernel,
                            .op = op_at(r, op_count(r) - 1)->name,
                            .devices = row->flags & KERNEL_INLINE ? "*" : "CPU,SIM",
                            .compute = row->compute,
                            .flags = row->flags,
                            .host_inputs = row->host_inputs,
                            .host_outputs = row->host_outputs,
                            .may_overwrite = row->may_overwrite,
                            .user = user};
    return kernel_register(r, &kernel, err);
}

df_code kernels_register(op_registry *r, df_error *err) {
    static const family *const families[] = {
        &state_family, &arith_family,  &compare_family, &unary_family,
        &cast_family,  &matmul_family, &nn_family,      &norm_family,
        &conv_family,  &pool_family,   &reduce_family,  &shape_family,
    };
    df_code code = DF_OK;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t i = 0; i < families[f]->n && code == DF_OK; i++)
            code = add_row(r, &families[f]->rows[i], err);
    return code;
}
