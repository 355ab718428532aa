/* SPDX-License-Identifier: MIT */
#include "unit/tensor_world.h"

#include "base/thread.h"
#include "support/scale.h"
#include "support/yield.h"

/* ---- making -------------------------------------------------------------- */

static void a_new_tensor_is_zero_whatever_its_size(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    const df_allocator *sources[] = {NULL, &f.allocator};
    for (size_t i = 0; i < 2; i++) {
        for (int64_t n = 0; n < 40; n++) {
            df_tensor *t = NULL;
            assert_int_equal(df_tensor_new(sources[i], DF_FLOAT32, DF_SHAPE(n, 1), &t, NULL),
                             DF_OK);
            assert_int_equal(df_tensor_dtype(t), DF_FLOAT32);
            assert_int_equal(df_tensor_shape(t).rank, 2);
            assert_int_equal(df_tensor_shape(t).dims[0], n);
            assert_int_equal(df_tensor_elements(t), n);
            assert_int_equal(df_tensor_bytes(t), (size_t)n * 4);
            assert_true(df_tensor_is_host(t));
            assert_non_null(df_tensor_data(t));
            assert_true(is_filled_with(df_tensor_data(t), df_tensor_bytes(t), 0));
            df_tensor_unref(t);
        }
    }
    fault_allocator_end(&f);
}

static void elements_lie_at_64_bytes_inline_or_not(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (int64_t n = 0; n < 300; n += 9) {
        df_tensor *a = NULL, *b = new_in(&w, w.host, DF_INT8, DF_SHAPE(n));
        assert_int_equal(df_tensor_new(&w.f.allocator, DF_INT8, DF_SHAPE(n), &a, NULL), DF_OK);
        assert_int_equal((uintptr_t)df_tensor_data(a) % 64, 0);
        assert_int_equal((uintptr_t)df_tensor_data(b) % 64, 0);
        assert_int_equal(b->buf == NULL, n <= TENSOR_INLINE);
        df_tensor_unref(a);
        df_tensor_unref(b);
    }
    world_end(&w);
}

static void a_user_tensor_is_one_block_of_his_allocator(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    df_tensor *small = NULL, *large = NULL;
    assert_int_equal(df_tensor_new(&f.allocator, DF_INT8, DF_SHAPE(64), &small, NULL), DF_OK);
    assert_int_equal(fault_live_blocks(&f), 1);
    assert_int_equal(df_tensor_new(&f.allocator, DF_INT8, DF_SHAPE(1000), &large, NULL), DF_OK);
    assert_int_equal(fault_live_blocks(&f), 2);
    assert_true(fault_live_bytes(&f) >= 1000);
    df_tensor_unref(small);
    df_tensor_unref(large);
    fault_allocator_end(&f);
}

static void a_tensor_outlives_the_memories_it_lies_in(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT32, DF_SHAPE(100));
    df_tensor *d = new_in(&w, w.device, DF_INT32, DF_SHAPE(1));
    memory_unref(w.headers);
    memory_unref(w.host);
    memory_unref(w.device);
    memset(df_tensor_data(t), 1, 400);
    df_tensor_unref(t);
    df_tensor_unref(d);
    fault_allocator_end(&w.f);
}

static void a_device_tensor_hides_its_data_from_the_host(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (int64_t n = 0; n < 200; n += 50) {
        df_tensor *t = new_in(&w, w.device, DF_INT8, DF_SHAPE(n));
        assert_false(df_tensor_is_host(t));
        assert_null(df_tensor_data(t));
        assert_non_null(t->data);
        assert_true(is_filled_with(t->data, (size_t)n, UNTOUCHED));
        df_tensor_unref(t);
    }
    world_end(&w);
}

static void what_no_tensor_can_be_is_refused(void **state) {
    (void)state;
    df_tensor *t = NULL;
    df_error err = {0};
    int64_t seven = 7;
    const struct {
        df_dtype dtype;
        df_shape shape;
    } wrong[] = {{DF_DTYPE_NONE, DF_SCALAR},
                 {(df_dtype)99, DF_SCALAR},
                 {DF_INT8, DF_SHAPE_UNKNOWN},
                 {DF_INT8, DF_SHAPE(-1)},
                 {DF_INT8, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1)},
                 {DF_INT64, DF_SHAPE(INT64_MAX)}};
    for (size_t i = 0; i < 6; i++) {
        df_dtype dtype = wrong[i].dtype;
        df_shape shape = wrong[i].shape;
        assert_int_equal(df_tensor_new(NULL, dtype, shape, &t, &err), DF_INVALID_ARGUMENT);
        assert_int_equal(df_tensor_from(NULL, dtype, shape, &seven, &t, &err), DF_INVALID_ARGUMENT);
        assert_int_equal(df_tensor_wrap(NULL, dtype, shape, &seven, NULL, NULL, &t, &err),
                         DF_INVALID_ARGUMENT);
        assert_null(t);
    }
}

static void an_allocator_that_has_no_room_is_told_with_the_shape(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    df_tensor *t = NULL;
    df_error err = {0};
    fault_fail_allocation(&f, 1, FAULT_FOR_EVER);
    assert_int_equal(df_tensor_new(&f.allocator, DF_FLOAT32, DF_SHAPE(1000, 1000), &t, &err),
                     DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "float32[1000,1000]"));
    assert_non_null(strstr(err.message, "4000000 bytes"));
    fault_allocator_end(&f);
}

/* ---- copies -------------------------------------------------------------- */

static void elements_are_copied(void **state) {
    (void)state;
    int32_t numbers[100];
    for (int i = 0; i < 100; i++) numbers[i] = i * i;
    for (int64_t n = 0; n <= 100; n += 10) {
        df_tensor *t = NULL;
        assert_int_equal(df_tensor_from(NULL, DF_INT32, DF_SHAPE(n), numbers, &t, NULL), DF_OK);
        assert_memory_equal(df_tensor_data(t), numbers, (size_t)n * 4);
        assert_true(df_tensor_data(t) != numbers);
        df_tensor_unref(t);
    }
}

static void elements_cannot_come_from_null_unless_there_are_none(void **state) {
    (void)state;
    df_tensor *t = NULL;
    df_error err = {0};
    assert_int_equal(df_tensor_from(NULL, DF_INT32, DF_SHAPE(3), NULL, &t, &err),
                     DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "NULL"));
    assert_null(t);
    assert_int_equal(df_tensor_from(NULL, DF_INT32, DF_SHAPE(3, 0), NULL, &t, NULL), DF_OK);
    assert_non_null(df_tensor_data(t));
    df_tensor_unref(t);
}

static void assert_words(const df_tensor *t, int64_t n) {
    const df_string *s = df_tensor_data(t);
    assert_int_equal(df_tensor_bytes(t), (size_t)n * sizeof(df_string));
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(s[i].size, words[i].size);
        if (!s[i].size) continue;
        assert_memory_equal(s[i].data, words[i].data, s[i].size);
        assert_true(s[i].data != words[i].data);
    }
}

static void strings_are_copied_with_their_text(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    for (int64_t n = 0; n <= 5; n++) {
        df_tensor *t = NULL;
        df_error err = {0};
        if (df_tensor_from(&f.allocator, DF_STRING, DF_SHAPE(n), n ? words : NULL, &t, &err))
            fail_msg("%s", err.message);
        assert_words(t, n);
        df_tensor_unref(t);
    }
    fault_allocator_end(&f);
}

static void new_strings_are_empty(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (int64_t n = 1; n < 20; n += 6) {
        df_tensor *made[2] = {NULL, new_in(&w, w.host, DF_STRING, DF_SHAPE(n))};
        assert_int_equal(df_tensor_new(NULL, DF_STRING, DF_SHAPE(n), &made[0], NULL), DF_OK);
        for (size_t i = 0; i < 2; i++) {
            const df_string *s = df_tensor_data(made[i]);
            for (int64_t k = 0; k < n; k++) {
                assert_null(s[k].data);
                assert_int_equal(s[k].size, 0);
            }
            df_tensor_unref(made[i]);
        }
    }
    world_end(&w);
}

static void wrong_strings_are_refused(void **state) {
    (void)state;
    df_tensor *t = NULL;
    df_error err = {0};
    const df_string missing[] = {{"a", 1}, {NULL, 2}};
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), missing, &t, &err),
                     DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "string 1"));
    const df_string huge[] = {{"a", SIZE_MAX}, {"b", 1}};
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), huge, &t, &err),
                     DF_INVALID_ARGUMENT);
    const df_string too_huge[] = {{"a", SIZE_MAX - 15}, {"b", 15}};
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), too_huge, &t, &err),
                     DF_RESOURCE_EXHAUSTED);
    assert_null(t);
}

static void strings_lie_in_host_memory_only(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = NULL;
    df_error err = {0};
    assert_int_equal(tensor_new_in(w.headers, w.device, DF_STRING, DF_SHAPE(2), &t, &err),
                     DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "device memory"));
    assert_null(t);
    t = new_in(&w, w.host, DF_INT32, DF_SHAPE(100));
    ((int32_t *)t->data)[99] = 99;
    assert_int_equal(tensor_renew(&t, w.headers, w.device, DF_STRING, DF_SHAPE(2), &err),
                     DF_INVALID_ARGUMENT);
    assert_int_equal(t->dtype, DF_INT32);
    assert_int_equal(((int32_t *)t->data)[99], 99);
    df_tensor_unref(t);
    world_end(&w);
}

static void a_copy_is_equal_and_apart(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (int64_t n = 0; n < 40; n += 13) {
        df_tensor *t = new_in(&w, w.host, DF_INT32, DF_SHAPE(n)), *copy = NULL;
        memset(t->data, 9, t->bytes);
        assert_int_equal(tensor_copy(w.headers, w.host, t, &copy, NULL), DF_OK);
        memset(t->data, 8, t->bytes);
        assert_true(shape_equal(tensor_shape(copy), DF_SHAPE(n)));
        assert_true(is_filled_with(copy->data, copy->bytes, 9));
        df_tensor_unref(t);
        df_tensor_unref(copy);
    }
    world_end(&w);
}

static void a_copy_of_strings_has_its_own_text(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (int64_t n = 1; n <= 5; n++) {
        df_tensor *t = NULL, *copy = NULL;
        assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(n), words, &t, NULL), DF_OK);
        assert_int_equal(tensor_copy(w.headers, w.host, t, &copy, NULL), DF_OK);
        df_tensor_unref(t);
        assert_words(copy, n);
        df_tensor_unref(copy);
    }
    world_end(&w);
}

static void device_tensors_are_not_copied_by_the_host(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *host = new_in(&w, w.host, DF_INT8, DF_SHAPE(3));
    df_tensor *device = new_in(&w, w.device, DF_INT8, DF_SHAPE(3)), *out = NULL;
    df_error err = {0};
    assert_int_equal(tensor_copy(w.headers, w.device, host, &out, &err), DF_INVALID_ARGUMENT);
    assert_int_equal(tensor_copy(w.headers, w.host, device, &out, &err), DF_INVALID_ARGUMENT);
    assert_null(out);
    df_tensor_unref(host);
    df_tensor_unref(device);
    world_end(&w);
}

/* ---- wrapping ------------------------------------------------------------ */

static void wrapped_memory_is_used_in_place_and_released_once(void **state) {
    (void)state;
    world w;
    world_init(&w);
    float values[2] = {1, 2};
    owner o = {0};
    df_tensor *t = NULL, *twin = NULL;
    assert_int_equal(
        df_tensor_wrap(&w.f.allocator, DF_FLOAT32, DF_SHAPE(2), values, note_release, &o, &t, NULL),
        DF_OK);
    assert_ptr_equal(df_tensor_data(t), values);
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(1, 2), &twin, NULL), DF_OK);
    assert_ptr_equal(df_tensor_ref(t), t);
    df_tensor_unref(t);
    df_tensor_unref(t);
    assert_int_equal(o.releases, 0);
    assert_ptr_equal(df_tensor_data(twin), values);
    df_tensor_unref(twin);
    assert_int_equal(o.releases, 1);
    assert_ptr_equal(o.data, values);
    world_end(&w);
}

static void wrapped_memory_may_have_no_release(void **state) {
    (void)state;
    double value = 3;
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_wrap(NULL, DF_FLOAT64, DF_SCALAR, &value, NULL, NULL, &t, NULL),
                     DF_OK);
    df_tensor_unref(t);
    assert_true(value == 3);
}

static void nothing_can_be_wrapped_too(void **state) {
    (void)state;
    world w;
    world_init(&w);
    owner o = {.data = &o};
    df_tensor *t = NULL, *twin = NULL;
    assert_int_equal(
        df_tensor_wrap(NULL, DF_FLOAT32, DF_SHAPE(0), NULL, note_release, &o, &t, NULL), DF_OK);
    assert_non_null(df_tensor_data(t));
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(3, 0), &twin, NULL), DF_OK);
    df_tensor_unref(t);
    assert_non_null(df_tensor_data(twin));
    assert_int_equal(o.releases, 0);
    df_tensor_unref(twin);
    assert_int_equal(o.releases, 1);
    assert_null(o.data);
    world_end(&w);
}

static void what_cannot_be_wrapped_is_refused_and_not_released(void **state) {
    (void)state;
    _Alignas(8) char bytes[32];
    owner o = {0};
    df_tensor *t = NULL;
    df_error err = {0};
    assert_int_equal(
        df_tensor_wrap(NULL, DF_FLOAT32, DF_SHAPE(2), bytes + 2, note_release, &o, &t, &err),
        DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "multiple of 4"));
    assert_int_equal(
        df_tensor_wrap(NULL, DF_FLOAT32, DF_SHAPE(2), NULL, note_release, &o, &t, &err),
        DF_INVALID_ARGUMENT);
    assert_int_equal(
        df_tensor_wrap(NULL, DF_STRING, DF_SHAPE(1), bytes, note_release, &o, &t, &err),
        DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "df_tensor_from"));
    assert_null(t);
    assert_int_equal(o.releases, 0);
}

/* ---- sharing ------------------------------------------------------------- */

static void a_reshape_shares_the_buffer_and_the_fence(void **state) {
    (void)state;
    world w;
    world_init(&w);
    test_fence f = {.base = {&test_fence_ops}};
    memory *places[] = {w.host, w.device};
    for (size_t i = 0; i < 2; i++) {
        df_tensor *t = new_in(&w, places[i], DF_INT8, DF_SHAPE(10, 20)), *twin = NULL;
        put_fence(t, &f);
        assert_true(tensor_is_sole(t));
        assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(200), &twin, NULL), DF_OK);
        assert_ptr_equal(twin->data, t->data);
        assert_int_equal(twin->is_host, t->is_host);
        assert_int_equal(twin->bytes, 200);
        assert_int_equal(f.refs, 2);
        assert_false(tensor_is_sole(t));
        assert_false(tensor_is_sole(twin));
        df_tensor_unref(t);
        assert_true(tensor_is_sole(twin));
        assert_int_equal(f.refs, 1);
        df_tensor_unref(twin);
        assert_int_equal(f.refs, 0);
    }
    world_end(&w);
}

static void a_reshape_copies_an_inline_value(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(6)), *twin = NULL;
    memcpy(t->data, "abcdef", 6);
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(2, 3), &twin, NULL), DF_OK);
    assert_true(tensor_is_sole(t) && tensor_is_sole(twin));
    df_tensor_unref(t);
    assert_memory_equal(twin->data, "abcdef", 6);
    df_tensor_unref(twin);
    world_end(&w);
}

static void a_reshape_of_inline_strings_has_its_own_text(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = NULL, *twin = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), words, &t, NULL), DF_OK);
    assert_null(t->buf);
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(2, 1), &twin, NULL), DF_OK);
    df_tensor_unref(t);
    assert_words(twin, 2);
    df_tensor_unref(twin);
    world_end(&w);
}

static void a_reshape_keeps_the_number_of_elements(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(2, 3)), *twin = NULL;
    df_error err = {0};
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(7), &twin, &err), DF_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "[2,3]"));
    assert_non_null(strstr(err.message, "[7]"));
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(-1), &twin, &err), DF_INVALID_ARGUMENT);
    assert_null(twin);
    df_tensor_unref(t);
    world_end(&w);
}

static void who_holds_the_only_reference_is_sole_unless_the_memory_is_the_callers(void **state) {
    (void)state;
    char bytes[4] = {0};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_INT8, DF_SHAPE(100), &t, NULL), DF_OK);
    assert_true(tensor_is_sole(t));
    df_tensor_ref(t);
    assert_false(tensor_is_sole(t));
    df_tensor_unref(t);
    assert_true(tensor_is_sole(t));
    df_tensor_unref(t);
    assert_int_equal(df_tensor_wrap(NULL, DF_INT8, DF_SHAPE(4), bytes, NULL, NULL, &t, NULL),
                     DF_OK);
    assert_false(tensor_is_sole(t));
    df_tensor_unref(t);
    df_tensor_unref(NULL);
    assert_null(df_tensor_ref(NULL));
}

/* ---- many threads -------------------------------------------------------- */

enum { READERS = 4 };

typedef struct reader {
    df_tensor **tensors;
    size_t n;
    memory *headers;
    check *checks;
} reader;

/* Reads, shares, and drops; whoever finds itself alone writes. */
static void read_and_drop(void *arg) {
    reader *r = arg;
    for (size_t i = 0; i < r->n; i++) {
        df_tensor *t = r->tensors[i], *twin = NULL;
        unsigned char *bytes = t->data;
        CHECK(r->checks, bytes[0] == bytes[99]);
        CHECK_EQUAL(r->checks, tensor_reshape(r->headers, t, DF_SHAPE(10, 10), &twin, NULL), DF_OK);
        df_tensor_unref(t);
        if (!twin) continue;
        if (tensor_is_sole(twin)) memset(twin->data, 3, 100);
        bytes = twin->data;
        CHECK(r->checks, bytes[0] == bytes[99]);
        df_tensor_unref(twin);
    }
}

static void many_threads_share_tensors_and_the_last_one_ends_them(void **state) {
    (void)state;
    enum { MOST = 4000 };
    static df_tensor *tensors[MOST];
    size_t n = test_scaled(MOST);
    world w;
    world_init(&w);
    check checks;
    check_init(&checks);
    for (size_t i = 0; i < n; i++) {
        tensors[i] = new_in(&w, w.host, DF_INT8, DF_SHAPE(100));
        memset(tensors[i]->data, 1, 100);
        for (int k = 1; k < READERS; k++) df_tensor_ref(tensors[i]);
    }
    reader r = {tensors, n, w.headers, &checks};
    void *threads[READERS];
    for (size_t k = 0; k < READERS; k++)
        assert_int_equal(thread_start(NULL, "reader", read_and_drop, &r, &threads[k], NULL), DF_OK);
    for (size_t k = 0; k < READERS; k++) thread_join(NULL, threads[k]);
    check_end(&checks);
    world_end(&w);
}

int main(int argc, char **argv) {
    yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_tensor_is_zero_whatever_its_size),
        cmocka_unit_test(elements_lie_at_64_bytes_inline_or_not),
        cmocka_unit_test(a_user_tensor_is_one_block_of_his_allocator),
        cmocka_unit_test(a_tensor_outlives_the_memories_it_lies_in),
        cmocka_unit_test(a_device_tensor_hides_its_data_from_the_host),
        cmocka_unit_test(what_no_tensor_can_be_is_refused),
        cmocka_unit_test(an_allocator_that_has_no_room_is_told_with_the_shape),
        cmocka_unit_test(elements_are_copied),
        cmocka_unit_test(elements_cannot_come_from_null_unless_there_are_none),
        cmocka_unit_test(strings_are_copied_with_their_text),
        cmocka_unit_test(new_strings_are_empty),
        cmocka_unit_test(wrong_strings_are_refused),
        cmocka_unit_test(strings_lie_in_host_memory_only),
        cmocka_unit_test(a_copy_is_equal_and_apart),
        cmocka_unit_test(a_copy_of_strings_has_its_own_text),
        cmocka_unit_test(device_tensors_are_not_copied_by_the_host),
        cmocka_unit_test(wrapped_memory_is_used_in_place_and_released_once),
        cmocka_unit_test(wrapped_memory_may_have_no_release),
        cmocka_unit_test(nothing_can_be_wrapped_too),
        cmocka_unit_test(what_cannot_be_wrapped_is_refused_and_not_released),
        cmocka_unit_test(a_reshape_shares_the_buffer_and_the_fence),
        cmocka_unit_test(a_reshape_copies_an_inline_value),
        cmocka_unit_test(a_reshape_of_inline_strings_has_its_own_text),
        cmocka_unit_test(a_reshape_keeps_the_number_of_elements),
        cmocka_unit_test(who_holds_the_only_reference_is_sole_unless_the_memory_is_the_callers),
        cmocka_unit_test(many_threads_share_tensors_and_the_last_one_ends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
