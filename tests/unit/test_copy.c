/* SPDX-License-Identifier: MIT
 *
 * The copy engine beside a copy of one element at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/copy.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16, MOST = 4096 };

static unsigned char source[ROOM], target[ROOM], expected[ROOM];

static void fill_with_junk(void) {
    for (int i = 0; i < ROOM; i++) source[i] = (unsigned char)rand();
    memset(target, 0xA5, sizeof target);
    memset(expected, 0xA5, sizeof expected);
}

/* Into `expected`. */
static void copy_slowly(size_t size, const copy_dim *dims, int rank, int64_t from, int64_t to) {
    if (rank == 0) {
        memcpy(expected + (size_t)to * size, source + (size_t)from * size, size);
        return;
    }
    for (int64_t i = 0; i < dims->n; i++)
        copy_slowly(size, dims + 1, rank - 1, from + i * dims->from, to + i * dims->to);
}

/* Steps for these sizes, in a random order of dimensions, sometimes with gaps or, if it may be,
 * repeated. */
static void random_steps(const copy_dim *dims, int rank, bool may_repeat, int64_t *steps) {
    int order[COPY_RANK];
    int64_t run = rand() % 4 ? 1 : rand() % 3 + 1;
    bool in_order = rand() % 3 == 0;
    for (int d = 0; d < rank; d++) {
        int swap = rand() % (d + 1);
        order[d] = d;
        if (in_order) continue;
        order[d] = order[swap];
        order[swap] = d;
    }
    for (int d = rank - 1; d >= 0; d--) {
        const copy_dim *dim = &dims[order[d]];
        steps[order[d]] = run;
        if (may_repeat && rand() % 6 == 0)
            steps[order[d]] = 0;
        else
            run *= dim->n + (rand() % 5 == 0);
    }
}

static int random_dims(copy_dim *dims, size_t size) {
    int64_t from[COPY_RANK], to[COPY_RANK], elements = 1;
    int rank = rand() % 7;
    for (int d = 0; d < rank; d++) {
        int64_t most = MOST / 8 / elements / (int64_t)size,
                n = rand() % 3 ? rand() % 4 : rand() % 40;
        if (rank == 2 && rand() % 2) n = rand() % 40;
        dims[d].n = rand() % 30 == 0 ? 0 : n == 0 ? 1 : n > most ? most > 0 ? most : 1 : n;
        if (dims[d].n) elements *= dims[d].n;
    }
    random_steps(dims, rank, true, from);
    random_steps(dims, rank, false, to);
    for (int d = 0; d < rank; d++) {
        dims[d].from = from[d];
        dims[d].to = to[d];
    }
    return rank;
}

static void any_copy_is_as_one_element_at_a_time(void **state) {
    (void)state;
    srand(3);
    for (int round = 0; round < 3000; round++) {
        copy_dim dims[COPY_RANK];
        size_t size = (size_t)1 << rand() % 4;
        int rank = random_dims(dims, size);
        if (round % 100 == 0) fill_with_junk();
        copy_slowly(size, dims, rank, 0, 0);
        copy_strided(size, dims, rank, source, target);
        if (memcmp(target, expected, sizeof target) != 0) fail_msg("round %d", round);
    }
}

static void sixteen_dimensions_are_copied(void **state) {
    (void)state;
    copy_dim dims[COPY_RANK];
    srand(4);
    fill_with_junk();
    /* No two are one run: each second one repeats. */
    for (int d = 0; d < COPY_RANK; d++)
        dims[d] = (copy_dim){2, d % 2 ? 1 << (15 - d) / 2 : 0, 1 << (15 - d)};
    copy_slowly(1, dims, COPY_RANK, 0, 0);
    copy_strided(1, dims, COPY_RANK, source, target);
    assert_memory_equal(target, expected, sizeof target);
}

static void filled_is_every_element_and_none_besides(void **state) {
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 7, 100, 2047, 2048, 2049, 4097, 8191};
    srand(5);
    for (size_t size = 1; size <= 8; size *= 2)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            int64_t n = counts[k] * 8 / (int64_t)size;
            fill_with_junk();
            for (int64_t i = 0; i < n; i++) memcpy(expected + (size_t)i * size, source, size);
            copy_fill(size, source, n, target);
            assert_memory_equal(target, expected, sizeof target);
        }
}

static void rows_are_copied_by_their_indices(void **state) {
    (void)state;
    static const int64_t wide[] = {3, 0, 3, 100};
    static const int32_t narrow[] = {3, 0, 3, 100};
    df_tensor by[] = {{.dtype = DF_INT64, .elements = 4, .data = (void *)(uintptr_t)wide},
                      {.dtype = DF_INT32, .elements = 4, .data = (void *)(uintptr_t)narrow}};
    static const size_t sizes[] = {1, 2, 4, 8, 12, 100};
    srand(6);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int j = 0; j < 2; j++) {
            size_t bytes = sizes[k];
            fill_with_junk();
            for (size_t i = 0; i < 4; i++)
                memcpy(expected + i * bytes, source + (size_t)wide[i] * bytes, bytes);
            copy_rows(bytes, &by[j], source, target);
            assert_memory_equal(target, expected, sizeof target);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_copy_is_as_one_element_at_a_time),
        cmocka_unit_test(sixteen_dimensions_are_copied),
        cmocka_unit_test(filled_is_every_element_and_none_besides),
        cmocka_unit_test(rows_are_copied_by_their_indices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
