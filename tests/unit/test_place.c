/* SPDX-License-Identifier: MIT
 *
 * A device for every node: pins are obeyed or refused, groups share one, variables stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <string.h>

static df_node *pinned(compile_world *w, const char *name, const char *device) {
    df_graph_on(w->g, device);
    df_node *n = world_node(w, name);
    df_graph_on(w->g, NULL);
    return n;
}

static df_out neg(compile_world *w, const char *name, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_graph_name(w->g, name);
    df_out out = df_neg(w->g, x);
    df_graph_on(w->g, NULL);
    return out;
}

static const char *places(compile_world *w, df_nodes targets) {
    w->rq.targets = targets;
    world_passes(w, PASS_PLACE, DF_NO_OUTS, DF_NO_OUTS);
    return world_places(w);
}

/* ---- pins ---------------------------------------------------------------- */

static void a_pinned_node_runs_where_it_was_pinned(void **state) {
    compile_world *w = world_of(state);
    df_node *a = pinned(w, "a", "cpu:0"), *b = pinned(w, "b", "CPU:1");
    df_node *c = pinned(w, "c", "/job:localhost/task:0/device:SIM:1");
    assert_string_equal(places(w, DF_NODES(a, b, c)), "a cpu:0; b cpu:1; c sim:1");
}

static void a_partial_pin_takes_the_first_that_fits(void **state) {
    compile_world *w = world_of(state);
    df_node *a = pinned(w, "a", "sim"), *b = pinned(w, "b", "*:1");
    df_node *c = pinned(w, "c", "/task:0");
    assert_string_equal(places(w, DF_NODES(a, b, c)), "a sim:0; b cpu:1; c cpu:0");
}

static void a_node_without_a_pin_takes_the_first_device(void **state) {
    compile_world *w = world_of(state);
    assert_string_equal(places(w, DF_NODES(pinned(w, "a", NULL))), "a cpu:0");
    world_reopen(w, "sim:1,cpu:1");
    assert_string_equal(places(w, DF_NODES(pinned(w, "a", NULL))), "a sim:0");
}

static void feeds_and_fetches_are_at_the_first_cpu(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "sim:1,cpu:2");
    df_out x = world_input(w, "x"), y = neg(w, "y", "cpu:1", x);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(y));
    assert_string_equal(world_places(w), "feed x cpu:0; y cpu:1; fetch y cpu:0");
}

static void a_device_that_is_not_there_is_refused(void **state) {
    compile_world *w = world_of(state);
    static const char *const wrong[] = {"sim:7", "gpu", "/job:other", "/task:1"};
    static const char *const words[] = {"/device:SIM:7", "/device:GPU:*", "/job:other", "/task:1"};
    for (int i = 0; i < 4; i++) {
        world_reopen(w, "cpu:1,sim:1");
        w->rq.targets = DF_NODES(pinned(w, "a", wrong[i]));
        world_refuses(w, PASS_PLACE, DF_NO_OUTS, DF_NO_OUTS, DF_INVALID_ARGUMENT,
                      "node a (NoOp) must run on |which is not there; the devices are cpu:0, "
                      "sim:0");
        assert_non_null(strstr(w->err.message, words[i]));
    }
}

static df_out on_cpu(compile_world *w, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_graph_name(w->g, "c");
    df_out out = world_on_cpu(w, x);
    df_graph_on(w->g, NULL);
    return out;
}

static void a_node_goes_where_its_op_has_a_kernel(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "sim:1,cpu:1");
    df_out x = world_input(w, "x"), c = on_cpu(w, NULL, x);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(c));
    assert_string_equal(world_places(w), "feed x cpu:0; c cpu:0; fetch c cpu:0");
}

static void a_pin_to_a_device_without_a_kernel_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), c = on_cpu(w, "sim", x);
    world_refuses(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(c), DF_NOT_FOUND,
                  "node c (OnCpu) has no kernel for float32 on sim:0, sim:1|it has one on "
                  "cpu:0, cpu:1");
}

/* ---- colocation ---------------------------------------------------------- */

static void a_group_goes_where_one_of_it_is_pinned(void **state) {
    compile_world *w = world_of(state);
    df_node *a = pinned(w, "a", NULL), *b = pinned(w, "b", "sim:1"), *c = pinned(w, "c", NULL);
    df_colocate(w->g, a, b);
    df_colocate(w->g, b, c);
    df_colocate(w->g, c, a);
    assert_string_equal(places(w, DF_NODES(a, b, c)), "a sim:1; b sim:1; c sim:1");
}

static void pins_of_a_group_are_met_together(void **state) {
    compile_world *w = world_of(state);
    df_node *a = pinned(w, "a", "*:1"), *b = pinned(w, "b", "sim");
    df_colocate(w->g, a, b);
    assert_string_equal(places(w, DF_NODES(a, b)), "a sim:1; b sim:1");
}

/* a and c meet at b, though nothing of b is run. */
static void a_node_that_does_not_run_still_joins_two_that_do(void **state) {
    compile_world *w = world_of(state);
    df_node *a = pinned(w, "a", NULL), *b = pinned(w, "b", NULL), *c = pinned(w, "c", "cpu:1");
    df_colocate(w->g, a, b);
    df_colocate(w->g, c, b);
    assert_string_equal(places(w, DF_NODES(a, c)), "a cpu:1; c cpu:1");
}

static void a_group_that_cannot_meet_is_refused_and_both_are_named(void **state) {
    compile_world *w = world_of(state);
    df_node *a = pinned(w, "a", "cpu"), *b = pinned(w, "b", "sim:1");
    df_colocate(w->g, a, b);
    w->rq.targets = DF_NODES(a, b);
    world_refuses(w, PASS_PLACE, DF_NO_OUTS, DF_NO_OUTS, DF_INVALID_ARGUMENT,
                  "node b (NoOp) must share a device with node a (NoOp)|only on sim:1|only on "
                  "cpu:0, cpu:1");
}

/* ---- soft placement ------------------------------------------------------ */

static void soft_placement_drops_a_pin_that_cannot_be_obeyed(void **state) {
    compile_world *w = world_of(state);
    w->rq.soft_placement = true;
    df_node *a = pinned(w, "a", "gpu:0"), *b = pinned(w, "b", "sim:1");
    assert_string_equal(places(w, DF_NODES(a, b)), "a cpu:0; b sim:1");
}

static void soft_placement_lets_a_group_meet_somewhere(void **state) {
    compile_world *w = world_of(state);
    w->rq.soft_placement = true;
    df_out x = world_input(w, "x"), a = neg(w, "a", "cpu:1", x), b = neg(w, "b", "sim:1", a);
    df_colocate(w->g, a.node, b.node);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(b));
    assert_int_equal(world_item(w, a.node)->device, world_item(w, b.node)->device);
    assert_non_null(world_item(w, b.node)->kernel);
}

static void soft_placement_moves_a_node_to_where_its_kernel_is(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "sim:1,cpu:1");
    w->rq.soft_placement = true;
    df_out x = world_input(w, "x"), c = on_cpu(w, "sim:0", x);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(c));
    assert_string_equal(world_places(w), "feed x cpu:0; c cpu:0; fetch c cpu:0");
}

/* Where a and b drop their pins, c's kernel still counts. */
static void soft_placement_keeps_to_the_kernels_of_the_whole_group(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "sim:1,cpu:1");
    w->rq.soft_placement = true;
    df_out x = world_input(w, "x"), a = neg(w, "a", "cpu:0", x), c = on_cpu(w, NULL, a);
    df_out b = neg(w, "b", "sim:0", c);
    df_colocate(w->g, a.node, c.node);
    df_colocate(w->g, b.node, c.node);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(b));
    assert_string_equal(world_places(w), "feed x cpu:0; a cpu:0; c cpu:0; b cpu:0; fetch b cpu:0");
    assert_non_null(world_item(w, c.node)->kernel);
}

/* ---- variables ----------------------------------------------------------- */

static void what_names_a_variable_is_on_its_device(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_on(w->g, "sim:1");
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(w->g, NULL);
    df_graph_name(w->g, "r");
    df_out r = df_read(w->g, v);
    df_graph_name(w->g, "add");
    df_out add = df_assign_add(w->g, v, x);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(r, add, v));
    assert_string_equal(world_places(w),
                        "feed x cpu:0; v sim:1; r sim:1; add sim:1; read v sim:1; fetch r cpu:0; "
                        "fetch add cpu:0; fetch v cpu:0");
}

static void an_access_that_is_pinned_elsewhere_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "sim:1");
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(w->g, "cpu:1");
    df_graph_name(w->g, "r");
    df_out r = df_read(w->g, v);
    world_refuses(w, PASS_PLACE, DF_NO_OUTS, DF_OUTS(r), DF_INVALID_ARGUMENT,
                  "node r (ReadVariable) must share a device with node v (Variable)");
}

static void a_variable_stays_where_the_session_put_it(void **state) {
    compile_world *w = world_of(state);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4)), r = df_read(w->g, v);
    const int32_t fixed[] = {3, PLAN_NONE};
    w->rq.fixed = fixed;
    world_passes(w, PASS_PLACE, DF_NO_OUTS, DF_OUTS(r));
    assert_int_equal(world_item(w, v.node)->device, 3);
    assert_int_equal(world_item(w, r.node)->device, 3);
}

/* Only the second program runs the node whose pin decides; the first must know of it. */
static void two_programs_agree_on_where_a_variable_is(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_out r = df_read(w->g, v), add = df_assign_add(w->g, v, x);
    df_colocate(w->g, add.node, pinned(w, "far", "sim:1"));
    int32_t fixed[8];
    assert_int_equal(compile_place_variables(&w->rq, fixed, &w->err), DF_OK);
    assert_int_equal(fixed[v.node->id], 3);
    assert_int_equal(fixed[r.node->id], PLAN_NONE);
    assert_int_equal(fixed[add.node->id], PLAN_NONE);
    w->rq.fixed = fixed;
    world_passes(w, PASS_PLACE, DF_NO_OUTS, DF_OUTS(r));
    assert_int_equal(world_item(w, r.node)->device, 3);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(add));
    assert_int_equal(world_item(w, add.node)->device, 3);
}

static void what_no_program_uses_may_stay_wrong(void **state) {
    compile_world *w = world_of(state);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    (void)pinned(w, "wrong", "gpu:0");
    int32_t fixed[4];
    assert_int_equal(compile_place_variables(&w->rq, fixed, &w->err), DF_OK);
    assert_int_equal(fixed[v.node->id], 0);
    df_node *with = pinned(w, "with", "gpu:0");
    df_colocate(w->g, with, v.node);
    assert_int_equal(compile_place_variables(&w->rq, fixed, &w->err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(w->err.message, "node with (NoOp) must run on /device:GPU:0"));
}

/* ---- kernels ------------------------------------------------------------- */

static void every_node_that_computes_has_its_kernel(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = neg(w, "y", "sim:0", x);
    df_node *none = pinned(w, "none", "sim:0");
    w->rq.targets = DF_NODES(none);
    world_passes(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(y));
    assert_string_equal(world_item(w, y.node)->kernel->kinds, "CPU,SIM");
    assert_null(world_item(w, none)->kernel);
}

/* ---- kernels for some ---------------------------------------------------- */

static void strings_go_to_an_accelerator_where_its_kernel_takes_them_from_the_host(void **state) {
    compile_world *w = world_of(state);
    df_out s = df_placeholder(w->g, "s", DF_STRING, DF_SHAPE(3));
    df_graph_on(w->g, "sim:1");
    df_graph_name(w->g, "words");
    df_out words = df_node_output(world_op(w, "Words", DF_OUTS(s)), 0);
    df_graph_name(w->g, "near");
    df_out near = df_node_output(world_op(w, "Near", DF_OUTS(words)), 0);
    df_graph_on(w->g, NULL);
    world_passes(w, PASS_PLACE, DF_OUTS(s), DF_OUTS(words));
    assert_string_equal(world_places(w), "feed s cpu:0; words sim:1; fetch words cpu:0");
    world_refuses(w, PASS_PLACE, DF_OUTS(s), DF_OUTS(near), DF_NOT_FOUND,
                  "node near (Near) has no kernel for string on sim:1|it has one on cpu:0, cpu:1");
}

/* Also where what is made of them is not of strings. */
static void strings_lie_on_no_accelerator(void **state) {
    compile_world *w = world_of(state);
    static const char *const there[] = {"sim:0"};
    df_out s = df_placeholder(w->g, "s", DF_STRING, DF_SHAPE(3));
    df_graph_on(w->g, "sim:1");
    df_graph_name(w->g, "sink");
    df_node *sink = world_op(w, "Sink", DF_OUTS(s));
    w->rq.targets = DF_NODES(sink);
    world_refuses(w, PASS_PLACE, DF_OUTS(s), DF_NO_OUTS, DF_NOT_FOUND,
                  "node sink (Sink) has no kernel for string on sim:1");
    w->rq.targets = DF_NO_NODES;
    w->rq.fetch_devices = there;
    world_refuses(w, PASS_PLACE, DF_OUTS(s), DF_OUTS(s), DF_INVALID_ARGUMENT,
                  "is of strings, which cannot lie on sim:0");
    w->rq.fetch_devices = NULL;
    w->rq.feed_devices = there;
    world_refuses(w, PASS_PLACE, DF_OUTS(s), DF_OUTS(s), DF_INVALID_ARGUMENT,
                  "is of strings, which cannot lie on sim:0");
    w->rq.feed_devices = NULL;
}

static void an_op_without_a_kernel_for_the_dtype_says_for_which_it_has(void **state) {
    compile_world *w = world_of(state);
    static const char words[] = "(Ints) has no kernel for float32 on cpu:0, cpu:1, sim:0, sim:1; "
                                "Ints has kernels for other dtypes on: CPU";
    df_out x = world_input(w, "x"), i = df_node_output(world_op(w, "Ints", DF_OUTS(x)), 0);
    df_graph_on(w->g, "gpu:0"); /* which is not there */
    df_out j = df_node_output(world_op(w, "Ints", DF_OUTS(x)), 0);
    world_refuses(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(i), DF_NOT_FOUND, words);
    w->rq.soft_placement = true;
    world_refuses(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(i), DF_NOT_FOUND, words);
    world_refuses(w, PASS_PLACE, DF_OUTS(x), DF_OUTS(j), DF_NOT_FOUND, words);
}

static void there_may_be_64_devices(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "cpu:60,sim:4");
    df_node *a = pinned(w, "a", "sim:3"), *b = pinned(w, "b", NULL);
    assert_string_equal(places(w, DF_NODES(a, b)), "a sim:3; b cpu:0");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_pinned_node_runs_where_it_was_pinned),
        TEST(a_partial_pin_takes_the_first_that_fits),
        TEST(a_node_without_a_pin_takes_the_first_device),
        TEST(feeds_and_fetches_are_at_the_first_cpu),
        TEST(a_device_that_is_not_there_is_refused),
        TEST(a_node_goes_where_its_op_has_a_kernel),
        TEST(a_pin_to_a_device_without_a_kernel_is_refused),
        TEST(a_group_goes_where_one_of_it_is_pinned),
        TEST(pins_of_a_group_are_met_together),
        TEST(a_node_that_does_not_run_still_joins_two_that_do),
        TEST(a_group_that_cannot_meet_is_refused_and_both_are_named),
        TEST(soft_placement_drops_a_pin_that_cannot_be_obeyed),
        TEST(soft_placement_lets_a_group_meet_somewhere),
        TEST(soft_placement_moves_a_node_to_where_its_kernel_is),
        TEST(soft_placement_keeps_to_the_kernels_of_the_whole_group),
        TEST(what_names_a_variable_is_on_its_device),
        TEST(an_access_that_is_pinned_elsewhere_is_refused),
        TEST(a_variable_stays_where_the_session_put_it),
        TEST(two_programs_agree_on_where_a_variable_is),
        TEST(what_no_program_uses_may_stay_wrong),
        TEST(every_node_that_computes_has_its_kernel),
        TEST(strings_go_to_an_accelerator_where_its_kernel_takes_them_from_the_host),
        TEST(strings_lie_on_no_accelerator),
        TEST(an_op_without_a_kernel_for_the_dtype_says_for_which_it_has),
        TEST(there_may_be_64_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
