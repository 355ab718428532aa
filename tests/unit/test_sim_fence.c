/* SPDX-License-Identifier: MIT
 *
 * The fences of the simulated accelerator: reached or failed once, waited for by
 * callbacks and by other queues, recycled.
 */
#include "unit/sim_world.h"
#include "support/scale.h"

static void a_waiter_before_the_end_is_called_by_the_engine_and_one_after_at_once(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    gate g;
    gate_shut(&g, d);
    fence *f = record(d, NULL);
    waiting early[3], late;
    for (int i = 0; i < 3; i++) {
        waiting_init(&early[i]);
        f->ops->on_ready(f, &early[i].waiter);
    }
    waiting_init(&late);

    assert_false(f->ops->ended(f));
    gate_open(&g);
    for (int i = 0; i < 3; i++) waiting_end(&early[i]);
    assert_true(f->ops->ended(f));
    f->ops->on_ready(f, &late.waiter);

    assert_int_equal(late.calls, 1);
    assert_true(pthread_equal(late.thread, pthread_self()));
    waiting_end(&late);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(early[i].calls, 1);
        assert_false(early[i].failed);
        assert_false(pthread_equal(early[i].thread, pthread_self()));
    }
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

static void a_fence_that_failed_tells_everyone_who_asks(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    launch failing;
    failing_launch(&failing, d, NULL);
    fence *f = record(d, NULL);
    df_error first, second;

    assert_false(fence_wait(f, &first));
    assert_false(fence_wait(f, &second));

    assert_int_equal(first.code, DF_OUT_OF_RANGE);
    assert_string_equal(first.message, second.message);
    fence_unref(f);
    world_end(&w);
}

static void fences_outlive_their_device(void **state) {
    (void)state;
    world w;
    world_init(&w);
    fence *f = record(w.d[0], NULL), *same = fence_ref(f);
    launch failing;
    failing_launch(&failing, w.d[0], NULL);
    fence *bad = record(w.d[0], NULL);

    device_close(w.d[0]);
    w.d[0] = NULL;

    assert_true(f->ops->ended(f));
    assert_true(fence_wait(same, NULL));
    assert_false(fence_wait(bad, NULL));
    fence_unref(f);
    fence_unref(same);
    fence_unref(bad);
    world_end(&w);
}

static void a_queue_waits_for_another_devices_fence(void **state) {
    (void)state;
    world w;
    world_init(&w);
    int turns = 0; /* both engines': ordered by the fence alone */
    adder here, there;
    gate g;
    gate_shut(&g, w.d[0]);
    adder_launch(&here, w.d[0], NULL, NULL, &turns);
    fence *f = record(w.d[0], NULL);

    wait_for(w.d[1], NULL, f);
    adder_launch(&there, w.d[1], NULL, NULL, &turns);
    fence *after = record(w.d[1], NULL);

    assert_false(after->ops->ended(after));
    gate_open(&g);
    assert_true(fence_wait(after, NULL));
    assert_int_equal(here.turn, 1);
    assert_int_equal(there.turn, 2);
    fence_unref(f);
    fence_unref(after);
    gate_fini(&g);
    world_end(&w);
}

static void a_chain_of_waits_to_and_fro_keeps_its_order(void **state) {
    (void)state;
    enum { N = 400 };
    world w;
    world_init(&w);
    static adder adders[N];
    int turns = 0;
    fence *last = NULL;
    for (int i = 0; i < N; i++) {
        df_device *d = w.d[i % 2];
        if (last) wait_for(d, NULL, last);
        fence_unref(last);
        adder_launch(&adders[i], d, NULL, NULL, &turns);
        last = record(d, NULL);
    }

    assert_true(fence_wait(last, NULL));

    for (int i = 0; i < N; i++) assert_int_equal(adders[i].turn, i + 1);
    fence_unref(last);
    world_end(&w);
}

static void waiting_for_a_failed_fence_fails_the_waiting_step(void **state) {
    (void)state;
    world w;
    world_init(&w);
    step s;
    step_init(&s);
    int turns = 0, other_turns = 0;
    launch failing;
    adder a, other;
    failing_launch(&failing, w.d[0], NULL);
    fence *f = record(w.d[0], NULL);

    wait_for(w.d[1], &s, f);
    adder_launch(&a, w.d[1], &s, NULL, &turns);
    adder_launch(&other, w.d[1], NULL, NULL, &other_turns);

    assert_false(join(w.d[1], &s, NULL));
    assert_true(join(w.d[1], NULL, NULL));
    assert_int_equal(s.why.code, DF_OUT_OF_RANGE);
    assert_int_equal(turns, 0);
    assert_int_equal(other_turns, 1);
    fence_unref(f);
    world_end(&w);
}

static void waiting_for_a_failed_fence_without_a_step_fails_the_next_fence(void **state) {
    (void)state;
    world w;
    world_init(&w);
    launch failing;
    failing_launch(&failing, w.d[0], NULL);
    fence *f = record(w.d[0], NULL);

    wait_for(w.d[1], NULL, f);

    df_error why;
    assert_false(join(w.d[1], NULL, &why));
    assert_int_equal(why.code, DF_OUT_OF_RANGE);
    fence_unref(f);
    world_end(&w);
}

static void a_queue_may_wait_for_its_own_fence(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    step s;
    step_init(&s);
    launch failing;
    fence *good = record(d, NULL);
    failing_launch(&failing, d, NULL);
    fence *bad = record(d, NULL);

    wait_for(d, &s, good);
    assert_true(join(d, &s, NULL));
    wait_for(d, &s, bad);
    assert_false(join(d, &s, NULL));

    assert_int_equal(s.told, 1);
    assert_int_equal(s.why.code, DF_OUT_OF_RANGE);
    fence_unref(good);
    fence_unref(bad);
    world_end(&w);
}

/* One round of all that a step does; the result of the join. */
static bool warm_round(world *w, df_tensor *host, df_tensor *there, df_tensor *back, gate *g) {
    adder a;
    copy_in(w->d[0], NULL, there, host);
    fence *f = record(w->d[0], NULL);
    wait_for(w->d[1], NULL, f);
    adder_launch(&a, w->d[0], NULL, there, NULL);
    copy_out(w->d[0], NULL, back, there);
    fence *end[] = {record(w->d[0], NULL), record(w->d[1], NULL)};
    if (g) gate_open(g);
    bool reached = fence_wait(end[0], NULL) && fence_wait(end[1], NULL);
    fence_unref(f);
    fence_unref(end[0]);
    fence_unref(end[1]);
    return reached;
}

static void ten_thousand_fences_allocate_nothing_when_warm(void **state) {
    (void)state;
    size_t rounds = test_scaled(10000);
    world w;
    world_init(&w);
    df_tensor *host = host_bytes(&w, 300, 1), *back = host_bytes(&w, 300, 0);
    df_tensor *there = bytes_in(&w, w.d[0]->mem, 300);
    gate g; /* so that the first round has all of its work in the queues at once */
    gate_shut(&g, w.d[0]);
    assert_true(warm_round(&w, host, there, back, &g));
    size_t before = fault_allocations(&w.heap);

    for (size_t i = 0; i < rounds; i++) assert_true(warm_round(&w, host, there, back, NULL));

    assert_int_equal(fault_allocations(&w.heap), before);
    assert_true(bytes_are(back, 300, 2));
    gate_fini(&g);
    df_tensor_unref(host);
    df_tensor_unref(there);
    df_tensor_unref(back);
    world_end(&w);
}

int main(int argc, char **argv) {
    world_yields(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiter_before_the_end_is_called_by_the_engine_and_one_after_at_once),
        cmocka_unit_test(a_fence_that_failed_tells_everyone_who_asks),
        cmocka_unit_test(fences_outlive_their_device),
        cmocka_unit_test(a_queue_waits_for_another_devices_fence),
        cmocka_unit_test(a_chain_of_waits_to_and_fro_keeps_its_order),
        cmocka_unit_test(waiting_for_a_failed_fence_fails_the_waiting_step),
        cmocka_unit_test(waiting_for_a_failed_fence_without_a_step_fails_the_next_fence),
        cmocka_unit_test(a_queue_may_wait_for_its_own_fence),
        cmocka_unit_test(ten_thousand_fences_allocate_nothing_when_warm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
