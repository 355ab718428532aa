/* SPDX-License-Identifier: MIT
 *
 * The public conformance suite: backends that are right pass it, and each wrong one fails the rule
 * that it breaks. All of them run at the same time, since most of what a wrong one costs is
 * waiting.
 */
#include <dataflow/conformance.h>

#include "conformance/verdict.h"
#include "support/list_rendezvous.h"
#include "support/yield.h"

#include <string.h>
#include <time.h>

/* Long enough for what is right and has the machine for itself only now and then. */
static uint64_t patience(void) {
    return (is_emulated() ? 20 : 4) * second;
}

/* ---- one run of the suite ------------------------------------------------- */

typedef struct trial {
    verdict verdict; /* first */
    df_rendezvous *(*make)(void *user);
    list_flaw flaw; /* for make */
    uint32_t flags;
    uint64_t limit;
} trial;

static void run_suite(verdict *v) {
    trial *t = (trial *)v;
    const df_conformance suite = {.struct_size = sizeof suite,
                                  .user = t,
                                  .make = t->make,
                                  .flags = t->flags,
                                  .limit = t->limit,
                                  .report = verdict_report};
    v->letter = 'R';
    v->rules = DF_CONFORMANCE_RULES;
    v->returned = df_conformance_run(&suite);
}

static verdict *run(trial *t) {
    run_suite(&t->verdict);
    return &t->verdict;
}

/* ---- backends that are right ---------------------------------------------- */

static df_rendezvous *make_local(void *user) {
    df_rendezvous *r = NULL;
    (void)user;
    (void)df_rendezvous_new_local(NULL, &r, NULL);
    return r;
}

static df_rendezvous *make_list(void *user) {
    return list_rendezvous_new(((trial *)user)->flaw);
}

/* Hands everything to another rendezvous, which is its `self`. */
static df_code relay_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    df_code code = df_rendezvous_send(self, key, from, t);
    df_tensor_unref(t);
    return code;
}

static void relay_recv(void *self, df_recv *r) {
    df_rendezvous_recv(self, r);
}

static void relay_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(self, r);
}

static void relay_abort(void *self, const df_error *why) {
    df_rendezvous_abort(self, why);
}

static void relay_destroy(void *self) {
    df_rendezvous_unref(self);
}

static const df_rendezvous_ops relay_ops = {.struct_size = sizeof relay_ops,
                                            .name = "relay",
                                            .send = relay_send,
                                            .recv = relay_recv,
                                            .cancel = relay_cancel,
                                            .abort = relay_abort,
                                            .destroy = relay_destroy};

static df_rendezvous *make_relay(void *user) {
    df_rendezvous *r = NULL;
    (void)df_rendezvous_new(NULL, &relay_ops, make_local(user), &r, NULL);
    return r;
}

static void backends_that_are_right_keep_every_rule(void **state) {
    df_rendezvous *(*const makes[])(void *user) = {make_local, make_relay, make_list};
    (void)state;
    for (int i = 0; i < 3; i++) {
        trial t = {.make = makes[i]};
        assert_all_kept(run(&t));
    }
}

/* What it cannot do is not held against a backend that says so. */
static void a_flag_excuses_what_it_names(void **state) {
    trial host_only = {.make = make_list, .flaw = LIST_TAKES_HOST_TENSORS_ONLY};
    trial delayed = {.make = make_list, .flaw = LIST_CANCEL_BEATS_A_TENSOR};
    (void)state;
    const verdict *v = run(&host_only);
    assert_true(v->broken & 1u << 9);
    assert_int_equal(v->returned, bits(v->broken));
    assert_int_equal(run(&delayed)->broken, 1u << 7);

    trial excused[] = {
        {.make = make_list,
         .flaw = LIST_TAKES_HOST_TENSORS_ONLY,
         .flags = DF_CONFORMANCE_HOST_ONLY},
        {.make = make_list, .flaw = LIST_CANCEL_BEATS_A_TENSOR, .flags = DF_CONFORMANCE_DELAYED}};
    for (int i = 0; i < 2; i++) assert_all_kept(run(&excused[i]));
}

/* ---- wrong ones ------------------------------------------------------------ */

/* The rule that each breaks; 0: see below. */
static const int breaks[LIST_FLAWS] = {
    [LIST_SEND_WAITS_FOR_ROOM] = 1,
    [LIST_LOOKS_BEFORE_IT_WAITS] = 2,
    [LIST_CALLS_DONE_ITSELF] = 2,
    [LIST_LOSES_THE_201ST_WAITER] = 2,
    [LIST_FINISHES_UNDER_ITS_LOCK] = 3,
    [LIST_GIVES_THE_NEWEST_FIRST] = 4,
    [LIST_SERVES_THE_LAST_TO_ASK] = 4,
    [LIST_HAS_ITS_OWN_WORDS] = 5,
    [LIST_KEEPS_WHAT_IS_THERE] = 5,
    [LIST_TAKES_LATE_SENDS] = 5,
    [LIST_COMPARES_EDGES] = 6,
    [LIST_COMPARES_NO_INCARNATION] = 6,
    [LIST_COMPARES_NO_FRAME] = 6,
    [LIST_CANCELS_ALL_OF_A_KEY] = 7,
    [LIST_FORGETS_AN_EARLY_CANCEL] = 7,
    [LIST_CANCEL_BEATS_A_TENSOR] = 7,
    [LIST_CANCEL_EATS_A_TENSOR] = 7,
    [LIST_LEAVES_WAITERS_AT_THE_END] = 8,
    [LIST_KEEPS_TENSORS_AT_THE_END] = 8,
    [LIST_FORGETS_THE_DEVICE] = 9,
    [LIST_KEEPS_A_BORROWED_ENDPOINT] = 9,
    [LIST_DELIVERS_TO_THE_HOST] = 10,
    [LIST_DELIVERS_TO_A_DEVICE] = 10,
    [LIST_LOSES_THE_SHAPE] = 10,
};

static unsigned allowed(list_flaw flaw) {
    /* A tensor and its recv that miss each other meet others: R4 is then broken too. */
    return flaw == LIST_LOOKS_BEFORE_IT_WAITS ? 1u << 4 : 0;
}

static void a_wrong_backend_breaks_the_rule_that_it_breaks(void **state) {
    static trial t[LIST_FLAWS];
    /* They mostly wait; but an emulator has little memory for the devices of all of them. */
    list_flaw begun = 1, at_once = is_emulated() ? 8 : LIST_FLAWS;
    int wrong = 0;
    (void)state;
    for (list_flaw f = 1; f < LIST_FLAWS; f++) {
        for (; begun < LIST_FLAWS && begun < f + at_once; begun++) {
            t[begun] = (trial){.verdict = {.run = run_suite},
                               .make = make_list,
                               .flaw = begun,
                               .limit = patience()};
            if (begun == LIST_CANCEL_EATS_A_TENSOR) t[begun].flags = DF_CONFORMANCE_DELAYED;
            verdict_start(&t[begun].verdict);
        }
        wrong += !verdict_join(&t[f].verdict, list_flaw_names[f], breaks[f], allowed(f));
    }
    list_rendezvous_let_go();
    assert_int_equal(wrong, 0);
}

static void a_backend_that_keeps_every_send_cannot_hold_the_suite(void **state) {
    trial t = {.make = make_list, .flaw = LIST_SEND_NEVER_RETURNS, .limit = second / 10};
    struct timespec begin, end;
    (void)state;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);

    const verdict *v = run(&t);

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(v->returned, DF_CONFORMANCE_RULES);
    assert_int_equal(v->reports, DF_CONFORMANCE_RULES);
    assert_non_null(strstr(v->wrong[1], "has not returned"));
    assert_non_null(strstr(v->wrong[4], "has not returned"));
    assert_true(end.tv_sec - begin.tv_sec < 60);
    list_rendezvous_let_go();
}

/* ---- misuse ---------------------------------------------------------------- */

static df_rendezvous *make_none(void *user) {
    (void)user;
    return NULL;
}

static void a_suite_that_cannot_run_breaks_every_rule(void **state) {
    trial no_make = {.make = NULL}, none = {.make = make_none};
    df_conformance no_size = {.make = make_local};
    (void)state;
    (void)run(&no_make);
    (void)run(&none);

    assert_int_equal(df_conformance_run(NULL), DF_CONFORMANCE_RULES);
    assert_int_equal(df_conformance_run(&no_size), DF_CONFORMANCE_RULES);
    for (int rule = 1; rule <= DF_CONFORMANCE_RULES; rule++) {
        assert_non_null(strstr(no_make.verdict.wrong[rule], "make is NULL"));
        assert_non_null(strstr(none.verdict.wrong[rule], "gave no rendezvous"));
    }
    assert_int_equal(no_make.verdict.returned, DF_CONFORMANCE_RULES);
    assert_int_equal(none.verdict.returned, DF_CONFORMANCE_RULES);
}

static void nobody_need_listen(void **state) {
    const df_conformance suite = {.struct_size = sizeof suite, .make = make_local};
    (void)state;
    assert_int_equal(df_conformance_run(&suite), 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_that_are_right_keep_every_rule),
        cmocka_unit_test(a_flag_excuses_what_it_names),
        cmocka_unit_test(a_wrong_backend_breaks_the_rule_that_it_breaks),
        cmocka_unit_test(a_backend_that_keeps_every_send_cannot_hold_the_suite),
        cmocka_unit_test(a_suite_that_cannot_run_breaks_every_rule),
        cmocka_unit_test(nobody_need_listen),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
