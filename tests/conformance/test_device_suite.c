/* SPDX-License-Identifier: MIT
 *
 * The conformance suite for kinds of device: one that is right passes it, whatever it offers, and
 * each wrong one fails the rule that it breaks. The wrong ones run at the same time, since most of
 * what they cost is waiting.
 */
#include <dataflow/device_conformance.h>

#include "support/scale.h"
#include "support/wrong_device.h"
#include "support/yield.h"
#include "thread_device.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { RULES = DF_DEVICE_CONFORMANCE_RULES };

static const uint64_t second = 1000000000u; /* ns */

static bool is_emulated(void) {
    return test_scaled(100) < 20;
}

static uint64_t patience(void) {
    return (is_emulated() ? 20 : 1) * second;
}

/* ---- one run of the suite ------------------------------------------------- */

typedef struct verdict {
    df_device_ops ops;
    df_device_conformance suite;
    device_flaw flaw;
    int reports, out_of_order;
    unsigned broken; /* bit n: rule n */
    int returned;
    char wrong[RULES + 1][256];
    char skips[1024]; /* all of them, with a blank after each */
    pthread_t thread;
} verdict;

static void on_report(void *user, int rule, const char *asks, const char *wrong) {
    verdict *v = user;
    v->out_of_order += rule != ++v->reports || !asks || !asks[0];
    if (!wrong) return;
    v->broken |= 1u << rule;
    (void)snprintf(v->wrong[rule], sizeof v->wrong[rule], "%s", wrong);
}

static void on_skip(void *user, int rule, const char *why) {
    verdict *v = user;
    size_t n = strlen(v->skips);
    (void)snprintf(v->skips + n, sizeof v->skips - n, "D%d: %s\n", rule, why);
}

static void lose(void *user, void *device) {
    (void)user;
    thread_device_lose(device);
}

static void verdict_init(verdict *v, device_flaw flaw) {
    *v = (verdict){.ops = wrong_device(flaw), .flaw = flaw};
    v->suite = (df_device_conformance){.struct_size = sizeof v->suite,
                                       .user = v,
                                       .ops = &v->ops,
                                       .devices = 2,
                                       .report = on_report,
                                       .skipped = on_skip,
                                       .lose = lose};
}

static void run(verdict *v) {
    v->returned = df_device_conformance_run(&v->suite);
}

static int bits(unsigned n) {
    int count = 0;
    for (; n; n &= n - 1) count++;
    return count;
}

static void print_broken(const verdict *v) {
    for (int rule = 1; rule <= RULES; rule++)
        if (v->wrong[rule][0]) print_message("    D%d: %s\n", rule, v->wrong[rule]);
}

static void assert_all_kept(const verdict *v) {
    print_broken(v);
    assert_int_equal(v->broken, 0);
    assert_int_equal(v->returned, 0);
    assert_int_equal(v->reports, RULES);
    assert_int_equal(v->out_of_order, 0);
}

/* ---- kinds that are right --------------------------------------------------- */

static void a_kind_that_is_right_keeps_every_rule(void **state) {
    (void)state;
    verdict v;
    verdict_init(&v, DEVICE_IS_RIGHT);
    run(&v);
    assert_all_kept(&v);
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

static df_code host_register(void *device, void *block, size_t bytes, df_error *err) {
    (void)device;
    (void)block;
    (void)bytes;
    (void)err;
    return DF_OK;
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
    verdict v;
    verdict_init(&v, DEVICE_IS_RIGHT);
    v.ops.open = open_silent;
    v.ops.event_wait = event_wait;
    v.ops.host_alloc = host_alloc;
    v.ops.host_free = host_free;
    v.ops.host_register = host_register;
    v.ops.host_unregister = host_unregister;
    v.ops.timed_event_new = timed_event_new;
    v.ops.event_elapsed = event_elapsed;
    v.ops.queue_flush = queue_flush;
    run(&v);
    assert_all_kept(&v);
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
    verdict v;
    verdict_init(&v, DEVICE_IS_RIGHT);
    v.ops.run = NULL;
    v.suite.hold = hold;
    v.suite.let_go = let_go;
    v.suite.fail = put_broken;
    run(&v);
    assert_all_kept(&v);
    assert_non_null(strstr(v.skips, "D3: run is NULL"));
    assert_null(strstr(v.skips, "hold"));
    assert_null(strstr(v.skips, "fail"));
}

static void what_cannot_be_tested_is_left_out_and_told(void **state) {
    (void)state;
    verdict v;
    verdict_init(&v, DEVICE_IS_RIGHT);
    v.ops.run = NULL;
    v.ops.reaches = NULL;
    v.ops.copy_peer = NULL;
    v.ops.memory_free = NULL;
    v.suite.devices = 0;
    v.suite.lose = NULL;
    run(&v);
    assert_all_kept(&v);
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
        verdict v;
        verdict_init(&v, DEVICE_IS_RIGHT);
        v.ops.timed_event_new = timed_event_new;
        v.ops.event_elapsed = wrong[i];
        run(&v);
        assert_int_equal(v.broken, 1u << 4);
        assert_non_null(strstr(v.wrong[4], words[i]));
    }
}

static void *run_on_thread(void *arg) {
    run(arg);
    return NULL;
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
    static verdict v[DEVICE_FLAWS];
    device_flaw begun = 1, at_once = is_emulated() ? 8 : DEVICE_FLAWS;
    int wrong = 0;
    (void)state;
    for (device_flaw f = 1; f < DEVICE_FLAWS; f++) {
        for (; begun < DEVICE_FLAWS && begun < f + at_once; begun++) {
            if (is_left_out(begun)) continue;
            verdict_init(&v[begun], begun);
            v[begun].suite.limit = patience();
            assert_int_equal(pthread_create(&v[begun].thread, NULL, run_on_thread, &v[begun]), 0);
        }
        if (is_left_out(f)) continue;
        assert_int_equal(pthread_join(v[f].thread, NULL), 0);
        bool is_found = (v[f].broken & 1u << device_flaw_rule(f)) != 0;
        print_message("  %s%s\n", device_flaw_name(f), is_found ? "" : ": WRONG");
        print_broken(&v[f]);
        wrong += !is_found || v[f].returned != bits(v[f].broken) || v[f].out_of_order;
    }
    wrong_device_let_go();
    assert_int_equal(wrong, 0);
}

/* ---- misuse --------------------------------------------------------------------- */

static void a_suite_that_cannot_run_breaks_every_rule(void **state) {
    (void)state;
    verdict no_ops, no_call, no_size;
    verdict_init(&no_ops, DEVICE_IS_RIGHT);
    verdict_init(&no_call, DEVICE_IS_RIGHT);
    verdict_init(&no_size, DEVICE_IS_RIGHT);
    no_ops.suite.ops = NULL;
    no_call.ops.copy_within = NULL;
    no_size.suite.struct_size = 0;
    run(&no_ops);
    run(&no_call);
    run(&no_size);
    assert_int_equal(df_device_conformance_run(NULL), RULES);
    assert_int_equal(no_size.returned, RULES);
    assert_int_equal(no_size.reports, 0);
    assert_int_equal(no_ops.returned, RULES);
    assert_int_equal(no_call.returned, RULES);
    for (int rule = 1; rule <= RULES; rule++) {
        assert_non_null(strstr(no_ops.wrong[rule], "ops is NULL"));
        assert_non_null(strstr(no_call.wrong[rule], "copy_within is NULL"));
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
        cmocka_unit_test(a_wrong_kind_breaks_the_rule_that_it_breaks),
        cmocka_unit_test(a_suite_that_cannot_run_breaks_every_rule),
        cmocka_unit_test(nobody_need_listen),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
