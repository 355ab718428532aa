/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_put_one_after_another(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    text t;
    text_init(&t, &f.allocator);

    text_add(&t, "%s = %s(", "y", "MatMul");
    text_add(&t, "%s", "");
    text_add(&t, "x:%d)", 1);

    assert_false(t.failed);
    assert_string_equal(t.data, "y = MatMul(x:1)");
    assert_int_equal(t.size, strlen(t.data));
    text_fini(&t);
    fault_allocator_end(&f);
}

static void text_grows_to_any_length(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    text t;
    text_init(&t, &f.allocator);
    for (int i = 0; i < 10000; i++) text_add(&t, "%04d,", i);
    assert_int_equal(t.size, 50000);
    assert_memory_equal(t.data + 5 * 9999, "9999,", 6);
    text_fini(&t);
    fault_allocator_end(&f);
}

static void a_piece_that_found_no_memory_is_told_at_the_end(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    text t;
    text_init(&t, &f.allocator);
    text_add(&t, "kept");
    fault_fail_allocation(&f, 1, FAULT_ONCE);

    text_add(&t, "%0100d", 0);
    text_add(&t, "!");

    assert_true(t.failed);
    assert_string_equal(t.data, "kept");
    char buffer[8] = "#";
    assert_int_equal(text_copy(&t, buffer, sizeof buffer), 0);
    assert_string_equal(buffer, "");
    text_fini(&t);
    fault_allocator_end(&f);
}

static void a_copy_is_whole_or_cut_and_always_ends(void **state) {
    (void)state;
    text t;
    text_init(&t, NULL);
    text_add(&t, "rendezvous");
    char buffer[16];
    for (size_t size = 1; size <= sizeof buffer; size++) {
        memset(buffer, '#', sizeof buffer);

        size_t whole = text_copy(&t, buffer, size);

        size_t written = size > 10 ? 10 : size - 1;
        assert_int_equal(whole, 10);
        assert_memory_equal(buffer, "rendezvous", written);
        assert_int_equal(buffer[written], '\0');
        if (written + 1 < sizeof buffer) assert_int_equal(buffer[written + 1], '#');
    }
    text_fini(&t);
}

static void the_length_can_be_asked_for_without_a_buffer(void **state) {
    (void)state;
    text t;
    text_init(&t, NULL);
    text_add(&t, "12345");
    assert_int_equal(text_copy(&t, NULL, 0), 5);
    text_fini(&t);
}

static void no_text_copies_as_an_empty_one(void **state) {
    (void)state;
    text t;
    text_init(&t, NULL);
    char buffer[4] = "old";
    assert_int_equal(text_copy(&t, buffer, sizeof buffer), 0);
    assert_string_equal(buffer, "");
    text_fini(&t);
}

static void a_text_can_be_used_again_after_its_end(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    text t;
    text_init(&t, &f.allocator);
    text_add(&t, "first");
    text_fini(&t);
    text_add(&t, "second");
    assert_string_equal(t.data, "second");
    text_fini(&t);
    fault_allocator_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_put_one_after_another),
        cmocka_unit_test(text_grows_to_any_length),
        cmocka_unit_test(a_piece_that_found_no_memory_is_told_at_the_end),
        cmocka_unit_test(a_copy_is_whole_or_cut_and_always_ends),
        cmocka_unit_test(the_length_can_be_asked_for_without_a_buffer),
        cmocka_unit_test(no_text_copies_as_an_empty_one),
        cmocka_unit_test(a_text_can_be_used_again_after_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
