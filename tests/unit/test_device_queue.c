/* SPDX-License-Identifier: MIT
 *
 * What stands in front of every kind of device: which queue waits for what, what is held and until
 * when, whose failure is told to whom, and how it ends.
 */
#include "unit/kind_world.h"

#include "device/books.h"
#include "device/timeline.h"

#include <dataflow/sim.h>

/* ---- blocks: what comes by another queue ---------------------------------- */

/* Used by the compute queue, which is held, and given back. */
static void *block_in_use(world *w, df_device *d, adder *a, size_t n) {
    df_tensor *t = bytes_in(w, d->mem, n);
    void *block = t->data;
    adder_launch(a, d, NULL, t, NULL);
    df_tensor_unref(t);
    return block;
}

static void come_in(world *w, df_device *d, df_tensor *there, unsigned first) {
    df_tensor *host = host_bytes(w, there->bytes, first);
    assert_int_equal(queue_copy_in(d->queues[DF_QUEUE_IN], NULL, there, host, NULL), DF_OK);
    df_tensor_unref(host);
}

static bool has_bytes(world *w, df_device *d, df_tensor *there, unsigned first) {
    df_tensor *back = bytes_in(w, w->host, there->bytes);
    assert_true(join_on(d->queues[DF_QUEUE_IN], NULL, NULL));
    copy_out(d, NULL, back, there);
    assert_true(join(d, NULL, NULL));
    bool same = bytes_are(back, there->bytes, first);
    df_tensor_unref(back);
    return same;
}

static void a_copy_into_a_block_comes_behind_what_the_compute_queue_does_with_it(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];
    gate_shut(&g, d);
    void *block = block_in_use(&w, d, &a, 100);
    df_tensor *there = bytes_in(&w, d->mem, 100);
    assert_ptr_equal(there->data, block);

    come_in(&w, d, there, 1);
    fence *f = record_on(d->queues[DF_QUEUE_IN], NULL);

    assert_int_equal(kind.waits, 1);
    assert_false(f->ops->ended(f));
    gate_open(&g);
    assert_true(has_bytes(&w, d, there, 1)); /* nothing was added */
    fence_unref(f);
    df_tensor_unref(there);
    gate_fini(&g);
    world_end(&w);
}

static void a_block_whose_last_use_is_over_needs_no_wait(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];
    void *block = block_in_use(&w, d, &a, 100);
    assert_true(join(d, NULL, NULL));
    gate_shut(&g, d); /* other work does not matter */
    df_tensor *there = bytes_in(&w, d->mem, 100);
    assert_ptr_equal(there->data, block);
    int records = kind.records;

    come_in(&w, d, there, 1);

    assert_int_equal(kind.waits, 0);
    assert_int_equal(kind.records, records);
    assert_true(join_on(d->queues[DF_QUEUE_IN], NULL, NULL));
    gate_open(&g);
    assert_true(has_bytes(&w, d, there, 1));
    df_tensor_unref(there);
    gate_fini(&g);
    world_end(&w);
}

static void a_block_that_nothing_has_used_needs_no_wait(void **state) {
    (void)state;
    world w;
    gate g;
    kind_init(&w, false);
    df_device *d = w.d[0];
    gate_shut(&g, d);
    df_tensor *there = bytes_in(&w, d->mem, 100);

    come_in(&w, d, there, 1);

    assert_int_equal(kind.waits, 0);
    assert_true(join_on(d->queues[DF_QUEUE_IN], NULL, NULL));
    gate_open(&g);
    df_tensor_unref(there);
    assert_true(join(d, NULL, NULL));
    gate_fini(&g);
    world_end(&w);
}

static void one_wait_is_enough_for_all_blocks_that_were_given_back_before(void **state) {
    (void)state;
    enum { N = 4 };
    world w;
    gate g;
    adder a[N];
    df_tensor *there[N];
    kind_init(&w, false);
    df_device *d = w.d[0];
    gate_shut(&g, d);
    for (size_t i = 0; i < N; i++) (void)block_in_use(&w, d, &a[i], (size_t)100 << i);
    fence *f = record(d, NULL); /* behind all of them: no other is needed */
    int records = kind.records;

    for (size_t i = 0; i < N; i++) {
        there[i] = bytes_in(&w, d->mem, (size_t)100 << i);
        come_in(&w, d, there[i], (unsigned)i);
    }

    assert_int_equal(kind.waits, 1);
    assert_int_equal(kind.records, records);
    gate_open(&g);
    for (size_t i = 0; i < N; i++) {
        assert_true(has_bytes(&w, d, there[i], (unsigned)i));
        df_tensor_unref(there[i]);
    }
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void a_copy_across_comes_behind_what_the_other_device_does_with_the_block(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0], *other = w.d[1];
    df_tensor *here = bytes_in(&w, d->mem, 100), *host = host_bytes(&w, 100, 1);
    copy_in(d, NULL, here, host);
    assert_true(join(d, NULL, NULL));
    gate_shut(&g, other);
    void *block = block_in_use(&w, other, &a, 100);
    df_tensor *there = bytes_in(&w, other->mem, 100);
    assert_ptr_equal(there->data, block);
    df_queue *across = d->queues[DF_QUEUE_ACROSS];

    assert_int_equal(queue_copy_across(across, NULL, other, there, here, NULL), DF_OK);

    assert_int_equal(kind.waits, 1);
    gate_open(&g);
    assert_true(join_on(across, NULL, NULL));
    assert_true(has_bytes(&w, other, there, 1));
    df_tensor_unref(here);
    df_tensor_unref(there);
    df_tensor_unref(host);
    gate_fini(&g);
    world_end(&w);
}

/* Its own order does that. */
static void the_compute_queue_uses_a_block_at_once(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];
    gate_shut(&g, d);
    (void)block_in_use(&w, d, &a, 100);
    df_tensor *there = bytes_in(&w, d->mem, 100), *host = host_bytes(&w, 100, 1);

    copy_in(d, NULL, there, host);

    assert_int_equal(kind.waits, 0);
    assert_int_equal(kind.records, 0);
    gate_open(&g);
    assert_true(has_bytes(&w, d, there, 1));
    df_tensor_unref(there);
    df_tensor_unref(host);
    gate_fini(&g);
    world_end(&w);
}

/* ---- waiting -------------------------------------------------------------- */

static void what_needs_no_wait_is_not_put_on_the_queue(void **state) {
    (void)state;
    world w;
    gate g;
    step s, another;
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_queue *in = d->queues[DF_QUEUE_IN];
    step_init(&s);
    step_init(&another);
    fence *over = record(d, &s);
    assert_true(fence_wait(over, NULL));
    gate_shut(&g, d);
    fence *f = record(d, &s);

    assert_int_equal(queue_wait(in, &s.work, over, NULL), DF_OK);    /* it has ended */
    assert_int_equal(queue_wait(d->queue, &s.work, f, NULL), DF_OK); /* on its own queue */
    assert_int_equal(kind.waits, 0);
    assert_int_equal(queue_wait(d->queue, &another.work, f, NULL), DF_OK); /* its failure matters */
    assert_int_equal(kind.waits, 1);
    assert_int_equal(queue_wait(in, &s.work, f, NULL), DF_OK);
    assert_int_equal(kind.waits, 2);

    gate_open(&g);
    assert_true(join(d, &another, NULL));
    assert_true(join_on(in, &s, NULL));
    fence_unref(over);
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void a_queue_is_behind_what_it_has_waited_for(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_queue *in = d->queues[DF_QUEUE_IN], *out = d->queues[DF_QUEUE_OUT];
    gate_shut(&g, d);
    fence *f = record(d, NULL);

    assert_true(queue_is_behind(in, in));
    assert_false(queue_is_behind(in, d->queue));
    assert_int_equal(queue_wait(in, NULL, f, NULL), DF_OK);
    assert_true(queue_is_behind(in, d->queue));
    assert_false(queue_is_behind(out, d->queue));
    assert_false(queue_is_behind(w.d[1]->queue, d->queue));
    adder_launch(&a, d, NULL, NULL, NULL);
    assert_false(queue_is_behind(in, d->queue));

    gate_open(&g);
    assert_true(join_on(in, NULL, NULL));
    assert_true(join(d, NULL, NULL));
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void fences_and_waits_count_for_the_work_that_they_are_of(void **state) {
    (void)state;
    world w;
    gate g;
    step s;
    fence *f = NULL;
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_queue *in = d->queues[DF_QUEUE_IN];
    step_init(&s);
    gate_shut(&g, d);

    assert_int_equal(queue_record(d->queue, &s.work, &f, NULL), DF_OK);
    assert_int_equal(s.work.counts[WORK_FENCES], 1);
    assert_int_equal(s.work.counts[WORK_QUEUE_WAITS], 0);
    assert_int_equal(queue_wait(in, &s.work, f, NULL), DF_OK);
    assert_int_equal(s.work.counts[WORK_FENCES], 1);
    assert_int_equal(s.work.counts[WORK_QUEUE_WAITS], 1);

    gate_open(&g);
    assert_true(join(d, &s, NULL));
    assert_true(join_on(in, &s, NULL));
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void who_is_behind_another_device_is_not_behind_its_own(void **state) {
    (void)state;
    world w;
    gate g;
    adder a[3];
    kind_init(&w, false);
    df_device *d = w.d[0], *other = w.d[1];
    df_queue *in = d->queues[DF_QUEUE_IN];
    gate_shut(&g, other);
    for (int i = 0; i < 2; i++) adder_launch(&a[i], other, NULL, NULL, NULL);
    fence *f = record(other, NULL);
    adder_launch(&a[2], d, NULL, NULL, NULL);

    assert_int_equal(queue_wait(in, NULL, f, NULL), DF_OK);
    assert_false(queue_is_behind(in, d->queue));

    gate_open(&g);
    assert_true(join(other, NULL, NULL));
    assert_true(join(d, NULL, NULL));
    assert_true(join_on(in, NULL, NULL));
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void what_a_program_puts_on_a_queue_itself_is_waited_for_too(void **state) {
    enum { TURNS = 100 };
    (void)state;
    world w;
    own_work own;
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_queue *in = d->queues[DF_QUEUE_IN];
    queue_lend(d->queue);
    df_tensor *there = bytes_in(&w, d->mem, 100);
    void *block = there->data;
    fence *before = record(d, NULL);
    assert_int_equal(queue_wait(in, NULL, before, NULL), DF_OK);
    own_work_put(&own, d->queue);
    assert_false(queue_is_behind(in, d->queue));

    df_tensor_unref(there);
    there = bytes_in(&w, d->mem, 100);
    assert_ptr_equal(there->data, block);
    come_in(&w, d, there, 1);
    fence *f = record_on(in, NULL);

    for (int i = 0; i < TURNS; i++) (void)sched_yield();
    assert_false(f->ops->ended(f));
    own.may_end = true;
    assert_true(has_bytes(&w, d, there, 1));
    fence_unref(before);
    fence_unref(f);
    df_tensor_unref(there);
    world_end(&w);
}

/* Whenever it is found out: before the wait, on the way, or on the fence's own queue. */
static void a_fence_that_fails_fails_the_step_that_waits_for_it(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++)
        for (int own = 0; own < 2; own++) {
            world w;
            gate g;
            launch failing;
            step bad, s;
            adder a;
            int turns = 0;
            kind_init(&w, false);
            df_device *d = w.d[0], *waits = w.d[own ? 0 : 1];
            step_init(&bad);
            step_init(&s);
            gate_shut(&g, d);
            failing_launch(&failing, d, &bad);
            fence *f = record(d, &bad);
            if (late) gate_open(&g);
            if (late) assert_false(fence_wait(f, NULL));

            wait_for(waits, &s, f);
            adder_launch(&a, waits, &s, NULL, &turns);
            if (!late) gate_open(&g);

            assert_false(join(waits, &s, NULL));
            assert_int_equal(s.why.code, DF_ABORTED);
            assert_int_equal(bad.why.code, DF_OUT_OF_RANGE);
            assert_int_equal(turns, 0);
            fence_unref(f);
            gate_fini(&g);
            world_end(&w);
        }
}

static void a_fence_that_has_failed_fails_the_next_one_that_is_nobodys_too(void **state) {
    (void)state;
    world w;
    launch failing;
    df_error why;
    kind_init(&w, false);
    failing_launch(&failing, w.d[0], NULL);
    fence *f = record(w.d[0], NULL);
    assert_false(fence_wait(f, NULL));

    wait_for(w.d[1], NULL, f);

    assert_false(join(w.d[1], NULL, &why));
    assert_int_equal(why.code, DF_OUT_OF_RANGE);
    assert_true(join(w.d[1], NULL, NULL));
    fence_unref(f);
    world_end(&w);
}

static void queues_wait_for_fences_of_their_own_kind_alone(void **state) {
    (void)state;
    world w, other;
    kind_init(&w, false);
    world_init(&other);
    fence *f = record(w.d[0], NULL), *g = record(other.d[0], NULL);

    assert_true(queue_can_wait(w.d[1]->queue, f));
    assert_false(queue_can_wait(w.d[1]->queue, g));

    fence_unref(f);
    fence_unref(g);
    world_end(&other);
    world_end(&w);
}

/* ---- holding -------------------------------------------------------------- */

static void drop(void *what) {
    (void)atomic_add((_Atomic int *)what, 1, RELEASE);
}

static void hold(df_queue *q, _Atomic int *drops) {
    queue_held *h = queue_hold_new(q, drop, drops, NULL);
    assert_non_null(h);
    queue_hold(q, h);
}

static void what_is_held_is_dropped_once_behind_the_work(void **state) {
    (void)state;
    world w;
    gate g;
    _Atomic int first = 0, second = 0, at_once = 0;
    kind_init(&w, false);
    df_device *d = w.d[0];
    fence *before = record(d, NULL);
    assert_true(fence_wait(before, NULL));
    gate_shut(&g, d);
    hold(d->queue, &first);
    fence *f = record(d, NULL), *behind = record(d, NULL);
    hold(d->queue, &second);
    queue_hold_drop(d->queue, queue_hold_new(d->queue, drop, &at_once, NULL));
    queue_hold_drop(d->queue, NULL);

    assert_int_equal(at_once, 1);
    assert_int_equal(first, 0);
    gate_open(&g);
    assert_true(fence_wait(f, NULL)); /* who is told finds it dropped */
    assert_int_equal(first, 1);
    assert_true(fence_wait(behind, NULL));
    assert_int_equal(first, 1);
    assert_int_equal(second, 0); /* no fence is behind it */
    assert_true(join(d, NULL, NULL));
    assert_int_equal(second, 1);
    fence_unref(before);
    fence_unref(f);
    fence_unref(behind);
    gate_fini(&g);
    world_end(&w);
    assert_int_equal(first, 1);
    assert_int_equal(second, 1);
}

static void what_no_fence_drops_is_dropped_when_the_device_is_closed(void **state) {
    (void)state;
    world w;
    _Atomic int drops = 0;
    kind_init(&w, false);
    hold(w.d[0]->queues[DF_QUEUE_OUT], &drops);
    hold(w.d[0]->queue, &drops);
    world_end(&w);
    assert_int_equal(drops, 2);
}

static void a_fence_that_could_not_be_recorded_drops_nothing(void **state) {
    (void)state;
    world w;
    _Atomic int drops = 0;
    fence *f = (fence *)&w;
    kind_init(&w, false);
    df_device *d = w.d[0];
    hold(d->queue, &drops);
    hold(d->queue, &drops);

    kind.refuses = 1;
    assert_int_equal(queue_record(d->queue, NULL, &f, NULL), DF_RESOURCE_EXHAUSTED);

    assert_null(f);
    assert_int_equal(drops, 0);
    assert_true(join(d, NULL, NULL));
    assert_int_equal(drops, 2);
    world_end(&w);
}

static void whoever_must_know_the_end_asks_a_kind_that_refuses_again(void **state) {
    (void)state;
    world w;
    gate g;
    step s;
    fence *f = NULL;
    kind_init(&w, false);
    df_device *d = w.d[0], *unused = w.d[1];
    step_init(&s);
    gate_shut(&g, d);

    kind.refuses = 3;
    assert_int_equal(queue_record_end(d->queue, &s.work, &f, NULL), DF_OK);
    assert_int_equal(kind.refuses, 0);
    assert_int_equal(s.told, 0);
    assert_false(f->ops->ended(f));
    gate_open(&g);
    assert_true(fence_wait(f, NULL));
    fence_unref(f);

    kind.refuses = 1; /* nothing was ever there */
    assert_int_equal(queue_record_end(unused->queue, &s.work, &f, NULL), DF_RESOURCE_EXHAUSTED);
    kind.is_lost = true;
    assert_int_equal(queue_record_end(d->queue, &s.work, &f, NULL), DF_UNAVAILABLE);
    kind.is_lost = false; /* the simulated one must end */
    gate_fini(&g);
    world_end(&w);
}

/* ---- fences that are kept at hand ----------------------------------------- */

static void fences_that_are_kept_at_hand_need_no_memory(void **state) {
    (void)state;
    enum { N = 5 };
    world w;
    gate g;
    fence *f[N], *more = NULL, *spare[2];
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_queue *q = d->queue;
    assert_int_equal(queue_keep_fences(q, N, NULL), DF_OK);
    gate_shut(&g, d);
    for (int i = 0; i < 2; i++) spare[i] = record(d, NULL); /* not one of those */
    fault_fail_allocation(&w.heap, 1, FAULT_FOR_EVER);

    assert_int_equal(queue_record(q, NULL, &more, NULL), DF_RESOURCE_EXHAUSTED);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) assert_int_equal(queue_record_end(q, NULL, &f[i], NULL), DF_OK);
        assert_int_equal(queue_record(q, NULL, &more, NULL), DF_RESOURCE_EXHAUSTED);
        gate_open(&g);
        for (int i = 0; i < N; i++) {
            assert_true(fence_wait(f[i], NULL));
            fence_unref(f[i]);
        }
    }

    queue_drop_fences(q, N); /* now they are anybody's */
    assert_int_equal(queue_record(q, NULL, &more, NULL), DF_OK);
    fault_fail_allocation(&w.heap, 0, FAULT_ONCE);
    fence_unref(more);
    for (int i = 0; i < 2; i++) fence_unref(spare[i]);
    gate_fini(&g);
    world_end(&w);
}

static void fences_that_cannot_be_kept_at_hand_are_not_promised(void **state) {
    (void)state;
    world w;
    kind_init(&w, false);
    df_queue *q = w.d[0]->queue;
    size_t kept = q->books->n_kept;
    fault_fail_allocation(&w.heap, 5, FAULT_FOR_EVER);

    assert_int_equal(queue_keep_fences(q, 8, NULL), DF_RESOURCE_EXHAUSTED);

    fault_fail_allocation(&w.heap, 0, FAULT_ONCE);
    assert_int_equal(q->books->n_kept, kept);
    world_end(&w);
}

/* ---- what is over --------------------------------------------------------- */

static void a_queue_is_over_for_a_step_whose_fence_has_ended_behind_it(void **state) {
    (void)state;
    world w;
    adder a;
    gate g;
    step s, another;
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_queue *q = d->queue;
    step_init(&s);
    step_init(&another);
    assert_true(queue_is_over(q, &s.work)); /* nothing ever was there */

    adder_launch(&a, d, &s, NULL, NULL);
    assert_false(queue_is_over(q, &s.work));
    assert_true(join(d, &another, NULL));
    assert_false(queue_is_over(q, &s.work)); /* its failure would have been told to the other */
    assert_true(join(d, &s, NULL));
    fence *f = record(d, &s);
    assert_true(fence_wait(f, NULL));
    while (!queue_is_over(q, &s.work)) (void)sched_yield(); /* those who are told come back */
    assert_false(queue_is_over(q, &another.work));

    gate_shut(&g, d);
    assert_false(queue_is_over(q, &s.work));
    gate_open(&g);
    assert_true(join(d, NULL, NULL));
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

/* The events around it are on the queue, and the step's next run records them again. */
static void a_queue_is_not_over_before_the_times_of_a_copy_that_was_refused(void **state) {
    (void)state;
    enum { N = 64 };
    uint64_t copies, hidden;
    world w;
    step s;
    world_init(&w);
    df_device *d = w.d[0];
    df_queue *q = d->queues[DF_QUEUE_IN];
    df_tensor *there = bytes_in(&w, d->mem, N), *host = host_bytes(&w, N, 1);
    step_init(&s);
    s.work.times = timeline_new(&w.heap.allocator);
    assert_non_null(s.work.times);
    assert_int_equal(df_sim_fail(d, DF_SIM_COPY_REFUSED, 1, NULL), DF_OK);

    assert_int_equal(queue_copy_in(q, &s.work, there, host, NULL), DF_INTERNAL);

    assert_false(queue_is_over(q, &s.work));
    assert_true(join_on(q, &s, NULL));
    while (!queue_is_over(q, &s.work)) (void)sched_yield();
    timeline_take(s.work.times, &copies, &hidden);
    timeline_free(s.work.times);
    df_tensor_unref(host);
    df_tensor_unref(there);
    world_end(&w);
}

/* ---- the end -------------------------------------------------------------- */

static void a_device_that_has_stopped_takes_nothing(void **state) {
    (void)state;
    for (int polls = 0; polls < 2; polls++) {
        world w;
        launch l = {.run = failing_run};
        fence *f = (fence *)&w;
        df_error err;
        kind_init(&w, polls);
        df_device *d = w.d[0];
        df_tensor *there = bytes_in(&w, d->mem, 100), *host = host_bytes(&w, 100, 1);
        assert_true(join(w.d[1], NULL, NULL));

        device_stop(d);

        for (int i = 0; i < DF_QUEUE_KINDS; i++) {
            df_queue *q = d->queues[i];
            assert_int_equal(queue_copy_in(q, NULL, there, host, NULL), DF_UNAVAILABLE);
            assert_int_equal(queue_copy_out(q, NULL, host, there, NULL), DF_UNAVAILABLE);
            assert_int_equal(queue_launch(q, NULL, &l, &err), DF_UNAVAILABLE);
            assert_non_null(strstr(err.message, "SIM:0"));
            assert_int_equal(queue_record(q, NULL, &f, NULL), DF_UNAVAILABLE);
            assert_null(f);
            assert_true(device_wait(q));
        }
        device_stop(d);
        assert_true(refcount_is_one(&host->refs));
        df_tensor_unref(there);
        df_tensor_unref(host);
        world_end(&w);
    }
}

typedef struct enqueuer {
    launch base; /* first */
    df_queue *q;
    adder behind;
    int turns;
    df_code code;
} enqueuer;

static df_code enqueue(launch *l, df_error *err) {
    enqueuer *e = (enqueuer *)l;
    e->behind = (adder){.base = {.run = adder_run}, .turns = &e->turns};
    e->code = queue_launch(e->q, NULL, &e->behind.base, err);
    return DF_OK;
}

static void what_work_enqueues_on_any_queue_while_it_is_closed_runs_too(void **state) {
    (void)state;
    for (int i = 0; i < 2 * DF_QUEUE_KINDS; i++) {
        world w;
        gate g;
        kind_init(&w, i % 2);
        df_device *d = w.d[0];
        df_queue *q = d->queues[i / 2];
        enqueuer e = {.base = {.run = enqueue}, .q = q, .code = DF_UNKNOWN};
        gate_shut_on(&g, q);
        assert_int_equal(queue_launch(q, NULL, &e.base, NULL), DF_OK);
        kind.shut = &g;

        device_stop(d);

        kind.shut = NULL;
        assert_int_equal(e.code, DF_OK);
        assert_int_equal(e.turns, 1);
        gate_fini(&g);
        world_end(&w);
    }
}

/* Nobody has waited for them, nor has anything been put behind. */
static void fences_that_nobody_waited_for_have_ended_when_a_device_is_closed(void **state) {
    (void)state;
    for (int polls = 0; polls < 2; polls++) {
        world w;
        _Atomic int drops = 0;
        kind_init(&w, polls);
        df_device *d = w.d[0];
        assert_true(join(d, NULL, NULL));
        hold(d->queue, &drops);
        fence *f = record(d, NULL), *g = record(d, NULL);
        fence_unref(f);

        device_close(d);

        w.d[0] = NULL;
        assert_int_equal(drops, 1);
        assert_true(g->ops->ended(g));
        fence_unref(g);
        world_end(&w);
    }
}

/* ---- a kind that does not tell -------------------------------------------- */

static void fences_on_several_queues_are_told_in_the_order_in_which_they_end(void **state) {
    (void)state;
    world w;
    gate g[3];
    waiting told[3];
    fence *f[3];
    step s;
    kind_init(&w, true);
    df_device *d = w.d[0];
    step_init(&s);
    for (int i = 0; i < 3; i++) {
        gate_shut_on(&g[i], d->queues[i]);
        f[i] = record_on(d->queues[i], &s);
        waiting_init(&told[i]);
        f[i]->ops->on_ready(f[i], &told[i].waiter);
    }

    for (int i = 2; i >= 0; i--) {
        assert_false(f[i]->ops->ended(f[i]));
        gate_open(&g[i]);
        waiting_end(&told[i]);
        assert_true(f[i]->ops->ended(f[i]));
        assert_int_equal(told[i].calls, 1);
        assert_false(told[i].failed);
        assert_false(pthread_equal(told[i].thread, pthread_self()));
        if (i) assert_false(f[i - 1]->ops->ended(f[i - 1]));
    }

    for (int i = 0; i < 3; i++) {
        fence_unref(f[i]);
        gate_fini(&g[i]);
    }
    world_end(&w);
}

static void a_failure_is_found_by_asking(void **state) {
    (void)state;
    world w;
    launch failing;
    step s;
    df_error why;
    kind_init(&w, true);
    step_init(&s);

    failing_launch(&failing, w.d[0], &s);

    assert_false(join(w.d[0], &s, &why));
    assert_int_equal(why.code, DF_ABORTED);
    assert_int_equal(s.why.code, DF_OUT_OF_RANGE);
    world_end(&w);
}

/* A kernel that is called on the host, puts work on its queue, and fails then. */
typedef struct half_way {
    launch base; /* first */
    own_work work;
    df_queue *queue;
} half_way;

static df_code fail_half_way(launch *l, df_error *err) {
    half_way *h = (half_way *)l;
    own_work_put(&h->work, h->queue);
    return error_set(err, DF_RESOURCE_EXHAUSTED, "as planned");
}

static void what_a_kernel_put_on_its_queue_before_it_failed_is_waited_for(void **state) {
    (void)state;
    df_device_ops ops = *kind_new(false);
    world w;
    step s;
    ops.run = NULL;
    world_init_with(&w, &ops, 1 << 20);
    df_queue *q = w.d[0]->queue;
    half_way h = {.base = {.run = fail_half_way}, .queue = q};
    step_init(&s);

    assert_int_equal(queue_launch(q, &s.work, &h.base, NULL), DF_RESOURCE_EXHAUSTED);

    assert_false(queue_is_over(q, &s.work));
    h.work.may_end = true;
    assert_true(join(w.d[0], &s, NULL));
    world_end(&w);
}

static void nobody_asks_where_nobody_waits(void **state) {
    (void)state;
    world w;
    gate g;
    kind_init(&w, true);
    df_device *d = w.d[0];
    gate_shut(&g, d);
    fence *f = record(d, NULL);
    assert_true(join_on(d->queues[DF_QUEUE_OUT], NULL, NULL)); /* the thread has been about */
    int before = kind.event_waits;

    for (int i = 0; i < 1000; i++) (void)sched_yield();

    /* who waited before may have asked once more */
    assert_true(kind.event_waits <= before + 1);
    gate_open(&g);
    assert_true(fence_wait(f, NULL));
    assert_true(kind.event_waits > before);
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

/* Sees the end of what is held, on a thread of its own, and is not through before it may be. */
typedef struct looker {
    df_device *d;
    df_work *work; /* of what it records */
    _Atomic uint32_t is_there, may_go;
} looker;

static void linger(void *what) {
    looker *l = what;
    atomic_put(&l->is_there, 1, RELEASE);
    while (!atomic_get(&l->may_go, ACQUIRE)) (void)sched_yield();
}

static void *look_at_it(void *what) {
    looker *l = what;
    fence_unref(record(l->d, NULL));
    return NULL;
}

static void nobody_asks_where_another_thread_looks(void **state) {
    (void)state;
    enum { TURNS = 1000, ASKED = 10 };
    world w;
    waiting told;
    pthread_t thread;
    df_error why;
    kind_init(&w, true);
    looker l = {.d = w.d[0]};
    df_queue *q = l.d->queue;
    queue_held *h = queue_hold_new(q, linger, &l, NULL);
    assert_non_null(h);
    queue_hold(q, h);
    fence *held = record(l.d, NULL);
    while (!kind_event_ended(l.d->books->impl, fence_of(held)->event, &why)) (void)sched_yield();
    assert_int_equal(pthread_create(&thread, NULL, look_at_it, &l), 0);
    while (!atomic_get(&l.is_there, ACQUIRE)) (void)sched_yield();
    fence *behind = record(l.d, NULL);
    while (!kind_event_ended(l.d->books->impl, fence_of(behind)->event, &why)) (void)sched_yield();
    waiting_init(&told);

    behind->ops->on_ready(behind, &told.waiter);

    for (int i = 0; i < TURNS; i++) (void)sched_yield();
    assert_in_range(kind.event_waits, 0, ASKED);
    atomic_put(&l.may_go, 1, RELEASE);
    waiting_end(&told);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fence_unref(held);
    fence_unref(behind);
    world_end(&w);
}

/* On a thread of its own, which lingers now. */
static pthread_t lingering(looker *l, void *(*body)(void *what)) {
    pthread_t thread;
    kind.what = l;
    kind.lingers = linger;
    assert_int_equal(pthread_create(&thread, NULL, body, l), 0);
    while (!atomic_get(&l->is_there, ACQUIRE)) (void)sched_yield();
    return thread;
}

static void *look_in_vain(void *what) {
    queue_poll(((looker *)what)->d->queue);
    return NULL;
}

static void what_another_thread_has_looked_for_in_vain_is_waited_for(void **state) {
    (void)state;
    enum { TURNS = 1000 };
    world w;
    gate g;
    waiting told;
    kind_init(&w, true);
    looker l = {.d = w.d[0]};
    gate_shut(&g, l.d);
    fence *f = record(l.d, NULL);
    const pthread_t thread = lingering(&l, look_in_vain);
    waiting_init(&told);
    f->ops->on_ready(f, &told.waiter);
    for (int i = 0; i < TURNS; i++) (void)sched_yield(); /* the device's thread goes to sleep */
    gate_open(&g);

    atomic_put(&l.may_go, 1, RELEASE);

    waiting_end(&told);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void *record_or_not(void *what) {
    fence *f = NULL;
    const looker *l = what;
    (void)queue_record(l->d->queue, l->work, &f, NULL);
    if (f) fence_unref(f);
    return NULL;
}

static void what_is_behind_the_one_that_another_thread_records_is_waited_for(void **state) {
    (void)state;
    enum { TURNS = 1000 };
    for (int refuses = 0; refuses < 2; refuses++) {
        world w;
        waiting told;
        kind_init(&w, true);
        looker l = {.d = w.d[0]};
        const pthread_t thread = lingering(&l, record_or_not);
        fence *behind = record(l.d, NULL);
        waiting_init(&told);
        behind->ops->on_ready(behind, &told.waiter);
        for (int i = 0; i < TURNS; i++) (void)sched_yield(); /* the device's thread goes to sleep */
        kind.refuses = refuses;

        atomic_put(&l.may_go, 1, RELEASE);

        waiting_end(&told);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(kind.refuses, 0);
        fence_unref(behind);
        world_end(&w);
    }
}

/* Who came first may record last, and behind more work. */
static void who_waits_is_told_before_one_that_came_first_but_was_recorded_later(void **state) {
    (void)state;
    enum { TURNS = 1000, ASKED = 100 };
    world w;
    gate g;
    waiting told;
    kind_init(&w, true);
    looker l = {.d = w.d[0]};
    const pthread_t thread = lingering(&l, record_or_not);
    fence *behind = record(l.d, NULL);
    waiting_init(&told);
    behind->ops->on_ready(behind, &told.waiter);
    gate_shut(&g, l.d);

    atomic_put(&l.may_go, 1, RELEASE);

    assert_int_equal(pthread_join(thread, NULL), 0);
    waiting_end(&told); /* while the gate is shut */
    for (int i = 0; i < TURNS; i++) (void)sched_yield();
    assert_in_range(kind.event_waits, 0, ASKED);
    gate_open(&g);
    assert_true(join(l.d, NULL, NULL));
    fence_unref(behind);
    gate_fini(&g);
    world_end(&w);
}

/* The last fence of a step. */
typedef struct last {
    fence_waiter waiter; /* first */
    df_queue *q;
    df_work *work;
    int n_left; /* of the same work, as this one is told */
    _Atomic uint32_t is_told;
} last;

static void count_what_is_left(fence_waiter *base, const df_error *why) {
    last *l = (last *)base;
    (void)why;
    mutex_lock(&l->q->books->lock);
    for (const device_fence *f = l->q->first; f; f = f->next) l->n_left += f->work == l->work;
    mutex_unlock(&l->q->books->lock);
    atomic_put(&l->is_told, 1, RELEASE);
}

/* One of the step's was overtaken, and had not ended as it was asked; then both end. */
static void all_of_a_step_is_seen_before_its_last(void **state) {
    (void)state;
    world w;
    gate g;
    step s;
    df_error why;
    kind_init(&w, true);
    step_init(&s);
    looker records = {.d = w.d[0], .work = &s.work}, looks = {.d = w.d[0]};
    df_queue *q = w.d[0]->queue;
    last l = {.waiter = {.ready = count_what_is_left}, .q = q, .work = &s.work};
    gate_shut(&g, w.d[0]);
    const pthread_t thread = lingering(&records, record_or_not);
    fence *other = record(w.d[0], NULL);
    atomic_put(&records.may_go, 1, RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fence *end = record(w.d[0], &s);
    kind.what = &looks;
    kind.lingers = linger;
    end->ops->on_ready(end, &l.waiter);
    while (!atomic_get(&looks.is_there, ACQUIRE)) (void)sched_yield();
    gate_open(&g);
    while (!kind_event_ended(q->books->impl, fence_of(end)->event, &why)) (void)sched_yield();

    atomic_put(&looks.may_go, 1, RELEASE);

    while (!atomic_get(&l.is_told, ACQUIRE)) (void)sched_yield();
    assert_int_equal(l.n_left, 0);
    fence_unref(other);
    fence_unref(end);
    gate_fini(&g);
    world_end(&w);
}

/* The event has been reached for long, but that is seen only on the way. */
static void what_nobody_waits_for_is_seen_when_the_next_fence_is_recorded(void **state) {
    (void)state;
    world w;
    _Atomic int drops = 0;
    df_error why;
    kind_init(&w, true);
    df_device *d = w.d[0];
    hold(d->queue, &drops);
    fence *f = record(d, NULL);
    while (!kind_event_ended(d->books->impl, fence_of(f)->event, &why)) (void)sched_yield();
    assert_false(f->ops->ended(f));
    assert_int_equal(drops, 0);

    fence *next = record(d, NULL);

    assert_true(f->ops->ended(f));
    assert_int_equal(drops, 1);
    fence_unref(f);
    fence_unref(next);
    world_end(&w);
}

static void a_device_that_is_stopped_tells_who_waits_before(void **state) {
    (void)state;
    world w;
    gate g[2];
    waiting told[2];
    fence *f[2];
    kind_init(&w, true);
    df_device *d = w.d[0];
    step s;
    step_init(&s);
    for (int i = 0; i < 2; i++) {
        df_queue *q = d->queues[i ? DF_QUEUE_OUT : DF_QUEUE_COMPUTE];
        gate_shut_on(&g[i], q);
        f[i] = record_on(q, &s);
        waiting_init(&told[i]);
        f[i]->ops->on_ready(f[i], &told[i].waiter);
    }
    gate_open(&g[1]);
    kind.shut = &g[0];

    device_stop(d);

    kind.shut = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(told[i].calls, 1);
        waiting_end(&told[i]);
        fence_unref(f[i]);
        gate_fini(&g[i]);
    }
    world_end(&w);
}

typedef struct insider {
    fence_waiter waiter; /* first */
    df_device *d;
    bool is_inside, waited;
    _Atomic uint32_t called;
} insider;

static void look_around(fence_waiter *waiter, const df_error *why) {
    insider *i = (insider *)waiter;
    (void)why;
    i->is_inside = device_is_inside(i->d);
    i->waited = device_wait(i->d->queue);
    atomic_put(&i->called, 1, RELEASE);
}

/* It would wait for itself. */
static void whoever_tells_of_an_end_does_not_wait_for_the_device(void **state) {
    (void)state;
    for (int polls = 0; polls < 2; polls++) {
        world w;
        gate g;
        adder a;
        kind_init(&w, polls);
        df_device *d = w.d[0];
        insider i = {.waiter = {.ready = look_around}, .d = d, .waited = true};
        gate_shut(&g, d);
        fence *f = record(d, NULL);
        adder_launch(&a, d, NULL, NULL, NULL);
        f->ops->on_ready(f, &i.waiter);
        assert_false(device_is_inside(d));

        gate_open(&g);

        while (!atomic_get(&i.called, ACQUIRE)) (void)sched_yield();
        assert_true(i.is_inside);
        assert_false(i.waited);
        assert_true(join(d, NULL, NULL));
        fence_unref(f);
        gate_fini(&g);
        world_end(&w);
    }
}

/* Each on a thread of its own device, and both at once. */
typedef struct visitor {
    fence_waiter waiter; /* first */
    df_device *other;
    _Atomic int *met;
    bool waited;
    _Atomic uint32_t called;
} visitor;

static void wait_for_the_other(fence_waiter *waiter, const df_error *why) {
    visitor *v = (visitor *)waiter;
    (void)why;
    (void)atomic_add(v->met, 1, ACQ_REL);
    while (atomic_get(v->met, ACQUIRE) < DEVICES) (void)sched_yield();
    v->waited = device_wait(v->other->queue);
    atomic_put(&v->called, 1, RELEASE);
}

static void two_that_tell_of_ends_do_not_wait_for_each_others_device(void **state) {
    (void)state;
    for (int polls = 0; polls < 2; polls++) {
        world w;
        gate g[DEVICES];
        adder a[DEVICES];
        visitor v[DEVICES];
        fence *f[DEVICES];
        _Atomic int met = 0;
        kind_init(&w, polls);
        for (int i = 0; i < DEVICES; i++) {
            v[i] = (visitor){.waiter = {.ready = wait_for_the_other},
                             .other = w.d[1 - i],
                             .met = &met,
                             .waited = true};
            gate_shut(&g[i], w.d[i]);
            f[i] = record(w.d[i], NULL);
            adder_launch(&a[i], w.d[i], NULL, NULL, NULL);
            f[i]->ops->on_ready(f[i], &v[i].waiter);
        }

        for (int i = 0; i < DEVICES; i++) gate_open(&g[i]);

        for (int i = 0; i < DEVICES; i++) {
            while (!atomic_get(&v[i].called, ACQUIRE)) (void)sched_yield();
            assert_false(v[i].waited);
            assert_true(join(w.d[i], NULL, NULL));
            fence_unref(f[i]);
            gate_fini(&g[i]);
        }
        world_end(&w);
    }
}

/* A block that is in use, and whose cache is emptied where nobody may wait, without memory to note
 * that it is to go later. */
typedef struct trimmer {
    fence_waiter waiter; /* first */
    memory *mem;
    _Atomic uint32_t called;
} trimmer;

static void trim(fence_waiter *waiter, const df_error *why) {
    trimmer *t = (trimmer *)waiter;
    (void)why;
    memory_trim(t->mem);
    atomic_put(&t->called, 1, RELEASE);
}

static void a_block_in_use_that_cannot_go_stays_in_the_cache(void **state) {
    (void)state;
    world w;
    gate g, out;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];
    trimmer t = {.waiter = {.ready = trim}, .mem = d->mem};
    gate_shut(&g, d);
    gate_shut_on(&out, d->queues[DF_QUEUE_OUT]);
    (void)block_in_use(&w, d, &a, 100);
    fence *f = record_on(d->queues[DF_QUEUE_OUT], NULL);
    f->ops->on_ready(f, &t.waiter);
    fault_fail_allocation(&w.heap, 1, FAULT_FOR_EVER);

    gate_open(&out);

    while (!atomic_get(&t.called, ACQUIRE)) (void)sched_yield();
    fault_fail_allocation(&w.heap, 0, FAULT_ONCE);
    assert_int_equal(kind.frees, 0);
    assert_int_equal(memory_count(d->mem).cached, 112);
    gate_open(&g);
    assert_true(join(d, NULL, NULL));
    memory_trim(d->mem);
    assert_int_equal(kind.frees, 1);
    fence_unref(f);
    gate_fini(&g);
    gate_fini(&out);
    world_end(&w);
}

static void a_lost_device_fails_what_has_not_ended_and_can_be_closed(void **state) {
    (void)state;
    world w;
    gate g;
    launch l = {.run = failing_run};
    step s;
    df_error why;
    kind_init(&w, true);
    df_device *d = w.d[0];
    step_init(&s);
    fence *over = record(d, &s);
    assert_true(fence_wait(over, NULL));
    gate_shut(&g, d);
    fence *f = record(d, &s);

    kind.is_lost = true;

    assert_false(fence_wait(f, &why));
    assert_int_equal(why.code, DF_UNAVAILABLE);
    assert_int_equal(s.why.code, DF_UNAVAILABLE);
    assert_true(fence_wait(over, NULL));
    assert_int_equal(queue_launch(d->queue, &s.work, &l, NULL), DF_UNAVAILABLE);
    assert_true(device_wait(d->queue)); /* nothing runs there any more */
    gate_open(&g);                      /* the simulated one must end */
    device_close(d);
    w.d[0] = NULL;
    fence_unref(f);
    fence_unref(over);
    gate_fini(&g);
    world_end(&w);
}

static void a_polling_device_needs_a_thread_to_be_opened(void **state) {
    (void)state;
    world w;
    df_error err;
    kind_init(&w, true);
    device_close(w.d[0]);
    fault_fail_start(&w.threads, 1, FAULT_ONCE);

    assert_int_equal(world_open(&w, 0, 1 << 20, &err), DF_RESOURCE_EXHAUSTED);

    assert_null(w.d[0]);
    assert_non_null(strstr(err.message, "SIM:0"));
    assert_int_equal(world_open(&w, 0, 1 << 20, &err), DF_OK);
    world_end(&w);
}

int main(int argc, char **argv) {
    world_yields(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_into_a_block_comes_behind_what_the_compute_queue_does_with_it),
        cmocka_unit_test(a_block_whose_last_use_is_over_needs_no_wait),
        cmocka_unit_test(a_block_that_nothing_has_used_needs_no_wait),
        cmocka_unit_test(one_wait_is_enough_for_all_blocks_that_were_given_back_before),
        cmocka_unit_test(a_copy_across_comes_behind_what_the_other_device_does_with_the_block),
        cmocka_unit_test(the_compute_queue_uses_a_block_at_once),
        cmocka_unit_test(what_needs_no_wait_is_not_put_on_the_queue),
        cmocka_unit_test(a_queue_is_behind_what_it_has_waited_for),
        cmocka_unit_test(fences_and_waits_count_for_the_work_that_they_are_of),
        cmocka_unit_test(who_is_behind_another_device_is_not_behind_its_own),
        cmocka_unit_test(what_a_program_puts_on_a_queue_itself_is_waited_for_too),
        cmocka_unit_test(a_fence_that_fails_fails_the_step_that_waits_for_it),
        cmocka_unit_test(a_fence_that_has_failed_fails_the_next_one_that_is_nobodys_too),
        cmocka_unit_test(queues_wait_for_fences_of_their_own_kind_alone),
        cmocka_unit_test(what_is_held_is_dropped_once_behind_the_work),
        cmocka_unit_test(what_no_fence_drops_is_dropped_when_the_device_is_closed),
        cmocka_unit_test(a_fence_that_could_not_be_recorded_drops_nothing),
        cmocka_unit_test(whoever_must_know_the_end_asks_a_kind_that_refuses_again),
        cmocka_unit_test(fences_that_are_kept_at_hand_need_no_memory),
        cmocka_unit_test(fences_that_cannot_be_kept_at_hand_are_not_promised),
        cmocka_unit_test(a_queue_is_over_for_a_step_whose_fence_has_ended_behind_it),
        cmocka_unit_test(a_queue_is_not_over_before_the_times_of_a_copy_that_was_refused),
        cmocka_unit_test(a_device_that_has_stopped_takes_nothing),
        cmocka_unit_test(what_work_enqueues_on_any_queue_while_it_is_closed_runs_too),
        cmocka_unit_test(fences_that_nobody_waited_for_have_ended_when_a_device_is_closed),
        cmocka_unit_test(fences_on_several_queues_are_told_in_the_order_in_which_they_end),
        cmocka_unit_test(a_failure_is_found_by_asking),
        cmocka_unit_test(what_a_kernel_put_on_its_queue_before_it_failed_is_waited_for),
        cmocka_unit_test(nobody_asks_where_nobody_waits),
        cmocka_unit_test(nobody_asks_where_another_thread_looks),
        cmocka_unit_test(what_another_thread_has_looked_for_in_vain_is_waited_for),
        cmocka_unit_test(what_is_behind_the_one_that_another_thread_records_is_waited_for),
        cmocka_unit_test(who_waits_is_told_before_one_that_came_first_but_was_recorded_later),
        cmocka_unit_test(all_of_a_step_is_seen_before_its_last),
        cmocka_unit_test(what_nobody_waits_for_is_seen_when_the_next_fence_is_recorded),
        cmocka_unit_test(a_device_that_is_stopped_tells_who_waits_before),
        cmocka_unit_test(whoever_tells_of_an_end_does_not_wait_for_the_device),
        cmocka_unit_test(two_that_tell_of_ends_do_not_wait_for_each_others_device),
        cmocka_unit_test(a_block_in_use_that_cannot_go_stays_in_the_cache),
        cmocka_unit_test(a_lost_device_fails_what_has_not_ended_and_can_be_closed),
        cmocka_unit_test(a_polling_device_needs_a_thread_to_be_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
