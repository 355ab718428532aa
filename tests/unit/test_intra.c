/* SPDX-License-Identifier: MIT
 *
 * From endpoint to endpoint: what is handed over, copied, waited for, and by whom.
 */
#include "unit/recv_world.h"
#include "unit/sim_world.h"

#include <dataflow/sim.h>

#include "thread_device.h"

enum { PLAN = 3 };

/* A rendezvous between the devices of a world. */
typedef struct route {
    world w;
    step step;
    df_rendezvous *r;
    df_key *key;
    got g;
} route;

static df_endpoint at(df_device *d) {
    return (df_endpoint){.device = d, .queue = d->queue};
}

static void route_init_with(route *x, const df_device_ops *kind, bool has_work) {
    memset(x, 0, sizeof *x);
    world_init_with(&x->w, kind, 1 << 20);
    step_init(&x->step);
    x->key = test_key(0, 0, KEY_NO_CHANNEL);
    assert_int_equal(rendezvous_new_step(&x->w.heap.allocator, x->w.host, PLAN, 0,
                                         has_work ? &x->step.work : NULL, &x->r, NULL),
                     DF_OK);
}

static void route_init(route *x, bool has_work) {
    route_init_with(x, NULL, has_work);
}

static void route_end(route *x) {
    df_rendezvous_unref(x->r);
    df_key_free(x->key);
    world_end(&x->w);
}

/* Takes the tensor. */
static void ship(route *x, df_endpoint from, df_tensor *t, df_endpoint to) {
    got_init(&x->g, x->key, to);
    df_rendezvous_recv(x->r, &x->g.recv);
    assert_int_equal(rendezvous_send(x->r, x->key, &from, t), DF_OK);
}

static void on_one_device_the_reference_is_handed_over(void **state) {
    (void)state;
    route x;
    gate shut;
    route_init(&x, false);
    df_device *d = x.w.d[0];
    gate_shut(&shut, d);
    df_tensor *t = bytes_in(&x.w, d->mem, 64);

    ship(&x, at(d), t, at(d));

    assert_int_equal(got_calls(&x.g), 1);
    assert_ptr_equal(x.g.tensor, t);
    gate_open(&shut);
    got_fini(&x.g);
    assert_true(join(d, NULL, NULL));
    route_end(&x);
    gate_fini(&shut);
}

/* Not one of its bytes is touched, so it needs only the first. */
static void more_than_4_gib_are_handed_over_like_any_tensor(void **state) {
    (void)state;
    if (SIZE_MAX == UINT32_MAX) skip();
    const int64_t n = (INT64_C(1) << 32) + 8;
    route x;
    df_tensor *t = NULL;
    route_init(&x, false);
    _Alignas(64) char first[64];
    assert_int_equal(df_tensor_wrap(NULL, DF_UINT8, DF_SHAPE(n), first, NULL, NULL, &t, NULL),
                     DF_OK);

    ship(&x, on_host, t, on_host);

    assert_int_equal(got_calls(&x.g), 1);
    assert_ptr_equal(x.g.tensor, t);
    assert_true(df_tensor_bytes(t) == (size_t)n);
    got_fini(&x.g);
    route_end(&x);
}

static void a_tensor_that_stays_on_its_device_is_ready_for_a_host_that_asks(void **state) {
    (void)state;
    route x;
    gate shut;
    route_init(&x, false);
    df_device *d = x.w.d[0];
    gate_shut(&shut, d);
    df_tensor *t = bytes_in(&x.w, d->mem, 64);

    ship(&x, at(d), t, (df_endpoint){.device = d});

    assert_int_equal(got_calls(&x.g), 0);
    gate_open(&shut);
    got_wait(&x.g);
    assert_ptr_equal(x.g.tensor, t);
    got_fini(&x.g);
    route_end(&x);
    gate_fini(&shut);
}

static void a_host_tensor_waits_for_the_fence_it_carries(void **state) {
    (void)state;
    for (int has_work = 0; has_work < 2; has_work++) {
        route x;
        gate shut;
        route_init(&x, has_work);
        df_device *d = x.w.d[0];
        gate_shut(&shut, d);
        df_tensor *t = host_bytes(&x.w, 100, 5);
        t->ready = record(d, NULL);

        ship(&x, on_host, t, on_host);

        assert_int_equal(got_calls(&x.g), 0);
        gate_open(&shut);
        got_wait(&x.g);
        assert_ptr_equal(x.g.tensor, t);
        got_fini(&x.g);
        route_end(&x);
        gate_fini(&shut);
    }
}

/* By reference, for the host; another device copies from there as from host memory. */
static void what_the_host_sees_is_not_copied_for_it(void **state) {
    (void)state;
    for (int has_work = 0; has_work < 2; has_work++) {
        route x;
        gate shut;
        adder a;
        route_init_with(&x, &thread_device_ops, has_work);
        df_device *d = x.w.d[0];
        df_tensor *t = bytes_in(&x.w, d->mem, 100), *host = host_bytes(&x.w, 100, 4);
        copy_in(d, NULL, t, host);
        gate_shut(&shut, d);
        adder_launch(&a, d, NULL, t, NULL);
        const void *at_device = t->data;

        ship(&x, at(d), t, on_host);

        assert_int_equal(got_calls(&x.g), 0); /* the kernel has not run */
        gate_open(&shut);
        got_wait(&x.g);
        assert_ptr_equal(df_tensor_data(x.g.tensor), at_device);
        assert_true(bytes_are(x.g.tensor, 100, 5));
        assert_null(df_tensor_device(x.g.tensor));
        if (has_work) assert_int_equal(x.step.work.counts[WORK_HOST_WAITS], 1);
        got_fini(&x.g);
        df_tensor_unref(host);
        route_end(&x);
        gate_fini(&shut);
    }
}

static void what_the_host_sees_fails_with_the_work_that_makes_it(void **state) {
    (void)state;
    route x;
    launch wrong;
    route_init_with(&x, &thread_device_ops, true);
    df_device *d = x.w.d[0];
    df_tensor *t = bytes_in(&x.w, d->mem, 100);
    failing_launch(&wrong, d, &x.step);

    ship(&x, at(d), t, on_host);

    got_wait(&x.g);
    assert_int_not_equal(x.g.code, DF_OK);
    assert_null(x.g.tensor);
    assert_int_equal(x.step.why.code, DF_OUT_OF_RANGE);
    assert_non_null(strstr(x.step.why.message, "node y (Gather)"));
    got_fini(&x.g);
    route_end(&x);
}

static int n_waits;

static df_code counted_wait(void *q, df_work *work, void *event, df_error *err) {
    n_waits++;
    return sim_ops.wait(q, work, event, err);
}

static void under_a_step_another_queue_waits_and_the_host_does_not(void **state) {
    (void)state;
    route x;
    gate shut;
    df_device_ops kind = sim_ops;
    kind.wait = counted_wait;
    n_waits = 0;
    route_init_with(&x, &kind, true);
    df_device *a = x.w.d[0], *b = x.w.d[1];
    gate_shut(&shut, a);
    df_tensor *t = host_bytes(&x.w, 100, 5);
    df_endpoint from = at(a), to = at(b);
    from.memory = to.memory = DF_MEMORY_HOST;

    ship(&x, from, t, to);

    assert_int_equal(got_calls(&x.g), 1);
    assert_ptr_equal(x.g.tensor, t);
    assert_int_equal(n_waits, 1);
    fence *behind = record(b, &x.step);
    assert_false(behind->ops->ended(behind));
    gate_open(&shut);
    assert_true(fence_wait(behind, NULL));
    fence_unref(behind);
    got_fini(&x.g);
    assert_true(join(a, &x.step, NULL));
    route_end(&x);
    gate_fini(&shut);
}

/* From device to device while the first is held; the copies are enqueued, done has run. */
static void ship_across(const df_device_ops *kind) {
    route x;
    gate shut;
    route_init_with(&x, kind, true);
    df_device *a = x.w.d[0], *b = x.w.d[1];
    df_tensor *host = host_bytes(&x.w, 700, 2), *t = bytes_in(&x.w, a->mem, 700);
    gate_shut(&shut, a);
    copy_in(a, &x.step, t, host);
    df_tensor_unref(host);

    ship(&x, at(a), t, at(b));

    assert_int_equal(got_calls(&x.g), 1);
    assert_non_null(x.g.tensor->ready);
    assert_false(x.g.tensor->ready->ops->ended(x.g.tensor->ready));
    gate_open(&shut);
    df_tensor *back = bytes_in(&x.w, x.w.host, 700);
    copy_out(b, &x.step, back, x.g.tensor);
    assert_true(join(b, &x.step, NULL));
    assert_true(bytes_are(back, 700, 2));
    df_tensor_unref(back);
    got_fini(&x.g);
    assert_true(join(a, &x.step, NULL));
    route_end(&x);
    gate_fini(&shut);
}

static int n_in, n_out, n_across;

static df_code counted_in(void *q, df_work *work, void *to, const void *from, size_t bytes,
                          df_error *err) {
    n_in++;
    return sim_ops.copy_in(q, work, to, from, bytes, err);
}

static df_code counted_out(void *q, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err) {
    n_out++;
    return sim_ops.copy_out(q, work, to, from, bytes, err);
}

static df_code counted_across(void *q, df_work *work, void *other, void *to, const void *from,
                              size_t bytes, df_error *err) {
    n_across++;
    return sim_ops.copy_peer(q, work, other, to, from, bytes, err);
}

static df_device_ops counting(void) {
    df_device_ops ops = sim_ops;
    n_in = n_out = n_across = 0;
    ops.copy_in = counted_in;
    ops.copy_out = counted_out;
    ops.copy_peer = counted_across;
    return ops;
}

/* The test itself copies in and out once. */
static void under_a_step_devices_that_reach_each_other_copy_once(void **state) {
    (void)state;
    const df_device_ops ops = counting();

    ship_across(&ops);

    assert_int_equal(n_across, 1);
    assert_int_equal(n_out, 1);
    assert_int_equal(n_in, 1);
}

static bool reaches_nothing(void *device, void *other) {
    (void)device;
    (void)other;
    return false;
}

static void under_a_step_devices_that_do_not_copy_by_way_of_host_memory(void **state) {
    (void)state;
    df_device_ops ops = counting();
    ops.reaches = reaches_nothing;

    ship_across(&ops);

    assert_int_equal(n_across, 0);
    assert_int_equal(n_out, 2);
    assert_int_equal(n_in, 2);
}

static void without_a_step_a_pending_host_tensor_reaches_a_device(void **state) {
    (void)state;
    route x;
    gate shut;
    route_init(&x, false);
    df_device *a = x.w.d[0], *b = x.w.d[1];
    gate_shut(&shut, a);
    df_endpoint from = at(a);
    from.memory = DF_MEMORY_HOST;

    ship(&x, from, host_bytes(&x.w, 700, 2), at(b));

    assert_int_equal(got_calls(&x.g), 0);
    gate_open(&shut);
    got_wait(&x.g);
    assert_int_equal(x.g.code, DF_OK);
    df_tensor *back = bytes_in(&x.w, x.w.host, 700);
    copy_out(b, NULL, back, x.g.tensor);
    assert_true(join(b, NULL, NULL));
    assert_true(bytes_are(back, 700, 2));
    df_tensor_unref(back);
    got_fini(&x.g);
    route_end(&x);
    gate_fini(&shut);
}

static void a_tensor_without_elements_goes_everywhere(void **state) {
    (void)state;
    for (int has_work = 0; has_work < 2; has_work++) {
        route x;
        route_init(&x, has_work);
        df_device *a = x.w.d[0], *b = x.w.d[1];
        const df_endpoint places[] = {on_host, at(a), at(b)};
        for (int i = 0; i < 9; i++) {
            const df_endpoint *from = &places[i / 3], *to = &places[i % 3];
            memory *mem = from->device ? from->device->mem : x.w.host;

            ship(&x, *from, bytes_in(&x.w, mem, 0), *to);
            got_wait(&x.g);

            assert_int_equal(x.g.code, DF_OK);
            assert_int_equal(df_tensor_elements(x.g.tensor), 0);
            assert_int_equal(df_tensor_is_host(x.g.tensor), i % 3 == 0);
            got_fini(&x.g);
        }
        assert_true(join(a, &x.step, NULL));
        assert_true(join(b, &x.step, NULL));
        route_end(&x);
    }
}

static void strings_do_not_go_into_device_memory(void **state) {
    (void)state;
    route x;
    route_init(&x, true);
    const df_string text = {"abc", 3};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&x.w.heap.allocator, DF_STRING, DF_SCALAR, &text, &t, NULL),
                     DF_OK);

    ship(&x, on_host, df_tensor_ref(t), at(x.w.d[0]));

    assert_got_error(&x.g, DF_INVALID_ARGUMENT);
    assert_non_null(strstr(x.g.err.message, "y0:0"));
    assert_non_null(strstr(x.g.err.message, "SIM:0"));
    got_fini(&x.g);
    ship(&x, on_host, t, (df_endpoint){.device = x.w.d[0], .memory = DF_MEMORY_HOST});
    assert_ptr_equal(x.g.tensor, t);
    got_fini(&x.g);
    route_end(&x);
}

/* The next copy, which is its own, fails when it runs. */
static df_tensor *copied_in_vain(route *x) {
    assert_int_equal(df_sim_fail(x->w.d[0], DF_SIM_COPY_FAILS, 1, NULL), DF_OK);
    return bytes_in(&x->w, x->w.d[0]->mem, 128);
}

static void without_a_step_a_copy_that_fails_ends_the_recv_with_the_cause(void **state) {
    (void)state;
    route x;
    route_init(&x, false);

    ship(&x, at(x.w.d[0]), copied_in_vain(&x), on_host);
    got_wait(&x.g);

    assert_got_error(&x.g, DF_DATA_LOSS);
    assert_non_null(strstr(x.g.err.message, "key /job:localhost"));
    assert_int_equal(x.g.err.flags & DF_ERROR_DERIVED, 0);
    got_fini(&x.g);
    assert_true(join(x.w.d[0], NULL, NULL));
    route_end(&x);
}

static void under_a_step_a_copy_that_fails_tells_the_step(void **state) {
    (void)state;
    route x;
    route_init(&x, true);

    ship(&x, at(x.w.d[0]), copied_in_vain(&x), on_host);
    got_wait(&x.g);

    assert_int_equal(x.g.calls, 1);
    assert_true(x.g.code != DF_OK);
    assert_true(df_work_failed(&x.step.work));
    assert_int_equal(x.step.why.code, DF_DATA_LOSS);
    got_fini(&x.g);
    route_end(&x);
}

static df_code open_alone(void *user, const df_device_request *r, void **device,
                          df_device_traits *traits, df_error *err) {
    df_code code = sim_ops.open(user, r, device, traits, err);
    traits->flags |= DF_DEVICE_ALONE;
    return code;
}

/* By another device's work, for which the queue waits; or the host does, if the kind's queues wait
 * for their own device alone. It goes into device memory, or stays, to be read by the queue. */
static void under_a_step_a_host_tensor_that_is_being_made_reaches_a_queue(void **state) {
    (void)state;
    df_device_ops alone = sim_ops;
    alone.open = open_alone;
    for (int i = 0; i < 4; i++) {
        route x;
        gate shut;
        bool is_alone = i / 2, stays = i % 2;
        route_init_with(&x, is_alone ? &alone : NULL, true);
        df_device *a = x.w.d[0], *b = x.w.d[1];
        gate_shut(&shut, a);
        df_tensor *t = host_bytes(&x.w, 700, 2);
        t->ready = record(a, &x.step);
        df_endpoint to = at(b);
        if (stays) to.memory = DF_MEMORY_HOST;

        ship(&x, on_host, t, to);

        assert_int_equal(got_calls(&x.g), !is_alone);
        gate_open(&shut);
        got_wait(&x.g);
        assert_int_equal(x.g.code, DF_OK);
        assert_int_equal(df_tensor_is_host(x.g.tensor), stays);
        assert_true(join(a, &x.step, NULL));
        assert_true(join(b, &x.step, NULL));
        got_fini(&x.g);
        route_end(&x);
        gate_fini(&shut);
    }
}

/* No copy has failed: the value was never made. */
static void without_a_step_a_value_that_is_never_made_ends_the_recv_with_that_cause(void **state) {
    (void)state;
    route x;
    launch wrong;
    route_init(&x, false);
    df_device *a = x.w.d[0], *b = x.w.d[1];
    failing_launch(&wrong, a, &x.step);
    df_tensor *t = host_bytes(&x.w, 100, 5);
    t->ready = record(a, &x.step);

    ship(&x, on_host, t, at(b));
    got_wait(&x.g);

    assert_int_not_equal(x.g.code, DF_OK);
    assert_null(x.g.tensor);
    assert_non_null(strstr(x.g.err.message, "key /job:localhost"));
    got_fini(&x.g);
    route_end(&x);
}

/* While the queue by which all comes in is held, all that a step needs is out at once: no later
 * round can need more, if it waits for its queues as a step does. */
static void a_warm_step_allocates_nothing(void **state) {
    (void)state;
    route x;
    size_t before = 0;
    route_init(&x, true);
    df_rendezvous *r = NULL;
    df_key *keys[2] = {test_key(0, PLAN, 0), test_key(1, PLAN, 1)};
    got g[2];
    df_device *d = x.w.d[0];
    const df_endpoint there = at(d);
    assert_int_equal(
        rendezvous_new_step(&x.w.heap.allocator, x.w.host, PLAN, 2, &x.step.work, &r, NULL), DF_OK);
    for (int round = 0; round < 6; round++) {
        gate shut;
        if (round == 1) before = fault_allocations(&x.w.heap);
        if (round == 0) gate_shut_on(&shut, d->queues[DF_QUEUE_IN]);
        for (int i = 0; i < 2; i++) {
            got_init(&g[i], keys[i], i ? on_host : there);
            rendezvous_mark_planned(&g[i].recv, NULL);
            df_rendezvous_recv(r, &g[i].recv);
        }
        (void)rendezvous_send(r, keys[0], &on_host, host_bytes(&x.w, 500, 1));
        (void)rendezvous_send(r, keys[1], &there, df_tensor_ref(g[0].tensor));
        if (round == 0) gate_open(&shut);
        got_wait(&g[1]);
        if (round == 0) gate_fini(&shut);
        assert_true(bytes_are(g[1].tensor, 500, 1));
        got_fini(&g[0]);
        got_fini(&g[1]);
        assert_true(join_on(d->queues[DF_QUEUE_IN], &x.step, NULL));
        assert_true(join_on(d->queues[DF_QUEUE_OUT], &x.step, NULL));
        assert_int_equal(rendezvous_reset(r), 0);
    }

    assert_int_equal(fault_allocations(&x.w.heap), before);
    df_rendezvous_unref(r);
    df_key_free(keys[0]);
    df_key_free(keys[1]);
    route_end(&x);
}

static df_code refused_wait(void *q, df_work *work, void *its_event, df_error *err) {
    (void)q;
    (void)work;
    (void)its_event;
    return error_set(err, DF_RESOURCE_EXHAUSTED, "no wait");
}

/* Its fence is still on the first queue, whatever becomes of the second: what it looks at must
 * stay. */
static void without_a_step_what_a_transfer_left_on_a_queue_outlives_it(void **state) {
    (void)state;
    route x;
    gate shut;
    df_device_ops ops = sim_ops;
    ops.wait = refused_wait;
    route_init_with(&x, &ops, false);
    df_device *d = x.w.d[0];
    gate_shut(&shut, d);

    ship(&x, at(d), bytes_in(&x.w, d->mem, 128), on_host);
    got_wait(&x.g);
    assert_got_error(&x.g, DF_RESOURCE_EXHAUSTED);
    assert_true(join_on(d->queues[DF_QUEUE_OUT], NULL, NULL));

    gate_open(&shut);
    assert_true(join(d, NULL, NULL));
    got_fini(&x.g);
    route_end(&x);
    gate_fini(&shut);
}

/* It comes behind the end of that step's work, and has nothing to do with how it ends. */
static void a_transfer_into_a_block_that_a_failed_step_used_arrives(void **state) {
    (void)state;
    for (int has_work = 0; has_work < 2; has_work++) {
        route x;
        gate shut;
        step bad;
        launch failing;
        adder a;
        route_init(&x, has_work);
        df_device *d = x.w.d[0];
        df_queue *in = d->queues[DF_QUEUE_IN];
        step_init(&bad);
        gate_shut(&shut, d);
        df_tensor *t = bytes_in(&x.w, d->mem, 100);
        const void *block = t->data;
        adder_launch(&a, d, &bad, t, NULL);
        failing_launch(&failing, d, &bad);
        df_tensor_unref(t);
        fence *f = record(d, &bad);

        ship(&x, (df_endpoint){.device = NULL}, host_bytes(&x.w, 100, 5), at(d));
        fence *behind = record_on(in, &x.step);
        assert_false(behind->ops->ended(behind)); /* it waits for the failing one */
        gate_open(&shut);

        assert_false(fence_wait(f, NULL));
        got_wait(&x.g);
        assert_int_equal(x.g.code, DF_OK);
        assert_ptr_equal(x.g.tensor->data, block);
        assert_true(fence_wait(behind, NULL));
        assert_int_equal(x.step.told, 0);
        assert_true(device_wait(in));
        fence_unref(f);
        fence_unref(behind);
        got_fini(&x.g);
        assert_true(join(d, NULL, NULL));
        route_end(&x);
        gate_fini(&shut);
    }
}

/* ---- without memory ------------------------------------------------------ */

/* Two devices, or what there is memory for. */
static bool open_devices(world *w, fault_allocator *f, const df_device_ops *kind) {
    memset(w, 0, sizeof *w);
    fault_threads_init(&w->threads);
    w->host = memory_new_host(&f->allocator);
    for (int i = 0; i < DEVICES && w->host; i++) {
        device_name name = device_name_any();
        (void)device_name_parse(i ? "/job:a/task:0/device:SIM:1" : "/job:a/task:0/device:SIM:0",
                                &name, NULL);
        if (kind) (void)snprintf(name.kind, sizeof name.kind, "%s", kind->kind);
        const device_options options = {.alloc = &f->allocator,
                                        .threads = &w->threads.threads,
                                        .host = w->host,
                                        .memory_limit = 1 << 20,
                                        .kinds = kind ? &kind : NULL,
                                        .n_kinds = kind != NULL};
        if (device_open(&name, 1, &options, &w->d[i], NULL) != DF_OK) return false;
    }
    return w->host != NULL;
}

/* The tensor is taken; true: it arrived. It must end, whatever fails; and what is on the queues
 * where it comes from, held there until the call has returned, must find all that it needs. */
static bool cross(fault_allocator *f, df_rendezvous *r, const df_key *key, df_endpoint from,
                  df_tensor *t, df_endpoint to, df_tensor **out) {
    got g;
    gate shut;
    got_init(&g, key, to);
    if (from.device) gate_shut(&shut, from.device);
    df_rendezvous_recv(r, &g.recv);
    df_code code = rendezvous_send(r, key, &from, t);
    if (code != DF_OK) df_rendezvous_cancel(r, &g.recv);
    if (from.device) gate_open(&shut);
    got_wait(&g);
    if (from.device) {
        assert_true(device_wait(from.device->queue));
        gate_fini(&shut);
    }
    bool arrived = g.code == DF_OK;
    if (!arrived) assert_true(fault_allocations_failed(f) > 0);
    *out = arrived ? df_tensor_ref(g.tensor) : NULL;
    got_fini(&g);
    return arrived;
}

static void round_trip(fault_allocator *f, world *w, df_work *work, df_key *key) {
    static unsigned char bytes[300] = {1, 2, 3};
    df_rendezvous *r = NULL;
    df_tensor *t = NULL;
    if (rendezvous_new_step(&f->allocator, w->host, PLAN, 1, work, &r, NULL) != DF_OK) return;
    const df_endpoint stops[] = {on_host, at(w->d[0]), at(w->d[1]), on_host};
    bool arrived = df_tensor_from(&f->allocator, DF_UINT8, DF_SHAPE(300), bytes, &t, NULL) == DF_OK;
    for (int i = 0; i < 3 && arrived; i++)
        arrived = cross(f, r, key, stops[i], t, stops[i + 1], &t);
    if (arrived) assert_memory_equal(df_tensor_data(t), bytes, sizeof bytes);
    if (arrived) df_tensor_unref(t);
    df_rendezvous_unref(r);
}

typedef struct journey {
    const df_device_ops *kind; /* NULL: SIM as it is */
    bool has_work;
} journey;

static void travel(fault_allocator *f, void *arg) {
    world w;
    step s;
    const journey *j = arg;
    df_key *key = test_key(0, 0, KEY_NO_CHANNEL);
    step_init(&s);
    if (open_devices(&w, f, j->kind)) round_trip(f, &w, j->has_work ? &s.work : NULL, key);
    for (int i = 0; i < DEVICES; i++)
        if (w.d[i]) device_stop(w.d[i]);
    for (int i = 0; i < DEVICES; i++) device_close(w.d[i]);
    memory_unref(w.host);
    fault_threads_end(&w.threads);
    df_key_free(key);
}

static void a_transfer_that_finds_no_memory_ends_and_leaves_nothing(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        journey j = {.kind = i / 2 ? &thread_device_ops : NULL, .has_work = i % 2};
        assert_true(fault_each_allocation(travel, &j) > 20);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_one_device_the_reference_is_handed_over),
        cmocka_unit_test(more_than_4_gib_are_handed_over_like_any_tensor),
        cmocka_unit_test(a_tensor_that_stays_on_its_device_is_ready_for_a_host_that_asks),
        cmocka_unit_test(a_host_tensor_waits_for_the_fence_it_carries),
        cmocka_unit_test(what_the_host_sees_is_not_copied_for_it),
        cmocka_unit_test(what_the_host_sees_fails_with_the_work_that_makes_it),
        cmocka_unit_test(under_a_step_another_queue_waits_and_the_host_does_not),
        cmocka_unit_test(under_a_step_devices_that_reach_each_other_copy_once),
        cmocka_unit_test(under_a_step_devices_that_do_not_copy_by_way_of_host_memory),
        cmocka_unit_test(without_a_step_a_pending_host_tensor_reaches_a_device),
        cmocka_unit_test(a_tensor_without_elements_goes_everywhere),
        cmocka_unit_test(strings_do_not_go_into_device_memory),
        cmocka_unit_test(without_a_step_a_copy_that_fails_ends_the_recv_with_the_cause),
        cmocka_unit_test(under_a_step_a_copy_that_fails_tells_the_step),
        cmocka_unit_test(a_warm_step_allocates_nothing),
        cmocka_unit_test(without_a_step_what_a_transfer_left_on_a_queue_outlives_it),
        cmocka_unit_test(a_transfer_into_a_block_that_a_failed_step_used_arrives),
        cmocka_unit_test(a_transfer_that_finds_no_memory_ends_and_leaves_nothing),
        cmocka_unit_test(without_a_step_a_value_that_is_never_made_ends_the_recv_with_that_cause),
        cmocka_unit_test(under_a_step_a_host_tensor_that_is_being_made_reaches_a_queue),
    };
    world_yields(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
