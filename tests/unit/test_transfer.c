/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op/op.h"
#include "support/fault.h"

#include <string.h>

typedef struct world {
    fault_allocator memory;
    op_registry *r;
} world;

static int open_world(void **state) {
    static world w;
    memset(&w, 0, sizeof w);
    fault_allocator_init(&w.memory);
    w.r = op_registry_new(&w.memory.allocator);
    *state = &w;
    return w.r && op_register_transfer(w.r, NULL) == DF_OK ? 0 : -1;
}

static int close_world(void **state) {
    world *w = *state;
    op_registry_free(w->r);
    fault_allocator_end(&w->memory);
    return 0;
}

static void each_end_of_a_cut_has_its_flag_and_is_never_dropped(void **state) {
    world *w = *state;
    static const struct {
        const char *name;
        uint32_t flag;
        int max_inputs, n_outputs;
    } cases[] = {{"Send", OP_SEND, 1, 0},
                 {"Recv", OP_RECV, 0, 1},
                 {"Feed", OP_FEED, 0, 1},
                 {"Fetch", OP_FETCH, 1, 0}};
    for (int i = 0; i < 4; i++) {
        const op_def *op = op_find(w->r, cases[i].name);
        assert_non_null(op);
        assert_int_equal(op->flags, cases[i].flag | OP_STATEFUL);
        assert_int_equal(op->max_inputs, cases[i].max_inputs);
        assert_int_equal(op->n_outputs, cases[i].n_outputs);
        assert_null(kernel_find(op, "CPU", DF_FLOAT32));
    }
    assert_int_equal(op_find(w->r, "Send")->min_inputs, 0);
    assert_int_equal(op_find(w->r, "Fetch")->min_inputs, 1);
}

static df_code infer(world *w, const char *name, const df_attr *attrs, edge_type *out,
                     df_error *err) {
    const op_def *op = op_find(w->r, name);
    df_infer c = {.op = op, .attrs = attrs, .n_outputs = op->n_outputs, .outputs = out};
    return op_infer(&c, err);
}

static void recv_and_feed_give_what_their_attrs_declare(void **state) {
    world *w = *state;
    const df_attr recv[] = {{.type = DF_ATTR_STRING, .s = "key"},
                            {.type = DF_ATTR_DTYPE, .i = DF_BOOL},
                            {.type = DF_ATTR_SHAPE, .shape = DF_SHAPE(0)}};
    const df_attr feed[] = {{.type = DF_ATTR_INT, .i = 2},
                            {.type = DF_ATTR_DTYPE, .i = DF_INT8},
                            {.type = DF_ATTR_SHAPE, .shape = DF_SHAPE(-1, 3)}};
    edge_type out;
    assert_int_equal(infer(w, "Recv", recv, &out, NULL), DF_OK);
    assert_true(out.dtype == DF_BOOL && shape_equal(edge_shape(&out), DF_SHAPE(0)));
    assert_int_equal(infer(w, "Feed", feed, &out, NULL), DF_OK);
    assert_true(out.dtype == DF_INT8 && shape_equal(edge_shape(&out), DF_SHAPE(-1, 3)));
    assert_int_equal(infer(w, "Send", NULL, NULL, NULL), DF_OK);
    assert_int_equal(infer(w, "Fetch", NULL, NULL, NULL), DF_OK);
}

static void a_feed_of_no_dtype_is_refused(void **state) {
    world *w = *state;
    const df_attr feed[] = {{.type = DF_ATTR_INT, .i = 0},
                            {.type = DF_ATTR_DTYPE, .i = 99},
                            {.type = DF_ATTR_SHAPE, .shape = DF_SCALAR}};
    edge_type out;
    df_error err;
    assert_int_equal(infer(w, "Feed", feed, &out, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "dtype 99"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_end_of_a_cut_has_its_flag_and_is_never_dropped),
        TEST(recv_and_feed_give_what_their_attrs_declare),
        TEST(a_feed_of_no_dtype_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
