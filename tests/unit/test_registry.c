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

static df_code compute(df_kernel *c, df_error *err) {
    (void)c;
    (void)err;
    return DF_OK;
}

#define OP(SIGNATURE)           ((df_op_def){sizeof(df_op_def), SIGNATURE, NULL, 0, NULL})
#define OP_WITH(SIGNATURE, ...) ((df_op_def){sizeof(df_op_def), SIGNATURE, NULL, __VA_ARGS__, NULL})
#define KERNEL(...)             ((df_kernel_def){.struct_size = sizeof(df_kernel_def), __VA_ARGS__})

static const char twice[] = "Twice(x: number) : x";

static df_code add_op(world *w, const char *signature) {
    return op_register(w->r, &OP(signature), &w->err);
}

#define REFUSED(call, expected, part)                                                              \
    do {                                                                                           \
        assert_int_equal((call), (expected));                                                      \
        if (!strstr(w->err.message, part)) fail_msg("\"%s\"", w->err.message);                     \
    } while (0)

/* ---- ops ----------------------------------------------------------------- */

static void an_op_is_found_by_its_whole_name(void **state) {
    world *w = *state;
    assert_null(op_find(w->r, "Twice"));
    assert_int_equal(add_op(w, twice), DF_OK);
    assert_string_equal(op_find(w->r, "Twice")->name, "Twice");
    assert_null(op_find(w->r, "Twic"));
    assert_null(op_find(w->r, "twice"));
    assert_null(op_find(w->r, ""));
    assert_null(op_find(w->r, NULL));
}

static void many_ops_are_all_found(void **state) {
    world *w = *state;
    char line[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(line, sizeof line, "Op%d()", i);
        assert_int_equal(add_op(w, line), DF_OK);
    }
    assert_int_equal(op_count(w->r), 300);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(line, sizeof line, "Op%d", i);
        assert_ptr_equal(op_find(w->r, line), op_at(w->r, (size_t)i));
    }
}

static void what_was_registered_is_a_copy(void **state) {
    world *w = *state;
    char line[] = "Twice(x: number) {mode: string = \"up\"} : x", kinds[] = "cpu";
    assert_int_equal(add_op(w, line), DF_OK);
    df_kernel_def def = KERNEL(.op = "Twice", .devices = kinds, .compute = compute);
    assert_int_equal(kernel_register(w->r, &def, &w->err), DF_OK);
    memset(line, '#', sizeof line - 1);
    memset(kinds, '#', sizeof kinds - 1);
    memset(&def, 0xff, sizeof def);
    const op_def *op = op_find(w->r, "Twice");
    assert_non_null(op);
    assert_string_equal(op->attrs[0].initial.s, "up");
    assert_ptr_equal(kernel_find(op, "CPU", DF_FLOAT32)->compute, compute);
}

static void a_name_that_is_taken_is_refused(void **state) {
    world *w = *state;
    assert_int_equal(add_op(w, twice), DF_OK);
    const op_def *first = op_find(w->r, "Twice");
    REFUSED(add_op(w, "Twice()"), DF_ALREADY_EXISTS, "op Twice is registered already");
    assert_ptr_equal(op_find(w->r, "Twice"), first);
}

static void a_definition_that_does_not_hold_together_is_refused(void **state) {
    world *w = *state;
    const struct {
        df_op_def def;
        const char *words;
    } cases[] = {
        {OP(NULL), "the signature of an op is NULL"},
        {OP(""), "signature \"\", line 1, column 1: expected the name of the op"},
        {OP_WITH("A(x: any) : x", OP_VARIABLE), "op A: an op that owns a variable"},
        {OP_WITH("A()", OP_READS), "as input 0"},
        {OP_WITH("A(x: any)", OP_WRITES), "new value as output 0"},
        {OP_WITH("A() : float32", OP_CONST), "attr 0 of a constant"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        REFUSED(op_register(w->r, &cases[i].def, &w->err), DF_INVALID_ARGUMENT, cases[i].words);
    assert_null(op_find(w->r, "A"));
    REFUSED(op_register(w->r, NULL, &w->err), DF_INVALID_ARGUMENT, "df_op_def is NULL");
    REFUSED(op_register(w->r, &(df_op_def){.signature = "A()"}, &w->err), DF_INVALID_ARGUMENT,
            "set it to sizeof(df_op_def)");
}

static void nothing_is_registered_once_there_was_a_graph(void **state) {
    world *w = *state;
    assert_int_equal(add_op(w, twice), DF_OK);
    op_registry_freeze(w->r);
    REFUSED(add_op(w, "Thrice()"), DF_FAILED_PRECONDITION, "before the first df_graph_new");
    REFUSED(kernel_register(w->r, &KERNEL(.op = "Twice", .devices = "CPU", .compute = compute),
                            &w->err),
            DF_FAILED_PRECONDITION, "before the first df_graph_new");
}

/* ---- kernels ------------------------------------------------------------- */

static df_code add_kernel(world *w, const char *devices, const char *dtypes, uint32_t flags) {
    return kernel_register(w->r,
                           &KERNEL(.op = "Twice", .devices = devices, .dtypes = dtypes,
                                   .compute = compute, .flags = flags),
                           &w->err);
}

/* Which kernel: its kinds; "" for none. */
static const char *found(world *w, const char *kind, df_dtype dtype) {
    const kernel_def *k = kernel_find(op_find(w->r, "Twice"), kind, dtype);
    return k ? k->kinds : "";
}

static void a_kernel_is_found_by_kind_and_dtype(void **state) {
    world *w = *state;
    (void)add_op(w, twice);
    assert_string_equal(found(w, "CPU", DF_FLOAT32), "");
    assert_int_equal(add_kernel(w, "CPU,sim", "real", 0), DF_OK);
    assert_int_equal(add_kernel(w, "Other2", "float32|int8", 0), DF_OK);
    assert_string_equal(found(w, "CPU", DF_FLOAT32), "CPU,SIM");
    assert_string_equal(found(w, "sim", DF_FLOAT64), "CPU,SIM");
    assert_string_equal(found(w, "OTHER2", DF_INT8), "OTHER2");
    assert_string_equal(found(w, "CPU", DF_INT32), "");
    assert_string_equal(found(w, "CUDA", DF_FLOAT32), "");
    assert_string_equal(found(w, "CP", DF_FLOAT32), "");
    assert_string_equal(found(w, "CPUS", DF_FLOAT32), "");
}

static void an_exact_kind_comes_before_any(void **state) {
    world *w = *state;
    (void)add_op(w, twice);
    assert_int_equal(add_kernel(w, "*", NULL, DF_KERNEL_INLINE), DF_OK);
    assert_int_equal(add_kernel(w, "CPU", "real", 0), DF_OK);
    assert_string_equal(found(w, "CPU", DF_FLOAT32), "CPU");
    assert_string_equal(found(w, "CPU", DF_INT32), "*");
    assert_string_equal(found(w, "OTHER", DF_FLOAT32), "*");
}

static void two_kernels_share_a_kind_as_long_as_they_share_no_dtype(void **state) {
    world *w = *state;
    (void)add_op(w, twice);
    assert_int_equal(add_kernel(w, "SIM,CPU", "real", 0), DF_OK);
    assert_int_equal(add_kernel(w, "cpu", "int8|index", 0), DF_OK);
    assert_string_equal(found(w, "CPU", DF_INT8), "CPU");
    REFUSED(add_kernel(w, "cuda,cpu", "float64|bool", 0), DF_ALREADY_EXISTS,
            "kernel of Twice: there is one on CPU for float64 already");
    REFUSED(add_kernel(w, "cpu", NULL, 0), DF_ALREADY_EXISTS, "for float32 already");
    assert_string_equal(found(w, "CUDA", DF_FLOAT64), "");
    assert_int_equal(add_kernel(w, "cuda", NULL, 0), DF_OK);
    REFUSED(add_kernel(w, "cuda", NULL, 0), DF_ALREADY_EXISTS, "on CUDA for every dtype already");
}

static void a_kernel_that_does_not_hold_together_is_refused(void **state) {
    world *w = *state;
    const struct {
        df_kernel_def def;
        const char *words;
    } cases[] = {
        {KERNEL(.op = "Thrice", .devices = "CPU", .compute = compute), "\"Thrice\": there is no"},
        {KERNEL(.op = NULL, .devices = "CPU", .compute = compute), "\"\": there is no such op"},
        {KERNEL(.op = "Twice", .compute = compute), "devices must be kinds"},
        {KERNEL(.op = "Twice", .devices = "", .compute = compute), "devices must be kinds"},
        {KERNEL(.op = "Twice", .devices = "CPU,", .compute = compute), "devices must be kinds"},
        {KERNEL(.op = "Twice", .devices = "CPU, SIM", .compute = compute), "devices must be kinds"},
        {KERNEL(.op = "Twice", .devices = "CPU"), "kernel of Twice on CPU: compute is NULL"},
        {KERNEL(.op = "Twice", .devices = "*", .compute = compute), "only a kernel with"},
        {KERNEL(.op = "Twice", .devices = "CPU", .compute = compute,
                .flags = DF_KERNEL_INLINE | DF_KERNEL_ASYNC),
         "not both"},
        {KERNEL(.op = "Twice", .devices = "CPU", .compute = compute, .dtypes = "float"),
         "expected a dtype"},
        {KERNEL(.op = "Twice", .devices = "CPU", .compute = compute, .dtypes = "bool,int8"),
         "expected '|'"},
        {KERNEL(.op = "Send", .devices = "CPU", .compute = compute), "are the executor's"},
        {KERNEL(.op = "Set", .devices = "CPU", .compute = compute, .host_outputs = 1), "no bit 0"},
        {KERNEL(.op = "Nothing", .devices = "CPU", .compute = compute), "takes no kernel"},
    };
    assert_int_equal(op_register(w->r, &OP_WITH("Set(v: any, x: v) : v", OP_WRITES), NULL), DF_OK);
    assert_int_equal(add_op(w, twice), DF_OK);
    assert_int_equal(op_register(w->r, &OP_WITH("Nothing()", OP_NO_KERNEL), &w->err), DF_OK);
    assert_int_equal(op_register_transfer(w->r, &w->err), DF_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        REFUSED(kernel_register(w->r, &cases[i].def, &w->err), DF_INVALID_ARGUMENT, cases[i].words);
    assert_string_equal(found(w, "CPU", DF_FLOAT32), "");
}

static void check_kinds(world *w, const char *want) {
    text t;
    text_init(&t, &w->memory.allocator);
    kernel_kinds(op_find(w->r, "Twice"), &t);
    assert_string_equal(t.data, want);
    text_fini(&t);
}

static void the_kinds_of_an_op_are_listed_once_each(void **state) {
    world *w = *state;
    (void)add_op(w, twice);
    check_kinds(w, "none");
    (void)add_kernel(w, "CPU,SIM", "real", 0);
    (void)add_kernel(w, "cpu,cuda", "index", 0);
    check_kinds(w, "CPU, SIM, CUDA");
    (void)add_kernel(w, "*", NULL, DF_KERNEL_INLINE);
    check_kinds(w, "CPU, SIM, CUDA, any");
}

/* ---- memory -------------------------------------------------------------- */

static void the_standard_ops_register_once(void **state) {
    world *w = *state;
    assert_int_equal(kernels_register(w->r, NULL, &w->err), DF_OK);
    assert_int_equal(op_register_transfer(w->r, &w->err), DF_OK);
    assert_non_null(op_find(w->r, "MatMul"));
    assert_non_null(op_find(w->r, "Recv"));
    assert_int_equal(kernels_register(w->r, NULL, &w->err), DF_ALREADY_EXISTS);
    assert_int_equal(op_register_transfer(w->r, &w->err), DF_ALREADY_EXISTS);
}

static df_code register_all(op_registry *r, df_error *err) {
    df_code code = kernels_register(r, NULL, err);
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
            world after = {.r = r};
            assert_int_equal(add_op(&after, twice), DF_OK);
            assert_int_equal(add_kernel(&after, "CPU", "real", 0), DF_OK);
            assert_string_equal(found(&after, "CPU", DF_FLOAT32), "CPU");
        }
        op_registry_free(r);
        assert_in_range(n, 1, 1000);
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
        TEST(what_was_registered_is_a_copy),
        TEST(a_name_that_is_taken_is_refused),
        TEST(a_definition_that_does_not_hold_together_is_refused),
        TEST(nothing_is_registered_once_there_was_a_graph),
        TEST(a_kernel_is_found_by_kind_and_dtype),
        TEST(an_exact_kind_comes_before_any),
        TEST(two_kernels_share_a_kind_as_long_as_they_share_no_dtype),
        TEST(a_kernel_that_does_not_hold_together_is_refused),
        TEST(the_kinds_of_an_op_are_listed_once_each),
        TEST(the_standard_ops_register_once),
        TEST(out_of_memory_anywhere_leaves_a_registry_that_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
