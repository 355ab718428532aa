/* SPDX-License-Identifier: MIT
 *
 * 64 runs of one program at once, thousands of times each, over four devices: every one gives, bit
 * by bit, what the program gave for the same numbers when it ran alone.
 *
 *   test_many_runs [ROUNDS]    of each; by default 2,000
 *
 * Half of the runs are threads that wait for theirs; the other half were started, and each starts
 * the next one as it ends.
 */
#include "support/scale.h"

#include "support/ops_for_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { AT_ONCE = 64, WIDTH = 16, INPUTS = 251 /* prime: every run meets every input */ };

static size_t rounds = 2000;

typedef struct crowd {
    check check;
    df_program *p;
    df_tensor *x[INPUTS], *y[INPUTS]; /* y: of the runs one after the other */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int n_ended; /* (lock) lanes that started their runs */
} crowd;

typedef struct lane {
    crowd *c;
    size_t i, k; /* the lane's number, and its run's */
} lane;

/* The input of the k-th run of a lane: others at the same time have others. */
static size_t input_of(const lane *l) {
    return (l->k + l->i * (INPUTS / AT_ONCE)) % INPUTS;
}

static void compare(lane *l, const df_error *err, df_tensor *y) {
    crowd *c = l->c;
    if (!check_that(&c->check, !err, __FILE__, __LINE__, "%s", err ? err->message : "")) return;
    const df_tensor *expected = c->y[input_of(l)];
    size_t bytes = df_tensor_bytes(expected);
    CHECK(&c->check, df_tensor_bytes(y) == bytes &&
                         memcmp(df_tensor_data(y), df_tensor_data(expected), bytes) == 0);
    df_tensor_unref(y);
}

static void lane_start(lane *l);

static void on_done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    lane *l = user;
    compare(l, err, n ? results[0] : NULL);
    l->k++;
    lane_start(l);
}

static void lane_start(lane *l) {
    crowd *c = l->c;
    if (l->k < rounds) {
        df_program_start(c->p, DF_TENSORS(c->x[input_of(l)]), NULL, on_done, l);
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    c->n_ended++;
    (void)pthread_cond_signal(&c->ended);
    (void)pthread_mutex_unlock(&c->lock);
}

static void lane_run(void *arg, int i) {
    lane l = {.c = arg, .i = (size_t)i};
    for (; l.k < rounds; l.k++) {
        df_tensor *y = NULL;
        df_error err;
        df_code code = df_program_run(l.c->p, DF_TENSORS(l.c->x[input_of(&l)]), &y, NULL, &err);
        compare(&l, code == DF_OK ? NULL : &err, y);
    }
}

/* Every device hands something to every other, and no two results are alike. */
static df_program *build(run_world *w, const char *const on[4]) {
    df_out x = df_placeholder(w->g, "x", DF_INT64, DF_SHAPE(WIDTH)), y = x;
    for (int i = 0; i < 12; i++) {
        df_graph_on(w->g, on[i % 4]);
        df_out z = df_mul(w->g, df_add(w->g, y, run_const(w->g, i)), x);
        df_graph_on(w->g, on[(i + i / 4) % 4]);
        y = df_add(w->g, z, df_neg(w->g, y));
    }
    return run_compile(w, DF_OUTS(x), DF_OUTS(y));
}

static void inputs_and_what_they_give(run_world *w, crowd *c) {
    for (int64_t i = 0; i < INPUTS; i++) {
        assert_int_equal(df_tensor_new(NULL, DF_INT64, DF_SHAPE(WIDTH), &c->x[i], &w->err), DF_OK);
        int64_t *x = df_tensor_data(c->x[i]);
        for (int64_t k = 0; k < WIDTH; k++) x[k] = i * WIDTH + k;
        run_ok(w, c->p, DF_TENSORS(c->x[i]), &c->y[i]);
    }
}

static void run_crowd(const char *devices, const char *const on[4]) {
    static crowd c;
    static lane started[AT_ONCE / 2];
    run_world w;
    c = (crowd){.n_ended = 0};
    check_init(&c.check);
    (void)pthread_mutex_init(&c.lock, NULL);
    (void)pthread_cond_init(&c.ended, NULL);
    run_open(&w, devices, 2);
    c.p = build(&w, on);
    inputs_and_what_they_give(&w, &c);

    for (size_t i = 0; i < AT_ONCE / 2; i++) {
        started[i] = (lane){.c = &c, .i = AT_ONCE / 2 + i};
        lane_start(&started[i]);
    }
    run_threads(AT_ONCE / 2, lane_run, &c);
    (void)pthread_mutex_lock(&c.lock);
    while (c.n_ended < AT_ONCE / 2) (void)pthread_cond_wait(&c.ended, &c.lock);
    (void)pthread_mutex_unlock(&c.lock);

    check_end(&c.check);
    for (int i = 0; i < INPUTS; i++) {
        df_tensor_unref(c.x[i]);
        df_tensor_unref(c.y[i]);
    }
    df_program_free(c.p);
    run_close(&w);
    (void)pthread_cond_destroy(&c.ended);
    (void)pthread_mutex_destroy(&c.lock);
}

static void many_runs_at_once_give_what_each_gives_alone(void **state) {
    (void)state;
    static const char *const on[] = {"cpu:0", "cpu:1", "cpu:2", "cpu:3"};
    run_crowd("cpu:4", on);
}

/* Fewer: each run waits for sixteen copies. */
static void so_they_do_with_copies_between_memories(void **state) {
    (void)state;
    static const char *const on[] = {"cpu:0", "sim:0", "cpu:1", "sim:1"};
    size_t all = rounds;
    rounds = (rounds + 99) / 100;
    run_crowd("cpu:2,sim:2", on);
    rounds = all;
}

int main(int argc, char **argv) {
    rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : test_scaled(rounds);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_runs_at_once_give_what_each_gives_alone),
        cmocka_unit_test(so_they_do_with_copies_between_memories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
