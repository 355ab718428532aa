/* SPDX-License-Identifier: MIT
 *
 * What moves elements: one kernel copies along any dimensions, and fills; another turns planes.
 */
#include "kernels/move.h"

#include <string.h>

#include "kernels/cuda/host.h"

enum { TURNED = 16 }; /* elements at least on each side of a plane that is worth it */

static df_code launch_copy(const df_kernel *c, size_t size, const cuda_copy *a, df_error *err) {
    return cuda_each(c, cuda_name_of_size("copy", size).s, a->n, a, err);
}

static df_code fill(const df_kernel *c, const df_tensor *out, const void *from, uint64_t bits,
                    df_error *err) {
    const cuda_copy a = {.from = from,
                         .to = out->data,
                         .bits = bits,
                         .n = out->elements,
                         .rank = 1,
                         .dims = {out->elements},
                         .to_steps = {1}};
    return launch_copy(c, df_dtype_size(out->dtype), &a, err);
}

/* A dimension outside of those there are, which is joined to the last one where it can be. */
static void add_dim(cuda_copy *a, copy_dim dim) {
    int last = a->rank - 1;
    if (dim.n == 1) return;
    if (last >= 0 && dim.from == a->from_steps[last] * a->dims[last] &&
        dim.to == a->to_steps[last] * a->dims[last]) {
        a->dims[last] *= dim.n;
        return;
    }
    a->dims[a->rank] = dim.n;
    a->from_steps[a->rank] = dim.from;
    a->to_steps[a->rank++] = dim.to;
}

static void exchange(int64_t *a, int i, int j) {
    int64_t was = a[i];
    a[i] = a[j];
    a[j] = was;
}

/* Is it a plane, or several, that only is turned? Then dimension 1 becomes the source's innermost.
 */
static bool is_turned(cuda_copy *a) {
    int d = 1;
    while (d < a->rank && a->from_steps[d] != 1) d++;
    if (d >= a->rank || a->to_steps[0] != 1 || a->dims[0] < TURNED || a->dims[d] < TURNED)
        return false;
    exchange(a->dims, 1, d);
    exchange(a->from_steps, 1, d);
    exchange(a->to_steps, 1, d);
    return true;
}

static df_code turn(const df_kernel *c, size_t size, const cuda_copy *a, df_error *err) {
    int64_t tiles = a->n / (a->dims[0] * a->dims[1]);
    for (int d = 0; d < 2; d++) tiles *= (a->dims[d] - 1) / CUDA_TURN + 1;
    return cuda_blocks(c, cuda_name_of_size("turn", size).s, tiles, CUDA_BLOCK, a, err);
}

static df_code copy(const df_kernel *c, const move_copy *m, df_error *err) {
    cuda_copy a = {.from = m->from, .to = m->to, .n = 1};
    for (int d = m->rank - 1; d >= 0; d--) {
        a.n *= m->dims[d].n;
        add_dim(&a, m->dims[d]);
    }
    size_t size = df_dtype_size(kernel_input(c, 0)->dtype);
    return size >= 4 && is_turned(&a) ? turn(c, size, &a, err) : launch_copy(c, size, &a, err);
}

df_code cuda_fill(df_kernel *c, df_error *err) {
    return fill(c, kernel_output(c, 0), kernel_input(c, 0)->data, 0, err);
}

df_code cuda_move(df_kernel *c, df_error *err) {
    int64_t element = 0;
    move_copy m;
    df_code code = DF_OK;
    if (move_surrounds(c, &element))
        code = fill(c, kernel_output(c, 0), NULL, (uint64_t)element, err);
    return code == DF_OK && move_of(c, &m) ? copy(c, &m, err) : code;
}

static df_code parts(const df_kernel *c, int n, bool split, df_error *err) {
    const df_tensor *whole = split ? kernel_input(c, 0) : kernel_output(c, 0);
    move_copy m;
    int64_t at = 0;
    df_code code = DF_OK;
    for (int i = 0; i < n && whole->elements && code == DF_OK; i++) {
        move_part(c, i, split, &at, &m);
        code = copy(c, &m, err);
    }
    return code;
}

df_code cuda_concat(df_kernel *c, df_error *err) {
    return parts(c, kernel_inputs(c), false, err);
}

df_code cuda_split(df_kernel *c, df_error *err) {
    return parts(c, kernel_outputs(c), true, err);
}

/* ---- rows that indices choose -------------------------------------------- */

static int64_t multiply(const df_tensor *t, int from, int to) {
    int64_t n = 1;
    for (int d = from; d < to; d++) n *= t->dims[d];
    return n;
}

df_code cuda_gather_compute(df_kernel *c, df_error *err) {
    enum { AXIS = 0 };
    const df_tensor *x = kernel_input(c, 0), *indices = kernel_input(c, 1);
    const df_tensor *out = kernel_output(c, 0);
    int axis = axis_in(kernel_attrs(c)[AXIS].i, x->rank);
    const cuda_gather a = {.x = x->data,
                           .indices = indices->data,
                           .out = out->data,
                           .n = out->elements,
                           .size = x->dims[axis],
                           .count = indices->elements,
                           .row = multiply(x, axis + 1, x->rank),
                           .wide = indices->dtype == DF_INT64,
                           .fault = cuda_fault_of(c)};
    return cuda_each(c, cuda_name_of_size("gather", df_dtype_size(x->dtype)).s, a.n, &a, err);
}

df_code cuda_scatter_add(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0), *indices = kernel_input(c, 1);
    const df_tensor *out = kernel_output(c, 0);
    const move_copy all = {.dims = {{x->elements, 1, 1}}, 1, x->data, out->data};
    const cuda_scatter a = {.indices = indices->data,
                            .updates = kernel_input(c, 2)->data,
                            .out = out->data,
                            .size = x->dims[0],
                            .count = indices->elements,
                            .row = multiply(x, 1, x->rank),
                            .wide = indices->dtype == DF_INT64,
                            .dtype = (int32_t)x->dtype,
                            .fault = cuda_fault_of(c)};
    df_code code = out->data == x->data ? DF_OK : copy(c, &all, err);
    return code == DF_OK ? cuda_each(c, "scatter_add", a.count * a.row, &a, err) : code;
}
