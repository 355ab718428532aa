/* SPDX-License-Identifier: MIT
 *
 * Values as one payload, and what comes as one and is none.
 */
#include "cluster/pack.h"

#include "rendezvous/strings.h"
#include "unit/tensor_world.h"

#include <stdlib.h>

enum { ITEMS = 4, NUMBERS = 1, WORDS = 2, NOTHING = 3, ROOM = 512 };

static const char text[] = "about this step";

/* The payload of a text, two numbers, two words and no words at all: how many bytes, up to ROOM. */
static size_t packed(world *w, unsigned char bytes[ROOM]) {
    static float numbers[2] = {1.5f, -2};
    static const df_string strings[2] = {{"to be", 5}, {"", 0}};
    static const int64_t two = 2, none = 0;
    pack_item items[ITEMS] = {{.bytes = text, .n_bytes = sizeof text}};
    const df_allocator *alloc = &w->f.allocator;
    pack p;
    size_t n = 0;
    assert_int_equal(df_tensor_wrap(alloc, DF_FLOAT32, (df_shape){1, &two}, numbers, NULL, NULL,
                                    &items[NUMBERS].tensor, NULL),
                     DF_OK);
    assert_int_equal(
        df_tensor_from(alloc, DF_STRING, (df_shape){1, &two}, strings, &items[WORDS].tensor, NULL),
        DF_OK);
    assert_int_equal(df_tensor_from(alloc, DF_STRING, (df_shape){1, &none}, strings,
                                    &items[NOTHING].tensor, NULL),
                     DF_OK);
    assert_int_equal(pack_make(alloc, items, ITEMS, &p, NULL), DF_OK);
    for (size_t i = 0; i < p.segments.n; i++) {
        const df_segment *s = &p.segments.at[i];
        assert_true(n + s->bytes <= ROOM);
        memcpy(bytes + n, s->at, (size_t)s->bytes);
        n += (size_t)s->bytes;
    }
    pack_free(&p);
    for (int i = 0; i < ITEMS; i++) df_tensor_unref(items[i].tensor);
    return n;
}

static df_code opened(world *w, const unsigned char *bytes, size_t n, pack_items *items,
                      df_error *err) {
    df_tensor *whole;
    assert_int_equal(pack_receive(w->host, n, &whole, NULL), DF_OK);
    memcpy(whole->data, bytes, n);
    df_code code = pack_open(w->host, whole, items, err);
    df_tensor_unref(whole);
    return code;
}

static void what_was_packed_comes_out(void **state) {
    (void)state;
    world w;
    unsigned char bytes[ROOM];
    pack_items all;
    df_error err = {.code = DF_OK};
    world_init(&w);
    size_t n = packed(&w, bytes);

    if (opened(&w, bytes, n, &all, &err) != DF_OK) fail_msg("%s", err.message);

    const pack_item *i = all.items;
    assert_int_equal(all.n, ITEMS);
    assert_null(i[0].tensor);
    assert_int_equal(i[0].n_bytes, sizeof text);
    const df_tensor *numbers = i[NUMBERS].tensor, *strings = i[WORDS].tensor;
    assert_int_equal(numbers->dtype, DF_FLOAT32);
    assert_int_equal(numbers->elements, 2);
    assert_int_equal((uintptr_t)numbers->data % 64, 0);
    assert_true(((const float *)numbers->data)[1] == -2);
    const df_string *word = strings->data;
    assert_int_equal(strings->elements, 2);
    assert_int_equal(word[0].size, 5);
    assert_memory_equal(word[0].data, "to be", 5);
    assert_int_equal(word[1].size, 0);
    assert_int_equal(i[NOTHING].tensor->elements, 0);
    pack_close(&all);
    world_end(&w);
}

static void a_message_that_ends_early_is_lost_data(void **state) {
    (void)state;
    world w;
    unsigned char bytes[ROOM];
    pack_items all;
    world_init(&w);
    size_t n = packed(&w, bytes);
    for (size_t left = 0; left < n; left++)
        assert_int_equal(opened(&w, bytes, left, &all, NULL), DF_DATA_LOSS);
    assert_int_equal(opened(&w, bytes, n + 1, &all, NULL), DF_DATA_LOSS);
    world_end(&w);
}

/* Whether it is refused or makes other values: nothing is touched that is not there. */
static void any_bytes_may_have_come(void **state) {
    (void)state;
    world w;
    unsigned char bytes[ROOM];
    pack_items all;
    int refused = 0;
    world_init(&w);
    size_t n = packed(&w, bytes);
    for (size_t at = 0; at < n; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (unsigned char)(1 << bit);
            if (opened(&w, bytes, n, &all, NULL) == DF_OK)
                pack_close(&all);
            else
                refused++;
            bytes[at] ^= (unsigned char)(1 << bit);
        }
    assert_in_range(refused, 1, 8 * n - 1);
    world_end(&w);
}

/* A message of n items, and the first of them: how long it is so far. */
static size_t head_of(unsigned char bytes[ROOM], uint32_t n, bool is_tensor, int rank,
                      uint64_t n_bytes) {
    wire_out w = {.at = bytes, .left = ROOM};
    memset(bytes, 0, ROOM);
    wire_put(&w, n, 4);
    wire_put(&w, is_tensor, 1);
    wire_put(&w, is_tensor ? DF_INT32 : 0, 1);
    wire_put(&w, (uint64_t)rank, 1);
    wire_put(&w, 0, 1);
    wire_put(&w, n_bytes, 8);
    for (int d = 0; d < rank; d++) wire_put(&w, 1, 8);
    return ROOM - w.left;
}

static void refuse_message(world *w, const unsigned char *bytes, size_t n, const char *why) {
    pack_items all;
    df_error err = {.code = DF_OK};
    assert_int_equal(opened(w, bytes, n, &all, &err), DF_DATA_LOSS);
    assert_non_null(strstr(err.message, why));
}

/* Values begin at 64, or a multiple. */
static void an_item_must_be_there_and_as_long_as_its_shape(void **state) {
    (void)state;
    world w;
    unsigned char bytes[ROOM];
    pack_items all;
    world_init(&w);
    refuse_message(&w, bytes, head_of(bytes, 1, false, 0, 1),
                   "shorter than it says"); /* it would begin behind the end */
    (void)head_of(bytes, 1, false, 0, 10);
    refuse_message(&w, bytes, 64 + 9, "shorter than it says");
    (void)head_of(bytes, 1, true, 0, 8);
    refuse_message(&w, bytes, 64 + 8, "of so many bytes");
    (void)head_of(bytes, 1, true, DF_MAX_RANK, 4);
    assert_int_equal(opened(&w, bytes, 128 + 4, &all, NULL), DF_OK);
    pack_close(&all);
    (void)head_of(bytes, 1, true, DF_MAX_RANK + 1, 4);
    refuse_message(&w, bytes, 128 + 4, "shorter than it says");
    world_end(&w);
}

static void a_message_has_so_many_items_and_no_more(void **state) {
    (void)state;
    enum { HEAD = 4, EACH = 12, MANY = PACK_MOST + 1 };
    world w;
    pack p;
    pack_items all;
    df_error err = {.code = DF_OK};
    world_init(&w);
    pack_item *items = calloc(MANY, sizeof *items);
    unsigned char *bytes = calloc(HEAD + EACH * MANY, 1);
    assert_true(items && bytes);
    assert_int_equal(pack_make(&w.f.allocator, items, PACK_MOST, &p, NULL), DF_OK);
    pack_free(&p);
    assert_int_equal(pack_make(&w.f.allocator, items, MANY, &p, &err), DF_INVALID_ARGUMENT);
    pack_free(&p);
    wire_out o = {.at = bytes, .left = HEAD};
    wire_put(&o, PACK_MOST, HEAD);
    assert_int_equal(opened(&w, bytes, HEAD + EACH * PACK_MOST, &all, NULL), DF_OK);
    pack_close(&all);
    o = (wire_out){.at = bytes, .left = HEAD};
    wire_put(&o, MANY, HEAD);
    refuse_message(&w, bytes, HEAD + EACH * MANY, "without its head");
    free(items);
    free(bytes);
    world_end(&w);
}

/* ---- strings alone ------------------------------------------------------------------ */

static void refuse(world *w, int64_t n, const void *bytes, size_t size, const char *why) {
    df_tensor *t = NULL;
    df_error err = {.code = DF_OK};
    df_code code = strings_get(&w->f.allocator, (df_shape){1, &n}, bytes, size, &t, &err);
    assert_int_equal(code, DF_DATA_LOSS);
    assert_non_null(strstr(err.message, why));
    assert_null(t);
}

static void strings_that_do_not_fill_their_bytes_are_lost_data(void **state) {
    (void)state;
    static const unsigned char one[] = {2, 0, 0, 0, 0, 0, 0, 0, 'h', 'i', '!'};
    world w;
    world_init(&w);
    refuse(&w, 1, one, 7, "fewer than their shape");
    refuse(&w, 2, one, sizeof one, "fewer than their shape");
    refuse(&w, -1, one, sizeof one, "fewer than their shape");
    refuse(&w, INT64_MAX, one, sizeof one, "fewer than their shape");
    refuse(&w, 1, one, 9, "not as long as they say");
    refuse(&w, 1, one, sizeof one, "not as long as they say");
    refuse(&w, 0, one, sizeof one, "not as long as they say");
    world_end(&w);
}

static void strings_need_memory(void **state) {
    (void)state;
    static const unsigned char one[] = {2, 0, 0, 0, 0, 0, 0, 0, 'h', 'i'};
    const int64_t n = 1;
    world w;
    df_tensor *t = NULL;
    world_init(&w);
    for (size_t k = 1; k <= 2; k++) {
        fault_fail_allocation(&w.f, k, FAULT_ONCE);
        assert_int_equal(strings_get(&w.f.allocator, (df_shape){1, &n}, one, sizeof one, &t, NULL),
                         DF_RESOURCE_EXHAUSTED);
        assert_null(t);
    }
    fault_fail_allocation(&w.f, 0, FAULT_ONCE);
    assert_int_equal(strings_get(&w.f.allocator, (df_shape){1, &n}, one, sizeof one, &t, NULL),
                     DF_OK);
    df_tensor_unref(t);
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_out),
        cmocka_unit_test(a_message_that_ends_early_is_lost_data),
        cmocka_unit_test(any_bytes_may_have_come),
        cmocka_unit_test(an_item_must_be_there_and_as_long_as_its_shape),
        cmocka_unit_test(a_message_has_so_many_items_and_no_more),
        cmocka_unit_test(strings_that_do_not_fill_their_bytes_are_lost_data),
        cmocka_unit_test(strings_need_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
