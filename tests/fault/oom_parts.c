/* SPDX-License-Identifier: MIT
 *
 * Parts that are used by themselves: tensors, keys, graphs and their texts, a rendezvous.
 */
#include "fault/oom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- tensors ------------------------------------------------------------- */

static void count_release(void *user, void *data) {
    (void)data;
    ++*(int *)user;
}

static void use_tensors(fault_allocator *f, void *arg) {
    (void)arg;
    const df_string words[] = {{"some words that are longer than a header", 40}, {NULL, 0}};
    int64_t numbers[100] = {1, 2, 3};
    int released = 0;
    df_tensor *t[4];
    df_error err;
    OOM_UNTIL_OK(f, err, df_tensor_new(&f->allocator, DF_FLOAT32, DF_SHAPE(10, 100), &t[0], &err));
    OOM_UNTIL_OK(f, err,
                 df_tensor_from(&f->allocator, DF_INT64, DF_SHAPE(100), numbers, &t[1], &err));
    OOM_UNTIL_OK(f, err, df_tensor_from(&f->allocator, DF_STRING, DF_SHAPE(2), words, &t[2], &err));
    OOM_UNTIL_OK(f, err,
                 df_tensor_wrap(&f->allocator, DF_INT64, DF_SHAPE(100), numbers, count_release,
                                &released, &t[3], &err));
    assert_int_equal(released, 0); /* by none of the calls that have failed */
    for (int i = 0; i < 4; i++) OOM_WITHOUT(f, df_tensor_unref(t[i]));
    assert_int_equal(released, 1);
}

size_t oom_in_tensors(void) {
    return fault_each_allocation(use_tensors, NULL);
}

/* ---- keys ---------------------------------------------------------------- */

static const char key_text[] = "/job:localhost/task:0/device:CPU:0;00000000deadbeef;"
                               "/job:localhost/task:0/device:SIM:0;y:0;0:0";

static df_key *key_of(fault_allocator *f) {
    df_key *key = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_key_parse(&f->allocator, key_text, &key, &err));
    return key;
}

static void use_key(fault_allocator *f, void *arg) {
    (void)arg;
    char printed[sizeof key_text];
    df_key *key = key_of(f);
    OOM_WITHOUT(f, assert_int_equal(df_key_text(key, printed, sizeof printed), strlen(key_text)));
    assert_string_equal(printed, key_text);
    OOM_WITHOUT(f, df_key_free(key));
}

size_t oom_in_keys(void) {
    return fault_each_allocation(use_key, NULL);
}

/* ---- graphs -------------------------------------------------------------- */

static void build_much(df_graph *g) {
    df_graph_scope(g, "layer");
    df_graph_on(g, "cpu:1");
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(-1, 8));
    df_out w = df_variable(g, "w", DF_FLOAT32, DF_SHAPE(8, 8));
    df_out y = df_matmul(g, x, w);
    df_graph_scope_end(g);
    df_node *parts = df_split(g, y, 4, 1, NULL);
    df_out all[20];
    for (int i = 0; i < 20; i++) all[i] = df_node_output(parts, i % 4);
    df_out wide = df_concat(g, (df_outs){all, 20}, 1);
    df_control(g, df_no_op(g), wide.node);
    df_colocate(g, wide.node, parts);
    (void)oom_named(g, "end", df_sum(g, wide, NULL, 0, false));
}

/* 0: there was no memory. */
static size_t length(fault_allocator *f, size_t n) {
    if (n > 0) return n;
    assert_true(fault_allocations_failed(f) > 0);
    fault_fail_allocation(f, 0, FAULT_ONCE);
    return 0;
}

/* To be freed. */
static char *text_of(fault_allocator *f, size_t (*print)(const df_graph *, char *, size_t),
                     const df_graph *g) {
    size_t n;
    while ((n = length(f, print(g, NULL, 0))) == 0) continue;
    char *words = test_malloc(n + 1);
    while (length(f, print(g, words, n + 1)) != n) continue;
    return words;
}

static void build_and_look(fault_allocator *f, void *arg) {
    (void)arg;
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = oom_graph(f, rt, build_much);
    char *words = text_of(f, df_graph_print, g), *drawn = text_of(f, df_graph_dot, g);
    assert_non_null(strstr(words, "layer/w"));
    assert_non_null(strstr(drawn, "layer/w"));
    assert_string_equal(df_node_name(df_graph_find(g, "layer/x")), "layer/x");
    test_free(words);
    test_free(drawn);
    OOM_WITHOUT(f, df_graph_free(g));
    df_runtime_free(rt);
}

size_t oom_in_build(void) {
    return fault_each_allocation(build_and_look, NULL);
}

static void parse(fault_allocator *f, void *arg) {
    (void)arg;
    static const char words[] = "x = Placeholder() {dtype=float32, shape=[?,8]} on cpu:1\n"
                                "s = Const() {value=string[2](\"a\",\"b\")}\n"
                                "n = NoOp(^y)\n"
                                "y = Sum(x, ^s) {axes=[0], keep_dims=false} with x : float32[8]\n";
    df_runtime *rt = oom_runtime(f, 0);
    df_graph *g = NULL, *none = NULL;
    df_error err = {.code = DF_OK};
    OOM_UNTIL_OK(f, err, df_graph_parse(rt, words, sizeof words - 1, &g, &err));
    char *printed = text_of(f, df_graph_print, g);
    assert_non_null(strstr(printed, "n = NoOp(^y)"));
    test_free(printed);
    /* what is wrong with a text is found, or there was no memory to look */
    while (df_graph_parse(rt, words, 40, &none, &err) == DF_RESOURCE_EXHAUSTED)
        assert_true(oom_again(f, err.code, &err));
    assert_int_equal(err.code, DF_INVALID_ARGUMENT);
    assert_null(none);
    df_graph_free(g);
    df_runtime_free(rt);
}

size_t oom_in_parse(void) {
    return fault_each_allocation(parse, NULL);
}

/* ---- a rendezvous -------------------------------------------------------- */

typedef struct meeting {
    df_recv recv; /* first */
    int calls;
    df_code code;
    df_tensor *tensor;
} meeting;

static void met(df_recv *r, const df_error *err, df_tensor *tensor) {
    meeting *m = (meeting *)r;
    m->calls++;
    m->code = err ? err->code : DF_OK;
    m->tensor = tensor;
}

static df_rendezvous *rendezvous_of(fault_allocator *f) {
    df_rendezvous *r = NULL;
    df_error err;
    OOM_UNTIL_OK(f, err, df_rendezvous_new_local(&f->allocator, &r, &err));
    return r;
}

static const df_endpoint host = {.memory = DF_MEMORY_HOST};

/* A send has no words for its error. */
static void send(fault_allocator *f, df_rendezvous *r, const df_key *key, df_tensor *t) {
    while (df_rendezvous_send(r, key, &host, t) != DF_OK) {
        assert_true(fault_allocations_failed(f) > 0);
        fault_fail_allocation(f, 0, FAULT_ONCE);
    }
}

static void meet(fault_allocator *f, void *arg) {
    (void)arg;
    df_rendezvous *r = rendezvous_of(f);
    df_key *key = key_of(f);
    df_tensor *t[2] = {run_scalar(NULL, 1), run_scalar(NULL, 2)};
    meeting m[2] = {{.recv = {.key = key, .to = host, .done = met}},
                    {.recv = {.key = key, .to = host, .done = met}}};
    OOM_WITHOUT(f, df_rendezvous_recv(r, &m[0].recv)); /* it waits without memory */
    send(f, r, key, t[0]);
    send(f, r, key, t[1]);
    OOM_WITHOUT(f, df_rendezvous_recv(r, &m[1].recv));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(m[i].calls, 1);
        assert_ptr_equal(m[i].tensor, t[i]);
        df_tensor_unref(m[i].tensor);
        df_tensor_unref(t[i]);
    }
    OOM_WITHOUT(f, df_rendezvous_unref(r));
    df_key_free(key);
}

size_t oom_in_rendezvous(void) {
    return fault_each_allocation(meet, NULL);
}

/* A value that nobody fetches, a recv that is cancelled, one that waits, an abort. */
static void end_without_memory(fault_allocator *f, void *arg) {
    (void)arg;
    df_rendezvous *r = rendezvous_of(f);
    df_key *key = key_of(f), *other = NULL;
    df_error err, why = {.code = DF_ABORTED, .message = "the end"};
    OOM_UNTIL_OK(f, err,
                 df_key_parse(&f->allocator,
                              "/job:localhost/task:0/device:CPU:0;0000000000000000;"
                              "/job:localhost/task:0/device:CPU:0;z:0;0:0",
                              &other, &err));
    df_tensor *t = run_scalar(NULL, 1);
    meeting m[3] = {{.recv = {.key = key, .to = host, .done = met}},
                    {.recv = {.key = key, .to = host, .done = met}},
                    {.recv = {.key = key, .to = host, .done = met}}};
    send(f, r, other, t);
    OOM_WITHOUT(f, {
        df_rendezvous_recv(r, &m[0].recv);
        df_rendezvous_recv(r, &m[1].recv);
        df_rendezvous_cancel(r, &m[0].recv);
        df_rendezvous_abort(r, &why);
        df_rendezvous_recv(r, &m[2].recv);
        assert_int_equal(df_rendezvous_send(r, key, &host, t), DF_ABORTED);
    });
    static const df_code codes[] = {DF_CANCELLED, DF_ABORTED, DF_ABORTED};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(m[i].calls, 1);
        assert_int_equal(m[i].code, codes[i]);
        assert_null(m[i].tensor);
    }
    OOM_WITHOUT(f, df_rendezvous_unref(r));
    df_tensor_unref(t);
    df_key_free(other);
    df_key_free(key);
}

size_t oom_in_rendezvous_ends(void) {
    return fault_each_allocation(end_without_memory, NULL);
}
