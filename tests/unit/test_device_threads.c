/* SPDX-License-Identifier: MIT
 *
 * Threads of a device's own: those that fill pinned memory wait for room in it, and those that tell
 * of an end are waited for when the device is closed.
 */
#include "unit/sim_world.h"

#include "device/stage.h"
#include "thread_device.h"

#include <dataflow/sim.h>

#include <sched.h>
#include <stdatomic.h>

enum { YIELDS = 20000 }; /* time enough for another thread */

/* ---- pinned memory ------------------------------------------------------- */

static _Atomic int n_pieces;

static df_code counted_in(void *q, df_work *work, void *to, const void *from, size_t bytes,
                          df_error *err) {
    (void)atomic_fetch_add(&n_pieces, 1);
    return sim_ops.copy_in(q, work, to, from, bytes, err);
}

typedef struct job {
    stage_job job; /* first */
    waiting ended;
} job;

static void job_ended(stage_job *j, const df_error *why) {
    job *own = (job *)j;
    own->ended.waiter.ready(&own->ended.waiter, why);
}

static void pinned_memory_is_filled_again_only_when_it_was_copied(void **state) {
    (void)state;
    enum { MIB = 1 << 20, ROOM = 32 * MIB, PIECE = 2 * MIB, BYTES = ROOM + 8 * MIB };
    static const df_sim_options o = {.struct_size = sizeof o, .flags = DF_SIM_PINNED};
    df_device_ops ops;
    df_sim_kind(&o, &ops);
    ops.copy_in = counted_in;
    world w;
    gate g;
    world_init_with(&w, &ops, 2 * BYTES);
    df_device *d = w.d[0];
    df_queue *in = d->queues[DF_QUEUE_IN];
    df_tensor *host = host_bytes(&w, BYTES, 3), *there = bytes_in(&w, d->mem, BYTES);
    job j = {.job = {.ended = job_ended, .queue = in, .to = there, .from = host}};
    waiting_init(&j.ended);
    gate_shut_on(&g, in);
    atomic_store(&n_pieces, 0);

    assert_int_equal(stage_copy(d->stage, &j.job, NULL), DF_OK);

    while (atomic_load(&n_pieces) < ROOM / PIECE) (void)sched_yield();
    for (int i = 0; i < YIELDS; i++) (void)sched_yield();
    assert_int_equal(atomic_load(&n_pieces), ROOM / PIECE);
    gate_open(&g);
    waiting_end(&j.ended);
    assert_true(join_on(in, NULL, NULL));
    df_tensor *back = bytes_in(&w, w.host, BYTES);
    copy_out(d, NULL, back, there);
    assert_true(join(d, NULL, NULL));
    assert_true(bytes_are(back, BYTES, 3));
    df_tensor_unref(back);
    df_tensor_unref(there);
    df_tensor_unref(host);
    gate_fini(&g);
    world_end(&w);
}

/* ---- who tells of an end ------------------------------------------------- */

typedef struct teller {
    fence_waiter waiter; /* first */
    df_device *d;
    _Atomic bool is_inside, goes_on, stops, has_stopped;
} teller;

static void tell_slowly(fence_waiter *waiter, const df_error *why) {
    teller *t = (teller *)waiter;
    (void)why;
    atomic_store(&t->is_inside, true);
    while (!atomic_load(&t->goes_on)) (void)sched_yield();
}

static void *stop_it(void *arg) {
    teller *t = arg;
    atomic_store(&t->stops, true);
    device_stop(t->d);
    atomic_store(&t->has_stopped, true);
    return NULL;
}

/* Of a kind whose threads end when it is closed, which is later. */
static void a_device_that_stops_waits_for_who_tells_of_an_end(void **state) {
    (void)state;
    world w;
    gate g;
    pthread_t thread;
    world_init_with(&w, &thread_device_ops, 1 << 20);
    teller t = {.waiter = {.ready = tell_slowly}, .d = w.d[0]};
    gate_shut(&g, t.d);
    fence *f = record(t.d, NULL);
    f->ops->on_ready(f, &t.waiter);
    gate_open(&g);
    while (!atomic_load(&t.is_inside)) (void)sched_yield();
    assert_int_equal(pthread_create(&thread, NULL, stop_it, &t), 0);

    while (!atomic_load(&t.stops)) (void)sched_yield();
    for (int i = 0; i < YIELDS; i++) (void)sched_yield();
    assert_false(atomic_load(&t.has_stopped));

    atomic_store(&t.goes_on, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

int main(int argc, char **argv) {
    world_yields(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_memory_is_filled_again_only_when_it_was_copied),
        cmocka_unit_test(a_device_that_stops_waits_for_who_tells_of_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
