/* SPDX-License-Identifier: MIT
 *
 * Devices: copies of all kinds, tensors that stay there, kinds and a rendezvous of the program's
 * own.
 */
#include "fault/oom.h"

#include <dataflow/sim.h>

#include "thread_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FEW = 3000, MANY = 140000 /* int64s: for which threads fill pinned memory */ };

/* Ones, on the host; not of f. */
static df_tensor *ones(int64_t n) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(n), &t, NULL), DF_OK);
    int64_t *v = df_tensor_data(t);
    for (int64_t i = 0; i < n; i++) v[i] = 1;
    return t;
}

/* end = the sum of x, negated on two devices. */
static void build_over(df_graph *g, const char *first, const char *second) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(-1));
    df_graph_on(g, first);
    df_out y = df_neg(g, x);
    df_graph_on(g, second);
    df_graph_name(g, "z");
    df_out z = df_neg(g, y);
    df_graph_on(g, NULL);
    (void)oom_named(g, "end", df_sum(g, z, NULL, 0, false));
}

static void build_over_sim(df_graph *g) {
    build_over(g, "sim:0", "sim:0");
}

static void build_over_sims(df_graph *g) {
    build_over(g, "sim:0", "sim:1");
}

static void run_over(fault_allocator *f, df_runtime *rt, void (*build)(df_graph *g), int64_t n,
                     int times) {
    df_graph *g = oom_graph(f, rt, build);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "end")));
    df_tensor *x = ones(n);
    for (int i = 0; i < times; i++) assert_int_equal(oom_run(f, p, DF_TENSORS(x)), n);
    df_tensor_unref(x);
    oom_free(p, s, g, rt);
}

/* ---- copies in runs ------------------------------------------------------ */

static void copy_over(fault_allocator *f, void *arg) {
    run_over(f, oom_runtime(f, *(const int *)arg), build_over_sims, FEW, 2);
}

size_t oom_in_copies(void) {
    size_t n = 0;
    for (int workers = 0; workers <= 1; workers++) n += fault_each_allocation(copy_over, &workers);
    return n;
}

/* SIM, whose copies go through pinned memory. */
static const df_device_ops *pinned_kind(void) {
    static const df_sim_options o = {.struct_size = sizeof o, .flags = DF_SIM_PINNED};
    static df_device_ops ops;
    df_sim_kind(&o, &ops);
    return &ops;
}

static df_runtime *runtime_of_kind(fault_allocator *f, const char *devices,
                                   const df_device_ops *kind) {
    return oom_runtime_of(f, (df_runtime_options){.devices = devices,
                                                  .kinds = (const df_device_ops *const[]){kind},
                                                  .n_kinds = 1});
}

static void copy_staged(fault_allocator *f, void *arg) {
    (void)arg;
    run_over(f, runtime_of_kind(f, "cpu:1,sim:1", pinned_kind()), build_over_sim, MANY, 1);
}

size_t oom_in_staged_copies(void) {
    return fault_each_allocation(copy_staged, NULL);
}

static df_code copy_there(df_kernel *k, df_error *err) {
    (void)err;
    const df_tensor *from = df_kernel_input(k, 0);
    memcpy(df_tensor_data(df_kernel_output(k, 0)), df_tensor_data(from), df_tensor_bytes(from));
    return DF_OK;
}

static df_code register_same(df_runtime *rt, df_error *err) {
    static const df_op_def op = {
        .struct_size = sizeof op, .signature = "Same(x: int64) : x", .infer = df_infer_same};
    static const df_kernel_def kernel = {
        .struct_size = sizeof kernel, .op = "Same", .devices = "THREAD", .compute = copy_there};
    df_code code = df_op_register(rt, &op, err);
    return code == DF_OK ? df_kernel_register(rt, &kernel, err) : code;
}

static void build_over_threads(df_graph *g) {
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SHAPE(-1));
    df_graph_on(g, "thread:0");
    df_node *y = df_node_add(g, "Same", &x, 1, NULL, 0);
    df_graph_on(g, "thread:1");
    df_node *z = df_node_add(g, "Same", &(df_out){y, 0}, 1, NULL, 0);
    df_graph_on(g, NULL);
    (void)oom_named(g, "end", df_sum(g, df_node_output(z, 0), NULL, 0, false));
}

static void run_own_kind(fault_allocator *f, void *arg) {
    (void)arg;
    df_error err;
    df_runtime *rt;
    for (;;) {
        rt = runtime_of_kind(f, "cpu:1,thread:2", &thread_device_ops);
        if (!oom_again(f, register_same(rt, &err), &err)) break;
        df_runtime_free(rt);
    }
    run_over(f, rt, build_over_threads, FEW, 2);
}

size_t oom_in_own_kind(void) {
    return fault_each_allocation(run_own_kind, NULL);
}

/* ---- tensors on devices -------------------------------------------------- */

static df_tensor *copied(fault_allocator *f, df_device *to, df_tensor *t) {
    df_tensor *copy = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_device_copy(to, t, &copy, &err));
    return copy;
}

static void assert_ones(fault_allocator *f, df_runtime *rt, df_tensor *t) {
    df_tensor *here = copied(f, df_runtime_device(rt, 0), t);
    const int64_t *v = df_tensor_data(here);
    for (int64_t i = 0; i < df_tensor_elements(here); i++) assert_int_equal(v[i], 1);
    df_tensor_unref(here);
}

static void copy_by_hand(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_tensor *t = ones(FEW);
    df_tensor *there = copied(f, df_runtime_device(rt, 2), t);
    df_tensor *other = copied(f, df_runtime_device(rt, 3), there);
    assert_ones(f, rt, other);
    df_tensor_unref(t);
    OOM_WITHOUT(f, df_tensor_unref(there));
    df_runtime_free(rt);
    df_tensor_unref(other); /* it outlives the runtime */
}

size_t oom_in_device_copy(void) {
    return fault_each_allocation(copy_by_hand, NULL);
}

static df_tensor *made(fault_allocator *f, df_device *d) {
    df_tensor *t = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_device_tensor(d, DF_INT64, DF_SHAPE(FEW), &t, &err));
    return t;
}

static void make_there(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_tensor *here = made(f, df_runtime_device(rt, 1)), *there = made(f, df_runtime_device(rt, 2));
    df_memory_info info = {.struct_size = sizeof info};
    OOM_WITHOUT(f, {
        assert_int_equal(df_device_memory(df_runtime_device(rt, 2), &info, NULL), DF_OK);
        assert_true(info.in_use >= FEW * sizeof(int64_t));
        df_tensor_unref(there);
        df_tensor_unref(here);
    });
    df_runtime_free(rt);
}

size_t oom_in_device_tensor(void) {
    return fault_each_allocation(make_there, NULL);
}

static void count_release(void *user, void *address) {
    (void)address;
    ++*(int *)user;
}

static void wrap_there(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_device *sim = df_runtime_device(rt, 2);
    df_tensor *host = ones(FEW), *there = copied(f, sim, host), *wrapped = NULL;
    df_error err;
    int released = 0;
    OOM_UNTIL_OK(f, err,
                 df_device_wrap(sim, DF_INT64, DF_SHAPE(FEW), df_tensor_address(there),
                                count_release, &released, &wrapped, &err));
    assert_ones(f, rt, wrapped);
    assert_int_equal(released, 0);
    df_tensor_unref(wrapped);
    df_tensor_unref(there);
    df_tensor_unref(host);
    df_runtime_free(rt);
    assert_int_equal(released, 1);
}

size_t oom_in_device_wrap(void) {
    return fault_each_allocation(wrap_there, NULL);
}

static int n_pinned;

static df_code pin(void *device, void *block, size_t bytes, df_error *err) {
    (void)device;
    (void)block;
    (void)bytes;
    (void)err;
    n_pinned++;
    return DF_OK;
}

static void unpin(void *device, void *block) {
    (void)device;
    (void)block;
    n_pinned--;
}

static void pin_here(fault_allocator *f, void *arg) {
    (void)arg;
    df_device_ops ops = *pinned_kind();
    ops.host_register = pin;
    ops.host_unregister = unpin;
    df_runtime *rt = runtime_of_kind(f, "cpu:1,sim:1", &ops);
    df_tensor *pinned = NULL;
    df_error err;
    int released = 0;
    static int64_t numbers[FEW];
    for (int i = 0; i < FEW; i++) numbers[i] = 1;
    OOM_UNTIL_OK(f, err,
                 df_device_pin(df_runtime_device(rt, 1), DF_INT64, DF_SHAPE(FEW), numbers,
                               count_release, &released, &pinned, &err));
    assert_int_equal(n_pinned, 1);
    df_tensor *there = copied(f, df_runtime_device(rt, 1), pinned);
    assert_ones(f, rt, there);
    df_tensor_unref(there);
    df_tensor_unref(pinned);
    df_runtime_free(rt);
    assert_int_equal(n_pinned, 0);
    assert_int_equal(released, 1);
}

size_t oom_in_device_pin(void) {
    return fault_each_allocation(pin_here, NULL);
}

/* ---- what stays there from run to run ------------------------------------ */

static void run_there(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_over_sims);
    df_session *s = oom_session(f, g);
    df_program *p = NULL;
    df_error err;
    df_compile_options o = {.struct_size = sizeof o,
                            .feed_devices = (const char *const[]){"sim:0"},
                            .fetch_devices = (const char *const[]){"sim:1"}};
    OOM_UNTIL_OK(
        f, err,
        df_session_compile(s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "z")), &o, &p, &err));
    df_tensor *host = ones(FEW), *fed = copied(f, df_runtime_device(rt, 2), host), *left = NULL;
    for (int i = 0; i < 2; i++) {
        OOM_UNTIL_OK(f, err, df_program_run(p, DF_TENSORS(fed), &left, NULL, &err));
        assert_ptr_equal(df_tensor_device(left), df_runtime_device(rt, 3));
        assert_ones(f, rt, left);
        df_tensor_unref(left);
    }
    df_tensor_unref(fed);
    df_tensor_unref(host);
    oom_free(p, s, g, rt);
}

size_t oom_in_feeds_and_fetches_on_devices(void) {
    return fault_each_allocation(run_there, NULL);
}

/* ---- a rendezvous of the program's own ----------------------------------- */

static df_code create(void *user, const df_step_info *step, df_rendezvous **out, df_error *err) {
    (void)step;
    return df_rendezvous_new_local(&((fault_allocator *)user)->allocator, out, err);
}

static void meet_elsewhere(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_over_sims);
    const df_rendezvous_factory own = {.struct_size = sizeof own, .user = f, .create = create};
    const df_session_options o = {.struct_size = sizeof o, .rendezvous = &own};
    df_session *s = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_session_new(g, &o, &s, &err));
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "end")));
    df_tensor *x = ones(FEW);
    for (int i = 0; i < 2; i++) assert_int_equal(oom_run(f, p, DF_TENSORS(x)), FEW);
    df_tensor_unref(x);
    oom_free(p, s, g, rt);
}

size_t oom_in_own_rendezvous(void) {
    return fault_each_allocation(meet_elsewhere, NULL);
}

/* ---- what a run took ----------------------------------------------------- */

static void measure(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_over_sims);
    df_session *s = oom_session(f, g);
    df_program *p = oom_program(f, s, DF_OUTS(oom_out(g, "x")), DF_OUTS(oom_out(g, "end")));
    df_tensor *x = ones(FEW), *result = NULL;
    df_error err;
    df_pair_traffic pairs[4];
    df_run_stats st = {.struct_size = sizeof st, .timed = true, .pairs = pairs, .n_pairs = 4};
    do {
        st.n_pairs = 4;
        (void)df_program_run(p, DF_TENSORS(x), &result, RUN_OPTIONS(.stats = &st), &err);
    } while (!result && oom_again(f, err.code, &err));
    assert_int_equal(run_value(result), FEW);
    assert_int_equal(st.n_pairs, 3);
    assert_int_equal(st.transfers, 3);
    df_tensor_unref(result);
    df_tensor_unref(x);
    oom_free(p, s, g, rt);
}

size_t oom_in_stats(void) {
    return fault_each_allocation(measure, NULL);
}
