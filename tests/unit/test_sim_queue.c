/* SPDX-License-Identifier: MIT
 *
 * The queue of the simulated accelerator: copies and launches in order, errors by step,
 * a thread that starts late and ends last.
 */
#include "unit/sim_world.h"
#include "support/scale.h"

#include <sched.h>

static void copies_of_any_size_come_back_as_they_went(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 3, 63, 64, 65, 4095, 4096, 4097, 100001};
    enum { N = sizeof sizes / sizeof *sizes };
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *there[N], *back[N];
    for (size_t i = 0; i < N; i++) {
        df_tensor *host = host_bytes(&w, sizes[i], (unsigned)i);
        there[i] = bytes_in(&w, d->mem, sizes[i]);
        back[i] = host_bytes(&w, sizes[i], 200);
        copy_in(d, NULL, there[i], host);
        df_tensor_unref(host);
    }
    for (size_t i = 0; i < N; i++) copy_out(d, NULL, back[i], there[i]);

    assert_true(join(d, NULL, NULL));

    for (size_t i = 0; i < N; i++) {
        assert_true(bytes_are(back[i], sizes[i], (unsigned)i));
        df_tensor_unref(there[i]);
        df_tensor_unref(back[i]);
    }
    world_end(&w);
}

static void work_runs_in_the_order_enqueued(void **state) {
    (void)state;
    enum { N = 200 };
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    static adder adders[N];
    int turns = 0;
    gate g;
    gate_shut(&g, d);
    for (int i = 0; i < N / 2; i++) adder_launch(&adders[i], d, NULL, NULL, &turns);
    gate_open(&g);
    for (int i = N / 2; i < N; i++) adder_launch(&adders[i], d, NULL, NULL, &turns);

    assert_true(join(d, NULL, NULL));

    for (int i = 0; i < N; i++) assert_int_equal(adders[i].turn, i + 1);
    gate_fini(&g);
    world_end(&w);
}

static void a_launch_runs_a_host_function_on_device_tensors(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *host = host_bytes(&w, 1000, 10), *there = bytes_in(&w, d->mem, 1000);
    df_tensor *back = host_bytes(&w, 1000, 0);
    adder a;

    copy_in(d, NULL, there, host);
    adder_launch(&a, d, NULL, there, NULL);
    copy_out(d, NULL, back, there);

    assert_true(join(d, NULL, NULL));
    assert_true(bytes_are(back, 1000, 11));
    df_tensor_unref(host);
    df_tensor_unref(there);
    df_tensor_unref(back);
    world_end(&w);
}

static void a_launch_gets_host_tensors_and_empty_ones_as_they_are(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *host = host_bytes(&w, 100, 10), *none = bytes_in(&w, d->mem, 0);
    adder on_host, on_none;

    adder_launch(&on_host, d, NULL, host, NULL);
    adder_launch(&on_none, d, NULL, none, NULL);

    assert_true(join(d, NULL, NULL));
    assert_true(bytes_are(host, 100, 11));
    df_tensor_unref(host);
    df_tensor_unref(none);
    world_end(&w);
}

static void a_launch_on_memory_that_is_not_there_does_not_run(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    step s;
    step_init(&s);
    df_tensor *there = bytes_in(&w, d->mem, 64);
    df_tensor wrong = *there;
    wrong.bytes = 4096;
    int turns = 0;
    adder a;

    adder_launch(&a, d, &s, &wrong, &turns);

    assert_false(join(d, &s, NULL));
    assert_int_equal(s.why.code, DF_INTERNAL);
    assert_int_equal(turns, 0);
    df_tensor_unref(there);
    world_end(&w);
}

static void failing_work_poisons_the_rest_of_its_step_and_nothing_else(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    step bad, good;
    step_init(&bad);
    step_init(&good);
    df_tensor *host = host_bytes(&w, 70, 1), *there = bytes_in(&w, d->mem, 70);
    df_tensor *skipped = host_bytes(&w, 70, 50), *copied = host_bytes(&w, 70, 60);
    int bad_turns = 0, good_turns = 0;
    adder before, behind, other;
    launch failing;

    adder_launch(&before, d, &bad, NULL, &bad_turns);
    fence *early = record(d, &bad);
    failing_launch(&failing, d, &bad);
    adder_launch(&behind, d, &bad, NULL, &bad_turns);
    copy_in(d, &good, there, host);
    copy_out(d, &bad, skipped, there);
    adder_launch(&other, d, &good, NULL, &good_turns);
    copy_out(d, &good, copied, there);

    df_error why;
    assert_false(join(d, &bad, &why));
    assert_true(join(d, &good, NULL));
    assert_true(join(d, NULL, NULL));
    assert_true(fence_wait(early, NULL));
    assert_int_equal(why.code, DF_ABORTED);
    assert_true(why.flags & DF_ERROR_DERIVED);
    assert_non_null(strstr(why.message, "device:SIM:0"));
    assert_int_equal(bad.told, 1);
    assert_int_equal(bad.why.code, DF_OUT_OF_RANGE);
    assert_string_equal(bad.why.message, "node y (Gather): index 9 of 4");
    assert_int_equal(good.told, 0);
    assert_int_equal(bad_turns, 1);
    assert_int_equal(good_turns, 1);
    assert_true(bytes_are(skipped, 70, 50));
    assert_true(bytes_are(copied, 70, 1));
    fence_unref(early);
    df_tensor_unref(host);
    df_tensor_unref(there);
    df_tensor_unref(skipped);
    df_tensor_unref(copied);
    world_end(&w);
}

static void work_of_a_step_that_failed_elsewhere_is_skipped(void **state) {
    (void)state;
    world w;
    world_init(&w);
    step s;
    step_init(&s);
    const df_error why = {.code = DF_CANCELLED};
    step_fail(&s.work, &why);
    int turns = 0;
    adder a;

    adder_launch(&a, w.d[0], &s, NULL, &turns);

    df_error told;
    assert_false(join(w.d[0], &s, &told));
    assert_int_equal(told.code, DF_ABORTED);
    assert_int_equal(turns, 0);
    world_end(&w);
}

static void the_first_error_of_nobodys_work_is_on_the_next_fence_that_is_nobodys(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    step s;
    step_init(&s);
    launch failing;
    df_tensor *back = host_bytes(&w, 10, 0);
    df_tensor no_device_memory = {.dtype = DF_UINT8, .data = &w, .bytes = 10};
    refcount_init(&no_device_memory.refs);
    int turns = 0;
    adder a;

    failing_launch(&failing, d, NULL);
    copy_out(d, NULL, back, &no_device_memory); /* another error */
    adder_launch(&a, d, NULL, NULL, &turns);

    df_error why;
    assert_true(join(d, &s, NULL)); /* somebody else's */
    assert_false(join(d, NULL, &why));
    assert_int_equal(why.code, DF_OUT_OF_RANGE);
    assert_false(why.flags & DF_ERROR_DERIVED);
    assert_true(join(d, NULL, NULL)); /* told once */
    assert_int_equal(turns, 1);
    df_tensor_unref(back);
    world_end(&w);
}

static void noted_release(void *user, void *data) {
    (void)data;
    atomic_put((_Atomic uint32_t *)user, 1, RELEASE);
}

static void a_copy_holds_its_host_tensor_until_it_has_run_and_no_longer(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    unsigned char data[100] = {0};
    const int64_t dims[] = {sizeof data};
    _Atomic uint32_t released = 0;
    df_tensor *host = NULL, *there = bytes_in(&w, d->mem, sizeof data);
    assert_int_equal(df_tensor_wrap(&w.heap.allocator, DF_UINT8, (df_shape){1, dims}, data,
                                    noted_release, &released, &host, NULL),
                     DF_OK);
    gate g;
    gate_shut(&g, d);

    copy_in(d, NULL, there, host);
    df_tensor_unref(host);

    assert_int_equal(atomic_get(&released, ACQUIRE), 0);
    gate_open(&g);
    assert_true(join(d, NULL, NULL));
    assert_int_equal(atomic_get(&released, ACQUIRE), 1);
    df_tensor_unref(there);
    gate_fini(&g);
    world_end(&w);
}

static void a_copy_from_what_is_no_host_tensor_of_as_many_numbers_is_refused(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *there = bytes_in(&w, d->mem, 100), *words = NULL, *more = host_bytes(&w, 101, 0);
    assert_int_equal(tensor_new_in(w.host, w.host, DF_STRING, DF_SCALAR, &words, NULL), DF_OK);
    df_tensor *const wrong[] = {there, words, more};
    for (int i = 0; i < 3; i++) {
        df_error err = {.code = DF_OK};

        assert_int_equal(queue_copy_in(d->queue, NULL, there, wrong[i], &err), DF_INTERNAL);
        assert_non_null(strstr(err.message, "device:SIM:0"));
        assert_int_equal(queue_copy_out(d->queue, NULL, wrong[i], there, &err), DF_INTERNAL);
        assert_non_null(strstr(err.message, "device:SIM:0"));
    }
    assert_int_equal(fault_starts(&w.threads), 0);
    df_tensor_unref(there);
    df_tensor_unref(words);
    df_tensor_unref(more);
    world_end(&w);
}

/* ---- what can be missing ---- */

/* Each call, and what it must leave behind whichever of them fails. */
static void every_call(fault_allocator *f, void *arg) {
    world *w = arg;
    df_device *d = w->d[0];
    df_queue *in = d->queues[DF_QUEUE_IN];
    const int64_t dims[] = {100};
    df_tensor *host = host_bytes(w, 100, 1), *back = host_bytes(w, 100, 9), *there = NULL;
    fence *fences[3] = {NULL, NULL, NULL};
    df_error err = {.code = DF_OK};
    int bad = 0;

    bad += tensor_new_in(w->host, d->mem, DF_UINT8, (df_shape){1, dims}, &there, &err) != DF_OK;
    size_t failed = fault_allocations_failed(f) - (size_t)bad;
    if (there) {
        bad += queue_copy_in(in, NULL, there, host, &err) != DF_OK;
        bad += queue_record(in, NULL, &fences[0], &err) != DF_OK;
    }
    if (fences[0]) {
        bool ordered = queue_wait(d->queue, NULL, fences[0], &err) == DF_OK;
        bad += !ordered;
        if (ordered) bad += queue_copy_out(d->queue, NULL, back, there, &err) != DF_OK;
    }
    for (int i = 1; i < 3; i++) bad += queue_record(d->queue, NULL, &fences[i], &err) != DF_OK;

    /* the checker of order goes on without a use that it has no memory to remember */
    if (bad) assert_true(fault_allocations_failed(f) > failed);
    assert_int_equal(err.code, bad ? DF_RESOURCE_EXHAUSTED : DF_OK);
    for (int i = 0; i < 3; i++) {
        if (!fences[i]) continue;
        assert_true(fence_wait(fences[i], NULL));
        fence_unref(fences[i]);
    }
    if (!bad) assert_true(bytes_are(back, 100, 1));
    df_tensor_unref(there);
    df_tensor_unref(host);
    df_tensor_unref(back);
}

static void scenario_of_every_call(fault_allocator *f, void *arg) {
    (void)arg;
    world w;
    fault_threads_init(&w.threads);
    w.host = memory_new_host(NULL);
    device_name name;
    assert_int_equal(device_name_parse("/job:localhost/task:0/device:SIM:0", &name, NULL), DF_OK);
    const device_options options = {
        .alloc = &f->allocator, .threads = &w.threads.threads, .host = w.host};

    if (device_open(&name, 1, &options, &w.d[0], NULL) == DF_OK)
        every_call(f, &w);
    else
        assert_true(fault_allocations_failed(f) > 0);

    device_close(w.d[0]);
    memory_unref(w.host);
    fault_threads_end(&w.threads);
}

static void every_call_fails_cleanly_at_each_allocation(void **state) {
    (void)state;
    assert_true(fault_each_allocation(scenario_of_every_call, NULL) >= 20);
}

static void a_thread_that_cannot_start_is_the_enqueuing_calls_error(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *host = host_bytes(&w, 100, 1), *there = bytes_in(&w, d->mem, 100);
    launch l = {.run = failing_run};
    fence *f = (fence *)&l;
    df_error err;
    fault_fail_start(&w.threads, 1, FAULT_FOR_EVER);

    assert_int_equal(queue_copy_in(d->queue, NULL, there, host, &err), DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "device:SIM:0"));
    assert_int_equal(queue_copy_out(d->queue, NULL, host, there, NULL), DF_RESOURCE_EXHAUSTED);
    assert_int_equal(queue_launch(d->queue, NULL, &l, NULL), DF_RESOURCE_EXHAUSTED);
    assert_int_equal(queue_record(d->queue, NULL, &f, NULL), DF_RESOURCE_EXHAUSTED);

    assert_null(f);
    assert_true(refcount_is_one(&host->refs));
    fault_fail_start(&w.threads, 0, FAULT_ONCE);
    copy_in(d, NULL, there, host);
    gate shut;
    gate_shut(&shut, d);
    fence *g = record(d, NULL);

    fault_fail_start(&w.threads, 1, FAULT_ONCE);
    assert_int_equal(queue_wait(w.d[1]->queue, NULL, g, NULL), DF_RESOURCE_EXHAUSTED);
    gate_open(&shut);
    assert_true(fence_wait(g, NULL)); /* and none of the refused work has been kept */
    fence_unref(g);
    gate_fini(&shut);
    df_tensor_unref(host);
    df_tensor_unref(there);
    world_end(&w);
}

static void no_thread_runs_before_there_is_work_on_its_queue(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *there = bytes_in(&w, d->mem, 100);
    df_tensor_unref(there);
    memory_trim(d->mem);

    assert_int_equal(fault_starts(&w.threads), 0);
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++)
        for (int i = 0; i < 2; i++) {
            assert_true(join_on(d->queues[kind], NULL, NULL));
            assert_int_equal(fault_starts(&w.threads), kind + 1);
        }
    world_end(&w);
}

static void closing_lets_what_is_queued_run(void **state) {
    (void)state;
    enum { N = 50 };
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    df_tensor *host = host_bytes(&w, 100, 1), *back = host_bytes(&w, 100, 9);
    df_tensor *there = bytes_in(&w, d->mem, 100);
    static adder adders[N];
    int turns = 0;
    gate g;
    gate_shut(&g, d);
    copy_in(d, NULL, there, host);
    for (int i = 0; i < N; i++) adder_launch(&adders[i], d, NULL, NULL, &turns);
    copy_out(d, NULL, back, there);
    df_tensor_unref(there);

    gate_open(&g);
    device_close(d);
    w.d[0] = NULL;

    assert_int_equal(turns, N);
    assert_true(bytes_are(back, 100, 1));
    df_tensor_unref(host);
    df_tensor_unref(back);
    gate_fini(&g);
    world_end(&w);
}

static gate *shut;

/* Whoever stops a device waits for nobody's fence: now it has begun. */
static df_code open_and_record(void *queue, df_work *work, void *event, df_event_listener *listener,
                               df_error *err) {
    if (!work && shut) gate_open(shut);
    return sim_ops.record(queue, work, event, listener, err);
}

typedef struct enqueuer {
    launch base; /* first */
    df_device *d;
    adder behind;
    int turns;
    df_code code;
} enqueuer;

static df_code enqueue(launch *l, df_error *err) {
    enqueuer *e = (enqueuer *)l;
    e->behind = (adder){.base = {.run = adder_run}, .turns = &e->turns};
    e->code = queue_launch(e->d->queue, NULL, &e->behind.base, err);
    return DF_OK;
}

static void what_is_enqueued_by_work_while_closing_runs_too(void **state) {
    (void)state;
    world w;
    gate g;
    df_device_ops ops = sim_ops;
    ops.record = open_and_record;
    world_init_with(&w, &ops, 1 << 20);
    enqueuer e = {.base = {.run = enqueue}, .d = w.d[0], .code = DF_UNKNOWN};
    gate_shut(&g, w.d[0]);
    assert_int_equal(queue_launch(w.d[0]->queue, NULL, &e.base, NULL), DF_OK);
    shut = &g;

    device_stop(w.d[0]);

    shut = NULL;
    assert_int_equal(e.code, DF_OK);
    assert_int_equal(e.turns, 1);
    fence *f = NULL;
    assert_int_equal(queue_record(w.d[0]->queue, NULL, &f, NULL), DF_UNAVAILABLE);
    assert_null(f);
    gate_fini(&g);
    world_end(&w);
}

/* ---- several threads ---- */

enum { USERS = 3 };

typedef struct user {
    world *w;
    check *check;
    unsigned number;
    size_t rounds;
} user;

/* Moves bytes by way of a block that it gives back while the work is queued, and looks at the
 * result; on each queue of the two devices. */
static void user_round(user *u, unsigned round) {
    world *w = u->w;
    df_device *d = w->d[(u->number + round) % 2], *other = w->d[(u->number + round + 1) % 2];
    df_queue *in = d->queues[DF_QUEUE_IN], *out = d->queues[DF_QUEUE_OUT];
    size_t n = 50 + (u->number * 977 + round * 131) % 9000;
    const int64_t dims[] = {(int64_t)n};
    unsigned first = u->number * 50 + round;
    df_tensor *host = host_bytes(w, n, first), *back = bytes_in(w, w->host, n), *there = NULL;
    fence *f = NULL, *mine[3] = {NULL, NULL, NULL};
    df_queue *const queues[3] = {in, d->queue, out};
    step s;
    step_init(&s);
    CHECK_EQUAL(u->check,
                tensor_new_in(w->host, d->mem, DF_UINT8, (df_shape){1, dims}, &there, NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_copy_in(in, &s.work, there, host, NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_record(in, &s.work, &f, NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_wait(d->queue, &s.work, f, NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_wait(other->queue, &s.work, f, NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_wait(out, &s.work, f, NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_copy_out(out, &s.work, back, there, NULL), DF_OK);
    df_tensor_unref(there);
    if (round % 5 == 0) memory_trim(d->mem);
    fence_unref(f);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(u->check, queue_record(queues[i], &s.work, &mine[i], NULL), DF_OK);
    CHECK_EQUAL(u->check, queue_record(other->queue, &s.work, &f, NULL), DF_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(u->check, fence_wait(mine[i], NULL));
        fence_unref(mine[i]);
    }
    CHECK(u->check, bytes_are(back, n, first));
    CHECK(u->check, fence_wait(f, NULL));
    fence_unref(f);
    df_tensor_unref(host);
    df_tensor_unref(back);
}

static void user_main(void *arg) {
    user *u = arg;
    for (unsigned i = 0; i < u->rounds; i++) user_round(u, i);
}

static void several_threads_use_two_devices_at_once(void **state) {
    (void)state;
    world w;
    world_init(&w);
    check c;
    check_init(&c);
    user users[USERS];
    void *threads[USERS];
    const df_threads *t = &w.threads.threads;
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = (user){&w, &c, i, test_scaled(500)};
        threads[i] = t->start(t->user, "user", user_main, &users[i]);
        assert_non_null(threads[i]);
    }

    for (int i = 0; i < USERS; i++) t->join(t->user, threads[i]);

    check_end(&c);
    assert_int_equal(fault_starts(&w.threads), USERS + DEVICES * 3);
    world_end(&w);
}

/* Threads whose start takes until everyone has come to the device. */
typedef struct slow_threads {
    df_threads threads; /* first */
    fault_threads *behind;
    _Atomic uint32_t come;
} slow_threads;

static void *slow_start(void *user_data, const char *name, void (*body)(void *arg), void *arg) {
    slow_threads *s = user_data;
    while (atomic_get(&s->come, ACQUIRE) < USERS) (void)sched_yield();
    for (int i = 0; i < 50; i++) (void)sched_yield();
    return s->behind->threads.start(s->behind, name, body, arg);
}

static void slow_join(void *user_data, void *thread) {
    slow_threads *s = user_data;
    s->behind->threads.join(s->behind, thread);
}

typedef struct early {
    slow_threads *slow;
    df_device *d;
    check *check;
} early;

static void early_main(void *arg) {
    early *e = arg;
    fence *f = NULL;
    (void)atomic_add(&e->slow->come, 1, RELEASE);
    CHECK_EQUAL(e->check, queue_record(e->d->queue, NULL, &f, NULL), DF_OK);
    CHECK(e->check, f && fence_wait(f, NULL));
    fence_unref(f);
}

static void threads_that_enqueue_first_at_once_start_one_engine(void **state) {
    (void)state;
    world w;
    world_init(&w);
    device_close(w.d[0]);
    slow_threads slow = {.threads = {sizeof(df_threads), &slow, slow_start, slow_join},
                         .behind = &w.threads};
    const device_options options = {
        .alloc = &w.heap.allocator, .threads = &slow.threads, .host = w.host};
    const device_name name = w.d[1]->name;
    assert_int_equal(device_open(&name, 1, &options, &w.d[0], NULL), DF_OK);
    check c;
    check_init(&c);
    early e = {&slow, w.d[0], &c};
    void *threads[USERS];
    const df_threads *t = &w.threads.threads;
    for (int i = 0; i < USERS; i++) {
        threads[i] = t->start(t->user, "early", early_main, &e);
        assert_non_null(threads[i]);
    }

    for (int i = 0; i < USERS; i++) t->join(t->user, threads[i]);

    check_end(&c);
    assert_int_equal(fault_starts(&w.threads), USERS + 1);
    world_end(&w);
}

/* Threads whose start takes until the test lets it go on. */
typedef struct late_threads {
    df_threads threads; /* first */
    fault_threads *behind;
    _Atomic uint32_t begun, may_go_on;
} late_threads;

static void *late_start(void *user_data, const char *name, void (*body)(void *arg), void *arg) {
    late_threads *l = user_data;
    atomic_put(&l->begun, 1, RELEASE);
    while (!atomic_get(&l->may_go_on, ACQUIRE)) (void)sched_yield();
    return l->behind->threads.start(l->behind, name, body, arg);
}

static void late_join(void *user_data, void *thread) {
    late_threads *l = user_data;
    l->behind->threads.join(l->behind, thread);
}

typedef struct stopper {
    df_device *d;
    _Atomic uint32_t begun, has_stopped;
} stopper;

static void stop_main(void *arg) {
    stopper *s = arg;
    atomic_put(&s->begun, 1, RELEASE);
    device_stop(s->d);
    atomic_put(&s->has_stopped, 1, RELEASE);
}

static void launch_main(void *arg) {
    early *e = arg;
    static adder a;
    a = (adder){.base = {.run = adder_run}};
    CHECK_EQUAL(e->check, queue_launch(e->d->queue, NULL, &a.base, NULL), DF_OK);
}

static void a_device_that_stops_waits_for_its_thread_to_start(void **state) {
    (void)state;
    world w;
    world_init(&w);
    device_close(w.d[0]);
    late_threads late = {.threads = {sizeof(df_threads), &late, late_start, late_join},
                         .behind = &w.threads};
    const device_options options = {
        .alloc = &w.heap.allocator, .threads = &late.threads, .host = w.host};
    const device_name name = w.d[1]->name;
    assert_int_equal(device_open(&name, 1, &options, &w.d[0], NULL), DF_OK);
    check c;
    check_init(&c);
    early e = {NULL, w.d[0], &c};
    stopper s = {.d = w.d[0]};
    const df_threads *t = &w.threads.threads;
    void *launcher = t->start(t->user, "launcher", launch_main, &e);
    while (!atomic_get(&late.begun, ACQUIRE)) (void)sched_yield();
    void *stops = t->start(t->user, "stopper", stop_main, &s);
    while (!atomic_get(&s.begun, ACQUIRE)) (void)sched_yield();
    for (int i = 0; i < 1000; i++) (void)sched_yield();

    assert_int_equal(atomic_get(&s.has_stopped, ACQUIRE), 0);
    atomic_put(&late.may_go_on, 1, RELEASE);
    t->join(t->user, launcher);
    t->join(t->user, stops);

    check_end(&c);
    world_end(&w);
}

int main(int argc, char **argv) {
    world_yields(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_any_size_come_back_as_they_went),
        cmocka_unit_test(work_runs_in_the_order_enqueued),
        cmocka_unit_test(a_launch_runs_a_host_function_on_device_tensors),
        cmocka_unit_test(a_launch_gets_host_tensors_and_empty_ones_as_they_are),
        cmocka_unit_test(a_launch_on_memory_that_is_not_there_does_not_run),
        cmocka_unit_test(failing_work_poisons_the_rest_of_its_step_and_nothing_else),
        cmocka_unit_test(work_of_a_step_that_failed_elsewhere_is_skipped),
        cmocka_unit_test(the_first_error_of_nobodys_work_is_on_the_next_fence_that_is_nobodys),
        cmocka_unit_test(a_copy_holds_its_host_tensor_until_it_has_run_and_no_longer),
        cmocka_unit_test(a_copy_from_what_is_no_host_tensor_of_as_many_numbers_is_refused),
        cmocka_unit_test(every_call_fails_cleanly_at_each_allocation),
        cmocka_unit_test(a_thread_that_cannot_start_is_the_enqueuing_calls_error),
        cmocka_unit_test(no_thread_runs_before_there_is_work_on_its_queue),
        cmocka_unit_test(closing_lets_what_is_queued_run),
        cmocka_unit_test(what_is_enqueued_by_work_while_closing_runs_too),
        cmocka_unit_test(several_threads_use_two_devices_at_once),
        cmocka_unit_test(threads_that_enqueue_first_at_once_start_one_engine),
        cmocka_unit_test(a_device_that_stops_waits_for_its_thread_to_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
