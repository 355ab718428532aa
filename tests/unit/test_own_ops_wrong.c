/* SPDX-License-Identifier: MIT
 *
 * Own ops and kernels that are wrong, or at the edge of what is allowed: each gets an error with
 * words, on every kind of device, and does no harm.
 */
#include "unit/own_ops_world.h"

#include <dataflow/sim.h>

#include <stdlib.h>
#include <unistd.h>

/* ---- a world ------------------------------------------------------------- */

static void open_world(world *w, size_t device_memory) {
    open_world_with(w,
                    (df_runtime_options){.devices = "cpu:1,sim:2", .device_memory = device_memory});
}

/* One feed 0, 1, 2, ... of n, one fetch: the sum of what comes. */
static df_code run(world *w, df_program *p, int n, float *sum) {
    float values[1000];
    assert_true(n <= 1000);
    for (int i = 0; i < n; i++) values[i] = (float)i;
    df_tensor *x = floats(w, n, values), *y = NULL;
    memset(&w->err, 0, sizeof w->err);
    df_code code = df_program_run(p, DF_TENSORS(x), &y, NULL, &w->err);
    if (code == DF_OK && sum) {
        *sum = 0;
        for (int64_t i = 0; i < df_tensor_elements(y); i++) *sum += ((float *)df_tensor_data(y))[i];
    }
    df_tensor_unref(x);
    df_tensor_unref(y);
    return code;
}

static void gives(world *w, df_program *p, int n, float want) {
    float sum = 0;
    if (run(w, p, n, &sum) != DF_OK) fail_msg("%s", w->err.message);
    if (sum != want) fail_msg("%g, not %g", (double)sum, (double)want);
}

static void fails(world *w, df_program *p, int n, df_code code, const char *words) {
    assert_int_equal(run(w, p, n, NULL), code);
    assert_int_equal(w->err.code, code);
    if (!strstr(w->err.message, words)) fail_msg("\"%s\"", w->err.message);
}

static const char *const devices[] = {"cpu:0", "sim:0"};
enum { DEVICES = 2 };

/* y = x + 1 */
static df_code add_one(df_kernel *k, df_error *err) {
    (void)err;
    const float *x = df_tensor_data(df_kernel_input(k, 0));
    float *y = df_tensor_data(df_kernel_output(k, 0));
    int64_t n = df_tensor_elements(df_kernel_input(k, 0));
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + 1;
    return DF_OK;
}

/* ---- errors without words ------------------------------------------------ */

static df_code refuse_silently(df_infer *c, df_error *err) {
    df_shape s = df_infer_shape(c, 0);
    if (s.rank == 1 && s.dims[0] == 4) return DF_OUT_OF_RANGE;
    return df_infer_set(c, 0, s, err);
}

static df_code fail_silently(df_kernel *k, df_error *err) {
    (void)err;
    return df_tensor_elements(df_kernel_input(k, 0)) == 5 ? DF_DATA_LOSS : add_one(k, err);
}

static void a_function_that_fails_without_words_fails_all_the_same(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Mute(x: float32) : x", .infer = refuse_silently});
        add_kernel(&w,
                   (df_kernel_def){.op = "Mute", .devices = "CPU,SIM", .compute = fail_silently});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
        df_graph_on(w.g, devices[d]);
        df_out y = node(&w, "Mute", DF_OUTS(x), NULL, 0);
        df_program *p = compiled(&w, DF_OUTS(x), DF_OUTS(y)), *q = NULL;
        gives(&w, p, 3, 6);
        fails(&w, p, 4, DF_OUT_OF_RANGE, "infer");  /* when a step runs */
        fails(&w, p, 5, DF_DATA_LOSS, "DATA_LOSS"); /* the kernel */
        df_program_free(p);
        df_shape promised = DF_SHAPE(4);
        const df_compile_options o = {.struct_size = sizeof o, .feed_shapes = &promised};
        memset(&w.err, 0, sizeof w.err);
        assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y), &o, &q, &w.err),
                         DF_OUT_OF_RANGE); /* when it is compiled */
        assert_non_null(strstr(w.err.message, "node Mute (Mute): "));
        df_graph *g = df_graph_new(w.rt);
        x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(4));
        assert_null(df_node_add(g, "Mute", &x, 1, NULL, 0));
        assert_int_equal(df_graph_error(g, &w.err), DF_OUT_OF_RANGE); /* when it is added */
        df_graph_free(g);
        close_world(&w);
    }
}

/* ---- shapes -------------------------------------------------------------- */

static df_code infer_rank_only(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, DF_SHAPE(-1), err);
}

static df_code allocate_one(df_kernel *k, df_error *err) {
    df_tensor *y = df_kernel_output(k, 0), *x = df_kernel_input(k, df_kernel_inputs(k) - 1);
    df_code code = DF_OK;
    if (!y) code = df_kernel_allocate(k, 0, df_tensor_shape(x), &y, err);
    for (int64_t i = 0; code == DF_OK && i < df_tensor_elements(x); i++)
        ((float *)df_tensor_data(y))[i] = ((float *)df_tensor_data(x))[i] + 1;
    return code;
}

static df_code allocate_one_later(df_kernel *k, df_error *err) {
    df_kernel_handle done = df_kernel_handle_of(k);
    df_code code = allocate_one(k, err);
    if (code == DF_OK) df_kernel_done(done, NULL);
    return code;
}

/* On an accelerator an infer function must find the shape, unless the kernel is async. */
static void a_shape_that_infer_leaves_open_is_refused_where_it_is_needed(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int kind = 0; kind < 4; kind++) {
            bool writes = kind & 1, async = kind & 2;
            world w;
            open_world(&w, 0);
            add_op(&w, (df_op_def){.signature = writes ? "Open(v: float32, x: v) : v"
                                                       : "Open(x: float32) : x",
                                   .infer = infer_rank_only,
                                   .flags = writes ? DF_OP_WRITES : 0});
            add_kernel(&w, (df_kernel_def){.op = "Open",
                                           .devices = "CPU,SIM",
                                           .compute = async ? allocate_one_later : allocate_one,
                                           .flags = async ? DF_KERNEL_ASYNC : 0});
            w.g = df_graph_new(w.rt);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(3));
            df_graph_on(w.g, devices[d]);
            df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(3));
            df_out y = node(&w, "Open", writes ? DF_OUTS(v, x) : DF_OUTS(x), NULL, 0);
            df_out z = df_neg(w.g, y);
            w.p = compiled(&w, DF_OUTS(x), DF_OUTS(z));
            for (int i = 0; i < 5; i++)
                if (d == 0 || async)
                    gives(&w, w.p, 3, -6);
                else
                    fails(&w, w.p, 3, DF_FAILED_PRECONDITION,
                          "node Open (Open) on /job:localhost/task:0/device:SIM:0: its infer "
                          "function does not find the shape of output 0");
            close_world(&w);
        }
}

/* [3] while the input is unknown, then a hundred times as much as that is. */
static df_code infer_at_odds(df_infer *c, df_error *err) {
    int64_t n = df_infer_shape(c, 0).rank == 1 ? df_infer_shape(c, 0).dims[0] : -1;
    return df_infer_set(c, 0, DF_SHAPE(n < 0 ? 3 : n == 3 ? 3 : 100 * n), err);
}

static df_code fill_zeros(df_kernel *k, df_error *err) {
    (void)err;
    memset(df_tensor_data(df_kernel_output(k, 0)), 0, df_tensor_bytes(df_kernel_output(k, 0)));
    return DF_OK;
}

static void an_infer_function_that_contradicts_itself_is_caught(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Odd(x: float32) : x", .infer = infer_at_odds});
        add_op(&w, (df_op_def){.signature = "AddOne(x: float32) : x", .infer = df_infer_same});
        add_kernel(&w, (df_kernel_def){.op = "Odd", .devices = "CPU,SIM", .compute = fill_zeros});
        add_kernel(&w, (df_kernel_def){.op = "AddOne", .devices = "CPU,SIM", .compute = add_one});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
        df_graph_on(w.g, devices[d]);
        df_out y = node(&w, "AddOne", DF_OUTS(node(&w, "Odd", DF_OUTS(x), NULL, 0)), NULL, 0);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
        gives(&w, w.p, 3, 3);
        fails(&w, w.p, 4, DF_INVALID_ARGUMENT, "says that output 0 is [400], and said [3]");
        gives(&w, w.p, 3, 3);
        close_world(&w);
    }
}

/* ---- what a kernel may do with its inputs --------------------------------- */

static df_program *inner;

/* out = what `inner` gives for x; and x is passed around. */
static df_code run_inner(df_kernel *k, df_error *err) {
    df_tensor *x = df_tensor_ref(df_kernel_input(k, 0)), *y = NULL;
    df_code code = df_program_run(inner, DF_TENSORS(x), &y, NULL, err);
    if (code == DF_OK)
        memcpy(df_tensor_data(df_kernel_output(k, 0)), df_tensor_data(y), df_tensor_bytes(y));
    df_tensor_unref(y);
    df_tensor_unref(x);
    return code;
}

/* The inner program computes in place where it can, and keeps what it was fed. */
static void a_kernel_may_feed_its_inputs_to_a_program(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int keeps = 0; keeps < 2; keeps++) {
            world w;
            open_world(&w, 0);
            add_op(&w, (df_op_def){.signature = "Run(x: float32) : x", .infer = df_infer_same});
            add_kernel(&w,
                       (df_kernel_def){.op = "Run", .devices = "CPU,SIM", .compute = run_inner});
            w.g = df_graph_new(w.rt);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
            df_graph_on(w.g, "cpu:0");
            df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(100));
            df_out small = df_neg(w.g, x), kept = df_assign(w.g, v, x);
            df_graph_on(w.g, devices[d]);
            df_out a = df_neg(w.g, x), b = node(&w, "Run", DF_OUTS(a), NULL, 0);
            df_out y = df_add(w.g, a, b);
            w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
            inner = compiled(&w, DF_OUTS(x), DF_OUTS(keeps ? kept : small));
            df_program *read = compiled(&w, DF_NO_OUTS, DF_OUTS(v));
            for (int i = 0; i < 4; i++) {
                if (keeps && d == 1) {
                    fails(&w, w.p, 100, DF_FAILED_PRECONDITION, "has variables");
                    continue;
                }
                gives(&w, w.p, 100, keeps ? -9900 : 0);
                if (!keeps) gives(&w, w.p, 5, 0);
                df_tensor *t = NULL;
                assert_int_equal(df_program_run(read, DF_NO_TENSORS, &t, NULL, &w.err), DF_OK);
                assert_true(((float *)df_tensor_data(t))[99] == (keeps ? -99.0F : 0.0F));
                df_tensor_unref(t);
            }
            df_program_free(inner);
            df_program_free(read);
            close_world(&w);
        }
}

/* On its own device, and on another, which may wait for the one that the kernel holds up. */
static void a_kernel_on_a_queue_cannot_run_what_waits_for_a_queue(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Run(x: float32) : x", .infer = df_infer_same});
        add_kernel(&w, (df_kernel_def){.op = "Run", .devices = "CPU,SIM", .compute = run_inner});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
        df_graph_on(w.g, i ? "sim:1" : "sim:0");
        df_out there = df_neg(w.g, x);
        df_graph_on(w.g, "cpu:0");
        df_out on_cpu = node(&w, "Run", DF_OUTS(x), NULL, 0);
        df_graph_on(w.g, "sim:0");
        df_out y = node(&w, "Run", DF_OUTS(x), NULL, 0);
        df_graph_on(w.g, "sim:1");
        y = df_neg(w.g, y);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
        inner = compiled(&w, DF_OUTS(x), DF_OUTS(there));
        df_program *q = compiled(&w, DF_OUTS(x), DF_OUTS(on_cpu));
        (void)alarm(20);
        fails(&w, w.p, 4, DF_FAILED_PRECONDITION, "on the thread of /job:localhost/task:0/device");
        gives(&w, q, 4, -6);
        (void)alarm(0);
        df_program_free(q);
        df_program_free(inner);
        close_world(&w);
    }
}

/* To the device whose thread it is, or of what lies there. */
typedef struct copying {
    df_device *to;
    df_tensor *there;
} copying;

static df_code copy_inside(df_kernel *k, df_error *err) {
    const copying *c = df_kernel_user(k);
    df_tensor *out = NULL;
    return df_device_copy(c->to, c->there, &out, err);
}

static void a_kernel_on_a_queue_cannot_wait_for_a_copy(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        world w;
        copying c;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Copy(x: float32) : x", .infer = df_infer_same});
        add_kernel(&w, (df_kernel_def){
                           .op = "Copy", .devices = "SIM", .compute = copy_inside, .user = &c});
        c.to = df_runtime_device(w.rt, i);
        df_tensor *t = floats(&w, 4, (float[]){1, 2, 3, 4});
        assert_int_equal(df_device_copy(df_runtime_device(w.rt, 1), t, &c.there, NULL), DF_OK);
        df_tensor_unref(t);
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
        df_graph_on(w.g, "sim:0");
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, "Copy", DF_OUTS(x), NULL, 0)));
        fails(&w, w.p, 4, DF_FAILED_PRECONDITION, "a thread of /job:localhost/task:0/device:SIM:0");
        df_tensor_unref(c.there);
        close_world(&w);
    }
}

/* ---- memory that is another device's -------------------------------------- */

static df_tensor *elsewhere;

/* Keeps its input, or gives what was kept, wherever that lies. */
static df_code keep_or_give(df_kernel *k, df_error *err) {
    bool keeps = df_kernel_attr(k, 0)->i;
    df_tensor *t = keeps ? df_kernel_input(k, 0) : elsewhere;
    if (keeps) elsewhere = df_tensor_ref(t);
    return df_kernel_set_output(k, 0, df_tensor_ref(t), err);
}

static df_code add_one_later(df_kernel *k, df_error *err) {
    df_kernel_handle done = df_kernel_handle_of(k);
    df_code code = add_one(k, err);
    if (code == DF_OK) df_kernel_done(done, NULL);
    return code;
}

static void a_kernel_whose_tensors_are_another_devices_fails_and_is_not_waited_for(void **state) {
    (void)state;
    for (int async = 0; async < 2; async++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Keep(x: float32) {keep: bool} : x",
                               .infer = df_infer_same});
        add_op(&w, (df_op_def){.signature = "AddOne(x: float32) : x", .infer = df_infer_same});
        add_kernel(&w, (df_kernel_def){.op = "Keep",
                                       .devices = "*",
                                       .compute = keep_or_give,
                                       .flags = DF_KERNEL_INLINE});
        add_kernel(&w, (df_kernel_def){.op = "AddOne",
                                       .devices = "SIM",
                                       .compute = async ? add_one_later : add_one,
                                       .flags = async ? DF_KERNEL_ASYNC : 0});
        w.g = df_graph_new(w.rt);
        df_attr yes = df_attr_bool("keep", true), no = df_attr_bool("keep", false);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
        df_graph_on(w.g, "sim:0");
        df_out a = node(&w, "Keep", DF_OUTS(df_neg(w.g, x)), &yes, 1);
        df_graph_on(w.g, "sim:1");
        df_out b = node(&w, "Keep", DF_OUTS(df_neg(w.g, a)), &no, 1);
        df_out y = node(&w, "AddOne", DF_OUTS(b), NULL, 0);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
        (void)alarm(20);
        fails(&w, w.p, 4, DF_INTERNAL, "is in no block of its memory");
        (void)alarm(0);
        df_tensor_unref(elsewhere);
        close_world(&w);
    }
}

/* ---- outputs that nobody reads --------------------------------------------- */

static df_code infer_beside(df_infer *c, df_error *err) {
    df_code code = df_infer_set(c, 0, df_infer_shape(c, 0), err);
    return code == DF_OK ? df_infer_set(c, 1, DF_SHAPE(10 << 20), err) : code;
}

/* Two programs, each with 40 MiB that nobody reads, and 64 MiB for both. */
static void an_output_that_nobody_reads_is_given_back_when_its_kernel_ends(void **state) {
    (void)state;
    for (int async = 0; async < 2; async++) {
        world w;
        open_world(&w, 64 << 20);
        add_op(&w, (df_op_def){.signature = "Beside(x: float32) : x, x", .infer = infer_beside});
        add_kernel(&w, (df_kernel_def){.op = "Beside",
                                       .devices = "SIM",
                                       .compute = async ? add_one_later : add_one,
                                       .flags = async ? DF_KERNEL_ASYNC : 0});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
        df_graph_on(w.g, "sim:0");
        df_out a = node(&w, "Beside", DF_OUTS(x), NULL, 0);
        df_out b = node(&w, "Beside", DF_OUTS(x), NULL, 0);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(a));
        df_program *q = compiled(&w, DF_OUTS(x), DF_OUTS(b));
        for (int i = 0; i < 3; i++) {
            gives(&w, w.p, 3, 6);
            gives(&w, q, 3, 6);
        }
        df_program_free(q);
        close_world(&w);
    }
}

/* ---- a variable that is given the caller's memory -------------------------- */

static df_code pass_on(df_kernel *k, df_error *err) {
    return df_kernel_set_output(k, 0, df_tensor_ref(df_kernel_input(k, 1)), err);
}

static void a_variable_does_not_keep_memory_that_was_lent_for_a_run(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Put(v: float32, x: v) : v",
                           .infer = df_infer_same,
                           .flags = DF_OP_WRITES | DF_OP_STATEFUL});
    add_kernel(&w, (df_kernel_def){
                       .op = "Put", .devices = "*", .compute = pass_on, .flags = DF_KERNEL_INLINE});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(100));
    df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(100));
    df_out y = node(&w, "Put", DF_OUTS(v, x), NULL, 0);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
    df_program *read = compiled(&w, DF_NO_OUTS, DF_OUTS(v));
    float *lent = test_malloc(100 * sizeof *lent);
    for (int i = 0; i < 100; i++) lent[i] = (float)i;
    df_tensor *t = NULL, *result = NULL;
    assert_int_equal(df_tensor_wrap(NULL, DF_FLOAT32, DF_SHAPE(100), lent, NULL, NULL, &t, NULL),
                     DF_OK);
    assert_int_equal(df_program_run(w.p, DF_TENSORS(t), &result, NULL, &w.err), DF_OK);
    df_tensor_unref(result);
    df_tensor_unref(t);
    test_free(lent);
    assert_int_equal(df_program_run(read, DF_NO_TENSORS, &result, NULL, &w.err), DF_OK);
    assert_true(((float *)df_tensor_data(result))[99] == 99.0F);
    df_tensor_unref(result);
    df_program_free(read);
    close_world(&w);
}

/* ---- what only some kernels may do ---------------------------------------- */

static df_code give_sevens(df_kernel *k, df_error *err) {
    df_kernel_handle done = df_kernel_handle_of(k);
    const float sevens[] = {7, 7, 7, 7};
    df_tensor *t = NULL;
    df_code code = df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(4), sevens, &t, err);
    if (code == DF_OK) code = df_kernel_set_output(k, 0, t, err);
    if (code == DF_OK) df_kernel_done(done, NULL);
    return code;
}

static df_code open_and_ask(df_kernel *k, void **state, df_error *err) {
    df_tensor *t = NULL;
    *state = df_kernel_handle_of(k).op;
    assert_null(*state);
    assert_int_not_equal(df_kernel_allocate(k, 0, DF_SCALAR, &t, err), DF_OK);
    assert_int_not_equal(df_kernel_set_output(k, 0, NULL, err), DF_OK);
    return DF_OK;
}

static void an_output_is_set_by_a_kernel_that_may_or_refused(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int async = 0; async < 2; async++) {
            world w;
            open_world(&w, 0);
            add_op(&w, (df_op_def){.signature = "Give(x: float32) : x", .infer = df_infer_same});
            add_kernel(&w, (df_kernel_def){.op = "Give",
                                           .devices = "CPU,SIM",
                                           .compute = give_sevens,
                                           .flags = async ? DF_KERNEL_ASYNC : 0,
                                           .open = open_and_ask});
            w.g = df_graph_new(w.rt);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
            df_graph_on(w.g, devices[d]);
            df_out y = node(&w, "Give", DF_OUTS(x), NULL, 0);
            w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
            if (async && d == 0)
                gives(&w, w.p, 4, 28);
            else
                fails(&w, w.p, 4, DF_FAILED_PRECONDITION, "the kernel gives output 0 itself");
            close_world(&w);
        }
}

static void what_would_be_misread_is_refused_when_it_is_registered(void **state) {
    (void)state;
    static const struct {
        df_kernel_def def;
        const char *words;
    } cases[] = {
        {{.op = "Old", .devices = "CPU", .flags = 1u << 20}, "flags has bits that mean nothing"},
        {{.op = "Variable", .devices = "CPU"}, "is only passed on"},
        {{.op = "Const", .devices = "SIM"}, "is only passed on"}};
    world w;
    open_world(&w, 0);
    /* The struct of a time when it had two members. */
    struct {
        size_t struct_size;
        const char *signature;
    } old = {sizeof old, "Old(x: float32) : x"}, *copy = test_malloc(sizeof old);
    *copy = old;
    assert_int_equal(df_op_register(w.rt, (const df_op_def *)(const void *)copy, &w.err), DF_OK);
    test_free(copy);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        df_kernel_def def = cases[i].def;
        def.struct_size = sizeof def;
        def.compute = add_one;
        assert_int_equal(df_kernel_register(w.rt, &def, &w.err), DF_INVALID_ARGUMENT);
        if (!strstr(w.err.message, cases[i].words)) fail_msg("\"%s\"", w.err.message);
    }
    close_world(&w);
}

/* ---- what does not fit a variable, and what has no value -------------------- */

/* An output like input 1. */
static df_code infer_as_put(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, df_infer_shape(c, 1), err);
}

static df_code put(df_kernel *k, df_error *err) {
    (void)err;
    df_tensor *x = df_kernel_input(k, 1), *y = df_kernel_output(k, 0);
    memcpy(df_tensor_data(y), df_tensor_data(x), df_tensor_bytes(x));
    return DF_OK;
}

static df_code put_later(df_kernel *k, df_error *err) {
    df_kernel_handle done = df_kernel_handle_of(k);
    df_code code = put(k, err);
    if (code == DF_OK) df_kernel_done(done, NULL);
    return code;
}

static void add_put(world *w, const char *signature, const char *op, df_kernel_def def) {
    add_op(w, (df_op_def){.signature = signature,
                          .infer = infer_as_put,
                          .flags = DF_OP_WRITES | DF_OP_STATEFUL});
    def.op = op;
    def.devices = def.flags & DF_KERNEL_INLINE ? "*" : "CPU,SIM";
    add_kernel(w, def);
}

static void open_puts(world *w) {
    open_world(w, 0);
    add_put(w, "Put(v: float32, x: v) : v", "Put", (df_kernel_def){.compute = put});
    add_put(w, "PutLater(v: float32, x: v) : v", "PutLater",
            (df_kernel_def){.compute = put_later, .flags = DF_KERNEL_ASYNC});
    add_put(w, "PutOn(v: float32, x: v) : v", "PutOn",
            (df_kernel_def){.compute = pass_on, .flags = DF_KERNEL_INLINE});
    w->g = df_graph_new(w->rt);
}

static df_out without_a_value(world *w, const char *name) {
    const df_attr attrs[] = {df_attr_dtype("dtype", DF_FLOAT32),
                             df_attr_shape("shape", DF_SHAPE(-1))};
    df_graph_name(w->g, name);
    return node(w, "Variable", DF_NO_OUTS, attrs, 2);
}

static const char *const ways_to_put[] = {"Put", "PutLater", "PutOn"};

static void a_value_that_does_not_fit_its_variable_is_refused(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int i = 0; i < 3; i++) {
            world w;
            open_puts(&w);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
            df_graph_on(w.g, devices[d]);
            df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(4));
            w.p =
                compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, ways_to_put[i], DF_OUTS(v, x), NULL, 0)));
            gives(&w, w.p, 4, 6);
            fails(&w, w.p, 3, DF_INVALID_ARGUMENT,
                  "float32[3] does not fit variable v, which is float32[4]");
            gives(&w, w.p, 4, 6);
            close_world(&w);
        }
}

/* Which of the inputs has none is said: the variable itself, or one that comes from another. */
static void an_input_without_a_value_is_named(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++)
        for (int i = 0; i < 2; i++) {
            world w;
            open_puts(&w);
            df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
            df_graph_on(w.g, devices[d]);
            df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(4));
            df_out u = without_a_value(&w, "u");
            df_out of_u = node(&w, ways_to_put[i], DF_OUTS(v, u), NULL, 0);
            df_out into_u = node(&w, ways_to_put[i], DF_OUTS(u, x), NULL, 0);
            w.p = compiled(&w, DF_OUTS(x), DF_OUTS(of_u));
            fails(&w, w.p, 4, DF_FAILED_PRECONDITION, "input 1 has no value");
            df_program_free(w.p);
            w.p = compiled(&w, DF_OUTS(x), DF_OUTS(into_u));
            fails(&w, w.p, 4, DF_FAILED_PRECONDITION, "variable u has no value yet");
            close_world(&w);
        }
}

/* ---- ends and outputs ------------------------------------------------------- */

static df_code end_with_no_code(df_kernel *k, df_error *err) {
    (void)err;
    df_kernel_done(df_kernel_handle_of(k), &(df_error){.code = DF_OK});
    return DF_OK;
}

static df_code end_with_no_words(df_kernel *k, df_error *err) {
    (void)err;
    df_kernel_done(df_kernel_handle_of(k), &(df_error){.code = DF_DATA_LOSS});
    return DF_OK;
}

static void ends_later_with(df_code (*compute)(df_kernel *, df_error *), df_code code,
                            const char *words) {
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Later(x: float32) : x", .infer = df_infer_same});
        add_kernel(&w, (df_kernel_def){.op = "Later",
                                       .devices = "CPU,SIM",
                                       .compute = compute,
                                       .flags = DF_KERNEL_ASYNC});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
        df_graph_on(w.g, devices[d]);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, "Later", DF_OUTS(x), NULL, 0)));
        fails(&w, w.p, 4, code, words);
        close_world(&w);
    }
}

static void a_kernel_that_ends_with_an_error_without_a_code_has_failed(void **state) {
    (void)state;
    ends_later_with(end_with_no_code, DF_INTERNAL, "it failed with INTERNAL and gave no words");
}

static void a_kernel_that_ends_with_an_error_without_words_is_named_with_its_code(void **state) {
    (void)state;
    ends_later_with(end_with_no_words, DF_DATA_LOSS, "node Later (Later) on /job:localhost");
    ends_later_with(end_with_no_words, DF_DATA_LOSS, "it failed with DATA_LOSS and gave no words");
}

/* It is there already: as it is asked for, or not. */
static df_code allocate_again(df_kernel *k, df_error *err) {
    df_tensor *y = NULL;
    int64_t n = df_kernel_attr(k, 0)->i;
    df_code code = df_kernel_allocate(k, 0, DF_SHAPE(n), &y, err);
    if (code != DF_OK) return code;
    assert_ptr_equal(y, df_kernel_output(k, 0));
    return add_one(k, err);
}

static void an_output_that_is_there_is_not_allocated_in_another_shape(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Again(x: float32) {n: int} : x", .infer = df_infer_same});
    add_kernel(&w, (df_kernel_def){.op = "Again", .devices = "CPU", .compute = allocate_again});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
    const df_attr four = df_attr_int("n", 4), five = df_attr_int("n", 5);
    df_out good = node(&w, "Again", DF_OUTS(x), &four, 1);
    df_out bad = node(&w, "Again", DF_OUTS(x), &five, 1);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(good));
    gives(&w, w.p, 4, 10);
    df_program_free(w.p);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(bad));
    fails(&w, w.p, 4, DF_INVALID_ARGUMENT, "output 0");
    close_world(&w);
}

/* The device has room for the input, and not for the output as well. */
static void a_kernel_that_ends_later_needs_room_for_its_output(void **state) {
    (void)state;
    world w;
    open_world(&w, 6000);
    add_op(&w, (df_op_def){.signature = "Later(x: float32) : x", .infer = df_infer_same});
    add_kernel(&w, (df_kernel_def){.op = "Later",
                                   .devices = "CPU,SIM",
                                   .compute = give_sevens,
                                   .flags = DF_KERNEL_ASYNC});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1000));
    df_graph_on(w.g, "sim:0");
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, "Later", DF_OUTS(x), NULL, 0)));
    fails(&w, w.p, 1000, DF_RESOURCE_EXHAUSTED, "node Later (Later) on /job:localhost");
    close_world(&w);
}

/* Nobody has to look at the words. */
static df_code open_never(df_kernel *k, void **state, df_error *err) {
    (void)k;
    *state = NULL;
    return df_error_set(err, DF_UNAVAILABLE, "not today");
}

static void an_error_is_a_code_also_without_words(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Never(x: float32) : x", .infer = df_infer_same});
    add_kernel(&w, (df_kernel_def){
                       .op = "Never", .devices = "CPU", .compute = add_one, .open = open_never});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
    df_out y = node(&w, "Never", DF_OUTS(x), NULL, 0);
    assert_int_equal(df_session_new(w.g, NULL, &w.s, NULL), DF_OK);
    assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y), NULL, &w.p, NULL),
                     DF_UNAVAILABLE);
    assert_null(w.p);
    assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y), NULL, &w.p, &w.err),
                     DF_UNAVAILABLE);
    assert_non_null(strstr(w.err.message, "node Never (Never): not today"));
    close_world(&w);
}

/* It changes its mind. */
static df_code infer_after_all(df_infer *c, df_error *err) {
    (void)df_error_set(err, DF_INTERNAL, "not the first way");
    return df_infer_same(c, err);
}

static void what_succeeds_leaves_the_error_as_it_was(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "Tries(x: float32) : x", .infer = infer_after_all});
    add_kernel(&w, (df_kernel_def){.op = "Tries", .devices = "CPU", .compute = add_one});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_out y = node(&w, "Tries", DF_OUTS(x), NULL, 0);
    (void)df_variable_from(w.g, "v", df_const_float(w.g, DF_FLOAT32, 1));
    const df_shape promised = DF_SHAPE(4);
    const df_compile_options o = {.struct_size = sizeof o, .feed_shapes = &promised};
    df_error before, err;
    memset(&before, 0xAB, sizeof before);
    err = before;

    assert_int_equal(df_session_new(w.g, NULL, &w.s, &err), DF_OK);
    assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y), &o, &w.p, &err), DF_OK);

    assert_memory_equal(&err, &before, sizeof err);
    gives(&w, w.p, 4, 10);
    close_world(&w);
}

/* ---- a value that another dtype would have, and one that its device refuses ---- */

static void a_value_of_another_dtype_does_not_fit_its_variable(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_put(&w, "Odd(v: int32, x: float32) : x", "Odd", (df_kernel_def){.compute = put});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
        df_graph_on(w.g, devices[d]);
        df_out v = df_variable(w.g, "v", DF_INT32, DF_SHAPE(4));
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, "Odd", DF_OUTS(v, x), NULL, 0)));
        fails(&w, w.p, 4, DF_INVALID_ARGUMENT,
              "float32[4] does not fit variable v, which is int32[4]");
        close_world(&w);
    }
}

static void a_value_that_cannot_be_assigned_is_refused(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_out v = df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(4));
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(df_assign(w.g, v, x)));
    gives(&w, w.p, 4, 6);
    fails(&w, w.p, 3, DF_INVALID_ARGUMENT, "v");
    close_world(&w);
}

/* y = x + 1, whose shape is found when it runs: it is made in host memory, and then copied. */
static df_code add_one_as_large(df_kernel *k, df_error *err) {
    df_tensor *y = NULL;
    df_code code = df_kernel_allocate(k, 0, df_tensor_shape(df_kernel_input(k, 0)), &y, err);
    return code == DF_OK ? add_one(k, err) : code;
}

static void an_output_that_its_device_refuses_fails_its_node(void **state) {
    (void)state;
    world w;
    open_world(&w, 0);
    add_op(&w, (df_op_def){.signature = "AsLarge(x: float32) : x"});
    add_kernel(&w, (df_kernel_def){.op = "AsLarge", .devices = "SIM", .compute = add_one_as_large});
    w.g = df_graph_new(w.rt);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, "AsLarge", DF_OUTS(x), NULL, 0)));
    gives(&w, w.p, 4, 10);
    for (uint64_t n = 1; n <= 3; n++) { /* x goes in, the output goes in, and comes out */
        assert_int_equal(df_sim_fail(df_runtime_device(w.rt, 1), DF_SIM_COPY_REFUSED, n, NULL),
                         DF_OK);
        df_code code = run(&w, w.p, 4, NULL);
        assert_int_not_equal(code, DF_OK);
        if (n == 2) assert_non_null(strstr(w.err.message, "node AsLarge (AsLarge)"));
        (void)df_sim_fail(df_runtime_device(w.rt, 1), DF_SIM_COPY_REFUSED, 0, NULL);
        gives(&w, w.p, 4, 10);
    }
    close_world(&w);
}

static df_code has_no_report(df_kernel *k, df_error *err) {
    assert_null(df_kernel_report(k));
    return add_one(k, err);
}

static df_code never_asked(void *user, const void *report, df_error *err) {
    (void)user, (void)report;
    return df_error_set(err, DF_INTERNAL, "there is no report");
}

static void a_kernel_that_is_the_work_itself_has_no_report(void **state) {
    (void)state;
    for (int d = 0; d < DEVICES; d++) {
        world w;
        open_world(&w, 0);
        add_op(&w, (df_op_def){.signature = "Report(x: float32) : x", .infer = df_infer_same});
        add_kernel(&w, (df_kernel_def){.op = "Report",
                                       .devices = "CPU,SIM",
                                       .compute = has_no_report,
                                       .report = 4,
                                       .check = never_asked});
        w.g = df_graph_new(w.rt);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(4));
        df_graph_on(w.g, devices[d]);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(node(&w, "Report", DF_OUTS(x), NULL, 0)));
        gives(&w, w.p, 4, 10);
        close_world(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_that_fails_without_words_fails_all_the_same),
        cmocka_unit_test(a_shape_that_infer_leaves_open_is_refused_where_it_is_needed),
        cmocka_unit_test(an_infer_function_that_contradicts_itself_is_caught),
        cmocka_unit_test(a_kernel_may_feed_its_inputs_to_a_program),
        cmocka_unit_test(a_kernel_on_a_queue_cannot_run_what_waits_for_a_queue),
        cmocka_unit_test(a_kernel_whose_tensors_are_another_devices_fails_and_is_not_waited_for),
        cmocka_unit_test(an_output_that_nobody_reads_is_given_back_when_its_kernel_ends),
        cmocka_unit_test(a_variable_does_not_keep_memory_that_was_lent_for_a_run),
        cmocka_unit_test(an_output_is_set_by_a_kernel_that_may_or_refused),
        cmocka_unit_test(what_would_be_misread_is_refused_when_it_is_registered),
        cmocka_unit_test(a_value_that_does_not_fit_its_variable_is_refused),
        cmocka_unit_test(an_input_without_a_value_is_named),
        cmocka_unit_test(a_kernel_that_ends_with_an_error_without_a_code_has_failed),
        cmocka_unit_test(a_kernel_that_ends_with_an_error_without_words_is_named_with_its_code),
        cmocka_unit_test(an_output_that_is_there_is_not_allocated_in_another_shape),
        cmocka_unit_test(a_kernel_that_ends_later_needs_room_for_its_output),
        cmocka_unit_test(an_error_is_a_code_also_without_words),
        cmocka_unit_test(what_succeeds_leaves_the_error_as_it_was),
        cmocka_unit_test(a_kernel_on_a_queue_cannot_wait_for_a_copy),
        cmocka_unit_test(a_value_of_another_dtype_does_not_fit_its_variable),
        cmocka_unit_test(a_value_that_cannot_be_assigned_is_refused),
        cmocka_unit_test(an_output_that_its_device_refuses_fails_its_node),
        cmocka_unit_test(a_kernel_that_is_the_work_itself_has_no_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
