/* SPDX-License-Identifier: MIT
 *
 * A CUDA device as the library uses it: memory, copies, queues and events, kernels, and what its
 * threads find as they left it. On the fake driver, or a true one (cuda_world.h).
 */
#include "unit/cuda_world.h"

#include "support/crew.h"
#include "support/yield.h"

#include <sched.h>

/* ---- memory -------------------------------------------------------------- */

static void copies_of_any_size_come_back_as_they_went(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 3, 63, 64, 255, 256, 4095, 4097, 100001};
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        unsigned char *from = pinned(&w, g, n, (unsigned)i), *to = pinned(&w, g, n, 200);
        void *there = alloc(&w, g, n);
        copy_in(&w, g, there, from, n);
        void *in = record(&w, g, DF_QUEUE_IN, NULL);
        wait_for(&w, g, DF_QUEUE_OUT, NULL, in);
        copy_out(&w, g, to, there, n);

        assert_int_equal(finish(&w, g, DF_QUEUE_OUT, NULL), DF_OK);

        assert_int_equal(end(&w, g, in), DF_OK);
        assert_true(bytes_are(to, n, (unsigned)i));
        cuda_ops.free(g->device, there, n);
        cuda_ops.host_free(g->device, from, n);
        cuda_ops.host_free(g->device, to, n);
    }
    if (w.fake.world) assert_int_equal(w.fake.world->pageable, 0);
    world_close(&w);
}

static void a_copy_within_moves_bytes_on_the_device(void **state) {
    (void)state;
    enum { N = 5000 };
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    unsigned char *from = pinned(&w, g, N, 3), *to = pinned(&w, g, N, 0);
    char *there = alloc(&w, g, N), *beside = alloc(&w, g, N + 100);
    void *q = g->queue[DF_QUEUE_COMPUTE];

    OK(&w, cuda_ops.copy_in(q, NULL, there, from, N, &w.err));
    OK(&w, cuda_ops.copy_within(q, NULL, beside + 100, there, N, &w.err));
    OK(&w, cuda_ops.copy_out(q, NULL, to, beside + 100, N, &w.err));

    assert_int_equal(finish(&w, g, DF_QUEUE_COMPUTE, NULL), DF_OK);
    assert_true(bytes_are(to, N, 3));
    cuda_ops.free(g->device, there, N);
    cuda_ops.free(g->device, beside, N + 100);
    cuda_ops.host_free(g->device, from, N);
    cuda_ops.host_free(g->device, to, N);
    world_close(&w);
}

static void memory_of_the_programs_own_can_be_registered_once(void **state) {
    (void)state;
    enum { N = 8192 };
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    unsigned char *own = aligned_alloc(4096, N), *back = pinned(&w, g, N, 0);
    for (int i = 0; i < N; i++) own[i] = (unsigned char)(9 + 7 * i);
    void *there = alloc(&w, g, N);

    OK(&w, cuda_ops.host_register(g->device, own, N, &w.err));
    REFUSED(&w, cuda_ops.host_register(g->device, own, N, &w.err), DF_ALREADY_EXISTS,
            "device CUDA:0: cuMemHostRegister_v2: ");
    copy_in(&w, g, there, own, N);
    assert_int_equal(finish(&w, g, DF_QUEUE_IN, NULL), DF_OK);
    if (w.fake.world) assert_int_equal(w.fake.world->pageable, 0);
    cuda_ops.host_unregister(g->device, own);
    OK(&w, cuda_ops.host_register(g->device, own, N, &w.err));
    cuda_ops.host_unregister(g->device, own);
    copy_out(&w, g, back, there, N);
    assert_int_equal(finish(&w, g, DF_QUEUE_OUT, NULL), DF_OK);

    assert_true(bytes_are(back, N, 9));
    free(own);
    cuda_ops.host_free(g->device, back, N);
    cuda_ops.free(g->device, there, N);
    world_close(&w);
}

static void no_more_memory_is_given_than_the_limit(void **state) {
    (void)state;
    world w;
    world_open(&w, 0);
    world_add(&w, true_driver() ? true_driver() : FAKE_CUDA, 10000);
    gpu *g = &w.gpu[0];
    void *a = alloc(&w, g, 6000), *b = NULL;
    REFUSED(&w, cuda_ops.alloc(g->device, 4001, &b, &w.err), DF_RESOURCE_EXHAUSTED,
            "device CUDA:0: 4001 bytes more would be above its limit of 10000");
    assert_null(b);
    b = alloc(&w, g, 4000);
    cuda_ops.free(g->device, a, 6000);
    a = alloc(&w, g, 6000);
    cuda_ops.free(g->device, a, 6000);
    cuda_ops.free(g->device, b, 4000);
    world_close(&w);
}

static void memory_free_is_what_the_driver_has_left(void **state) {
    (void)state;
    enum { N = 8 << 20 };
    uint64_t before = 0, after = 0;
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    OK(&w, cuda_ops.memory_free(g->device, &before, &w.err));
    void *at = alloc(&w, g, N);
    OK(&w, cuda_ops.memory_free(g->device, &after, &w.err));
    assert_true(after <= before - N);
    if (w.fake.world) assert_int_equal(before, 64 << 20);
    cuda_ops.free(g->device, at, N);
    world_close(&w);
}

static void what_the_driver_has_not_is_exhausted(void **state) {
    (void)state;
    const size_t bytes = (size_t)(UINT64_C(1) << 45 | UINT64_C(1) << 31); /* of 32 bits: 2 GiB */
    void *at = NULL;
    world w;
    world_open(&w, 1);
    REFUSED(&w, cuda_ops.alloc(w.gpu[0].device, bytes, &at, &w.err), DF_RESOURCE_EXHAUSTED,
            "CUDA_ERROR_OUT_OF_MEMORY (out of memory)");
    assert_null(at);
    at = alloc(&w, &w.gpu[0], 100);
    cuda_ops.free(w.gpu[0].device, at, 100);
    world_close(&w);
}

/* ---- queues and events --------------------------------------------------- */

static bool has_ended(world *w, gpu *g, void *event) {
    bool ended = cuda_ops.event_ended(g->device, event, &w->err);
    if (ended) assert_int_equal(w->err.code, DF_OK);
    return ended;
}

static void work_is_put_on_a_busy_queue_and_the_host_goes_on(void **state) {
    (void)state;
    FAKE_ONLY();
    enum { N = 100 };
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    unsigned char *from = pinned(&w, g, N, 1), *to = pinned(&w, g, N, 2);
    void *there = alloc(&w, g, N), *q = g->queue[DF_QUEUE_COMPUTE];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    OK(&w, cuda_ops.copy_in(q, NULL, there, from, N, &w.err));
    OK(&w, cuda_ops.copy_out(q, NULL, to, there, N, &w.err));
    void *all = record(&w, g, DF_QUEUE_COMPUTE, NULL);
    gate_await(&hold);
    assert_false(has_ended(&w, g, all));
    assert_true(bytes_are(to, N, 2));

    gate_open(&hold);

    assert_int_equal(end(&w, g, all), DF_OK);
    assert_true(bytes_are(to, N, 1));
    gate_fini(&hold);
    cuda_ops.free(g->device, there, N);
    cuda_ops.host_free(g->device, from, N);
    cuda_ops.host_free(g->device, to, N);
    world_close(&w);
}

static void queues_run_beside_each_other(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    gate_await(&hold);
    for (int kind = DF_QUEUE_IN; kind < DF_QUEUE_KINDS; kind++)
        assert_int_equal(finish(&w, g, (df_queue_kind)kind, NULL), DF_OK);
    gate_open(&hold);
    assert_int_equal(finish(&w, g, DF_QUEUE_COMPUTE, NULL), DF_OK);
    gate_fini(&hold);
    world_close(&w);
}

static void a_queue_that_waits_goes_on_when_the_event_has_ended(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    void *computed = record(&w, g, DF_QUEUE_COMPUTE, NULL);
    wait_for(&w, g, DF_QUEUE_OUT, NULL, computed);
    void *out = record(&w, g, DF_QUEUE_OUT, NULL);
    gate_await(&hold);
    assert_false(has_ended(&w, g, out));

    gate_open(&hold);

    assert_int_equal(end(&w, g, out), DF_OK);
    assert_true(has_ended(&w, g, computed));
    cuda_ops.event_free(g->device, computed);
    gate_fini(&hold);
    world_close(&w);
}

static void an_event_serves_again_after_it_has_ended(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    void *event = record(&w, g, DF_QUEUE_IN, NULL);
    cuda_ops.event_wait(g->device, event, UINT64_MAX);
    assert_true(has_ended(&w, g, event));
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    OK(&w, cuda_ops.record(g->queue[DF_QUEUE_COMPUTE], NULL, event, NULL, &w.err));
    assert_false(has_ended(&w, g, event));
    gate_open(&hold);
    assert_int_equal(end(&w, g, event), DF_OK);
    gate_fini(&hold);
    world_close(&w);
}

static void a_wait_with_an_end_is_over_in_time_and_does_not_sleep_in_the_driver(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    void *event = record(&w, g, DF_QUEUE_COMPUTE, NULL);
    cuda_ops.event_wait(g->device, event, 0);
    cuda_ops.event_wait(g->device, event, 2000000);
    assert_false(has_ended(&w, g, event));
    assert_int_equal(w.fake.world->naps, 0);
    gate_open(&hold);
    while (!has_ended(&w, g, event)) cuda_ops.event_wait(g->device, event, 1000000);
    cuda_ops.event_free(g->device, event);
    gate_fini(&hold);
    world_close(&w);
}

/* Opens the gate when the other thread sleeps. */
typedef struct opener {
    world *w;
    gate *hold;
} opener;

static void open_when_somebody_sleeps(void *arg, int i) {
    opener *o = arg;
    (void)i;
    while (atomic_load(&o->w->fake.world->sleepers) == 0) (void)sched_yield();
    gate_open(o->hold);
}

static void a_wait_without_an_end_sleeps_until_the_event_has_ended(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    void *event = record(&w, g, DF_QUEUE_COMPUTE, NULL);
    opener o = {&w, &hold};
    crew_job job;
    crew_open(1);
    crew_start(&job, open_when_somebody_sleeps, &o, 0);
    cuda_ops.event_wait(g->device, event, UINT64_MAX);
    assert_true(has_ended(&w, g, event));
    crew_join(&job);
    crew_close();
    cuda_ops.event_free(g->device, event);
    gate_fini(&hold);
    world_close(&w);
}

/* ---- kernels ------------------------------------------------------------- */

static fake kernels_of; /* for those that follow addresses */

static void fill_kernel(const fake_cuda_grid *grid, void **params) {
    uint64_t to;
    uint32_t value, n;
    memcpy(&to, params[0], sizeof to);
    memcpy(&value, params[1], sizeof value);
    memcpy(&n, params[2], sizeof n);
    uint32_t *at = kernels_of.at(to, (size_t)n * sizeof *at);
    for (uint32_t i = 0; at && i < n && i < grid->grid[0] * grid->block[0]; i++) at[i] = value;
}

static void fill_register(world *w, const char *name) {
    static const size_t sizes[] = {8, 4, 4};
    kernels_of = w->fake;
    if (w->fake.add) w->fake.add(name, fill_kernel, sizes, 3);
}

static df_code fill(world *w, gpu *g, const char *name, void *to, uint32_t value, uint32_t n) {
    uint64_t address = (uintptr_t)to;
    void *params[] = {&address, &value, &n};
    const cuda_launch l = {name, {(n + 63) / 64, 1, 1}, {64, 1, 1}, 0, params};
    df_code rc = cuda_queue_launch(g->queue[DF_QUEUE_COMPUTE], &l, &w->err);
    address = value = n = 0; /* they were copied */
    return rc;
}

static void a_kernel_runs_in_the_order_of_its_queue_with_what_it_was_given(void **state) {
    (void)state;
    enum { N = 1000 };
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    fill_register(&w, "fill");
    uint32_t *to = (void *)pinned(&w, g, N * 4, 0);
    void *there = alloc(&w, g, N * 4), *q = g->queue[DF_QUEUE_COMPUTE];
    df_code rc = fill(&w, g, "fill", there, 5, N);
    if (rc == DF_OK) {
        OK(&w, fill(&w, g, "fill", there, 6, N - 1));
        OK(&w, cuda_ops.copy_out(q, NULL, to, there, N * 4, &w.err));
        assert_int_equal(finish(&w, g, DF_QUEUE_COMPUTE, NULL), DF_OK);
        for (int i = 0; i < N; i++) assert_int_equal(to[i], i < N - 1 ? 6 : 5);
    } else if (!true_driver()) { /* whose text may have no such kernel */
        fail_msg("%s", w.err.message);
    }
    cuda_ops.free(g->device, there, N * 4);
    cuda_ops.host_free(g->device, to, N * 4);
    world_close(&w);
}

static fake_cuda_grid seen;

static void seen_kernel(const fake_cuda_grid *grid, void **params) {
    (void)params;
    seen = *grid;
}

static void a_kernel_gets_the_grid_that_was_asked_for(void **state) {
    (void)state;
    FAKE_ONLY();
    static const cuda_launch l = {"seen", {2, 3, 4}, {5, 6, 7}, 8, NULL};
    static const fake_cuda_grid wanted = {{2, 3, 4}, {5, 6, 7}, 8};
    world w;
    world_open(&w, 1);
    w.fake.add("seen", seen_kernel, NULL, 0);
    OK(&w, cuda_queue_launch(w.gpu[0].queue[DF_QUEUE_COMPUTE], &l, &w.err));
    assert_int_equal(finish(&w, &w.gpu[0], DF_QUEUE_COMPUTE, NULL), DF_OK);
    assert_memory_equal(&seen, &wanted, sizeof seen);
    world_close(&w);
}

static void a_kernel_that_is_not_there_is_named(void **state) {
    (void)state;
    world w;
    world_open(&w, 1);
    REFUSED(&w, fill(&w, &w.gpu[0], "no_such_kernel", NULL, 0, 1), DF_NOT_FOUND,
            "kernel no_such_kernel: device CUDA:0: cuModuleGetFunction: ");
    assert_int_equal(finish(&w, &w.gpu[0], DF_QUEUE_COMPUTE, NULL), DF_OK);
    world_close(&w);
}

static void a_launch_that_no_gpu_can_do_is_refused_by_the_kernels_name(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    fill_register(&w, "fill");
    REFUSED(&w, fill(&w, &w.gpu[0], "fill", NULL, 0, 0), DF_INTERNAL,
            "kernel fill: device CUDA:0: cuLaunchKernel: CUDA_ERROR_INVALID_VALUE");
    assert_int_equal(finish(&w, &w.gpu[0], DF_QUEUE_COMPUTE, NULL), DF_OK);
    world_close(&w);
}

enum { THREADS = 4, NAMES = 150 };
typedef struct launches {
    world *w;
    void *there;
    check check;
} launches;

static char names[NAMES][16];

/* From a thread without a current context. */
static void launch_all(void *arg, int i) {
    launches *l = arg;
    (void)i;
    gpu *g = &l->w->gpu[0];
    for (int k = 0; k < NAMES; k++) {
        uint64_t address = (uintptr_t)l->there;
        uint32_t value = 1, n = 1;
        void *params[] = {&address, &value, &n};
        const cuda_launch call = {names[k], {1, 1, 1}, {1, 1, 1}, 0, params};
        CHECK_EQUAL(&l->check, cuda_queue_launch(g->queue[DF_QUEUE_COMPUTE], &call, NULL), DF_OK);
    }
}

static void kernels_are_loaded_once_for_all_threads_and_looked_up_once_each(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    launches l = {.w = &w, .there = alloc(&w, &w.gpu[0], 4)};
    check_init(&l.check);
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(names[i], sizeof names[i], "kernel_%d", i);
        fill_register(&w, names[i]);
    }
    crew_job jobs[THREADS];
    crew_open(THREADS);
    for (int i = 0; i < THREADS; i++) crew_start(&jobs[i], launch_all, &l, i);
    for (int i = 0; i < THREADS; i++) crew_join(&jobs[i]);
    crew_close();
    check_end(&l.check);

    assert_int_equal(finish(&w, &w.gpu[0], DF_QUEUE_COMPUTE, NULL), DF_OK);
    assert_int_equal(w.fake.world->modules, 1);
    assert_int_equal(w.fake.world->lookups, NAMES);
    for (int i = 0; i < NAMES; i++) OK(&w, fill(&w, &w.gpu[0], names[i], l.there, 1, 1));
    assert_int_equal(w.fake.world->lookups, NAMES);
    assert_int_equal(finish(&w, &w.gpu[0], DF_QUEUE_COMPUTE, NULL), DF_OK);
    cuda_ops.free(w.gpu[0].device, l.there, 4);
    world_close(&w);
}

static void a_driver_that_refuses_the_kernels_is_quoted_and_asked_again(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    fill_register(&w, "fill");
    void *there = alloc(&w, &w.gpu[0], 4);
    w.fake.world->refuses_text = 1;
    REFUSED(&w, fill(&w, &w.gpu[0], "fill", there, 0, 1), DF_INTERNAL,
            "refuses the library's kernels: line 2; fatal: unknown target: device CUDA:0: "
            "cuModuleLoadDataEx: CUDA_ERROR_INVALID_PTX");
    w.fake.world->refuses_text = 0;
    OK(&w, fill(&w, &w.gpu[0], "fill", there, 0, 1));
    assert_int_equal(finish(&w, &w.gpu[0], DF_QUEUE_COMPUTE, NULL), DF_OK);
    cuda_ops.free(w.gpu[0].device, there, 4);
    world_close(&w);
}

/* ---- what a thread had before -------------------------------------------- */

static cu_context current(gpu *g) {
    cu_context c = NULL;
    assert_int_equal(((cuda_device *)g->device)->driver.context_get(&c), CU_SUCCESS);
    return c;
}

static void make_current(gpu *g, cu_context c) {
    assert_int_equal(((cuda_device *)g->device)->driver.context_set(c), CU_SUCCESS);
}

static void use_all(world *w, gpu *g) {
    unsigned char *host = pinned(w, g, 100, 0);
    void *there = alloc(w, g, 100);
    copy_in(w, g, there, host, 100);
    assert_int_equal(finish(w, g, DF_QUEUE_IN, NULL), DF_OK);
    copy_out(w, g, host, there, 100);
    assert_int_equal(finish(w, g, DF_QUEUE_OUT, NULL), DF_OK);
    (void)fill(w, g, "fill", there, 0, 1);
    assert_int_equal(finish(w, g, DF_QUEUE_COMPUTE, NULL), DF_OK);
    cuda_ops.free(g->device, there, 100);
    cuda_ops.host_free(g->device, host, 100);
}

static void a_thread_has_the_context_again_that_it_had(void **state) {
    (void)state;
    world w;
    world_open(&w, true_driver() ? 1 : 2);
    gpu *g = &w.gpu[0], *last = &w.gpu[w.n - 1];
    cu_context other = ((cuda_device *)last->device)->context;
    assert_null(current(g));
    use_all(&w, g);
    assert_null(current(g));
    make_current(g, other);
    use_all(&w, g);
    assert_ptr_equal(current(g), other);
    make_current(g, NULL);
    world_close(&w);
}

static void a_kernel_finds_its_device_current_and_who_called_it_his_own(void **state) {
    (void)state;
    world w;
    world_open(&w, true_driver() ? 1 : 2);
    gpu *g = &w.gpu[0], *last = &w.gpu[w.n - 1];
    cu_context mine = ((cuda_device *)g->device)->context;
    cu_context other = ((cuda_device *)last->device)->context;
    cu_context had[] = {NULL, other, mine};
    for (int i = 0; i < 3; i++) {
        void *before = NULL;
        make_current(g, had[i]);
        OK(&w, cuda_ops.enter(g->device, &before, &w.err));
        assert_ptr_equal(current(g), mine);
        use_all(&w, g);
        assert_ptr_equal(current(g), mine);
        cuda_ops.leave(g->device, before);
        assert_ptr_equal(current(g), had[i]);
    }
    make_current(g, NULL);
    world_close(&w);
}

static void nobodys_capture_of_a_graph_is_spoilt_and_modes_are_left_alone(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    cuda_device *d = w.gpu[0].device;
    int mode = 1;
    w.fake.world->capturing = 1;
    assert_int_equal(d->driver.capture_mode(&mode), CU_SUCCESS);
    use_all(&w, &w.gpu[0]);
    mode = 0;
    assert_int_equal(d->driver.capture_mode(&mode), CU_SUCCESS);
    assert_int_equal(mode, 1);
    assert_int_equal(w.fake.world->spoilt, 0);
    world_close(&w);
}

/* ---- two devices --------------------------------------------------------- */

static void devices_that_reach_each_other_copy_from_one_into_the_other(void **state) {
    (void)state;
    FAKE_ONLY();
    enum { N = 3000 };
    world w;
    world_open(&w, 2);
    gpu *a = &w.gpu[0], *b = &w.gpu[1];
    unsigned char *from = pinned(&w, a, N, 5), *to = pinned(&w, b, N, 0);
    void *on_a = alloc(&w, a, N), *on_b = alloc(&w, b, N);
    assert_true(cuda_ops.reaches(a->device, b->device));
    assert_int_equal(w.fake.world->peers, 2);
    assert_true(cuda_ops.reaches(b->device, a->device));

    copy_in(&w, a, on_a, from, N);
    void *in = record(&w, a, DF_QUEUE_IN, NULL);
    wait_for(&w, a, DF_QUEUE_ACROSS, NULL, in);
    OK(&w, cuda_ops.copy_peer(a->queue[DF_QUEUE_ACROSS], NULL, b->device, on_b, on_a, N, &w.err));
    void *across = record(&w, a, DF_QUEUE_ACROSS, NULL);
    wait_for(&w, b, DF_QUEUE_OUT, NULL, across);
    copy_out(&w, b, to, on_b, N);

    assert_int_equal(finish(&w, b, DF_QUEUE_OUT, NULL), DF_OK);
    assert_true(bytes_are(to, N, 5));
    assert_int_equal(end(&w, a, in), DF_OK);
    assert_int_equal(end(&w, a, across), DF_OK);
    cuda_ops.free(a->device, on_a, N);
    cuda_ops.free(b->device, on_b, N);
    cuda_ops.host_free(a->device, from, N);
    cuda_ops.host_free(b->device, to, N);
    world_close(&w);
}

static void devices_that_do_not_reach_each_other_say_so(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 2);
    w.fake.world->apart = 1;
    assert_false(cuda_ops.reaches(w.gpu[0].device, w.gpu[1].device));
    assert_int_equal(w.fake.world->peers, 0);
    world_close(&w);
}

/* ---- the kind ------------------------------------------------------------ */

static void the_kind_says_what_it_is(void **state) {
    (void)state;
    assert_int_equal(cuda_ops.struct_size, sizeof(df_device_ops));
    assert_string_equal(cuda_ops.kind, "CUDA");
    assert_null(cuda_ops.user);
    assert_null(cuda_ops.run);
    assert_non_null(cuda_ops.event_wait);
}

int main(int argc, char **argv) {
    (void)yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_any_size_come_back_as_they_went),
        cmocka_unit_test(a_copy_within_moves_bytes_on_the_device),
        cmocka_unit_test(memory_of_the_programs_own_can_be_registered_once),
        cmocka_unit_test(no_more_memory_is_given_than_the_limit),
        cmocka_unit_test(memory_free_is_what_the_driver_has_left),
        cmocka_unit_test(what_the_driver_has_not_is_exhausted),
        cmocka_unit_test(work_is_put_on_a_busy_queue_and_the_host_goes_on),
        cmocka_unit_test(queues_run_beside_each_other),
        cmocka_unit_test(a_queue_that_waits_goes_on_when_the_event_has_ended),
        cmocka_unit_test(an_event_serves_again_after_it_has_ended),
        cmocka_unit_test(a_wait_with_an_end_is_over_in_time_and_does_not_sleep_in_the_driver),
        cmocka_unit_test(a_wait_without_an_end_sleeps_until_the_event_has_ended),
        cmocka_unit_test(a_kernel_runs_in_the_order_of_its_queue_with_what_it_was_given),
        cmocka_unit_test(a_kernel_gets_the_grid_that_was_asked_for),
        cmocka_unit_test(a_kernel_that_is_not_there_is_named),
        cmocka_unit_test(a_launch_that_no_gpu_can_do_is_refused_by_the_kernels_name),
        cmocka_unit_test(kernels_are_loaded_once_for_all_threads_and_looked_up_once_each),
        cmocka_unit_test(a_driver_that_refuses_the_kernels_is_quoted_and_asked_again),
        cmocka_unit_test(a_thread_has_the_context_again_that_it_had),
        cmocka_unit_test(a_kernel_finds_its_device_current_and_who_called_it_his_own),
        cmocka_unit_test(nobodys_capture_of_a_graph_is_spoilt_and_modes_are_left_alone),
        cmocka_unit_test(devices_that_reach_each_other_copy_from_one_into_the_other),
        cmocka_unit_test(devices_that_do_not_reach_each_other_say_so),
        cmocka_unit_test(the_kind_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
