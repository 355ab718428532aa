/* SPDX-License-Identifier: MIT
 *
 * The pool: threads that start and end, inboxes, and records of async kernels.
 */
#include "exec/step.h"

#include "support/ops_for_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static pool *pool_of(const df_allocator *alloc, const df_threads *threads, int workers) {
    pool *p = NULL;
    df_error err;
    if (pool_new(alloc, threads, workers, NULL, &p, &err) != DF_OK || pool_start(p, &err) != DF_OK)
        fail_msg("%s", err.message);
    return p;
}

static void pool_end(pool *p) {
    pool_stop(p);
    pool_free(p);
}

/* ---- threads ------------------------------------------------------------- */

static void it_starts_as_many_threads_as_asked_for_and_joins_them(void **state) {
    (void)state;
    for (int n = 0; n <= 4; n++) {
        fault_allocator f;
        fault_threads t;
        fault_allocator_init(&f);
        fault_threads_init(&t);
        pool *p = pool_of(&f.allocator, &t.threads, n);
        assert_int_equal(pool_helpers(p), n);
        assert_int_equal(fault_live_threads(&t), n);
        pool_end(p);
        fault_threads_end(&t);
        fault_allocator_end(&f);
    }
    pool_free(NULL);
}

static void if_one_thread_cannot_start_none_are_left(void **state) {
    (void)state;
    for (size_t k = 1; k <= 4; k++) {
        fault_allocator f;
        fault_threads t;
        pool *p = NULL;
        df_error err;
        fault_allocator_init(&f);
        fault_threads_init(&t);
        fault_fail_start(&t, k, FAULT_ONCE);
        assert_int_equal(pool_new(&f.allocator, &t.threads, 4, NULL, &p, &err), DF_OK);
        assert_int_equal(pool_start(p, &err), DF_RESOURCE_EXHAUSTED);
        assert_int_equal(fault_starts(&t), k);
        assert_int_equal(fault_live_threads(&t), 0);
        assert_int_equal(pool_start(p, &err), DF_OK); /* the next time it goes well */
        assert_int_equal(fault_live_threads(&t), 4);
        pool_end(p);
        fault_threads_end(&t);
        fault_allocator_end(&f);
    }
}

/* ---- inboxes, with no thread but this ------------------------------------ */

static void events_come_out_in_the_order_posted(void **state) {
    (void)state;
    pool *p = pool_of(NULL, NULL, 0);
    step s = {.pool = p};
    event e[3] = {{.index = 0}, {.index = 1}, {.index = 2}};
    assert_true(condition_init(&s.wake));
    assert_null(pool_take(p, &s, false));
    for (int i = 0; i < 3; i++) pool_post(p, &s, &e[i]);

    for (int i = 0; i < 3; i++) assert_ptr_equal(pool_take(p, &s, false), &e[i]);
    assert_null(pool_take(p, &s, false));

    pool_post(p, &s, &e[2]);
    pool_post(p, &s, &e[0]);
    event *all = pool_take(p, &s, true);
    assert_ptr_equal(all, &e[2]);
    assert_ptr_equal(all->next, &e[0]);
    assert_null(all->next->next);
    assert_null(pool_take(p, &s, true));
    condition_fini(&s.wake);
    pool_end(p);
}

static void who_waits_gets_the_event_that_is_there_or_learns_that_it_is_over(void **state) {
    (void)state;
    pool *p = pool_of(NULL, NULL, 0);
    step s = {.pool = p};
    event e = {.index = 7}, *got = NULL;
    assert_true(condition_init(&s.wake));
    pool_post(p, &s, &e);
    assert_int_equal(pool_wait(p, &s, &got), WAIT_EVENT);
    assert_ptr_equal(got, &e);
    assert_true(pool_over(p, &s));
    assert_int_equal(pool_wait(p, &s, &got), WAIT_OVER);
    assert_null(got);
    condition_fini(&s.wake);
    pool_end(p);
}

/* Steps are listed while their inbox is not empty; whichever empties leaves the list
 * whole. */
static void steps_leave_the_list_in_any_order(void **state) {
    (void)state;
    const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        pool *p = pool_of(NULL, NULL, 0);
        step s[3] = {{.shared = true}, {.shared = true}, {.shared = true}};
        event e[3] = {{.index = 0}, {.index = 1}, {.index = 2}}, again = {.index = 3};
        for (int i = 0; i < 3; i++) assert_true(condition_init(&s[i].wake));
        for (int i = 0; i < 3; i++) pool_post(p, &s[i], &e[i]);
        for (int i = 0; i < 3; i++) {
            step *one = &s[orders[o][i]];
            assert_true(one->listed);
            assert_ptr_equal(pool_take(p, one, false), &e[orders[o][i]]);
            assert_false(one->listed);
            pool_post(p, one, &again); /* goes to the end of the list, and leaves it again */
            assert_ptr_equal(pool_take(p, one, true), &again);
        }
        for (int i = 0; i < 3; i++) condition_fini(&s[i].wake);
        pool_end(p);
    }
}

/* ---- records of async kernels -------------------------------------------- */

static void records_are_used_again_and_freed_with_the_pool(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    pool *p = pool_of(&f.allocator, NULL, 0);
    kernel_op *a = pool_kernel_op(p), *b = pool_kernel_op(p);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    size_t before = fault_allocations(&f);
    pool_kernel_op_free(p, a);
    assert_ptr_equal(pool_kernel_op(p), a);
    pool_kernel_op_free(p, b);
    assert_int_equal(fault_allocations(&f), before);

    fault_fail_allocation(&f, 1, FAULT_FOR_EVER);
    assert_ptr_equal(pool_kernel_op(p), b);
    assert_null(pool_kernel_op(p));
    pool_end(p);
    fault_allocator_end(&f);
}

static int ends; /* and 99 more for each error */

static void count_end(async_op *op, const df_error *err) {
    (void)op;
    ends += err ? 100 : 1;
}

static void a_handle_ends_its_kernel_once_and_never_the_next(void **state) {
    (void)state;
    pool *p = pool_of(NULL, NULL, 0);
    const df_error late = {.code = DF_DATA_LOSS};
    kernel_op *k = pool_kernel_op(p);
    k->async.ended = count_end;
    df_kernel_handle first = {.op = &k->async, .generation = atomic_load(&k->async.generation)};
    df_kernel_done(first, NULL);
    df_kernel_done(first, &late);
    assert_int_equal(ends, 1);

    pool_kernel_op_free(p, k);
    df_kernel_done(first, &late);
    assert_int_equal(ends, 1);

    assert_ptr_equal(pool_kernel_op(p), k);
    df_kernel_handle second = {.op = &k->async, .generation = atomic_load(&k->async.generation)};
    assert_true(first.generation != second.generation);
    df_kernel_done(first, &late);
    assert_int_equal(ends, 1);
    df_kernel_done(second, &late);
    assert_int_equal(ends, 101);
    pool_end(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_as_many_threads_as_asked_for_and_joins_them),
        cmocka_unit_test(if_one_thread_cannot_start_none_are_left),
        cmocka_unit_test(events_come_out_in_the_order_posted),
        cmocka_unit_test(who_waits_gets_the_event_that_is_there_or_learns_that_it_is_over),
        cmocka_unit_test(steps_leave_the_list_in_any_order),
        cmocka_unit_test(records_are_used_again_and_freed_with_the_pool),
        cmocka_unit_test(a_handle_ends_its_kernel_once_and_never_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
