/* SPDX-License-Identifier: MIT
 *
 * Why a program became what it is: a rule for every node, every copy, every edge of order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/ops_for_tests.h"
#include "unit/explain_world.h"

#include <stdlib.h>
#include <string.h>

/* ---- where a node runs --------------------------------------------------- */

static void a_pin_is_the_reason(void **state) {
    compile_world *w = world_of(state);
    df_node *a = node_on(w, "a", "cpu:1"), *b = node_on(w, "b", "sim");
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a, b));
    says(w, "a NoOp cpu:1 must run on /device:CPU:1");
    says(w, "b NoOp sim:0 must run on /device:SIM:*; the first of sim:0, sim:1");
}

static void a_choice_that_a_pin_leaves_is_anothers(void **state) {
    compile_world *w = world_of(state);
    df_node *a = node_on(w, "a", "*:1"), *b = node_on(w, "b", "sim");
    df_colocate(w->g, a, b);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a, b));
    says(w, "a NoOp sim:1 must run on /device:*:1, where all that share its device can run");
    says(w, "b NoOp sim:1 must run on /device:SIM:*; shares its device with a, which must run on "
            "/device:*:1");
}

static void who_is_pinned_decides_for_what_is_colocated(void **state) {
    compile_world *w = world_of(state);
    df_node *a = node_on(w, "a", NULL), *b = node_on(w, "b", "sim:1"), *c = node_on(w, "c", "sim");
    df_colocate(w->g, a, b);
    df_colocate(w->g, c, b);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a, b, c));
    says(w, "a NoOp sim:1 shares its device with b, which must run on /device:SIM:1");
    says(w, "b NoOp sim:1 must run on /device:SIM:1");
}

static void so_does_who_is_pinned_and_does_not_run(void **state) {
    compile_world *w = world_of(state);
    df_node *a = node_on(w, "a", NULL), *b = node_on(w, "b", "sim");
    df_colocate(w->g, a, b);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a));
    says(w, "a NoOp sim:0 shares its device with b, which must run on /device:SIM:*; "
            "the first of sim:0, sim:1");
    says(w, "b NoOp - does not run: no fetch and no target needs it");
}

static void a_kernel_decides_for_what_is_colocated(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "sim:1,cpu:2");
    df_out x = world_input(w, "x"), c = on_cpu(w, "c", NULL, x), y = neg_on(w, "y", NULL, x);
    df_colocate(w->g, y.node, c.node);
    explain(w, DF_OUTS(x), DF_OUTS(c, y), DF_NO_NODES);
    says(w, "y Neg cpu:0 shares its device with c, which has kernels only on cpu:0, cpu:1; "
            "the first of cpu:0, cpu:1");
    says(w, "c OnCpu cpu:0 the first of cpu:0, cpu:1, where all that share its device can run");
}

static void the_only_device_with_a_kernel_is_the_reason(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "sim:1,cpu:1");
    df_out x = world_input(w, "x"), c = on_cpu(w, "c", NULL, x);
    explain(w, DF_OUTS(x), DF_OUTS(c), DF_NO_NODES);
    says(w, "c OnCpu cpu:0 the only device with a kernel for float32");
}

static void the_only_device_is_the_reason(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "cpu:1");
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(node_on(w, "a", NULL)));
    says(w, "a NoOp cpu:0 the only device");
}

static void the_first_device_is_taken_where_nothing_is_said(void **state) {
    compile_world *w = world_of(state);
    df_node *a = node_on(w, "a", NULL), *b = node_on(w, "b", NULL), *c = node_on(w, "c", NULL);
    df_colocate(w->g, b, c);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a, b, c));
    says(w, "a NoOp cpu:0 the first of cpu:0, cpu:1, sim:0, sim:1, where it can run");
    says(w, "b NoOp cpu:0 the first of cpu:0, cpu:1, sim:0, sim:1, where all that share its device "
            "can run");
}

static void soft_placement_says_which_pin_it_dropped_and_why(void **state) {
    compile_world *w = world_of(state);
    world_reopen(w, "cpu:1,sim:2");
    w->rq.soft_placement = true;
    df_out x = world_input(w, "x"), kernel = on_cpu(w, "kernel", "sim", x);
    df_node *gone = node_on(w, "gone", "gpu:0");
    df_node *a = node_on(w, "a", "sim:0"), *b = node_on(w, "b", "sim:1");
    df_colocate(w->g, a, b);
    explain(w, DF_OUTS(x), DF_OUTS(kernel), DF_NODES(gone, a, b));
    says(w, "kernel OnCpu cpu:0 soft placement dropped /device:SIM:*, which has no kernel for "
            "float32; the only device with a kernel for float32");
    says(w, "gone NoOp cpu:0 soft placement dropped /device:GPU:0, which is not there; the first "
            "of cpu:0, sim:0, sim:1, where it can run");
    says(w, "a NoOp cpu:0 soft placement dropped /device:SIM:0, where what shares its device does "
            "not run; the first of cpu:0, sim:0, sim:1, where all that share its device can run");
}

/* ---- what does not run --------------------------------------------------- */

static void feeds_and_fetches_are_the_clients(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = neg_on(w, "y", "sim:0", x);
    df_out never = neg_on(w, "never", "sim:0", x);
    explain(w, DF_OUTS(x), DF_OUTS(y), DF_NO_NODES);
    says(w, "x@feed Feed cpu:0 feeds come from the client");
    says(w, "y@fetch Fetch cpu:0 fetches go to the client");
    says(w, "x Placeholder - does not run: what is fed stands for it");
    says(w, "never Neg - does not run: no fetch and no target needs it");
    assert_non_null(never.node);
}

static void a_first_value_is_needed_by_no_step(void **state) {
    compile_world *w = world_of(state);
    df_out c = constant(w, "c", 4), r = read_as(w, "r", df_variable_from(w->g, "v", c));
    explain(w, DF_NO_OUTS, DF_OUTS(r), DF_NO_NODES);
    says(w, "c Const - does not run: no fetch and no target needs it; it was the first value of "
            "variable v");
}

static void a_fed_node_may_run_all_the_same(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = neg_on(w, "y", "cpu:0", x), z = neg_on(w, "z", NULL, y);
    explain(w, DF_OUTS(x, y), DF_OUTS(z), DF_NODES(y.node));
    says(w, "y Neg cpu:0 must run on /device:CPU:0; where an output is fed, that is used instead");
}

/* a comes before b though it was added later; what does not run stays where it was added. */
static void nodes_come_in_the_order_in_which_they_run(void **state) {
    compile_world *w = world_of(state);
    df_node *b = node_on(w, "b", NULL), *never = node_on(w, "never", NULL);
    df_node *a = node_on(w, "a", NULL), *last = node_on(w, "last", NULL);
    df_control(w->g, a, b);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a, b));
    const char *at[] = {strstr(w->text, "\nnever "), strstr(w->text, "\na "),
                        strstr(w->text, "\nb "), strstr(w->text, "\nlast ")};
    for (int i = 0; i < 4; i++) assert_true(at[i] && (i == 0 || at[i - 1] < at[i]));
    assert_true(never && last);
}

/* ---- variables ----------------------------------------------------------- */

static void a_variable_says_why_the_session_placed_it_there(void **state) {
    compile_world *w = world_of(state);
    df_out pinned = variable_on(w, "pinned", "sim:1"), open = variable_on(w, "open", NULL);
    df_out r = read_as(w, "r", pinned), s = read_as(w, "s", open);
    explain(w, DF_NO_OUTS, DF_OUTS(r, s), DF_NO_NODES);
    says(w, "pinned Variable sim:1 must run on /device:SIM:1");
    says(w, "open Variable cpu:0 a variable, placed once for the session: the first of cpu:0, "
            "cpu:1, sim:0, sim:1, where all that share its device can run");
    says(w, "r ReadVariable sim:1 uses variable pinned");
    says(w, "s ReadVariable cpu:0 uses variable open");
}

/* The pin is that of a node that this program does not run. */
static void who_names_a_variable_may_have_decided(void **state) {
    compile_world *w = world_of(state);
    df_out v = variable_on(w, "v", NULL), r = read_as(w, "r", v), y = neg_on(w, "y", NULL, r);
    df_colocate(w->g, y.node, v.node);
    df_graph_on(w->g, "sim:0");
    df_out writes = read_as(w, "elsewhere", v);
    df_graph_on(w->g, NULL);
    explain(w, DF_NO_OUTS, DF_OUTS(y), DF_NO_NODES);
    says(w, "v Variable sim:0 a variable, placed once for the session: shares its device with "
            "elsewhere, which must run on /device:SIM:0");
    says(w, "elsewhere ReadVariable - does not run: no fetch and no target needs it");
    says(w, "r ReadVariable sim:0 uses variable v");
    assert_non_null(writes.node);
}

static void what_is_colocated_with_a_variable_follows_it(void **state) {
    compile_world *w = world_of(state);
    df_out v = variable_on(w, "v", NULL), r = read_as(w, "r", v), y = neg_on(w, "y", NULL, r);
    df_colocate(w->g, y.node, v.node);
    explain(w, DF_NO_OUTS, DF_OUTS(y), DF_NO_NODES);
    says(w, "y Neg cpu:0 shares its device with v, a variable");
}

static void soft_placement_keeps_a_node_with_its_variable(void **state) {
    compile_world *w = world_of(state);
    w->rq.soft_placement = true;
    df_out v = variable_on(w, "v", "gpu:0");
    df_graph_on(w->g, "gpu:1");
    df_out r = read_as(w, "r", v);
    explain(w, DF_NO_OUTS, DF_OUTS(r), DF_NO_NODES);
    says(w,
         "v Variable cpu:0 soft placement dropped /device:GPU:0, which is not there; a variable, "
         "placed once for the session: the first of cpu:0, cpu:1, sim:0, sim:1, where all that "
         "share its device can run");
    says(w, "r ReadVariable cpu:0 soft placement dropped /device:GPU:1, which is not there; uses "
            "variable v");
}

static void the_fetch_of_a_variable_is_read_at_the_end(void **state) {
    compile_world *w = world_of(state);
    df_out v = variable_on(w, "v", "sim:0");
    explain(w, DF_NO_OUTS, DF_OUTS(v), DF_NO_NODES);
    says(w, "v@read ReadVariable sim:0 reads variable v for the fetch, after all that use it");
    says(w, "v@read:0 sim:0 -> cpu:0 float32[4] used there by v@fetch");
}

/* ---- copies -------------------------------------------------------------- */

static void a_copy_names_who_uses_it(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = neg_on(w, "y", "cpu:0", x), all[9];
    for (int i = 0; i < 9; i++) {
        char name[] = {'u', (char)('0' + i), '\0'};
        all[i] = neg_on(w, name, i < 2 ? "cpu:1" : "sim:0", y);
    }
    explain(w, DF_OUTS(x), (df_outs){all, 9}, DF_NO_NODES);
    says(w, "y:0 cpu:0 -> cpu:1 float32[4] used there by u0, u1");
    says(w, "/job:localhost/task:0/device:CPU:0;0000000000000001;/job:localhost/task:0/device:"
            "CPU:1;y:0;0:0");
    says(w, "y:0 cpu:0 -> sim:0 float32[4] used there by u2, u3, u4, u5, u6, u7 and 1 more");
}

static void one_who_uses_it_twice_is_named_once(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "z");
    df_out z = df_mul(w->g, x, x);
    explain(w, DF_OUTS(x), DF_OUTS(z), DF_NO_NODES);
    says(w, "x:0 cpu:0 -> sim:0 float32[4] used there by z");
}

static void order_rides_on_a_value(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = neg_on(w, "y", "cpu:0", x), z = neg_on(w, "z", "cpu:1", y);
    df_node *a = node_on(w, "a", "cpu:1"), *b = node_on(w, "b", "cpu:1");
    df_control(w->g, y.node, a);
    df_control(w->g, y.node, b);
    df_control(w->g, y.node, z.node);
    explain(w, DF_OUTS(x), DF_OUTS(z), DF_NODES(a, b));
    says(w, "y:0 cpu:0 -> cpu:1 float32[4] used there by z; carries the order for z, a, b");
    does_not_say(w, "^y");
}

static void order_crosses_alone_where_there_is_no_value(void **state) {
    compile_world *w = world_of(state);
    df_node *a = node_on(w, "a", "cpu:0"), *b = node_on(w, "b", "cpu:1");
    df_control(w->g, a, b);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(b));
    says(w, "^a cpu:0 -> cpu:1 no value crosses as order alone for b");
}

static void a_value_is_wanted_in_the_other_memory(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), n = df_placeholder(w->g, "n", DF_INT64, DF_SHAPE(1));
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "twice");
    df_out twice = df_add(w->g, n, n);
    df_graph_name(w->g, "by_feed");
    df_out by_feed = df_reshape_to(w->g, x, n);
    df_graph_name(w->g, "by_sum");
    df_out by_sum = df_reshape_to(w->g, by_feed, twice);
    df_graph_name(w->g, "shape");
    df_out shape = df_shape_of(w->g, by_sum);
    df_graph_name(w->g, "computes");
    df_out computes = df_neg(w->g, shape);
    explain(w, DF_OUTS(x, n), DF_OUTS(computes), DF_NO_NODES);
    says(w, "n:0@host cpu:0 -> sim:0 host int64[1] used there in host memory by by_feed");
    says(w, "twice:0@host sim:0 -> sim:0 host int64[1] used in host memory by by_sum");
    says(w, "shape:0 sim:0 host -> sim:0 int64[1] made in host memory, used in the device's own by "
            "computes");
}

static void host_memory_that_a_queue_writes_is_waited_for(void **state) {
    (void)state;
    static char page[8192];
    run_world w;
    probe p;
    probe_init(&p);
    run_open(&w, "cpu:1,sim:1", 0);
    df_graph_on(w.g, "sim:0");
    df_out one = run_const(w.g, 1);
    df_graph_name(w.g, "first");
    df_out first = probe_node(w.g, "TestInHost", one, &p);
    df_graph_name(w.g, "second");
    df_out second = probe_node(w.g, "TestInHost", first, &p);
    df_program *program = run_compile(&w, DF_NO_OUTS, DF_OUTS(second));
    assert_true(df_program_explain(program, DF_EXPLAIN_TEXT, page, sizeof page) < sizeof page);
    assert_non_null(strstr(page, "first:0@host  sim:0 host  -> sim:0 host  int64[]  made by a "
                                 "queued kernel, so it must be waited for; used by second\n"));
    df_program_free(program);
    run_close(&w);
    probe_fini(&p);
}

static void a_copy_has_the_shape_that_was_promised(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 4));
    df_out y = neg_on(w, "y", "cpu:1", x);
    const df_compile_options o = {.struct_size = sizeof o,
                                  .feed_shapes = (df_shape[]){DF_SHAPE(7, 4)}};
    explain_with(w, &o, DF_OUTS(x), DF_OUTS(y));
    says(w, "x:0 cpu:0 -> cpu:1 float32[7,4] used there by y");
    says(w, "y:0 cpu:1 -> cpu:0 float32[7,4] used there by y@fetch");
}

static void a_copy_has_no_shape_that_was_not_promised(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1, 4));
    explain(w, DF_OUTS(x), DF_OUTS(neg_on(w, "y", "cpu:1", x)), DF_NO_NODES);
    says(w, "y:0 cpu:1 -> cpu:0 float32[?,4] used there by y@fetch");
}

/* ---- constants ----------------------------------------------------------- */

static void a_small_constant_is_copied_and_says_why(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), c = constant(w, "c", 4), large = constant(w, "large", 257);
    df_graph_name(w->g, "here");
    df_out here = df_mul(w->g, x, c);
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "there");
    df_out there = df_mul(w->g, here, c);
    df_graph_name(w->g, "sum");
    df_out sum = df_sum(w->g, large, NULL, 0, false);
    explain(w, DF_OUTS(x), DF_OUTS(there, sum), DF_NO_NODES);
    says(w, "c Const cpu:0, sim:0 a small constant (16 bytes, at most 1024) that nobody pinned, "
            "colocated, ordered or fed: copied");
    says(w, "c cpu:0 float32[4] used by here");
    says(w, "c sim:0 float32[4] used by there");
    says(w, "large Const cpu:0 the first of cpu:0, cpu:1, sim:0, sim:1, where it can run");
    says(w, "large:0 cpu:0 -> sim:0 float32[257] used there by sum");
}

static void a_constant_may_be_in_both_memories(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "n");
    df_tensor *four = NULL;
    const int64_t value = 4;
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(1), &value, &four, NULL), DF_OK);
    df_out n = df_const(w->g, four);
    df_tensor_unref(four);
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "shaped");
    df_out shaped = df_reshape_to(w->g, x, n);
    df_graph_name(w->g, "number");
    df_out number = df_neg(w->g, n);
    explain(w, DF_OUTS(x), DF_OUTS(shaped, number), DF_NO_NODES);
    says(w, "n@host sim:0 host int64[1] used by shaped");
    says(w, "n sim:0 int64[1] used by number");
}

static void a_constant_that_nobody_uses_stays_where_it_was_placed(void **state) {
    compile_world *w = world_of(state);
    df_out c = constant(w, "c", 1);
    explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(c.node));
    says(w, "c Const cpu:0 the first of cpu:0, cpu:1, sim:0, sim:1, where it can run");
    does_not_say(w, "constants");
}

/* ---- order --------------------------------------------------------------- */

static void the_order_of_accesses_is_told(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = variable_on(w, "v", NULL);
    df_graph_name(w->g, "set");
    df_out set = df_assign(w->g, v, x);
    df_out r = read_as(w, "r", v);
    explain(w, DF_OUTS(x), DF_OUTS(r, v), DF_NODES(set.node));
    says(w, "set -> r added: both use variable v, and one writes it");
    says(w, "set -> v@read added: both use variable v, and one writes it");
    does_not_say(w, "r -> v@read");
}

static void order_after_a_small_constant_is_dropped(void **state) {
    compile_world *w = world_of(state);
    df_out c = constant(w, "c", 1);
    df_node *a = node_on(w, "a", "cpu:1");
    df_control(w->g, c.node, a);
    explain(w, DF_NO_OUTS, DF_OUTS(c), DF_NODES(a));
    says(w, "c -> a dropped: the first is a small constant, which never waits");
}

/* ---- what was asked for, and what is not known ------------------------------- */

static void a_feed_and_a_fetch_may_be_asked_for_elsewhere(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = world_input(w, "y"), z = neg_on(w, "z", "sim:0", x);
    df_out u = neg_on(w, "u", "sim:0", y);
    df_compile_options o = {.struct_size = sizeof o,
                            .feed_devices = (const char *const[]){"sim:0", NULL},
                            .fetch_devices = (const char *const[]){NULL, "sim:0"}};
    explain_with(w, &o, DF_OUTS(x, y), DF_OUTS(z, u));
    says(w, "x@feed Feed sim:0 the program was compiled with this feed on sim:0");
    says(w, "y@feed Feed cpu:0 feeds come from the client");
    says(w, "z@fetch Fetch cpu:0 fetches go to the client");
    says(w, "u@fetch Fetch sim:0 the program was compiled with this fetch on sim:0");
}

static void a_shape_of_which_nothing_is_known_is_null(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "free");
    df_out y = df_node_output(world_op(w, "Free", DF_OUTS(x)), 0), z = neg_on(w, "z", "sim:0", y);
    df_program *p = compile_with(w, NULL, DF_OUTS(x), DF_OUTS(z));
    char *json = explained(p, DF_EXPLAIN_JSON);
    assert_non_null(strstr(json, "\"shape\": null"));
    free(json);
    df_program_free(p);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_pin_is_the_reason),
        TEST(a_choice_that_a_pin_leaves_is_anothers),
        TEST(who_is_pinned_decides_for_what_is_colocated),
        TEST(so_does_who_is_pinned_and_does_not_run),
        TEST(a_kernel_decides_for_what_is_colocated),
        TEST(the_only_device_with_a_kernel_is_the_reason),
        TEST(the_only_device_is_the_reason),
        TEST(the_first_device_is_taken_where_nothing_is_said),
        TEST(soft_placement_says_which_pin_it_dropped_and_why),
        TEST(feeds_and_fetches_are_the_clients),
        TEST(a_first_value_is_needed_by_no_step),
        TEST(a_fed_node_may_run_all_the_same),
        TEST(nodes_come_in_the_order_in_which_they_run),
        TEST(a_variable_says_why_the_session_placed_it_there),
        TEST(who_names_a_variable_may_have_decided),
        TEST(what_is_colocated_with_a_variable_follows_it),
        TEST(soft_placement_keeps_a_node_with_its_variable),
        TEST(the_fetch_of_a_variable_is_read_at_the_end),
        TEST(a_copy_names_who_uses_it),
        TEST(one_who_uses_it_twice_is_named_once),
        TEST(order_rides_on_a_value),
        TEST(order_crosses_alone_where_there_is_no_value),
        TEST(a_value_is_wanted_in_the_other_memory),
        cmocka_unit_test(host_memory_that_a_queue_writes_is_waited_for),
        TEST(a_copy_has_the_shape_that_was_promised),
        TEST(a_copy_has_no_shape_that_was_not_promised),
        TEST(a_small_constant_is_copied_and_says_why),
        TEST(a_constant_may_be_in_both_memories),
        TEST(a_constant_that_nobody_uses_stays_where_it_was_placed),
        TEST(the_order_of_accesses_is_told),
        TEST(order_after_a_small_constant_is_dropped),
        TEST(a_feed_and_a_fetch_may_be_asked_for_elsewhere),
        TEST(a_shape_of_which_nothing_is_known_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
