/* SPDX-License-Identifier: MIT */
#include "base/atomic.h"

#include "base/thread.h"
#include "support/check.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_new_count_is_one(void **state) {
    (void)state;
    refcount r;
    refcount_init(&r);
    assert_true(refcount_is_one(&r));
    assert_true(refcount_unref(&r));
}

static void only_the_last_reference_is_the_last(void **state) {
    (void)state;
    refcount r;
    refcount_init(&r);
    refcount_ref(&r);
    refcount_ref(&r);
    assert_false(refcount_is_one(&r));
    assert_false(refcount_unref(&r));
    assert_false(refcount_is_one(&r));
    assert_false(refcount_unref(&r));
    assert_true(refcount_is_one(&r));
    assert_true(refcount_unref(&r));
}

/* ---- many threads -------------------------------------------------------- */

enum { THREADS = 4 };

/* Each holder writes its own cell without any order but the count's, then drops; who
 * drops last reads them all, as freeing would. */
typedef struct shared {
    refcount refs;
    int cells[THREADS]; /* plain: a missing order is a data race for the sanitizer */
    int ends;           /* plain, of whoever was the last */
} shared;

typedef struct holder {
    shared *objects;
    size_t n, self;
    check *checks;
} holder;

static void drop_all(void *arg) {
    holder *h = arg;
    for (size_t i = 0; i < h->n; i++) {
        shared *s = &h->objects[i];
        refcount_ref(&s->refs);
        s->cells[h->self] = 1;
        CHECK(h->checks, !refcount_unref(&s->refs));
        if (!refcount_unref(&s->refs)) continue;
        s->ends++;
        for (size_t k = 0; k < THREADS; k++) CHECK(h->checks, s->cells[k] == 1);
    }
}

/* Whoever finds itself alone may write what the others have read. */
static void write_when_alone(void *arg) {
    holder *h = arg;
    for (size_t i = 0; i < h->n; i++) {
        shared *s = &h->objects[i];
        if (refcount_is_one(&s->refs)) {
            for (size_t k = 0; k < THREADS; k++) s->cells[k] = 2;
            s->ends++;
        }
        CHECK(h->checks, s->cells[h->self] != 1);
        (void)refcount_unref(&s->refs);
    }
}

static void run(shared *objects, size_t n, void (*body)(void *arg)) {
    check checks;
    check_init(&checks);
    holder holders[THREADS];
    void *threads[THREADS];
    for (size_t i = 0; i < n; i++) {
        objects[i] = (shared){.ends = 0};
        refcount_init(&objects[i].refs);
        for (int k = 1; k < THREADS; k++) refcount_ref(&objects[i].refs);
    }
    for (size_t k = 0; k < THREADS; k++) {
        holders[k] = (holder){objects, n, k, &checks};
        assert_int_equal(thread_start(NULL, "holder", body, &holders[k], &threads[k], NULL), DF_OK);
    }
    for (size_t k = 0; k < THREADS; k++) thread_join(NULL, threads[k]);
    check_end(&checks);
}

enum { OBJECTS = 20000 };
static shared objects[OBJECTS];

static void exactly_one_thread_is_the_last_and_sees_what_all_wrote(void **state) {
    (void)state;
    size_t n = test_scaled(OBJECTS);
    run(objects, n, drop_all);
    for (size_t i = 0; i < n; i++) assert_int_equal(objects[i].ends, 1);
}

static void who_is_alone_may_write(void **state) {
    (void)state;
    size_t n = test_scaled(OBJECTS);
    run(objects, n, write_when_alone);
    for (size_t i = 0; i < n; i++) assert_true(objects[i].ends <= 1);
}

int main(int argc, char **argv) {
    yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_count_is_one),
        cmocka_unit_test(only_the_last_reference_is_the_last),
        cmocka_unit_test(exactly_one_thread_is_the_last_and_sees_what_all_wrote),
        cmocka_unit_test(who_is_alone_may_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
