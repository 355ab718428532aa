/* SPDX-License-Identifier: MIT
 *
 * The pool's threads sleep and are woken, over all interleavings, on the real source. A mix is a
 * word, one letter for each actor:
 *
 *   P  posts two events to step 0          Q  one to step 1
 *   W  a worker, until the pool is stopped
 *   C  the caller of step 0, until all of its events were worked on
 *   E  stops the pool when everything was
 *
 * Two scenes: events stand alone, or the two of step 0 wait for each other while they are worked
 * on, as kernels may that a program has tied together. In no schedule does an event lie there while
 * somebody sleeps who could take it, and everybody goes home.
 */
#include "model/plant.h"
#include "support/dfs.h"

#include "exec/pool.c" /* whole, so that it can be spoilt */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX = 5, STEPS = 2, EVENTS = 2 };
enum { PREEMPTIONS = 3 }; /* of four actors; of three any number */

typedef struct world {
    char mix[MAX + 1];
    bool meets;
    pool p;
    step steps[STEPS];
    event events[STEPS][EVENTS];
    int n_posted[STEPS], n_worked[STEPS], n_events;
} world;

static world w;

/* ---- what clock.c and run.c do -------------------------------------------- */

uint64_t clock_now(void) {
    return 1000;
}

uint64_t clock_after(uint64_t ns) {
    (void)ns;
    return UINT64_MAX;
}

void run_help(step *s, event *e) {
    int i = (int)(s - w.steps);
    (void)e;
    w.n_worked[i]++;
    while (w.meets && i == 0 && w.n_worked[0] < EVENTS) sched_blocked();
    DF_SCHED_POINT();
    w.n_events++;
    if (i == 0 && w.n_worked[0] == EVENTS) (void)pool_over(&w.p, s);
}

void run_end_late(step *s) {
    (void)s;
    dfs_fail("nothing has a deadline");
}

void runs_end(pool *p, const run_group *group, const df_cancel *cancel, const df_error *why) {
    (void)p;
    (void)group;
    (void)cancel;
    (void)why;
}

/* ---- actors --------------------------------------------------------------- */

static bool has(char letter) {
    return strchr(w.mix, letter) != NULL;
}

static void post(int i, int n) {
    for (int k = 0; k < n; k++) pool_post(&w.p, &w.steps[i], &w.events[i][k]);
}

static void call(void) {
    event *e = NULL;
    wait_end end;
    while ((end = pool_wait(&w.p, &w.steps[0], &e)) == WAIT_EVENT) run_help(&w.steps[0], e);
    if (end != WAIT_OVER) dfs_fail("the caller was let go with %d", (int)end);
}

static void act(void *arg, int i) {
    const int all = (has('P') ? EVENTS : 0) + has('Q');
    (void)arg;
    switch (w.mix[i]) {
    case 'P':
        post(0, EVENTS);
        break;
    case 'Q':
        post(1, 1);
        break;
    case 'W':
        worker_main(&w.p);
        break;
    case 'C':
        call();
        break;
    default:
        while (w.n_events < all) sched_blocked();
        pool_stop(&w.p);
        break;
    }
}

static void build(void *arg) {
    world *x = arg;
    char mix[MAX + 1];
    bool meets = x->meets;
    memcpy(mix, x->mix, sizeof mix);
    memset(x, 0, sizeof *x);
    memcpy(x->mix, mix, sizeof mix);
    x->meets = meets;
    static void *no_handles[1];
    x->p.handles = no_handles;
    bool made = mutex_init(&x->p.lock) && condition_init(&x->p.work) &&
                condition_init(&x->p.tick) && condition_init(&x->p.calm);
    for (int i = 0; i < STEPS; i++) {
        x->steps[i].pool = &x->p;
        x->steps[i].shared = true;
        made = made && condition_init(&x->steps[i].wake);
    }
    if (!made) dfs_fail("no lock");
}

static void check(void *arg) {
    world *x = arg;
    if (x->p.first) dfs_fail("a step is in the list");
    for (int i = 0; i < STEPS; i++)
        if (x->steps[i].inbox.first) dfs_fail("an event was not taken");
    if (x->n_worked[0] != (has('P') ? EVENTS : 0) || x->n_worked[1] != has('Q'))
        dfs_fail("%d and %d events were worked on", x->n_worked[0], x->n_worked[1]);
}

static uint64_t run(const char *mix, bool meets, df_schedules_report *report) {
    (void)snprintf(w.mix, sizeof w.mix, "%s", mix);
    w.meets = meets;
    return dfs_run((df_schedules){.actors = (int)strlen(mix),
                                  .world = &w,
                                  .setup = build,
                                  .actor = act,
                                  .check = check,
                                  .world_size = dfs_is_slow() ? 0 : sizeof w,
                                  .max_preemptions = dfs_is_slow()     ? 1
                                                     : strlen(mix) > 3 ? PREEMPTIONS
                                                                       : 0},
                   report);
}

static df_schedules_report report;

static void nobody_sleeps_while_there_is_something_to_do(void **state) {
    (void)state;
    static const struct {
        const char *mix;
        bool meets;
    } scenes[] = {{"PWE", false},  {"PQWE", false}, {"PWWE", false}, {"PWWE", true},
                  {"PWCE", false}, {"PWCE", true},  {"QWWE", false}, {"PQWCE", false}};
    size_t n_scenes = dfs_is_slow() ? 1 : sizeof scenes / sizeof *scenes;
    for (size_t i = 0; i < n_scenes; i++) {
        uint64_t n = run(scenes[i].mix, scenes[i].meets, &report);
        if (n == 0) fail_msg("%s: %s\n%s", scenes[i].mix, report.what, report.schedule);
        printf("%s: %llu schedules, %llu states\n", scenes[i].mix, (unsigned long long)n,
               (unsigned long long)report.states);
        assert_true(n > 5);
    }
}

static void a_wake_up_that_is_lost_is_found(void **state) {
    (void)state;
    if (dfs_is_slow()) skip(); /* four actors take many minutes */
    static const struct {
        const char *signal_in, *mix;
        bool meets;
    } plants[] = {{"list_step_locked", "PWE", false},
                  {"more_locked", "PWWE", true},
                  {"pool_post", "PWCE", true},
                  {"pool_over", "PWCE", false},
                  {"pool_stop", "PWE", false}};
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        plant_signal_in = plants[i].signal_in;
        uint64_t n = run(plants[i].mix, plants[i].meets, &report);
        printf("%s: %s\n", plant_signal_in, report.what);
        plant_signal_in = "";
        assert_int_equal(n, 0);
    }
}

static int every_test(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sleeps_while_there_is_something_to_do),
        cmocka_unit_test(a_wake_up_that_is_lost_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return dfs_main(every_test);
}
