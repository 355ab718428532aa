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

/* ---- its threads ----------------------------------------------------------- */

/* Threads are started slowly: when it goes on, and then, if it fails, not at all. */
static struct {
    void *(*start)(void *user, const char *name, void (*body)(void *arg), void *arg);
    _Atomic bool is_starting, goes_on, fails;
} slow;

static void *start_slowly(void *user, const char *name, void (*body)(void *arg), void *arg) {
    if (strcmp(name, "df-stage") != 0) return slow.start(user, name, body, arg);
    atomic_store(&slow.is_starting, true);
    while (!atomic_load(&slow.goes_on)) (void)sched_yield();
    return atomic_load(&slow.fails) ? NULL : slow.start(user, name, body, arg);
}

/* A copy, small enough for one thread, that is begun on a thread of the test's, and refused. */
typedef struct copier {
    stage_job job; /* first */
    stage *stage;
    pthread_t thread;
    _Atomic bool begins;
    _Atomic int n_told;
    df_code code;
} copier;

static void copier_told(stage_job *j, const df_error *why) {
    (void)why;
    (void)atomic_fetch_add(&((copier *)j)->n_told, 1);
}

static void *copier_main(void *arg) {
    copier *c = arg;
    atomic_store(&c->begins, true);
    c->code = stage_copy(c->stage, &c->job, NULL);
    return NULL;
}

static void copier_start(copier *c, df_device *d, df_tensor *there, df_tensor *host) {
    df_queue *in = d->queues[DF_QUEUE_IN];
    *c = (copier){.job = {.ended = copier_told, .queue = in, .to = there, .from = host},
                  .stage = d->stage};
    assert_int_equal(pthread_create(&c->thread, NULL, copier_main, c), 0);
    while (!atomic_load(&c->begins)) (void)sched_yield();
}

static void copier_end(copier *c, df_code code) {
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    assert_int_equal(c->code, code);
    assert_int_equal(atomic_load(&c->n_told), 0);
}

static void slow_world(world *w, df_device_ops *ops, bool fails) {
    static const df_sim_options o = {.struct_size = sizeof o, .flags = DF_SIM_PINNED};
    df_sim_kind(&o, ops);
    world_init_with(w, ops, 1 << 20);
    slow.start = w->threads.threads.start;
    w->threads.threads.start = start_slowly;
    atomic_store(&slow.is_starting, false);
    atomic_store(&slow.goes_on, false);
    atomic_store(&slow.fails, fails);
}

static void a_copy_does_not_count_on_a_thread_that_is_never_started(void **state) {
    (void)state;
    df_device_ops ops;
    world w;
    copier first, second;
    slow_world(&w, &ops, true);
    df_tensor *host = host_bytes(&w, 100, 3), *there = bytes_in(&w, w.d[0]->mem, 100);
    copier_start(&first, w.d[0], there, host);
    while (!atomic_load(&slow.is_starting)) (void)sched_yield();
    copier_start(&second, w.d[0], there, host);
    for (int i = 0; i < YIELDS; i++) (void)sched_yield();

    atomic_store(&slow.goes_on, true);

    copier_end(&first, DF_RESOURCE_EXHAUSTED);
    copier_end(&second, DF_RESOURCE_EXHAUSTED);
    df_tensor_unref(there);
    df_tensor_unref(host);
    world_end(&w);
}

static void *stop_device(void *d) {
    device_stop(d);
    return NULL;
}

static void a_thread_that_is_being_started_is_waited_for_when_a_device_stops(void **state) {
    (void)state;
    df_device_ops ops;
    world w;
    copier late;
    pthread_t stops;
    slow_world(&w, &ops, false);
    df_tensor *host = host_bytes(&w, 100, 3), *there = bytes_in(&w, w.d[0]->mem, 100);
    copier_start(&late, w.d[0], there, host);
    while (!atomic_load(&slow.is_starting)) (void)sched_yield();
    assert_int_equal(pthread_create(&stops, NULL, stop_device, w.d[0]), 0);
    for (int i = 0; i < YIELDS; i++) (void)sched_yield();

    atomic_store(&slow.goes_on, true);

    assert_int_equal(pthread_join(stops, NULL), 0);
    copier_end(&late, DF_UNAVAILABLE);
    df_tensor_unref(there);
    df_tensor_unref(host);
    world_end(&w); /* every thread was joined */
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
        cmocka_unit_test(a_copy_does_not_count_on_a_thread_that_is_never_started),
        cmocka_unit_test(a_thread_that_is_being_started_is_waited_for_when_a_device_stops),
        cmocka_unit_test(a_device_that_stops_waits_for_who_tells_of_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
