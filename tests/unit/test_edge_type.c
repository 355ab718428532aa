/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op/op.h"

#include <string.h>

static void dtype_and_shape_are_taken_as_they_are(void **state) {
    (void)state;
    edge_type t;
    assert_int_equal(edge_type_set(&t, DF_INT8, DF_SHAPE(2, -1, 0), NULL), DF_OK);
    assert_int_equal(t.dtype, DF_INT8);
    assert_true(shape_equal(edge_shape(&t), DF_SHAPE(2, -1, 0)));
    assert_int_equal(edge_type_set(&t, DF_STRING, DF_SCALAR, NULL), DF_OK);
    assert_int_equal(t.rank, 0);
    assert_int_equal(edge_type_set(&t, DF_FLOAT16, DF_SHAPE_UNKNOWN, NULL), DF_OK);
    assert_int_equal(t.rank, -1);
    assert_int_equal(edge_type_set(&t, DF_BOOL, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), NULL), DF_OK);
    assert_int_equal(t.rank, DF_MAX_RANK);
}

static void what_is_no_dtype_or_shape_is_refused_and_changes_nothing(void **state) {
    (void)state;
    const struct {
        df_dtype dtype;
        df_shape shape;
        const char *words;
    } cases[] = {
        {DF_DTYPE_NONE, DF_SCALAR, "dtype 0 is none"},
        {(df_dtype)12, DF_SCALAR, "dtype 12 is none"},
        {DF_INT8, DF_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), "0 to 8 dimensions"},
        {DF_INT8, {-2, NULL}, "0 to 8 dimensions"},
        {DF_INT8, DF_SHAPE(3, -2), "dimension 1 is -2"},
        {DF_INT8, {2, NULL}, "not 2 at NULL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        edge_type t;
        df_error err;
        assert_int_equal(edge_type_set(&t, DF_BOOL, DF_SHAPE(7), NULL), DF_OK);
        assert_int_equal(edge_type_set(&t, cases[i].dtype, cases[i].shape, &err),
                         DF_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, cases[i].words));
        assert_true(t.dtype == DF_BOOL && shape_equal(edge_shape(&t), DF_SHAPE(7)));
    }
}

static void types_seen_lately_are_kept_once(void **state) {
    (void)state;
    arena a;
    arena_init(&a, NULL);
    type_pool p = {.mem = &a};
    edge_type one[2], other[2];
    memset(one, 1, sizeof one); /* what lies beyond the rank means nothing */
    memset(other, 2, sizeof other);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(edge_type_set(&one[i], DF_INT8, DF_SHAPE(2, -1), NULL), DF_OK);
        assert_int_equal(edge_type_set(&other[i], DF_INT8, DF_SHAPE(2, -1), NULL), DF_OK);
    }
    const edge_type *kept = types_keep(&p, one, 2);
    assert_ptr_not_equal(kept, one);
    assert_ptr_equal(types_keep(&p, other, 2), kept);
    assert_ptr_not_equal(types_keep(&p, other, 1), kept);
    other[1].dims[0] = 3;
    const edge_type *different = types_keep(&p, other, 2);
    assert_ptr_not_equal(different, kept);
    assert_int_equal(different[1].dims[0], 3);
    other[0].rank = other[1].rank = -1;
    assert_int_equal(types_keep(&p, other, 2)->rank, -1);
    assert_non_null(types_keep(&p, NULL, 0));
    assert_int_equal(kept[1].dims[0], 2);
    arena_fini(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dtype_and_shape_are_taken_as_they_are),
        cmocka_unit_test(what_is_no_dtype_or_shape_is_refused_and_changes_nothing),
        cmocka_unit_test(types_seen_lately_are_kept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
