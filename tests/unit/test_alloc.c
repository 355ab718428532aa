/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_zero(const void *block, size_t n) {
    const unsigned char *p = block;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) return false;
    }
    return true;
}

static void blocks_lie_on_cache_lines_of_either_allocator(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    const df_allocator *sources[] = {NULL, &f.allocator};
    for (size_t i = 0; i < 2; i++) {
        for (size_t n = 1; n < 300; n += 7) {
            void *block = alloc_bytes(sources[i], n);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % ALLOC_ALIGN, 0);
            alloc_free(sources[i], block, n);
        }
    }
    fault_allocator_end(&f);
}

static void no_bytes_are_a_block_all_the_same(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);

    void *a = alloc_bytes(&f.allocator, 0), *b = alloc_array(&f.allocator, 0, 8);
    void *c = alloc_zeroed(NULL, 0);

    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_int_equal(fault_live_bytes(&f), 2);
    alloc_free(&f.allocator, a, 0);
    alloc_free(&f.allocator, b, 0);
    alloc_free(NULL, c, 0);
    fault_allocator_end(&f);
}

static void zeroed_blocks_are_zero(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);

    void *a = alloc_zeroed(&f.allocator, 100), *b = alloc_array(&f.allocator, 10, 12);

    assert_true(is_zero(a, 100));
    assert_true(is_zero(b, 120));
    alloc_free(&f.allocator, a, 100);
    alloc_free(&f.allocator, b, 120);
    fault_allocator_end(&f);
}

static void an_array_whose_size_overflows_is_refused(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    assert_null(alloc_array(&f.allocator, SIZE_MAX, 2));
    assert_null(alloc_array(&f.allocator, SIZE_MAX / 8 + 1, 8));
    assert_int_equal(fault_allocations(&f), 0);
    fault_allocator_end(&f);
}

static void want_of_memory_gives_null(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    fault_fail_allocation(&f, 1, FAULT_FOR_EVER);
    assert_null(alloc_bytes(&f.allocator, 8));
    assert_null(alloc_zeroed(&f.allocator, 8));
    assert_null(alloc_array(&f.allocator, 1, 8));
    fault_allocator_end(&f);
}

static void freeing_null_does_nothing(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    alloc_free(&f.allocator, NULL, 64);
    alloc_free(NULL, NULL, 64);
    fault_allocator_end(&f);
}

static void sizes_are_computed_or_refused(void **state) {
    (void)state;
    size_t out = 0;
    assert_true(size_mul(6, 7, &out));
    assert_int_equal(out, 42);
    assert_true(size_mul(SIZE_MAX, 1, &out));
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(size_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &out));
}

/* ---- a growing array ----------------------------------------------------- */

static void a_growing_array_keeps_its_items_and_zeroes_new_room(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    int *items = NULL;
    size_t cap = 0;
    for (size_t n = 0; n < 1000; n++) {
        size_t before = cap;
        assert_true(alloc_grow(&f.allocator, (void **)&items, &cap, n + 1, sizeof *items));
        assert_true(cap > n);
        assert_true(is_zero(items + before, (cap - before) * sizeof *items));
        items[n] = (int)n;
    }
    for (size_t n = 0; n < 1000; n++) assert_int_equal(items[n], n);
    assert_true(fault_allocations(&f) < 12);
    alloc_free(&f.allocator, items, cap * sizeof *items);
    fault_allocator_end(&f);
}

static void room_that_is_there_is_not_asked_for(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    void *items = NULL;
    size_t cap = 0;
    assert_true(alloc_grow(&f.allocator, &items, &cap, 0, 4));
    assert_null(items);
    assert_true(alloc_grow(&f.allocator, &items, &cap, 5, 4));
    void *same = items;

    assert_true(alloc_grow(&f.allocator, &items, &cap, cap, 4));

    assert_ptr_equal(items, same);
    assert_int_equal(fault_allocations(&f), 1);
    alloc_free(&f.allocator, items, cap * 4);
    fault_allocator_end(&f);
}

static void an_array_that_cannot_grow_is_as_it_was(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    char *items = NULL;
    size_t cap = 0;
    assert_true(alloc_grow(&f.allocator, (void **)&items, &cap, 8, 1));
    memcpy(items, "contents", 8);
    char *same = items;
    size_t room = cap;
    fault_fail_allocation(&f, 1, FAULT_ONCE);

    assert_false(alloc_grow(&f.allocator, (void **)&items, &cap, room + 1, 1));
    assert_false(alloc_grow(&f.allocator, (void **)&items, &cap, SIZE_MAX, 1));
    assert_false(alloc_grow(&f.allocator, (void **)&items, &cap, SIZE_MAX / 4, 16));

    assert_ptr_equal(items, same);
    assert_int_equal(cap, room);
    assert_memory_equal(items, "contents", 8);
    alloc_free(&f.allocator, items, cap);
    fault_allocator_end(&f);
}

/* ---- arena --------------------------------------------------------------- */

static void objects_of_an_arena_are_zero_aligned_and_apart(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    arena a;
    arena_init(&a, &f.allocator);
    unsigned char *objects[3000];
    for (size_t i = 0; i < 3000; i++) {
        size_t bytes = i % 97;
        objects[i] = arena_alloc(&a, bytes);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
        assert_true(is_zero(objects[i], bytes));
        memset(objects[i], (int)(i % 251), bytes);
    }
    for (size_t i = 0; i < 3000; i++) {
        for (size_t k = 0; k < i % 97; k++) assert_int_equal(objects[i][k], i % 251);
    }
    assert_true(fault_allocations(&f) < 12);
    arena_fini(&a);
    fault_allocator_end(&f);
}

static void an_object_larger_than_any_chunk_is_made(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    arena a;
    arena_init(&a, &f.allocator);
    size_t bytes = (size_t)3 << 20;
    char *small = arena_alloc(&a, 10), *large = arena_alloc(&a, bytes);

    assert_non_null(small);
    assert_non_null(large);
    large[0] = large[bytes - 1] = 1;
    assert_non_null(arena_alloc(&a, 10));

    arena_fini(&a);
    fault_allocator_end(&f);
}

static void an_arena_refuses_sizes_that_overflow(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    arena a;
    arena_init(&a, &f.allocator);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 15));
    assert_null(arena_array(&a, SIZE_MAX / 2, 4));
    assert_int_equal(fault_allocations(&f), 0);
    arena_fini(&a);
    fault_allocator_end(&f);
}

static void an_arena_out_of_memory_keeps_what_it_has(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    arena a;
    arena_init(&a, &f.allocator);
    int *first = arena_array(&a, 4, sizeof *first);
    assert_non_null(first);
    first[3] = 17;
    fault_fail_allocation(&f, 1, FAULT_ONCE);

    assert_false(a.failed);
    assert_null(arena_alloc(&a, 1 << 16));
    assert_true(a.failed);

    assert_int_equal(first[3], 17);
    assert_non_null(arena_alloc(&a, 1 << 16));
    arena_fini(&a);
    fault_allocator_end(&f);
}

static void text_in_an_arena_is_a_terminated_copy(void **state) {
    (void)state;
    arena a;
    arena_init(&a, NULL);
    char source[] = "device:SIM:0";

    char *part = arena_text(&a, source, 6), *none = arena_text(&a, NULL, 0);
    source[0] = 'D';

    assert_string_equal(part, "device");
    assert_string_equal(none, "");
    arena_fini(&a);
}

static void an_arena_can_be_used_again_after_its_end(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    arena a;
    arena_init(&a, &f.allocator);
    assert_non_null(arena_alloc(&a, 100));
    arena_fini(&a);
    assert_int_equal(fault_live_blocks(&f), 0);
    assert_non_null(arena_alloc(&a, 100));
    arena_fini(&a);
    arena_fini(&a);
    fault_allocator_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_lie_on_cache_lines_of_either_allocator),
        cmocka_unit_test(no_bytes_are_a_block_all_the_same),
        cmocka_unit_test(zeroed_blocks_are_zero),
        cmocka_unit_test(an_array_whose_size_overflows_is_refused),
        cmocka_unit_test(want_of_memory_gives_null),
        cmocka_unit_test(freeing_null_does_nothing),
        cmocka_unit_test(sizes_are_computed_or_refused),
        cmocka_unit_test(a_growing_array_keeps_its_items_and_zeroes_new_room),
        cmocka_unit_test(room_that_is_there_is_not_asked_for),
        cmocka_unit_test(an_array_that_cannot_grow_is_as_it_was),
        cmocka_unit_test(objects_of_an_arena_are_zero_aligned_and_apart),
        cmocka_unit_test(an_object_larger_than_any_chunk_is_made),
        cmocka_unit_test(an_arena_refuses_sizes_that_overflow),
        cmocka_unit_test(an_arena_out_of_memory_keeps_what_it_has),
        cmocka_unit_test(text_in_an_arena_is_a_terminated_copy),
        cmocka_unit_test(an_arena_can_be_used_again_after_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
