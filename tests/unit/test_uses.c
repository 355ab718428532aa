/* SPDX-License-Identifier: MIT
 *
 * What stays in a frame, and in whose block: rules 4 and 5 of plan.h, node by node. test_lower.c
 * has them for random plans.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include <string.h>

static plan_node *node(const compile_world *w, const char *name) {
    const plan *p = w->c.plan;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (strcmp(p->nodes[i].name, name) == 0) return &p->nodes[i];
    fail_msg("the plan has no node %s", name);
    return NULL;
}

static plan_slot *slot(const compile_world *w, const char *name) {
    return &w->c.plan->slots[node(w, name)->first_slot];
}

/* Output 0 of `to` takes over the block of `from`'s. */
static void takes_over(const compile_world *w, const char *to, const char *from) {
    if (slot(w, to)->from != node(w, from)->first_slot + 1)
        fail_msg("%s takes over slot %u - 1, not %s's", to, slot(w, to)->from, from);
}

static void accepted(compile_world *w) {
    if (!world_verify(w)) fail_msg("%s", w->err.message);
}

static void refused(compile_world *w, const char *words) {
    if (world_verify(w)) fail_msg("accepted; expected: %s", words);
    if (!strstr(w->err.message, words)) fail_msg("\"%s\" is not in: %s", words, w->err.message);
}

/* With `field` changed, the plan is refused. */
#define REFUSED_WITH(w, field, value, words)                                                       \
    do {                                                                                           \
        __typeof__(field) was_ = (field);                                                          \
        (field) = (value);                                                                         \
        refused(w, words);                                                                         \
        (field) = was_;                                                                            \
        accepted(w);                                                                               \
    } while (0)

static df_out input(compile_world *w, int64_t n) {
    return df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(n, n));
}

/* A kernel that cannot compute in place. */
static df_out product(compile_world *w, const char *name, df_out x) {
    df_graph_name(w->g, name);
    return df_matmul(w->g, x, x);
}

static df_out neg(compile_world *w, const char *name, df_out x) {
    df_graph_name(w->g, name);
    return df_neg(w->g, x);
}

static void values_of_one_size_take_turns_in_few_rooms(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), a = product(w, "a", x), b = product(w, "b", a), c = product(w, "c", b);
    df_out d = product(w, "d", c), e = product(w, "e", d);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(e));
    takes_over(w, "c", "a");
    takes_over(w, "d", "b");
    takes_over(w, "e", "c");
    takes_over(w, "a", "e"); /* of the step before */
    takes_over(w, "b", "d");
    for (const char *name = "a\0b\0c\0d\0e\0"; *name; name += 2)
        assert_int_equal(slot(w, name)->stays, PLAN_KEPT);
    assert_int_equal(w->c.plan->n_drops, 0);
}

static void what_may_be_overwritten_is_before_any_other_room(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), a = product(w, "a", x), b = product(w, "b", a), c = neg(w, "c", b);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(c));
    takes_over(w, "c", "b");
    takes_over(w, "b", "c");
    takes_over(w, "a", "a");
}

/* What a kernel passes on, or the caller gets, may be seen for long; and nobody knows here when
 * another block has read. */
static void what_is_read_elsewhere_has_its_room_to_the_end(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), a = product(w, "a", x), b = product(w, "b", x), c = product(w, "c", x);
    df_out later = world_later(w, x), after = df_add(w->g, later, c);
    df_graph_name(w->g, "passed");
    df_out passed = df_reshape(w->g, b, DF_SHAPE(64)), d = product(w, "d", x);
    df_out e = product(w, "e", d);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(a, passed, after, e));
    const char *const bound[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        takes_over(w, bound[i], bound[i]);
        REFUSED_WITH(w, slot(w, "e")->from, node(w, bound[i])->first_slot + 1,
                     "would compute into what others read");
    }
    REFUSED_WITH(w, slot(w, "e")->from, node(w, "d")->first_slot + 1,
                 "would compute into what others read"); /* d is its input, twice */
}

static void two_never_take_over_the_same(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), a = product(w, "a", x), b = product(w, "b", a), c = product(w, "c", b);
    df_out d = product(w, "d", c);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(d));
    REFUSED_WITH(w, slot(w, "d")->from, node(w, "a")->first_slot + 1,
                 "would compute into what others read");
}

static void a_room_is_of_one_size_and_one_device(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), y = df_placeholder(w->g, "y", DF_FLOAT32, DF_SHAPE(16, 16));
    df_out a = product(w, "a", x), b = product(w, "b", a);
    df_graph_on(w->g, "cpu:1");
    df_out far = product(w, "far", x);
    df_graph_on(w->g, NULL);
    df_out larger = product(w, "larger", y);
    world_passes(w, PASS_VERIFY, DF_OUTS(x, y), DF_OUTS(b, far, larger));
    takes_over(w, "larger", "larger");
    takes_over(w, "far", "far");
    slot(w, "a")->from = 0;
    accepted(w);
    REFUSED_WITH(w, slot(w, "far")->from, node(w, "a")->first_slot + 1, "would compute into");
    REFUSED_WITH(w, slot(w, "larger")->from, node(w, "a")->first_slot + 1, "would compute into");
}

/* What is lent is read where it was lent to. */
static void a_room_waits_for_those_to_whom_it_is_lent(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), a = product(w, "a", x);
    df_graph_on(w->g, "cpu:1");
    df_out far = product(w, "far", a);
    df_graph_on(w->g, NULL);
    df_out b = product(w, "b", a), c = product(w, "c", b);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(far, c));
    assert_int_equal(slot(w, "a")->stays, PLAN_KEPT);
    assert_int_equal(slot(w, "a@recv")->stays, PLAN_BORROWED);
    assert_true(w->c.plan->channels[node(w, "a@send")->index].lent);
    takes_over(w, "c", "a");
    assert_true(node(w, "far") < node(w, "c"));
}

/* ---- constants and variables ---------------------------------------------- */

static void constants_and_variables_are_borrowed(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(w->g, "two");
    df_out two = df_const_float(w->g, DF_FLOAT32, 2), y = df_mul(w->g, df_mul(w->g, x, two), v);
    df_graph_name(w->g, "r");
    df_out r = df_read(w->g, v);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(y, r));
    assert_int_equal(slot(w, "two")->stays, PLAN_BORROWED);
    assert_int_equal(slot(w, "v")->stays, PLAN_BORROWED);
    assert_int_equal(slot(w, "r")->stays, PLAN_BORROWED);
    w->c.plan->writes[0] = 2; /* the value that is read could go with the second write */
    refused(w, "borrows what may not last");
}

static void a_variable_that_is_written_twice_is_not_borrowed(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(8, 8));
    df_graph_name(w->g, "one");
    df_out one = df_assign_add(w->g, v, x);
    df_graph_name(w->g, "other");
    df_out other = df_assign_add(w->g, v, one);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(other));
    assert_int_equal(slot(w, "v")->stays, PLAN_DROPPED);
    assert_int_equal(slot(w, "one")->stays, PLAN_DROPPED);
    assert_int_equal(w->c.plan->givers[0], 0);
}

static void what_a_kernel_makes_for_a_variable_is_given_to_it(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(8, 8));
    df_out u = df_variable(w->g, "u", DF_FLOAT32, DF_SHAPE(8, 8)), made = product(w, "made", x);
    df_graph_name(w->g, "set");
    df_out set = df_assign(w->g, v, made);
    df_graph_name(w->g, "less");
    df_out less = df_assign_sub(w->g, u, set), more = product(w, "more", less);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(more));
    plan *p = w->c.plan;
    uint32_t of_v = (uint32_t)node(w, "set")->variable, of_u = (uint32_t)node(w, "less")->variable;
    assert_int_equal(p->givers[of_v], node(w, "made")->first_slot + 1);
    assert_int_equal(p->givers[of_u], node(w, "less")->first_slot + 1);
    assert_int_equal(slot(w, "set")->stays, PLAN_BORROWED);
    REFUSED_WITH(w, p->givers[of_v], node(w, "less")->first_slot + 1, "gives away");
    REFUSED_WITH(w, p->givers[of_u], node(w, "made")->first_slot + 1, "gives away");
    REFUSED_WITH(w, slot(w, "more")->from, node(w, "made")->first_slot + 1, "would compute into");
    REFUSED_WITH(w, p->writes[of_u], 2, "");
}

/* One tensor cannot be the value of two variables without a count; nor what is not made here. */
static void only_one_variable_is_given_what_a_kernel_made(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(8, 8));
    df_out u = df_variable(w->g, "u", DF_FLOAT32, DF_SHAPE(8, 8)), made = product(w, "made", x);
    df_out t = df_variable(w->g, "t", DF_FLOAT32, DF_SHAPE(8, 8));
    df_out a = df_assign(w->g, v, made), b = df_assign(w->g, u, made), c = df_assign(w->g, t, x);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(a, b, c));
    const plan *p = w->c.plan;
    int given = 0;
    for (uint32_t i = 0; i < 3; i++) given += p->givers[i] != 0;
    assert_int_equal(given, 1);
}

/* ---- sizes ---------------------------------------------------------------- */

static void what_is_large_is_dropped_unless_it_is_given(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 200), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(200, 200));
    df_out large = product(w, "large", x), over = neg(w, "over", large),
           set = df_assign(w->g, v, over);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(set));
    assert_int_equal(slot(w, "large")->stays, PLAN_DROPPED);
    assert_int_equal(slot(w, "over")->stays, PLAN_KEPT);
    takes_over(w, "over", "large");
}

static void a_frame_keeps_so_much_and_no_more(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 128), y = x; /* 64 KiB */
    for (int i = 0; i < 2 * PLAN_KEPT_ALL / PLAN_KEPT_MOST; i++) y = df_matmul(w->g, y, y);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(y));
    const plan *p = w->c.plan;
    int kept = 0, dropped = 0;
    for (uint32_t s = 0; s < p->n_slots; s++) {
        kept += p->slots[s].stays == PLAN_KEPT;
        dropped += p->slots[s].stays == PLAN_DROPPED;
    }
    assert_int_equal(kept, PLAN_KEPT_ALL / PLAN_KEPT_MOST);
    assert_int_equal(dropped, PLAN_KEPT_ALL / PLAN_KEPT_MOST);
}

/* ---- what has no room ---------------------------------------------------- */

static void strings_are_dropped_though_their_shape_is_known(void **state) {
    compile_world *w = world_of(state);
    df_out s = df_placeholder(w->g, "s", DF_STRING, DF_SHAPE(3));
    df_graph_name(w->g, "words");
    df_out words = df_node_output(world_op(w, "Words", DF_OUTS(s)), 0);
    world_passes(w, PASS_VERIFY, DF_OUTS(s), DF_OUTS(words));
    assert_int_equal(node(w, "words")->role, ROLE_KERNEL);
    assert_int_equal(slot(w, "words")->stays, PLAN_DROPPED);
}

/* What the variable had before would not fit the slot that gives to it. */
static void a_variable_of_an_unknown_shape_is_given_nothing(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_out initial =
        df_node_output(world_op(w, "Free", DF_OUTS(df_const_float(w->g, DF_FLOAT32, 1))), 0);
    df_out v = df_variable_from(w->g, "v", initial), y = neg(w, "y", x),
           set = df_assign(w->g, v, y);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(set));
    assert_int_equal(w->c.plan->givers[0], 0);
    assert_int_equal(slot(w, "y")->stays, PLAN_KEPT);
}

/* It was written into the one, by a node that gives nothing; so neither does it to the other. */
static void what_was_written_is_not_given_to_another_variable(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), a = df_variable(w->g, "a", DF_FLOAT32, DF_SHAPE(8, 8));
    df_out b = df_variable(w->g, "b", DF_FLOAT32, DF_SHAPE(8, 8));
    df_out first = df_assign_add(w->g, a, x), second = df_assign_add(w->g, a, first);
    df_graph_name(w->g, "set");
    df_out set = df_assign(w->g, b, second);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(set));
    assert_int_equal(w->c.plan->givers[node(w, "set")->variable], 0);
}

/* One bit is for each of the first inputs. */
static void only_the_first_inputs_are_overwritten(void **state) {
    compile_world *w = world_of(state);
    df_out x = input(w, 8), last = product(w, "last", x), in[33], first = product(w, "first", x);
    for (int i = 0; i < 32; i++) in[i] = x;
    in[32] = last;
    df_graph_name(w->g, "many");
    df_out many = df_node_output(world_op(w, "Many", (df_outs){in, 33}), 0);
    in[30] = first;
    df_graph_name(w->g, "more");
    df_out more = df_node_output(world_op(w, "Many", (df_outs){in, 32}), 0);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_OUTS(df_neg(w->g, many), df_neg(w->g, more)));
    assert_int_not_equal(slot(w, "many")->from, slot(w, "last") - w->c.plan->slots + 1);
    takes_over(w, "more", "first");
}

static void host_memory_is_not_taken_over_by_a_devices_own(void **state) {
    compile_world *w = world_of(state);
    df_out s = input(w, 8);
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "near");
    df_out near = df_node_output(world_op(w, "Near", DF_OUTS(s)), 0);
    df_graph_name(w->g, "in_place");
    df_out in_place = df_neg(w->g, near);
    df_graph_on(w->g, NULL);
    world_passes(w, PASS_VERIFY, DF_OUTS(s), DF_OUTS(in_place));
    assert_int_equal(slot(w, "near")->from, 0);
    takes_over(w, "in_place", "near");
    REFUSED_WITH(w, slot(w, "near")->from, node(w, "x@recv")->first_slot + 1, "would compute into");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(values_of_one_size_take_turns_in_few_rooms),
        TEST(what_may_be_overwritten_is_before_any_other_room),
        TEST(what_is_read_elsewhere_has_its_room_to_the_end),
        TEST(two_never_take_over_the_same),
        TEST(a_room_is_of_one_size_and_one_device),
        TEST(a_room_waits_for_those_to_whom_it_is_lent),
        TEST(constants_and_variables_are_borrowed),
        TEST(a_variable_that_is_written_twice_is_not_borrowed),
        TEST(what_a_kernel_makes_for_a_variable_is_given_to_it),
        TEST(only_one_variable_is_given_what_a_kernel_made),
        TEST(what_is_large_is_dropped_unless_it_is_given),
        TEST(a_frame_keeps_so_much_and_no_more),
        TEST(strings_are_dropped_though_their_shape_is_known),
        TEST(a_variable_of_an_unknown_shape_is_given_nothing),
        TEST(what_was_written_is_not_given_to_another_variable),
        TEST(only_the_first_inputs_are_overwritten),
        TEST(host_memory_is_not_taken_over_by_a_devices_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
