/* SPDX-License-Identifier: MIT
 *
 * The books of fault.h. With an argument the program runs one scenario whose end must
 * fail; see rerun.h.
 */
#include "support/fault.h"

#include "base/thread.h"
#include "support/rerun.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *program;

static void *take(fault_allocator *f, size_t bytes) {
    return f->allocator.alloc(f->allocator.user, bytes, 16);
}

static void give(fault_allocator *f, void *block, size_t bytes) {
    f->allocator.free(f->allocator.user, block, bytes, 16);
}

/* ---- counting ------------------------------------------------------------ */

static void live_blocks_and_bytes_are_counted(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    void *a = take(&f, 100), *b = take(&f, 28);
    assert_int_equal(fault_live_blocks(&f), 2);
    assert_int_equal(fault_live_bytes(&f), 128);
    give(&f, a, 100);
    assert_int_equal(fault_live_blocks(&f), 1);
    assert_int_equal(fault_live_bytes(&f), 28);
    give(&f, b, 28);
    assert_int_equal(fault_live_blocks(&f), 0);
    assert_int_equal(fault_peak_bytes(&f), 128);
    assert_int_equal(fault_allocations(&f), 2);
    fault_allocator_end(&f);
}

static void blocks_have_the_alignment_asked_for_and_hold_junk(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        unsigned char *block = f.allocator.alloc(f.allocator.user, 3, alignment);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        assert_true(block[0] != 0 && block[2] != 0);
        f.allocator.free(f.allocator.user, block, 3, alignment);
    }
    fault_allocator_end(&f);
}

static void many_blocks_are_told_apart(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    void *blocks[5000];
    for (size_t i = 0; i < 5000; i++) blocks[i] = take(&f, i + 1);
    for (size_t i = 5000; i-- > 0;) give(&f, blocks[i], i + 1);
    fault_allocator_end(&f);
}

/* ---- failing ------------------------------------------------------------- */

static void the_nth_allocation_fails_once(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    fault_fail_allocation(&f, 3, FAULT_ONCE);
    for (int i = 1; i <= 6; i++) {
        void *block = take(&f, 8);
        assert_true((block == NULL) == (i == 3));
        if (block) give(&f, block, 8);
    }
    assert_int_equal(fault_allocations(&f), 6);
    assert_int_equal(fault_allocations_failed(&f), 1);
    fault_allocator_end(&f);
}

static void from_the_nth_allocation_all_fail(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    fault_fail_allocation(&f, 3, FAULT_FOR_EVER);
    for (int i = 1; i <= 6; i++) {
        void *block = take(&f, 8);
        assert_true((block == NULL) == (i >= 3));
        if (block) give(&f, block, 8);
    }
    assert_int_equal(fault_allocations_failed(&f), 4);
    fault_fail_allocation(&f, 0, FAULT_ONCE);
    void *block = take(&f, 8);
    assert_non_null(block);
    give(&f, block, 8);
    fault_allocator_end(&f);
}

/* Three blocks, or none. */
static void take_three(fault_allocator *f, void *arg) {
    size_t *runs = arg, n = 0;
    void *blocks[3];
    ++*runs;
    while (n < 3 && (blocks[n] = take(f, 8)) != NULL) n++;
    assert_int_equal(fault_allocations_failed(f) > 0, n < 3);
    while (n > 0) give(f, blocks[--n], 8);
}

static void each_allocation_of_a_scenario_fails_in_turn(void **state) {
    (void)state;
    size_t runs = 0;
    assert_int_equal(fault_each_allocation(take_three, &runs), 3);
    assert_int_equal(runs, 2 * 4);
}

/* ---- from many threads --------------------------------------------------- */

static void churn(void *arg) {
    fault_allocator *f = arg;
    for (size_t i = 0; i < test_scaled(500); i++) {
        size_t a_bytes = (size_t)(yield_random() % 500) + 1;
        size_t b_bytes = (size_t)(yield_random() % 500) + 1;
        void *a = take(f, a_bytes), *b = take(f, b_bytes);
        if (a) give(f, a, a_bytes);
        if (b) give(f, b, b_bytes);
    }
}

static void the_books_balance_when_many_threads_allocate(void **state) {
    (void)state;
    fault_allocator f;
    fault_threads t;
    void *threads[3];
    fault_allocator_init(&f);
    fault_threads_init(&t);
    fault_fail_allocation(&f, 10, FAULT_ONCE);

    for (int i = 0; i < 3; i++)
        assert_int_equal(thread_start(&t.threads, "t", churn, &f, &threads[i], NULL), DF_OK);
    for (int i = 0; i < 3; i++) thread_join(&t.threads, threads[i]);

    assert_int_equal(fault_allocations(&f), 3 * 2 * test_scaled(500));
    assert_int_equal(fault_allocations_failed(&f), 1);
    fault_threads_end(&t);
    fault_allocator_end(&f);
}

/* ---- threads that cannot start ------------------------------------------- */

static void set_flag(void *arg) {
    *(int *)arg = 1;
}

static void the_kth_start_fails(void **state) {
    (void)state;
    fault_threads f;
    fault_threads_init(&f);
    fault_fail_start(&f, 2, FAULT_ONCE);
    for (int i = 1; i <= 3; i++) {
        int flag = 0;
        void *thread = f.threads.start(f.threads.user, "t", set_flag, &flag);
        assert_true((thread == NULL) == (i == 2));
        if (thread) f.threads.join(f.threads.user, thread);
        assert_int_equal(flag, i != 2);
    }
    assert_int_equal(fault_starts(&f), 3);
    assert_int_equal(fault_live_threads(&f), 0);
    fault_threads_end(&f);
}

/* ---- mistakes ------------------------------------------------------------ */

static void leak(fault_allocator *f) {
    assert_non_null(take(f, 8));
}

static void free_twice(fault_allocator *f) {
    void *block = take(f, 8);
    give(f, block, 8);
    give(f, block, 8);
}

static void free_a_stranger(fault_allocator *f) {
    int local = 0;
    give(f, &local, sizeof local);
}

static void free_with_another_size(fault_allocator *f) {
    give(f, take(f, 8), 9);
}

static void free_with_another_alignment(fault_allocator *f) {
    f->allocator.free(f->allocator.user, take(f, 8), 8, 32);
}

static void ask_for_nothing(fault_allocator *f) {
    assert_null(take(f, 0));
}

static void ask_for_an_odd_alignment(fault_allocator *f) {
    assert_null(f->allocator.alloc(f->allocator.user, 8, 24));
}

static void (*const mistakes[])(fault_allocator *f) = {leak,
                                                       free_twice,
                                                       free_a_stranger,
                                                       free_with_another_size,
                                                       free_with_another_alignment,
                                                       ask_for_nothing,
                                                       ask_for_an_odd_alignment};
enum { MISTAKES = sizeof mistakes / sizeof *mistakes };

static size_t chosen;

static void make_a_mistake(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    if (chosen < MISTAKES) mistakes[chosen](&f);
    fault_allocator_end(&f);
}

static void forget_to_join(void **state) {
    (void)state;
    static fault_threads f;
    static int flag;
    fault_threads_init(&f);
    assert_non_null(f.threads.start(f.threads.user, "t", set_flag, &flag));
    fault_threads_end(&f);
}

static void each_mistake_fails_the_test_at_its_end(void **state) {
    (void)state;
    for (size_t i = 0; i < MISTAKES; i++) {
        char argument[] = {(char)('0' + i), '\0'};
        assert_true(rerun_fails(program, argument));
    }
    char none[] = {(char)('0' + MISTAKES), '\0'};
    assert_false(rerun_fails(program, none));
}

static void a_thread_that_is_not_joined_fails_the_test(void **state) {
    (void)state;
    assert_true(rerun_fails(program, "thread"));
}

static int rerun(const char *what) {
    const struct CMUnitTest memory[] = {cmocka_unit_test(make_a_mistake)};
    const struct CMUnitTest thread[] = {cmocka_unit_test(forget_to_join)};
    if (strcmp(what, "thread") == 0) return cmocka_run_group_tests(thread, NULL, NULL);
    chosen = (size_t)(what[0] - '0');
    return cmocka_run_group_tests(memory, NULL, NULL);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_blocks_and_bytes_are_counted),
        cmocka_unit_test(blocks_have_the_alignment_asked_for_and_hold_junk),
        cmocka_unit_test(many_blocks_are_told_apart),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(from_the_nth_allocation_all_fail),
        cmocka_unit_test(each_allocation_of_a_scenario_fails_in_turn),
        cmocka_unit_test(the_books_balance_when_many_threads_allocate),
        cmocka_unit_test(the_kth_start_fails),
        cmocka_unit_test(each_mistake_fails_the_test_at_its_end),
        cmocka_unit_test(a_thread_that_is_not_joined_fails_the_test),
    };
    if (argc > 1) return rerun(argv[1]);
    program = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
