/* SPDX-License-Identifier: MIT
 *
 * The CPU as a device, by the public headers: what the suite for kinds asks of memory and copies,
 * asked of host memory, which has neither queues nor calls of its own.
 *
 * What goes from one CPU to another is the tensor itself, not a copy, and nobody waits for it,
 * whatever it is and whoever runs it: small or large, empty, strings, of a shape that is not known
 * before, made by a kernel, fed, or held by a variable.
 */
#include <dataflow/dataflow.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CPUS = 3, MOST_WORKERS = 2, ALIGNMENT = 64, PAIRS = CPUS * CPUS };

/* ---- an op that says where its input lies ------------------------------------- */

static df_code scalar(df_infer *c, df_error *err) {
    return df_infer_set(c, 0, DF_SCALAR, err);
}

static df_code where(df_kernel *k, df_error *err) {
    int64_t at = (int64_t)(intptr_t)df_tensor_data(df_kernel_input(k, 0));
    (void)err;
    memcpy(df_tensor_data(df_kernel_output(k, 0)), &at, sizeof at);
    return DF_OK;
}

typedef struct world {
    df_runtime *rt;
    df_graph *g;
    df_session *s;
    df_program *p;
    df_error err;
} world;

#define OK(w, call)                                                                                \
    do {                                                                                           \
        if ((call) != DF_OK) fail_msg("%s", (w)->err.message);                                     \
    } while (0)

static void world_open(world *w, int workers) {
    const df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:3", .workers = workers};
    const df_op_def op = {
        .struct_size = sizeof op, .signature = "Where(x: any) : int64", .infer = scalar};
    const df_kernel_def kernel = {
        .struct_size = sizeof kernel, .op = "Where", .devices = "CPU", .compute = where};
    *w = (world){.rt = NULL};
    OK(w, df_runtime_new(&o, &w->rt, &w->err));
    OK(w, df_op_register(w->rt, &op, &w->err));
    OK(w, df_kernel_register(w->rt, &kernel, &w->err));
    w->g = df_graph_new(w->rt);
}

static void world_close(world *w) {
    df_program_free(w->p);
    df_session_free(w->s);
    df_graph_free(w->g);
    df_runtime_free(w->rt);
}

static void on_cpu(df_graph *g, int i) {
    static const char *const names[CPUS] = {"cpu:0", "cpu:1", "cpu:2"};
    df_graph_on(g, names[i]);
}

static df_out where_on(world *w, int cpu, df_out x) {
    on_cpu(w->g, cpu);
    return df_node_output(df_node_add(w->g, "Where", &x, 1, NULL, 0), 0);
}

static void compile(world *w, df_outs feeds, df_outs fetches) {
    OK(w, df_session_new(w->g, NULL, &w->s, &w->err));
    OK(w, df_session_compile(w->s, feeds, fetches, NULL, &w->p, &w->err));
}

/* ---- one value, looked at on every CPU ------------------------------------------- */

typedef struct seen {
    int64_t at[CPUS];
    df_run_stats stats;
    df_pair_traffic pairs[PAIRS];
    df_tensor *value; /* as it was fetched */
} seen;

static void look(world *w, df_tensors feeds, seen *s) {
    df_tensor *results[CPUS + 1];
    *s = (seen){.stats = {.struct_size = sizeof s->stats, .n_pairs = PAIRS}};
    s->stats.pairs = s->pairs;
    const df_run_options o = {.struct_size = sizeof o, .stats = &s->stats};
    OK(w, df_program_run(w->p, feeds, results, &o, &w->err));
    for (int i = 0; i < CPUS; i++) {
        memcpy(&s->at[i], df_tensor_data(results[i]), sizeof s->at[i]);
        df_tensor_unref(results[i]);
    }
    s->value = results[CPUS];
}

/* x on each, and as it is. */
static void compile_looks(world *w, df_outs feeds, df_out x) {
    df_out fetches[CPUS + 1];
    for (int i = 0; i < CPUS; i++) fetches[i] = where_on(w, i, x);
    fetches[CPUS] = x;
    on_cpu(w->g, 0);
    compile(w, feeds, (df_outs){fetches, CPUS + 1});
}

static void assert_nobody_waited(const seen *s) {
    assert_int_equal(s->stats.fences, 0);
    assert_int_equal(s->stats.queue_waits, 0);
    assert_int_equal(s->stats.host_waits, 0);
    assert_int_equal(s->stats.staged, 0);
}

static uint64_t carried(const seen *s, const df_device *from, const df_device *to) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->stats.n_pairs && i < PAIRS; i++)
        if (s->pairs[i].from == from && s->pairs[i].to == to) bytes += s->pairs[i].bytes;
    return bytes;
}

static void assert_same_everywhere(world *w, const seen *s, size_t bytes) {
    const df_device *one = df_runtime_device(w->rt, 1), *two = df_runtime_device(w->rt, 2);
    assert_nobody_waited(s);
    for (int i = 1; i < CPUS; i++) assert_true(s->at[i] == s->at[0]);
    assert_int_equal(s->at[0] % ALIGNMENT, 0);
    assert_int_equal(carried(s, one, two), bytes);
    assert_int_equal(df_tensor_bytes(s->value), bytes);
}

/* ---- what a kernel has made --------------------------------------------------------- */

static df_tensor *floats(int64_t n) {
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(n), &t, NULL), DF_OK);
    for (int64_t i = 0; i < n; i++) ((float *)df_tensor_data(t))[i] = (float)i;
    return t;
}

/* In its header, in a room of the frame, in a block of its own: each is stored in another way. */
static const int64_t sizes[] = {0, 1, 16, 17, 1000, 100000, 1000000};
enum { SIZES = sizeof sizes / sizeof *sizes, STEPS = 3 };

static void run_sizes(int workers, bool is_known) {
    for (int i = 0; i < SIZES; i++) {
        world w;
        seen s;
        world_open(&w, workers);
        on_cpu(w.g, 0);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(is_known ? sizes[i] : -1));
        on_cpu(w.g, 1);
        compile_looks(&w, DF_OUTS(x), df_neg(w.g, x));
        df_tensor *fed = floats(sizes[i]);
        for (int k = 0; k < STEPS; k++) { /* the first is cold */
            look(&w, DF_TENSORS(fed), &s);
            assert_same_everywhere(&w, &s, df_tensor_bytes(fed));
            for (int64_t e = 0; e < sizes[i]; e++)
                assert_true(((float *)df_tensor_data(s.value))[e] == -(float)e);
            df_tensor_unref(s.value);
        }
        df_tensor_unref(fed);
        world_close(&w);
    }
}

static void what_a_kernel_has_made_is_the_same_tensor_on_every_cpu(void **state) {
    (void)state;
    for (int workers = 0; workers <= MOST_WORKERS; workers++) run_sizes(workers, true);
}

static void so_is_one_whose_shape_was_not_known(void **state) {
    (void)state;
    for (int workers = 0; workers <= MOST_WORKERS; workers++) run_sizes(workers, false);
}

/* ---- what was fed, and what a variable holds -------------------------------------------- */

static void given_back(void *user, void *data) {
    (void)data;
    (void)atomic_fetch_add((atomic_int *)user, 1);
}

/* The caller's memory, not a copy of it, however it is aligned; until the step is over. */
static void what_is_lent_is_read_where_it_lies_on_every_cpu(void **state) {
    (void)state;
    enum { N = 1000 };
    static float memory[N + 1];
    for (int workers = 0; workers <= MOST_WORKERS; workers++) {
        world w;
        seen s;
        atomic_int released = 0;
        df_tensor *fed = NULL;
        world_open(&w, workers);
        on_cpu(w.g, 0);
        df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(N));
        compile_looks(&w, DF_OUTS(x), x);
        assert_int_equal(df_tensor_wrap(NULL, DF_FLOAT32, DF_SHAPE(N), memory + 1, given_back,
                                        &released, &fed, NULL),
                         DF_OK);

        look(&w, DF_TENSORS(fed), &s);

        assert_nobody_waited(&s);
        for (int i = 0; i < CPUS; i++) assert_true(s.at[i] == (int64_t)(intptr_t)(memory + 1));
        assert_int_equal(atomic_load(&released), 0);
        df_tensor_unref(s.value);
        df_tensor_unref(fed);
        assert_int_equal(atomic_load(&released), 1);
        world_close(&w);
    }
}

static void what_a_variable_holds_is_the_same_tensor_on_every_cpu(void **state) {
    (void)state;
    for (int workers = 0; workers <= MOST_WORKERS; workers++) {
        world w;
        seen s;
        world_open(&w, workers);
        on_cpu(w.g, 1);
        df_tensor *initial = floats(1000);
        df_out v = df_variable_from(w.g, "v", df_const(w.g, initial));
        compile_looks(&w, DF_NO_OUTS, df_read(w.g, v));
        int64_t at = 0;
        for (int k = 0; k < STEPS; k++) {
            look(&w, DF_NO_TENSORS, &s);
            assert_same_everywhere(&w, &s, df_tensor_bytes(initial));
            assert_true(k == 0 || s.at[0] == at); /* nobody writes it */
            at = s.at[0];
            df_tensor_unref(s.value);
        }
        df_tensor_unref(initial);
        world_close(&w);
    }
}

/* ---- strings ------------------------------------------------------------------------------ */

static void strings_are_the_same_tensor_on_every_cpu(void **state) {
    (void)state;
    const df_string texts[] = {{"a", 1}, {NULL, 0}, {"three\0bytes", 11}};
    for (int workers = 0; workers <= MOST_WORKERS; workers++) {
        world w;
        seen s;
        df_tensor *fed = NULL;
        world_open(&w, workers);
        on_cpu(w.g, 0);
        df_out x = df_placeholder(w.g, "x", DF_STRING, DF_SHAPE(3));
        compile_looks(&w, DF_OUTS(x), x);
        assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(3), texts, &fed, NULL), DF_OK);

        look(&w, DF_TENSORS(fed), &s);

        assert_nobody_waited(&s);
        for (int i = 0; i < CPUS; i++)
            assert_true(s.at[i] == (int64_t)(intptr_t)df_tensor_data(fed));
        const df_string *is = df_tensor_data(s.value);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(is[i].size, texts[i].size);
            if (is[i].size) assert_memory_equal(is[i].data, texts[i].data, is[i].size);
        }
        df_tensor_unref(s.value);
        df_tensor_unref(fed);
        world_close(&w);
    }
}

/* ---- the device itself ----------------------------------------------------------------------- */

static df_memory_info memory_of(const df_device *d) {
    df_memory_info info = {.struct_size = sizeof info};
    assert_int_equal(df_device_memory(d, &info, NULL), DF_OK);
    return info;
}

/* They share one memory, whose limit is the allocator's; a result has its part of it until it is
 * given back. */
static void cpus_have_names_of_their_own_and_one_memory(void **state) {
    (void)state;
    world w;
    seen s;
    world_open(&w, 0);
    on_cpu(w.g, 0);
    df_out x = df_placeholder(w.g, "x", DF_FLOAT32, DF_SHAPE(-1));
    on_cpu(w.g, 1);
    compile_looks(&w, DF_OUTS(x), df_neg(w.g, x));
    df_tensor *fed = floats(100000);
    look(&w, DF_TENSORS(fed), &s); /* a program that has run keeps some */
    df_tensor_unref(s.value);
    uint64_t before = memory_of(df_runtime_device(w.rt, 0)).in_use;

    look(&w, DF_TENSORS(fed), &s);

    for (size_t i = 0; i < CPUS; i++) {
        const df_device *d = df_runtime_device(w.rt, i);
        df_memory_info info = memory_of(d);
        assert_string_equal(df_device_kind(d), "CPU");
        assert_null(df_device_queue(d));
        for (size_t k = 0; k < i; k++) {
            const df_device *other = df_runtime_device(w.rt, k);
            assert_string_not_equal(df_device_name(d), df_device_name(other));
            assert_true(df_device_incarnation(d) != df_device_incarnation(other));
        }
        assert_true(info.limit == UINT64_MAX);
        assert_true(info.in_use >= before + df_tensor_bytes(s.value));
    }
    df_tensor_unref(s.value);
    assert_int_equal(memory_of(df_runtime_device(w.rt, 2)).in_use, before);
    df_tensor_unref(fed);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_kernel_has_made_is_the_same_tensor_on_every_cpu),
        cmocka_unit_test(so_is_one_whose_shape_was_not_known),
        cmocka_unit_test(what_is_lent_is_read_where_it_lies_on_every_cpu),
        cmocka_unit_test(what_a_variable_holds_is_the_same_tensor_on_every_cpu),
        cmocka_unit_test(strings_are_the_same_tensor_on_every_cpu),
        cmocka_unit_test(cpus_have_names_of_their_own_and_one_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
