/* SPDX-License-Identifier: MIT
 *
 * What a graph is cut into, as text: each case below has a file beside this one.
 *
 *   test_partition            compares
 *   test_partition --update   writes the files anew
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static const char *const folder = DATAFLOW_TESTS_DIR "/golden";
static bool update;

/* ---- edges that cross ---------------------------------------------------- */

static void no_crossing(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y");
    golden_fetch(k, df_neg(k->g, x));
}

static void one_crossing(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_on(k->g, "cpu:0");
    df_graph_name(k->g, "z");
    golden_fetch(k, df_exp(k->g, y));
}

/* a, b and c run one after another, on three devices, and hand each other nothing. */
static void control_only(golden *k) {
    static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0", "cpu:0"};
    df_node *last = NULL;
    for (int i = 0; i < 4; i++) {
        char name[] = {(char)('a' + i), '\0'};
        df_graph_on(k->g, devices[i]);
        df_graph_name(k->g, name);
        df_node *n = df_no_op(k->g);
        if (last) df_control(k->g, last, n);
        last = n;
    }
    golden_target(k, last);
}

static void many_consumers(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_on(k->g, "sim:0");
    df_out exp = df_exp(k->g, y), square = df_square(k->g, y), both = df_mul(k->g, y, y);
    df_graph_on(k->g, NULL);
    golden_fetch(k, exp);
    golden_fetch(k, square);
    golden_fetch(k, both);
}

static void data_and_control(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "uses");
    df_out uses = df_exp(k->g, y);
    df_graph_name(k->g, "waits");
    df_node *waits = df_no_op(k->g);
    df_control(k->g, y.node, waits);
    golden_fetch(k, uses);
    golden_target(k, waits);
}

static void control_before_data(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "waits");
    df_node *waits = df_no_op(k->g);
    df_control(k->g, y.node, waits);
    df_graph_name(k->g, "uses");
    golden_fetch(k, df_exp(k->g, y));
    golden_target(k, waits);
}

static void three_devices(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "a");
    df_out a = df_neg(k->g, x);
    df_graph_on(k->g, "sim:1");
    df_graph_name(k->g, "b");
    df_out b = df_exp(k->g, a);
    df_graph_on(k->g, "cpu:0");
    df_graph_name(k->g, "c");
    golden_fetch(k, df_add(k->g, a, b));
}

static void fan_out(golden *k) {
    static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0", "sim:1"};
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    for (int i = 0; i < 4; i++) {
        df_graph_on(k->g, devices[i]);
        golden_fetch(k, df_exp(k->g, y));
    }
}

static void two_outputs(golden *k) {
    df_out logits = df_placeholder(k->g, "logits", DF_FLOAT32, DF_SHAPE(-1, 10));
    df_out labels = df_placeholder(k->g, "labels", DF_INT64, DF_SHAPE(-1));
    golden_feed(k, logits);
    golden_feed(k, labels);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "entropy");
    df_node *entropy = df_sparse_softmax_cross_entropy(k->g, logits, labels);
    df_graph_on(k->g, "cpu:0");
    golden_fetch(k, df_mean(k->g, df_node_output(entropy, 0), NULL, 0, false));
    golden_fetch(k, df_node_output(entropy, 1));
    df_graph_on(k->g, "cpu:1");
    golden_fetch(k, df_neg(k->g, df_node_output(entropy, 1)));
}

static void taken_names(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y/send");
    df_out taken = df_neg(k->g, x);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "y/recv");
    golden_target(k, df_no_op(k->g));
    df_graph_on(k->g, NULL);
    df_graph_name(k->g, "y");
    df_out y = df_exp(k->g, taken);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "z");
    golden_fetch(k, df_square(k->g, y));
}

/* ---- memories ------------------------------------------------------------ */

static void host_inputs(golden *k) {
    static const int64_t square[] = {2, 2};
    df_out x = golden_input(k, "x");
    df_out wanted = df_placeholder(k->g, "wanted", DF_INT64, DF_SHAPE(2));
    golden_feed(k, wanted);
    df_out constant = golden_ints(k, square, 2);
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_name(k->g, "from_cpu");
    df_out from_cpu = df_reshape_to(k->g, y, wanted);
    df_graph_name(k->g, "shape");
    df_out shape = df_shape_of(k->g, from_cpu);
    df_graph_name(k->g, "from_here");
    df_out from_here = df_reshape_to(k->g, y, shape);
    df_graph_name(k->g, "from_constant");
    golden_fetch(k, df_reshape_to(k->g, from_here, constant));
}

static void both_memories(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_out n = df_placeholder(k->g, "n", DF_INT64, DF_SHAPE(1));
    golden_feed(k, n);
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "twice");
    df_out twice = df_add(k->g, n, n);
    df_graph_name(k->g, "by_feed");
    df_out by_feed = df_reshape_to(k->g, x, n);
    df_graph_name(k->g, "by_sum");
    df_out by_sum = df_reshape_to(k->g, by_feed, twice);
    df_graph_name(k->g, "shape");
    df_out shape = df_shape_of(k->g, by_sum);
    df_graph_name(k->g, "computes");
    golden_fetch(k, df_neg(k->g, shape));
    golden_fetch(k, shape);
}

/* ---- constants ----------------------------------------------------------- */

static void small_constants(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "c");
    df_out c = df_const_float(k->g, DF_FLOAT32, 0.5);
    df_graph_name(k->g, "limit");
    df_out limit = golden_zeros(k, 256);
    df_graph_name(k->g, "here");
    df_out here = df_mul(k->g, x, c);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "there");
    df_out there = df_mul(k->g, here, c);
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "far");
    golden_fetch(k, df_mul(k->g, there, c));
    df_graph_name(k->g, "sum");
    golden_fetch(k, df_sum(k->g, limit, NULL, 0, false));
}

static void sent_constants(golden *k) {
    df_graph_name(k->g, "large");
    df_out large = golden_zeros(k, 257);
    df_graph_on(k->g, "cpu:0");
    df_graph_name(k->g, "pinned");
    df_out pinned = df_const_float(k->g, DF_FLOAT32, 1);
    df_graph_on(k->g, NULL);
    df_graph_name(k->g, "colocated");
    df_out colocated = df_const_float(k->g, DF_FLOAT32, 2);
    df_colocate(k->g, colocated.node, pinned.node);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "a");
    df_out a = df_add(k->g, large, pinned);
    df_graph_name(k->g, "b");
    golden_fetch(k, df_add(k->g, a, colocated));
}

static void constants_in_order(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "first");
    df_node *first = df_no_op(k->g);
    df_graph_name(k->g, "late");
    df_out late = df_const_float(k->g, DF_FLOAT32, 1);
    df_control(k->g, first, late.node);
    df_graph_name(k->g, "early");
    df_out early = df_const_float(k->g, DF_FLOAT32, 2);
    df_graph_name(k->g, "idle");
    df_out idle = df_const_float(k->g, DF_FLOAT32, 3);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "y");
    df_out y = df_mul(k->g, x, late);
    df_graph_name(k->g, "z");
    df_out z = df_mul(k->g, y, early);
    df_graph_name(k->g, "waits");
    df_node *waits = df_no_op(k->g);
    df_control(k->g, early.node, waits);
    df_control(k->g, late.node, waits);
    df_control(k->g, idle.node, waits);
    golden_fetch(k, z);
    golden_target(k, waits);
}

/* A vector that sim wants as a shape, in host memory, and as a number, in its own. */
static void constant_in_both_memories(golden *k) {
    static const int64_t four[] = {4};
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "n");
    df_out n = golden_ints(k, four, 1);
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "shaped");
    golden_fetch(k, df_reshape_to(k->g, x, n));
    df_graph_name(k->g, "number");
    golden_fetch(k, df_neg(k->g, n));
}

/* ---- feeds and fetches --------------------------------------------------- */

static void feeds_and_fetches(golden *k) {
    static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0"};
    for (int i = 0; i < 3; i++) {
        char name[] = {'x', (char)('0' + i), '\0'};
        df_graph_on(k->g, devices[i]);
        golden_fetch(k, df_neg(k->g, golden_input(k, name)));
    }
}

static void feed_cuts_an_edge(golden *k) {
    k->explained = true;
    df_out x = df_placeholder(k->g, "x", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_name(k->g, "z");
    df_out z = df_exp(k->g, y);
    golden_feed(k, y);
    golden_fetch(k, z);
}

static void fed_node_still_runs(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_name(k->g, "uses");
    df_out uses = df_exp(k->g, y);
    df_graph_name(k->g, "waits");
    df_node *waits = df_no_op(k->g);
    df_control(k->g, y.node, waits);
    golden_feed(k, y);
    golden_fetch(k, uses);
    golden_target(k, waits);
}

static void fed_outputs_of_a_node_that_runs(golden *k) {
    df_out logits = df_placeholder(k->g, "logits", DF_FLOAT32, DF_SHAPE(-1, 10));
    df_out labels = df_placeholder(k->g, "labels", DF_INT64, DF_SHAPE(-1));
    df_graph_name(k->g, "entropy");
    df_node *entropy = df_sparse_softmax_cross_entropy(k->g, logits, labels);
    df_graph_on(k->g, "cpu:1");
    for (int i = 0; i < 2; i++) golden_fetch(k, df_neg(k->g, df_node_output(entropy, i)));
    df_graph_name(k->g, "waits");
    df_node *waits = df_no_op(k->g);
    df_control(k->g, entropy, waits);
    golden_feed(k, logits);
    golden_feed(k, labels);
    for (int i = 0; i < 2; i++) golden_feed(k, df_node_output(entropy, i));
    golden_target(k, waits);
}

static void placeholder_with_control_edges(golden *k) {
    df_graph_name(k->g, "never");
    df_node *never = df_no_op(k->g);
    df_out x = golden_input(k, "x");
    df_control(k->g, never, x.node);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "waits");
    df_node *waits = df_no_op(k->g);
    df_control(k->g, x.node, waits);
    golden_target(k, waits);
}

static void fetches_of_feeds(golden *k) {
    df_out x = golden_input(k, "x"), unused = golden_input(k, "unused");
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    (void)unused;
    golden_fetch(k, x);
    golden_fetch(k, y);
    golden_fetch(k, y);
}

static void targets_only(golden *k) {
    df_out x = golden_input(k, "x");
    df_graph_on(k->g, "sim:0");
    df_graph_name(k->g, "y");
    df_out y = df_neg(k->g, x);
    df_graph_name(k->g, "not_asked_for");
    (void)df_exp(k->g, y);
    golden_target(k, y.node);
}

/* ---- variables ----------------------------------------------------------- */

static void variables(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_graph_on(k->g, "sim:0");
    df_out v = df_variable(k->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(k->g, NULL);
    df_graph_name(k->g, "before");
    df_out before = df_read(k->g, v);
    df_graph_name(k->g, "add");
    df_out add = df_assign_add(k->g, v, x);
    df_graph_name(k->g, "after");
    df_out after = df_read(k->g, v);
    df_graph_name(k->g, "product");
    df_out product = df_mul(k->g, before, after);
    df_graph_name(k->g, "set");
    df_out set = df_assign(k->g, v, product);
    golden_fetch(k, v);
    golden_target(k, add.node);
    golden_target(k, set.node);
}

static void initial_values(golden *k) {
    df_graph_name(k->g, "three");
    df_out three = df_const_float(k->g, DF_FLOAT32, 3);
    df_graph_on(k->g, "cpu:1");
    df_out v = df_variable_from(k->g, "v", three);
    df_graph_name(k->g, "y");
    golden_fetch(k, df_neg(k->g, v));
}

/* ---- placement ----------------------------------------------------------- */

static void colocation(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_graph_name(k->g, "a");
    df_out a = df_neg(k->g, x);
    df_graph_name(k->g, "b");
    df_out b = df_exp(k->g, a);
    df_graph_on(k->g, "cpu:1");
    df_graph_name(k->g, "c");
    df_out c = df_square(k->g, x);
    df_graph_on(k->g, NULL);
    df_colocate(k->g, a.node, b.node);
    df_colocate(k->g, b.node, c.node);
    df_colocate(k->g, c.node, a.node);
    golden_fetch(k, b);
    golden_fetch(k, c);
}

static void partial_pins(golden *k) {
    k->explained = true;
    df_out x = golden_input(k, "x");
    df_graph_on(k->g, "sim");
    df_out any_sim = df_neg(k->g, x);
    df_graph_on(k->g, "*:1");
    df_out any_first = df_exp(k->g, any_sim);
    df_graph_on(k->g, "/job:localhost");
    df_graph_scope(k->g, "inner");
    df_graph_on(k->g, "sim:1");
    golden_fetch(k, df_square(k->g, any_first));
    df_graph_scope_end(k->g);
    df_graph_name(k->g, "anywhere");
    golden_fetch(k, df_neg(k->g, any_first));
}

/* ---- the table ----------------------------------------------------------- */

static const golden_case cases[] = {
    {"no_crossing", "One device: nothing is cut, no Send, no Recv.", "cpu:1", no_crossing},
    {"one_crossing",
     "x goes to cpu:1 and y comes back: a Send, a Recv and one key for each.\n"
     "Nodes keep their names.",
     "cpu:2", one_crossing},
    {"control_only",
     "Order alone crosses, from CPU to CPU, to SIM and back: a Send without an input, a\n"
     "Recv of no elements, \"^\" before the name in the key.",
     "cpu:2,sim:1", control_only},
    {"many_consumers", "Four uses of y on one device: one Send, one Recv, one message.",
     "cpu:1,sim:1", many_consumers},
    {"data_and_control",
     "waits needs only the order after y, and y's data comes to its device anyway: it\n"
     "waits for that, and no second message is sent.",
     "cpu:2", data_and_control},
    {"control_before_data",
     "As data_and_control, with the two consumers added the other way round: the same cut.",
     "cpu:2", control_before_data},
    {"three_devices", "A chain over three devices; a goes to two of them by a pair for each.",
     "cpu:1,sim:2", three_devices},
    {"fan_out", "One output wanted on four devices: it stays on its own, and goes to three.",
     "cpu:2,sim:2", fan_out},
    {"two_outputs", "Two outputs of one node cross by a pair for each; \":1\" is the second.",
     "cpu:2", two_outputs},
    {"taken_names",
     "The names that Send and Recv would get are those of nodes: these get the next.", "cpu:2",
     taken_names},
    {"host_inputs",
     "Reshape on SIM takes its shape in host memory. From a CPU it is sent there (\"@host\" in\n"
     "the key), Shape on SIM leaves it there, and a constant is put there.",
     "cpu:1,sim:1", host_inputs},
    {"both_memories",
     "n is wanted in both memories of sim:0, a pair for each. twice lies in SIM's own memory\n"
     "and is wanted as a shape: a pair from sim:0 to itself. shape lies in host memory, and\n"
     "is wanted in SIM's own.",
     "cpu:1,sim:1", both_memories},
    {"small_constants",
     "A constant of at most 1024 bytes that nobody pinned is copied to where it is used;\n"
     "it has no node where nobody uses it.",
     "cpu:2,sim:1", small_constants},
    {"sent_constants", "A constant is sent that is larger than 1024 bytes, pinned, or colocated.",
     "cpu:2", sent_constants},
    {"constants_in_order",
     "late has a control edge before it, so it is sent. early is copied and never waits: the\n"
     "edge from it that carries only order is dropped. Of idle there is only that: it stays.",
     "cpu:2", constants_in_order},
    {"constant_in_both_memories", "A constant wanted in both memories of sim:0: two copies.",
     "cpu:1,sim:1", constant_in_both_memories},
    {"feeds_and_fetches",
     "Feeds come from cpu:0 and fetches go there, wherever the placeholder was put.", "cpu:2,sim:1",
     feeds_and_fetches},
    {"feed_cuts_an_edge", "y is fed: neither y nor the placeholder that it needs is run.", "cpu:2",
     feed_cuts_an_edge},
    {"fed_node_still_runs",
     "y is fed for those that use its output, and runs for who waits for the node.", "cpu:1",
     fed_node_still_runs},
    {"fed_outputs_of_a_node_that_runs",
     "Both outputs of entropy are fed and cross, each by its own pair; that entropy has run is\n"
     "known by neither, and crosses as well.",
     "cpu:2", fed_outputs_of_a_node_that_runs},
    {"placeholder_with_control_edges",
     "A placeholder that is fed counts as run: what waits for it waits for the feed, and\n"
     "what it would wait for is not run.",
     "cpu:2", placeholder_with_control_edges},
    {"fetches_of_feeds",
     "A feed fetched as it is; the same output fetched twice, sent once; a feed that nothing\n"
     "needs is left out.",
     "cpu:1,sim:1", fetches_of_feeds},
    {"targets_only", "Nothing is fetched: what the target needs runs, and nothing more.",
     "cpu:1,sim:1", targets_only},
    {"variables",
     "Everything that names v is on v's device. Reads and writes follow one another by\n"
     "added control edges, and the fetch of v comes after them all.",
     "cpu:1,sim:1", variables},
    {"initial_values",
     "A variable starts with the value of three, which the session has evaluated: no step\n"
     "needs it.",
     "cpu:2", initial_values},
    {"colocation", "a, b and c share a device, in a circle; c's pin holds for all.", "cpu:2",
     colocation},
    {"partial_pins",
     "A partial name leaves a choice, and the first device that fits is taken; what a scope\n"
     "leaves out comes from around it.",
     "cpu:2,sim:2", partial_pins},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static void partitions_are_as_expected(void **state) {
    golden_check(*state, folder, update);
}

static bool is_case(const char *file, size_t length) {
    for (size_t i = 0; i < N_CASES; i++)
        if (strlen(cases[i].name) == length && memcmp(cases[i].name, file, length) == 0)
            return true;
    return false;
}

static void every_file_belongs_to_a_case(void **state) {
    (void)state;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && strcmp(dot, ".txt") == 0 && !is_case(e->d_name, (size_t)(dot - e->d_name)))
            fail_msg("%s/%s belongs to no case", folder, e->d_name);
    }
    assert_int_equal(closedir(d), 0);
}

int main(int argc, char **argv) {
    update = argc > 1 && strcmp(argv[1], "--update") == 0;
    struct CMUnitTest tests[N_CASES + 1];
    for (size_t i = 0; i < N_CASES; i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = partitions_are_as_expected,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    tests[N_CASES] = (struct CMUnitTest)cmocka_unit_test(every_file_belongs_to_a_case);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
