/* SPDX-License-Identifier: MIT
 *
 * All elementwise ops: the CPU's recipe says the loop and its operands, and dimensions along
 * which all of these lie in one run are joined.
 */
#include "kernels/elementwise.h"

#include "kernels/cuda/host.h"
#include "kernels/loops.h"
#include "op/number.h"

/* The steps of t along the dimensions of out, innermost first. */
static void set_input(cuda_operand *o, const df_tensor *t, const df_tensor *out) {
    int64_t inside = 1;
    o->data = t->data;
    for (int i = 1; i <= out->rank; i++) {
        int64_t own = i <= t->rank ? t->dims[t->rank - i] : 1;
        o->strides[i - 1] = own == 1 ? 0 : inside;
        inside *= own;
    }
}

/* Does dimension d follow the last one without a gap, in all operands? */
static bool follows(const cuda_elementwise *a, int last, int d) {
    for (int k = 0; k < CUDA_OPERANDS; k++)
        if (a->in[k].strides[d] != a->in[k].strides[last] * a->dims[last]) return false;
    return true;
}

static void join_dims(cuda_elementwise *a, const df_tensor *out) {
    a->rank = 0;
    for (int d = 0; d < out->rank; d++) {
        int64_t n = out->dims[out->rank - 1 - d];
        if (n == 1) continue;
        if (a->rank && follows(a, a->rank - 1, d)) {
            a->dims[a->rank - 1] *= n;
            continue;
        }
        a->dims[a->rank] = n;
        for (int k = 0; k < CUDA_OPERANDS; k++) a->in[k].strides[a->rank] = a->in[k].strides[d];
        a->rank++;
    }
}

/* Is it one of those that call C's mathematics? */
static bool is_function(int kind, df_dtype dtype) {
    if (!number_is_float(dtype)) return false;
    if (kind == LOOP_FLOOR_DIV || kind == LOOP_FLOOR_MOD || kind == LOOP_POW) return true;
    bool is_arithmetic = kind < LOOP_GELU_GRAD || kind == LOOP_SQRT || kind == LOOP_RSQRT ||
                         kind == LOOP_FLOOR || kind == LOOP_CEIL || kind == LOOP_ROUND;
    return !is_arithmetic;
}

static bool may_fail(int kind, df_dtype dtype) {
    return kind >= LOOP_DIV && kind <= LOOP_POW && !number_is_float(dtype);
}

static cuda_name name_of(int op, int kind, df_dtype dtype) {
    if (op == ELEMENTWISE_SELECT) return cuda_name_of_size("select", df_dtype_size(dtype));
    return cuda_name_of_dtype(is_function(kind, dtype) ? "function" : "arith", dtype);
}

df_code cuda_elementwise_compute(df_kernel *c, df_error *err) {
    const df_tensor *out = kernel_output(c, 0);
    const df_tensor *last = kernel_input(c, kernel_inputs(c) - 1);
    int op = kernel_which(c);
    elementwise_recipe r = elementwise_recipe_of(op);
    cuda_elementwise a = {.out = out->data, .n = out->elements, .kind = r.loop};
    for (int i = 0; i < ELEMENTWISE_OPERANDS && r.operands[i] != FROM_NONE; i++) {
        int from = r.operands[i];
        if (from <= FROM_C)
            set_input(&a.in[i], kernel_input(c, from - FROM_A), out);
        else
            a.in[i].number = elementwise_numbers[from - FROM_ZERO];
    }
    join_dims(&a, out);
    if (may_fail(r.loop, last->dtype)) a.fault = cuda_fault_of(c);
    return cuda_each(c, name_of(op, r.loop, last->dtype).s, a.n, &a, err);
}

df_code cuda_assign(df_kernel *c, df_error *err) {
    df_code code = state_check_value(c, err);
    return code == DF_OK ? cuda_elementwise_compute(c, err) : code;
}
