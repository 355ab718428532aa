/* SPDX-License-Identifier: MIT
 *
 * dtype and shape of every edge, with what the caller promises of the feeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <string.h>

static void without_a_promise_the_builders_types_stand(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 4)), y = df_neg(w->g, x);
    world_passes(w, PASS_INFER, DF_OUTS(x), DF_OUTS(y));
    assert_string_equal(world_type(w, y.node, 0), "float32[?,4]");
    assert_ptr_equal(w->c.types[world_item(w, y.node) - w->c.items], y.node->outputs);
}

static void a_promised_shape_is_known_all_the_way(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 4)), y = df_neg(w->g, x);
    df_out t = df_transpose(w->g, y, NULL, 0), s = df_sum(w->g, t, (int64_t[]){0}, 1, false);
    df_out shape = df_shape_of(w->g, x);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(8, 4)};
    world_passes(w, PASS_INFER, DF_OUTS(x), DF_OUTS(s, shape));
    assert_string_equal(world_type(w, y.node, 0), "float32[8,4]");
    assert_string_equal(world_type(w, t.node, 0), "float32[4,8]");
    assert_string_equal(world_type(w, s.node, 0), "float32[8]");
    assert_string_equal(world_type(w, shape.node, 0), "int64[2]");
    assert_int_equal(df_out_shape(y).dims[0], -1); /* the graph is as it was */
}

static void each_feed_has_a_promise_of_its_own(void **state) {
    compile_world *w = world_of(state);
    df_out a = df_placeholder(w->g, "a", DF_FLOAT32, DF_SHAPE(-1, 2));
    df_out b = df_placeholder(w->g, "b", DF_FLOAT32, DF_SHAPE(2, -1));
    df_out c = df_matmul(w->g, a, b), d = df_neg(w->g, b);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(2, -1), DF_SHAPE(5, 2)};
    world_passes(w, PASS_INFER, DF_OUTS(b, a), DF_OUTS(c, d));
    assert_string_equal(world_type(w, c.node, 0), "float32[5,?]");
    assert_string_equal(world_type(w, d.node, 0), "float32[2,?]");
}

static void what_depends_on_no_promise_keeps_its_type(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_graph_name(w->g, "beside");
    df_out beside = df_neg(w->g, df_const_float(w->g, DF_FLOAT64, 1)), y = df_neg(w->g, x);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(3)};
    world_passes(w, PASS_INFER, DF_OUTS(x), DF_OUTS(beside, y));
    assert_ptr_equal(w->c.types[world_item(w, beside.node) - w->c.items], beside.node->outputs);
    assert_string_equal(world_type(w, y.node, 0), "float32[3]");
}

static void an_unknown_rank_may_be_promised_too(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_INT32, DF_SHAPE_UNKNOWN), y = df_neg(w->g, x);
    w->rq.feed_shapes = (df_shape[]){DF_SCALAR};
    world_passes(w, PASS_INFER, DF_OUTS(x), DF_OUTS(y));
    assert_string_equal(world_type(w, y.node, 0), "int32[]");
}

static void a_constant_shape_is_seen_again(void **state) {
    compile_world *w = world_of(state);
    static const int64_t wanted[] = {2, -1};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->heap.allocator, DF_INT64, DF_SHAPE(2), wanted, &t, NULL),
                     DF_OK);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_out y = df_reshape_to(w->g, x, df_const(w->g, t));
    df_tensor_unref(t);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(6)};
    world_passes(w, PASS_INFER, DF_OUTS(x), DF_OUTS(y));
    assert_string_equal(world_type(w, y.node, 0), "float32[2,3]");
}

/* An inner output may be fed, and better known than its node could say. */
static void the_value_of_a_constant_that_is_fed_no_longer_counts(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(4));
    df_tensor *two = NULL;
    assert_int_equal(
        df_tensor_from(&w->heap.allocator, DF_INT64, DF_SHAPE(2), (int64_t[]){2, 2}, &two, NULL),
        DF_OK);
    df_out shape = df_const(w->g, two), y = df_neg(w->g, df_reshape_to(w->g, x, shape));
    df_tensor_unref(two);
    assert_int_equal(df_out_shape(y).dims[0], 2);
    world_passes(w, PASS_INFER, DF_OUTS(x, shape), DF_OUTS(y));
    assert_string_equal(world_type(w, y.node, 0), "float32[?,?]");
}

static void the_feed_of_an_inner_output_counts(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1)), y = df_neg(w->g, x);
    df_out z = df_square(w->g, y);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(7)};
    world_passes(w, PASS_INFER, DF_OUTS(y), DF_OUTS(z));
    assert_string_equal(world_type(w, z.node, 0), "float32[7]");
}

static void a_variable_keeps_its_declared_shape(void **state) {
    compile_world *w = world_of(state);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1)), set = df_assign(w->g, v, x);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(4)};
    world_passes(w, PASS_INFER, DF_OUTS(x), DF_OUTS(v, set));
    assert_string_equal(world_type(w, v.node, 0), "float32[4]");
    assert_string_equal(world_type(w, set.node, 0), "float32[4]");
}

/* ---- refusals ------------------------------------------------------------ */

static void a_promise_that_the_graph_contradicts_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 4)), y = df_neg(w->g, x);
    static const char *const words[] = {"feed 0: shape [8,5] is promised for x, which is [?,4]",
                                        "feed 0: shape [4] is promised for x, which is [?,4]"};
    const df_shape shapes[] = {DF_SHAPE(8, 5), DF_SHAPE(4)};
    for (int i = 0; i < 2; i++) {
        w->rq.feed_shapes = &shapes[i];
        world_refuses(w, PASS_INFER, DF_OUTS(x), DF_OUTS(y), DF_INVALID_ARGUMENT, words[i]);
    }
}

static void a_promise_that_is_no_shape_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE_UNKNOWN), y = df_neg(w->g, x);
    const df_shape shapes[] = {DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), DF_SHAPE(-3)};
    for (int i = 0; i < 2; i++) {
        w->rq.feed_shapes = &shapes[i];
        world_refuses(w, PASS_INFER, DF_OUTS(x), DF_OUTS(y), DF_INVALID_ARGUMENT, "dimension");
    }
}

static void what_cannot_be_under_a_promise_is_named(void **state) {
    compile_world *w = world_of(state);
    df_out a = df_placeholder(w->g, "a", DF_FLOAT32, DF_SHAPE(-1));
    df_out b = df_placeholder(w->g, "b", DF_FLOAT32, DF_SHAPE(-1));
    df_graph_name(w->g, "sum");
    df_out sum = df_add(w->g, a, b);
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(2), DF_SHAPE(3)};
    world_refuses(w, PASS_INFER, DF_OUTS(a, b), DF_OUTS(sum), DF_INVALID_ARGUMENT,
                  "node sum (Add): |[2]|[3]|do not broadcast");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(without_a_promise_the_builders_types_stand),
        TEST(a_promised_shape_is_known_all_the_way),
        TEST(each_feed_has_a_promise_of_its_own),
        TEST(what_depends_on_no_promise_keeps_its_type),
        TEST(an_unknown_rank_may_be_promised_too),
        TEST(a_constant_shape_is_seen_again),
        TEST(the_value_of_a_constant_that_is_fed_no_longer_counts),
        TEST(the_feed_of_an_inner_output_counts),
        TEST(a_variable_keeps_its_declared_shape),
        TEST(a_promise_that_the_graph_contradicts_is_refused),
        TEST(a_promise_that_is_no_shape_is_refused),
        TEST(what_cannot_be_under_a_promise_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
