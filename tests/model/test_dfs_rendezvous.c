/* SPDX-License-Identifier: MIT
 *
 * A planned channel, and a key of the table, over all interleavings of three and four actors,
 * on the real source.
 *
 * A mix is a word, one letter for each actor; capitals are the plan's own calls:
 *
 *   S  send             s  send by somebody else
 *   V  recv             v  recv by somebody else
 *   C  cancel of V      c  cancel of v
 *   D  S, then s        W  V, then v
 *   a  abort            A  abort, then a send and a recv that must be refused
 *   L  lends and borrows a tensor, as two steps would that go on after an abort
 *   U  drops a reference; then every actor has one of its own and drops it at its end,
 *      so that whoever is last ends what waits
 *
 * test_dfs_rendezvous [MIX or N...] - these alone, or all of N actors; by default all of two and
 * three, and some of four.
 *
 * At the end of every schedule: each done ran once and left its recv alone afterwards, each
 * tensor has been released, and rules R2, R4, R5, R7 and R8 hold.
 */
#include "model/in_place.h"
#include "support/dfs.h"

#include "rendezvous/finish.h"
#include "rendezvous/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 5, CHANNELS = 1, PLAN = 7, ARENA = 6 * 1024, GONE = 0x5a };

/* A recv, and how it ended. */
typedef struct op {
    df_recv recv;
    bool submitted, may_be_cancelled, is_late;
    int done, value; /* value 0: none */
    df_code code;
    bool by_cancel; /* in the words of a cancel */
} op;

typedef struct world {
    char mix[MAX + 1];
    int n;
    bool own_references;
    df_rendezvous *r;
    op ops[MAX][2];
    df_tensor *tensors[MAX][2];
    df_code sent[MAX][2]; /* what send returned */
    int n_sent, n_aborts;
    in_place memory;
    _Alignas(64) unsigned char bytes[ARENA]; /* of the memory */
} world;

static world w;
static df_key *key; /* of the mix that runs: one of these */
static df_key *planned_key, *table_key;

static const df_allocator blocks = IN_PLACE_ALLOCATOR(&w.memory);

/* ---- the actors ---------------------------------------------------------- */

static op *op_of(df_recv *r) {
    return (op *)(void *)((char *)r - offsetof(op, recv));
}

static void on_done(df_recv *r, const df_error *err, df_tensor *t) {
    op *o = op_of(r);
    o->done++;
    if (err) {
        o->code = err->code;
        o->by_cancel = strstr(err->message, "was cancelled") != NULL;
    } else {
        o->value = *(const int32_t *)df_tensor_data(t);
    }
    /* From here on the recv is the caller's; a cancel may come yet. */
    if (!o->may_be_cancelled) memset(r, GONE, sizeof *r);
    df_tensor_unref(t);
}

static bool is_left_alone(const op *o) {
    const unsigned char *bytes = (const unsigned char *)&o->recv;
    for (size_t i = 0; i < sizeof o->recv; i++) {
        if (bytes[i] != GONE) return false;
    }
    return true;
}

static void submit(world *x, op *o) {
    o->submitted = true;
    df_rendezvous_recv(x->r, &o->recv);
}

static void send_planned(world *x, int i, int k) {
    static const df_endpoint host = {.memory = DF_MEMORY_HOST};
    df_tensor *t = x->tensors[i][k];
    x->tensors[i][k] = NULL;
    x->sent[i][k] = rendezvous_send(x->r, key, &host, t);
}

static void send_foreign(world *x, int i, int k) {
    static const df_endpoint host = {.memory = DF_MEMORY_HOST};
    df_tensor *t = x->tensors[i][k];
    x->tensors[i][k] = NULL;
    x->sent[i][k] = df_rendezvous_send(x->r, key, &host, t);
    df_tensor_unref(t);
}

static void abort_and_be_refused(world *x, int i) {
    df_error why = {.code = i % 2 ? DF_ABORTED : DF_UNAVAILABLE};
    df_rendezvous_abort(x->r, &why);
    if (x->mix[i] == 'a' || x->n_aborts > 1) return; /* the loser may be ahead of the winner */
    send_foreign(x, i, 0);
    if (x->sent[i][0] != why.code) dfs_fail("R5: a send after the abort gave %d", x->sent[i][0]);
    submit(x, &x->ops[i][0]);
    if (x->ops[i][0].done != 1) dfs_fail("R5: a recv after the abort waits");
}

static op *cancelled_by(world *x, char cancel) {
    for (int i = 0; i < x->n; i++) {
        char m = x->mix[i];
        if (cancel == 'C' && (m == 'V' || m == 'W')) return &x->ops[i][0];
        if (cancel == 'c' && m == 'v') return &x->ops[i][0];
    }
    return NULL;
}

/* The tensor stays with who lent it, whatever else happens. */
static void lend_and_borrow(world *x, int i) {
    slots *s = rendezvous_slots(x->r);
    for (int k = 0; k < 2; k++) {
        slots_lend(s, 0, x->tensors[i][0]);
        DF_SCHED_POINT();
        df_tensor *t = slots_borrow(s, 0);
        if (t && t != x->tensors[i][0]) dfs_fail("something else was borrowed than was lent");
        if (!t && !x->n_aborts) dfs_fail("what was lent is not there, and nobody aborted");
    }
}

static void act(void *arg, int i) {
    world *x = arg;
    char m = x->mix[i];
    if (m == 'S' || m == 'D') send_planned(x, i, 0);
    if (m == 's' || m == 'D') send_foreign(x, i, m == 'D');
    if (m == 'V' || m == 'W') submit(x, &x->ops[i][0]);
    if (m == 'v' || m == 'W') submit(x, &x->ops[i][m == 'W']);
    if (m == 'C' || m == 'c') df_rendezvous_cancel(x->r, &cancelled_by(x, m)->recv);
    if (m == 'A' || m == 'a') abort_and_be_refused(x, i);
    if (m == 'L') lend_and_borrow(x, i);
    if (x->own_references) df_rendezvous_unref(x->r);
}

/* ---- before -------------------------------------------------------------- */

static void op_init(op *o, bool planned) {
    *o = (op){.recv = {.key = key, .to = {.memory = DF_MEMORY_HOST}, .done = on_done}};
    if (planned) rendezvous_mark_planned(&o->recv, NULL);
}

static bool is_sender(char m) {
    return m == 'S' || m == 's' || m == 'D' || m == 'A' || m == 'L';
}

static void actor_init(world *x, int i) {
    char m = x->mix[i];
    op_init(&x->ops[i][0], m == 'V' || m == 'W');
    op_init(&x->ops[i][1], false);
    for (int k = 0; k < (m == 'D' ? 2 : is_sender(m)); k++) {
        int32_t value = 10 * (i + 1) + k;
        (void)df_tensor_from(&blocks, DF_INT32, DF_SCALAR, &value, &x->tensors[i][k], NULL);
    }
    if (m != 'A' && m != 'L') x->n_sent += m == 'D' ? 2 : is_sender(m);
    x->n_aborts += m == 'A' || m == 'a';
}

static void build(void *arg) {
    world *x = arg;
    char mix[MAX + 1];
    memcpy(mix, x->mix, sizeof mix);
    memset(x, 0, sizeof *x);
    memcpy(x->mix, mix, sizeof mix);
    x->memory = (in_place){.bytes = x->bytes, .size = ARENA};
    x->n = (int)strlen(mix);
    x->own_references = strchr(mix, 'U') != NULL;
    memory *host = memory_new_host(&blocks);
    df_code code = rendezvous_new_step(&blocks, host, PLAN, CHANNELS, NULL, &x->r, NULL);
    memory_unref(host);
    if (code != DF_OK) dfs_fail("no rendezvous");
    for (int i = 0; i < x->n; i++) actor_init(x, i);
    for (int i = 0; i < x->n; i++) {
        op *o = strchr("Cc", x->mix[i]) ? cancelled_by(x, x->mix[i]) : NULL;
        if (o) o->may_be_cancelled = true;
    }
    for (int i = 1; i < x->n && x->own_references; i++) (void)df_rendezvous_ref(x->r);
}

/* ---- after --------------------------------------------------------------- */

static int count_delivered(world *x, int value) {
    int n = 0;
    for (int i = 0; i < x->n; i++) {
        for (int k = 0; k < 2; k++)
            n += value ? x->ops[i][k].value == value : x->ops[i][k].value != 0;
    }
    return n;
}

static void check_outcome(world *x, const op *o) {
    if (o->done > 1) dfs_fail("R2: a done ran %d times", o->done);
    if (!o->submitted && o->done) dfs_fail("R2: a done ran without a recv");
    if (o->by_cancel && !o->may_be_cancelled) dfs_fail("R7: a cancel ended another recv");
    if (o->code == DF_OK || o->by_cancel) return;
    if (x->own_references && o->code == DF_CANCELLED) return;
    if (!x->n_aborts) dfs_fail("a recv ended with code %d and nobody aborted", o->code);
}

/* The first error is everybody's. */
static void check_one_error(world *x) {
    df_code first = DF_OK;
    for (int i = 0; i < x->n; i++) {
        for (int k = 0; k < 2; k++) {
            const op *o = &x->ops[i][k];
            df_code codes[2] = {o->by_cancel ? DF_OK : o->code, x->sent[i][k]};
            for (int c = 0; c < 2; c++) {
                if (first == DF_OK) first = codes[c];
                if (codes[c] != DF_OK && codes[c] != first)
                    dfs_fail("R5: two errors, %d and %d", first, codes[c]);
            }
        }
    }
}

static void check_values(world *x) {
    for (int i = 0; i < x->n; i++) {
        for (int k = 0; k < 2; k++) {
            int n = count_delivered(x, 10 * (i + 1) + k);
            if (n > 1) dfs_fail("a tensor was delivered %d times", n);
            if (n && x->sent[i][k] != DF_OK) dfs_fail("a refused tensor was delivered");
        }
        if (x->mix[i] != 'D') continue;
        int first = 10 * (i + 1), second = first + 1;
        if (count_delivered(x, second) && !count_delivered(x, first) && !x->n_aborts)
            dfs_fail("R4: the second tensor came without the first");
        for (int j = 0; j < x->n; j++) {
            if (x->ops[j][0].value == second && x->ops[j][1].value == first)
                dfs_fail("R4: the second tensor came first");
        }
    }
}

static void each_op(world *x, void (*check)(world *x, const op *o)) {
    for (int i = 0; i < x->n; i++) {
        for (int k = 0; k < 2; k++) check(x, &x->ops[i][k]);
    }
}

/* Before the rendezvous is released: who had to end has ended. */
static void check_waiting(world *x, const op *o) {
    if (!o->submitted || o->done) return;
    if (o->may_be_cancelled) dfs_fail("R7: a cancelled recv waits");
    if (x->n_aborts) dfs_fail("R5: a recv waits after the abort");
    if (count_delivered(x, 0) != x->n_sent) dfs_fail("a recv waits, and a tensor too");
}

static void check_ended(world *x, const op *o) {
    (void)x;
    if (o->submitted && o->done != 1) dfs_fail("R8: a done ran %d times", o->done);
    if (o->submitted && !o->may_be_cancelled && !is_left_alone(o))
        dfs_fail("a recv was touched after its done");
}

static void judge(void *arg) {
    world *x = arg;
    for (int i = 0; i < x->n; i++) {
        for (int k = 0; k < 2; k++) df_tensor_unref(x->tensors[i][k]); /* was never sent */
    }
    each_op(x, check_outcome);
    if (!x->own_references) {
        if (x->n_aborts) check_one_error(x);
        each_op(x, check_waiting);
        df_rendezvous_unref(x->r);
    }
    each_op(x, check_ended);
    check_values(x);
    if (x->memory.live) dfs_fail("%zu blocks are left", x->memory.live);
}

/* ---- the mixes ----------------------------------------------------------- */

typedef struct total {
    uint64_t mixes, schedules, states;
} total;

static void run_mix(const char *mix, total *sum) {
    const df_schedules all = {.actors = (int)strlen(mix),
                              .world = &w,
                              .setup = build,
                              .actor = act,
                              .check = judge,
                              .world_size = dfs_is_slow() ? 0 : sizeof w,
                              .max_preemptions = dfs_is_slow() ? 2 : 0,
                              .swap = finish_swap};
    df_schedules_report report;
    (void)snprintf(w.mix, sizeof w.mix, "%s", mix);
    uint64_t n = dfs_run(all, &report);
    if (n == 0) fail_msg("mix %s: %s\n%s", mix, report.what, report.schedule);
    sum->mixes++;
    sum->schedules += n;
    sum->states += report.states;
}

static void tell(const char *what, const total *sum) {
    printf("%s: %llu mixes, %llu schedules, %llu states, %s\n", what,
           (unsigned long long)sum->mixes, (unsigned long long)sum->schedules,
           (unsigned long long)sum->states,
           dfs_is_slow() ? "all with at most two preemptions" : "all of them");
}

/* A cancel needs somebody to cancel, and two of the plan's Sends or Recvs there are not. */
static bool makes_sense(const char *mix) {
    int sends = 0, recvs = 0, foreign = 0, early = 0, late = 0;
    for (const char *m = mix; *m; m++) {
        sends += *m == 'S' || *m == 'D';
        recvs += *m == 'V' || *m == 'W';
        foreign += *m == 'v';
        early += *m == 'C';
        late += *m == 'c';
    }
    return sends <= 1 && recvs <= 1 && (!early || recvs) && (!late || foreign);
}

/* All words of n letters, in alphabetical order, letters repeated. */
static void run_all(const char *letters, int n, total *sum) {
    int at[MAX] = {0}, size = (int)strlen(letters);
    for (;;) {
        char mix[MAX + 1] = "";
        for (int i = 0; i < n; i++) mix[i] = letters[at[i]];
        if (makes_sense(mix)) run_mix(mix, sum);
        int i = n - 1;
        while (i >= 0 && at[i] == size - 1) i--;
        if (i < 0) return;
        at[i]++;
        for (int j = i + 1; j < n; j++) at[j] = at[i];
    }
}

static void every_mix_of_two_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    run_all("SVCaAsvcDWU", 2, &sum);
    tell("two actors", &sum);
}

static void every_mix_of_three_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    run_all("SVCasvcU", 3, &sum);
    static const char *const more[] = {"SVA", "SAA", "VCA", "VsA", "VvA", "SsW", "VsD", "CDW"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) run_mix(more[i], &sum);
    tell("three actors", &sum);
    assert_true(sum.mixes > 20);
}

/* An abort, a cancel and somebody else's send together: no three of them show what a
 * tombstone that is kept in the recv would do. */
static void mixes_of_four_keep_the_rules(void **state) {
    (void)state;
    static const char *const mixes[] = {"SVCs", "SVCv", "SVCa", "VCsa", "VvCc", "SVCU", "VsaU"};
    total sum = {0};
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) run_mix(mixes[i], &sum);
    tell("four actors", &sum);
}

/* The same, under a key that belongs to no plan. */
static void every_mix_of_three_in_the_table_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    key = table_key;
    run_all("SVCasvcU", 3, &sum);
    static const char *const more[] = {"SVA", "VCA", "VsA", "SsW", "VsD", "CDW"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) run_mix(more[i], &sum);
    key = planned_key;
    tell("three actors in the table", &sum);
    assert_true(sum.mixes > 20);
}

/* Nobody else meets in such a channel; aborts come from anywhere, and the end. */
static void what_is_lent_is_borrowed_or_aborted(void **state) {
    (void)state;
    static const char *const mixes[] = {"L", "La", "Laa", "LU", "LaU", "Laaa"};
    total sum = {0};
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) run_mix(mixes[i], &sum);
    tell("a tensor that is lent", &sum);
}

static int make_keys(void **state) {
    (void)state;
    const key_parts parts = {.src = "/job:localhost/task:0/device:CPU:0",
                             .incarnation = 1,
                             .dst = "/job:localhost/task:0/device:CPU:1",
                             .edge = "y:0"};
    if (key_new(NULL, &parts, PLAN, 0, &planned_key, NULL) != DF_OK) return -1;
    if (key_new(NULL, &parts, 0, KEY_NO_CHANNEL, &table_key, NULL) != DF_OK) return -1;
    key = planned_key;
    return 0;
}

static int free_keys(void **state) {
    (void)state;
    df_key_free(planned_key);
    df_key_free(table_key);
    return 0;
}

static const char *const *asked; /* by the command line, up to a NULL */

static void what_is_asked_for_keeps_the_rules(void **state) {
    (void)state;
    total sum = {0};
    for (const char *const *mix = asked; *mix; mix++) {
        int n = **mix - '0';
        if (n > 0 && n <= MAX)
            run_all("SVCasvcU", n, &sum);
        else
            run_mix(*mix, &sum);
    }
    tell("asked for", &sum);
}

static int every_test(void) {
    const struct CMUnitTest all[] = {
        cmocka_unit_test(every_mix_of_two_keeps_the_rules),
        cmocka_unit_test(every_mix_of_three_keeps_the_rules),
        cmocka_unit_test(mixes_of_four_keep_the_rules),
        cmocka_unit_test(every_mix_of_three_in_the_table_keeps_the_rules),
        cmocka_unit_test(what_is_lent_is_borrowed_or_aborted),
    };
    const struct CMUnitTest some[] = {cmocka_unit_test(what_is_asked_for_keeps_the_rules)};
    if (*asked) return cmocka_run_group_tests(some, make_keys, free_keys);
    return cmocka_run_group_tests(all, make_keys, free_keys);
}

int main(int argc, char **argv) {
    (void)argc;
    asked = (const char *const *)argv + 1;
    return dfs_main(every_test);
}
