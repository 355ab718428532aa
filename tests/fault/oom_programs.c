/* SPDX-License-Identifier: MIT
 *
 * Programs that build, compile, run, save and look: on all devices, with all kinds of kernels.
 */
#include "fault/oom.h"

#include "unit/save_world.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a runtime and nothing else ------------------------------------------ */

static void open_and_close(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 2);
    assert_int_equal(df_runtime_devices(rt), 4);
    df_runtime_free(rt);
}

size_t oom_in_runtime(void) {
    return fault_each_allocation(open_and_close, NULL);
}

static void open_and_close_with_a_blas(fault_allocator *f, void *arg) {
    df_runtime_options o = {.struct_size = sizeof o, .allocator = &f->allocator, .cblas = arg};
    df_runtime *rt = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_runtime_new(&o, &rt, &err));
    df_runtime_free(rt);
    void *library = dlopen(arg, RTLD_NOW | RTLD_NOLOAD);
    assert_null(library);
}

size_t oom_in_runtime_with_blas(void) {
    char file[] = DATAFLOW_MODULES_DIR "/fake_blas.so";
    return fault_each_allocation(open_and_close_with_a_blas, file);
}

/* ---- state on several devices -------------------------------------------- */

static void count_and_total(fault_allocator *f, void *arg) {
    df_runtime *rt = oom_runtime(f, *(const int *)arg);
    df_graph *g = oom_graph(f, rt, oom_build_state);
    df_session *s = oom_session(f, g);
    df_out x = oom_out(g, "x"), count = oom_out(g, "count"), all = oom_out(g, "all");
    df_program *grow = oom_program(f, s, DF_OUTS(x), DF_OUTS(all));
    df_program *read = oom_program(f, s, DF_NO_OUTS, DF_OUTS(count));
    df_tensor *one = run_scalar(NULL, 1);

    assert_int_equal(oom_run(f, read, DF_NO_TENSORS), 10);
    assert_int_equal(oom_run(f, grow, DF_TENSORS(one)), 30 * 22);
    assert_int_equal(oom_run(f, grow, DF_TENSORS(one)), 30 * 46);
    assert_int_equal(oom_run(f, read, DF_NO_TENSORS), 12);
    assert_int_equal(oom_run(f, grow, DF_TENSORS(one)), 30 * 72);

    df_tensor_unref(one);
    df_program_free(grow);
    df_program_free(read);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}

size_t oom_in_steps(void) {
    size_t n = 0;
    for (int workers = 0; workers <= 2; workers += 2)
        n += fault_each_allocation(count_and_total, &workers);
    return n;
}

/* ---- shapes that are known late, host memory, strings --------------------- */

static void build_shapes(df_graph *g) {
    df_tensor *said = NULL;
    const df_string word = {"a text that is longer than what lies in a header", 48};
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(-1));
    df_graph_on(g, "sim:0");
    df_out y = df_neg(g, x);
    df_graph_on(g, "sim:1");
    df_out shaped = df_reshape_to(g, y, df_shape_of(g, x));
    df_out wide = df_cast(g, df_cast(g, shaped, DF_FLOAT64), DF_INT64);
    df_graph_on(g, NULL);
    (void)oom_named(g, "sum", df_sum(g, wide, NULL, 0, false));
    if (df_tensor_from(NULL, DF_STRING, DF_SCALAR, &word, &said, NULL) != DF_OK) return;
    df_graph_on(g, "cpu:1");
    df_out words = df_const(g, said);
    df_graph_on(g, "cpu:0");
    (void)oom_named(g, "words", words);
    df_tensor_unref(said);
}

static void run_both(fault_allocator *f, df_program *p, df_tensor *x, int64_t sum) {
    df_tensor *t[2] = {NULL, NULL};
    df_error err;
    OOM_UNTIL_OK(f, err, df_program_run(p, DF_TENSORS(x), t, NULL, &err));
    assert_int_equal(run_value(t[0]), sum);
    assert_int_equal(((const df_string *)df_tensor_data(t[1]))->size, 48);
    df_tensor_unref(t[0]);
    df_tensor_unref(t[1]);
}

static void shapes_and_words(fault_allocator *f, void *arg) {
    df_runtime *rt = oom_runtime(f, *(const int *)arg);
    df_graph *g = oom_graph(f, rt, build_shapes);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")),
                                DF_OUTS(oom_out(g, "sum"), oom_out(g, "words")));
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    int64_t values[100];
    for (int i = 0; i < 100; i++) values[i] = i;
    df_tensor *few, *many;
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(3), values, &few, NULL), DF_OK);
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(100), values, &many, NULL), DF_OK);
    run_both(f, p, few, -3);
    run_both(f, p, many, -4950);
    run_both(f, p, few, -3);
    df_tensor_unref(few);
    df_tensor_unref(many);
    df_program_free(p);
}

size_t oom_in_late_shapes(void) {
    size_t n = 0;
    for (int workers = 0; workers <= 1; workers++)
        n += fault_each_allocation(shapes_and_words, &workers);
    return n;
}

/* ---- frames, object by object ---------------------------------------------- */

/* Two chains, so that a second thread could have a part. */
static void build_chains(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(-1)), y[2] = {x, x};
    for (int i = 0; i < 8; i++) y[i % 2] = df_neg(g, y[i % 2]);
    (void)oom_named(g, "all", df_sum(g, df_add(g, y[0], y[1]), NULL, 0, false));
}

typedef struct framed {
    void (*build)(df_graph *g);
    const char *fetch;
    int workers;
} framed;

/* All is there but the program: memory fails from then on. */
static void compile_and_run(fault_allocator *f, void *arg) {
    const framed *what = arg;
    const fault_plan planned = f->plan;
    fault_fail_allocation(f, 0, FAULT_ONCE);
    df_runtime_options o = {.struct_size = sizeof o,
                            .devices = "cpu:2,sim:2",
                            .workers = what->workers,
                            .allocator = &f->allocator};
    df_runtime *rt = NULL;
    df_tensor *one = NULL, *few = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
    df_graph *g = oom_graph(f, rt, what->build);
    df_session *s = oom_session(f, g);
    const int64_t values[] = {1, 2, 3};
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(3), values, &few, NULL), DF_OK);
    one = run_scalar(NULL, 1);
    bool is_state = what->build == oom_build_state;

    fault_fail_allocation(f, planned.countdown, planned.span);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, what->fetch)));
    for (int i = 1; i <= 2; i++) {
        int64_t value = oom_run(f, p, DF_TENSORS(is_state ? one : few));
        assert_int_equal(value, is_state ? 30 * (i == 1 ? 22 : 46) : what->workers ? 12 : -6);
    }
    df_tensor_unref(one);
    df_tensor_unref(few);
    oom_free(p, s, g, rt);
}

size_t oom_in_frames(void) {
    framed all[] = {
        {oom_build_state, "all", 0}, {build_shapes, "sum", 0}, {build_chains, "all", 1}};
    size_t n = 0;
    arena_is_apart = true;
    for (int i = 0; i < 3; i++) n += fault_each_allocation(compile_and_run, &all[i]);
    arena_is_apart = false;
    return n;
}

/* ---- values that are lent for a run ---------------------------------------- */

static probe lender, borrower;

/* A kernel on a queue feeds a program that keeps what it is fed; and so does the caller, with
 * memory of his own. */
static void build_lent(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR);
    (void)oom_named(g, "same", x);
    df_graph_on(g, "sim:0");
    df_out y = probe_node(g, "TestCopy", x, &lender);
    df_graph_on(g, NULL);
    (void)oom_named(g, "ran", y);
    df_out many = df_placeholder(g, "many", DF_INT64, DF_SHAPE(100));
    df_out u = df_variable(g, "u", DF_INT64, DF_SHAPE(100));
    df_out v = df_variable(g, "v", DF_INT64, DF_SHAPE(100));
    df_out set = df_assign(g, v, probe_node(g, "TestAsync", many, &borrower));
    (void)oom_named(g, "all", df_sum(g, df_add(g, set, df_assign(g, u, many)), NULL, 0, false));
}

static void lend(fault_allocator *f, void *arg) {
    int64_t values[100];
    (void)arg;
    df_runtime *rt = oom_probe_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_lent);
    df_session *s = oom_session(f, g);
    df_out x = oom_out(g, "x");
    df_program *inner = oom_program(f, s, DF_OUTS(x), DF_OUTS(oom_out(g, "same")));
    df_program *outer = oom_program(f, s, DF_OUTS(x), DF_OUTS(oom_out(g, "ran")));
    df_program *keeps = oom_program(f, s, DF_OUTS(oom_out(g, "many")), DF_OUTS(oom_out(g, "all")));
    df_tensor *three = run_scalar(NULL, 3), *wrapped;
    lender.program = inner;
    for (int i = 0; i < 2; i++) {
        memory_trim(rt->host); /* no header is there that could serve */
        assert_int_equal(oom_run(f, outer, DF_TENSORS(three)), 3);
    }
    for (int i = 0; i < 100; i++) values[i] = i;
    assert_int_equal(
        df_tensor_wrap(NULL, DF_INT64, DF_SHAPE(100), values, NULL, NULL, &wrapped, NULL), DF_OK);
    assert_int_equal(oom_run(f, keeps, DF_TENSORS(wrapped)), 2 * 4950);
    df_tensor_unref(wrapped);
    df_tensor_unref(three);
    df_program_free(inner);
    df_program_free(outer);
    oom_free(keeps, s, g, rt);
}

size_t oom_in_lent_values(void) {
    probe_init(&lender);
    probe_init(&borrower);
    lender.way = PROBE_RUNS;
    borrower.way = PROBE_COPIES;
    size_t n = fault_each_allocation(lend, NULL);
    probe_fini(&lender);
    probe_fini(&borrower);
    return n;
}

/* ---- kernels that end later ---------------------------------------------- */

/* Only one thread at a time runs the scenarios. */
static probe later;

static void build_later(df_graph *g) {
    df_out x = run_const(g, 6);
    df_out y = probe_node(g, "TestAsync", x, &later);
    df_graph_on(g, "sim:0");
    df_out z = probe_node(g, "TestAsync", df_add(g, y, y), &later);
    df_graph_on(g, NULL);
    (void)oom_named(g, "end", z);
}

static void end_later(fault_allocator *f, void *arg) {
    df_runtime *rt = oom_probe_runtime(f, *(const int *)arg);
    df_graph *g = oom_graph(f, rt, build_later);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_NO_OUTS, DF_OUTS(oom_out(g, "end")));
    for (int i = 0; i < 3; i++) assert_int_equal(oom_run(f, p, DF_NO_TENSORS), 12);
    oom_free(p, s, g, rt);
}

size_t oom_in_async_kernels(void) {
    size_t n = 0;
    probe_init(&later);
    for (int workers = 0; workers <= 1; workers++) {
        later.way = workers ? PROBE_THREAD : PROBE_COPIES;
        n += fault_each_allocation(end_later, &workers);
    }
    probe_fini(&later);
    return n;
}

/* ---- own ops: shapes found late, state, a variable that is written late ---- */

static int n_opened, n_closed;

static df_code open_own(df_kernel *k, void **state, df_error *err) {
    (void)k;
    *state = test_malloc(8);
    n_opened++;
    return *state ? DF_OK : df_error_set(err, DF_RESOURCE_EXHAUSTED, "no state");
}

static void close_own(void *user, void *state) {
    (void)user;
    test_free(state);
    n_closed++;
}

/* The last input, into output 0, as large as a header cannot hold. */
static df_code find_own(df_kernel *k, df_error *err) {
    df_tensor *x = df_kernel_input(k, df_kernel_inputs(k) - 1), *y = df_kernel_output(k, 0);
    df_code code = DF_OK;
    if (!y) code = df_kernel_allocate(k, 0, df_tensor_shape(x), &y, err);
    if (code == DF_OK) memcpy(df_tensor_data(y), df_tensor_data(x), df_tensor_bytes(x));
    return code;
}

static df_code find_own_later(df_kernel *k, df_error *err) {
    df_kernel_handle done = df_kernel_handle_of(k);
    df_code code = find_own(k, err);
    if (code == DF_OK) df_kernel_done(done, NULL);
    return code;
}

static df_code register_own(df_runtime *rt, df_error *err) {
    static const df_op_def ops[] = {
        {.struct_size = sizeof(df_op_def), .signature = "Own(x: int64) {n: ints = [1, 2]} : x"},
        {.struct_size = sizeof(df_op_def), .signature = "OwnLater(x: int64) : x"},
        {.struct_size = sizeof(df_op_def),
         .signature = "OwnWrite(v: int64, x: v) : v",
         .flags = DF_OP_WRITES}};
    static const df_kernel_def kernels[] = {{.struct_size = sizeof(df_kernel_def),
                                             .op = "Own",
                                             .devices = "CPU,SIM",
                                             .compute = find_own,
                                             .host_outputs = 1,
                                             .open = open_own,
                                             .close = close_own},
                                            {.struct_size = sizeof(df_kernel_def),
                                             .op = "OwnLater",
                                             .devices = "CPU,SIM",
                                             .compute = find_own_later,
                                             .flags = DF_KERNEL_ASYNC},
                                            {.struct_size = sizeof(df_kernel_def),
                                             .op = "OwnWrite",
                                             .devices = "CPU,SIM",
                                             .compute = find_own}};
    df_code code = DF_OK;
    for (int i = 0; i < 3 && code == DF_OK; i++) code = df_op_register(rt, &ops[i], err);
    for (int i = 0; i < 3 && code == DF_OK; i++) code = df_kernel_register(rt, &kernels[i], err);
    return code;
}

static df_out own_node(df_graph *g, const char *op, df_outs in) {
    return df_node_output(df_node_add(g, op, in.items, in.n, NULL, 0), 0);
}

static void build_own(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(-1));
    df_graph_on(g, "sim:0");
    df_out a = own_node(g, "Own", DF_OUTS(x)), b = own_node(g, "OwnLater", DF_OUTS(a));
    df_graph_on(g, "cpu:1");
    df_out c = own_node(g, "Own", DF_OUTS(b)), d = own_node(g, "OwnLater", DF_OUTS(c));
    df_graph_on(g, "sim:1");
    df_out v = df_variable(g, "v", DF_INT64, DF_SHAPE(20));
    df_out e = own_node(g, "OwnWrite", DF_OUTS(v, d));
    df_graph_on(g, NULL);
    (void)oom_named(g, "end", df_sum(g, df_add(g, e, d), NULL, 0, false));
}

static void run_own(fault_allocator *f, void *arg) {
    df_error err;
    df_runtime *rt;
    for (;;) {
        rt = oom_runtime(f, *(const int *)arg);
        if (!oom_again(f, register_own(rt, &err), &err)) break;
        df_runtime_free(rt);
    }
    df_graph *g = oom_graph(f, rt, build_own);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "end")));
    int64_t values[20];
    for (int i = 0; i < 20; i++) values[i] = i;
    df_tensor *x;
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(20), values, &x, NULL), DF_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(oom_run(f, p, DF_TENSORS(x)), 380);
    df_tensor_unref(x);
    oom_free(p, s, g, rt);
    assert_int_equal(n_opened, n_closed);
}

size_t oom_in_own_ops(void) {
    size_t n = 0;
    for (int workers = 0; workers <= 2; workers++) n += fault_each_allocation(run_own, &workers);
    return n;
}

/* ---- saving and restoring ------------------------------------------------ */

/* count, on sim:0, and total, on cpu:1, as above; words beside them. */
static void build_saved(df_graph *g) {
    df_tensor *said = NULL;
    const df_string two[] = {{"a text that is longer than what lies in a header", 48}, {NULL, 0}};
    oom_build_state(g);
    if (df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), two, &said, NULL) != DF_OK) return;
    df_graph_on(g, "cpu:0");
    (void)df_variable_from(g, "words", df_const(g, said));
    df_graph_on(g, NULL);
    df_tensor_unref(said);
}

static void save_and_restore(fault_allocator *f, void *arg) {
    const char *path = arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_saved);
    df_session *s = oom_session(f, g);
    df_out x = oom_out(g, "x"), all = oom_out(g, "all");
    df_program *grow = oom_program(f, s, DF_OUTS(x), DF_OUTS(all));
    df_program *read = oom_program(f, s, DF_NO_OUTS, DF_OUTS(oom_out(g, "count")));
    df_tensor *one = run_scalar(NULL, 1);
    df_error err = {.code = DF_OK};

    OOM_UNTIL_OK(f, err, df_session_save(s, path, &err));
    assert_int_equal(oom_run(f, grow, DF_TENSORS(one)), 30 * 22);
    while (oom_again(f, df_session_restore(s, path, &err), &err))
        assert_int_equal(oom_run(f, read, DF_NO_TENSORS), 11);
    assert_int_equal(oom_run(f, read, DF_NO_TENSORS), 10);
    assert_int_equal(oom_run(f, grow, DF_TENSORS(one)), 30 * 22);

    df_tensor_unref(one);
    df_program_free(grow);
    df_program_free(read);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}

size_t oom_in_save_and_restore(void) {
    save_folder d;
    folder_make(&d);
    size_t n = fault_each_allocation(save_and_restore, d.file);
    assert_int_equal(folder_files(&d), 1);
    folder_remove(&d);
    return n;
}

/* ---- runs beside the caller ------------------------------------------------ */

static void told_until_ok(fault_allocator *f, df_runtime *rt, told *t, df_program *p,
                          df_tensors feeds, const df_run_options *o) {
    df_error err;
    do {
        told_init(t);
        df_program_start(p, feeds, o, tell, t);
        told_await(t, rt);
        assert_int_equal(told_calls(t), 1);
        err = t->err;
        err.code = t->code;
        told_fini(t);
    } while (oom_again(f, t->code, &err));
}

/* With a handle, a deadline and all that can be asked for. Cancel and close need no memory. */
static void start_and_end(fault_allocator *f, void *arg) {
    int workers = *(const int *)arg;
    df_runtime *rt = oom_runtime(f, workers);
    df_graph *g = oom_graph(f, rt, oom_build_state);
    df_session *s = oom_session(f, g);
    df_out x = oom_out(g, "x"), all = oom_out(g, "all");
    df_program *grow = oom_program(f, s, DF_OUTS(x), DF_OUTS(all));
    df_tensor *one = run_scalar(NULL, 1);
    df_cancel *c = NULL;
    df_error err;
    int64_t into = 0;
    df_span span = {&into, sizeof into};
    df_pair_traffic pairs[8];
    df_run_stats st = {.struct_size = sizeof st, .pairs = pairs, .n_pairs = 8};
    OOM_UNTIL_OK(f, err, df_cancel_new(rt, &c, &err));
    df_run_options o = {
        .struct_size = sizeof o, .timeout = UINT64_MAX, .cancel = c, .into = &span, .stats = &st};
    told t[2];
    for (int i = 1; i <= 2; i++) {
        st.n_pairs = 8;
        told_until_ok(f, workers ? NULL : rt, &t[0], grow, DF_TENSORS(one), &o);
        assert_int_equal(t[0].value, i == 1 ? 30 * 22 : 30 * 46);
        assert_int_equal(into, t[0].value);
        assert_true(st.step > 0 && st.transfers > 0);
    }
    o.into = NULL; /* two runs at once share neither */
    o.stats = NULL;
    for (int i = 0; i < 2; i++) {
        told_init(&t[i]);
        df_program_start(grow, DF_TENSORS(one), &o, tell, &t[i]);
    }
    df_cancel_fire(c);
    df_program_free(grow);
    assert_int_equal(df_session_close(s, UINT64_MAX, &err), DF_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(told_calls(&t[i]), 1);
        told_fini(&t[i]);
    }
    df_cancel_free(c);
    df_tensor_unref(one);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
}

size_t oom_in_start(void) {
    size_t n = 0;
    for (int workers = 0; workers <= 2; workers += 2)
        n += fault_each_allocation(start_and_end, &workers);
    return n;
}

/* ---- looking at a program ------------------------------------------------ */

static void look(fault_allocator *f, void *arg) {
    (void)arg;
    static char page[16384];
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, oom_build_state);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "all")));
    df_crossing c;
    (void)df_graph_print(g, page, sizeof page);
    (void)df_program_print(p, page, sizeof page);
    (void)df_program_explain(p, DF_EXPLAIN_JSON, page, sizeof page);
    for (size_t i = 0; df_program_crossing(p, i, &c); i++)
        assert_true(df_key_text(c.key, page, sizeof page) > 0);
    fault_fail_allocation(f, 0, FAULT_ONCE);
    assert_true(df_graph_print(g, page, sizeof page) > 0);
    assert_true(df_program_print(p, page, sizeof page) > 0);
    assert_non_null(strstr(page, "partition"));
    assert_true(df_program_explain(p, DF_EXPLAIN_TEXT, page, sizeof page) > 0);
    oom_free(p, s, g, rt);
}

size_t oom_in_explain(void) {
    return fault_each_allocation(look, NULL);
}

/* ---- options of the compiler --------------------------------------------- */

static void build_row(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(-1));
    df_graph_on(g, "sim:0");
    df_out v = df_variable(g, "v", DF_INT64, DF_SCALAR);
    df_out y = df_neg(g, x);
    df_graph_on(g, NULL);
    df_out one = run_const(g, 1);
    df_graph_name(g, "count");
    (void)df_assign_add(g, v, one);
    (void)oom_named(g, "v_out", v);
    (void)oom_named(g, "sum", df_sum(g, y, NULL, 0, false));
}

static void compile_with_options(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_row);
    df_session *s = oom_session(f, g);
    df_node *target = df_graph_find(g, "count");
    df_compile_options o = {.struct_size = sizeof o,
                            .targets = {&target, 1},
                            .feed_shapes = (const df_shape[]){{1, (const int64_t[]){3}}}};
    df_program *p = NULL, *count;
    df_error err;
    OOM_UNTIL_OK(
        f, err,
        df_session_compile(s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "sum")), &o, &p, &err));
    count = oom_program(f, s, DF_NO_OUTS, DF_OUTS(oom_out(g, "v_out")));
    df_tensor *x;
    const int64_t values[] = {1, 2, 4};
    assert_int_equal(df_tensor_from(NULL, DF_INT64, DF_SHAPE(3), values, &x, NULL), DF_OK);
    for (int i = 1; i <= 2; i++) assert_int_equal(oom_run(f, p, DF_TENSORS(x)), -7);
    assert_int_equal(oom_run(f, count, DF_NO_TENSORS), 2); /* runs that failed count nothing */
    df_tensor_unref(x);
    df_program_free(count);
    oom_free(p, s, g, rt);
}

size_t oom_in_compile_options(void) {
    return fault_each_allocation(compile_with_options, NULL);
}

static void build_elsewhere(df_graph *g) {
    df_graph_on(g, "sim:7");
    (void)oom_named(g, "end", df_add(g, run_const(g, 2), run_const(g, 3)));
    df_graph_on(g, NULL);
}

static void place_elsewhere(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_elsewhere);
    df_session_options o = {.struct_size = sizeof o, .soft_placement = true};
    df_session *s = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_session_new(g, &o, &s, &err));
    df_program *p = oom_program(f, s, DF_NO_OUTS, DF_OUTS(oom_out(g, "end")));
    assert_int_equal(oom_run(f, p, DF_NO_TENSORS), 5);
    oom_free(p, s, g, rt);
}

size_t oom_in_soft_placement(void) {
    return fault_each_allocation(place_elsewhere, NULL);
}

/* What is wrong with a program is said, or there was no memory to find it. */
static void refuse(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_elsewhere);
    df_session *s = oom_session(f, g);
    df_program *p = NULL;
    df_error err;
    for (;;) {
        df_code code =
            df_session_compile(s, DF_NO_OUTS, DF_OUTS(oom_out(g, "end")), NULL, &p, &err);
        assert_null(p);
        if (code != DF_RESOURCE_EXHAUSTED) break;
        assert_true(oom_again(f, code, &err));
    }
    assert_int_equal(err.code, DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "/device:SIM:7"));
    oom_free(NULL, s, g, rt);
}

size_t oom_in_compile_refused(void) {
    return fault_each_allocation(refuse, NULL);
}
