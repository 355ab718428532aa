/* SPDX-License-Identifier: MIT
 *
 * What infer functions and kernels see of their node: the calls of <dataflow/op.h>.
 */
#include <dataflow/inline.h>

#include "base/error.h"
#include "op/op.h"

#include <stddef.h>

/* inline.h knows where it is. */
#define SAME(TYPE, FIELD, LAYOUT, SAME_FIELD)                                                      \
    _Static_assert(offsetof(TYPE, FIELD) == offsetof(LAYOUT, SAME_FIELD), #FIELD)
SAME(kernel_io, n_inputs, df_node_layout, n_inputs);
SAME(kernel_io, first_input, df_node_layout, first_input);
SAME(kernel_io, first_output, df_node_layout, first_output);
SAME(kernel_io, index, df_node_layout, index);
SAME(kernel_io, n_outputs, df_node_layout, n_outputs);
SAME(df_kernel, io, df_kernel_layout, node);
SAME(df_kernel, slots, df_kernel_layout, slots);
SAME(df_kernel, places, df_kernel_layout, places);
SAME(df_kernel, made, df_kernel_layout, made);
SAME(df_kernel, states, df_kernel_layout, states);
SAME(df_tensor, is_host, df_tensor_layout, is_host);
SAME(df_tensor, elements, df_tensor_layout, elements);
SAME(df_tensor, data, df_tensor_layout, data);

/* ---- infer functions ----------------------------------------------------- */

int df_infer_inputs(const df_infer *c) {
    return c->n_inputs;
}

df_dtype df_infer_dtype(const df_infer *c, int i) {
    return i >= 0 && i < c->n_inputs ? c->inputs[i]->dtype : DF_DTYPE_NONE;
}

df_shape df_infer_shape(const df_infer *c, int i) {
    return i >= 0 && i < c->n_inputs ? edge_shape(c->inputs[i]) : DF_SHAPE_UNKNOWN;
}

df_tensor *df_infer_value(const df_infer *c, int i) {
    if (!c->values || i < 0 || i >= c->n_inputs) return NULL;
    df_tensor *value = c->values[i];
    return value && value->is_host ? value : NULL;
}

const df_attr *df_infer_attr(const df_infer *c, int i) {
    return i >= 0 && i < c->op->n_attrs ? &c->attrs[i] : NULL;
}

void *df_infer_user(const df_infer *c) {
    return c->op->user;
}

int df_infer_outputs(const df_infer *c) {
    return c->n_outputs;
}

df_code df_infer_set(df_infer *c, int i, df_shape shape, df_error *err) {
    if (i < 0 || i >= c->n_outputs)
        return error_set(err, DF_OUT_OF_RANGE, "there is no output %d of %d", i, c->n_outputs);
    return edge_type_set(&c->outputs[i], c->outputs[i].dtype, shape, err);
}

df_code df_infer_same(df_infer *c, df_error *err) {
    df_code code = DF_OK;
    for (int i = 0; code == DF_OK && i < c->n_outputs; i++)
        code = df_infer_set(c, i, df_infer_shape(c, 0), err);
    return code;
}

bool infer_equal_dims(int64_t a, int64_t b, int64_t *out) {
    *out = a == -1 ? b : a;
    return a == -1 || b == -1 || a == b;
}

/* a becomes what is known of both; false: they cannot be equal. */
static bool merge(edge_type *a, const edge_type *b) {
    if (a->rank == -1) *a = *b;
    for (int d = 0; d < a->rank && a->rank == b->rank; d++)
        if (!infer_equal_dims(a->dims[d], b->dims[d], &a->dims[d])) return false;
    return b->rank == -1 || a->rank == b->rank;
}

df_code infer_equal_shapes(df_infer *c, int n, df_error *err) {
    edge_type all = {.rank = -1}, one;
    int i = 0, j = 0;
    while (i < n && merge(&all, c->inputs[i])) i++;
    if (i < n) {
        do one = *c->inputs[j++];
        while (merge(&one, c->inputs[i]));
        return error_invalid(err, "input %d has shape %s and input %d %s; they must be equal",
                             j - 1, edge_text(c->inputs[j - 1]).s, i, edge_text(c->inputs[i]).s);
    }
    df_code code = DF_OK;
    for (i = 0; code == DF_OK && i < c->n_outputs; i++)
        code = df_infer_set(c, i, edge_shape(&all), err);
    return code;
}

df_code df_infer_equal(df_infer *c, df_error *err) {
    return infer_equal_shapes(c, c->n_inputs, err);
}

/* ---- kernels ------------------------------------------------------------- */

const char *df_kernel_node(const df_kernel *k) {
    return k->calls->node(k)->name;
}

int df_kernel_inputs(const df_kernel *k) {
    return kernel_inputs(k);
}

df_tensor *kernel_input(const df_kernel *k, int i) {
    uint32_t at = k->io->first_input + (uint32_t)i;
    return k->slots[k->places ? (uint32_t)k->places[at] : at];
}

df_tensor *df_kernel_input(const df_kernel *k, int i) {
    return i >= 0 && i < kernel_inputs(k) ? kernel_input(k, i) : NULL;
}

int df_kernel_outputs(const df_kernel *k) {
    return kernel_outputs(k);
}

df_tensor *df_kernel_output(const df_kernel *k, int i) {
    return i >= 0 && i < kernel_outputs(k) ? kernel_output(k, i) : NULL;
}

const df_attr *df_kernel_attr(const df_kernel *k, int i) {
    return i >= 0 && i < k->io->kernel->op->n_attrs ? &kernel_attrs(k)[i] : NULL;
}

void *df_kernel_user(const df_kernel *k) {
    return k->io->kernel->user;
}

void *df_kernel_queue(const df_kernel *k) {
    return kernel_queue(k);
}

void *df_kernel_report(const df_kernel *k) {
    return kernel_report(k);
}

void *df_kernel_state(const df_kernel *k) {
    return k->states ? k->states[k->io->index] : NULL;
}

static df_code check_output(const df_kernel *k, int i, df_dtype dtype, df_shape shape,
                            df_error *err) {
    if (i < 0 || i >= kernel_outputs(k))
        return error_set(err, DF_OUT_OF_RANGE, "there is no output %d of %d", i, kernel_outputs(k));
    const edge_type *want = k->calls->output_type(k, i);
    if (shape_is_known(shape) && shape_fits(shape, edge_shape(want)) && dtype == want->dtype)
        return DF_OK;
    char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
    (void)shape_print(shape, is, sizeof is);
    (void)shape_print(edge_shape(want), wanted, sizeof wanted);
    return error_invalid(err, "the kernel gives %s%s as output %d, which is %s%s",
                         df_dtype_name(dtype), is, i, df_dtype_name(want->dtype), wanted);
}

df_code df_kernel_allocate(df_kernel *k, int i, df_shape shape, df_tensor **out, df_error *err) {
    df_dtype dtype = i >= 0 && i < kernel_outputs(k) ? k->calls->output_type(k, i)->dtype : 0;
    df_code code = out ? check_output(k, i, dtype, shape, err) : error_no_out(err);
    return code == DF_OK ? k->calls->allocate(k, i, shape, out, err) : code;
}

static df_code check_given(const df_kernel *k, int i, const df_tensor *t, df_error *err) {
    if (!k->calls->makes_outputs || !k->calls->makes_outputs(k))
        return error_set(err, DF_FAILED_PRECONDITION,
                         "the kernel gives output %d itself, which one that is DF_KERNEL_INLINE "
                         "does, or DF_KERNEL_ASYNC on a CPU: fill df_kernel_output, or "
                         "df_kernel_allocate it",
                         i);
    if (!t) return error_invalid(err, "the kernel gives NULL as output %d", i);
    df_code code = check_output(k, i, t->dtype, tensor_shape(t), err);
    if (code != DF_OK || k->calls->lies_in_host(k, i) == t->is_host) return code;
    return error_invalid(err,
                         "the kernel gives output %d in %s memory, which its host_outputs does not "
                         "say",
                         i, t->is_host ? "host" : "device");
}

df_code df_kernel_set_output(df_kernel *k, int i, df_tensor *t, df_error *err) {
    df_code code = check_given(k, i, t, err);
    if (code == DF_OK)
        k->calls->set_output(k, i, t);
    else
        df_tensor_unref(t);
    return code;
}

df_kernel_handle df_kernel_handle_of(const df_kernel *k) {
    async_op *op = k->calls->async ? k->calls->async(k) : NULL; /* `open` has none */
    return (df_kernel_handle){op, op ? atomic_get(&op->generation, RELAXED) : 0};
}

void df_kernel_done(df_kernel_handle handle, const df_error *why) {
    async_op *op = handle.op;
    uint64_t g = handle.generation;
    if (op && atomic_cas(&op->generation, &g, g + 1, ACQ_REL, RELAXED)) op->ended(op, why);
}
