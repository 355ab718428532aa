/* SPDX-License-Identifier: MIT
 *
 * A million nodes, one behind another, on a thread whose stack holds no recursion. What went down
 * the graph node by node would end there. By the public headers alone.
 */
#include "support/check.h"
#include "support/crew.h"
#include "support/scale.h"
#include "unit/bad_world.h"

#include <limits.h>
#include <stdlib.h>

enum { NODES = 1000000 };

typedef struct deep {
    check check;
    df_allocator memory;
    size_t n, blocks, bytes; /* what is live */
} deep;

/* Only counts: a fault_allocator's books are for fewer blocks. */
static void *take(void *user, size_t bytes, size_t alignment) {
    deep *d = user;
    void *block = NULL;
    if (posix_memalign(&block, alignment, bytes) != 0) return NULL;
    d->blocks++;
    d->bytes += bytes;
    return block;
}

static void give(void *user, void *block, size_t bytes, size_t alignment) {
    deep *d = user;
    (void)alignment;
    d->blocks--;
    d->bytes -= bytes;
    free(block);
}

/* ---- a small stack -------------------------------------------------------- */

static void on_a_small_stack(void *(*body)(void *arg)) {
    deep d = {.n = test_scaled(NODES)};
    check_init(&d.check);
    d.memory =
        (df_allocator){.struct_size = sizeof d.memory, .user = &d, .alloc = take, .free = give};
    crew_on_a_small_stack(body, &d);
    check_end(&d.check);
    assert_int_equal(d.blocks, 0);
    assert_int_equal(d.bytes, 0);
}

static df_runtime *open_runtime(deep *d) {
    const df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:2", .allocator = &d->memory};
    df_runtime *rt = NULL;
    CHECK_EQUAL(&d->check, df_runtime_new(&o, &rt, NULL), DF_OK);
    return rt;
}

static void ok(deep *d, df_code code, const df_error *err) {
    (void)check_that(&d->check, code == DF_OK, __FILE__, __LINE__, "%.200s", err->message);
}

/* ---- a chain -------------------------------------------------------------- */

/* x + 1 + 1 ... over two devices, each behind the one before by a control edge as well. */
static df_out chain(df_graph *g, df_out x, size_t n, df_node **first) {
    df_out one = df_const_int(g, DF_INT64, 1);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || i == n / 2) df_graph_on(g, i ? "cpu:1" : "cpu:0");
        df_out y = df_add(g, x, one);
        if (i == 0)
            *first = y.node;
        else
            df_control(g, x.node, y.node);
        x = y;
    }
    df_graph_on(g, NULL);
    return x;
}

static void run(deep *d, df_program *p, int64_t expected) {
    df_tensor *fed = NULL, *result = NULL;
    int64_t seven = 7;
    df_error err = {.code = DF_OK};
    ok(d, df_tensor_from(NULL, DF_INT64, DF_SCALAR, &seven, &fed, &err), &err);
    ok(d, df_program_run(p, DF_TENSORS(fed), &result, NULL, &err), &err);
    if (CHECK(&d->check, result != NULL))
        CHECK_EQUAL(&d->check, *(int64_t *)df_tensor_data(result), expected);
    df_tensor_unref(fed);
    df_tensor_unref(result);
}

/* Printed, drawn, explained, and read again. */
static void look(deep *d, df_runtime *rt, const df_graph *g, const df_program *p) {
    size_t size = df_graph_print(g, NULL, 0);
    char *words = malloc(size + 1);
    df_graph *again = NULL;
    df_error err = {.code = DF_OK};
    if (!CHECK(&d->check, words != NULL)) return;
    CHECK_EQUAL(&d->check, df_graph_print(g, words, size + 1), size);
    ok(d, df_graph_parse(rt, words, size, &again, &err), &err);
    CHECK_EQUAL(&d->check, df_graph_nodes(again), df_graph_nodes(g));
    CHECK_EQUAL(&d->check, df_graph_print(again, NULL, 0), size);
    df_graph_free(again);
    free(words);
    CHECK(&d->check, df_graph_dot(g, NULL, 0) > 0);
    CHECK(&d->check, df_program_print(p, NULL, 0) > 0);
    CHECK(&d->check, df_program_dot(p, NULL, 0) > 0);
    CHECK(&d->check, df_program_explain(p, DF_EXPLAIN_TEXT, NULL, 0) > 0);
}

static void *go_down_a_chain(void *arg) {
    deep *d = arg;
    df_runtime *rt = open_runtime(d);
    df_graph *g = df_graph_new(rt);
    df_session *s = NULL;
    df_program *p = NULL;
    df_error err = {.code = DF_OK};
    df_node *first;
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR), y = chain(g, x, d->n, &first);
    ok(d, df_session_new(g, NULL, &s, &err), &err);
    ok(d, df_session_compile(s, DF_OUTS(x), DF_OUTS(y), NULL, &p, &err), &err);
    if (p) {
        run(d, p, 7 + (int64_t)d->n);
        run(d, p, 7 + (int64_t)d->n);
        look(d, rt, g, p);
    }
    df_graph_free(g);
    df_session_free(s);
    df_program_free(p);
    df_runtime_free(rt);
    return NULL;
}

static void a_chain_of_a_million_nodes_takes_no_stack(void **state) {
    (void)state;
    on_a_small_stack(go_down_a_chain);
}

/* ---- a cycle -------------------------------------------------------------- */

static void *go_round_a_cycle(void *arg) {
    deep *d = arg;
    df_runtime *rt = open_runtime(d);
    df_graph *g = df_graph_new(rt);
    df_session *s = NULL;
    df_program *p = NULL;
    df_error err = {.code = DF_OK};
    df_node *first;
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR), y = chain(g, x, d->n, &first);
    df_out beside = df_neg(g, x);
    df_control(g, y.node, first);
    ok(d, df_session_new(g, NULL, &s, &err), &err);
    df_code code = df_session_compile(s, DF_OUTS(x), DF_OUTS(y), NULL, &p, &err);
    CHECK_EQUAL(&d->check, code, DF_INVALID_ARGUMENT);
    CHECK(&d->check, p == NULL);
    CHECK(&d->check, strncmp(err.message, "cycle: Add", 10) == 0);
    CHECK(&d->check, strstr(err.message, "remove a control edge") != NULL);
    ok(d, df_session_compile(s, DF_OUTS(x), DF_OUTS(beside), NULL, &p, &err), &err);
    if (p) run(d, p, -7);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    return NULL;
}

static void a_cycle_of_a_million_nodes_is_named_and_takes_no_stack(void **state) {
    (void)state;
    on_a_small_stack(go_round_a_cycle);
}

/* ---- a group, and scopes --------------------------------------------------- */

static void *go_through_a_group(void *arg) {
    deep *d = arg;
    df_runtime *rt = open_runtime(d);
    df_graph *g = df_graph_new(rt);
    df_session *s = NULL;
    df_program *p = NULL;
    df_error err = {.code = DF_OK};
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR), y = df_neg(g, x);
    df_node *last = y.node;
    for (size_t i = 0; i < d->n; i++) {
        df_graph_scope(g, NULL);
        df_node *n = df_no_op(g);
        df_colocate(g, last, n);
        last = n;
    }
    for (size_t i = 0; i < d->n; i++) df_graph_scope_end(g);
    df_control(g, last, y.node);
    ok(d, df_session_new(g, NULL, &s, &err), &err);
    ok(d, df_session_compile(s, DF_OUTS(x), DF_OUTS(y), NULL, &p, &err), &err);
    if (p) run(d, p, -7);
    CHECK(&d->check, df_graph_print(g, NULL, 0) > 0);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    return NULL;
}

static void a_group_of_a_million_nodes_takes_no_stack(void **state) {
    (void)state;
    on_a_small_stack(go_through_a_group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_of_a_million_nodes_takes_no_stack),
        cmocka_unit_test(a_cycle_of_a_million_nodes_is_named_and_takes_no_stack),
        cmocka_unit_test(a_group_of_a_million_nodes_takes_no_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
