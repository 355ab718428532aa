/* SPDX-License-Identifier: MIT
 *
 * Tickets over all interleavings of three and four steps, on the real source. A mix is a word, one
 * letter for each step:
 *
 *   r  reads variable 0            w  writes it             x  writes variable 1
 *   S  writes 0, and sleeps until its turn comes
 *   D  writes 0; somebody withdraws it, at any moment
 *
 * In no schedule do two steps run that conflict; each runs once, or was withdrawn, and none waits
 * for ever.
 */
#include "model/plant.h"
#include "support/dfs.h"

#include "exec/tickets.c" /* whole, so that it can be spoilt */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MAX = 5 };

typedef struct one {
    ticket ticket; /* first */
    char how;
    int n_run, n_withdrawn, seen;
} one;

typedef struct world {
    char mix[MAX + 1];
    tickets t;
    one steps[MAX];
    int readers[2], writers[2]; /* inside */
    int values[2];
} world;

static world w;

static uint64_t bits[3] = {0, 1, 2};
static const touches reads_0 = {.reads = &bits[1], .writes = &bits[0], .words = 1, .any = true};
static const touches writes_0 = {.reads = &bits[0], .writes = &bits[1], .words = 1, .any = true};
static const touches writes_1 = {.reads = &bits[0], .writes = &bits[2], .words = 1, .any = true};

DFS_UNWATCHED static void enter(const one *s, int variable) {
    ++*(s->how == 'r' ? &w.readers[variable] : &w.writers[variable]);
    if (w.writers[variable] + (w.readers[variable] > 0) > 1) dfs_fail("two run that conflict");
}

DFS_UNWATCHED static void leave(const one *s, int variable) {
    --*(s->how == 'r' ? &w.readers[variable] : &w.writers[variable]);
}

static void run_step(one *s) {
    int variable = s->how == 'x';
    enter(s, variable);
    DF_SCHED_POINT();
    if (s->how != 'r')
        w.values[variable]++;
    else
        s->seen = w.values[variable];
    leave(s, variable);
    s->n_run++;
    tickets_give(&w.t, &s->ticket);
}

static void turn(ticket *t) {
    run_step((one *)t);
}

/* Behind the last step of the mix: who withdraws the first D. */
static void withdraw(void) {
    for (int i = 0; i < MAX; i++)
        if (w.steps[i].how == 'D')
            w.steps[i].n_withdrawn = tickets_withdraw(&w.t, &w.steps[i].ticket);
}

static void act(void *arg, int i) {
    one *s = &w.steps[i];
    (void)arg;
    if (!s->how) {
        withdraw();
    } else if (s->how == 'S') {
        tickets_wait(&w.t, &s->ticket);
        run_step(s);
    } else if (tickets_take(&w.t, &s->ticket)) {
        run_step(s);
    }
}

static void build(void *arg) {
    world *x = arg;
    char mix[MAX + 1];
    memcpy(mix, x->mix, sizeof mix);
    memset(x, 0, sizeof *x);
    memcpy(x->mix, mix, sizeof mix);
    if (!tickets_init(&x->t)) dfs_fail("no lock");
    for (int i = 0; mix[i]; i++) {
        one *s = &x->steps[i];
        s->how = mix[i];
        s->ticket.what = s->how == 'r' ? &reads_0 : s->how == 'x' ? &writes_1 : &writes_0;
        s->ticket.turn = s->how == 'S' ? NULL : turn;
    }
}

static void check(void *arg) {
    world *x = arg;
    for (int i = 0; x->mix[i]; i++) {
        const one *s = &x->steps[i];
        if (s->n_run + s->n_withdrawn != 1)
            dfs_fail("step %d ran %d times, withdrawn %d", i, s->n_run, s->n_withdrawn);
    }
    if (x->t.first || x->t.last) dfs_fail("a ticket is left");
    tickets_fini(&x->t);
}

static uint64_t run(const char *mix, df_schedules_report *report) {
    (void)snprintf(w.mix, sizeof w.mix, "%s", mix);
    return dfs_run((df_schedules){.actors = (int)strlen(mix) + (strchr(mix, 'D') != NULL),
                                  .world = &w,
                                  .setup = build,
                                  .actor = act,
                                  .check = check,
                                  .world_size = dfs_is_slow() ? 0 : sizeof w,
                                  .max_preemptions = dfs_is_slow() ? 2 : 0},
                   report);
}

static df_schedules_report report;

static void steps_that_conflict_run_one_after_another(void **state) {
    (void)state;
    static const char *const mixes[] = {"ww",  "rw", "www", "rrw", "rww", "wwx",  "wS",   "SSw",
                                        "rSw", "wD", "rDw", "DrS", "DSw", "wwww", "rwrw", "SwSr"};
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        if (dfs_is_weak() && strchr(mixes[i], 'S')) continue; /* who sleeps is no part of it */
        uint64_t n = run(mixes[i], &report);
        if (n == 0) fail_msg("%s: %s\n%s", mixes[i], report.what, report.schedule);
        printf("%s: %llu schedules, %llu states\n", mixes[i], (unsigned long long)n,
               (unsigned long long)report.states);
        assert_true(n > 5);
    }
}

static void what_is_spoilt_is_found(void **state) {
    (void)state;
    static const plant plants[] = {{"", "call_locked", "wS"},
                                   {"tickets_take", "", "ww"},
                                   {"tickets_give", "", "ww"},
                                   {"tickets_withdraw", "", "rDw"}};
    assert_true(plants_are_found(plants, sizeof plants / sizeof *plants, run, &report));
}

static int every_test(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_that_conflict_run_one_after_another),
        cmocka_unit_test(what_is_spoilt_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return dfs_main(every_test);
}
