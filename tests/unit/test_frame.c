/* SPDX-License-Identifier: MIT
 *
 * The head of messages: what is written is read, on any machine from the same bytes, and what was
 * damaged is refused before any of it is believed.
 */
#include "transport/frame.h"
#include "transport/wire.h"

#include "base/crc.h"
#include "property/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const frame a_request = {FRAME_REQUEST, 3, 0x1122334455667788u, UINT64_C(5) << 32};

static df_code read_all(const unsigned char *head, const void *meta, frame *f, df_error *err) {
    df_code code = frame_decode(head, f, err);
    return code == DF_OK ? frame_check(head, f, meta, err) : code;
}

/* ---- numbers ----------------------------------------------------------------- */

static void numbers_lie_with_their_least_byte_first(void **state) {
    unsigned char bytes[15];
    wire_out out = {.at = bytes, .left = sizeof bytes};
    wire_in in = {.at = bytes, .left = sizeof bytes};
    (void)state;
    wire_put(&out, 0x0102, 2);
    wire_put(&out, 0x0a0b0c0d, 4);
    wire_put(&out, 0x1112131415161718u, 8);
    wire_put_bytes(&out, "z", 1);
    assert_false(out.failed);
    assert_memory_equal(bytes, "\2\1\x0d\x0c\x0b\x0a\x18\x17\x16\x15\x14\x13\x12\x11z", 15);
    assert_int_equal(wire_get(&in, 2), 0x0102);
    assert_int_equal(wire_get(&in, 4), 0x0a0b0c0d);
    assert_true(wire_get(&in, 8) == 0x1112131415161718u);
    assert_memory_equal(wire_get_bytes(&in, 1), "z", 1);
    assert_false(in.failed);
}

static void what_does_not_fit_is_neither_written_nor_read(void **state) {
    unsigned char bytes[4] = {1, 2, 3, 4};
    wire_out out = {.at = bytes, .left = 3};
    wire_in in = {.at = bytes, .left = 3};
    (void)state;
    assert_int_equal(wire_get(&in, 4), 0);
    assert_true(in.failed);
    assert_int_equal(wire_get(&in, 1), 0); /* and nothing more */
    assert_null(wire_get_bytes(&in, 0));
    in = (wire_in){.at = bytes, .left = 3};
    assert_null(wire_get_bytes(&in, (UINT64_C(1) << 32) + 1)); /* whatever a size_t holds */
    wire_put(&out, 0, 4);
    assert_true(out.failed);
    wire_put(&out, 0, 1);
    wire_put_bytes(&out, "xyz", 3);
    assert_memory_equal(bytes, "\1\2\3\4", 4);
}

static void a_short_checksum_is_the_long_one(void **state) {
    static unsigned char bytes[300];
    draws d = draws_of(7, 0);
    crc whole;
    (void)state;
    assert_int_equal(crc_few(0, "123456789", 9), 0xcbf43926); /* CRC-32's own check */
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)draw(&d);
    for (size_t n = 0; n <= sizeof bytes; n += 7) {
        crc_init(&whole);
        crc_add(&whole, bytes, n);
        assert_int_equal(crc_few(crc_few(0, bytes, n / 3), bytes + n / 3, n - n / 3), whole.value);
    }
}

/* ---- heads --------------------------------------------------------------------- */

static void a_head_has_the_same_bytes_everywhere(void **state) {
    static const unsigned char expected[FRAME_BYTES - 4] = {
        'd',  'f',  'l', 'o', 1, 0, 1, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
        0x22, 0x11, 0,   0,   0, 0, 5, 0, 0,    0,    3,    0,    0,    0};
    unsigned char head[FRAME_BYTES];
    (void)state;
    frame_encode(&a_request, "abc", head);
    assert_memory_equal(head, expected, sizeof expected);
    wire_in sum = {.at = head + 28, .left = 4};
    assert_int_equal(wire_get(&sum, 4), crc_few(crc_few(0, head, 28), "abc", 3));
}

static void what_is_written_is_read(void **state) {
    static const struct {
        frame f;
        const char *meta;
    } cases[] = {
        {{FRAME_REQUEST, 3, 9, 0}, "abc"},
        {{FRAME_REPLY, 0, UINT64_MAX, INT64_MAX}, ""},
        {{FRAME_ERROR, 16, 1, 0}, "0123456789abcdef"},
        {{FRAME_CANCEL, 0, 1, 0}, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char head[FRAME_BYTES];
        frame f;
        df_error err = {.code = DF_OK};
        frame_encode(&cases[i].f, cases[i].meta, head);
        assert_int_equal(read_all(head, cases[i].meta, &f, &err), DF_OK);
        assert_int_equal(f.kind, cases[i].f.kind);
        assert_int_equal(f.meta_bytes, cases[i].f.meta_bytes);
        assert_true(f.call == cases[i].f.call);
        assert_true(f.payload_bytes == cases[i].f.payload_bytes);
    }
}

static void any_bit_that_is_wrong_is_found(void **state) {
    (void)state;
    for (size_t bit = 0; bit < (FRAME_BYTES + 3) * 8; bit++) {
        unsigned char bytes[FRAME_BYTES + 3];
        frame f;
        df_error err = {.code = DF_OK};
        frame_encode(&a_request, "abc", bytes);
        memcpy(bytes + FRAME_BYTES, "abc", 3);
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1u << bit % 8);
        df_code code = frame_decode(bytes, &f, &err);
        if (code == DF_OK && f.meta_bytes == 3)
            code = frame_check(bytes, &f, bytes + FRAME_BYTES, &err);
        else if (code == DF_OK)
            continue; /* its engine waits for another number of bytes, and then finds it */
        bool is_version = bit / 8 == 4 || bit / 8 == 5;
        assert_int_equal(code, is_version ? DF_FAILED_PRECONDITION : DF_DATA_LOSS);
        assert_true(err.message[0] != '\0');
    }
}

/* With a checksum that is right, as who means harm would send them. */
static void what_no_engine_would_send_is_refused(void **state) {
    static const struct {
        frame f;
        uint8_t flags;
    } cases[] = {
        {{(frame_kind)0, 0, 1, 0}, 0},          {{(frame_kind)5, 0, 1, 0}, 0},
        {{FRAME_REQUEST, 0, 1, 0}, 1},          {{FRAME_REQUEST, DF_META_MAX + 1, 1, 0}, 0},
        {{FRAME_REQUEST, UINT32_MAX, 1, 0}, 0}, {{FRAME_REPLY, 0, 1, UINT64_C(1) << 63}, 0},
        {{FRAME_REPLY, 0, 1, UINT64_MAX}, 0},   {{FRAME_ERROR, 16, 1, 1}, 0},
        {{FRAME_ERROR, 15, 1, 0}, 0},           {{FRAME_ERROR, FRAME_ERROR_MAX + 1, 1, 0}, 0},
        {{FRAME_CANCEL, 0, 1, 1}, 0},           {{FRAME_CANCEL, 1, 1, 0}, 0},
    };
    static const unsigned char meta[DF_META_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char head[FRAME_BYTES];
        frame f = cases[i].f;
        df_error err = {.code = DF_OK};
        if (f.meta_bytes > DF_META_MAX) f.meta_bytes = 0;
        frame_encode(&f, meta, head);
        head[7] = cases[i].flags;
        wire_put(&(wire_out){.at = head + 24, .left = 4}, cases[i].f.meta_bytes, 4);
        wire_put(&(wire_out){.at = head + 28, .left = 4},
                 crc_few(crc_few(0, head, 28), meta, f.meta_bytes), 4);
        assert_int_equal(read_all(head, meta, &f, &err), DF_DATA_LOSS);
    }
}

static void another_version_is_named(void **state) {
    unsigned char head[FRAME_BYTES];
    frame f;
    df_error err = {.code = DF_OK};
    (void)state;
    frame_encode(&a_request, "abc", head);
    head[4] = 2;
    assert_int_equal(frame_decode(head, &f, &err), DF_FAILED_PRECONDITION);
    assert_string_equal(err.message, "a message of version 2; this process speaks version 1");
}

/* ---- errors, segments ------------------------------------------------------------- */

static void an_error_travels_word_for_word(void **state) {
    unsigned char meta[FRAME_ERROR_MAX];
    df_error why = {DF_OUT_OF_RANGE, DF_ERROR_DERIVED, 77, {0, 0}, "node y (Gather): index 9"}, got;
    (void)state;
    size_t n = frame_put_error(&why, meta);
    assert_int_equal(n, 16 + strlen(why.message));
    frame_get_error(meta, n, &got);
    assert_memory_equal(&got, &why, sizeof why);
    memset(why.message, 'x', sizeof why.message - 1);
    frame_get_error(meta, frame_put_error(&why, meta), &got);
    assert_memory_equal(&got, &why, sizeof why);
    memset(why.message, 'x', sizeof why.message); /* that has no end */
    frame_get_error(meta, frame_put_error(&why, meta), &got);
    assert_int_equal(strlen(got.message), sizeof got.message - 1);
}

static void an_error_of_any_bytes_is_an_error(void **state) {
    static unsigned char meta[2 * FRAME_ERROR_MAX];
    df_error got;
    (void)state;
    frame_get_error(meta, 0, &got);
    assert_int_equal(got.code, DF_UNKNOWN);
    frame_get_error(meta, 16, &got); /* OK is no error */
    assert_int_equal(got.code, DF_UNKNOWN);
    memset(meta, 0xff, sizeof meta);
    frame_get_error(meta, sizeof meta, &got);
    assert_int_equal(got.code, DF_UNKNOWN);
    assert_int_equal(strlen(got.message), sizeof got.message - 1);
}

static void segments_are_summed_without_overflow(void **state) {
    df_segment s[3] = {{NULL, INT64_MAX - 5, 0, 0}, {NULL, 5, 0, 0}, {NULL, 0, 0, 0}};
    uint64_t n = 1;
    (void)state;
    assert_true(frame_total((df_segments){NULL, 0}, &n));
    assert_true(n == 0);
    assert_true(frame_total((df_segments){s, 3}, &n));
    assert_true(n == INT64_MAX);
    s[2].bytes = 1;
    assert_false(frame_total((df_segments){s, 3}, &n));
    s[2].bytes = UINT64_MAX;
    assert_false(frame_total((df_segments){s, 3}, &n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_lie_with_their_least_byte_first),
        cmocka_unit_test(what_does_not_fit_is_neither_written_nor_read),
        cmocka_unit_test(a_short_checksum_is_the_long_one),
        cmocka_unit_test(a_head_has_the_same_bytes_everywhere),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(any_bit_that_is_wrong_is_found),
        cmocka_unit_test(what_no_engine_would_send_is_refused),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(an_error_travels_word_for_word),
        cmocka_unit_test(an_error_of_any_bytes_is_an_error),
        cmocka_unit_test(segments_are_summed_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
