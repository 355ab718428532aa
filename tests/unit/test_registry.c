/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "op/op.h"
#include "support/fault.h"

#include <stdio.h>
#include <string.h>

typedef struct world {
    fault_allocator memory;
    op_registry *r;
    df_error err;
} world;

static int open_world(void **state) {
    static world w;
    memset(&w, 0, sizeof w);
    fault_allocator_init(&w.memory);
    w.r = op_registry_new(&w.memory.allocator);
    *state = &w;
    return w.r ? 0 : -1;
}

static int close_world(void **state) {
    world *w = *state;
    op_registry_free(w->r);
    fault_allocator_end(&w->memory);
    return 0;
}

static df_code infer(df_infer *c, df_error *err) {
    (void)c;
    (void)err;
    return DF_OK;
}

static df_code compute(df_kernel *c, df_error *err) {
    (void)c;
    (void)err;
    return DF_OK;
}

static bool floats(df_dtype d) {
    return d == DF_FLOAT32 || d == DF_FLOAT64;
}
static bool float32(df_dtype d) {
    return d == DF_FLOAT32;
}
static bool integers(df_dtype d) {
    return d >= DF_INT8 && d <= DF_UINT8;
}

static const op_def twice = {
    .name = "Twice", .min_inputs = 1, .max_inputs = 1, .n_outputs = 1, .infer = infer};

#define REFUSED(call, expected, part)                                                              \
    do {                                                                                           \
        assert_int_equal((call), (expected));                                                      \
        if (!strstr(w->err.message, part)) fail_msg("\"%s\"", w->err.message);                     \
    } while (0)

/* ---- ops ----------------------------------------------------------------- */

static void an_op_is_found_by_its_whole_name(void **state) {
    world *w = *state;
    assert_null(op_find(w->r, "Twice"));
    assert_int_equal(op_register(w->r, &twice, &w->err), DF_OK);
    assert_ptr_equal(op_find(w->r, "Twice"), &twice);
    assert_null(op_find(w->r, "Twic"));
    assert_null(op_find(w->r, "twice"));
    assert_null(op_find(w->r, ""));
    assert_null(op_find(w->r, NULL));
}

static void many_ops_are_all_found(void **state) {
    world *w = *state;
    static char names[300][16];
    static op_def ops[300];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(names[i], sizeof names[i], "Op%d", i);
        ops[i] = twice;
        ops[i].name = names[i];
        assert_int_equal(op_register(w->r, &ops[i], &w->err), DF_OK);
    }
    for (int i = 0; i < 300; i++) assert_ptr_equal(op_find(w->r, names[i]), &ops[i]);
}

static void a_name_that_is_taken_is_refused(void **state) {
    world *w = *state;
    static const op_def other = {.name = "Twice", .infer = infer};
    assert_int_equal(op_register(w->r, &twice, &w->err), DF_OK);
    REFUSED(op_register(w->r, &other, &w->err), DF_ALREADY_EXISTS,
            "op Twice is registered already");
    assert_ptr_equal(op_find(w->r, "Twice"), &twice);
}

static void a_definition_that_does_not_hold_together_is_refused(void **state) {
    world *w = *state;
    static const struct {
        op_def def;
        const char *words;
    } cases[] = {
        {{.name = NULL, .infer = infer}, "op \"\": a name is letters"},
        {{.name = "", .infer = infer}, "op \"\": a name is letters"},
        {{.name = "2x", .infer = infer}, "op \"2x\": a name is letters"},
        {{.name = "A b", .infer = infer}, "op \"A b\": a name is letters"},
        {{.name = "A", .min_inputs = -1, .infer = infer}, "op A: inputs must be"},
        {{.name = "A", .min_inputs = 2, .max_inputs = 1, .infer = infer}, "op A: inputs must be"},
        {{.name = "A", .n_outputs = OP_MAX_OUTPUTS + 1, .infer = infer}, "OP_MAX_OUTPUTS"},
        {{.name = "A", .n_attrs = OP_MAX_ATTRS + 1, .infer = infer}, "OP_MAX_ATTRS"},
        {{.name = "A"}, "infer is NULL"},
        {{.name = "A", .flags = OP_VARIABLE, .infer = infer}, "owns a variable"},
        {{.name = "A", .flags = OP_READS, .infer = infer}, "as input 0"},
        {{.name = "A", .min_inputs = 1, .max_inputs = 1, .flags = OP_WRITES, .infer = infer},
         "new value as output 0"},
        {{.name = "A", .n_outputs = 1, .flags = OP_CONST, .infer = infer}, "attr 0 of a constant"},
        {{.name = "A", .infer = infer, .n_attrs = 1}, "each attr needs a name"},
        {{.name = "A", .infer = infer, .n_attrs = 1, .attrs = {{.name = "a"}}}, "has no type"},
        {{.name = "A",
          .infer = infer,
          .n_attrs = 2,
          .attrs = {{.name = "a", .type = DF_ATTR_INT}, {.name = "a", .type = DF_ATTR_INT}}},
         "the same name"},
        {{.name = "A",
          .infer = infer,
          .n_attrs = 1,
          .attrs = {{.name = "a", .type = DF_ATTR_INT, .initial = {.type = DF_ATTR_BOOL}}}},
         "not of its type"},
        {{.name = "A",
          .infer = infer,
          .n_attrs = 1,
          .attrs = {{.name = "a",
                     .type = DF_ATTR_INT,
                     .required = true,
                     .initial = {.type = DF_ATTR_INT}}}},
         "needs no initial value"},
        {{.name = "A",
          .infer = infer,
          .n_attrs = 1,
          .attrs = {{.name = "a", .type = DF_ATTR_STRING, .initial = {.type = DF_ATTR_STRING}}}},
         "initial value is NULL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        REFUSED(op_register(w->r, &cases[i].def, &w->err), DF_INVALID_ARGUMENT, cases[i].words);
    assert_null(op_find(w->r, "A"));
}

/* ---- kernels ------------------------------------------------------------- */

static const kernel_def on_cpu = {
    .op = "Twice", .kind = "CPU", .compute = compute, .takes = floats};
static const kernel_def on_sim = {
    .op = "Twice", .kind = "SIM", .compute = compute, .takes = floats};
static const kernel_def anywhere = {
    .op = "Twice", .kind = "*", .compute = compute, .flags = KERNEL_INLINE};

static void a_kernel_is_found_by_kind_and_dtype(void **state) {
    world *w = *state;
    (void)op_register(w->r, &twice, NULL);
    assert_null(kernel_find(w->r, &twice, "CPU", DF_FLOAT32));
    assert_int_equal(kernel_register(w->r, &on_cpu, &w->err), DF_OK);
    assert_int_equal(kernel_register(w->r, &on_sim, &w->err), DF_OK);
    assert_ptr_equal(kernel_find(w->r, &twice, "CPU", DF_FLOAT32), &on_cpu);
    assert_ptr_equal(kernel_find(w->r, &twice, "sim", DF_FLOAT64), &on_sim);
    assert_null(kernel_find(w->r, &twice, "CPU", DF_INT32));
    assert_null(kernel_find(w->r, &twice, "CUDA", DF_FLOAT32));
    assert_null(kernel_find(w->r, &twice, "CP", DF_FLOAT32));
    assert_null(kernel_find(w->r, &twice, "CPUS", DF_FLOAT32));
}

static void an_exact_kind_comes_before_any(void **state) {
    world *w = *state;
    (void)op_register(w->r, &twice, NULL);
    assert_int_equal(kernel_register(w->r, &anywhere, &w->err), DF_OK);
    assert_int_equal(kernel_register(w->r, &on_cpu, &w->err), DF_OK);
    assert_ptr_equal(kernel_find(w->r, &twice, "CPU", DF_FLOAT32), &on_cpu);
    assert_ptr_equal(kernel_find(w->r, &twice, "CPU", DF_INT32), &anywhere);
    assert_ptr_equal(kernel_find(w->r, &twice, "OTHER", DF_FLOAT32), &anywhere);
}

static void an_op_of_the_same_name_elsewhere_has_no_kernels_here(void **state) {
    world *w = *state;
    op_def same = twice;
    (void)op_register(w->r, &twice, NULL);
    (void)kernel_register(w->r, &anywhere, NULL);
    assert_null(kernel_find(w->r, &same, "CPU", DF_FLOAT32));
}

static void two_kernels_share_a_kind_as_long_as_they_share_no_dtype(void **state) {
    world *w = *state;
    static const kernel_def ints = {
        .op = "Twice", .kind = "cpu", .compute = compute, .takes = integers};
    static const kernel_def again = {
        .op = "Twice", .kind = "cpu", .compute = compute, .takes = float32};
    (void)op_register(w->r, &twice, NULL);
    assert_int_equal(kernel_register(w->r, &on_cpu, &w->err), DF_OK);
    assert_int_equal(kernel_register(w->r, &ints, &w->err), DF_OK);
    assert_ptr_equal(kernel_find(w->r, &twice, "CPU", DF_INT8), &ints);
    REFUSED(kernel_register(w->r, &again, &w->err), DF_ALREADY_EXISTS,
            "kernel of Twice on cpu: there is one for float32 already");
}

static void a_kernel_that_does_not_hold_together_is_refused(void **state) {
    world *w = *state;
    static const op_def nothing = {.name = "Nothing", .flags = OP_NO_KERNEL, .infer = infer};
    static const struct {
        kernel_def def;
        const char *words;
    } cases[] = {
        {{.op = "Thrice", .kind = "CPU", .compute = compute}, "kernel of \"Thrice\": there is no"},
        {{.op = NULL, .kind = "CPU", .compute = compute}, "kernel of \"\": there is no such op"},
        {{.op = "Twice", .compute = compute}, "kind must be"},
        {{.op = "Twice", .kind = "", .compute = compute}, "kind must be"},
        {{.op = "Twice", .kind = "CPU"}, "kernel of Twice on CPU: compute is NULL"},
        {{.op = "Twice", .kind = "*", .compute = compute}, "only a kernel with KERNEL_INLINE"},
        {{.op = "Twice", .kind = "CPU", .compute = compute, .flags = KERNEL_INLINE | KERNEL_ASYNC},
         "not both"},
        {{.op = "Send", .kind = "CPU", .compute = compute}, "are the executor's"},
        {{.op = "Nothing", .kind = "CPU", .compute = compute}, "takes no kernel"},
    };
    assert_int_equal(op_register(w->r, &twice, &w->err), DF_OK);
    assert_int_equal(op_register(w->r, &nothing, &w->err), DF_OK);
    assert_int_equal(op_register_transfer(w->r, &w->err), DF_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        REFUSED(kernel_register(w->r, &cases[i].def, &w->err), DF_INVALID_ARGUMENT, cases[i].words);
    assert_null(kernel_find(w->r, &twice, "CPU", DF_FLOAT32));
}

static void check_kinds(world *w, const op_def *op, const char *want) {
    text t;
    text_init(&t, &w->memory.allocator);
    kernel_kinds(w->r, op, &t);
    assert_string_equal(t.data, want);
    text_fini(&t);
}

static void the_kinds_of_an_op_are_listed_once_each(void **state) {
    world *w = *state;
    static const kernel_def ints = {
        .op = "Twice", .kind = "CPU", .compute = compute, .takes = integers};
    check_kinds(w, &twice, "none");
    (void)op_register(w->r, &twice, NULL);
    check_kinds(w, &twice, "none");
    (void)kernel_register(w->r, &on_cpu, NULL);
    (void)kernel_register(w->r, &on_sim, NULL);
    (void)kernel_register(w->r, &ints, NULL);
    check_kinds(w, &twice, "CPU, SIM");
    (void)kernel_register(w->r, &anywhere, NULL);
    check_kinds(w, &twice, "CPU, SIM, any");
}

/* ---- memory -------------------------------------------------------------- */

static void the_standard_ops_register_once(void **state) {
    world *w = *state;
    assert_int_equal(kernels_register(w->r, &w->err), DF_OK);
    assert_int_equal(op_register_transfer(w->r, &w->err), DF_OK);
    assert_non_null(op_find(w->r, "MatMul"));
    assert_non_null(op_find(w->r, "Recv"));
    assert_int_equal(kernels_register(w->r, &w->err), DF_ALREADY_EXISTS);
    assert_int_equal(op_register_transfer(w->r, &w->err), DF_ALREADY_EXISTS);
}

static df_code register_all(op_registry *r, df_error *err) {
    df_code code = kernels_register(r, err);
    return code == DF_OK ? op_register_transfer(r, err) : code;
}

static void out_of_memory_anywhere_leaves_a_registry_that_works(void **state) {
    world *w = *state;
    df_code code = DF_RESOURCE_EXHAUSTED;
    for (size_t n = 1; code != DF_OK; n++) {
        op_registry *r = op_registry_new(&w->memory.allocator);
        assert_non_null(r);
        fault_fail_allocation(&w->memory, n, FAULT_ONCE);
        code = register_all(r, &w->err);
        fault_fail_allocation(&w->memory, 0, FAULT_ONCE);
        if (code != DF_OK) {
            assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
            assert_int_equal(op_register(r, &twice, &w->err), DF_OK);
            assert_int_equal(kernel_register(r, &on_cpu, &w->err), DF_OK);
            assert_ptr_equal(kernel_find(r, &twice, "CPU", DF_FLOAT32), &on_cpu);
        }
        op_registry_free(r);
        assert_in_range(n, 1, 100);
    }
    fault_fail_allocation(&w->memory, 1, FAULT_ONCE);
    assert_null(op_registry_new(&w->memory.allocator));
    op_registry_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_op_is_found_by_its_whole_name),
        TEST(many_ops_are_all_found),
        TEST(a_name_that_is_taken_is_refused),
        TEST(a_definition_that_does_not_hold_together_is_refused),
        TEST(a_kernel_is_found_by_kind_and_dtype),
        TEST(an_exact_kind_comes_before_any),
        TEST(an_op_of_the_same_name_elsewhere_has_no_kernels_here),
        TEST(two_kernels_share_a_kind_as_long_as_they_share_no_dtype),
        TEST(a_kernel_that_does_not_hold_together_is_refused),
        TEST(the_kinds_of_an_op_are_listed_once_each),
        TEST(the_standard_ops_register_once),
        TEST(out_of_memory_anywhere_leaves_a_registry_that_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
