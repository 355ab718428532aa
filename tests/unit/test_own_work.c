/* SPDX-License-Identifier: MIT
 *
 * Work and listeners, as tests of a kind of device make them.
 */
#include <dataflow/device_ops.h>

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const df_error cause = {.code = DF_DATA_LOSS, .message = "a bit has flipped"};

typedef struct heard {
    df_work *work;
    int calls;
    bool had_failed; /* when the owner was told first */
    df_error first;
} heard;

static void on_fail(void *user, const df_error *why) {
    heard *h = user;
    if (h->calls++ > 0) return;
    h->had_failed = df_work_failed(h->work);
    h->first = *why;
}

static void an_owner_hears_of_a_failure_before_others_can_see_it(void **state) {
    (void)state;
    heard h = {.work = NULL};
    const df_work_owner owner = {.fail = on_fail, .user = &h};
    const df_error other = {.code = DF_ABORTED, .message = "later"};
    assert_int_equal(df_work_new(NULL, &owner, &h.work, NULL), DF_OK);
    assert_false(df_work_failed(h.work));

    df_work_fail(h.work, &cause);
    df_work_fail(h.work, &other);

    assert_true(df_work_failed(h.work));
    assert_int_equal(h.calls, 2);
    assert_false(h.had_failed);
    assert_string_equal(h.first.message, cause.message);
    df_work_free(h.work);
}

static void work_may_have_nobody_who_listens(void **state) {
    (void)state;
    df_work *work = NULL;
    assert_int_equal(df_work_new(NULL, NULL, &work, NULL), DF_OK);
    df_work_fail(work, NULL);
    assert_false(df_work_failed(work));
    df_work_fail(work, &cause);
    assert_true(df_work_failed(work));
    df_work_free(work);
}

static void no_work_never_fails(void **state) {
    (void)state;
    df_work_fail(NULL, &cause);
    assert_false(df_work_failed(NULL));
    df_work_free(NULL);
    df_event_ended(NULL, &cause);
}

static void without_memory_there_is_no_work(void **state) {
    (void)state;
    fault_allocator heap;
    df_work *work = NULL;
    df_error err = {.code = DF_OK};
    fault_allocator_init(&heap);
    fault_fail_allocation(&heap, 1, FAULT_ONCE);
    assert_int_equal(df_work_new(&heap.allocator, NULL, &work, &err), DF_RESOURCE_EXHAUSTED);
    assert_int_equal(err.code, DF_RESOURCE_EXHAUSTED);
    assert_null(work);
    assert_int_equal(df_work_new(&heap.allocator, NULL, NULL, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(df_work_new(&heap.allocator, NULL, &work, &err), DF_OK);
    df_work_free(work);
    fault_allocator_end(&heap);
}

typedef struct listening {
    df_event_listener listener; /* first */
    int calls;
    const df_error *why;
} listening;

static void on_ended(df_event_listener *listener, const df_error *why) {
    listening *l = (listening *)listener;
    l->calls++;
    l->why = why;
}

static void a_listener_is_told_the_outcome(void **state) {
    (void)state;
    listening l = {.listener = {.ended = on_ended}};
    df_event_ended(&l.listener, NULL);
    assert_int_equal(l.calls, 1);
    assert_null(l.why);
    df_event_ended(&l.listener, &cause);
    assert_int_equal(l.calls, 2);
    assert_ptr_equal(l.why, &cause);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_hears_of_a_failure_before_others_can_see_it),
        cmocka_unit_test(work_may_have_nobody_who_listens),
        cmocka_unit_test(no_work_never_fails),
        cmocka_unit_test(without_memory_there_is_no_work),
        cmocka_unit_test(a_listener_is_told_the_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
