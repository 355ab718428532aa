/* SPDX-License-Identifier: MIT
 *
 * The part of an executor that one node needs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include "kernels/kernels.h"
#include "op/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1024 };

const df_dtype lab_numbers[] = {DF_FLOAT32, DF_FLOAT64, DF_INT8,  DF_INT16,
                                DF_INT32,   DF_INT64,   DF_UINT8, DF_DTYPE_NONE};
const df_dtype lab_reals[] = {DF_FLOAT32, DF_FLOAT64, DF_DTYPE_NONE};

/* ---- opening and closing ------------------------------------------------- */

int lab_open(void **state) {
    kernel_lab *lab = calloc(1, sizeof *lab);
    if (!lab) return -1;
    fault_allocator_init(&lab->memory_source);
    const df_allocator *alloc = &lab->memory_source.allocator;
    lab->kind = "CPU";
    lab->overwrite = -1;
    lab->ops = op_registry_new(alloc);
    lab->mem = memory_new_host(alloc);
    *state = lab;
    return lab->ops && lab->mem && kernels_register(lab->ops, NULL, NULL) == DF_OK ? 0 : -1;
}

int lab_close(void **state) {
    kernel_lab *lab = *state;
    for (int i = 0; i < lab->n_kept; i++) df_tensor_unref(lab->kept[i]);
    memory_unref(lab->mem);
    op_registry_free(lab->ops);
    fault_allocator_end(&lab->memory_source);
    free(lab);
    return 0;
}

df_tensor *lab_keep(kernel_lab *lab, df_tensor *tensor) {
    assert_in_range(lab->n_kept, 0, LAB_TENSORS - 1);
    lab->kept[lab->n_kept++] = tensor;
    return tensor;
}

/* ---- running ------------------------------------------------------------- */

/* The attrs in the order of the definition, with what is initial where nothing was given. */
static void set_attrs(arena *a, const op_def *op, lab_attrs given, df_attr *to) {
    for (int i = 0; i < op->n_attrs; i++) {
        const df_attr *from = &op->attrs[i].initial;
        for (size_t j = 0; j < given.n; j++)
            if (strcmp(given.items[j].name, op->attrs[i].name) == 0) from = &given.items[j];
        assert_true(from->type == DF_ATTR_NONE || from->type == op->attrs[i].type);
        assert_true(!op->attrs[i].required || from->type != DF_ATTR_NONE);
        assert_true(attr_copy(a, from, &to[i]));
    }
}

static void set_output(df_kernel *c, int i, df_tensor *t) {
    kernel_lab *lab = c->exec;
    assert_null(lab->outputs[i]);
    lab->outputs[i] = lab_keep(lab, t);
}

static const kernel_node *node_of(const df_kernel *c) {
    return ((kernel_lab *)c->exec)->node;
}

static const struct kernel_calls calls = {.node = node_of, .set_output = set_output};

/* Blocks, and what lies in a header, are whole units of 16 bytes. */
static size_t room_of(const df_tensor *t) {
    return (t->bytes + 15) & ~(size_t)15;
}

static void check_room(const kernel_lab *lab, const df_tensor *t) {
    for (size_t i = t->bytes; t->bytes && lab->overwrite < 0 && i < room_of(t); i++)
        assert_int_equal(((const unsigned char *)t->data)[i], 0xA5);
}

/* As an executor does, it takes an input's buffer only if the kernel allows it and
 * dtype and size are equal. */
static df_code make_output(kernel_lab *lab, const kernel_def *k, const edge_type *type,
                           df_tensors inputs, int i) {
    df_tensor *t = NULL;
    df_tensor *over = lab->overwrite >= 0 && i == 0 ? inputs.items[lab->overwrite] : NULL;
    df_code code = tensor_new_in(lab->mem, lab->mem, type->dtype, edge_shape(type), &t, &lab->err);
    if (code != DF_OK) return code;
    if (t->bytes) memset(t->data, 0xA5, room_of(t));
    lab->outputs[i] = lab_keep(lab, t);
    if (!over) return DF_OK;
    assert_true(k->may_overwrite >> lab->overwrite & 1);
    assert_int_equal(over->dtype, t->dtype);
    assert_int_equal(over->bytes, t->bytes);
    df_tensor_unref(t);
    lab->kept[--lab->n_kept] = NULL;
    code = tensor_reshape(lab->mem, over, edge_shape(type), &t, &lab->err);
    if (code != DF_OK) return code;
    /* An inline value was copied: only elements in a buffer can be shared. */
    assert_ptr_equal(t->data, over->data);
    lab->outputs[i] = lab_keep(lab, t);
    return DF_OK;
}

static df_code compute(kernel_lab *lab, const op_def *op, const df_attr *attrs, df_tensors inputs,
                       const edge_type *types) {
    df_dtype dtype = inputs.n ? inputs.items[0]->dtype : types[0].dtype;
    const kernel_def *k = kernel_find(op, lab->kind, dtype);
    assert_non_null(k);
    df_code code = DF_OK;
    int n_outputs = op_outputs(op, attrs);
    for (int i = 0; i < n_outputs && !(k->flags & KERNEL_INLINE) && code == DF_OK; i++)
        code = make_output(lab, k, &types[i], inputs, i);
    if (code != DF_OK) return code;
    kernel_def def = *k;
    if (lab->blas) def.user = (void *)(uintptr_t)lab->blas;
    kernel_node node = {.name = "node", .op = op, .kernel = k, .attrs = attrs};
    kernel_io io = {
        .kernel = &def, .n_inputs = (uint32_t)inputs.n, .n_outputs = (uint16_t)n_outputs};
    lab->node = &node;
    df_kernel c = {.io = &io,
                   .slots = inputs.items,
                   .made = lab->outputs,
                   .headers = lab->mem,
                   .exec = lab,
                   .calls = &calls,
                   .queue = lab->queue,
                   .report = lab->report};
    code = k->compute(&c, &lab->err);
    for (int i = 0; i < n_outputs && !(k->flags & KERNEL_INLINE) && code == DF_OK; i++)
        check_room(lab, lab->outputs[i]);
    return code;
}

static void describe(const df_tensor *t, edge_type *type) {
    assert_int_equal(edge_type_set(type, t->dtype, tensor_shape(t), NULL), DF_OK);
}

/* What comes out is what infer said would. */
static void check_outputs(const kernel_lab *lab, int n_outputs, const edge_type *types) {
    for (int i = 0; i < n_outputs; i++) {
        const df_tensor *t = lab->outputs[i];
        assert_non_null(t);
        assert_int_equal(t->dtype, types[i].dtype);
        assert_true(shape_fits(tensor_shape(t), edge_shape(&types[i])));
    }
}

static df_code infer_and_compute(kernel_lab *lab, const op_def *op, const df_attr *attrs,
                                 df_tensors inputs) {
    edge_type in[LAB_INPUTS], out[DF_MAX_OUTPUTS];
    const edge_type *types[LAB_INPUTS];
    assert_in_range(inputs.n, 0, LAB_INPUTS);
    for (size_t i = 0; i < inputs.n; i++) {
        describe(inputs.items[i], &in[i]);
        types[i] = &in[i];
    }
    /* A variable or a constant has no input for infer, and its value for the kernel. */
    bool owner = op->flags & (OP_VARIABLE | OP_CONST);
    df_infer c = {.op = op,
                  .attrs = attrs,
                  .n_inputs = owner ? 0 : (int)inputs.n,
                  .inputs = types,
                  .n_outputs = op_outputs(op, attrs),
                  .values = inputs.items,
                  .outputs = out};
    df_code code = op_check_inputs(&c, &lab->err);
    if (code == DF_OK) code = op_infer(&c, &lab->err);
    if (code == DF_OK) code = compute(lab, op, attrs, inputs, out);
    if (code == DF_OK) check_outputs(lab, c.n_outputs, out);
    return code;
}

df_code lab_run(kernel_lab *lab, const char *name, df_tensors inputs, lab_attrs given) {
    const op_def *op = op_find(lab->ops, name);
    df_attr attrs[DF_MAX_ATTRS];
    arena a;
    assert_non_null(op);
    memset(lab->outputs, 0, sizeof lab->outputs);
    lab->err = (df_error){.code = DF_OK};
    arena_init(&a, &lab->memory_source.allocator);
    set_attrs(&a, op, given, attrs);
    df_code code = infer_and_compute(lab, op, attrs, inputs);
    for (int i = 0; i < op->n_attrs; i++) attr_drop(&attrs[i]);
    arena_fini(&a);
    if (code != DF_OK) memset(lab->outputs, 0, sizeof lab->outputs);
    return code;
}

df_tensor *lab_ok(kernel_lab *lab, const char *op, df_tensors inputs, lab_attrs attrs) {
    df_code code = lab_run(lab, op, inputs, attrs);
    if (code != DF_OK) fail_msg("%s: %s", op, lab->err.message);
    return lab->outputs[0];
}

void lab_refuses(kernel_lab *lab, const char *op, df_tensors inputs, lab_attrs attrs,
                 const char *part) {
    df_code code = lab_run(lab, op, inputs, attrs);
    if (code != DF_INVALID_ARGUMENT || !strstr(lab->err.message, part))
        fail_msg("%s: %s \"%s\", not \"...%s...\"", op, df_code_name(code), lab->err.message, part);
}

/* ---- infer alone --------------------------------------------------------- */

static df_dtype dtype_named(const char *name, size_t length) {
    for (int d = DF_FLOAT32; d <= DF_BFLOAT16; d++) {
        const char *own = df_dtype_name((df_dtype)d);
        if (strlen(own) == length && strncmp(own, name, length) == 0) return (df_dtype)d;
    }
    fail_msg("no dtype: %s", name);
    return DF_DTYPE_NONE;
}

/* One type at the front of the text; returns what follows it. */
static const char *read_type(const char *from, edge_type *type) {
    size_t length = strcspn(from, "[?");
    int64_t dims[DF_MAX_RANK];
    df_shape shape = {-1, dims};
    df_dtype dtype = dtype_named(from, length);
    from += length;
    if (*from++ == '[') {
        shape.rank = 0;
        while (*from != ']') {
            char *end = NULL;
            dims[shape.rank++] = *from == '?' ? -1 : strtoll(from, &end, 10);
            from = end ? end : from + 1;
            if (*from == ',') from++;
        }
        from++;
    }
    assert_int_equal(edge_type_set(type, dtype, shape, NULL), DF_OK);
    return *from == ' ' ? from + 1 : from;
}

static void write_type(char *buffer, const edge_type *type) {
    char shape[SHAPE_TEXT_MAX];
    size_t used = strlen(buffer);
    (void)shape_print(edge_shape(type), shape, sizeof shape);
    (void)snprintf(buffer + used, TEXT_MAX - used, "%s%s%s", used ? " " : "",
                   df_dtype_name(type->dtype), shape);
}

const char *lab_infer_values(kernel_lab *lab, const char *name, const char *inputs,
                             df_tensor *const *values, lab_attrs given) {
    static char buffer[TEXT_MAX];
    const op_def *op = op_find(lab->ops, name);
    edge_type in[LAB_INPUTS], out[DF_MAX_OUTPUTS];
    const edge_type *types[LAB_INPUTS];
    df_attr attrs[DF_MAX_ATTRS];
    arena a;
    assert_non_null(op);
    df_infer c = {.op = op, .attrs = attrs, .inputs = types, .values = values, .outputs = out};
    for (; *inputs; c.n_inputs++) {
        assert_in_range(c.n_inputs, 0, LAB_INPUTS - 1);
        inputs = read_type(inputs, &in[c.n_inputs]);
        types[c.n_inputs] = &in[c.n_inputs];
    }
    arena_init(&a, &lab->memory_source.allocator);
    set_attrs(&a, op, given, attrs);
    buffer[0] = '\0';
    c.n_outputs = op_outputs(op, attrs);
    df_code code = op_check_inputs(&c, &lab->err);
    if (code == DF_OK) code = op_infer(&c, &lab->err);
    for (int i = 0; i < c.n_outputs && code == DF_OK; i++) write_type(buffer, &out[i]);
    if (code != DF_OK) (void)snprintf(buffer, sizeof buffer, "! %s", lab->err.message);
    for (int i = 0; i < op->n_attrs; i++) attr_drop(&attrs[i]);
    arena_fini(&a);
    return buffer;
}

/* ---- tensors ------------------------------------------------------------- */

static df_tensor *new_tensor(kernel_lab *lab, df_dtype dtype, df_shape shape) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(&lab->memory_source.allocator, dtype, shape, &t, NULL), DF_OK);
    return lab_keep(lab, t);
}

df_tensor *lab_tensor(kernel_lab *lab, df_dtype dtype, df_shape shape, const double *values) {
    df_tensor *t = new_tensor(lab, dtype, shape);
    number_store_floats(dtype, values, t->elements, t->data);
    return t;
}

df_tensor *lab_ints(kernel_lab *lab, df_dtype dtype, df_shape shape, const int64_t *values) {
    df_tensor *t = new_tensor(lab, dtype, shape);
    number_store_ints(dtype, values, t->elements, t->data);
    return t;
}

static void check_type(const df_tensor *t, df_dtype dtype, df_shape shape, const char *file,
                       int line) {
    char have[SHAPE_TEXT_MAX], want[SHAPE_TEXT_MAX];
    (void)shape_print(tensor_shape(t), have, sizeof have);
    (void)shape_print(shape, want, sizeof want);
    if (t->dtype == dtype && shape_equal(tensor_shape(t), shape)) return;
    print_error("%s:%d: is %s%s, not %s%s\n", file, line, df_dtype_name(t->dtype), have,
                df_dtype_name(dtype), want);
    _fail(file, line);
}

static double element_of(const df_tensor *t, int64_t i) {
    const char *at = (const char *)t->data + (size_t)i * df_dtype_size(t->dtype);
    double x = 0;
    int64_t n = 0;
    if (number_is_float(t->dtype)) {
        number_load_floats(t->dtype, at, 1, &x);
        return x;
    }
    number_load_ints(t->dtype, at, 1, &n);
    return (double)n;
}

void lab_is(const df_tensor *t, df_dtype dtype, df_shape shape, const double *values,
            const char *file, int line) {
    check_type(t, dtype, shape, file, line);
    for (int64_t i = 0; i < t->elements; i++) {
        double x = element_of(t, i), y = values[i];
        if (dtype == DF_FLOAT32) y = (double)(float)y;
        bool same = x != x ? y != y : x == y && signbit(x) == signbit(y);
        if (same) continue;
        print_error("%s:%d: element %lld is %.17g, not %.17g\n", file, line, (long long)i, x, y);
        _fail(file, line);
    }
}

void lab_is_ints(const df_tensor *t, df_dtype dtype, df_shape shape, const int64_t *values,
                 const char *file, int line) {
    check_type(t, dtype, shape, file, line);
    assert_true(number_is_int(dtype));
    for (int64_t i = 0; i < t->elements; i++) {
        int64_t x = 0;
        number_load_ints(dtype, (const char *)t->data + (size_t)i * df_dtype_size(dtype), 1, &x);
        if (x == values[i]) continue;
        print_error("%s:%d: element %lld is %lld, not %lld\n", file, line, (long long)i,
                    (long long)x, (long long)values[i]);
        _fail(file, line);
    }
}

void lab_is_near(const df_tensor *t, df_dtype dtype, df_shape shape, double tolerance,
                 const double *values, const char *file, int line) {
    check_type(t, dtype, shape, file, line);
    for (int64_t i = 0; i < t->elements; i++) {
        double x = element_of(t, i), y = values[i];
        bool near = x != x ? y != y : x == y || fabs(x - y) <= tolerance * fmax(1, fabs(y));
        if (near) continue;
        print_error("%s:%d: element %lld is %.17g, not near %.17g\n", file, line, (long long)i, x,
                    y);
        _fail(file, line);
    }
}
