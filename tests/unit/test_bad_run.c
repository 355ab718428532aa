/* SPDX-License-Identifier: MIT
 *
 * What is wrong only when a step runs: feeds, sizes that overflow, and kernels that do what they
 * must not. Each has a code and words that name the feed or node and its device; the step leaves
 * nothing behind, and the next one gives the right result. By the public headers alone.
 *
 * Closer, and not repeated here: test_session.c (feeds one by one), test_executor.c (async
 * kernels that fail, and end too late), test_own_ops_wrong.c (infer functions that contradict
 * themselves, kernels that take memory of others), tests/fault (out of memory anywhere).
 */
#include "unit/bad_world.h"

static const char *const devices[] = {"cpu:0", "sim:0"};
enum { DEVICES = 2 };

/* ---- feeds --------------------------------------------------------------- */

static void feeds_that_do_not_fit_are_named_and_the_program_goes_on(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    good_part part = bad_good_part(w.g);
    w.p = compiled(&w, DF_OUTS(part.x), DF_OUTS(part.y));
    df_tensor *ints = NULL, *two = NULL, *row = NULL, *y = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_INT32, DF_SHAPE(4), &ints, NULL), DF_OK);
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(2), &two, NULL), DF_OK);
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(1, 4), &row, NULL), DF_OK);
    const struct {
        const char *what;
        df_tensors feeds;
        const char *parts;
    } cases[] = {
        {"none", DF_NO_TENSORS, "feeds is 0 and must be 1"},
        {"two", {(df_tensor *const[]){two, two}, 2}, "feeds is 2 and must be 1"},
        {"NULL", {(df_tensor *const[]){NULL}, 1}, "x:0 is NULL"},
        {"at NULL", {NULL, 1}, "x:0 is NULL"},
        {"dtype", {(df_tensor *const[]){ints}, 1}, "x:0 is int32[4] and must be float32[4]"},
        {"size", {(df_tensor *const[]){two}, 1}, "x:0 is float32[2] and must be float32[4]"},
        {"rank", {(df_tensor *const[]){row}, 1}, "x:0 is float32[1,4] and must be float32[4]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t blocks = fault_live_blocks(&w.memory);
        df_error err = {.code = DF_OK};
        y = two; /* whatever was there */
        assert_int_equal(df_program_run(w.p, cases[i].feeds, &y, NULL, &err), DF_INVALID_ARGUMENT);
        bad_says(cases[i].what, &err, DF_INVALID_ARGUMENT, cases[i].parts);
        assert_null(y);
        assert_int_equal(fault_live_blocks(&w.memory), blocks);
        bad_still_works(&w, w.s, part);
    }
    df_tensor_unref(ints);
    df_tensor_unref(two);
    df_tensor_unref(row);
    close_world(&w);
}

/* ---- sizes --------------------------------------------------------------- */

/* A case feeds a, float32 and without elements, and b, a vector of int64; neither is known before
 * the step. */
typedef struct size_case {
    const char *what;
    df_out (*make)(df_graph *g, df_out a, df_out b); /* the next node is "bad" */
    int rank, n;
    int64_t a[4], b[4];
    const char *parts; /* NULL: it is fine, and gives so many elements: */
    int64_t elements;
} size_case;

#define MAKE(NAME) static df_out NAME(df_graph *g, df_out a, df_out b)

MAKE(tile) {
    (void)b;
    return df_tile(g, a, (int64_t[]){BAD_HUGE, 1}, 2);
}
MAKE(pad) {
    (void)b;
    return df_pad(g, a, (int64_t[]){INT64_MAX, 0}, (int64_t[]){INT64_MAX, 0}, 2, 0);
}
MAKE(pad_all) {
    (void)b;
    return df_pad(g, a, (int64_t[]){1, 1, 1}, (int64_t[]){1, 1, 1}, 3, 0);
}
MAKE(concat) {
    (void)b;
    return df_concat(g, DF_OUTS(a, a), 1);
}
MAKE(matmul) {
    (void)b;
    return df_matmul_t(g, a, false, a, true);
}
MAKE(sum_of_the_last) {
    (void)b;
    return df_sum(g, a, (int64_t[]){-1}, 1, false);
}
MAKE(sum_of_all) {
    (void)b;
    return df_sum(g, a, NULL, 0, false);
}
MAKE(transpose) {
    (void)b;
    return df_transpose(g, a, NULL, 0);
}
MAKE(add) {
    (void)b;
    return df_add(g, a, a);
}
MAKE(reshape_to) {
    return df_reshape_to(g, a, b);
}
MAKE(gather) {
    return df_gather(g, a, b, 1);
}
MAKE(fill_to) {
    df_graph_name(g, "one");
    df_out one = df_const_float(g, DF_FLOAT32, 1);
    df_graph_name(g, "bad");
    (void)a;
    return df_fill_to(g, one, b);
}
MAKE(range) {
    static const char *const names[] = {"start", "limit", "delta"};
    df_graph_name(g, "parts");
    df_node *parts = df_split(g, b, 3, 0, NULL);
    df_out scalars[3];
    for (int i = 0; i < 3; i++) {
        df_graph_name(g, names[i]);
        scalars[i] = df_reshape(g, df_node_output(parts, i), DF_SCALAR);
    }
    df_graph_name(g, "bad");
    (void)a;
    return df_range(g, scalars[0], scalars[1], scalars[2]);
}
MAKE(random_numbers) {
    (void)a;
    (void)b;
    return df_random_uniform(g, DF_FLOAT32, DF_SHAPE(BAD_HUGE, 4), 1, DF_NO_OUT);
}
/* The images have no channels, and the filter makes one of them. */
MAKE(conv) {
    df_graph_name(g, "filter");
    df_out filter = df_reshape(g, df_cast(g, b, DF_FLOAT32), DF_SHAPE(1, 1, 0, 1));
    df_graph_name(g, "bad");
    return df_conv2d(g, a, filter, NULL);
}
MAKE(conv_of_nothing) {
    df_graph_name(g, "filter");
    df_out filter = df_reshape(g, df_cast(g, b, DF_FLOAT32), DF_SHAPE(1, 1, BAD_HUGE, 0));
    df_graph_name(g, "bad");
    return df_conv2d(g, a, filter, NULL);
}

#define H            BAD_HUGE
#define A(RANK, ...) .rank = RANK, .a = {__VA_ARGS__}
#define B(N, ...)    .n = N, .b = {__VA_ARGS__}

static const size_case size_cases[] = {
    {"tile", tile, A(2, 4, 0), .parts = "(Tile)|dimension 0|larger than any can be"},
    {"pad", pad, A(2, 1, 0), .parts = "(Pad)|dimension 0|larger than any can be"},
    {"pad all", pad_all, A(3, H, H, 0), .parts = "(Pad)|overflows|check the dimensions"},
    {"concat", concat, A(2, 0, H), .parts = "(Concat)|dimension 1|larger than any can be"},
    {"matmul", matmul, A(2, H, 0), .parts = "(MatMul)|overflows|check the dimensions"},
    {"sum", sum_of_the_last, A(3, H, H, 0), .parts = "(Sum)|overflows|check the dimensions"},
    {"reshape", reshape_to, A(2, 4, 0), B(2, H, 4), .parts = "(Reshape)|more elements than there"},
    {"reshape to -2", reshape_to, A(2, 4, 0), B(2, 0, -2), .parts = "(Reshape)|-2|give a size"},
    {"fill", fill_to, A(1, 0), B(2, H, 4), .parts = "(Fill)|overflows|check the dimensions"},
    {"fill with -1", fill_to, A(1, 0), B(2, 3, -1), .parts = "(Fill)|-1|give a size, 0 or more"},
    {"range", range, A(1, 0), B(3, 0, INT64_MAX, 1), .parts = "(Range)|overflows|check"},
    {"range of more", range, A(1, 0), B(3, INT64_MIN, INT64_MAX, 1),
     .parts = "(Range)|no number of elements|too small a delta"},
    {"range of 0", range, A(1, 0), B(3, 0, 1, 0), .parts = "(Range)|delta is 0|give another"},
    {"random", random_numbers, A(1, 0), .parts = "(RandomUniform)|overflows|check"},
    {"conv", conv, A(4, 1, H, 4, 0), .parts = "(Conv2D)|overflows|check the dimensions"},
    /* huge, and nothing in it */
    {"a sum of nothing", sum_of_all, A(3, H, H, 0), .elements = 1},
    {"a sum to nothing", sum_of_the_last, A(3, H, 0, H), .elements = 0},
    {"transposed", transpose, A(3, 0, H, H), .elements = 0},
    {"added", add, A(3, H, H, 0), .elements = 0},
    {"gathered", gather, A(3, H, 1, 0), B(4, 0, 0, 0, 0), .elements = 0},
    {"reshaped", reshape_to, A(3, H, H, 0), B(3, 0, H, 5), .elements = 0},
    {"reshaped to -1", reshape_to, A(3, H, H, 0), B(2, -1, 5), .elements = 0},
    {"a conv of nothing", conv_of_nothing, A(4, 0, H, H, H), .elements = 0},
};
enum { SIZE_CASES = sizeof size_cases / sizeof *size_cases };

static void run_size_case(const size_case *c, df_program *p, const char *device) {
    df_tensor *a = NULL, *b = NULL, *y = NULL;
    df_error err = {.code = DF_OK};
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, (df_shape){c->rank, c->a}, &a, NULL), DF_OK);
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(c->n), c->b, &b, NULL), DF_OK);
    df_code code = df_program_run(p, DF_TENSORS(a, b), &y, NULL, &err);
    if (c->parts) {
        bad_says(c->what, &err, DF_INVALID_ARGUMENT, c->parts);
        bad_says(c->what, &err, DF_INVALID_ARGUMENT, "node bad ");
        if (!strstr(err.message, device)) fail_msg("%s: %s", c->what, err.message);
        assert_null(y);
    } else {
        if (code != DF_OK) fail_msg("%s: %s", c->what, err.message);
        assert_int_equal(df_tensor_elements(y), c->elements);
    }
    df_tensor_unref(a);
    df_tensor_unref(b);
    df_tensor_unref(y);
}

static void a_size_that_overflows_fails_the_step_by_name(void **state) {
    (void)state;
    static const char *const names[] = {"CPU:0", "SIM:0"};
    for (int d = 0; d < DEVICES; d++)
        for (size_t i = 0; i < SIZE_CASES; i++) {
            world w;
            bad_open(&w);
            w.g = df_graph_new(w.rt);
            good_part part = bad_good_part(w.g);
            df_out a = df_placeholder(w.g, "a", DF_FLOAT32, DF_SHAPE_UNKNOWN);
            df_out b = df_placeholder(w.g, "b", DF_INT64, DF_SHAPE(-1));
            df_graph_on(w.g, devices[d]);
            df_graph_name(w.g, "bad");
            df_out y = size_cases[i].make(w.g, a, b);
            w.p = compiled(&w, DF_OUTS(a, b), DF_OUTS(y));
            /* The first steps make room, how much depends on the device's thread; what leaks has
             * no end. */
            size_t kept = 0;
            int same = 0;
            for (int round = 0; same < 3; round++) {
                assert_true(round < 60);
                run_size_case(&size_cases[i], w.p, names[d]);
                bad_still_works(&w, w.s, part);
                same = fault_live_blocks(&w.memory) == kept ? same + 1 : 0;
                kept = fault_live_blocks(&w.memory);
            }
            close_world(&w);
        }
}

static void a_variable_too_large_is_the_session_s_mistake(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    (void)df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(BAD_HUGE, 4));
    df_error err = {.code = DF_OK};
    assert_int_equal(df_session_new(w.g, NULL, &w.s, &err), DF_INVALID_ARGUMENT);
    bad_says("a variable", &err, DF_INVALID_ARGUMENT, "variable v|overflows|check the dimensions");
    assert_null(w.s);
    bad_works_anew(&w);
    close_world(&w);
}

/* ---- kernels ------------------------------------------------------------- */

typedef enum deed {
    GIVES_OUTPUT, /* its input */
    FAILS,
    GIVES_NOTHING,
    GIVES_NULL,
    ANOTHER_DTYPE,
    ANOTHER_SHAPE,
    ANOTHER_OUTPUT,
    NO_PLACE,     /* for what it allocates */
    ENDS_TWICE,   /* well, and then with an error */
    ENDS_ANOTHER, /* the kernel of the step before, with an error; and then itself, well */
    DEEDS
} deed;

/* What the kernel of the next step does. */
typedef struct plot {
    deed next;
    df_kernel_handle before;
} plot;

static plot *plot_of(const df_kernel *k) {
    return df_kernel_user(k);
}

static df_code allocates(df_kernel *k, df_error *err) {
    df_tensor *x = df_kernel_input(k, 0), *y = NULL;
    deed next = plot_of(k)->next;
    if (next == FAILS) return df_error_set(err, DF_DATA_LOSS, "the disk is gone");
    if (next == GIVES_NOTHING) return DF_OK;
    df_code code = df_kernel_allocate(k, next == ANOTHER_OUTPUT ? 1 : 0, df_tensor_shape(x),
                                      next == NO_PLACE ? NULL : &y, err);
    if (code == DF_OK) memcpy(df_tensor_data(y), df_tensor_data(x), df_tensor_bytes(x));
    return code;
}

static df_code passes_on(df_kernel *k, df_error *err) {
    deed next = plot_of(k)->next;
    df_tensor *t = NULL;
    if (next == FAILS) return df_error_set(err, DF_DATA_LOSS, "the disk is gone");
    if (next == GIVES_NOTHING) return DF_OK;
    if (next == ANOTHER_DTYPE || next == ANOTHER_SHAPE)
        (void)df_tensor_new(NULL, next == ANOTHER_DTYPE ? DF_INT32 : DF_FLOAT32,
                            DF_SHAPE(next == ANOTHER_DTYPE ? 4 : 5), &t, NULL);
    else if (next != GIVES_NULL)
        t = df_tensor_ref(df_kernel_input(k, 0));
    return df_kernel_set_output(k, next == ANOTHER_OUTPUT ? 1 : 0, t, err);
}

static df_code ends_later(df_kernel *k, df_error *err) {
    const df_error why = {.code = DF_ABORTED, .message = "somebody else's end"};
    plot *p = plot_of(k);
    df_kernel_handle mine = df_kernel_handle_of(k);
    df_code code = allocates(k, err);
    if (code != DF_OK) return code;
    if (p->next == ENDS_ANOTHER) df_kernel_done(p->before, &why);
    p->before = mine;
    df_kernel_done(mine, NULL);
    if (p->next == ENDS_TWICE) df_kernel_done(mine, &why);
    return DF_OK;
}

static const struct {
    df_op_def op;
    df_kernel_def kernel;
} kinds[] = {
    {{.signature = "Allocates(x: float32) : x"},
     {.op = "Allocates", .devices = "CPU,SIM", .compute = allocates}},
    {{.signature = "PassesOn(x: float32) : x", .infer = df_infer_same},
     {.op = "PassesOn", .devices = "*", .compute = passes_on, .flags = DF_KERNEL_INLINE}},
    {{.signature = "EndsLater(x: float32) : x"},
     {.op = "EndsLater",
      .devices = "CPU,SIM",
      .compute = ends_later,
      .flags = DF_KERNEL_ASYNC,
      .host_inputs = 1,
      .host_outputs = 1}},
};
enum { ALLOCATES, PASSES_ON, ENDS_LATER, KINDS };

/* The words of each deed, for each kind of kernel; NULL: the step succeeds. */
static const struct {
    df_code code;
    const char *parts[KINDS];
} ends[DEEDS] = {
#define ALL(WORDS)                                                                                 \
    { WORDS, WORDS, WORDS }
    [FAILS] = {DF_DATA_LOSS, ALL("the disk is gone")},
    [GIVES_NOTHING] = {DF_FAILED_PRECONDITION, ALL("gave no output 0")},
    [GIVES_NULL] = {DF_INVALID_ARGUMENT, {[PASSES_ON] = "NULL as output 0"}},
    [ANOTHER_DTYPE] = {DF_INVALID_ARGUMENT,
                       {[PASSES_ON] = "int32[4] as output 0, which is float32[4]"}},
    [ANOTHER_SHAPE] = {DF_INVALID_ARGUMENT,
                       {[PASSES_ON] = "float32[5] as output 0, which is float32[4]"}},
    [ANOTHER_OUTPUT] = {DF_OUT_OF_RANGE, ALL("no output 1 of 1")},
    [NO_PLACE] = {DF_INVALID_ARGUMENT, {[ALLOCATES] = "out is NULL", [ENDS_LATER] = "out is NULL"}},
};

static void run_deed(world *w, df_program *p, const char *parts, df_code code) {
    const float in[] = {1, 2, 3, 4};
    df_tensor *x = floats(w, 4, in), *y = NULL;
    df_error err = {.code = DF_OK};
    df_code is = df_program_run(p, DF_TENSORS(x), &y, NULL, &err);
    if (parts) {
        bad_says("a kernel", &err, code, parts);
        bad_says("a kernel", &err, code, "node bad (|) on /job:localhost/task:0/device:");
        assert_null(y);
    } else {
        if (is != DF_OK) fail_msg("%s", err.message);
        assert_memory_equal(df_tensor_data(y), in, sizeof in);
    }
    df_tensor_unref(x);
    df_tensor_unref(y);
}

static void a_kernel_that_does_what_it_must_not_fails_its_own_step_alone(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int kind = 0; kind < KINDS; kind++) {
            world w;
            plot p = {.next = GIVES_OUTPUT};
            bad_open(&w);
            df_kernel_def def = kinds[kind].kernel;
            def.user = &p;
            add_op(&w, kinds[kind].op);
            add_kernel(&w, def);
            w.g = df_graph_new(w.rt);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
            df_graph_on(w.g, devices[d]);
            df_graph_name(w.g, "bad");
            df_out y = bad_node(w.g, def.op, DF_OUTS(x), NULL, 0);
            w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
            run_deed(&w, w.p, NULL, DF_OK);
            for (int what = 0; what < DEEDS; what++) {
                p.next = (deed)what;
                run_deed(&w, w.p, ends[what].parts[kind], ends[what].code);
                p.next = GIVES_OUTPUT;
                run_deed(&w, w.p, NULL, DF_OK);
            }
            close_world(&w);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feeds_that_do_not_fit_are_named_and_the_program_goes_on),
        cmocka_unit_test(a_size_that_overflows_fails_the_step_by_name),
        cmocka_unit_test(a_variable_too_large_is_the_session_s_mistake),
        cmocka_unit_test(a_kernel_that_does_what_it_must_not_fails_its_own_step_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
