/* SPDX-License-Identifier: MIT
 *
 * What is wrong with what is asked of a graph: each mistake has a code and words that name the
 * node, feed or device and what would mend it; nothing is kept of it, and the session goes on. By
 * the public headers alone.
 */
#include "unit/bad_world.h"

/* ---- mistakes of what is asked -------------------------------------------- */

/* What a case asks for, beside a graph with the good part. */
typedef struct asked {
    df_graph *g;
    good_part part;
    df_out foreign; /* of another graph */
    df_out feeds[4], fetches[2];
    df_node *targets[2];
    df_shape shapes[4];
    size_t n_feeds, n_fetches, n_targets;
    bool promised, strict, feeds_at_null, fetches_at_null;
} asked;

typedef struct ask_case {
    const char *what;
    void (*make)(asked *a);
    df_code code;
    const char *parts;
} ask_case;

#define ASK(NAME) static void NAME(asked *a)

static void feed(asked *a, df_out out) {
    a->feeds[a->n_feeds++] = out;
}

static void feed_as(asked *a, df_out out, df_shape shape) {
    a->promised = true;
    a->shapes[a->n_feeds] = shape;
    feed(a, out);
}

static void fetch(asked *a, df_out out) {
    a->fetches[a->n_fetches++] = out;
}

static void target(asked *a, df_node *n) {
    a->targets[a->n_targets++] = n;
}

static df_node *no_op(asked *a, const char *name) {
    df_graph_name(a->g, name);
    return df_no_op(a->g);
}

static df_out neg(asked *a, const char *name, const char *device, df_out x) {
    df_graph_on(a->g, device);
    df_graph_name(a->g, name);
    df_out y = df_neg(a->g, x);
    df_graph_on(a->g, NULL);
    return y;
}

ASK(a_cycle_of_two) {
    df_node *one = no_op(a, "one"), *two = no_op(a, "two");
    df_control(a->g, one, two);
    df_control(a->g, two, one);
    target(a, one);
}
ASK(a_cycle_over_devices) {
    df_out one = neg(a, "one", "cpu:0", a->part.x), two = neg(a, "two", "cpu:1", one);
    df_out three = neg(a, "three", "sim:0", two);
    df_control(a->g, three.node, one.node);
    feed(a, a->part.x);
    fetch(a, three);
}
ASK(a_cycle_through_a_variable) {
    df_out v = df_variable(a->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(a->g, "set");
    df_out set = df_assign(a->g, v, a->part.y);
    df_control(a->g, set.node, v.node);
    feed(a, a->part.x);
    fetch(a, set);
}
ASK(no_kernel_there) {
    df_graph_on(a->g, "cpu:1");
    df_graph_name(a->g, "bad");
    fetch(a, bad_node(a->g, "OnSim", DF_OUTS(a->part.x), NULL, 0));
    feed(a, a->part.x);
}
ASK(no_kernel_for_strings_there) {
    df_out z = df_placeholder(a->g, "z", DF_STRING, DF_SHAPE(4));
    df_graph_on(a->g, "sim:0");
    df_graph_name(a->g, "bad");
    fetch(a, df_identity(a->g, z));
    feed(a, z);
}
ASK(a_device_that_is_not_there) {
    fetch(a, neg(a, "bad", "gpu:0", a->part.x));
    feed(a, a->part.x);
}
ASK(a_job_that_is_not_there) {
    fetch(a, neg(a, "bad", "/job:worker/task:3", a->part.x));
    feed(a, a->part.x);
}
ASK(scopes_that_leave_no_device) {
    df_graph_scope(a->g, "outer");
    df_graph_on(a->g, "cpu:1");
    df_graph_scope(a->g, "inner");
    fetch(a, neg(a, "bad", "sim", a->part.x));
    feed(a, a->part.x);
}
ASK(colocated_on_two_devices) {
    df_out one = neg(a, "one", "cpu:0", a->part.x), two = neg(a, "two", "sim:0", one);
    df_colocate(a->g, one.node, two.node);
    feed(a, a->part.x);
    fetch(a, two);
}
ASK(colocated_with_one_that_does_not_run) {
    df_out one = neg(a, "one", "cpu:0", a->part.x), two = neg(a, "two", "sim:0", a->part.x);
    df_colocate(a->g, one.node, two.node);
    feed(a, a->part.x);
    fetch(a, one);
}
ASK(colocated_where_there_is_no_kernel) {
    df_out one = neg(a, "one", "cpu:0", a->part.x);
    df_graph_name(a->g, "two");
    df_out two = bad_node(a->g, "OnSim", DF_OUTS(one), NULL, 0);
    df_colocate(a->g, two.node, one.node);
    feed(a, a->part.x);
    fetch(a, two);
}
ASK(no_feed) {
    fetch(a, a->part.y);
}
ASK(a_feed_twice) {
    feed(a, a->part.x);
    feed(a, a->part.x);
    fetch(a, a->part.y);
}
ASK(a_feed_of_nothing) {
    feed(a, DF_NO_OUT);
    fetch(a, a->part.y);
}
ASK(feeds_at_nothing) {
    feed(a, a->part.x);
    fetch(a, a->part.y);
    a->feeds_at_null = true;
}
ASK(a_foreign_feed) {
    feed(a, a->part.x);
    feed(a, a->foreign);
    fetch(a, a->part.y);
}
ASK(a_feed_of_no_output) {
    feed(a, df_node_output(a->part.x.node, 1));
    fetch(a, a->part.y);
}
ASK(a_fetch_of_nothing) {
    feed(a, a->part.x);
    fetch(a, DF_NO_OUT);
}
ASK(fetches_at_nothing) {
    feed(a, a->part.x);
    fetch(a, a->part.y);
    a->fetches_at_null = true;
}
ASK(a_foreign_fetch) {
    feed(a, a->part.x);
    fetch(a, a->foreign);
}
ASK(a_fetch_of_output_7) {
    feed(a, a->part.x);
    fetch(a, df_node_output(a->part.y.node, 7));
}
ASK(a_fetch_of_output_below_0) {
    feed(a, a->part.x);
    fetch(a, df_node_output(a->part.y.node, -1));
}
ASK(a_fetch_of_a_node_without_outputs) {
    fetch(a, df_node_output(no_op(a, "bad"), 0));
}
ASK(a_target_of_nothing) {
    target(a, NULL);
}
ASK(a_foreign_target) {
    target(a, a->foreign.node);
}
ASK(nothing_at_all) {
    feed(a, a->part.x);
}
ASK(unordered_accesses) {
    df_out v = df_variable(a->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(a->g, "reads");
    df_out r = df_read(a->g, v);
    df_graph_name(a->g, "writes");
    df_out set = df_assign(a->g, v, a->part.y);
    a->strict = true;
    feed(a, a->part.x);
    fetch(a, r);
    target(a, set.node);
}
ASK(a_promise_that_does_not_fit) {
    feed_as(a, a->part.x, DF_SHAPE_UNKNOWN);
    a->shapes[0] = (df_shape){1, &bad_huge};
    fetch(a, a->part.y);
}
ASK(a_promise_at_nothing) {
    feed_as(a, a->part.x, (df_shape){1, NULL});
    fetch(a, a->part.y);
}
ASK(a_promise_of_99_dimensions) {
    feed_as(a, a->part.x, (df_shape){99, NULL});
    fetch(a, a->part.y);
}

/* Only what is promised says that a node cannot be: z is float32[?], and there will be 2^62. */
static df_out promised(asked *a) {
    df_out z = df_placeholder(a->g, "z", DF_FLOAT32, DF_SHAPE(-1));
    feed_as(a, z, (df_shape){1, &bad_huge});
    df_graph_name(a->g, "bad");
    return z;
}

ASK(shapes_that_will_not_fit) {
    df_out z = promised(a);
    fetch(a, df_add(a->g, z, a->part.y));
    feed_as(a, a->part.x, DF_SHAPE_UNKNOWN);
    static const int64_t four = 4;
    a->shapes[1] = (df_shape){1, &four};
}
ASK(a_tile_that_will_be_too_much) {
    const int64_t four = 4;
    fetch(a, df_tile(a->g, promised(a), &four, 1));
}
ASK(a_pad_that_will_be_too_much) {
    fetch(a, df_pad(a->g, promised(a), &bad_huge, &bad_huge, 1, 0));
}
ASK(a_concat_that_will_be_too_much) {
    df_out z = promised(a);
    fetch(a, df_concat(a->g, DF_OUTS(z, z), 0));
}
ASK(a_reshape_that_will_be_too_much) {
    fetch(a, df_reshape(a->g, promised(a), DF_SHAPE(-1, bad_huge, 4)));
}

static const ask_case ask_cases[] = {
    {"a cycle", a_cycle_of_two, DF_INVALID_ARGUMENT, "cycle: |one|two|remove a control edge"},
    {"a cycle over devices", a_cycle_over_devices, DF_INVALID_ARGUMENT,
     "cycle: |one|two|three|remove a control edge"},
    {"a cycle with a variable", a_cycle_through_a_variable, DF_INVALID_ARGUMENT,
     "cycle: |v|set|remove a control edge"},
    {"no kernel", no_kernel_there, DF_NOT_FOUND,
     "node bad (OnSim)|no kernel for float32 on cpu:1|it has one on sim:0"},
    {"strings", no_kernel_for_strings_there, DF_NOT_FOUND,
     "node bad (Identity)|string on sim:0|it has one on cpu:0, cpu:1"},
    {"no device", a_device_that_is_not_there, DF_INVALID_ARGUMENT,
     "node bad (Neg)|/device:GPU:0|not there|cpu:0, cpu:1, sim:0"},
    {"no job", a_job_that_is_not_there, DF_INVALID_ARGUMENT,
     "node bad (Neg)|/job:worker/task:3|not there|cpu:0, cpu:1, sim:0"},
    {"scopes", scopes_that_leave_no_device, DF_INVALID_ARGUMENT,
     "node outer/inner/bad (Neg)|/device:SIM:1|not there|cpu:0, cpu:1, sim:0"},
    {"two pins", colocated_on_two_devices, DF_INVALID_ARGUMENT,
     "node one (Neg)|node two (Neg)|cpu:0|sim:0|drop a pin"},
    {"the pin of one that is absent", colocated_with_one_that_does_not_run, DF_INVALID_ARGUMENT,
     "node one (Neg)|node two (Neg)|only on cpu:0|only on /device:SIM:0|drop a pin"},
    {"a pin and a kernel", colocated_where_there_is_no_kernel, DF_INVALID_ARGUMENT,
     "node two (OnSim)|node one (Neg)|cpu:0|sim:0|drop a pin"},
    {"no feed", no_feed, DF_INVALID_ARGUMENT, "Placeholder x|needed by good|add it to the feeds"},
    {"a feed twice", a_feed_twice, DF_INVALID_ARGUMENT, "feed 1|x:0|twice|leave one out"},
    {"a feed of NULL", a_feed_of_nothing, DF_INVALID_ARGUMENT, "feed 0, NULL|this session's graph"},
    {"feeds at NULL", feeds_at_nothing, DF_INVALID_ARGUMENT, "feed 0, NULL|this session's graph"},
    {"a foreign feed", a_foreign_feed, DF_INVALID_ARGUMENT, "feed 1, good|this session's graph"},
    {"a feed's output", a_feed_of_no_output, DF_OUT_OF_RANGE, "feed 0|output 1|x, which has 1"},
    {"a fetch of NULL", a_fetch_of_nothing, DF_INVALID_ARGUMENT, "fetch 0, NULL|give one of it"},
    {"fetches at NULL", fetches_at_nothing, DF_INVALID_ARGUMENT, "fetch 0, NULL|give one of it"},
    {"a foreign fetch", a_foreign_fetch, DF_INVALID_ARGUMENT, "fetch 0, good|give one of it"},
    {"output 7", a_fetch_of_output_7, DF_OUT_OF_RANGE, "fetch 0|output 7|good, which has 1"},
    {"output -1", a_fetch_of_output_below_0, DF_OUT_OF_RANGE, "output -1|good, which has 1"},
    {"no output", a_fetch_of_a_node_without_outputs, DF_OUT_OF_RANGE, "output 0|bad, which has 0"},
    {"a target of NULL", a_target_of_nothing, DF_INVALID_ARGUMENT, "target 0, NULL|give one of it"},
    {"a foreign target", a_foreign_target, DF_INVALID_ARGUMENT, "target 0, good|give one of it"},
    {"nothing", nothing_at_all, DF_INVALID_ARGUMENT, "nothing is asked for|a fetch or a target"},
    {"no order", unordered_accesses, DF_FAILED_PRECONDITION,
     "variable v|reads|writes|add a control edge|strict_order"},
    {"a promise", a_promise_that_does_not_fit, DF_INVALID_ARGUMENT, "feed 0|x, which is [4]"},
    {"a promise at NULL", a_promise_at_nothing, DF_INVALID_ARGUMENT, "feed 0|for x|NULL"},
    {"99 dimensions", a_promise_of_99_dimensions, DF_INVALID_ARGUMENT, "feed 0|for x|0 to 8|99"},
    {"shapes", shapes_that_will_not_fit, DF_INVALID_ARGUMENT,
     "node bad (Add)|[4611686018427387904]|[4]|must be equal"},
    {"tile", a_tile_that_will_be_too_much, DF_INVALID_ARGUMENT,
     "node bad (Tile)|dimension 0|larger than any can be"},
    {"pad", a_pad_that_will_be_too_much, DF_INVALID_ARGUMENT,
     "node bad (Pad)|dimension 0|larger than any can be"},
    {"concat", a_concat_that_will_be_too_much, DF_INVALID_ARGUMENT,
     "node bad (Concat)|dimension 0|larger than any can be"},
    {"reshape", a_reshape_that_will_be_too_much, DF_INVALID_ARGUMENT,
     "node bad (Reshape)|more elements than there can be"},
};
enum { ASK_CASES = sizeof ask_cases / sizeof *ask_cases };

static void is_refused(world *w, const ask_case *c, const asked *a, df_session *s) {
    const df_compile_options o = {.struct_size = sizeof o,
                                  .targets = {a->targets, a->n_targets},
                                  .feed_shapes = a->promised ? a->shapes : NULL};
    size_t blocks = fault_live_blocks(&w->memory);
    df_program *p = NULL;
    df_error err = {.code = DF_OK};
    df_code code = df_session_compile(
        s, (df_outs){a->feeds_at_null ? NULL : a->feeds, a->n_feeds},
        (df_outs){a->fetches_at_null ? NULL : a->fetches, a->n_fetches}, &o, &p, &err);
    assert_int_equal(code, err.code);
    bad_says(c->what, &err, c->code, c->parts);
    assert_null(p);
    assert_int_equal(fault_live_blocks(&w->memory), blocks);
}

static void what_cannot_be_compiled_is_named_and_the_session_goes_on(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    df_graph *other = df_graph_new(w.rt);
    df_out foreign = bad_good_part(other).y;
    for (size_t i = 0; i < ASK_CASES; i++) {
        const ask_case *c = &ask_cases[i];
        asked a = {.g = df_graph_new(w.rt), .foreign = foreign};
        a.part = bad_good_part(a.g);
        c->make(&a);
        df_session *s = NULL;
        const df_session_options o = {.struct_size = sizeof o, .strict_order = a.strict};
        if (df_session_new(a.g, &o, &s, &w.err) != DF_OK)
            fail_msg("%s: %s", c->what, w.err.message);
        bad_still_works(&w, s, a.part);
        is_refused(&w, c, &a, s);
        bad_still_works(&w, s, a.part);
        is_refused(&w, c, &a, s); /* each time */
        df_session_free(s);
        df_graph_free(a.g);
    }
    df_graph_free(other);
    close_world(&w);
}

/* Variables are placed by the session: so it is the session that is refused. */
static void a_variable_on_two_devices_is_the_session_s_mistake(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    df_graph *g = df_graph_new(w.rt);
    df_graph_on(g, "cpu:0");
    df_out v = df_variable(g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_on(g, "sim:0");
    df_graph_name(g, "reads");
    (void)df_read(g, v);
    size_t blocks = 0;
    df_session *s = NULL;
    df_error err = {.code = DF_OK};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(df_session_new(g, NULL, &s, &err), DF_INVALID_ARGUMENT);
        bad_says("two devices", &err, DF_INVALID_ARGUMENT,
                 "node reads (ReadVariable)|node v (Variable)|cpu:0|sim:0|drop a pin");
        assert_null(s);
        if (i == 1) assert_int_equal(fault_live_blocks(&w.memory), blocks);
        blocks = fault_live_blocks(&w.memory); /* with the threads' pool, which stays */
    }
    const df_session_options soft = {.struct_size = sizeof soft, .soft_placement = true};
    assert_int_equal(df_session_new(g, &soft, &s, &err), DF_OK); /* what may be dropped is */
    df_session_free(s);
    df_graph_free(g);
    bad_works_anew(&w);
    close_world(&w);
}

/* The k-th of some names that are as long as a name can be. */
static const char *long_name(char *into, char k) {
    memset(into, k, 1000);
    into[1000] = '\0';
    return into;
}

static df_out long_placeholder(df_graph *g, char k) {
    char name[1001];
    return df_placeholder(g, long_name(name, k), DF_INT32, DF_SHAPE(1));
}

static df_out long_node(df_graph *g, char k, df_out a, df_out b) {
    char name[1001];
    df_graph_name(g, long_name(name, k));
    return b.node ? df_div(g, a, b) : df_neg(g, a);
}

static df_out long_variable(df_graph *g, char k) {
    char name[1001];
    return df_variable(g, long_name(name, k), DF_INT32, DF_SHAPE(1));
}

static df_out long_assign(df_graph *g, char k, df_out v, df_out value) {
    char name[1001];
    df_graph_name(g, long_name(name, k));
    return df_assign(g, v, value);
}

static void long_not_fed(asked *a) {
    fetch(a, long_node(a->g, 'n', long_placeholder(a->g, 'x'), DF_NO_OUT));
}
static void long_fed_twice(asked *a) {
    df_out x = long_placeholder(a->g, 'x');
    feed(a, x);
    feed(a, x);
    fetch(a, x);
}
static void long_output(asked *a) {
    fetch(a, df_node_output(long_placeholder(a->g, 'x').node, 3));
}
static void long_cycle(asked *a) {
    df_out x = long_placeholder(a->g, 'x');
    df_out n = long_node(a->g, 'n', x, DF_NO_OUT), m = long_node(a->g, 'm', n, DF_NO_OUT);
    df_control(a->g, m.node, n.node);
    feed(a, x);
    fetch(a, m);
}
static void long_shape(asked *a) {
    static const int64_t seven = 7;
    df_out x = long_placeholder(a->g, 'x');
    feed_as(a, x, (df_shape){1, &seven});
    fetch(a, x);
}
static void long_group(asked *a) {
    df_out x = long_placeholder(a->g, 'x');
    df_graph_on(a->g, "cpu:1");
    df_out n = long_node(a->g, 'n', x, DF_NO_OUT);
    df_graph_on(a->g, "sim:0");
    df_out m = long_node(a->g, 'm', x, DF_NO_OUT);
    df_colocate(a->g, n.node, m.node);
    feed(a, x);
    fetch(a, n);
    fetch(a, m);
}
static void long_order(asked *a) {
    a->strict = true;
    df_out v = long_variable(a->g, 'v');
    fetch(a, long_assign(a->g, 'n', v, v));
    fetch(a, long_assign(a->g, 'm', v, v));
}

/* However long a name is, the words behind it are there. */
static void a_name_as_long_as_it_can_be_leaves_room_for_the_words(void **state) {
    (void)state;
    static const ask_case cases[] = {
        {"not fed", long_not_fed, DF_INVALID_ARGUMENT, "xxx|nnn|add it to the feeds"},
        {"fed twice", long_fed_twice, DF_INVALID_ARGUMENT, "xxx|:0 is fed twice; leave one out"},
        {"no such output", long_output, DF_OUT_OF_RANGE, "output 3|xxx|which has 1"},
        {"a cycle", long_cycle, DF_INVALID_ARGUMENT, "cycle: |nnn|remove a control edge"},
        {"a shape", long_shape, DF_INVALID_ARGUMENT, "[7]|xxx|which is [1]"},
        {"a group", long_group, DF_INVALID_ARGUMENT, "nnn|mmm|(Neg)|cpu:1|sim:0|drop a pin"},
        {"an order", long_order, DF_FAILED_PRECONDITION, "vvv|nnn|mmm|leave strict_order out"},
    };
    world w;
    bad_open(&w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asked a = {.g = df_graph_new(w.rt)};
        df_session *s = NULL;
        cases[i].make(&a);
        const df_session_options o = {.struct_size = sizeof o, .strict_order = a.strict};
        if (df_session_new(a.g, &o, &s, &w.err) != DF_OK)
            fail_msg("%s: %s", cases[i].what, w.err.message);
        is_refused(&w, &cases[i], &a, s);
        df_session_free(s);
        df_graph_free(a.g);
    }
    close_world(&w);
}

/* The same of a run: its feed, and its kernel. */
static void a_name_as_long_as_it_can_be_leaves_room_for_a_run_s_words(void **state) {
    (void)state;
    static const char *const on[] = {"cpu:1", "sim:0"};
    world w;
    bad_open(&w);
    for (size_t d = 0; d < 2; d++) {
        df_graph *g = df_graph_new(w.rt);
        df_session *s = NULL;
        df_program *p = NULL;
        df_tensor *zero = NULL, *wrong = NULL, *y = NULL;
        df_out x = long_placeholder(g, 'x');
        df_graph_on(g, on[d]);
        df_out n = long_node(g, 'n', x, x);
        df_error err = {.code = DF_OK};
        assert_int_equal(df_session_new(g, NULL, &s, &err), DF_OK);
        assert_int_equal(df_session_compile(s, DF_OUTS(x), DF_OUTS(n), NULL, &p, &err), DF_OK);
        assert_int_equal(df_tensor_new(NULL, DF_INT32, DF_SHAPE(1), &zero, &err), DF_OK);
        assert_int_equal(df_tensor_new(NULL, DF_INT8, DF_SHAPE(1), &wrong, &err), DF_OK);
        (void)df_program_run(p, DF_TENSORS(zero), &y, NULL, &err);
        bad_says("a kernel", &err, DF_INVALID_ARGUMENT, "node nnn|(Div) on |division by 0");
        (void)df_program_run(p, DF_TENSORS(wrong), &y, NULL, &err);
        bad_says("a feed", &err, DF_INVALID_ARGUMENT, "xxx|is int8[1] and must be int32[1]");
        df_tensor_unref(zero);
        df_tensor_unref(wrong);
        df_program_free(p);
        df_session_free(s);
        df_graph_free(g);
    }
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_compiled_is_named_and_the_session_goes_on),
        cmocka_unit_test(a_variable_on_two_devices_is_the_session_s_mistake),
        cmocka_unit_test(a_name_as_long_as_it_can_be_leaves_room_for_the_words),
        cmocka_unit_test(a_name_as_long_as_it_can_be_leaves_room_for_a_run_s_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
