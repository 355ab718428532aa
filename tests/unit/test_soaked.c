/* SPDX-License-Identifier: MIT
 *
 * What the soak has found in how runs end, each as the one schedule that shows it.
 *
 * The op Do copies, and calls what the test put into its deed.
 */
#include "unit/own_ops_world.h"

#include "exec/step.h"
#include "session/runtime.h"

#include <pthread.h>
#include <unistd.h>

/* ---- a kernel that does what it is told ------------------------------------- */

typedef struct deed {
    df_code (*now)(df_kernel *k, void *arg, df_error *err); /* NULL: nothing */
    void *arg;
    _Atomic int n; /* times */
} deed;

static df_code compute(df_kernel *k, df_error *err) {
    deed *d = (deed *)(intptr_t)df_kernel_attr(k, 0)->i;
    df_tensor *x = df_kernel_input(k, 0), *y = df_kernel_output(k, 0);
    df_code code = d->now ? d->now(k, d->arg, err) : DF_OK;
    (void)atomic_fetch_add(&d->n, 1);
    if (code == DF_OK && !y) code = df_kernel_allocate(k, 0, df_tensor_shape(x), &y, err);
    if (code == DF_OK) memcpy(df_tensor_data(y), df_tensor_data(x), df_tensor_bytes(x));
    return code;
}

static df_code infer_scalar(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, DF_SCALAR, err);
}

static void open_soaked(world *w, df_runtime_options o) {
    (void)alarm(60);
    open_world_with(w, o);
    add_op(w, (df_op_def){.signature = "Do(x: float32) {deed: int} : x", .infer = df_infer_same});
    add_op(w, (df_op_def){.signature = "DoLater(x: float32) {deed: int} : x"});
    add_op(w, (df_op_def){.signature = "One(x: float32) {deed: int} : float32",
                          .infer = infer_scalar});
    add_kernel(w, (df_kernel_def){.op = "One", .devices = "CPU", .compute = compute});
    add_kernel(w, (df_kernel_def){.op = "Do", .devices = "CPU,SIM", .compute = compute});
    add_kernel(w, (df_kernel_def){.op = "DoLater", .devices = "CPU,SIM", .compute = compute});
    w->rt->grain = 1e-6f;
    w->g = df_graph_new(w->rt);
}

static void close_soaked(world *w) {
    close_world(w);
    (void)alarm(0);
}

static df_out does(world *w, const char *op, const char *device, df_out x, deed *d) {
    df_attr attr = df_attr_int("deed", (int64_t)(intptr_t)d);
    df_graph_on(w->g, device);
    df_out y = node(w, op, DF_OUTS(x), &attr, 1);
    df_graph_on(w->g, NULL);
    return y;
}

/* ---- how a run ended ---------------------------------------------------------- */

typedef struct ended {
    int n;
    df_code code;
    df_tensor *result;
} ended;

static void note(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    ended *e = user;
    e->n++;
    e->code = err ? err->code : DF_OK;
    e->result = n ? results[0] : NULL;
}

static void start_one(world *w, df_program *p, ended *e) {
    const float value = 7;
    df_tensor *x = floats(w, 1, &value);
    df_program_start(p, DF_TENSORS(x), NULL, note, e);
    df_tensor_unref(x);
}

static void poll_all(world *w) {
    while (df_runtime_poll(w->rt, 0, NULL) > 0) continue;
}

static df_code fail_it(df_kernel *k, void *arg, df_error *err) {
    (void)k;
    (void)arg;
    return df_error_set(err, DF_ABORTED, "as planned");
}

/* The frame of a run is used again by the next one, which throws away what it holds when it
 * fails. */
static void a_result_is_its_callees_whatever_becomes_of_the_next_run(void **state) {
    (void)state;
    world w;
    deed d = {NULL, NULL, 0};
    ended first = {0}, second = {0}, third = {0};
    open_soaked(&w, (df_runtime_options){.devices = "cpu:1"});
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(does(&w, "Do", NULL, x, &d)));

    start_one(&w, w.p, &first);
    poll_all(&w);
    d.now = fail_it;
    start_one(&w, w.p, &second);
    poll_all(&w);
    d.now = NULL;
    start_one(&w, w.p, &third);
    poll_all(&w);

    assert_int_equal(first.code, DF_OK);
    assert_int_equal(second.code, DF_ABORTED);
    assert_int_equal(third.code, DF_OK);
    assert_ptr_not_equal(first.result, third.result);
    assert_true(*(const float *)df_tensor_data(first.result) == 7);
    df_tensor_unref(first.result);
    df_tensor_unref(third.result);
    close_soaked(&w);
}

/* ---- what it took --------------------------------------------------------------- */

static df_code account(df_kernel *k, void *arg, df_error *err) {
    (void)arg;
    (void)err;
    account_end(((node_call *)k)->step);
    return DF_OK;
}

/* A caller who goes before his step is over accounts first; then he finds that it is over. */
static void what_a_run_took_is_told_once(void **state) {
    (void)state;
    world w;
    deed d = {account, NULL, 0};
    df_pair_traffic pairs[2], untouched;
    const float value = 7;
    open_soaked(&w, (df_runtime_options){.devices = "cpu:3"});
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_out y = does(&w, "Do", "cpu:2", does(&w, "Do", "cpu:1", x, &d), &d);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
    df_tensor *feed = floats(&w, 1, &value);

    for (int i = 0; i < 2; i++) { /* in the second the frame has been used before */
        df_tensor *result = NULL;
        memset(pairs, 0x5a, sizeof pairs);
        untouched = pairs[1];
        df_run_stats st = {.struct_size = sizeof st, .pairs = pairs, .n_pairs = 1};
        df_run_options o = {.struct_size = sizeof o, .stats = &st};
        assert_int_equal(df_program_run(w.p, DF_TENSORS(feed), &result, &o, &w.err), DF_OK);
        df_tensor_unref(result);

        assert_int_equal(st.transfers, 1); /* the others come later */
        assert_int_equal(st.n_pairs, 3);
        assert_memory_equal(&pairs[1], &untouched, sizeof untouched);
    }
    df_tensor_unref(feed);
    close_soaked(&w);
}

/* ---- what runs, and how often ----------------------------------------------------- */

static df_code run_failing(world *w) {
    const float value = 7;
    df_tensor *feed = floats(w, 1, &value), *result = NULL;
    df_code code = df_program_run(w->p, DF_TENSORS(feed), &result, NULL, &w->err);
    assert_null(result);
    df_tensor_unref(feed);
    return code;
}

static void a_kernel_that_fails_runs_once(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "sim:0"};
    for (int i = 0; i < 2; i++) {
        world w;
        deed d = {fail_it, NULL, 0}, after = {NULL, NULL, 0};
        open_soaked(&w, (df_runtime_options){.devices = "cpu:1,sim:1"});
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
        df_out y = does(&w, "Do", places[i], does(&w, "Do", places[i], x, &d), &after);
        w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
        assert_true(run_failing(&w) != DF_OK);
        assert_int_equal(d.n, 1);
        assert_int_equal(after.n, 0);
        close_soaked(&w);
    }
}

static df_code cancel_all(df_kernel *k, void *arg, df_error *err) {
    (void)k, (void)err;
    df_session_cancel(((world *)arg)->s);
    return DF_OK;
}

static void behind_a_kernel_that_ends_its_run_nothing_runs(void **state) {
    (void)state;
    world w;
    deed ends = {cancel_all, &w, 0}, after = {NULL, NULL, 0};
    open_soaked(&w, (df_runtime_options){.devices = "cpu:1"});
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_out y = does(&w, "Do", NULL, does(&w, "Do", NULL, x, &ends), &after);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(y));
    assert_int_equal(run_failing(&w), DF_CANCELLED);
    assert_int_equal(ends.n, 1);
    assert_int_equal(after.n, 0);
    close_soaked(&w);
}

/* Its output has a known shape, so that nothing else is to be found out in the step. */
static void a_kernel_whose_input_has_no_value_does_not_run(void **state) {
    (void)state;
    world w;
    deed d = {NULL, NULL, 0};
    open_soaked(&w, (df_runtime_options){.devices = "cpu:1"});
    const df_attr attrs[] = {df_attr_dtype("dtype", DF_FLOAT32),
                             df_attr_shape("shape", DF_SHAPE(-1))};
    df_out v = node(&w, "Variable", DF_NO_OUTS, attrs, 2);
    w.p = compiled(&w, DF_NO_OUTS, DF_OUTS(does(&w, "One", NULL, v, &d)));
    df_tensor *result = NULL;
    assert_int_equal(df_program_run(w.p, DF_NO_TENSORS, &result, NULL, &w.err),
                     DF_FAILED_PRECONDITION);
    assert_null(result);
    assert_non_null(strstr(w.err.message, "has no value"));
    assert_int_equal(d.n, 0);
    close_soaked(&w);
}

/* ---- on an accelerator's own thread --------------------------------------------- */

typedef struct on_device {
    world *w;
    df_program *p;
    df_out x, y;
    ended started;
    df_code compiled, opened, ran;
} on_device;

static df_code start_and_compile(df_kernel *k, void *arg, df_error *err) {
    on_device *o = arg;
    df_program *p = NULL;
    df_session *s = NULL;
    df_tensor *result = NULL;
    start_one(o->w, o->p, &o->started);
    o->compiled = df_session_compile(o->w->s, DF_OUTS(o->x), DF_OUTS(o->y), NULL, &p, err);
    o->opened = df_session_new(o->w->g, NULL, &s, err);
    o->ran = df_program_run(o->p, DF_TENSORS(df_kernel_input(k, 0)), &result, NULL, err);
    return DF_OK;
}

/* As a callback there may: of a run that was ended by a kernel. */
static void
on_an_accelerators_thread_what_does_not_wait_is_done_and_the_rest_refused(void **state) {
    (void)state;
    world w;
    on_device o = {.w = &w};
    deed d = {start_and_compile, &o, 0}, nothing = {NULL, NULL, 0};
    ended e = {0};
    open_soaked(&w, (df_runtime_options){.devices = "cpu:1,sim:2"});
    o.x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_graph_on(w.g, "sim:1");
    (void)df_variable(w.g, "v", DF_FLOAT32, DF_SHAPE(1));
    df_out two = df_const_float(w.g, DF_FLOAT32, 2);
    o.y = df_add(w.g, does(&w, "Do", "sim:0", o.x, &nothing), two);
    df_out doing = does(&w, "Do", "sim:0", o.x, &d);
    o.p = compiled(&w, DF_OUTS(o.x), DF_OUTS(o.y));
    w.p = compiled(&w, DF_OUTS(o.x), DF_OUTS(doing));

    start_one(&w, w.p, &e);
    poll_all(&w);

    assert_int_equal(e.code, DF_OK);
    assert_int_equal(o.started.n, 1);
    assert_int_equal(o.started.code, DF_OK);
    assert_true(*(const float *)df_tensor_data(o.started.result) == 9);
    assert_int_equal(o.compiled, DF_FAILED_PRECONDITION);
    assert_int_equal(o.opened, DF_FAILED_PRECONDITION);
    assert_int_equal(o.ran, DF_FAILED_PRECONDITION);
    df_tensor_unref(e.result);
    df_tensor_unref(o.started.result);
    df_program_free(o.p);
    close_soaked(&w);
}

/* ---- threads that wait ------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int n_inside;
static bool is_open;

static void set_gate(bool open) {
    (void)pthread_mutex_lock(&lock);
    is_open = open;
    if (!open) n_inside = 0;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static void await_inside(void) {
    (void)pthread_mutex_lock(&lock);
    while (!n_inside) (void)pthread_cond_wait(&changed, &lock);
    (void)pthread_mutex_unlock(&lock);
}

/* The first that comes waits. */
static df_code wait_first(df_kernel *k, void *arg, df_error *err) {
    (void)k;
    (void)arg;
    (void)err;
    (void)pthread_mutex_lock(&lock);
    bool waits = n_inside++ == 0;
    (void)pthread_cond_broadcast(&changed);
    while (waits && !is_open) (void)pthread_cond_wait(&changed, &lock);
    (void)pthread_mutex_unlock(&lock);
    return DF_OK;
}

static void ignore(void *user) {
    (void)user;
}

static void *poll_main(void *arg) {
    (void)df_runtime_poll(arg, 0, NULL);
    return NULL;
}

/* df_lent_threads.count: programs are cut into parts for so many. */
static void two_lent_threads_work_at_one_program(void **state) {
    (void)state;
    world w;
    deed d = {wait_first, NULL, 0};
    ended e = {0};
    pthread_t thread;
    df_lent_threads lent = {.struct_size = sizeof lent, .count = 2, .wake = ignore};
    open_soaked(&w, (df_runtime_options){.devices = "cpu:1", .lent = &lent});
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_out left = does(&w, "Do", NULL, x, &d), right = does(&w, "Do", NULL, df_neg(w.g, x), &d);
    w.p = compiled(&w, DF_OUTS(x), DF_OUTS(df_add(w.g, left, right)));
    set_gate(false);
    start_one(&w, w.p, &e);
    assert_int_equal(pthread_create(&thread, NULL, poll_main, w.rt), 0);
    await_inside();

    (void)df_runtime_poll(w.rt, 0, NULL);

    assert_int_equal(atomic_load(&d.n), 1);
    set_gate(true);
    (void)pthread_join(thread, NULL);
    poll_all(&w);
    assert_int_equal(e.code, DF_OK);
    df_tensor_unref(e.result);
    close_soaked(&w);
}

/* ---- the end of the runtime --------------------------------------------------------- */

/* Who stops the device has begun to wait for what is on its queues: now the kernel ends. */
static df_code open_and_record(void *queue, df_work *work, void *what, df_event_listener *listener,
                               df_error *err) {
    if (!work) set_gate(true);
    return sim_ops.record(queue, work, what, listener, err);
}

/* A kernel that finds its shape itself ends by an event, and is the last thing that the ended run
 * waits for; but behind it on the queue lies more of the run's, which must pass. */
static void a_runtime_that_goes_waits_for_the_queued_work_of_runs_that_it_ends(void **state) {
    (void)state;
    world w;
    deed first = {wait_first, NULL, 0}, behind = {NULL, NULL, 0};
    ended e = {0};
    df_device_ops ops = sim_ops;
    const df_device_ops *const kinds[] = {&ops};
    ops.record = open_and_record;
    open_soaked(&w, (df_runtime_options){.devices = "cpu:1,sim:1", .kinds = kinds, .n_kinds = 1});
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(1));
    df_out y = does(&w, "DoLater", "sim:0", x, &first);
    df_out z = does(&w, "Do", "sim:0", x, &behind);
    df_compile_options o = {.struct_size = sizeof o, .targets = DF_NODES(z.node)};
    assert_int_equal(df_session_new(w.g, NULL, &w.s, &w.err), DF_OK);
    assert_int_equal(df_session_compile(w.s, DF_OUTS(x), DF_OUTS(y), &o, &w.p, &w.err), DF_OK);
    set_gate(false);
    start_one(&w, w.p, &e);
    (void)df_runtime_poll(w.rt, 0, NULL);
    await_inside();

    close_soaked(&w);

    assert_int_equal(e.n, 1);
    assert_int_equal(e.code, DF_CANCELLED);
    assert_int_equal(atomic_load(&behind.n), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_is_its_callees_whatever_becomes_of_the_next_run),
        cmocka_unit_test(what_a_run_took_is_told_once),
        cmocka_unit_test(a_kernel_that_fails_runs_once),
        cmocka_unit_test(behind_a_kernel_that_ends_its_run_nothing_runs),
        cmocka_unit_test(a_kernel_whose_input_has_no_value_does_not_run),
        cmocka_unit_test(on_an_accelerators_thread_what_does_not_wait_is_done_and_the_rest_refused),
        cmocka_unit_test(two_lent_threads_work_at_one_program),
        cmocka_unit_test(a_runtime_that_goes_waits_for_the_queued_work_of_runs_that_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
