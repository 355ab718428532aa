/* SPDX-License-Identifier: MIT */
#include "rendezvous/table.h"

#include "support/fault.h"
#include "unit/recv_world.h"

enum { KEYS = 200 };

typedef struct keyed {
    fault_allocator heap;
    table t;
    const df_allocator *alloc;
    df_key *keys[KEYS];
} keyed;

static const df_error stop = {.code = DF_UNAVAILABLE, .message = "stop"};

/* Few lists, so that many keys share one. */
static void init(keyed *k) {
    fault_allocator_init(&k->heap);
    k->alloc = &k->heap.allocator;
    for (int i = 0; i < KEYS; i++) k->keys[i] = test_key(i, 0, KEY_NO_CHANNEL);
    assert_int_equal(table_init(&k->t, k->alloc, 2, 4, NULL), DF_OK);
}

static void fini(keyed *k) {
    table_fini(&k->t);
    for (int i = 0; i < KEYS; i++) df_key_free(k->keys[i]);
    fault_allocator_end(&k->heap);
}

static df_code send(keyed *k, int key, int32_t value) {
    return table_send(&k->t, k->keys[key], &on_host, number(k->alloc, value));
}

static void ask(keyed *k, got *g, int key) {
    got_init(g, k->keys[key], on_host);
    table_recv(&k->t, &g->recv);
}

static void many_keys_find_their_own_values(void **state) {
    (void)state;
    keyed k;
    static got g[KEYS];
    init(&k);
    for (int i = 0; i < KEYS; i += 2) ask(&k, &g[i], i);
    for (int i = 0; i < KEYS; i++) assert_int_equal(send(&k, i, i), DF_OK);
    for (int i = 1; i < KEYS; i += 2) ask(&k, &g[i], i);

    for (int i = 0; i < KEYS; i++) {
        assert_got_number(&g[i], i);
        got_fini(&g[i]);
    }
    fini(&k);
}

static void values_of_one_key_keep_their_order_among_others(void **state) {
    (void)state;
    keyed k;
    got g[6];
    init(&k);
    for (int round = 0; round < 3; round++) {
        for (int key = 0; key < 20; key++) assert_int_equal(send(&k, key, round), DF_OK);
    }

    for (int i = 0; i < 6; i++) {
        ask(&k, &g[i], i < 3 ? 7 : 0);
        assert_got_number(&g[i], i % 3);
        got_fini(&g[i]);
    }

    assert_int_equal(table_reset(&k.t), 54);
    fini(&k);
}

/* The hash chooses the list; who stands in it is told apart by the whole key. */
static void keys_of_one_hash_find_their_own_values(void **state) {
    (void)state;
    keyed k;
    static got g[KEYS];
    init(&k);
    for (int i = 0; i < KEYS; i++) k.keys[i]->hash = 1;
    for (int i = 0; i < KEYS; i += 2) ask(&k, &g[i], i);
    for (int i = 0; i < KEYS; i++) assert_int_equal(send(&k, i, i), DF_OK);
    for (int i = 1; i < KEYS; i += 2) ask(&k, &g[i], i);

    for (int i = 0; i < KEYS; i++) {
        assert_got_number(&g[i], i);
        got_fini(&g[i]);
    }
    fini(&k);
}

static void a_key_may_go_before_its_value_is_asked_for(void **state) {
    (void)state;
    keyed k;
    got g;
    init(&k);
    df_key *key = test_key(5, 0, KEY_NO_CHANNEL);
    assert_int_equal(table_send(&k.t, key, &on_host, number(k.alloc, 3)), DF_OK);
    df_key_free(key);

    ask(&k, &g, 5);

    assert_got_number(&g, 3);
    got_fini(&g);
    fini(&k);
}

static void a_recv_needs_no_memory(void **state) {
    (void)state;
    keyed k;
    got waits, cancelled, ends;
    init(&k);
    assert_int_equal(send(&k, 1, 4), DF_OK);
    fault_fail_allocation(&k.heap, 1, FAULT_FOR_EVER);

    ask(&k, &waits, 0);
    ask(&k, &ends, 1);
    ask(&k, &cancelled, 2);
    table_cancel(&k.t, &cancelled.recv);
    table_abort(&k.t, &stop);

    assert_got_error(&waits, DF_UNAVAILABLE);
    assert_got_number(&ends, 4);
    assert_got_error(&cancelled, DF_CANCELLED);
    got_fini(&waits);
    got_fini(&ends);
    got_fini(&cancelled);
    fini(&k);
}

static void a_send_without_memory_has_not_happened(void **state) {
    (void)state;
    for (int copies = 0; copies < 2; copies++) {
        keyed k;
        got g;
        init(&k);
        df_tensor *t = number(k.alloc, 1);
        ask(&k, &g, 0);
        k.keys[0]->is_owned = !copies; /* a plan's key is not shared, but copied */
        for (size_t n = 1; n <= (copies ? 2 : 1); n++) {
            fault_fail_allocation(&k.heap, n, FAULT_ONCE); /* for the value; for its key */

            assert_int_equal(table_send(&k.t, k.keys[0], &on_host, df_tensor_ref(t)),
                             DF_RESOURCE_EXHAUSTED);

            assert_true(refcount_is_one(&t->refs));
            assert_int_equal(g.calls, 0);
        }
        assert_int_equal(table_send(&k.t, k.keys[0], &on_host, t), DF_OK);
        assert_got_number(&g, 1);
        got_fini(&g);
        k.keys[0]->is_owned = true;
        fini(&k);
    }
}

static void any_waiting_recv_can_be_cancelled(void **state) {
    (void)state;
    keyed k;
    got g[5];
    init(&k);
    for (int i = 0; i < 5; i++) ask(&k, &g[i], i % 2);

    table_cancel(&k.t, &g[2].recv);
    table_cancel(&k.t, &g[0].recv);
    table_cancel(&k.t, &g[4].recv);

    assert_int_equal(send(&k, 1, 1), DF_OK);
    assert_int_equal(send(&k, 1, 3), DF_OK);
    assert_int_equal(send(&k, 0, 9), DF_OK);
    for (int i = 0; i < 5; i++) {
        if (i % 2)
            assert_got_number(&g[i], i);
        else
            assert_got_error(&g[i], DF_CANCELLED);
        got_fini(&g[i]);
    }
    assert_int_equal(table_reset(&k.t), 1);
    fini(&k);
}

/* The first, one in the middle, and the last. */
static void those_beside_a_cancelled_recv_wait_in_their_order(void **state) {
    enum { ALL = 4 };
    (void)state;
    for (int gone = 0; gone < ALL; gone++) {
        keyed k;
        got g[ALL + 1];
        init(&k);
        for (int i = 0; i < ALL; i++) ask(&k, &g[i], 0);
        table_cancel(&k.t, &g[gone].recv);
        assert_got_error(&g[gone], DF_CANCELLED);
        got_fini(&g[gone]);
        ask(&k, &g[ALL], 0);
        for (int i = 0; i <= ALL; i++) {
            if (i == gone) continue;
            assert_int_equal(send(&k, 0, i), DF_OK);
            assert_got_number(&g[i], i);
        }
        for (int i = 0; i <= ALL; i++)
            if (i != gone) got_fini(&g[i]);
        assert_int_equal(table_reset(&k.t), 0);
        fini(&k);
    }
}

static void a_cancel_that_comes_first_is_remembered(void **state) {
    (void)state;
    keyed k;
    got g;
    init(&k);
    got_init(&g, k.keys[0], on_host);
    table_cancel(&k.t, &g.recv);
    table_recv(&k.t, &g.recv);
    assert_got_error(&g, DF_CANCELLED);
    got_fini(&g);
    fini(&k);
}

static void keys_of_one_hash_never_mix(void **state) {
    (void)state;
    keyed k;
    got g[2];
    init(&k);
    k.keys[1]->hash = k.keys[0]->hash;
    ask(&k, &g[0], 0);
    assert_int_equal(send(&k, 1, 11), DF_OK); /* not for who waits */
    ask(&k, &g[1], 1);
    assert_int_equal(send(&k, 0, 10), DF_OK);
    for (int i = 0; i < 2; i++) {
        assert_got_number(&g[i], 10 + i);
        got_fini(&g[i]);
    }
    fini(&k);
}

static void an_abort_closes_every_shard_until_the_reset(void **state) {
    (void)state;
    keyed k;
    static got g[KEYS];
    init(&k);
    for (int i = 0; i < KEYS; i++) {
        if (i % 3)
            ask(&k, &g[i], i);
        else
            assert_int_equal(send(&k, i, i), DF_OK);
    }

    table_abort(&k.t, &stop);

    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(send(&k, i, i), DF_UNAVAILABLE);
        if (i % 3 == 0) ask(&k, &g[i], i);
        assert_got_error(&g[i], DF_UNAVAILABLE);
        got_fini(&g[i]);
    }
    assert_int_equal(table_reset(&k.t), 0);
    assert_int_equal(send(&k, 0, 1), DF_OK);
    assert_int_equal(table_reset(&k.t), 1);
    fini(&k);
}

static void make_and_free(fault_allocator *f, void *arg) {
    table t;
    df_error err = {.code = DF_OK};
    (void)arg;
    df_code code = table_init(&t, &f->allocator, 4, 8, &err);
    if (code == DF_OK)
        table_fini(&t);
    else
        assert_int_equal(err.code, DF_RESOURCE_EXHAUSTED);
    assert_int_equal(code == DF_OK, fault_allocations_failed(f) == 0);
}

static void a_table_that_finds_no_memory_leaves_nothing(void **state) {
    (void)state;
    assert_int_equal(fault_each_allocation(make_and_free, NULL), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_keys_find_their_own_values),
        cmocka_unit_test(values_of_one_key_keep_their_order_among_others),
        cmocka_unit_test(keys_of_one_hash_find_their_own_values),
        cmocka_unit_test(a_key_may_go_before_its_value_is_asked_for),
        cmocka_unit_test(a_recv_needs_no_memory),
        cmocka_unit_test(a_send_without_memory_has_not_happened),
        cmocka_unit_test(any_waiting_recv_can_be_cancelled),
        cmocka_unit_test(those_beside_a_cancelled_recv_wait_in_their_order),
        cmocka_unit_test(a_cancel_that_comes_first_is_remembered),
        cmocka_unit_test(keys_of_one_hash_never_mix),
        cmocka_unit_test(an_abort_closes_every_shard_until_the_reset),
        cmocka_unit_test(a_table_that_finds_no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
