/* SPDX-License-Identifier: MIT
 *
 * The conformance suite for kinds of device: one that is right passes it, whatever it offers, and
 * each wrong one fails the rule that it breaks. The wrong ones run at the same time, since most of
 * what they cost is waiting.
 */
#include <dataflow/device_conformance.h>

#include "conformance/verdict.h"
#include "support/wrong_device.h"
#include "support/yield.h"
#include "thread_device.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RULES = DF_DEVICE_CONFORMANCE_RULES };

static uint64_t patience(void) {
    return (is_emulated() ? 20 : 1) * second;
}

/* ---- one run of the suite ------------------------------------------------- */

typedef struct trial {
    verdict verdict; /* first */
    df_device_ops ops;
    df_device_conformance suite;
    char skips[1024]; /* all of them, with a blank after each */
} trial;

static void on_skip(void *user, int rule, const char *why) {
    trial *t = user;
    size_t n = strlen(t->skips);
    (void)snprintf(t->skips + n, sizeof t->skips - n, "D%d: %s\n", rule, why);
}

static void lose(void *user, void *device) {
    (void)user;
    thread_device_lose(device);
}

static void run(verdict *v) {
    v->returned = df_device_conformance_run(&((trial *)v)->suite);
}

static void trial_init(trial *t, device_flaw flaw) {
    *t = (trial){.verdict = {.letter = 'D', .rules = RULES, .run = run}, .ops = wrong_device(flaw)};
    t->suite = (df_device_conformance){.struct_size = sizeof t->suite,
                                       .user = t,
                                       .ops = &t->ops,
                                       .devices = 2,
                                       .report = verdict_report,
                                       .skipped = on_skip,
                                       .lose = lose};
}

/* ---- kinds that are right --------------------------------------------------- */

static void a_kind_that_is_right_keeps_every_rule(void **state) {
    (void)state;
    trial v;
    trial_init(&v, DEVICE_IS_RIGHT);
    run(&v.verdict);
    assert_all_kept(&v.verdict);
    assert_non_null(strstr(v.skips, "D5: host_alloc is NULL"));
    assert_null(strstr(v.skips, "run is NULL"));
    assert_null(strstr(v.skips, "D6"));
}

/* ---- the same, with what is optional the other way round ---------------------- */

static void pause_a_moment(void) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* As the host asks a driver. */
static void event_wait(void *device, void *event, uint64_t timeout) {
    df_error why;
    struct timespec begin, now;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        if (thread_device_ops.event_ended(device, event, &why)) return;
        pause_a_moment();
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((uint64_t)(now.tv_sec - begin.tv_sec) * second + (uint64_t)now.tv_nsec <
             (uint64_t)begin.tv_nsec + timeout);
}

static df_code open_silent(void *user, const df_device_request *request, void **device,
                           df_device_traits *traits, df_error *err) {
    df_code code = thread_device_ops.open(user, request, device, traits, err);
    traits->flags = 0; /* it has to be asked, and copies want memory of its own */
    return code;
}

static df_code host_alloc(void *device, size_t bytes, void **block, df_error *err) {
    uint64_t n;
    df_code code = thread_device_ops.memory_free(device, &n, err);
    if (code != DF_OK) return code; /* it is lost */
    *block = malloc(bytes);
    return *block ? DF_OK : df_error_set(err, DF_RESOURCE_EXHAUSTED, "no host memory");
}

static void host_free(void *device, void *block, size_t bytes) {
    (void)device;
    (void)bytes;
    free(block);
}

/* Refused when it is lost. */
static df_code host_register(void *device, void *block, size_t bytes, df_error *err) {
    uint64_t n;
    (void)block;
    (void)bytes;
    return thread_device_ops.memory_free(device, &n, err);
}

static void host_unregister(void *device, void *block) {
    (void)device;
    (void)block;
}

static df_code timed_event_new(void *device, void **event, df_error *err) {
    return thread_device_ops.event_new(device, event, err);
}

/* Of a clock whose steps are long. */
static df_code event_elapsed(void *device, void *from, void *to, int64_t *ns, df_error *err) {
    (void)device;
    (void)from;
    (void)to;
    (void)err;
    *ns = 0;
    return DF_OK;
}

static df_code elapsed_always_back(void *device, void *from, void *to, int64_t *ns, df_error *err) {
    (void)event_elapsed(device, from, to, ns, err);
    *ns = -1;
    return DF_OK;
}

static df_code elapsed_always_on(void *device, void *from, void *to, int64_t *ns, df_error *err) {
    (void)event_elapsed(device, from, to, ns, err);
    *ns = 1000000;
    return DF_OK;
}

static void queue_flush(void *queue) {
    (void)queue;
}

static void a_kind_that_must_be_asked_keeps_every_rule_too(void **state) {
    (void)state;
    trial v;
    trial_init(&v, DEVICE_IS_RIGHT);
    v.ops.open = open_silent;
    v.ops.event_wait = event_wait;
    v.ops.host_alloc = host_alloc;
    v.ops.host_free = host_free;
    v.ops.host_register = host_register;
    v.ops.host_unregister = host_unregister;
    v.ops.timed_event_new = timed_event_new;
    v.ops.event_elapsed = event_elapsed;
    v.ops.queue_flush = queue_flush;
    run(&v.verdict);
    assert_all_kept(&v.verdict);
    assert_string_equal(v.skips, "D4: DF_DEVICE_NOTIFIES is not set: there are no listeners\n");
}

/* ---- without host functions, by the user's own means --------------------------- */

typedef struct door {
    df_host_function f; /* first */
    pthread_mutex_t lock;
    pthread_cond_t has_changed;
    bool is_open;
} door;

static door the_door = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_changed = PTHREAD_COND_INITIALIZER};

static df_code stand(df_host_function *f, df_error *err) {
    door *d = (door *)(void *)f;
    (void)err;
    (void)pthread_mutex_lock(&d->lock);
    while (!d->is_open) (void)pthread_cond_wait(&d->has_changed, &d->lock);
    (void)pthread_mutex_unlock(&d->lock);
    return DF_OK;
}

static df_code hold(void *user, void *device, void *queue, df_error *err) {
    (void)user;
    (void)device;
    (void)pthread_mutex_lock(&the_door.lock);
    the_door.is_open = false;
    (void)pthread_mutex_unlock(&the_door.lock);
    the_door.f.run = stand;
    return thread_device_ops.run(queue, NULL, &the_door.f, err);
}

static void let_go(void *user, void *device, void *queue) {
    (void)user;
    (void)device;
    (void)queue;
    (void)pthread_mutex_lock(&the_door.lock);
    the_door.is_open = true;
    (void)pthread_cond_broadcast(&the_door.has_changed);
    (void)pthread_mutex_unlock(&the_door.lock);
}

static df_code broken_function(df_host_function *f, df_error *err) {
    (void)f;
    return df_error_set(err, DF_DATA_LOSS, "broken");
}

static df_code put_broken(void *user, void *device, void *queue, df_work *work, df_error *err) {
    static df_host_function broken = {.run = broken_function};
    (void)user;
    (void)device;
    return thread_device_ops.run(queue, work, &broken, err);
}

static void a_kind_without_host_functions_is_tested_by_other_means(void **state) {
    (void)state;
    trial v;
    trial_init(&v, DEVICE_IS_RIGHT);
    v.ops.run = NULL;
    v.suite.hold = hold;
    v.suite.let_go = let_go;
    v.suite.fail = put_broken;
    run(&v.verdict);
    assert_all_kept(&v.verdict);
    assert_non_null(strstr(v.skips, "D3: run is NULL"));
    assert_null(strstr(v.skips, "hold"));
    assert_null(strstr(v.skips, "fail"));
}

static void what_cannot_be_tested_is_left_out_and_told(void **state) {
    (void)state;
    trial v;
    trial_init(&v, DEVICE_IS_RIGHT);
    v.ops.run = NULL;
    v.ops.reaches = NULL;
    v.ops.copy_peer = NULL;
    v.ops.memory_free = NULL;
    v.suite.devices = 0;
    v.suite.lose = NULL;
    run(&v.verdict);
    assert_all_kept(&v.verdict);
    assert_non_null(strstr(v.skips, "D1: neither run nor hold is there"));
    assert_non_null(strstr(v.skips, "D3: neither run nor fail is there"));
    assert_non_null(strstr(v.skips, "D4: df_device_conformance.devices is 1"));
    assert_non_null(strstr(v.skips, "D6: df_device_conformance.lose is NULL"));
}

/* ---- wrong ones --------------------------------------------------------------- */

static void a_clock_that_goes_wrong_breaks_a_rule(void **state) {
    df_code (*const wrong[])(void *, void *, void *, int64_t *, df_error *) = {elapsed_always_back,
                                                                               elapsed_always_on};
    static const char *const words[] = {"is earlier than", "the way back"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        trial v;
        trial_init(&v, DEVICE_IS_RIGHT);
        v.ops.timed_event_new = timed_event_new;
        v.ops.event_elapsed = wrong[i];
        run(&v.verdict);
        assert_int_equal(v.verdict.broken, 1u << 4);
        assert_non_null(strstr(v.verdict.wrong[4], words[i]));
    }
}

static df_code free_all_the_same(void *device, uint64_t *bytes, df_error *err) {
    (void)device;
    (void)err;
    *bytes = 0;
    return DF_OK;
}

static void a_lost_device_that_tells_what_is_free_breaks_a_rule(void **state) {
    (void)state;
    trial v;
    trial_init(&v, DEVICE_IS_RIGHT);
    v.ops.memory_free = free_all_the_same;
    run(&v.verdict);
    assert_int_equal(v.verdict.broken, 1u << 6);
    assert_non_null(strstr(v.verdict.wrong[6], "memory_free returned OK"));
}

static bool is_left_out(device_flaw flaw) {
#if defined(__SANITIZE_THREAD__)
    return device_flaw_races(flaw);
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return device_flaw_races(flaw);
#endif
#endif
    (void)flaw;
    return false;
}

static void a_wrong_kind_breaks_the_rule_that_it_breaks(void **state) {
    static trial t[DEVICE_FLAWS];
    device_flaw begun = 1, at_once = is_emulated() ? 8 : DEVICE_FLAWS;
    int wrong = 0;
    (void)state;
    for (device_flaw f = 1; f < DEVICE_FLAWS; f++) {
        for (; begun < DEVICE_FLAWS && begun < f + at_once; begun++) {
            if (is_left_out(begun)) continue;
            trial_init(&t[begun], begun);
            t[begun].suite.limit = patience();
            verdict_start(&t[begun].verdict);
        }
        if (is_left_out(f)) continue;
        wrong += !verdict_join(&t[f].verdict, device_flaw_name(f), device_flaw_rule(f), ~0u);
    }
    wrong_device_let_go();
    assert_int_equal(wrong, 0);
}

/* ---- misuse --------------------------------------------------------------------- */

static void a_suite_that_cannot_run_breaks_every_rule(void **state) {
    (void)state;
    trial no_ops, no_call, no_size;
    trial_init(&no_ops, DEVICE_IS_RIGHT);
    trial_init(&no_call, DEVICE_IS_RIGHT);
    trial_init(&no_size, DEVICE_IS_RIGHT);
    no_ops.suite.ops = NULL;
    no_call.ops.copy_within = NULL;
    no_size.suite.struct_size = 0;
    run(&no_ops.verdict);
    run(&no_call.verdict);
    run(&no_size.verdict);
    assert_int_equal(df_device_conformance_run(NULL), RULES);
    assert_int_equal(no_size.verdict.returned, RULES);
    assert_int_equal(no_size.verdict.reports, 0);
    assert_int_equal(no_ops.verdict.returned, RULES);
    assert_int_equal(no_call.verdict.returned, RULES);
    for (int rule = 1; rule <= RULES; rule++) {
        assert_non_null(strstr(no_ops.verdict.wrong[rule], "ops is NULL"));
        assert_non_null(strstr(no_call.verdict.wrong[rule], "copy_within is NULL"));
    }
}

static void nobody_need_listen(void **state) {
    const df_device_conformance suite = {.struct_size = sizeof suite, .ops = &thread_device_ops};
    (void)state;
    assert_int_equal(df_device_conformance_run(&suite), 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_that_is_right_keeps_every_rule),
        cmocka_unit_test(a_kind_that_must_be_asked_keeps_every_rule_too),
        cmocka_unit_test(a_kind_without_host_functions_is_tested_by_other_means),
        cmocka_unit_test(what_cannot_be_tested_is_left_out_and_told),
        cmocka_unit_test(a_clock_that_goes_wrong_breaks_a_rule),
        cmocka_unit_test(a_lost_device_that_tells_what_is_free_breaks_a_rule),
        cmocka_unit_test(a_wrong_kind_breaks_the_rule_that_it_breaks),
        cmocka_unit_test(a_suite_that_cannot_run_breaks_every_rule),
        cmocka_unit_test(nobody_need_listen),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
