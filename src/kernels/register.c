/* SPDX-License-Identifier: MIT
 *
 * All families, registered by the same two calls that anybody uses.
 */
#include "kernels/kernels.h"

#include "kernels/family.h"

static df_code add_family(op_registry *r, const family *f, df_error *err) {
    df_code code = DF_OK;
    for (size_t i = 0; i < f->n_ops && code == DF_OK; i++) code = op_register(r, &f->ops[i], err);
    for (size_t i = 0; i < f->n_kernels && code == DF_OK; i++)
        code = kernel_register(r, &f->kernels[i], err);
    return code;
}

df_code kernels_register(op_registry *r, df_error *err) {
    static const family *const families[] = {
        &state_family,  &arith_family, &compare_family, &unary_family, &cast_family,
        &matmul_family, &nn_family,    &reduce_family,  &shape_family,
    };
    size_t n = sizeof families / sizeof *families;
    df_code code = DF_OK;
    for (size_t i = 0; i < n && code == DF_OK; i++) code = add_family(r, families[i], err);
    return code;
}
