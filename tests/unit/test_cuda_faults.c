/* SPDX-License-Identifier: MIT
 *
 * What goes wrong on a CUDA device: work that has failed, calls that the driver refuses, a device
 * that is lost, a process that is forked.
 */
#include "unit/cuda_world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- work that has failed ------------------------------------------------ */

static void fail_work(df_work *work) {
    const df_error why = {.code = DF_OUT_OF_RANGE, .message = "node y (Gather): index 9 of 4"};
    df_work_fail(work, &why);
}

/* The end of an event that fails because something before it had. */
static void end_derived(world *w, gpu *g, void *event) {
    assert_int_equal(end(w, g, event), DF_ABORTED);
    assert_int_equal(w->err.flags, DF_ERROR_DERIVED);
    assert_non_null(strstr(w->err.message, "device CUDA:0: work before this event had failed"));
}

static void copies_of_failed_work_are_left_out_and_its_events_fail(void **state) {
    (void)state;
    enum { N = 64 };
    step bad, good;
    world w;
    step_init(&bad);
    step_init(&good);
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    void *q = g->queue[DF_QUEUE_COMPUTE], *there = alloc(&w, g, N), *ended[3];
    unsigned char *a = pinned(&w, g, N, 1), *b = pinned(&w, g, N, 2);
    OK(&w, cuda_ops.copy_in(q, &good.work, there, a, N, &w.err));
    void *before = record(&w, g, DF_QUEUE_COMPUTE, &bad.work);
    fail_work(&bad.work);

    OK(&w, cuda_ops.copy_in(q, &bad.work, there, b, N, &w.err));
    OK(&w, cuda_ops.copy_within(q, &bad.work, there, there, N, &w.err));
    OK(&w, cuda_ops.copy_peer(q, &bad.work, g->device, there, there, N, &w.err));
    OK(&w, cuda_ops.copy_out(q, &bad.work, b, there, N, &w.err));
    ended[0] = record(&w, g, DF_QUEUE_COMPUTE, &bad.work);
    ended[1] = record(&w, g, DF_QUEUE_COMPUTE, &good.work);
    ended[2] = record(&w, g, DF_QUEUE_COMPUTE, NULL);
    OK(&w, cuda_ops.copy_out(q, &good.work, a, there, N, &w.err));

    assert_int_equal(finish(&w, g, DF_QUEUE_COMPUTE, &good.work), DF_OK);
    if (w.fake.world) assert_int_equal(w.fake.world->work, 5 + 2); /* events, and good's copies */
    assert_int_equal(end(&w, g, before), DF_OK);
    end_derived(&w, g, ended[0]);
    assert_int_equal(end(&w, g, ended[1]), DF_OK);
    assert_int_equal(end(&w, g, ended[2]), DF_OK);
    assert_true(bytes_are(a, N, 1));
    assert_true(bytes_are(b, N, 2));
    cuda_ops.free(g->device, there, N);
    cuda_ops.host_free(g->device, a, N);
    cuda_ops.host_free(g->device, b, N);
    world_close(&w);
}

static void who_waits_for_a_failed_event_fails_and_waits_all_the_same(void **state) {
    (void)state;
    FAKE_ONLY();
    step bad, waits;
    world w;
    step_init(&bad);
    step_init(&waits);
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    fail_work(&bad.work);
    void *failed = record(&w, g, DF_QUEUE_COMPUTE, &bad.work);

    wait_for(&w, g, DF_QUEUE_OUT, &waits.work, failed);

    assert_int_equal(waits.told, 1);
    assert_int_equal(waits.why.code, DF_ABORTED);
    assert_int_equal(waits.why.flags, DF_ERROR_DERIVED);
    void *behind = record(&w, g, DF_QUEUE_OUT, &waits.work);
    gate_await(&hold);
    assert_false(cuda_ops.event_ended(g->device, behind, &w.err));
    gate_open(&hold);
    end_derived(&w, g, behind);
    end_derived(&w, g, failed);
    gate_fini(&hold);
    world_close(&w);
}

static void a_wait_of_nobodys_fails_nobodys_next_event_on_that_queue_alone(void **state) {
    (void)state;
    step bad, good;
    world w;
    step_init(&bad);
    step_init(&good);
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    fail_work(&bad.work);
    void *failed = record(&w, g, DF_QUEUE_COMPUTE, &bad.work);

    wait_for(&w, g, DF_QUEUE_OUT, NULL, failed);

    assert_int_equal(finish(&w, g, DF_QUEUE_OUT, &good.work), DF_OK);
    assert_int_equal(finish(&w, g, DF_QUEUE_IN, NULL), DF_OK);
    end_derived(&w, g, record(&w, g, DF_QUEUE_OUT, NULL));
    assert_int_equal(finish(&w, g, DF_QUEUE_OUT, NULL), DF_OK);
    cuda_ops.event_wait(g->device, failed, UINT64_MAX);
    cuda_ops.event_free(g->device, failed);
    world_close(&w);
}

static void an_event_that_has_failed_serves_again(void **state) {
    (void)state;
    step bad, good;
    world w;
    step_init(&bad);
    step_init(&good);
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    fail_work(&bad.work);
    void *event = record(&w, g, DF_QUEUE_COMPUTE, &bad.work);
    cuda_ops.event_wait(g->device, event, UINT64_MAX);
    assert_true(cuda_ops.event_ended(g->device, event, &w.err));
    assert_int_equal(w.err.code, DF_ABORTED);
    OK(&w, cuda_ops.record(g->queue[DF_QUEUE_COMPUTE], &good.work, event, NULL, &w.err));
    assert_int_equal(end(&w, g, event), DF_OK);
    world_close(&w);
}

static void an_event_that_is_refused_leaves_nobodys_failure_to_the_next(void **state) {
    (void)state;
    FAKE_ONLY();
    step bad;
    world w;
    step_init(&bad);
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    fail_work(&bad.work);
    void *failed = record(&w, g, DF_QUEUE_COMPUTE, &bad.work), *next = event_new(&w, g);
    wait_for(&w, g, DF_QUEUE_OUT, NULL, failed);
    w.fake.break_call("cuEventRecord", 1, CU_OUT_OF_MEMORY);
    REFUSED(&w, cuda_ops.record(g->queue[DF_QUEUE_OUT], NULL, next, NULL, &w.err),
            DF_RESOURCE_EXHAUSTED, "cuEventRecord");
    OK(&w, cuda_ops.record(g->queue[DF_QUEUE_OUT], NULL, next, NULL, &w.err));
    end_derived(&w, g, next);
    cuda_ops.event_wait(g->device, failed, UINT64_MAX);
    cuda_ops.event_free(g->device, failed);
    world_close(&w);
}

/* ---- calls that are refused ---------------------------------------------- */

/* All calls that can be, one after the other; they stop at the first. */
typedef struct calls {
    world *w;
    gpu *g;
    void *there, *host, *event, *queue, *block;
    int n; /* that were right */
} calls;

static void nop_kernel(const fake_cuda_grid *grid, void **params) {
    (void)grid;
    (void)params;
}

static df_code call_one(calls *c, int i, df_error *err) {
    static const cuda_launch nop = {"nop", {1, 1, 1}, {1, 1, 1}, 0, NULL};
    void *d = c->g->device, *q = c->g->queue[DF_QUEUE_COMPUTE], *before;
    uint64_t bytes;
    switch (i) {
    case 0:
        return cuda_ops.alloc(d, 256, &c->there, err);
    case 1:
        return cuda_ops.host_alloc(d, 256, &c->host, err);
    case 2:
        return cuda_ops.host_register(d, c->block, 4096, err);
    case 3:
        return cuda_ops.memory_free(d, &bytes, err);
    case 4:
        return cuda_ops.queue_new(d, DF_QUEUE_COMPUTE, &c->queue, err);
    case 5:
        return cuda_ops.event_new(d, &c->event, err);
    case 6:
        return cuda_ops.copy_in(q, NULL, c->there, c->host, 256, err);
    case 7:
        return cuda_ops.copy_out(q, NULL, c->host, c->there, 256, err);
    case 8:
        return cuda_ops.copy_within(q, NULL, c->there, c->there, 256, err);
    case 9:
        return cuda_ops.copy_peer(q, NULL, d, c->there, c->there, 256, err);
    case 10:
        return cuda_queue_launch(q, &nop, err);
    case 11:
        return cuda_ops.record(q, NULL, c->event, NULL, err);
    case 12:
        return cuda_ops.wait(q, NULL, c->event, err);
    default: {
        df_code rc = cuda_ops.enter(d, &before, err);
        if (rc == DF_OK) cuda_ops.leave(d, before);
        return rc;
    }
    }
}
enum { CALLS = 14 };

static df_code call_all(calls *c, df_error *err) {
    df_code rc = DF_OK;
    c->there = c->host = c->event = c->queue = NULL;
    for (c->n = 0; c->n < CALLS && rc == DF_OK; c->n += rc == DF_OK) rc = call_one(c, c->n, err);
    return rc;
}

static void calls_end(calls *c) {
    void *d = c->g->device;
    if (c->event) cuda_ops.event_wait(d, c->event, UINT64_MAX);
    if (c->event) cuda_ops.event_free(d, c->event);
    if (c->queue) cuda_ops.queue_free(c->queue);
    if (c->n > 2) cuda_ops.host_unregister(d, c->block);
    if (c->host) cuda_ops.host_free(d, c->host, 256);
    if (c->there) cuda_ops.free(d, c->there, 256);
}

static void
every_call_that_the_driver_refuses_is_told_by_its_name_and_has_done_nothing(void **state) {
    (void)state;
    FAKE_ONLY();
    static const char *const symbols[] = {
        "cuMemAlloc_v2",        "cuMemHostAlloc",    "cuMemHostRegister_v2", "cuMemGetInfo_v2",
        "cuStreamCreate",       "cuEventCreate",     "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2",
        "cuMemcpyDtoDAsync_v2", "cuMemcpyPeerAsync", "cuLaunchKernel",       "cuEventRecord",
        "cuStreamWaitEvent"};
    enum { N = sizeof symbols / sizeof *symbols, INVALID_VALUE = 1 };
    world w;
    world_open(&w, 1);
    w.fake.add("nop", nop_kernel, NULL, 0);
    calls c = {.w = &w, .g = &w.gpu[0], .block = aligned_alloc(4096, 4096)};
    for (int i = 0; i < N; i++) {
        int work = w.fake.world->work;
        w.fake.break_call(symbols[i], 1, INVALID_VALUE);
        REFUSED(&w, call_all(&c, &w.err), DF_INTERNAL, symbols[i]);
        assert_int_equal(c.n, i);
        assert_non_null(strstr(w.err.message, "CUDA_ERROR_INVALID_VALUE (invalid argument)"));
        assert_int_equal(finish(&w, c.g, DF_QUEUE_COMPUTE, NULL), DF_OK);
        calls_end(&c);
        /* calls before this one that are work, and what finish recorded */
        assert_int_equal(w.fake.world->work, work + (i > 6 ? i - 6 : 0) + 1);
    }
    assert_int_equal(call_all(&c, &w.err), DF_OK);
    calls_end(&c);
    free(c.block);
    world_close(&w);
}

static void memory_that_was_refused_is_not_counted(void **state) {
    (void)state;
    FAKE_ONLY();
    void *at = NULL;
    world w;
    world_open(&w, 0);
    world_add(&w, FAKE_CUDA, 1000);
    w.fake.break_call("cuMemAlloc_v2", 1, CU_OUT_OF_MEMORY);
    REFUSED(&w, cuda_ops.alloc(w.gpu[0].device, 1000, &at, &w.err), DF_RESOURCE_EXHAUSTED,
            "CUDA_ERROR_OUT_OF_MEMORY");
    at = alloc(&w, &w.gpu[0], 1000);
    cuda_ops.free(w.gpu[0].device, at, 1000);
    world_close(&w);
}

static void an_error_that_the_driver_has_no_words_for_is_told_as_such(void **state) {
    (void)state;
    FAKE_ONLY();
    void *at = NULL;
    world w;
    world_open(&w, 1);
    w.fake.break_call("cuMemAlloc_v2", 1, 12345);
    REFUSED(&w, cuda_ops.alloc(w.gpu[0].device, 1000, &at, &w.err), DF_INTERNAL,
            "cuMemAlloc_v2: an error without a name");
    world_close(&w);
}

/* ---- without memory ------------------------------------------------------ */

static void use_without_memory(fault_allocator *heap, void *arg) {
    fake *f = arg;
    void *device = NULL, *q = NULL, *event = NULL;
    df_error err = {.code = DF_OK};
    const cuda_launch nop = {"nop", {1, 1, 1}, {1, 1, 1}, 0, NULL};
    f->add("nop", nop_kernel, NULL, 0);
    df_code rc = open_device(FAKE_CUDA, &heap->allocator, 0, 0, &device, NULL, &err);
    if (rc == DF_OK) rc = cuda_ops.queue_new(device, DF_QUEUE_COMPUTE, &q, &err);
    if (rc == DF_OK) rc = cuda_ops.event_new(device, &event, &err);
    if (rc == DF_OK) rc = cuda_queue_launch(q, &nop, &err);
    bool short_of = fault_allocations_failed(heap) > 0;
    assert_int_equal(rc, short_of ? DF_RESOURCE_EXHAUSTED : DF_OK);
    if (event) cuda_ops.event_free(device, event);
    if (q) cuda_ops.queue_free(q);
    if (device) cuda_ops.close(device);
    fake_close(f);
}

static void without_memory_calls_are_refused_and_nothing_is_lost(void **state) {
    (void)state;
    FAKE_ONLY();
    fake f = fake_open(FAKE_CUDA);
    assert_int_equal(fault_each_allocation(use_without_memory, &f), 4);
}

/* ---- a device that is lost ----------------------------------------------- */

/* A copy that runs past its block. */
static void lose(world *w, gpu *g) {
    enum { N = 4096 };
    unsigned char *host = pinned(w, g, 2 * N, 0);
    void *there = alloc(w, g, N), *event = event_new(w, g);
    copy_in(w, g, there, host, 2 * N);
    df_code rc = cuda_ops.record(g->queue[DF_QUEUE_IN], NULL, event, NULL, &w->err);
    assert_true(rc == DF_OK || rc == DF_UNAVAILABLE); /* it may be known already */
    assert_int_equal(end(w, g, event), DF_UNAVAILABLE);
    cuda_ops.free(g->device, there, N);
    cuda_ops.host_free(g->device, host, 2 * N);
    w->has_lost_one = true;
}

#define LOST                                                                                       \
    "device CUDA:0 is lost: CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was "             \
    "encountered); only a new process can use it again"

static void a_lost_device_answers_so_to_every_call_and_is_closed_like_any(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    w.fake.add("nop", nop_kernel, NULL, 0);
    calls c = {.w = &w, .g = g, .block = aligned_alloc(4096, 4096)};
    assert_int_equal(call_all(&c, &w.err), DF_OK);
    lose(&w, g);
    assert_string_equal(w.err.message, LOST);
    void *kept[] = {c.there, c.host, c.event, c.queue};
    for (int i = 0; i < CALLS; i++) {
        REFUSED(&w, call_one(&c, i, &w.err), DF_UNAVAILABLE, LOST);
        assert_true(c.there == kept[0] && c.host == kept[1] && c.event == kept[2] &&
                    c.queue == kept[3]);
    }
    assert_true(cuda_ops.event_ended(g->device, c.event, &w.err));
    assert_int_equal(w.err.code, DF_UNAVAILABLE);
    assert_false(cuda_ops.reaches(g->device, g->device));
    calls_end(&c);
    assert_int_equal(w.fake.world->pinned, 0);
    assert_int_equal(w.fake.world->registered, 0);
    free(c.block);
    world_close(&w);
}

static void what_has_not_ended_when_a_device_is_lost_fails(void **state) {
    (void)state;
    FAKE_ONLY();
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    gate hold;
    gate_put(&w, g, DF_QUEUE_COMPUTE, &hold);
    gate_await(&hold);
    void *behind = record(&w, g, DF_QUEUE_COMPUTE, NULL);
    wait_for(&w, g, DF_QUEUE_OUT, NULL, behind);
    void *far_behind = record(&w, g, DF_QUEUE_OUT, NULL);
    lose(&w, g);
    assert_true(cuda_ops.event_ended(g->device, behind, &w.err));
    assert_int_equal(w.err.code, DF_UNAVAILABLE);
    cuda_ops.event_wait(g->device, far_behind, UINT64_MAX);
    assert_int_equal(end(&w, g, far_behind), DF_UNAVAILABLE);
    cuda_ops.event_free(g->device, behind);
    gate_open(&hold);
    world_close(&w);
    gate_fini(&hold);
}

static void another_device_goes_on_but_for_work_that_waits_for_the_lost_one(void **state) {
    (void)state;
    FAKE_ONLY();
    step waits;
    world w;
    step_init(&waits);
    world_open(&w, 2);
    gpu *a = &w.gpu[0], *b = &w.gpu[1];
    gate hold;
    gate_put(&w, a, DF_QUEUE_COMPUTE, &hold);
    void *never = record(&w, a, DF_QUEUE_COMPUTE, &waits.work);
    lose(&w, a);

    wait_for(&w, b, DF_QUEUE_IN, &waits.work, never);

    assert_int_equal(waits.told, 1);
    assert_int_equal(waits.why.code, DF_UNAVAILABLE);
    assert_string_equal(waits.why.message, LOST);
    assert_int_equal(finish(&w, b, DF_QUEUE_IN, &waits.work), DF_ABORTED);
    assert_int_equal(finish(&w, b, DF_QUEUE_IN, NULL), DF_OK);
    assert_int_equal(end(&w, a, never), DF_UNAVAILABLE);
    gate_open(&hold);
    world_close(&w);
    gate_fini(&hold);
}

/* Two queues that hand on to each other, on a device that is lost by its k-th piece of work. True:
 * it was. Whatever ended before stays as it is. */
static bool lost_by(int k) {
    enum { N = 256, ROUNDS = 4 };
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    void *there = alloc(&w, g, N), *events[2 * ROUNDS] = {NULL};
    unsigned char *host = pinned(&w, g, N, 0);
    int failed = 0, n = 0;
    df_code rc = DF_OK;
    w.fake.world->lose_after = k;
    for (; n < 2 * ROUNDS && rc == DF_OK; n++) {
        void *q = g->queue[n % 2 ? DF_QUEUE_OUT : DF_QUEUE_IN];
        if (n) rc = cuda_ops.wait(q, NULL, events[n - 1], &w.err);
        if (rc == DF_OK && n % 2) rc = cuda_ops.copy_out(q, NULL, host, there, N, &w.err);
        if (rc == DF_OK && n % 2 == 0) rc = cuda_ops.copy_in(q, NULL, there, host, N, &w.err);
        if (rc == DF_OK) rc = cuda_ops.event_new(g->device, &events[n], &w.err);
        if (rc == DF_OK) rc = cuda_ops.record(q, NULL, events[n], NULL, &w.err);
        assert_true(rc == DF_OK || rc == DF_UNAVAILABLE);
    }
    for (int i = 0; i < n; i++) {
        if (!events[i]) continue;
        df_code said = end(&w, g, events[i]);
        assert_true(said == DF_UNAVAILABLE || (said == DF_OK && failed == 0));
        if (said != DF_OK) failed++;
    }
    bool lost = rc != DF_OK || failed > 0;
    cuda_ops.free(g->device, there, N);
    cuda_ops.host_free(g->device, host, N);
    if (lost) assert_non_null(strstr(w.err.message, "CUDA_ERROR_LAUNCH_FAILED"));
    w.has_lost_one = lost;
    world_close(&w);
    return lost;
}

static void whenever_a_device_is_lost_all_that_was_begun_ends(void **state) {
    (void)state;
    FAKE_ONLY();
    int k = 1;
    while (lost_by(k)) k++;
    assert_in_range(k, 20, 30); /* 8 copies, 8 events, 7 waits */
}

/* True: an allocation that the driver answers with this result is the device's end. */
static bool ends(int result) {
    void *at = NULL;
    world w;
    world_open(&w, 1);
    w.fake.break_call("cuMemAlloc_v2", 1, result);
    df_code first = cuda_ops.alloc(w.gpu[0].device, 100, &at, &w.err);
    assert_int_not_equal(first, DF_OK);
    df_code second = cuda_ops.alloc(w.gpu[0].device, 100, &at, &w.err);
    assert_int_equal(second == DF_OK, first != DF_UNAVAILABLE);
    if (second == DF_OK) cuda_ops.free(w.gpu[0].device, at, 100);
    world_close(&w);
    return second != DF_OK;
}

/* By CUDA's documentation; deinitialized (4) and invalid context (201) come when others end what
 * is everybody's. */
static void errors_that_end_a_context_end_the_device_and_no_others(void **state) {
    (void)state;
    FAKE_ONLY();
    static const int final[] = {3,   4,   46,  201, 214, 220, 226, 700, 702, 709,
                                710, 714, 715, 716, 717, 718, 719, 721, 999};
    static const int passing[] = {1, 2, 400, 500, 701, 704, 712, 713, 720, 801};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        if (!ends(final[i])) fail_msg("%d is final", final[i]);
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (ends(passing[i])) fail_msg("%d is not final", passing[i]);
}

/* ---- a process that is forked -------------------------------------------- */

static int use_in_a_child(world *w, calls *c, void *event) {
    static const char words[] = "device CUDA:0 was opened before this process was forked";
    gpu *g = c->g;
    for (int i = 0; i < CALLS; i++) {
        if (call_one(c, i, &w->err) != DF_UNAVAILABLE) return 10 + i;
        if (!strstr(w->err.message, words)) return 40 + i;
    }
    if (!cuda_ops.event_ended(g->device, event, &w->err)) return 1;
    if (w->err.code != DF_UNAVAILABLE || !strstr(w->err.message, words)) return 2;
    cuda_ops.event_wait(g->device, event, UINT64_MAX);
    if (cuda_ops.reaches(g->device, g->device)) return 3;
    calls_end(c);
    cuda_ops.event_free(g->device, event);
    for (int kind = 0; kind < DF_QUEUE_KINDS; kind++) cuda_ops.queue_free(g->queue[kind]);
    cuda_ops.close(g->device);
    if (w->fake.world && w->fake.world->orphans) return 4; /* locks may be held for ever */
    return fault_live_blocks(&w->heap) == 0 ? 0 : 5;
}

/* What it gives in a child, which then ends at once: what is the driver's it cannot give back, and
 * no tool should look for that. */
static int in_a_child(world *w, calls *c, void *event) {
    int ends[2], result = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        result = use_in_a_child(w, c, event);
        (void)!write(ends[1], &result, sizeof result);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result) result = -1;
    (void)close(ends[0]);
    return result;
}

static void a_child_of_fork_is_told_so_and_can_close_and_the_parent_goes_on(void **state) {
    (void)state;
    if (getenv("DATAFLOW_TEST_EMULATOR")) skip(); /* qemu promises the page of fork.h */
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    calls c = {.w = &w, .g = g, .block = aligned_alloc(4096, 4096)};
    c.n = 3;
    OK(&w, cuda_ops.host_register(g->device, c.block, 4096, &w.err));
    c.there = alloc(&w, g, 256);
    c.host = pinned(&w, g, 256, 0);
    c.event = event_new(&w, g);
    OK(&w, cuda_ops.queue_new(g->device, DF_QUEUE_COMPUTE, &c.queue, &w.err));
    void *event = record(&w, g, DF_QUEUE_COMPUTE, NULL);

    assert_int_equal(in_a_child(&w, &c, event), 0);

    assert_int_equal(end(&w, g, event), DF_OK);
    copy_in(&w, g, c.there, c.host, 256);
    assert_int_equal(finish(&w, g, DF_QUEUE_IN, NULL), DF_OK);
    calls_end(&c);
    free(c.block);
    world_close(&w);
}

/* store(uint32_t *to, uint32_t value), as the driver takes it; the fake one runs store_kernel. */
static const char store_text[] = ".version 6.0\n"
                                 ".target sm_50\n"
                                 ".address_size 64\n"
                                 ".visible .entry store(.param .u64 to, .param .u32 value) {\n"
                                 "    .reg .b32 %r<1>;\n"
                                 "    .reg .b64 %d<2>;\n"
                                 "    ld.param.u64 %d0, [to];\n"
                                 "    ld.param.u32 %r0, [value];\n"
                                 "    cvta.to.global.u64 %d1, %d0;\n"
                                 "    st.global.u32 [%d1], %r0;\n"
                                 "    ret;\n"
                                 "}\n";
static fake store_by;

static void store_kernel(const fake_cuda_grid *grid, void **params) {
    uint64_t to;
    (void)grid;
    memcpy(&to, params[0], sizeof to);
    uint32_t *at = store_by.at(to, sizeof *at);
    if (at) memcpy(at, params[1], sizeof *at);
}

static df_code store(gpu *g, cu_function f, void *to, uint32_t value) {
    void *params[] = {&to, &value};
    cuda_device *d = g->device;
    return d->driver.launch(f, 1, 1, 1, 1, 1, 1, 0, cuda_queue_stream(g->queue[DF_QUEUE_COMPUTE]),
                            params, NULL) == CU_SUCCESS
               ? DF_OK
               : DF_INTERNAL;
}

/* The last test: a true device does not come back to its process. */
static void a_kernel_that_writes_where_nothing_is_loses_the_device(void **state) {
    (void)state;
    static const size_t sizes[] = {8, 4};
    world w;
    world_open(&w, 1);
    gpu *g = &w.gpu[0];
    cuda_device *d = g->device;
    cu_module module = NULL;
    cu_function f = NULL;
    void *before = NULL, *there = alloc(&w, g, 4), *at = NULL;
    uint32_t *host = (void *)pinned(&w, g, 4, 0);
    store_by = w.fake;
    if (w.fake.add) w.fake.add("store", store_kernel, sizes, 2);
    OK(&w, cuda_ops.enter(d, &before, &w.err));
    assert_int_equal(d->driver.module_load(&module, store_text, 0, NULL, NULL), CU_SUCCESS);
    assert_int_equal(d->driver.module_function(&f, module, "store"), CU_SUCCESS);
    OK(&w, store(g, f, there, 77));
    OK(&w, cuda_ops.copy_out(g->queue[DF_QUEUE_COMPUTE], NULL, host, there, 4, &w.err));
    assert_int_equal(finish(&w, g, DF_QUEUE_COMPUTE, NULL), DF_OK);
    assert_int_equal(*host, 77);
    void *events[2] = {event_new(&w, g), event_new(&w, g)};

    OK(&w, store(g, f, (void *)16, 1));

    (void)cuda_ops.record(g->queue[DF_QUEUE_COMPUTE], NULL, events[0], NULL, NULL);
    assert_int_equal(end(&w, g, events[0]), DF_UNAVAILABLE);
    assert_non_null(strstr(w.err.message, "is lost: CUDA_ERROR_ILLEGAL_ADDRESS"));
    REFUSED(&w, cuda_ops.alloc(d, 100, &at, &w.err), DF_UNAVAILABLE, "is lost");
    REFUSED(&w, cuda_ops.record(g->queue[DF_QUEUE_IN], NULL, events[1], NULL, &w.err),
            DF_UNAVAILABLE, "is lost");
    assert_int_equal(end(&w, g, events[1]), DF_UNAVAILABLE);
    (void)d->driver.module_unload(module);
    cuda_ops.leave(d, before);
    cuda_ops.free(d, there, 4);
    cuda_ops.host_free(d, host, 4);
    w.has_lost_one = true;
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_failed_work_are_left_out_and_its_events_fail),
        cmocka_unit_test(who_waits_for_a_failed_event_fails_and_waits_all_the_same),
        cmocka_unit_test(a_wait_of_nobodys_fails_nobodys_next_event_on_that_queue_alone),
        cmocka_unit_test(an_event_that_has_failed_serves_again),
        cmocka_unit_test(an_event_that_is_refused_leaves_nobodys_failure_to_the_next),
        cmocka_unit_test(
            every_call_that_the_driver_refuses_is_told_by_its_name_and_has_done_nothing),
        cmocka_unit_test(memory_that_was_refused_is_not_counted),
        cmocka_unit_test(an_error_that_the_driver_has_no_words_for_is_told_as_such),
        cmocka_unit_test(without_memory_calls_are_refused_and_nothing_is_lost),
        cmocka_unit_test(a_lost_device_answers_so_to_every_call_and_is_closed_like_any),
        cmocka_unit_test(what_has_not_ended_when_a_device_is_lost_fails),
        cmocka_unit_test(another_device_goes_on_but_for_work_that_waits_for_the_lost_one),
        cmocka_unit_test(whenever_a_device_is_lost_all_that_was_begun_ends),
        cmocka_unit_test(errors_that_end_a_context_end_the_device_and_no_others),
        cmocka_unit_test(a_child_of_fork_is_told_so_and_can_close_and_the_parent_goes_on),
        cmocka_unit_test(a_kernel_that_writes_where_nothing_is_loses_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
