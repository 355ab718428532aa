/* SPDX-License-Identifier: MIT
 *
 * How whoever writes a rendezvous finds its races: a small backend (support/list_rendezvous.h),
 * right and wrong, through the public headers alone. The wrong one looks for a tensor and waits for
 * it in two locked parts; what is sent between them is missed.
 */
#include "support/list_rendezvous.h"

#include <dataflow/dataflow.h>
#include <dataflow/schedules.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
    list_flaw flaw;
    const char *mix; /* an actor each: sends, receives, cancels */
    df_key *key;
    df_rendezvous *r;
    df_tensor *tensor;
    df_recv recv;
    int n_done;
    df_code code;
} w;

static void on_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    (void)r;
    w.n_done++;
    w.code = err ? err->code : DF_OK;
    df_tensor_unref(tensor);
}

static void setup(void *world) {
    const int32_t five = 5;
    (void)world;
    w.r = list_rendezvous_new(w.flaw);
    w.tensor = NULL;
    (void)df_tensor_from(NULL, DF_INT32, DF_SCALAR, &five, &w.tensor, NULL);
    w.recv = (df_recv){.key = w.key, .to = {.memory = DF_MEMORY_HOST}, .done = on_done};
    w.n_done = 0;
}

static void act(void *world, int i) {
    const df_endpoint host = {.memory = DF_MEMORY_HOST};
    (void)world;
    if (w.mix[i] == 'S') (void)df_rendezvous_send(w.r, w.key, &host, w.tensor);
    if (w.mix[i] == 'V') df_rendezvous_recv(w.r, &w.recv);
    if (w.mix[i] == 'C') df_rendezvous_cancel(w.r, &w.recv);
}

/* It must have ended by itself; what has not is ended by the last reference, so that all is free.
 */
static void has_ended_once(void *world) {
    (void)world;
    int n = w.n_done;
    df_rendezvous_unref(w.r);
    df_tensor_unref(w.tensor);
    if (n != 1) df_schedules_fail("the recv ended %d times", n);
    if (w.n_done != 1) df_schedules_fail("after its end it ended again");
}

static int run(list_flaw flaw, const char *mix, const char *replay, df_schedules_report *report) {
    const df_schedules all = {.struct_size = sizeof all,
                              .actors = (int)strlen(mix),
                              .setup = setup,
                              .actor = act,
                              .check = has_ended_once,
                              .replay = replay};
    w.flaw = flaw;
    w.mix = mix;
    return df_schedules_run(&all, report);
}

static void a_backend_that_is_right_is_so_in_every_schedule(void **state) {
    (void)state;
    static const char *const mixes[] = {"SV", "VC", "SVC"};
    static df_schedules_report report;
    for (int i = 0; i < 3; i++) {
        if (run(LIST_IS_RIGHT, mixes[i], NULL, &report)) fail_msg("%s", report.what);
        printf("%s: %d schedules\n", mixes[i], (int)report.schedules);
        assert_true(report.schedules > 2);
    }
}

static void what_falls_between_two_locked_parts_is_found(void **state) {
    (void)state;
    static df_schedules_report found, again;
    assert_int_equal(run(LIST_LOOKS_BEFORE_IT_WAITS, "SV", NULL, &found), 1);
    printf("%s, in schedule %s\n", found.what, found.schedule);
    assert_string_equal(found.what, "the recv ended 0 times");

    assert_int_equal(run(LIST_LOOKS_BEFORE_IT_WAITS, "SV", found.schedule, &again), 1);
    assert_int_equal(again.schedules, 1);
    assert_string_equal(again.what, found.what);
}

static void a_cancel_that_comes_too_early_is_found(void **state) {
    (void)state;
    static df_schedules_report report;
    assert_int_equal(run(LIST_FORGETS_AN_EARLY_CANCEL, "VC", NULL, &report), 1);
    assert_string_equal(report.what, "the recv ended 0 times");
}

int main(void) {
    if (!df_schedules_possible()) {
        printf("skipped: fibers do not work under the thread sanitizer\n");
        return 77;
    }
    if (df_key_parse(NULL,
                     "/job:localhost/task:0/device:CPU:0;0000000000000001;"
                     "/job:localhost/task:0/device:CPU:1;y:0;0:0",
                     &w.key, NULL) != DF_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_that_is_right_is_so_in_every_schedule),
        cmocka_unit_test(what_falls_between_two_locked_parts_is_found),
        cmocka_unit_test(a_cancel_that_comes_too_early_is_found),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    df_key_free(w.key);
    return failed;
}
