/* SPDX-License-Identifier: MIT */
#include "support/yield.h"

#include "base/atomic.h"
#include "base/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_seed_is_a_number_and_nothing_else(void **state) {
    (void)state;
    uint64_t seed = 5;
    assert_true(yield_parse_seed("0", &seed));
    assert_int_equal(seed, 0);
    assert_true(yield_parse_seed("18446744073709551615", &seed));
    assert_true(seed == UINT64_MAX);
    assert_true(yield_parse_seed("0xff", &seed));
    assert_int_equal(seed, 255);
    assert_false(yield_parse_seed("", &seed));
    assert_false(yield_parse_seed("-1", &seed));
    assert_false(yield_parse_seed("12x", &seed));
    assert_int_equal(seed, 255);
}

static void draw(char *seed, uint64_t *numbers, int n) {
    char name[] = "program";
    char *argv[] = {name, seed, NULL};
    (void)yield_install(2, argv);
    for (int i = 0; i < n; i++) numbers[i] = yield_random();
    yield_remove();
}

static void the_same_seed_draws_the_same_numbers(void **state) {
    (void)state;
    uint64_t first[8], again[8], other[8];
    char seed[] = "1234", another[] = "1235";

    draw(seed, first, 8);
    draw(another, other, 8);
    draw(seed, again, 8);

    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
}

static void the_librarys_atomics_pass_the_hook(void **state) {
    (void)state;
    char name[] = "program", seed[] = "9";
    char *argv[] = {name, seed, NULL};
    uint64_t undisturbed[2], after;
    draw(seed, undisturbed, 2);
    _Atomic int word;
    atomic_init(&word, 0);
    assert_int_equal(yield_install(2, argv), 9);

    atomic_put(&word, 1, RELAXED);
    after = yield_random();

    yield_remove();
    assert_true(after == undisturbed[1]);
    assert_null(sched_hook);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_a_number_and_nothing_else),
        cmocka_unit_test(the_same_seed_draws_the_same_numbers),
        cmocka_unit_test(the_librarys_atomics_pass_the_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
