/* SPDX-License-Identifier: MIT
 *
 * The memory of a device whose work is queued: a block goes back to the kind when nothing that is
 * queued uses it any more, and the kind's device after the last of them.
 */
#include <dataflow/sim.h>

#include "support/scale.h"
#include "unit/kind_world.h"

enum { KIB = 1024 };

static void a_block_that_queued_work_uses_is_given_back_after_that_work(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    step s;
    kind_init(&w, false);
    df_device *d = w.d[0];
    step_init(&s);
    df_tensor *t = bytes_in(&w, d->mem, 100);
    gate_shut(&g, d);
    adder_launch(&a, d, &s, t, NULL);

    df_tensor_unref(t);
    memory_trim(d->mem);

    assert_int_equal(kind.frees, 0);
    gate_open(&g);
    assert_true(join(d, &s, NULL)); /* the adder found its block */
    assert_int_equal(kind.frees, 1);
    gate_fini(&g);
    world_end(&w);
}

static void a_block_that_nothing_uses_is_given_back_at_once(void **state) {
    (void)state;
    world w;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];

    df_tensor_unref(bytes_in(&w, d->mem, 100));
    memory_trim(d->mem);
    assert_int_equal(kind.frees, 1);
    assert_int_equal(fault_starts(&w.threads), 0);

    df_tensor *t = bytes_in(&w, d->mem, 100);
    adder_launch(&a, d, NULL, t, NULL);
    assert_true(join(d, NULL, NULL));
    int records = kind.records;
    df_tensor_unref(t);
    memory_trim(d->mem);
    assert_int_equal(kind.frees, 2);
    assert_int_equal(kind.records, records);
    world_end(&w);
}

/* Who needs the room of a block that queued work uses waits for that work. */
static void under_pressure_what_is_queued_is_waited_for(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    step s;
    world_init_with(&w, kind_new(false), 128 * KIB);
    df_device *d = w.d[0];
    step_init(&s);
    df_tensor *t = bytes_in(&w, d->mem, 100 * KIB);
    gate_shut(&g, d);
    adder_launch(&a, d, &s, t, NULL);
    df_tensor_unref(t);
    kind.shut = &g; /* opened by who waits */

    df_tensor *next = bytes_in(&w, d->mem, 50 * KIB);

    kind.shut = NULL;
    assert_int_equal(kind.frees, 1);
    assert_true(join(d, &s, NULL));
    df_tensor_unref(next);
    gate_fini(&g);
    world_end(&w);
}

/* The work has passed by then, but no fence behind the block has. */
static void under_pressure_a_block_is_found_that_waits_for_a_fence_alone(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    world_init_with(&w, kind_new(false), 128 * KIB);
    df_device *d = w.d[0];
    df_tensor *t = bytes_in(&w, d->mem, 100 * KIB);
    gate_shut(&g, d);
    adder_launch(&a, d, NULL, t, NULL);
    fence *f = record(d, NULL);
    df_tensor_unref(t);
    memory_trim(d->mem);
    gate_open(&g);
    assert_true(fence_wait(f, NULL));
    assert_int_equal(kind.frees, 0);

    df_tensor *next = bytes_in(&w, d->mem, 50 * KIB);

    assert_int_equal(kind.frees, 1);
    df_tensor_unref(next);
    fence_unref(f);
    gate_fini(&g);
    world_end(&w);
}

typedef struct taker {
    launch base; /* first */
    memory *mem;
    bool called;
    void *block;
} taker;

static df_code take_all(launch *l, df_error *err) {
    taker *t = (taker *)l;
    size_t got;
    (void)err;
    t->called = true;
    t->block = memory_take(t->mem, 100 * KIB, &got);
    return DF_OK;
}

static void under_pressure_the_devices_own_thread_waits_for_nothing(void **state) {
    (void)state;
    world w;
    world_init_with(&w, kind_new(false), 128 * KIB);
    df_device *d = w.d[0];
    df_tensor *t = bytes_in(&w, d->mem, 100 * KIB);
    taker all = {.base = {.run = take_all}, .mem = d->mem, .block = &w};

    assert_int_equal(queue_launch(d->queue, NULL, &all.base, NULL), DF_OK);

    assert_true(join(d, NULL, NULL));
    assert_true(all.called);
    assert_null(all.block);
    df_tensor_unref(t);
    world_end(&w);
}

static void without_memory_to_note_a_block_its_work_is_waited_for(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    step s;
    kind_init(&w, false);
    df_device *d = w.d[0];
    step_init(&s);
    df_tensor *t = bytes_in(&w, d->mem, 100);
    gate_shut(&g, d);
    adder_launch(&a, d, &s, t, NULL);
    df_tensor_unref(t);
    kind.shut = &g;
    fault_fail_allocation(&w.heap, 1, FAULT_FOR_EVER);

    memory_trim(d->mem);

    fault_fail_allocation(&w.heap, 0, FAULT_ONCE);
    kind.shut = NULL;
    assert_int_equal(kind.frees, 1);
    assert_true(join(d, &s, NULL));
    gate_fini(&g);
    world_end(&w);
}

static void count_release(void *user, void *address) {
    int *released = user;
    assert_non_null(address);
    ++*released;
}

static void memory_of_the_programs_own_is_released_after_the_work_that_uses_it(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    step s;
    int released = 0;
    world_init_with(&w, kind_new(false), 1 << 20);
    df_device *d = w.d[0];
    step_init(&s);
    df_tensor *own = bytes_in(&w, d->mem, 100), *t = NULL;
    assert_int_equal(df_device_wrap(d, DF_UINT8, (df_shape){1, (const int64_t[]){100}},
                                    df_tensor_address(own), count_release, &released, &t, NULL),
                     DF_OK);
    gate_shut(&g, d);
    adder_launch(&a, d, &s, t, NULL);

    df_tensor_unref(t);

    assert_int_equal(released, 0);
    gate_open(&g);
    assert_true(join(d, &s, NULL));
    assert_int_equal(released, 1);
    df_tensor_unref(own);
    gate_fini(&g);
    world_end(&w);
}

static void note_release(void *user, void *address) {
    (void)address;
    ++*(_Atomic int *)user;
}

/* And nobody need record a fence for that. */
static void memory_of_the_programs_own_is_released_after_its_own_work_too(void **state) {
    enum { TURNS = 100 };
    (void)state;
    for (int polls = 0; polls < 2; polls++) {
        world w;
        own_work work;
        _Atomic int released = 0;
        world_init_with(&w, kind_new(polls), 1 << 20);
        df_device *d = w.d[0];
        queue_lend(d->queue);
        df_tensor *own = bytes_in(&w, d->mem, 100), *t = NULL;
        assert_int_equal(df_device_wrap(d, DF_UINT8, (df_shape){1, (const int64_t[]){100}},
                                        df_tensor_address(own), note_release, &released, &t, NULL),
                         DF_OK);
        own_work_put(&work, d->queue);

        df_tensor_unref(t);

        for (int i = 0; i < TURNS; i++) (void)sched_yield();
        assert_int_equal(released, 0);
        work.may_end = true;
        while (!released) (void)sched_yield();
        df_tensor_unref(own);
        world_end(&w);
        assert_int_equal(released, 1);
    }
}

static void a_tensor_kept_after_its_device_has_gone_closes_it_last(void **state) {
    (void)state;
    world w;
    kind_init(&w, false);
    df_tensor *kept = bytes_in(&w, w.d[0]->mem, 100);

    device_close(w.d[0]);
    w.d[0] = NULL;

    assert_int_equal(kind.closed, 0);
    assert_int_equal(df_tensor_bytes(kept), 100);
    df_tensor_unref(kept);
    assert_int_equal(kind.frees, 1);
    assert_int_equal(kind.closed, 2); /* behind the block */
    world_end(&w);
}

static void a_block_that_waits_for_its_work_goes_before_the_device(void **state) {
    (void)state;
    world w;
    gate g;
    adder a;
    kind_init(&w, false);
    df_device *d = w.d[0];
    df_tensor *t = bytes_in(&w, d->mem, 100);
    gate_shut(&g, d);
    adder_launch(&a, d, NULL, t, NULL);
    df_tensor_unref(t);
    memory_trim(d->mem);
    kind.shut = &g;

    device_close(d);

    kind.shut = NULL;
    w.d[0] = NULL;
    assert_int_equal(kind.frees, 1);
    assert_int_equal(kind.closed, 2);
    gate_fini(&g);
    world_end(&w);
}

/* ---- while the device goes ---- */

enum { KEPT = 8 };

static void drop_all(void *arg) {
    df_tensor **kept = arg;
    for (int i = 0; i < KEPT; i++) df_tensor_unref(kept[i]);
}

static void blocks_are_given_back_by_one_thread_while_another_closes_the_device(void **state) {
    (void)state;
    size_t rounds = test_scaled(300);
    for (size_t round = 0; round < rounds; round++) {
        world w;
        adder a;
        df_tensor *kept[KEPT];
        kind_init(&w, false);
        df_device *d = w.d[0];
        for (int i = 0; i < KEPT; i++) kept[i] = bytes_in(&w, d->mem, 100);
        adder_launch(&a, d, NULL, NULL, NULL);
        const df_threads *t = &w.threads.threads;
        void *thread = t->start(t->user, "dropper", drop_all, kept);
        assert_non_null(thread);

        device_close(d);

        t->join(t->user, thread);
        w.d[0] = NULL;
        assert_int_equal(kind.frees, KEPT);
        assert_int_equal(kind.closed, KEPT + 1);
        world_end(&w);
    }
}

/* It is not for want of memory, and whoever asks for some is told so. */
static void a_lost_device_has_no_memory_because_it_is_lost(void **state) {
    (void)state;
    world w;
    adder a;
    step s;
    df_error err;
    df_tensor *t = NULL;
    const int64_t dims[] = {100};
    world_init(&w);
    df_device *d = w.d[0];
    step_init(&s);
    assert_int_equal(df_sim_fail(d, DF_SIM_LOST, 1, NULL), DF_OK);
    adder_launch(&a, d, &s, NULL, NULL);
    assert_true(device_wait(d->queue));
    assert_int_equal(s.why.code, DF_UNAVAILABLE);

    df_code code = tensor_new_in(w.host, d->mem, DF_UINT8, (df_shape){1, dims}, &t, &err);

    assert_int_equal(code, DF_UNAVAILABLE);
    assert_int_equal(err.code, DF_UNAVAILABLE);
    assert_non_null(strstr(err.message, "SIM:0 is lost"));
    assert_int_equal(queue_keep_fences(d->queue, 8, &err), DF_UNAVAILABLE);
    assert_non_null(strstr(err.message, "SIM:0 is lost"));
    assert_int_equal(memory_count(d->mem).in_use, 0);
    world_end(&w);
}

/* Where memory is short it is found out whether the device is lost, with a block of its. */
static void who_asks_for_memory_in_vain_takes_none(void **state) {
    (void)state;
    world w;
    df_error err;
    df_tensor *t = NULL;
    const int64_t dims[] = {20 * KIB};
    world_init_limited(&w, 8 * KIB);
    df_device *d = w.d[0];
    for (int i = 0; i < 40; i++)
        assert_int_equal(tensor_new_in(w.host, d->mem, DF_UINT8, (df_shape){1, dims}, &t, &err),
                         DF_RESOURCE_EXHAUSTED);

    df_tensor *all = bytes_in(&w, d->mem, 8 * KIB);

    assert_int_equal(tensor_new_in(w.host, d->mem, DF_UINT8, (df_shape){1, dims}, &t, &err),
                     DF_RESOURCE_EXHAUSTED);
    df_tensor_unref(all);
    world_end(&w);
}

int main(int argc, char **argv) {
    world_yields(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_that_queued_work_uses_is_given_back_after_that_work),
        cmocka_unit_test(a_block_that_nothing_uses_is_given_back_at_once),
        cmocka_unit_test(under_pressure_what_is_queued_is_waited_for),
        cmocka_unit_test(under_pressure_a_block_is_found_that_waits_for_a_fence_alone),
        cmocka_unit_test(under_pressure_the_devices_own_thread_waits_for_nothing),
        cmocka_unit_test(without_memory_to_note_a_block_its_work_is_waited_for),
        cmocka_unit_test(memory_of_the_programs_own_is_released_after_the_work_that_uses_it),
        cmocka_unit_test(memory_of_the_programs_own_is_released_after_its_own_work_too),
        cmocka_unit_test(a_tensor_kept_after_its_device_has_gone_closes_it_last),
        cmocka_unit_test(a_block_that_waits_for_its_work_goes_before_the_device),
        cmocka_unit_test(blocks_are_given_back_by_one_thread_while_another_closes_the_device),
        cmocka_unit_test(who_asks_for_memory_in_vain_takes_none),
        cmocka_unit_test(a_lost_device_has_no_memory_because_it_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
