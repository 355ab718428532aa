/* SPDX-License-Identifier: MIT */
#include "unit/tensor_world.h"

/* ---- using again --------------------------------------------------------- */

static void a_renewed_tensor_is_the_same_if_nobody_else_holds_it(void **state) {
    (void)state;
    world w;
    world_init(&w);
    test_fence f = {.base = {&test_fence_ops}};
    memory *places[] = {w.host, w.device};
    for (size_t i = 0; i < 2; i++) {
        df_tensor *t = NULL;
        renew(&w, &t, places[i], DF_FLOAT32, DF_SHAPE(10, 10));
        df_tensor *first = t;
        void *data = t->data;
        size_t before = fault_allocations(&w.f);
        put_fence(t, &f);
        renew(&w, &t, places[i], DF_INT32, DF_SHAPE(90));
        assert_ptr_equal(t, first);
        assert_ptr_equal(t->data, data);
        assert_int_equal(t->bytes, 360);
        assert_int_equal(f.refs, 0);
        renew(&w, &t, places[i], DF_FLOAT32, DF_SHAPE(100));
        assert_ptr_equal(t->data, data);
        put_fence(t, &f);
        renew(&w, &t, places[i], DF_FLOAT32, DF_SHAPE(100));
        assert_ptr_equal(t->data, data);
        assert_int_equal(f.refs, 0);
        assert_int_equal(fault_allocations(&w.f), before);
        df_tensor_unref(t);
    }
    world_end(&w);
}

static void a_tensor_is_renewed_with_its_own_shape(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(3, 4, 50));
    renew(&w, &t, w.host, DF_INT16, tensor_shape(t));
    assert_int_equal(t->bytes, 1200);
    df_tensor *held = df_tensor_ref(t);
    renew(&w, &t, w.host, DF_INT8, tensor_shape(t));
    assert_true(t != held && t->elements == 600);
    assert_int_equal(tensor_renew(&t, w.headers, w.host, DF_INT8, (df_shape){2, t->dims + 1}, NULL),
                     DF_OK);
    assert_true(shape_equal(tensor_shape(t), DF_SHAPE(4, 50)));
    df_tensor_unref(t);
    df_tensor_unref(held);
    world_end(&w);
}

static void what_somebody_else_sees_is_not_renewed_in_place(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(100)), *twin = NULL;
    memset(t->data, 5, 100);

    df_tensor *held = df_tensor_ref(t);
    renew(&w, &t, w.host, DF_INT8, DF_SHAPE(100));
    assert_true(t != held);
    assert_int_equal(tensor_reshape(w.headers, held, DF_SHAPE(5, 20), &twin, NULL), DF_OK);
    renew(&w, &held, w.host, DF_INT8, DF_SHAPE(100));
    assert_true(held->data != twin->data);
    memset(t->data, 6, 100);
    memset(held->data, 7, 100);

    assert_true(is_filled_with(twin->data, 100, 5));
    df_tensor_unref(t);
    df_tensor_unref(held);
    df_tensor_unref(twin);
    world_end(&w);
}

static void the_callers_memory_is_not_renewed_in_place(void **state) {
    (void)state;
    world w;
    world_init(&w);
    char bytes[100];
    owner o = {0};
    df_tensor *wrapped = NULL, *t = NULL;
    memset(bytes, 5, 100);
    assert_int_equal(
        df_tensor_wrap(NULL, DF_INT8, DF_SHAPE(100), bytes, note_release, &o, &wrapped, NULL),
        DF_OK);
    assert_int_equal(tensor_reshape(w.headers, wrapped, DF_SHAPE(10, 10), &t, NULL), DF_OK);
    renew(&w, &wrapped, w.host, DF_INT8, DF_SHAPE(100));
    assert_int_equal(o.releases, 0);
    renew(&w, &t, w.host, DF_INT8, DF_SHAPE(100));
    assert_int_equal(o.releases, 1);
    memset(wrapped->data, 6, 100);
    memset(t->data, 6, 100);
    assert_true(is_filled_with(bytes, 100, 5));
    df_tensor_unref(wrapped);
    df_tensor_unref(t);
    world_end(&w);
}

static void a_tensor_moves_between_memories_and_sizes(void **state) {
    (void)state;
    world w;
    world_init(&w);
    memory *places[] = {w.host, w.device};
    const int64_t sizes[] = {0, 1, 64, 65, 100, 1000, 5000, 20000};
    df_tensor *t = NULL;
    for (unsigned i = 0; i < 500; i++) {
        memory *mem = places[i / 3 % 2];
        int64_t n = sizes[(i * 5 + i / 8) % 8];
        renew(&w, &t, mem, DF_INT8, DF_SHAPE(n));
        assert_int_equal(t->buf == NULL, mem == w.host && n <= TENSOR_INLINE);
        assert_int_equal((uintptr_t)t->data % 64, 0);
        memset(t->data, (int)i, (size_t)n);
        if (t->buf) assert_true(t->buf->size / 2 <= memory_block_size((size_t)n));
        if (i % 7 == 0) tensor_release(&t);
    }
    df_tensor_unref(t);
    world_end(&w);
}

static void a_tensor_of_the_same_shape_moves_between_memories(void **state) {
    (void)state;
    world w;
    world_init(&w);
    memory *places[] = {w.host, w.headers, w.device, w.host};
    for (int64_t n = 10; n < 200; n += 100) {
        df_tensor *t = NULL;
        for (size_t i = 0; i < 16; i++) {
            renew(&w, &t, places[i % 4], DF_INT8, DF_SHAPE(n));
            renew(&w, &t, places[i / 4], DF_INT8, DF_SHAPE(n));
        }
        df_tensor_unref(t);
    }
    world_end(&w);
}

static void a_block_that_is_much_too_large_is_given_back(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(1 << 20));
    renew(&w, &t, w.host, DF_INT8, DF_SHAPE(100));
    memory_trim(w.host);
    assert_true(fault_live_bytes(&w.f) < 1 << 16);
    df_tensor_unref(t);
    world_end(&w);
}

static void renewed_strings_are_empty(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = NULL, *from = NULL;
    assert_int_equal(df_tensor_from(NULL, DF_STRING, DF_SHAPE(5), words, &from, NULL), DF_OK);
    assert_int_equal(tensor_copy(w.headers, w.host, from, &t, NULL), DF_OK);
    df_tensor_unref(from);
    renew(&w, &t, w.host, DF_STRING, DF_SHAPE(5));
    assert_true(is_filled_with(t->data, t->bytes, 0));
    df_tensor_unref(t);
    world_end(&w);
}

static void a_shape_that_no_tensor_has_changes_nothing(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(2, 3));
    const df_shape wrong[] = {{2, NULL}, {-1, NULL}, DF_SHAPE(2, -3), DF_SHAPE(INT64_MAX, 4)};
    for (size_t i = 0; i < 4; i++) {
        df_error err = {0};
        assert_int_equal(tensor_renew(&t, w.headers, w.host, DF_INT8, wrong[i], &err),
                         DF_INVALID_ARGUMENT);
        assert_int_equal(err.code, DF_INVALID_ARGUMENT);
        assert_true(shape_equal(tensor_shape(t), DF_SHAPE(2, 3)));
    }
    df_tensor_unref(t);
    world_end(&w);
}

static void a_released_tensor_keeps_its_header_and_takes_its_block_from_the_cache(void **state) {
    (void)state;
    world w;
    world_init(&w);
    test_fence f = {.base = {&test_fence_ops}};
    memory *places[] = {w.host, w.device};
    for (size_t i = 0; i < 2; i++) {
        df_tensor *t = NULL;
        renew(&w, &t, places[i], DF_INT8, DF_SHAPE(1000));
        df_tensor *first = t;
        void *data = t->data;
        put_fence(t, &f);
        size_t before = fault_allocations(&w.f);

        tensor_release(&t);
        assert_ptr_equal(t, first);
        assert_int_equal(f.refs, 0);
        assert_ptr_equal(memory_take(places[i], 1000, NULL), data);
        memory_give(places[i], data, 1000);
        renew(&w, &t, places[i], DF_INT8, DF_SHAPE(1000));

        assert_ptr_equal(t, first);
        assert_ptr_equal(t->data, data);
        assert_int_equal(fault_allocations(&w.f), before);
        tensor_release(&t);
        tensor_release(&t);
        df_tensor_unref(t);
    }
    world_end(&w);
}

/* ---- passed on ----------------------------------------------------------- */

static void take_over(world *w, df_tensor **slot, df_tensor *from, df_shape shape) {
    tensor_take_over(slot, from, w->headers, w->host, DF_INT8, shape);
    renew(w, slot, w->host, DF_INT8, shape);
}

static void a_buffer_passes_to_the_next_that_has_its_size(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *from = NULL, *to = NULL;
    renew(&w, &from, w.host, DF_INT8, DF_SHAPE(1000));
    void *data = from->data;
    take_over(&w, &to, from, DF_SHAPE(10, 99));
    assert_ptr_equal(to->data, data);
    assert_ptr_equal(from->data, data); /* so it can still be read */
    assert_null(from->buf);
    renew(&w, &from, w.host, DF_INT8, DF_SHAPE(1000));
    assert_ptr_not_equal(from->data, data);
    assert_non_null(from->buf);
    data = from->data;
    take_over(&w, &to, from, DF_SHAPE(1000)); /* for the one that it had */
    assert_ptr_equal(to->data, data);
    df_tensor_unref(from);
    df_tensor_unref(to);
    world_end(&w);
}

static void what_others_see_does_not_pass(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *from = NULL, *to = NULL, *twin = NULL, *users = NULL;
    renew(&w, &from, w.host, DF_INT8, DF_SHAPE(1000));
    df_tensor *held = df_tensor_ref(from);
    take_over(&w, &to, from, DF_SHAPE(1000));
    assert_ptr_not_equal(to->data, from->data);
    df_tensor_unref(held);
    assert_int_equal(tensor_reshape(w.headers, from, DF_SHAPE(10, 100), &twin, NULL), DF_OK);
    take_over(&w, &to, from, DF_SHAPE(1000));
    assert_ptr_not_equal(to->data, from->data);
    df_tensor_unref(twin);
    take_over(&w, &to, from, DF_SHAPE(5000)); /* too small */
    assert_non_null(from->buf);
    assert_int_equal(df_tensor_new(&w.f.allocator, DF_INT8, DF_SHAPE(1000), &users, NULL), DF_OK);
    take_over(&w, &to, users, DF_SHAPE(1000)); /* of no memory */
    assert_non_null(users->buf);
    df_tensor_unref(users);
    df_tensor_unref(from);
    df_tensor_unref(to);
    world_end(&w);
}

static void marked_tensors_pass_their_buffer_around(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t[2] = {NULL}, *twin = NULL;
    for (int i = 0; i < 2; i++) {
        renew(&w, &t[i], w.host, DF_INT8, DF_SHAPE(1000));
        tensor_mark(t[i], &t[i]);
    }
    assert_true(tensor_take_room(t[0], &t[0]));  /* its own */
    assert_false(tensor_take_room(t[1], &t[0])); /* has one */
    void *data = t[0]->data;
    tensor_release(&t[1]);
    renew(&w, &t[1], w.host, DF_INT8, DF_SHAPE(8));
    tensor_mark(t[1], &t[1]);
    for (int i = 0; i < 3; i++) {
        assert_true(tensor_take_room(t[(i + 1) % 2], &t[i % 2]));
        assert_ptr_equal(t[(i + 1) % 2]->data, data);
        assert_false(tensor_take_room(t[i % 2], &t[i % 2])); /* has none */
    }
    df_tensor *held = df_tensor_ref(t[1]);
    assert_false(tensor_take_room(t[0], &t[1]));
    df_tensor_unref(held);
    assert_int_equal(tensor_reshape(w.headers, t[1], DF_SHAPE(1000), &twin, NULL),
                     DF_INVALID_ARGUMENT);
    assert_int_equal(tensor_reshape(w.headers, t[1], DF_SHAPE(2, 4), &twin, NULL), DF_OK);
    assert_false(tensor_take_room(t[0], &t[1]));
    df_tensor_unref(twin);
    assert_true(tensor_take_room(t[0], &t[1]));
    df_tensor_unref(t[0]);
    df_tensor_unref(t[1]);
    world_end(&w);
}

static void a_user_tensor_lasts_as_long_as_one_who_shares_its_buffer(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = NULL, *twin = NULL;
    assert_int_equal(df_tensor_new(&w.f.allocator, DF_INT8, DF_SHAPE(100), &t, NULL), DF_OK);
    memset(df_tensor_data(t), 7, 100);
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(10, 10), &twin, NULL), DF_OK);
    df_tensor_unref(t);
    assert_true(is_filled_with(df_tensor_data(twin), 100, 7));
    renew(&w, &twin, w.host, DF_INT8, DF_SHAPE(100));
    df_tensor_unref(twin);
    world_end(&w);
}

static void a_release_of_what_others_hold_only_drops_the_reference(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(1000)), *twin = NULL;
    memset(t->data, 5, 1000);
    df_tensor *slot = df_tensor_ref(t);
    tensor_release(&slot);
    assert_null(slot);
    tensor_release(&slot);
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(10, 100), &twin, NULL), DF_OK);
    tensor_release(&t);
    assert_non_null(t);
    assert_true(is_filled_with(twin->data, 1000, 5));
    df_tensor_unref(t);
    df_tensor_unref(twin);
    world_end(&w);
}

static void a_release_of_the_callers_memory_releases_it(void **state) {
    (void)state;
    char bytes[10];
    owner o = {0};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_wrap(NULL, DF_INT8, DF_SHAPE(10), bytes, note_release, &o, &t, NULL),
                     DF_OK);
    tensor_release(&t);
    assert_int_equal(o.releases, 1);
    df_tensor_unref(t);
    assert_int_equal(o.releases, 1);
}

static void a_user_tensor_can_be_released_and_renewed(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = NULL, *twin = NULL;
    assert_int_equal(df_tensor_new(&w.f.allocator, DF_INT8, DF_SHAPE(100), &t, NULL), DF_OK);
    assert_int_equal(tensor_reshape(w.headers, t, DF_SHAPE(10, 10), &twin, NULL), DF_OK);
    tensor_release(&t);
    renew(&w, &t, w.device, DF_INT8, DF_SHAPE(10));
    renew(&w, &twin, w.device, DF_INT8, DF_SHAPE(100));
    df_tensor_unref(t);
    df_tensor_unref(twin);
    world_end(&w);
}

static void a_warm_step_allocates_nothing(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *slots[4] = {NULL};
    size_t cold = 0;
    for (int step = 0; step < 5; step++) {
        renew(&w, &slots[0], w.host, DF_FLOAT32, DF_SHAPE(4));
        renew(&w, &slots[1], w.host, DF_FLOAT32, DF_SHAPE(1000));
        renew(&w, &slots[2], w.device, DF_FLOAT32, DF_SHAPE(2000));
        df_tensor_unref(slots[3]);
        assert_int_equal(tensor_reshape(w.headers, slots[1], DF_SHAPE(10, 100), &slots[3], NULL),
                         DF_OK);
        for (size_t i = 0; i < 4; i++) tensor_release(&slots[i]);
        if (step == 1) cold = fault_allocations(&w.f);
    }
    assert_int_equal(fault_allocations(&w.f), cold);
    for (size_t i = 0; i < 4; i++) df_tensor_unref(slots[i]);
    world_end(&w);
}

/* ---- want of memory ------------------------------------------------------ */

static void expect(fault_allocator *f, df_code code) {
    if (code == DF_OK) return;
    assert_int_equal(code, DF_RESOURCE_EXHAUSTED);
    assert_true(fault_allocations_failed(f) > 0);
}

static void user_under_faults(fault_allocator *f, void *arg) {
    (void)arg;
    char bytes[100];
    owner o = {0};
    df_tensor *made[4] = {NULL};
    const df_allocator *a = &f->allocator;
    expect(f, df_tensor_new(a, DF_INT8, DF_SHAPE(4), &made[0], NULL));
    expect(f, df_tensor_new(a, DF_INT8, DF_SHAPE(100), &made[1], NULL));
    expect(f, df_tensor_from(a, DF_STRING, DF_SHAPE(5), words, &made[2], NULL));
    df_error err = {0};
    expect(f, df_tensor_wrap(a, DF_INT8, DF_SHAPE(100), bytes, note_release, &o, &made[3], &err));
    assert_int_equal(made[3] == NULL, err.code != DF_OK);
    bool wrapped = made[3] != NULL;
    for (size_t i = 0; i < 4; i++) df_tensor_unref(made[i]);
    assert_int_equal(o.releases, wrapped);
}

static void want_of_memory_leaves_no_user_tensor_half_made(void **state) {
    (void)state;
    assert_int_equal(fault_each_allocation(user_under_faults, NULL), 1 + 1 + 1 + 2);
}

static void step_in(fault_allocator *f, memory *headers, memory *host, memory *device) {
    df_tensor *t = NULL, *twin = NULL, *copy = NULL, *large = NULL;
    expect(f, tensor_renew(&t, headers, host, DF_INT8, DF_SHAPE(1000), NULL));
    if (t) {
        expect(f, tensor_reshape(headers, t, DF_SHAPE(10, 100), &twin, NULL));
        expect(f, tensor_copy(headers, host, t, &copy, NULL));
        expect(f, tensor_renew(&t, headers, host, DF_INT8, DF_SHAPE(1 << 16), NULL));
    }
    if (copy) {
        expect(f, tensor_renew(&copy, headers, device, DF_INT8, DF_SHAPE(3000), NULL));
        tensor_release(&copy);
        expect(f, tensor_renew(&copy, headers, device, DF_INT8, DF_SHAPE(30000), NULL));
        expect(f, tensor_renew(&copy, headers, host, DF_INT8, DF_SHAPE(3), NULL));
        expect(f, tensor_renew(&copy, headers, host, DF_INT8, DF_SHAPE(400), NULL));
    }
    expect(f, tensor_new_in(headers, device, DF_INT8, DF_SHAPE(70000), &large, NULL));
    df_tensor_unref(t);
    df_tensor_unref(twin);
    df_tensor_unref(copy);
    df_tensor_unref(large);
}

static void step_under_faults(fault_allocator *f, void *arg) {
    (void)arg;
    memory_source source = {.alloc = device_alloc, .free = device_free, .user = &f->allocator};
    memory *headers = memory_new_host(&f->allocator), *host = memory_new_host(&f->allocator);
    memory *device = memory_new(&f->allocator, &source, false);
    if (headers && host && device)
        step_in(f, headers, host, device);
    else
        assert_true(fault_allocations_failed(f) > 0);
    memory_unref(headers);
    memory_unref(host);
    memory_unref(device);
}

static void want_of_memory_leaves_no_tensor_of_a_step_half_made(void **state) {
    (void)state;
    assert_true(fault_each_allocation(step_under_faults, NULL) > 10);
}

static void a_slot_whose_renewal_failed_can_be_renewed_later(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_tensor *t = new_in(&w, w.host, DF_INT8, DF_SHAPE(100));
    df_error err = {0};
    fault_fail_allocation(&w.f, 1, FAULT_FOR_EVER);
    assert_int_equal(tensor_renew(&t, w.headers, w.host, DF_INT8, DF_SHAPE(10000), &err),
                     DF_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.message, "int8[10000]"));
    fault_fail_allocation(&w.f, 0, FAULT_ONCE);
    renew(&w, &t, w.host, DF_INT8, DF_SHAPE(10000));
    memset(t->data, 1, 10000);
    df_tensor_unref(t);
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewed_tensor_is_the_same_if_nobody_else_holds_it),
        cmocka_unit_test(a_tensor_is_renewed_with_its_own_shape),
        cmocka_unit_test(what_somebody_else_sees_is_not_renewed_in_place),
        cmocka_unit_test(the_callers_memory_is_not_renewed_in_place),
        cmocka_unit_test(a_tensor_moves_between_memories_and_sizes),
        cmocka_unit_test(a_tensor_of_the_same_shape_moves_between_memories),
        cmocka_unit_test(a_block_that_is_much_too_large_is_given_back),
        cmocka_unit_test(renewed_strings_are_empty),
        cmocka_unit_test(a_shape_that_no_tensor_has_changes_nothing),
        cmocka_unit_test(a_released_tensor_keeps_its_header_and_takes_its_block_from_the_cache),
        cmocka_unit_test(a_buffer_passes_to_the_next_that_has_its_size),
        cmocka_unit_test(what_others_see_does_not_pass),
        cmocka_unit_test(marked_tensors_pass_their_buffer_around),
        cmocka_unit_test(a_user_tensor_lasts_as_long_as_one_who_shares_its_buffer),
        cmocka_unit_test(a_release_of_what_others_hold_only_drops_the_reference),
        cmocka_unit_test(a_release_of_the_callers_memory_releases_it),
        cmocka_unit_test(a_user_tensor_can_be_released_and_renewed),
        cmocka_unit_test(a_warm_step_allocates_nothing),
        cmocka_unit_test(want_of_memory_leaves_no_user_tensor_half_made),
        cmocka_unit_test(want_of_memory_leaves_no_tensor_of_a_step_half_made),
        cmocka_unit_test(a_slot_whose_renewal_failed_can_be_renewed_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
