/* SPDX-License-Identifier: MIT
 *
 * Ops and kernels of a user's own, by the public headers alone, on cpu and sim.
 */
#include "unit/own_ops_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- a world ------------------------------------------------------------- */

static void open_world(world *w, int workers) {
    open_world_with(w, (df_runtime_options){.devices = "cpu:2,sim:1", .workers = workers});
}

static void compile(world *w, df_outs feeds, df_outs fetches) {
    w->p = compiled(w, feeds, fetches);
}

/* Runs with one feed and one fetch, and asserts what comes. */
static void gives(world *w, int64_t n_in, const float *in, int64_t n_out, const float *out) {
    df_tensor *x = floats(w, n_in, in), *y = NULL;
    if (df_program_run(w->p, DF_TENSORS(x), &y, NULL, &w->err) != DF_OK)
        fail_msg("%s", w->err.message);
    assert_int_equal(df_tensor_elements(y), n_out);
    assert_memory_equal(df_tensor_data(y), out, (size_t)n_out * sizeof *out);
    df_tensor_unref(x);
    df_tensor_unref(y);
}

static void fails(world *w, int64_t n_in, const float *in, df_code code, const char *words) {
    df_tensor *x = floats(w, n_in, in), *y = NULL;
    assert_int_equal(df_program_run(w->p, DF_TENSORS(x), &y, NULL, &w->err), code);
    if (!strstr(w->err.message, words)) fail_msg("\"%s\"", w->err.message);
    df_tensor_unref(x);
}

#define IN(...)                                                                                    \
    (sizeof((const float[]){__VA_ARGS__}) / sizeof(float)), (const float[]) {                      \
        __VA_ARGS__                                                                                \
    }
#define OUT(...) IN(__VA_ARGS__)

static const char *const devices[] = {"cpu:0", "cpu:1", "sim:0"};
enum { DEVICES = 3 };

/* ---- a plain kernel with an attr ----------------------------------------- */

enum { FACTOR = 0 };

static df_code scale(df_kernel *k, df_error *err) {
    const float *x = df_tensor_data(df_kernel_input(k, 0));
    float *y = df_tensor_data(df_kernel_output(k, 0)), f = (float)df_kernel_attr(k, FACTOR)->f;
    int64_t n = df_tensor_elements(df_kernel_input(k, 0));
    for (int64_t i = 0; i < n; i++) {
        if (x[i] < 0) return df_error_set(err, DF_OUT_OF_RANGE, "element %d is negative", (int)i);
        y[i] = f * x[i];
    }
    return DF_OK;
}

static void open_scale(world *w) {
    open_world(w, 0);
    add_op(w, (df_op_def){.signature = "Scale(x: float32) {factor: float = 2 in [0, 100]} : x",
                          .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){
                      .op = "Scale", .devices = "CPU,SIM", .compute = scale, .may_overwrite = 1});
    w->g = df_graph_new(w->rt);
}

static void a_kernel_runs_on_every_kind_that_it_was_registered_for(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_scale(&w);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
        df_graph_on(w.g, devices[d]);
        df_attr factor = df_attr_float("factor", 3);
        df_out y = node(&w, "Scale", DF_OUTS(x), &factor, 1);
        df_out z = node(&w, "Scale", DF_OUTS(y), NULL, 0); /* the default */
        compile(&w, DF_OUTS(x), DF_OUTS(z));
        gives(&w, IN(1, 2, 3), OUT(6, 12, 18));
        fails(&w, IN(1, -2), DF_OUT_OF_RANGE, "element 1 is negative");
        assert_non_null(strstr(w.err.message, "node Scale (Scale) on /job"));
        gives(&w, IN(1), OUT(6));
        close_world(&w);
    }
}

static void what_the_signature_does_not_allow_is_refused_when_the_node_is_added(void **state) {
    (void)state;
    static const struct {
        df_dtype dtype;
        df_attr attr;
        const char *words;
    } cases[] = {
        {DF_INT32,
         {.name = "factor", .type = DF_ATTR_FLOAT},
         "input 0 (x) is int32; it takes float32"},
        {DF_FLOAT32,
         {.name = "factor", .type = DF_ATTR_FLOAT, .f = 101},
         "attr factor is 101; it can be 0 to 100"},
        {DF_FLOAT32, {.name = "factor", .type = DF_ATTR_INT}, "of type float and was given as int"},
        {DF_FLOAT32, {.name = "other", .type = DF_ATTR_FLOAT}, "has no attr \"other\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        open_scale(&w);
        df_out x = df_placeholder(w.g, "x", cases[i].dtype, DF_SHAPE(2));
        df_graph_name(w.g, "y");
        (void)node(&w, "Scale", DF_OUTS(x), &cases[i].attr, 1);
        assert_int_not_equal(df_graph_error(w.g, &w.err), DF_OK);
        assert_non_null(strstr(w.err.message, "node y (Scale): "));
        if (!strstr(w.err.message, cases[i].words)) fail_msg("\"%s\"", w.err.message);
        close_world(&w);
    }
}

static void inputs_of_one_shape_say_together_what_it_is(void **state) {
    (void)state;
    df_error err;
    df_runtime *rt = NULL;
    const df_op_def all = {.struct_size = sizeof all,
                           .signature = "All(x: any...) : x, int8",
                           .infer = df_infer_equal};
    assert_int_equal(df_runtime_new(NULL, &rt, &err), DF_OK);
    assert_int_equal(df_op_register(rt, &all, &err), DF_OK);
    df_graph *g = df_graph_new(rt);
    df_out some = df_placeholder(g, "some", DF_FLOAT32, DF_SHAPE(2, -1)),
           any = df_placeholder(g, "any", DF_FLOAT32, DF_SHAPE_UNKNOWN),
           rest = df_placeholder(g, "rest", DF_FLOAT32, DF_SHAPE(-1, 3)),
           other = df_placeholder(g, "other", DF_FLOAT32, DF_SHAPE(2, 4));
    df_node *n = df_node_add(g, "All", (const df_out[]){any, some, rest}, 3, NULL, 0);
    for (int i = 0; i < 2; i++) {
        df_shape shape = df_out_shape(df_node_output(n, i));
        assert_int_equal(shape.rank, 2);
        assert_int_equal(shape.dims[0], 2);
        assert_int_equal(shape.dims[1], 3);
    }
    assert_int_equal(df_out_dtype(df_node_output(n, 1)), DF_INT8);
    (void)df_node_add(g, "All", (const df_out[]){any, some, rest, other}, 4, NULL, 0);
    assert_int_equal(df_graph_error(g, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "input 2 has shape [?,3] and input 3 [2,4]"));
    df_graph_free(g);
    df_runtime_free(rt);
}

static void a_text_that_cannot_be_read_leaves_time_to_register(void **state) {
    (void)state;
    df_error err;
    df_runtime *rt = NULL;
    df_graph *g = NULL;
    const df_op_def late = {.struct_size = sizeof late, .signature = "Late()"};
    const df_op_def later = {.struct_size = sizeof later, .signature = "Later()"};
    assert_int_equal(df_runtime_new(NULL, &rt, &err), DF_OK);
    assert_int_equal(df_graph_parse(rt, "x = Late()", 10, &g, &err), DF_NOT_FOUND);
    assert_int_equal(df_op_register(rt, &late, &err), DF_OK);
    assert_int_equal(df_graph_parse(rt, "x = Late()", 10, &g, &err), DF_OK);
    assert_int_equal(df_op_register(rt, &later, &err), DF_FAILED_PRECONDITION);
    df_graph_free(g);
    df_runtime_free(rt);
}

static void ops_come_before_graphs(void **state) {
    (void)state;
    world w;
    open_scale(&w);
    const df_op_def def = {.struct_size = sizeof def, .signature = "Late()"};
    assert_int_equal(df_op_register(w.rt, &def, &w.err), DF_FAILED_PRECONDITION);
    const df_op_def flags = {.struct_size = sizeof def, .signature = "Late()", .flags = 1u << 9};
    assert_int_equal(df_op_register(w.rt, &flags, &w.err), DF_INVALID_ARGUMENT);
    close_world(&w);
}

/* ---- an async kernel with host memory ------------------------------------ */

/* out[i] = x[i] + by, where `by` lies in host memory; ends on another thread. */
typedef struct job {
    df_kernel *k;
    df_kernel_handle done;
} job;

static void *finish(void *arg) {
    job j = *(job *)arg;
    free(arg);
    const float *x = df_tensor_data(df_kernel_input(j.k, 0));
    const float *by = df_tensor_data(df_kernel_input(j.k, 1));
    float *y = df_tensor_data(df_kernel_output(j.k, 0));
    int64_t times = df_kernel_attr(j.k, 0)->i;
    df_error why;
    bool bad = *by < 0;
    if (bad) (void)df_error_set(&why, DF_DATA_LOSS, "by is negative");
    for (int64_t i = 0; !bad && i < df_tensor_elements(df_kernel_input(j.k, 0)); i++)
        y[i] = x[i] + (float)times * *by;
    df_kernel_done(j.done, bad ? &why : NULL);
    return NULL;
}

static df_code add_later(df_kernel *k, df_error *err) {
    pthread_t thread;
    job *j = malloc(sizeof *j);
    assert_non_null(j);
    *j = (job){k, df_kernel_handle_of(k)};
    if (pthread_create(&thread, NULL, finish, j) != 0)
        return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no thread");
    (void)pthread_detach(thread);
    return DF_OK;
}

static void open_async(world *w, int workers) {
    open_world(w, workers);
    add_op(w, (df_op_def){.signature = "AddLater(x: real, by: x) {times: int = 1} : x",
                          .infer = df_infer_same});
    add_kernel(w, (df_kernel_def){.op = "AddLater",
                                  .devices = "CPU,SIM",
                                  .dtypes = "float32",
                                  .compute = add_later,
                                  .flags = DF_KERNEL_ASYNC,
                                  .host_inputs = 1u << 1});
    w->g = df_graph_new(w->rt);
}

static void an_async_kernel_reads_device_and_host_memory(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int workers = 0; workers < 3; workers++) {
            world w;
            open_async(&w, workers);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
            df_out by = df_const_float(w.g, DF_FLOAT32, 10);
            df_attr times = df_attr_int("times", 3);
            df_graph_on(w.g, devices[d]);
            df_out a = df_neg(w.g, x); /* computed there, so it lies in device memory */
            df_out b = node(&w, "AddLater", DF_OUTS(a, by), &times, 1);
            df_out y = df_neg(w.g, b);
            compile(&w, DF_OUTS(x), DF_OUTS(y));
            for (int i = 0; i < 20; i++) gives(&w, IN(1, 2, 3, 4), OUT(-29, -28, -27, -26));
            close_world(&w);
        }
}

static void an_async_kernel_that_fails_fails_its_step_alone(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_async(&w, 2);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
        df_graph_on(w.g, devices[d]);
        df_out y = df_neg(w.g, node(&w, "AddLater", DF_OUTS(x, x), NULL, 0));
        compile(&w, DF_OUTS(x), DF_OUTS(y));
        for (int i = 0; i < 5; i++) {
            fails(&w, IN(-1), DF_DATA_LOSS, "node AddLater (AddLater) on /job");
            gives(&w, IN(2), OUT(-4));
        }
        close_world(&w);
    }
}

static void a_failed_step_ends_though_an_async_kernel_was_still_to_start(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Scale(x: float32) {factor: float = 2} : x",
                           .infer = df_infer_same});
    add_op(&w, (df_op_def){.signature = "AddLater(x: real, by: x) {times: int = 1} : x",
                           .infer = df_infer_same});
    add_kernel(&w, (df_kernel_def){.op = "Scale", .devices = "SIM", .compute = scale});
    add_kernel(&w, (df_kernel_def){.op = "AddLater",
                                   .devices = "SIM",
                                   .compute = add_later,
                                   .flags = DF_KERNEL_ASYNC});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_graph_on(w.g, "sim:0");
    df_out a = node(&w, "Scale", DF_OUTS(x), NULL, 0);
    df_out y = node(&w, "AddLater", DF_OUTS(a, a), NULL, 0);
    compile(&w, DF_OUTS(x), DF_OUTS(y));
    for (int i = 0; i < 20; i++) {
        fails(&w, IN(-1), DF_OUT_OF_RANGE, "is negative");
        gives(&w, IN(1), OUT(4));
    }
    close_world(&w);
}

/* ---- shapes that only the kernel knows ----------------------------------- */

/* The elements above the limit: how many is known when they have been seen. */
static df_code above(df_kernel *k, df_error *err) {
    const float *x = df_tensor_data(df_kernel_input(k, 0));
    float limit = (float)df_kernel_attr(k, 0)->f;
    int64_t n = df_tensor_elements(df_kernel_input(k, 0)), found = 0;
    df_tensor *y = NULL;
    if (limit == 99) return DF_OK; /* gives nothing */
    assert_null(df_kernel_output(k, 0));
    for (int64_t i = 0; i < n; i++) found += x[i] > limit;
    df_code code = df_kernel_allocate(k, 0, DF_SHAPE(found), &y, err);
    if (code != DF_OK) return code;
    assert_ptr_equal(df_kernel_output(k, 0), y);
    assert_int_equal(df_kernel_allocate(k, 0, DF_SHAPE(found + 1), &y, NULL), DF_INVALID_ARGUMENT);
    assert_int_equal(df_kernel_allocate(k, 0, DF_SHAPE(-1), &y, NULL), DF_INVALID_ARGUMENT);
    assert_int_equal(df_kernel_allocate(k, 1, DF_SHAPE(1), &y, NULL), DF_OUT_OF_RANGE);
    float *to = df_tensor_data(y);
    for (int64_t i = 0; i < n; i++)
        if (x[i] > limit) *to++ = x[i];
    return DF_OK;
}

static void an_op_without_infer_has_shapes_that_its_kernel_finds(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int host = 0; host < 2; host++) {
            world w;
            open_world(&w, d);
            add_op(&w, (df_op_def){.signature = "Above(x: float32) {limit: float} : x"});
            add_kernel(&w, (df_kernel_def){.op = "Above",
                                           .devices = "CPU,SIM",
                                           .compute = above,
                                           .host_outputs = (uint32_t)host});
            w.g = df_graph_new(w.rt);
            df_attr limit = df_attr_float("limit", 2), none = df_attr_float("limit", 99);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
            df_graph_on(w.g, devices[d]);
            df_out some = node(&w, "Above", DF_OUTS(df_neg(w.g, df_neg(w.g, x))), &limit, 1);
            assert_int_equal(df_out_shape(some).rank, -1);
            assert_int_equal(df_out_dtype(some), DF_FLOAT32);
            df_out y = df_neg(w.g, df_neg(w.g, some));
            df_out nothing = node(&w, "Above", DF_OUTS(x), &none, 1);
            compile(&w, DF_OUTS(x), DF_OUTS(y));
            for (int i = 0; i < 10; i++) {
                gives(&w, IN(1, 3, 2, 5), OUT(3, 5));
                gives(&w, IN(7), OUT(7));
                gives(&w, IN(1, 2), 0, (const float[]){0});
            }
            df_program_free(w.p);
            compile(&w, DF_OUTS(x), DF_OUTS(nothing));
            fails(&w, IN(1), DF_FAILED_PRECONDITION, "its kernel gave no output 0");
            close_world(&w);
        }
}

/* ---- state, user pointers, inline ---------------------------------------- */

typedef struct counters {
    _Atomic int opened, closed;
} counters;

static df_code open_count(df_kernel *k, void **state, df_error *err) {
    counters *c = df_kernel_user(k);
    assert_int_equal(df_kernel_inputs(k), 0);
    if (df_kernel_attr(k, 0)->i < 0)
        return df_error_set(err, DF_UNAVAILABLE, "%s cannot begin below 0", df_kernel_node(k));
    int64_t *count = test_malloc(sizeof *count);
    *count = df_kernel_attr(k, 0)->i;
    atomic_fetch_add(&c->opened, 1);
    *state = count;
    return DF_OK;
}

static void close_count(void *user, void *state) {
    counters *c = user;
    atomic_fetch_add(&c->closed, 1);
    test_free(state);
}

/* How often this node has run, from `first` on: touches no element, so it runs at once. */
static df_code count(df_kernel *k, df_error *err) {
    int64_t *n = df_kernel_state(k);
    df_tensor *t = NULL;
    float value = (float)(*n)++;
    df_code code = df_tensor_from(NULL, DF_FLOAT32, DF_SCALAR, &value, &t, err);
    return code == DF_OK ? df_kernel_set_output(k, 0, t, err) : code;
}

static df_code infer_scalar(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, DF_SCALAR, err);
}

static void a_node_has_a_state_as_long_as_its_program(void **state) {
    (void)state;
    world w;
    counters c = {0};
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Count() {first: int = 0} : float32",
                           .infer = infer_scalar,
                           .flags = DF_OP_STATEFUL});
    add_kernel(&w, (df_kernel_def){.op = "Count",
                                   .devices = "*",
                                   .compute = count,
                                   .flags = DF_KERNEL_INLINE | DF_KERNEL_CHEAP,
                                   .host_outputs = 1,
                                   .user = &c,
                                   .open = open_count,
                                   .close = close_count});
    w.g = df_graph_new(w.rt);
    df_attr first = df_attr_int("first", 5), bad = df_attr_int("first", -1);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_out a = node(&w, "Count", DF_NO_OUTS, NULL, 0);
    df_graph_on(w.g, "sim:0");
    df_out b = node(&w, "Count", DF_NO_OUTS, &first, 1);
    df_out wrong = node(&w, "Count", DF_NO_OUTS, &bad, 1);
    df_graph_on(w.g, "cpu:0");
    df_out y = df_add(w.g, df_mul(w.g, a, x), b);
    compile(&w, DF_OUTS(x), DF_OUTS(y));
    assert_int_equal(c.opened, 2);
    gives(&w, IN(100), OUT(5));
    gives(&w, IN(100), OUT(106));
    df_program_free(w.p);
    assert_int_equal(c.closed, 2);
    w.p = NULL;
    compile(&w, DF_OUTS(x), DF_OUTS(y)); /* begins anew */
    gives(&w, IN(100), OUT(5));
    df_program *p = NULL;
    assert_int_equal(df_session_compile(w.s, DF_NO_OUTS, DF_OUTS(a, b, wrong), NULL, &p, &w.err),
                     DF_UNAVAILABLE);
    assert_non_null(strstr(w.err.message, "node Count_2 (Count): Count_2 cannot begin below 0"));
    df_program_free(w.p);
    w.p = NULL;
    assert_int_equal(c.opened, c.closed);
    close_world(&w);
}

static df_code give_wrongly(df_kernel *k, df_error *err) {
    df_tensor *t = NULL;
    int64_t how = df_kernel_attr(k, 0)->i, value = 0;
    if (how == 0) return df_kernel_set_output(k, 0, NULL, err);
    df_code code = df_tensor_from(NULL, how == 1 ? DF_INT64 : DF_FLOAT32,
                                  how == 2 ? DF_SHAPE(2) : DF_SCALAR, &value, &t, err);
    return code == DF_OK ? df_kernel_set_output(k, how == 3, t, err) : code;
}

static void an_output_that_is_not_what_was_inferred_is_refused(void **state) {
    (void)state;
    static const char *const words[] = {
        "gives NULL", "gives int64[] as output 0, which is float32[]",
        "gives float32[2] as output 0", "no output 1 of 1", "gives output 0 in host memory"};
    for (int how = 0; how < 5; how++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Wrong() {how: int} : float32", .infer = infer_scalar});
        add_kernel(&w, (df_kernel_def){.op = "Wrong",
                                       .devices = "*",
                                       .compute = give_wrongly,
                                       .flags = DF_KERNEL_INLINE});
        w.g = df_graph_new(w.rt);
        df_attr attr = df_attr_int("how", how);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
        df_graph_on(w.g, how == 4 ? "sim:0" : "cpu:0");
        df_out y = df_add(w.g, x, node(&w, "Wrong", DF_NO_OUTS, &attr, 1));
        compile(&w, DF_OUTS(x), DF_OUTS(y));
        fails(&w, IN(1), how == 3 ? DF_OUT_OF_RANGE : DF_INVALID_ARGUMENT, words[how]);
        close_world(&w);
    }
}

/* ---- many outputs -------------------------------------------------------- */

/* Output i has i + 1 copies of the scalar x. */
static df_code infer_stairs(df_infer *c, df_error *err) {
    df_code code = DF_OK;
    for (int i = 0; code == DF_OK && i < df_infer_outputs(c); i++)
        code = df_infer_set(c, i, DF_SHAPE(i + 1), err);
    return code;
}

static df_code stairs(df_kernel *k, df_error *err) {
    (void)err;
    float x = *(const float *)df_tensor_data(df_kernel_input(k, 0));
    for (int o = 0; o < df_kernel_outputs(k); o++)
        for (int i = 0; i <= o; i++) ((float *)df_tensor_data(df_kernel_output(k, o)))[i] = x;
    return DF_OK;
}

static void an_attr_says_how_many_outputs_a_node_has(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Stairs(x: float32) {n: int in [1, 64]} : x * n",
                               .infer = infer_stairs});
        add_kernel(&w, (df_kernel_def){.op = "Stairs", .devices = "CPU,SIM", .compute = stairs});
        w.g = df_graph_new(w.rt);
        df_attr n = df_attr_int("n", 64);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
        df_graph_on(w.g, devices[d]);
        df_node *s = df_node_add(w.g, "Stairs", &x, 1, &n, 1);
        assert_int_equal(df_node_outputs(s), 64);
        df_out sum = df_node_output(s, 0);
        for (int i = 1; i < 64; i += 9)
            sum = df_add(w.g, df_node_output(s, i), df_sum(w.g, sum, NULL, 0, true));
        df_out y = df_sum(w.g, sum, NULL, 0, true);
        compile(&w, DF_OUTS(x), DF_OUTS(y));
        float want = 1; /* each sum is added to each copy of x, and summed again */
        for (int i = 1; i < 64; i += 9) want = (float)(i + 1) * (1 + want);
        gives(&w, IN(1), 1, &want);
        close_world(&w);
    }
}

/* ---- variables ----------------------------------------------------------- */

/* variable := decay * variable + x, as an op of its own. */
static df_code average(df_kernel *k, df_error *err) {
    (void)err;
    const float *v = df_tensor_data(df_kernel_input(k, 0));
    const float *x = df_tensor_data(df_kernel_input(k, 1));
    float *out = df_tensor_data(df_kernel_output(k, 0)), decay = (float)df_kernel_attr(k, 0)->f;
    for (int64_t i = 0; i < df_tensor_elements(df_kernel_input(k, 0)); i++)
        out[i] = decay * v[i] + x[i];
    return DF_OK;
}

static void an_own_op_reads_and_writes_a_variable(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Average(variable: real, x: variable) "
                                            "{decay: float in [0, 1]} : variable",
                               .infer = df_infer_same,
                               .flags = DF_OP_WRITES | DF_OP_STATEFUL});
        add_kernel(&w, (df_kernel_def){.op = "Average",
                                       .devices = "CPU,SIM",
                                       .dtypes = "float32",
                                       .compute = average});
        w.g = df_graph_new(w.rt);
        df_attr decay = df_attr_float("decay", 0.5);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(2));
        df_graph_on(w.g, devices[d]);
        df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(2));
        df_graph_on(w.g, "");
        df_out y = node(&w, "Average", DF_OUTS(v, x), &decay, 1); /* goes where v is */
        compile(&w, DF_OUTS(x), DF_OUTS(y));
        gives(&w, IN(8, 16), OUT(8, 16));
        gives(&w, IN(0, 4), OUT(4, 12));
        df_program_free(w.p);
        compile(&w, DF_OUTS(x), DF_OUTS(v));
        gives(&w, IN(0, 0), OUT(4, 12));
        close_world(&w);
    }
}

static void an_op_that_writes_takes_a_variable_only(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Average(variable: real, x: variable) : variable",
                           .infer = df_infer_same,
                           .flags = DF_OP_WRITES});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(2));
    (void)node(&w, "Average", DF_OUTS(x, x), NULL, 0);
    assert_int_equal(df_graph_error(w.g, &w.err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(w.err.message, "input 0 must be a variable, and x is a Placeholder"));
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_runs_on_every_kind_that_it_was_registered_for),
        cmocka_unit_test(what_the_signature_does_not_allow_is_refused_when_the_node_is_added),
        cmocka_unit_test(a_text_that_cannot_be_read_leaves_time_to_register),
        cmocka_unit_test(inputs_of_one_shape_say_together_what_it_is),
        cmocka_unit_test(ops_come_before_graphs),
        cmocka_unit_test(an_async_kernel_reads_device_and_host_memory),
        cmocka_unit_test(an_async_kernel_that_fails_fails_its_step_alone),
        cmocka_unit_test(a_failed_step_ends_though_an_async_kernel_was_still_to_start),
        cmocka_unit_test(an_op_without_infer_has_shapes_that_its_kernel_finds),
        cmocka_unit_test(a_node_has_a_state_as_long_as_its_program),
        cmocka_unit_test(an_output_that_is_not_what_was_inferred_is_refused),
        cmocka_unit_test(an_attr_says_how_many_outputs_a_node_has),
        cmocka_unit_test(an_own_op_reads_and_writes_a_variable),
        cmocka_unit_test(an_op_that_writes_takes_a_variable_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
