/* SPDX-License-Identifier: MIT
 *
 * Cutting an order into intervals: worked out by hand, and checked on random orders.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scale.h"

#include "plan/intervals.h"

enum { MOST = 200 };

static void are_cut(const interval_item *items, uint32_t n, uint32_t threads, float grain,
                    const uint32_t *expected) {
    uint32_t piece_of[MOST];
    assert_int_equal(intervals_cut(items, n, threads, grain, piece_of), expected[n - 1] + 1);
    for (uint32_t i = 0; i < n; i++) assert_int_equal(piece_of[i], expected[i]);
}
#define ARE_CUT(ITEMS, THREADS, GRAIN, ...)                                                        \
    are_cut(ITEMS, sizeof(ITEMS) / sizeof *(ITEMS), THREADS, GRAIN, (const uint32_t[]){__VA_ARGS__})

/* ---- by hand --------------------------------------------------------------- */

static void nothing_is_no_piece(void **state) {
    (void)state;
    assert_int_equal(intervals_cut(NULL, 0, 2, 1, NULL), 0);
}

static void a_chain_is_cut_where_a_grain_is_full(void **state) {
    (void)state;
    const interval_item chain[] = {{0, 0, 1}, {0, 1, 1}, {0, 2, 1}, {0, 3, 1}, {0, 4, 1}};
    ARE_CUT(chain, 2, 2, 0, 0, 1, 1, 2);
    ARE_CUT(chain, 2, 5, 0, 0, 0, 0, 0);
    ARE_CUT(chain, 2, 0, 0, 1, 2, 3, 4);
}

static void narrow_levels_are_joined_and_wide_ones_cut(void **state) {
    (void)state;
    const interval_item items[] = {{0, 0, 1}, {0, 1, 1}, {0, 1, 1},            /* narrow */
                                   {0, 2, 5}, {0, 2, 5}, {0, 2, 5}, {0, 2, 5}, /* wide */
                                   {0, 3, 1}, {0, 4, 1}};
    ARE_CUT(items, 2, 5, 0, 0, 0, 1, 2, 3, 4, 5, 5);
    ARE_CUT(items, 2, 10, 0, 0, 0, 1, 1, 2, 2, 3, 3);
    ARE_CUT(items, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

static void a_wide_level_has_eight_pieces_for_each_thread(void **state) {
    (void)state;
    interval_item level[320];
    uint32_t piece_of[320];
    for (int i = 0; i < 320; i++) level[i] = (interval_item){0, 0, 1};
    for (uint32_t threads = 1; threads <= 8; threads *= 2) {
        assert_int_equal(intervals_cut(level, 320, threads, 0, piece_of), 8 * threads);
        for (uint32_t i = 0; i < 320; i++) assert_int_equal(piece_of[i], i / (320 / (8 * threads)));
    }
}

static void pieces_lie_within_one_depth(void **state) {
    (void)state;
    const interval_item items[] = {{0, 0, 1}, {0, 1, 1}, {1, 0, 1}, {1, 1, 1}, {3, 0, 1}};
    ARE_CUT(items, 2, 100, 0, 0, 1, 1, 2);
}

static void one_item_is_one_piece_whatever_it_weighs(void **state) {
    (void)state;
    const float works[] = {0, 1e-20f, 1, 1e30f};
    for (int i = 0; i < 4; i++) {
        const interval_item one[] = {{7, 9, works[i]}};
        ARE_CUT(one, 64, 0, 0);
        ARE_CUT(one, 64, 1, 0);
    }
}

static void no_piece_is_empty_where_nothing_weighs_anything(void **state) {
    (void)state;
    const interval_item items[] = {{0, 0, 0}, {0, 0, 0}, {0, 1, 0}, {0, 2, 0}, {0, 2, 0}};
    ARE_CUT(items, 2, 0, 0, 1, 2, 3, 4);
    ARE_CUT(items, 2, 1, 0, 0, 0, 0, 0);
}

/* ---- on random orders -------------------------------------------------------- */

static uint64_t draw(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t random_order(interval_item *items, uint64_t *seed) {
    uint32_t n = 1 + (uint32_t)(draw(seed) % MOST), depth = 0, level = 0;
    uint64_t wide = 1 + draw(seed) % 20, deep = 1 + draw(seed) % 10;
    for (uint32_t i = 0; i < n; i++) {
        if (draw(seed) % wide == 0) {
            if (draw(seed) % deep == 0) {
                depth++;
                level = 0;
            } else {
                level++;
            }
        }
        items[i] = (interval_item){depth, level, (float)(draw(seed) % 100) / 10};
    }
    return n;
}

/* With a grain of nothing a piece lies within one level. */
static void pieces_are_intervals(const interval_item *items, uint32_t n, const uint32_t *piece_of,
                                 uint32_t n_pieces, float grain) {
    assert_int_equal(piece_of[0], 0);
    assert_int_equal(piece_of[n - 1], n_pieces - 1);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t step = piece_of[i] - piece_of[i - 1];
        assert_true(step <= 1);
        if (items[i].depth != items[i - 1].depth) assert_int_equal(step, 1);
        if (grain <= 0 && items[i].level != items[i - 1].level) assert_int_equal(step, 1);
    }
}

/* Within a level nothing is cut off that is less than a grain. */
static void parts_of_levels_hold_a_grain(const interval_item *items, uint32_t n,
                                         const uint32_t *piece_of, float grain) {
    float work = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool is_cut = i && piece_of[i] != piece_of[i - 1];
        bool is_same_level = i && items[i].level == items[i - 1].level;
        if (is_cut && is_same_level && items[i].depth == items[i - 1].depth)
            assert_true(work >= grain);
        work = (is_cut ? 0 : work) + items[i].work;
    }
}

static void random_orders_are_cut_into_intervals(void **state) {
    (void)state;
    static const float grains[] = {0, 0.1f, 1, 10, 1e3f, 1e9f};
    uint64_t seed = 1;
    for (size_t i = 0; i < test_scaled(2000); i++) {
        interval_item items[MOST];
        uint32_t piece_of[MOST], n = random_order(items, &seed);
        uint32_t threads = 1 + (uint32_t)(draw(&seed) % 8);
        for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
            uint32_t n_pieces = intervals_cut(items, n, threads, grains[g], piece_of);
            pieces_are_intervals(items, n, piece_of, n_pieces, grains[g]);
            parts_of_levels_hold_a_grain(items, n, piece_of, grains[g]);
            if (g == 5) assert_int_equal(n_pieces, items[n - 1].depth - items[0].depth + 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_piece),
        cmocka_unit_test(a_chain_is_cut_where_a_grain_is_full),
        cmocka_unit_test(narrow_levels_are_joined_and_wide_ones_cut),
        cmocka_unit_test(a_wide_level_has_eight_pieces_for_each_thread),
        cmocka_unit_test(pieces_lie_within_one_depth),
        cmocka_unit_test(one_item_is_one_piece_whatever_it_weighs),
        cmocka_unit_test(no_piece_is_empty_where_nothing_weighs_anything),
        cmocka_unit_test(random_orders_are_cut_into_intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
