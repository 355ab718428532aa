/* SPDX-License-Identifier: MIT
 *
 * Many steps at the same time, with yields at random places inside the library: programs
 * that share variables, kernels that end on other threads, kernels that fail.
 *
 * Whatever order the system chooses, steps that succeeded count and steps that failed do
 * not, and what is read is what some order of whole steps could have left.
 */
#include "support/scale.h"

#include "support/ops_for_tests.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const places[] = {"cpu:0", "cpu:1", "sim:0"};
enum { N_PLACES = 3 };

/* ---- shared variables ---------------------------------------------------- */

enum { THREADS = 4 };

typedef struct shared {
    check check;
    df_program *p[3];
    size_t rounds;
    _Atomic unsigned char *seen; /* which values of the counter came out */
} shared;

static int64_t checked_run(shared *s, df_program *p) {
    df_tensor *t = NULL;
    df_error err;
    df_code code = df_program_run(p, DF_NO_TENSORS, &t, NULL, &err);
    if (!check_that(&s->check, code == DF_OK, __FILE__, __LINE__, "%s", err.message)) return -1;
    int64_t value = *(const int64_t *)df_tensor_data(t);
    df_tensor_unref(t);
    return value;
}

static void count_up(void *arg, int i) {
    shared *s = arg;
    for (size_t k = 0; k < s->rounds; k++) {
        int64_t n = checked_run(s, s->p[i % 2]);
        if (!CHECK(&s->check, n >= 1 && (size_t)n <= s->rounds * THREADS)) return;
        CHECK_EQUAL(&s->check, s->seen[n - 1]++, 0);
    }
}

/* Two programs with the same effect: every number comes out once. */
static void counters_add_up_however_many_count(void **state) {
    (void)state;
    for (int i = 0; i < N_PLACES; i++) {
        run_world w;
        shared s = {.rounds = test_scaled(150)};
        check_init(&s.check);
        run_open(&w, "cpu:2,sim:1", i);
        df_graph_on(w.g, places[i]);
        df_out v = df_variable(w.g, "v", DF_INT64, DF_SCALAR);
        df_out n = df_assign_add(w.g, v, run_const(w.g, 1));
        for (int k = 0; k < 3; k++) s.p[k] = run_compile(&w, DF_NO_OUTS, DF_OUTS(k < 2 ? n : v));
        s.seen = calloc(s.rounds * THREADS, 1);
        run_threads(THREADS, count_up, &s);
        check_end(&s.check);
        assert_int_equal(run_int(&w, s.p[2]), s.rounds * THREADS);
        free((void *)s.seen);
        for (int k = 0; k < 3; k++) df_program_free(s.p[k]);
        run_close(&w);
    }
}

static void write_or_read(void *arg, int i) {
    shared *s = arg;
    for (size_t k = 0; k < s->rounds; k++) {
        int64_t n = checked_run(s, s->p[i < 2 ? i : 2]);
        if (i >= 2) CHECK_EQUAL(&s->check, n, 0);
    }
}

/* Two variables on two devices are written together; who reads both finds them equal. */
static void readers_see_all_of_a_step_or_nothing(void **state) {
    (void)state;
    run_world w;
    shared s = {.rounds = test_scaled(150)};
    check_init(&s.check);
    run_open(&w, "cpu:2,sim:1", 2);
    df_out a = df_variable(w.g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "sim:0");
    df_out b = df_variable(w.g, "b", DF_INT64, DF_SCALAR);
    df_graph_on(w.g, "cpu:1");
    df_out differ = df_sub(w.g, a, b);
    df_graph_on(w.g, NULL);
    df_out a_grows = df_assign_add(w.g, a, run_const(w.g, 3));
    df_out b_grows = df_assign_add(w.g, b, run_const(w.g, 3));
    df_out a_set = df_assign(w.g, a, run_const(w.g, 17));
    df_out b_set = df_assign(w.g, b, run_const(w.g, 17));
    s.p[0] = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(a_grows), DF_NODES(b_grows.node));
    s.p[1] = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(b_set), DF_NODES(a_set.node));
    s.p[2] = run_compile(&w, DF_NO_OUTS, DF_OUTS(differ));
    run_threads(THREADS, write_or_read, &s);
    check_end(&s.check);
    for (int k = 0; k < 3; k++) df_program_free(s.p[k]);
    run_close(&w);
}

typedef struct compiling {
    check check;
    run_world *w;
    df_out fetch[2];
    size_t rounds;
} compiling;

static void compile_and_run(void *arg, int i) {
    compiling *c = arg;
    df_error err;
    for (size_t k = 0; k < c->rounds; k++) {
        df_program *p = NULL;
        df_tensor *t = NULL;
        df_code code =
            df_session_compile(c->w->s, DF_NO_OUTS, DF_OUTS(c->fetch[i % 2]), NULL, &p, &err);
        if (code == DF_OK) code = df_program_run(p, DF_NO_TENSORS, &t, NULL, &err);
        if (check_that(&c->check, code == DF_OK, __FILE__, __LINE__, "%s", err.message))
            CHECK_EQUAL(&c->check, *(const int64_t *)df_tensor_data(t), i % 2 ? 12 : -12);
        df_tensor_unref(t);
        df_program_free(p);
    }
}

static void threads_compile_and_run_in_one_session(void **state) {
    (void)state;
    run_world w;
    compiling c = {.w = &w, .rounds = test_scaled(40)};
    check_init(&c.check);
    run_open(&w, "cpu:2,sim:1", 1);
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 12));
    df_graph_on(w.g, "sim:0");
    c.fetch[0] = df_neg(w.g, v);
    df_graph_on(w.g, "cpu:1");
    c.fetch[1] = df_identity(w.g, v);
    assert_int_equal(df_session_new(w.g, NULL, &w.s, &w.err), DF_OK);
    run_threads(THREADS, compile_and_run, &c);
    check_end(&c.check);
    run_close(&w);
}

/* ---- everything at once -------------------------------------------------- */

enum { LANES = 6, PROBES = 4 };

/* A program: the counter grows by 1, and its value goes from device to device through three
 * probes; what the fourth computes nobody uses. */
typedef struct lane {
    df_out fetch;
    df_node *beside;
    df_program *p;
    probe probes[PROBES];
    bool fails;
} lane;

typedef struct crowd {
    check check;
    lane lanes[LANES];
    df_program *read;
    size_t rounds;
    _Atomic int64_t successes;
} crowd;

static void lane_build(lane *l, df_graph *g, df_out counter, int i) {
    const char *const on[] = {"cpu:0", "sim:0", "cpu:1", "sim:1"};
    df_graph_on(g, NULL);
    df_out y = df_assign_add(g, counter, run_const(g, 1));
    for (int k = 0; k < PROBES; k++) {
        probe_init(&l->probes[k]);
        l->probes[k].code = DF_ABORTED;
        df_graph_on(g, on[(i + k) % 4]);
        df_out z = probe_node(g, (i + k) % 3 ? "TestCopy" : "TestAsync", y, &l->probes[k]);
        if ((i + k) % 3 == 0) l->probes[k].way = k % 2 ? PROBE_THREAD : PROBE_TWICE;
        if (k == PROBES - 1)
            l->beside = z.node;
        else
            y = z;
    }
    l->fetch = y;
}

/* In two of three lanes one kernel fails, each in its own way. */
static void lane_break(lane *l, int i) {
    probe *p = &l->probes[i % PROBES];
    l->fails = i % 3 != 0;
    if (!l->fails) return;
    bool is_async = (i + i % PROBES) % 3 == 0;
    p->way = is_async ? PROBE_FAILS_LATER : PROBE_FAILS;
}

static void run_lane(crowd *c, lane *l) {
    df_tensor *t = NULL;
    df_error err;
    df_code code = df_program_run(l->p, DF_NO_TENSORS, &t, NULL, &err);
    if (l->fails) {
        CHECK_EQUAL(&c->check, code, DF_ABORTED);
        CHECK(&c->check, t == NULL);
        return;
    }
    if (!check_that(&c->check, code == DF_OK, __FILE__, __LINE__, "%s", err.message)) return;
    c->successes++;
    CHECK(&c->check, *(const int64_t *)df_tensor_data(t) > 0);
    df_tensor_unref(t);
}

static void run_lanes(void *arg, int i) {
    crowd *c = arg;
    for (size_t k = 0; k < c->rounds; k++) run_lane(c, &c->lanes[((size_t)i + k) % LANES]);
}

static void crowd_run(int workers) {
    run_world w;
    static crowd c;
    c = (crowd){.rounds = LANES * test_scaled(20)};
    check_init(&c.check);
    run_open(&w, "cpu:2,sim:2", workers);
    df_out counter = df_variable(w.g, "counter", DF_INT64, DF_SCALAR);
    for (int i = 0; i < LANES; i++) lane_build(&c.lanes[i], w.g, counter, i);
    for (int i = 0; i < LANES; i++) {
        lane *l = &c.lanes[i];
        l->p = run_compile_targets(&w, DF_NO_OUTS, DF_OUTS(l->fetch), DF_NODES(l->beside));
        lane_break(l, i);
    }
    c.read = run_compile(&w, DF_NO_OUTS, DF_OUTS(counter));

    run_threads(THREADS, run_lanes, &c);

    check_end(&c.check);
    assert_int_equal(c.successes, THREADS * c.rounds / 3);
    assert_int_equal(run_int(&w, c.read), c.successes);
    df_program_free(c.read);
    for (int i = 0; i < LANES; i++) df_program_free(c.lanes[i].p);
    run_close(&w);
    for (int i = 0; i < LANES; i++)
        for (int k = 0; k < PROBES; k++) probe_fini(&c.lanes[i].probes[k]);
}

static void steps_that_fail_leave_no_trace_among_those_that_succeed(void **state) {
    (void)state;
    const int workers[] = {0, 1, 3};
    for (int i = 0; i < 3; i++) crowd_run(workers[i]);
}

/* ---- without variables --------------------------------------------------- */

static void run_wide(void *arg, int i) {
    shared *s = arg;
    (void)i;
    for (size_t k = 0; k < s->rounds; k++) CHECK_EQUAL(&s->check, checked_run(s, s->p[0]), 496);
}

/* Steps of one program overlap: 0 + 1 + ... + 31, over all devices. */
static void steps_of_one_program_do_not_disturb_each_other(void **state) {
    (void)state;
    for (int workers = 0; workers < 4; workers++) {
        run_world w;
        shared s = {.rounds = test_scaled(40)};
        df_out sum = {NULL, 0};
        check_init(&s.check);
        run_open(&w, "cpu:2,sim:2", workers);
        const char *const on[] = {"cpu:0", "sim:0", "cpu:1", "sim:1"};
        for (int i = 0; i < 32; i++) {
            df_graph_on(w.g, on[i % 4]);
            df_out y = df_identity(w.g, df_neg(w.g, run_const(w.g, -i)));
            df_graph_on(w.g, on[i / 4 % 4]);
            sum = i ? df_add(w.g, sum, y) : y;
        }
        s.p[0] = run_compile(&w, DF_NO_OUTS, DF_OUTS(sum));
        run_threads(THREADS, run_wide, &s);
        check_end(&s.check);
        df_program_free(s.p[0]);
        run_close(&w);
    }
}

int main(int argc, char **argv) {
    yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_add_up_however_many_count),
        cmocka_unit_test(readers_see_all_of_a_step_or_nothing),
        cmocka_unit_test(threads_compile_and_run_in_one_session),
        cmocka_unit_test(steps_that_fail_leave_no_trace_among_those_that_succeed),
        cmocka_unit_test(steps_of_one_program_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
