/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/kernel_run.h"

#include <string.h>

static lab_attrs declared(df_attr attrs[2], df_dtype dtype, df_shape shape) {
    attrs[0] = df_attr_dtype("dtype", dtype);
    attrs[1] = df_attr_shape("shape", shape);
    return (lab_attrs){attrs, 2};
}

static void what_only_passes_on_gives_the_very_tensor(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[2], value;
    df_tensor *x = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 1, 2);
    value = df_attr_tensor("value", x);
    assert_ptr_equal(lab_ok(lab, "Identity", DF_TENSORS(x), LAB_NO_ATTRS), x);
    assert_ptr_equal(lab_ok(lab, "ReadVariable", DF_TENSORS(x), LAB_NO_ATTRS), x);
    assert_ptr_equal(lab_ok(lab, "Const", DF_TENSORS(x), (lab_attrs){&value, 1}), x);
    assert_ptr_equal(
        lab_ok(lab, "Variable", DF_TENSORS(x), declared(attrs, DF_FLOAT32, DF_SHAPE(2))), x);
}

static void assign_makes_the_value_the_variable_s(void **state) {
    kernel_lab *lab = *state;
    df_tensor *now = LAB(lab, DF_STRING, DF_SHAPE(0), 0),
              *value = LAB(lab, DF_STRING, DF_SHAPE(0), 0);
    assert_ptr_equal(lab_ok(lab, "Assign", DF_TENSORS(now, value), LAB_NO_ATTRS), value);
}

static void assign_add_and_assign_sub_compute_the_new_value(void **state) {
    kernel_lab *lab = *state;
    for (const df_dtype *d = lab_numbers; *d; d++) {
        df_tensor *now = LAB(lab, *d, DF_SHAPE(2), 10, 20),
                  *delta = LAB(lab, *d, DF_SHAPE(2), 1, 2);
        df_tensors in = DF_TENSORS(now, delta);
        LAB_IS(lab_ok(lab, "AssignAdd", in, LAB_NO_ATTRS), *d, DF_SHAPE(2), 11, 22);
        LAB_IS(lab_ok(lab, "AssignSub", in, LAB_NO_ATTRS), *d, DF_SHAPE(2), 9, 18);
        LAB_IS(now, *d, DF_SHAPE(2), 10, 20);
    }
}

static void a_variable_may_be_written_in_place(void **state) {
    kernel_lab *lab = *state;
    double ones[40], want[40];
    for (int i = 0; i < 40; i++) {
        ones[i] = 1;
        want[i] = 2;
    }
    df_tensor *now = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(40), ones);
    df_tensor *delta = lab_tensor(lab, DF_FLOAT32, DF_SHAPE(40), ones);
    lab->overwrite = 0;
    lab_ok(lab, "AssignAdd", DF_TENSORS(now, delta), LAB_NO_ATTRS);
    lab_is(now, DF_FLOAT32, DF_SHAPE(40), want, __FILE__, __LINE__);
}

static void infer_knows_what_was_declared(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[2], value;
    df_tensor *x = LAB(lab, DF_INT16, DF_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    value = df_attr_tensor("value", x);
    assert_string_equal(lab_infer(lab, "Const", "", ((lab_attrs){&value, 1})), "int16[2,3]");
    assert_string_equal(lab_infer(lab, "Variable", "", declared(attrs, DF_STRING, DF_SHAPE(2, -1))),
                        "string[2,?]");
    assert_string_equal(
        lab_infer(lab, "Placeholder", "", declared(attrs, DF_BOOL, DF_SHAPE_UNKNOWN)), "bool?");
    assert_string_equal(lab_infer(lab, "ReadVariable", "int8[2,?]", LAB_NO_ATTRS), "int8[2,?]");
    assert_string_equal(lab_infer(lab, "Assign", "int8[2,?] int8[?,3]", LAB_NO_ATTRS), "int8[2,3]");
    assert_string_equal(lab_infer(lab, "AssignAdd", "int8[2] int8?", LAB_NO_ATTRS), "int8[2]");
    assert_string_equal(lab_infer(lab, "NoOp", "", LAB_NO_ATTRS), "");
}

static void infer_says_what_would_fit(void **state) {
    kernel_lab *lab = *state;
    df_attr attrs[2];
    assert_string_equal(lab_infer(lab, "Placeholder", "", declared(attrs, (df_dtype)77, DF_SCALAR)),
                        "! dtype 77 is none; give one such as DF_FLOAT32");
    assert_string_equal(lab_infer(lab, "Assign", "int8[2] int16[2]", LAB_NO_ATTRS),
                        "! input 0 (variable) is int8 and input 1 (value) is int16; make them one "
                        "dtype with Cast");
    assert_string_equal(lab_infer(lab, "Assign", "int8[2] int8[1]", LAB_NO_ATTRS),
                        "! the variable has shape [2] and input 1 [1]; they must be equal");
    assert_string_equal(lab_infer(lab, "AssignSub", "int8[2] int8[2,2]", LAB_NO_ATTRS),
                        "! the variable has shape [2] and input 1 [2,2]; they must be equal");
    assert_string_equal(lab_infer(lab, "AssignAdd", "bool[2] bool[2]", LAB_NO_ATTRS),
                        "! input 0 (variable) is bool; it takes float32, float64, int8, int16"
                        ", int32, int64 or uint8: use Cast");
}

/* Of a variable declared [?], infer knows only that; the kernel sees the value. */
static void a_delta_of_another_shape_than_the_value_is_refused(void **state) {
    kernel_lab *lab = *state;
    df_tensor *now = LAB(lab, DF_FLOAT32, DF_SHAPE(1), 1),
              *delta = LAB(lab, DF_FLOAT32, DF_SHAPE(2), 1, 2);
    const op_def *op = op_find(lab->ops, "AssignAdd");
    const kernel_def *k = kernel_find(op, "CPU", DF_FLOAT32);
    kernel_io io = {.kernel = k, .n_inputs = 2, .n_outputs = 1};
    df_kernel c = {.io = &io,
                   .slots = (df_tensor *const[]){now, delta},
                   .made = (df_tensor *const[]){delta},
                   .headers = lab->mem};
    assert_int_equal(k->compute(&c, &lab->err), DF_INVALID_ARGUMENT);
    assert_string_equal(lab->err.message,
                        "the variable's value has shape [1] and input 1 [2]; they must be equal");
}

static void the_flags_say_what_each_op_does(void **state) {
    kernel_lab *lab = *state;
    static const struct {
        const char *op;
        uint32_t flags;
    } cases[] = {
        {"Const", OP_CONST | OP_PASSES_ON},
        {"Placeholder", OP_MUST_FEED},
        {"Variable", OP_VARIABLE | OP_STATEFUL | OP_PASSES_ON},
        {"ReadVariable", OP_READS | OP_PASSES_ON},
        {"Assign", OP_WRITES | OP_STATEFUL | OP_PASSES_ON},
        {"AssignAdd", OP_WRITES | OP_STATEFUL},
        {"AssignSub", OP_WRITES | OP_STATEFUL},
        {"Identity", OP_PASSES_ON},
        {"NoOp", OP_NO_KERNEL},
        {"Add", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(op_find(lab->ops, cases[i].op)->flags, cases[i].flags);
}

static void a_placeholder_has_no_kernel_anywhere(void **state) {
    kernel_lab *lab = *state;
    const op_def *op = op_find(lab->ops, "Placeholder");
    assert_null(kernel_find(op, "CPU", DF_FLOAT32));
    assert_null(kernel_find(op, "SIM", DF_STRING));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_only_passes_on_gives_the_very_tensor),
        TEST(assign_makes_the_value_the_variable_s),
        TEST(assign_add_and_assign_sub_compute_the_new_value),
        TEST(a_variable_may_be_written_in_place),
        TEST(infer_knows_what_was_declared),
        TEST(infer_says_what_would_fit),
        TEST(a_delta_of_another_shape_than_the_value_is_refused),
        TEST(the_flags_say_what_each_op_does),
        TEST(a_placeholder_has_no_kernel_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
