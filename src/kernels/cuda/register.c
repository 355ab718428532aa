/* SPDX-License-Identifier: MIT
 *
 * Each op has on a GPU what it has on the CPU, but for the function that computes it: what lies in
 * host memory and what may be overwritten is the same.
 *
 * Not here, and on the host for good: what is INLINE, which touches no element and runs for every
 * kind of device already (Const, Variable, ReadVariable, Assign, Identity, Reshape, Shape); and
 * strings, which have no other ops.
 */
#include "kernels/cuda/host.h"
#include "kernels/elementwise.h"

#include <stdio.h>
#include <string.h>

typedef struct registrar {
    op_registry *r;
    const char *kind;
    const cuda_kernels *with;
    df_error *err;
    df_code code;
} registrar;

typedef df_code compute_function(df_kernel *c, df_error *err);

static df_code check_fault(void *user, const void *report, df_error *err) {
    (void)user;
    return cuda_fault_error(report, err);
}

static void add(registrar *a, const op_def *op, const kernel_def *cpu, compute_function *compute) {
    const df_kernel_def def = {.struct_size = sizeof def,
                               .op = op->name,
                               .devices = a->kind,
                               .compute = compute,
                               .user = (void *)(uintptr_t)a->with, /* only read */
                               .flags = cpu->flags,
                               .host_inputs = cpu->host_inputs,
                               .host_outputs = cpu->host_outputs,
                               .may_overwrite = cpu->may_overwrite,
                               .report = sizeof(cuda_fault),
                               .check = check_fault};
    if (a->code == DF_OK) a->code = kernel_register(a->r, &def, a->err);
}

/* "Sum|Mean": ops with one function. */
static void add_all(registrar *a, const char *names, compute_function *compute) {
    for (const char *name = names; *name;) {
        char one[64];
        size_t length = strcspn(name, "|");
        (void)snprintf(one, sizeof one, "%.*s", (int)length, name);
        const op_def *op = op_find(a->r, one);
        add(a, op, kernel_find(op, "CPU", DF_DTYPE_NONE), compute);
        name += length + (name[length] == '|');
    }
}

static void add_elementwise(registrar *a) {
    for (size_t i = 0; i < op_count(a->r); i++) {
        const op_def *op = op_at(a->r, i);
        const kernel_def *cpu = kernel_find(op, "CPU", DF_DTYPE_NONE);
        if (cpu && cpu->compute == elementwise_compute) add(a, op, cpu, cuda_elementwise_compute);
    }
}

df_code kernels_register_gpu(op_registry *r, const char *kind, const cuda_kernels *with,
                             df_error *err) {
    registrar a = {.r = r, .kind = kind, .with = with, .err = err};
    add_elementwise(&a);
    add_all(&a, "AssignAdd|AssignSub", cuda_assign);
    add_all(&a, "Cast", cuda_cast_compute);
    add_all(&a, "Range", cuda_range_compute);
    add_all(&a, "RandomUniform|RandomNormal", cuda_random_compute);
    add_all(&a, "Fill", cuda_fill);
    add_all(&a, "Transpose|Slice|Pad|Tile", cuda_move);
    add_all(&a, "Concat", cuda_concat);
    add_all(&a, "Split", cuda_split);
    add_all(&a, "Gather", cuda_gather_compute);
    add_all(&a, "ScatterAdd", cuda_scatter_add);
    add_all(&a, "Sum|Mean|Prod|Max|Min|ArgMax|ArgMin|BiasAddGrad", cuda_reduce);
    add_all(&a, "Softmax", cuda_softmax);
    add_all(&a, "SoftmaxGrad", cuda_softmax_grad);
    add_all(&a, "SparseSoftmaxCrossEntropy", cuda_cross_entropy);
    add_all(&a, "LayerNorm", cuda_norm);
    add_all(&a, "LayerNormGrad", cuda_norm_grad);
    add_all(&a, "MatMul", cuda_matmul_compute);
    add_all(&a, "Conv2D|Conv2DBackpropInput|Conv2DBackpropFilter", cuda_conv);
    add_all(&a, "MaxPool|AvgPool|MaxPoolGrad|AvgPoolGrad", cuda_pool);
    return a.code;
}
