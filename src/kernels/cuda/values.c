/* SPDX-License-Identifier: MIT
 *
 * Cast, Range and the random numbers.
 */
#include "kernels/cuda/host.h"
#include "op/number.h"

df_code cuda_cast_compute(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0), *out = kernel_output(c, 0);
    const cuda_cast a = {x->data, out->data, x->elements, (int32_t)x->dtype, (int32_t)out->dtype};
    if (x->dtype == out->dtype && x->data == out->data) return DF_OK;
    if (x->dtype != out->dtype) return cuda_each(c, "cast", a.n, &a, err);
    const cuda_copy copy = {.from = x->data,
                            .to = out->data,
                            .n = a.n,
                            .rank = 1,
                            .dims = {a.n},
                            .from_steps = {1},
                            .to_steps = {1}};
    return cuda_each(c, cuda_name_of_size("copy", df_dtype_size(x->dtype)).s, a.n, &copy, err);
}

/* Its inputs lie in host memory. */
df_code cuda_range_compute(df_kernel *c, df_error *err) {
    const df_tensor *out = kernel_output(c, 0);
    const void *start = kernel_input(c, 0)->data, *delta = kernel_input(c, 2)->data;
    cuda_range a = {.out = out->data, .n = out->elements, .dtype = (int32_t)out->dtype};
    if (number_is_float(out->dtype)) {
        number_load_floats(out->dtype, start, 1, &a.start_f);
        number_load_floats(out->dtype, delta, 1, &a.delta_f);
    } else {
        number_load_ints(out->dtype, start, 1, &a.start_i);
        number_load_ints(out->dtype, delta, 1, &a.delta_i);
    }
    return cuda_each(c, "range", a.n, &a, err);
}

/* So does the counter. */
df_code cuda_random_compute(df_kernel *c, df_error *err) {
    enum { SEED = 2, WORDS = 4 };
    const df_tensor *out = kernel_output(c, 0);
    const cuda_random a = {.out = out->data,
                           .n = out->elements,
                           .seed = (uint64_t)kernel_attrs(c)[SEED].i,
                           .counter =
                               kernel_inputs(c) ? *(const uint64_t *)kernel_input(c, 0)->data : 0,
                           .dtype = (int32_t)out->dtype,
                           .normal = kernel_which(c)};
    int64_t each = df_dtype_size(out->dtype) == 8 ? WORDS / 2 : WORDS; /* a thread's elements */
    return cuda_each(c, "random_fill", a.n / each + (a.n % each != 0), &a, err);
}
