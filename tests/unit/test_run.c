/* SPDX-License-Identifier: MIT
 *
 * Runs beside the caller: outcomes, their order, the loop and the threads that drive them, and what
 * a run took.
 */
#include "unit/run_world.h"
#include "unit/share_world.h"

static const int workers[] = {0, 1, 3};
enum { N_WORKERS = 3, MANY = 20 };

/* ---- outcomes ------------------------------------------------------------ */

static void a_run_beside_tells_its_results_once(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "cpu:1", "sim:0"};
    for (int i = 0; i < 9; i++) {
        slow_world o;
        told t[MANY];
        slow_open(&o, workers[i / 3], i % 2 ? "TestAsync" : "TestCopy", places[i % 3]);
        for (int k = 0; k < MANY; k++) {
            told_init(&t[k]);
            slow_start(&o, NULL, &t[k]);
        }
        for (int k = 0; k < MANY; k++) {
            slow_await(&o, &t[k]);
            assert_told(&t[k], DF_OK, NULL);
            assert_int_equal(t[k].value, 42);
            told_fini(&t[k]);
        }
        assert_int_equal(run_int(&o.w, o.count), MANY);
        slow_close(&o);
    }
}

static void a_run_beside_fails_with_the_nodes_words(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t;
        slow_open(&o, workers[i], "TestCopy", "cpu:1");
        o.probe.way = PROBE_FAILS;
        o.probe.code = DF_DATA_LOSS;
        told_init(&t);
        slow_start(&o, NULL, &t);
        slow_await(&o, &t);
        assert_told(&t, DF_DATA_LOSS, "node slow (TestCopy)");
        told_fini(&t);
        assert_int_equal(run_int(&o.w, o.count), 0);
        slow_close(&o);
    }
}

static void what_cannot_start_is_told_inside_the_call(void **state) {
    (void)state;
    slow_world o;
    told t;
    slow_open(&o, 0, "TestCopy", "cpu:0");
    told_init(&t);
    df_program_start(o.slow, DF_NO_TENSORS, NULL, tell, &t);
    assert_told(&t, DF_INVALID_ARGUMENT, "the number of feeds is 0 and must be 1");
    told_fini(&t);
    told_init(&t);
    df_program_start(NULL, DF_NO_TENSORS, NULL, tell, &t);
    assert_told(&t, DF_INVALID_ARGUMENT, "the program is NULL");
    told_fini(&t);
    slow_close(&o);
}

static void with_no_workers_nothing_runs_before_somebody_polls(void **state) {
    (void)state;
    slow_world o;
    told t[3];
    slow_open(&o, 0, "TestCopy", "cpu:0");
    assert_int_equal(df_runtime_poll(o.w.rt, 1000000000, NULL),
                     0); /* there is nothing to wait for */
    for (int i = 0; i < 3; i++) {
        told_init(&t[i]);
        slow_start(&o, NULL, &t[i]);
        assert_int_equal(told_calls(&t[i]), 0);
    }
    assert_int_equal(probe_runs(&o.probe), 0);

    uint64_t next = 0;
    assert_int_equal(df_runtime_poll(o.w.rt, 0, &next), 0);

    assert_true(next == UINT64_MAX);
    for (int i = 0; i < 3; i++) {
        assert_told(&t[i], DF_OK, NULL);
        told_fini(&t[i]);
    }
    slow_close(&o);
}

/* Each takes what it finds, and adds one. */
static void runs_that_share_a_variable_go_in_the_order_started(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        run_world w;
        told t[MANY];
        run_open(&w, "cpu:2,sim:1", workers[i]);
        df_graph_on(w.g, i == 1 ? "sim:0" : "cpu:1");
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_program *p =
            run_compile(&w, DF_NO_OUTS, DF_OUTS(df_assign_add(w.g, v, run_const(w.g, 1))));
        for (int k = 0; k < MANY; k++) {
            told_init(&t[k]);
            df_program_start(p, DF_NO_TENSORS, NULL, tell, &t[k]);
        }
        for (int k = 0; k < MANY; k++) {
            told_await(&t[k], workers[i] ? NULL : w.rt);
            assert_told(&t[k], DF_OK, NULL);
            assert_int_equal(t[k].value, k + 1);
            told_fini(&t[k]);
        }
        df_program_free(p);
        run_close(&w);
    }
}

/* ---- freeing, and starting from done -------------------------------------- */

static void a_program_may_be_freed_as_soon_as_its_run_has_started(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t;
        slow_open(&o, workers[i], "TestCopy", "sim:0");
        told_init(&t);
        slow_start(&o, NULL, &t);
        df_program_free(o.slow);
        o.slow = NULL;
        slow_await(&o, &t);
        assert_told(&t, DF_OK, NULL);
        told_fini(&t);
        slow_close(&o);
    }
}

typedef struct chain {
    told t; /* first */
    slow_world *o;
    int left;
} chain;

static void start_next(told *t) {
    chain *c = (chain *)t;
    if (c->left-- == 0) {
        df_program_free(c->o->slow);
        c->o->slow = NULL;
        return;
    }
    c->t.calls = 0;
    slow_start(c->o, NULL, &c->t);
}

static void feeds_may_be_given_back_as_soon_as_a_run_has_started(void **state) {
    (void)state;
    slow_world o;
    told t;
    slow_open(&o, 0, "TestCopy", NULL);
    df_tensor *fed = run_scalar(&o.w.f.allocator, 9);
    told_init(&t);
    df_program_start(o.slow, DF_TENSORS(fed), NULL, tell, &t);
    df_tensor_unref(fed);
    slow_await(&o, &t);
    assert_told(&t, DF_OK, NULL);
    assert_int_equal(t.value, 9);
    told_fini(&t);
    slow_close(&o);
}

static void done_may_start_the_next_run_and_free_the_program(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        slow_open(&o, workers[i], "TestCopy", "cpu:1");
        chain c = {.o = &o, .left = MANY};
        told_init(&c.t);
        c.t.then = start_next;
        slow_start(&o, NULL, &c.t);
        while (probe_runs(&o.probe) < MANY + 1)
            if (o.polls) (void)df_runtime_poll(o.w.rt, 1000, NULL);
        while (df_runtime_poll(o.w.rt, 1000, NULL)) {
        }
        assert_int_equal(df_session_close(o.w.s, UINT64_MAX, NULL),
                         DF_OK); /* the last done is over */
        assert_null(o.slow);
        told_fini(&c.t);
        slow_close(&o);
    }
}

static void the_runtimes_end_cancels_what_still_runs(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        slow_world o;
        told t[2];
        slow_open(&o, workers[i], "TestAsync", "cpu:1");
        o.probe.way = PROBE_KEEPS;
        for (int k = 0; k < 2; k++) {
            told_init(&t[k]);
            slow_start(&o, NULL, &t[k]); /* the second waits for its turn */
        }
        df_kernel_handle h = slow_await_kept(&o, 1);
        df_program_free(o.slow);
        df_program_free(o.count);
        df_session_free(o.w.s);
        df_graph_free(o.w.g);
        assert_int_equal(told_calls(&t[0]), 0);

        df_runtime_free(o.w.rt);

        for (int k = 0; k < 2; k++) {
            assert_told(&t[k], DF_CANCELLED, "the runtime was freed");
            told_fini(&t[k]);
        }
        assert_true(fault_live_blocks(&o.w.f) > 0); /* what the kernel uses */
        df_kernel_done(h, NULL);                    /* and it goes with it */
        fault_allocator_end(&o.w.f);
        df_tensor_unref(o.fed);
        probe_fini(&o.probe);
    }
}

/* ---- threads of the program's own ------------------------------------------ */

/* A loop that sleeps until it is woken. */
typedef struct loop {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    int wakes; /* not yet answered */
    bool stop;
    df_runtime *rt;
} loop;

static void wake_loop(void *user) {
    loop *l = user;
    (void)pthread_mutex_lock(&l->lock);
    l->wakes++;
    (void)pthread_cond_signal(&l->woken);
    (void)pthread_mutex_unlock(&l->lock);
}

static void *run_loop(void *arg) {
    loop *l = arg;
    (void)pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (!l->wakes) {
            (void)pthread_cond_wait(&l->woken, &l->lock);
            continue;
        }
        l->wakes--;
        (void)pthread_mutex_unlock(&l->lock);
        (void)df_runtime_poll(l->rt, 0, NULL);
        (void)pthread_mutex_lock(&l->lock);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void lent_threads_are_asked_for_and_run_everything(void **state) {
    (void)state;
    for (int n = 0; n <= 2; n++) {
        slow_world o;
        told t[MANY];
        pthread_t threads[2];
        loop l = {.wakes = 0};
        (void)pthread_mutex_init(&l.lock, NULL);
        (void)pthread_cond_init(&l.woken, NULL);
        df_lent_threads lent = {
            .struct_size = sizeof lent, .user = &l, .count = n, .wake = wake_loop};
        slow_open_with(&o, (df_runtime_options){.devices = "cpu:2,sim:1", .lent = &lent},
                       "TestAsync", "cpu:1");
        o.probe.way = PROBE_THREAD;
        l.rt = o.w.rt;
        for (int i = 0; i < (n ? n : 1); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, run_loop, &l), 0);
        for (int k = 0; k < MANY; k++) {
            told_init(&t[k]);
            slow_start(&o, NULL, &t[k]);
        }
        for (int k = 0; k < MANY; k++) {
            told_await(&t[k], NULL);
            assert_told(&t[k], DF_OK, NULL);
            told_fini(&t[k]);
        }
        assert_int_equal(run_int(&o.w, o.count), MANY);
        (void)pthread_mutex_lock(&l.lock);
        l.stop = true;
        (void)pthread_cond_broadcast(&l.woken);
        (void)pthread_mutex_unlock(&l.lock);
        for (int i = 0; i < (n ? n : 1); i++) (void)pthread_join(threads[i], NULL);
        slow_close(&o);
        (void)pthread_cond_destroy(&l.woken);
        (void)pthread_mutex_destroy(&l.lock);
    }
}

static void lent_threads_and_workers_exclude_each_other(void **state) {
    (void)state;
    df_lent_threads lent = {.struct_size = sizeof lent, .wake = wake_loop};
    df_runtime_options o = {.struct_size = sizeof o, .workers = 1, .lent = &lent};
    df_runtime *rt = NULL;
    df_error err;
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "workers is 1 and threads are lent"));
    o.workers = 0;
    lent.count = 1000;
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_INVALID_ARGUMENT);
    lent.count = 1;
    lent.wake = NULL;
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_INVALID_ARGUMENT);
}

/* ---- into the caller's memory ----------------------------------------------- */

static void results_go_into_the_callers_memory(void **state) {
    (void)state;
    slow_world o;
    told t;
    int64_t here = 0, there = 0;
    df_span into = {&here, sizeof here};
    slow_open(&o, 1, "TestCopy", "sim:0");
    assert_int_equal(
        df_program_run(o.slow, DF_TENSORS(o.fed), NULL, RUN_OPTIONS(.into = &into), NULL), DF_OK);
    assert_int_equal(here, 42);
    into.data = &there;
    told_init(&t);
    slow_start(&o, RUN_OPTIONS(.into = &into), &t);
    slow_await(&o, &t);
    assert_told(&t, DF_OK, NULL);
    assert_int_equal(there, 42);
    told_fini(&t);
    slow_close(&o);
}

static void memory_of_another_size_fails_the_run_and_changes_nothing(void **state) {
    (void)state;
    slow_world o;
    char small[4] = "abc";
    df_span into = {small, sizeof small};
    slow_open(&o, 0, "TestCopy", "cpu:0");
    assert_int_equal(slow_run(&o, RUN_OPTIONS(.into = &into)), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(o.w.err.message, "has 8 bytes of int64"));
    assert_non_null(strstr(o.w.err.message, "room for 4"));
    assert_string_equal(small, "abc");
    assert_int_equal(run_int(&o.w, o.count), 0);
    into.data = NULL;
    assert_int_equal(
        df_program_run(o.slow, DF_TENSORS(o.fed), NULL, RUN_OPTIONS(.into = &into), &o.w.err),
        DF_INVALID_ARGUMENT); /* nobody takes the result */
    slow_close(&o);
}

/* Some of them, one that is empty; and no strings, even if the room is as large as theirs. */
static void room_may_be_given_for_some_results(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
    df_out none = df_placeholder(w.g, "none", DF_INT64, DF_SHAPE(0));
    df_out word = df_placeholder(w.g, "word", DF_STRING, DF_SCALAR);
    df_out y = df_neg(w.g, x), z = df_neg(w.g, y), e = df_neg(w.g, none);
    df_out same = df_identity(w.g, word);
    df_program *p = run_compile(&w, DF_OUTS(x, none), DF_OUTS(y, z, e));
    df_program *says = run_compile(&w, DF_OUTS(word), DF_OUTS(same));
    int64_t here = 0, nothing = 0;
    df_span into[3] = {{&here, sizeof here}, {NULL, 0}, {&nothing, 0}}, room = {NULL, 0};
    df_tensor *three = run_scalar(NULL, 3), *empty, *said, *r[3];
    const df_string hello = {"hello", 5};
    assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(0), &empty, NULL), DF_OK);
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SCALAR, &hello, &said, NULL), DF_OK);
    if (df_program_run(p, DF_TENSORS(three, empty), r, RUN_OPTIONS(.into = into), &w.err) != DF_OK)
        fail_msg("%s", w.err.message);
    assert_int_equal(here, -3);
    assert_int_equal(run_value(r[1]), 3);
    assert_int_equal(df_tensor_bytes(r[2]), 0);
    for (int i = 0; i < 3; i++) df_tensor_unref(r[i]);

    char bytes[64];
    room = (df_span){bytes, df_tensor_bytes(said)};
    assert_int_equal(df_program_run(says, DF_TENSORS(said), r, RUN_OPTIONS(.into = &room), &w.err),
                     DF_INVALID_ARGUMENT);
    assert_non_null(strstr(w.err.message, "no room for strings"));
    df_tensor_unref(three);
    df_tensor_unref(empty);
    df_tensor_unref(said);
    df_program_free(p);
    df_program_free(says);
    run_close(&w);
}

/* ---- what a run took --------------------------------------------------------- */

static void a_run_tells_what_it_took(void **state) {
    (void)state;
    for (int i = 0; i < N_WORKERS; i++) {
        run_world w;
        df_pair_traffic pairs[8];
        run_open(&w, "cpu:2,sim:1", workers[i]);
        df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(10));
        df_graph_on(w.g, "cpu:1");
        df_out y = df_neg(w.g, x);
        df_graph_on(w.g, "sim:0");
        df_out z = df_neg(w.g, y);
        df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(z));
        df_tensor *fed = NULL, *result = NULL;
        assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(10), &fed, NULL), DF_OK);
        for (uint64_t nth = 1; nth <= 3; nth++) {
            df_run_stats st = {.struct_size = sizeof st, .pairs = pairs, .n_pairs = 8};
            assert_int_equal(
                df_program_run(p, DF_TENSORS(fed), &result, RUN_OPTIONS(.stats = &st), NULL),
                DF_OK);
            df_tensor_unref(result);
            assert_int_equal(st.step, nth);
            assert_true(st.program >= 1);
            /* x@feed, y, z, z@fetch, and three crossings of two nodes */
            assert_int_equal(st.nodes, 10);
            assert_int_equal(st.transfers, 3);
            assert_int_equal(st.bytes, 240);
            assert_int_equal(st.n_pairs, 3);
            assert_true(st.time > 0);
            for (int k = 0; k < 3; k++) {
                assert_int_equal(pairs[k].transfers, 1);
                assert_int_equal(pairs[k].bytes, 80);
                assert_ptr_not_equal(pairs[k].from, pairs[k].to);
            }
        }
        df_run_stats st = {.struct_size = sizeof st, .pairs = pairs, .n_pairs = 1};
        assert_int_equal(
            df_program_run(p, DF_TENSORS(fed), &result, RUN_OPTIONS(.stats = &st), NULL), DF_OK);
        df_tensor_unref(result);
        assert_int_equal(st.n_pairs, 3);
        assert_int_equal(st.bytes, 240);
        df_tensor_unref(fed);
        df_program_free(p);
        run_close(&w);
    }
}

static void what_crosses_between_two_devices_is_one_pairs(void **state) {
    (void)state;
    run_world w;
    df_pair_traffic pairs[8];
    run_open(&w, "cpu:2,sim:1", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(10));
    df_graph_on(w.g, "cpu:1");
    df_out a = df_neg(w.g, x), b = df_abs(w.g, x);
    df_graph_on(w.g, "sim:0");
    df_out z = df_add(w.g, a, b);
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(z, b));
    df_tensor *fed = NULL, *results[2];
    assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(10), &fed, NULL), DF_OK);
    df_run_stats st = {.struct_size = sizeof st, .pairs = pairs, .n_pairs = 8};
    assert_int_equal(df_program_run(p, DF_TENSORS(fed), results, RUN_OPTIONS(.stats = &st), NULL),
                     DF_OK);
    for (int i = 0; i < 2; i++) df_tensor_unref(results[i]);
    assert_int_equal(st.transfers, 5);
    assert_int_equal(st.n_pairs, 4);
    for (int k = 0; k < 4; k++) {
        bool two = pairs[k].to == df_runtime_device(w.rt, 2);
        assert_int_equal(pairs[k].transfers, two ? 2 : 1);
        assert_int_equal(pairs[k].bytes, two ? 160 : 80);
    }
    df_crossing last;
    assert_true(df_program_crossing(p, 4, &last));
    assert_false(df_program_crossing(p, 5, &last));
    assert_false(df_program_crossing(p, 4, NULL));
    df_tensor_unref(fed);
    df_program_free(p);
    run_close(&w);
}

static void a_run_beside_tells_what_it_took(void **state) {
    (void)state;
    run_world w;
    told t;
    df_pair_traffic pair;
    run_open(&w, "cpu:2", 0);
    df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "cpu:1");
    df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(df_neg(w.g, x)));
    df_tensor *fed = run_scalar(NULL, 3);
    df_run_stats st = {.struct_size = sizeof st, .pairs = &pair, .n_pairs = 1};
    told_init(&t);
    df_program_start(p, DF_TENSORS(fed), RUN_OPTIONS(.stats = &st), tell, &t);
    told_await(&t, w.rt);
    assert_told(&t, DF_OK, NULL);
    assert_int_equal(st.step, 1);
    assert_int_equal(st.nodes, 7); /* x@feed, neg, its fetch, and two crossings of two nodes */
    assert_int_equal(st.transfers, 2);
    assert_int_equal(st.bytes, 16);
    assert_int_equal(pair.transfers, 1);
    assert_true(st.time > 0);
    told_fini(&t);
    df_tensor_unref(fed);
    df_program_free(p);
    run_close(&w);
}

/* ---- what a frame holds between runs ----------------------------------------- */

static uint64_t bytes_in_use(const df_runtime *rt, int device) {
    df_memory_info info = {.struct_size = sizeof info};
    assert_int_equal(df_device_memory(df_runtime_device(rt, (size_t)device), &info, NULL), DF_OK);
    return info.in_use;
}

/* Whether the step succeeds or fails, and whether its last kernel ends at once, later or on a
 * queue: large values go with the node that reads them last. */
static void no_large_value_stays_behind_a_run(void **state) {
    enum { LARGE = 1 << 20 };
    static const struct {
        const char *op, *device;
        probe_way way;
        df_code code;
    } cases[] = {{"TestCopy", "cpu:0", PROBE_COPIES, DF_OK},
                 {"TestCopy", "cpu:0", PROBE_FAILS, DF_ABORTED},
                 {"TestAsync", "cpu:0", PROBE_COPIES, DF_OK},
                 {"TestAsync", "cpu:0", PROBE_ENDS_FAILED, DF_ABORTED},
                 {"TestCopy", "sim:0", PROBE_COPIES, DF_OK},
                 {"TestCopy", "sim:0", PROBE_FAILS, DF_ABORTED}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_world w;
        probe last;
        df_tensor *fed = NULL;
        run_open(&w, "cpu:1,sim:1", 0);
        probe_init(&last);
        last.way = cases[i].way;
        last.code = cases[i].code;
        df_out x = df_placeholder(w.g, "x", DF_INT64, DF_SHAPE(LARGE / 8));
        df_graph_on(w.g, cases[i].device);
        df_out y = probe_node(w.g, cases[i].op, df_neg(w.g, df_neg(w.g, x)), &last);
        df_program *p = run_compile(&w, DF_OUTS(x), DF_OUTS(y));
        assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(LARGE / 8), &fed, NULL), DF_OK);
        memset(df_tensor_data(fed), 0, LARGE);
        for (int n = 0; n < 3; n++) {
            df_tensor *result = NULL;
            df_code code = df_program_run(p, DF_TENSORS(fed), &result, NULL, &w.err);
            if (code != cases[i].code) fail_msg("%zu: %s", i, w.err.message);
            df_tensor_unref(result);
            for (int d = 0; d < 2; d++)
                if (bytes_in_use(w.rt, d) >= LARGE) fail_msg("%zu: large values stay", i);
        }
        df_tensor_unref(fed);
        df_program_free(p);
        run_close(&w);
        probe_fini(&last);
    }
}

/* Numbers of runs are of 64 bits, and nothing goes wrong behind the last. */
static void the_numbers_of_runs_go_round(void **state) {
    (void)state;
    run_world w;
    run_open(&w, "cpu:2,sim:1", 2);
    df_graph_on(w.g, "sim:0");
    df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(w.g, v, run_const(w.g, 1));
    df_graph_on(w.g, "cpu:1");
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_neg(w.g, n)));
    share_executor(&w, p)->n_runs = UINT64_MAX - 2;
    for (int i = 1; i <= 6; i++) {
        df_run_stats st = {.struct_size = sizeof st};
        df_run_options o = {.struct_size = sizeof o, .stats = &st};
        df_tensor *result = NULL;
        assert_int_equal(df_program_run(p, DF_NO_TENSORS, &result, &o, &w.err), DF_OK);
        assert_int_equal(run_value(result), -i);
        assert_true(st.step == UINT64_MAX - 2 + (uint64_t)i);
        df_tensor_unref(result);
    }
    df_program_free(p);
    run_close(&w);
}

static void a_refused_run_tells_that_it_was_none(void **state) {
    (void)state;
    slow_world o;
    df_run_stats st = {.struct_size = sizeof st, .step = 7, .nodes = 7};
    slow_open(&o, 0, "TestCopy", "cpu:0");
    assert_int_equal(df_session_close(o.w.s, 0, NULL), DF_OK);
    assert_int_equal(slow_run(&o, RUN_OPTIONS(.stats = &st)), DF_FAILED_PRECONDITION);
    assert_int_equal(st.step, 0);
    assert_int_equal(st.nodes, 0);
    st.struct_size = 3;
    assert_int_equal(slow_run(&o, RUN_OPTIONS(.stats = &st)), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(o.w.err.message, "df_run_stats"));
    slow_close(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_beside_tells_its_results_once),
        cmocka_unit_test(a_run_beside_fails_with_the_nodes_words),
        cmocka_unit_test(what_cannot_start_is_told_inside_the_call),
        cmocka_unit_test(with_no_workers_nothing_runs_before_somebody_polls),
        cmocka_unit_test(runs_that_share_a_variable_go_in_the_order_started),
        cmocka_unit_test(a_program_may_be_freed_as_soon_as_its_run_has_started),
        cmocka_unit_test(feeds_may_be_given_back_as_soon_as_a_run_has_started),
        cmocka_unit_test(done_may_start_the_next_run_and_free_the_program),
        cmocka_unit_test(the_runtimes_end_cancels_what_still_runs),
        cmocka_unit_test(lent_threads_are_asked_for_and_run_everything),
        cmocka_unit_test(lent_threads_and_workers_exclude_each_other),
        cmocka_unit_test(results_go_into_the_callers_memory),
        cmocka_unit_test(memory_of_another_size_fails_the_run_and_changes_nothing),
        cmocka_unit_test(a_run_tells_what_it_took),
        cmocka_unit_test(what_crosses_between_two_devices_is_one_pairs),
        cmocka_unit_test(a_run_beside_tells_what_it_took),
        cmocka_unit_test(no_large_value_stays_behind_a_run),
        cmocka_unit_test(the_numbers_of_runs_go_round),
        cmocka_unit_test(a_refused_run_tells_that_it_was_none),
        cmocka_unit_test(room_may_be_given_for_some_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
