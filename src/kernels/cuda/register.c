/* SPDX-License-Identifier: MIT
 *
 * Each op has on CUDA what it has on the CPU, but for the function that computes it: what lies in
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
                               .devices = "CUDA",
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
static void on_cuda(registrar *a, const char *names, compute_function *compute) {
    for (const char *name = names; *name;) {
        char one[64];
        size_t length = strcspn(name, "|");
        (void)snprintf(one, sizeof one, "%.*s", (int)length, name);
        const op_def *op = op_find(a->r, one);
        add(a, op, kernel_find(op, "CPU", DF_DTYPE_NONE), compute);
        name += length + (name[length] == '|');
    }
}

static void elementwise_on_cuda(registrar *a) {
    for (size_t i = 0; i < op_count(a->r); i++) {
        const op_def *op = op_at(a->r, i);
        const kernel_def *cpu = kernel_find(op, "CPU", DF_DTYPE_NONE);
        if (cpu && cpu->compute == elementwise_compute) add(a, op, cpu, cuda_elementwise_compute);
    }
}

df_code kernels_register_cuda(op_registry *r, const cuda_kernels *with, df_error *err) {
    registrar a = {.r = r, .with = with, .err = err};
    elementwise_on_cuda(&a);
    on_cuda(&a, "AssignAdd|AssignSub", cuda_assign);
    on_cuda(&a, "Cast", cuda_cast_compute);
    on_cuda(&a, "Range", cuda_range_compute);
    on_cuda(&a, "RandomUniform|RandomNormal", cuda_random_compute);
    on_cuda(&a, "Fill", cuda_fill);
    on_cuda(&a, "Transpose|Slice|Pad|Tile", cuda_move);
    on_cuda(&a, "Concat", cuda_concat);
    on_cuda(&a, "Split", cuda_split);
    on_cuda(&a, "Gather", cuda_gather_compute);
    on_cuda(&a, "ScatterAdd", cuda_scatter_add);
    on_cuda(&a, "Sum|Mean|Prod|Max|Min|ArgMax|ArgMin|BiasAddGrad", cuda_reduce);
    on_cuda(&a, "Softmax", cuda_softmax);
    on_cuda(&a, "SoftmaxGrad", cuda_softmax_grad);
    on_cuda(&a, "SparseSoftmaxCrossEntropy", cuda_cross_entropy);
    on_cuda(&a, "LayerNorm", cuda_norm);
    on_cuda(&a, "LayerNormGrad", cuda_norm_grad);
    on_cuda(&a, "MatMul", cuda_matmul_compute);
    on_cuda(&a, "Conv2D|Conv2DBackpropInput|Conv2DBackpropFilter", cuda_conv);
    on_cuda(&a, "MaxPool|AvgPool|MaxPoolGrad|AvgPoolGrad", cuda_pool);
    return a.code;
}
