/* SPDX-License-Identifier: MIT
 *
 * The k-th thread cannot be started: once, or it and all that follow.
 *
 * Workers are started by the first session, the threads of accelerators by their first
 * work. Whoever needed one says RESOURCE_EXHAUSTED and has changed nothing; tried again with
 * threads to be had, it works.
 */
#include "unit/run_world.h"

/* All four queues of sim:0 get work, and of sim:1 those that compute and copy out. */
enum { WORKERS = 3, QUEUES = 6 };

typedef struct scene {
    fault_threads t;
    run_world w;
    df_out v, y;
    bool failed; /* something has, so threads can be had from now on */
} scene;

static void scene_open(scene *s, size_t k, fault_span span) {
    s->failed = false;
    fault_threads_init(&s->t);
    run_open_with(&s->w, (df_runtime_options){.devices = "cpu:1,sim:2",
                                              .workers = WORKERS,
                                              .threads = &s->t.threads});
    df_graph *g = s->w.g;
    df_graph_on(g, "sim:0");
    s->v = df_variable_from(g, "v", run_const(g, 5));
    df_out grown = df_assign_add(g, s->v, run_const(g, 1));
    df_graph_on(g, "sim:1");
    s->y = df_neg(g, grown);
    fault_fail_start(&s->t, k, span);
}

static void scene_close(scene *s) {
    run_close(&s->w);
    fault_threads_end(&s->t);
}

/* True: the call is to be made again. */
static bool is_to_be_repeated(scene *s, df_code code) {
    if (code == DF_OK) return false;
    if (s->failed || code != DF_RESOURCE_EXHAUSTED) fail_msg("code %d: %s", code, s->w.err.message);
    assert_non_null(strstr(s->w.err.message, "thread"));
    s->failed = true;
    fault_fail_start(&s->t, 0, FAULT_ONCE);
    return true;
}

static void scene_play(scene *s) {
    df_program *p = NULL;
    df_tensor *result = NULL;
    df_code code;
    do {
        code = df_session_new(s->w.g, NULL, &s->w.s, &s->w.err);
        if (code != DF_OK) assert_null(s->w.s);
    } while (is_to_be_repeated(s, code));
    assert_int_equal(pool_helpers(s->w.rt->pool), WORKERS);
    do {
        code = df_session_compile(s->w.s, DF_NO_OUTS, DF_OUTS(s->y), NULL, &p, &s->w.err);
    } while (is_to_be_repeated(s, code));
    for (int i = 1; i <= 3; i++) {
        do {
            code = df_program_run(p, DF_NO_TENSORS, &result, NULL, &s->w.err);
        } while (is_to_be_repeated(s, code));
        assert_int_equal(run_value(result), -5 - i);
        df_tensor_unref(result);
    }
    told t; /* the threads that there are now are all that there must be */
    told_init(&t);
    df_program_start(p, DF_NO_TENSORS, NULL, tell, &t);
    told_await(&t, NULL);
    assert_told(&t, DF_OK, NULL);
    told_fini(&t);
    df_program_free(p);
}

static void a_thread_that_cannot_start_is_an_error_and_no_end(void **state) {
    (void)state;
    for (size_t k = 1; k <= WORKERS + QUEUES + 1; k++)
        for (int span = FAULT_ONCE; span <= FAULT_FOR_EVER; span++) {
            scene s;
            scene_open(&s, k, (fault_span)span);
            scene_play(&s);
            assert_int_equal(s.failed, k <= WORKERS + QUEUES);
            scene_close(&s);
        }
}

/* The failure meets a step that has already written a variable, and has work on another
 * accelerator. */
static void a_step_that_finds_no_thread_changes_nothing(void **state) {
    (void)state;
    for (int span = FAULT_ONCE; span <= FAULT_FOR_EVER; span++) {
        scene s;
        scene_open(&s, 0, FAULT_ONCE);
        df_program *read = run_compile(&s.w, DF_NO_OUTS, DF_OUTS(s.v));
        df_program *p = run_compile(&s.w, DF_NO_OUTS, DF_OUTS(s.y));
        assert_int_equal(run_int(&s.w, read), 5);
        assert_int_equal(fault_starts(&s.t), WORKERS + 2);
        fault_fail_start(&s.t, 3, (fault_span)span); /* sim:0 computes, copies across; sim:1 */
        run_fails(&s.w, p, DF_NO_TENSORS, 1, DF_RESOURCE_EXHAUSTED, "SIM:1", "thread");
        fault_fail_start(&s.t, 0, FAULT_ONCE);
        assert_int_equal(run_int(&s.w, read), 5);
        assert_int_equal(run_int(&s.w, p), -6);
        df_program_free(p);
        df_program_free(read);
        scene_close(&s);
    }
}

/* A run beside with a deadline needs a thread that looks after it, the first one. */
static void a_deadline_that_nobody_can_look_after_refuses_the_run(void **state) {
    (void)state;
    scene s;
    told t;
    df_run_options o = {.struct_size = sizeof o, .timeout = UINT64_MAX};
    scene_open(&s, 0, FAULT_ONCE);
    df_program *p = run_compile(&s.w, DF_NO_OUTS, DF_OUTS(s.y));
    assert_int_equal(run_int(&s.w, p), -6);
    size_t before = fault_starts(&s.t);
    fault_fail_start(&s.t, 1, FAULT_ONCE);
    told_init(&t);
    df_program_start(p, DF_NO_TENSORS, &o, tell, &t);
    assert_told(&t, DF_RESOURCE_EXHAUSTED, "thread");
    told_fini(&t);
    for (int i = 0; i < 2; i++) {
        told_init(&t);
        df_program_start(p, DF_NO_TENSORS, &o, tell, &t);
        told_await(&t, NULL);
        assert_told(&t, DF_OK, NULL);
        assert_int_equal(t.value, -7 - i);
        told_fini(&t);
    }
    assert_int_equal(fault_starts(&s.t), before + 2); /* the one that failed, and the one */
    df_program_free(p);
    scene_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_cannot_start_is_an_error_and_no_end),
        cmocka_unit_test(a_step_that_finds_no_thread_changes_nothing),
        cmocka_unit_test(a_deadline_that_nobody_can_look_after_refuses_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
