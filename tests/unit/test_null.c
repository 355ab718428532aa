/* SPDX-License-Identifier: MIT
 *
 * NULL in the place of anything that points, in every public call: a code and words, or nothing,
 * and never a crash. So who did not look at the first error meets no second one that is worse.
 * (What the library itself gives to kernels and infer functions is never NULL.)
 *
 * The builder's calls, which stick to the first mistake: test_graph.c and test_ops.c, where
 * every one of them is given a NULL graph; test_bad_input.c for NULLs in a good one.
 */
#include "unit/bad_world.h"

#include <dataflow/cluster.h>
#include <dataflow/device_ops.h>

/* The call gets its err by the name of e: once none, and once one that must have the words. */
#define REFUSED(CALL, PARTS)                                                                       \
    do {                                                                                           \
        df_error words = {.code = DF_OK}, *e = NULL;                                               \
        assert_int_equal((CALL), DF_INVALID_ARGUMENT);                                             \
        e = &words;                                                                                \
        assert_int_equal((CALL), DF_INVALID_ARGUMENT);                                             \
        bad_says(#CALL, &words, DF_INVALID_ARGUMENT, PARTS);                                       \
    } while (0)

static const char key_text[] = "/job:localhost/task:0/device:CPU:0;0000000000000001;"
                               "/job:localhost/task:0/device:CPU:1;y:0;0:0";

static void nothing_is_known_of_a_null(void **state) {
    (void)state;
    char into[8] = "?";
    assert_int_equal(df_tensor_dtype(NULL), DF_DTYPE_NONE);
    assert_int_equal(df_tensor_shape(NULL).rank, -1);
    assert_int_equal(df_tensor_elements(NULL), 0);
    assert_int_equal(df_tensor_bytes(NULL), 0);
    assert_false(df_tensor_is_host(NULL));
    assert_null(df_tensor_data(NULL));
    assert_null(df_tensor_ref(NULL));
    assert_string_equal(df_device_name(NULL), "");
    assert_string_equal(df_device_kind(NULL), "");
    assert_int_equal(df_device_incarnation(NULL), 0);
    assert_null(df_device_queue(NULL));
    assert_string_equal(df_key_src_device(NULL), "");
    assert_string_equal(df_key_dst_device(NULL), "");
    assert_string_equal(df_key_edge(NULL), "");
    assert_int_equal(df_key_src_incarnation(NULL), 0);
    assert_int_equal(df_key_hash(NULL), 0);
    assert_int_equal(df_key_channel(NULL), -1);
    assert_int_equal(df_key_text(NULL, into, sizeof into), 0);
    assert_int_equal(df_runtime_devices(NULL), 0);
    assert_null(df_runtime_device(NULL, 0));
    assert_null(df_graph_new(NULL));
    assert_int_equal(df_program_partitions(NULL), 0);
    assert_null(df_program_partition(NULL, 0));
    assert_null(df_program_partition_device(NULL, 0));
    assert_int_equal(df_program_crossings(NULL), 0);
    df_crossing crossing;
    assert_false(df_program_crossing(NULL, 0, &crossing));
    assert_null(df_rendezvous_ref(NULL));
    uint64_t next = 7;
    assert_int_equal(df_runtime_poll(NULL, 0, NULL), 0);
    assert_int_equal(df_runtime_poll(NULL, 0, &next), 0);
}

static void nothing_is_written_of_a_null(void **state) {
    (void)state;
    char into[8] = "?";
    assert_int_equal(df_program_print(NULL, into, sizeof into), 0);
    assert_string_equal(into, "");
    assert_int_equal(df_program_explain(NULL, DF_EXPLAIN_TEXT, into, sizeof into), 0);
    assert_int_equal(df_program_explain(NULL, DF_EXPLAIN_JSON, into, sizeof into), 0);
    assert_true(df_program_dot(NULL, into, sizeof into) > 0); /* an empty picture */
    assert_int_equal(df_graph_print(NULL, into, sizeof into), 0);
    assert_true(df_graph_dot(NULL, into, sizeof into) > 0);
    assert_int_equal(df_session_stalled(NULL, into, sizeof into), 0);
}

static void what_ends_or_tells_accepts_null(void **state) {
    (void)state;
    df_tensor_unref(NULL);
    df_key_free(NULL);
    df_graph_free(NULL);
    df_program_free(NULL);
    df_session_free(NULL);
    df_session_cancel(NULL);
    df_cancel_fire(NULL);
    df_cancel_free(NULL);
    df_runtime_free(NULL);
    df_rendezvous_unref(NULL);
    df_rendezvous_recv(NULL, NULL);
    df_rendezvous_cancel(NULL, NULL);
    df_rendezvous_abort(NULL, NULL);
    df_recv_finish(NULL, NULL, NULL, NULL);
    df_kernel_done((df_kernel_handle){NULL, 0}, NULL);
    assert_int_equal(df_error_set(NULL, DF_ABORTED, "nobody listens"), DF_ABORTED);
}

static void a_null_object_is_refused_in_words(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    df_graph *g = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_tensor *t = NULL;
    df_key *key = NULL;
    df_rendezvous *r = NULL;
    REFUSED(df_graph_error(NULL, e), "the graph is NULL");
    REFUSED(df_graph_parse(NULL, "", 0, &g, e), "the runtime is NULL");
    REFUSED(df_graph_parse(w.rt, NULL, 1, &g, e), "the text is NULL");
    REFUSED(df_session_new(NULL, NULL, &s, e), "the graph is NULL: df_graph_new had no runtime");
    REFUSED(df_session_compile(NULL, DF_NO_OUTS, DF_NO_OUTS, NULL, &p, e), "the session is NULL");
    REFUSED(df_program_run(NULL, DF_NO_TENSORS, NULL, NULL, e), "the program is NULL");
    df_cancel *cancel = NULL;
    REFUSED(df_cancel_new(NULL, &cancel, e), "the runtime is NULL");
    assert_null(cancel);
    REFUSED(df_session_close(NULL, 0, e), "the session is NULL");
    REFUSED(df_session_save(NULL, "file", e), "the session is NULL");
    REFUSED(df_session_restore(NULL, "file", e), "the session is NULL");
    df_memory_info info = {.struct_size = sizeof info};
    REFUSED(df_device_memory(NULL, &info, e), "the device is NULL");
    REFUSED(df_op_register(NULL, NULL, e), "the runtime is NULL");
    REFUSED(df_op_register(w.rt, NULL, e), "df_op_def is NULL");
    REFUSED(df_kernel_register(NULL, NULL, e), "the runtime is NULL");
    REFUSED(df_kernel_register(w.rt, NULL, e), "df_kernel_def is NULL");
    REFUSED(df_key_parse(NULL, NULL, &key, e), "NULL|src device;");
    REFUSED(df_rendezvous_new(NULL, NULL, NULL, &r, e), "ops is NULL|pass the backend's calls");
    REFUSED(df_tensor_from(NULL, DF_INT8, DF_SHAPE(3), NULL, &t, e), "NULL|df_tensor_new");
    REFUSED(df_tensor_wrap(NULL, DF_INT8, DF_SHAPE(3), NULL, NULL, NULL, &t, e), "NULL|pass the");
    REFUSED(df_tensor_new(NULL, DF_INT8, ((df_shape){2, NULL}), &t, e), "rank 2 has NULL");
    assert_true(!g && !s && !p && !t && !key && !r);
    bad_works_anew(&w);
    close_world(&w);
}

static void a_result_without_a_place_is_refused_in_words(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    good_part part = bad_good_part(w.g);
    w.p = compiled(&w, DF_OUTS(part.x), DF_OUTS(part.y));
    const df_allocator *a = &w.memory.allocator;
    size_t blocks = fault_live_blocks(&w.memory);
    char byte = 1;
    df_tensor *x = floats(&w, 4, (const float[]){1, 2, 3, 4});
    REFUSED(df_runtime_new(NULL, NULL, e), "out is NULL");
    REFUSED(df_graph_parse(w.rt, "", 0, NULL, e), "out is NULL");
    REFUSED(df_session_new(w.g, NULL, NULL, e), "out is NULL");
    REFUSED(df_session_compile(w.s, DF_OUTS(part.x), DF_OUTS(part.y), NULL, NULL, e),
            "out is NULL");
    REFUSED(df_program_run(w.p, DF_TENSORS(x), NULL, NULL, e), "results is NULL|fetches is 1");
    REFUSED(df_tensor_new(a, DF_INT8, DF_SHAPE(100), NULL, e), "out is NULL");
    REFUSED(df_tensor_from(a, DF_INT8, DF_SHAPE(1), &byte, NULL, e), "out is NULL");
    REFUSED(df_tensor_wrap(a, DF_INT8, DF_SHAPE(1), &byte, NULL, NULL, NULL, e), "out is NULL");
    REFUSED(df_key_parse(a, key_text, NULL, e), "out is NULL");
    REFUSED(df_rendezvous_new_local(a, NULL, e), "out is NULL");
    REFUSED(df_cancel_new(w.rt, NULL, e), "out is NULL");
    REFUSED(df_device_memory(df_runtime_device(w.rt, 0), NULL, e), "df_memory_info is NULL");
    REFUSED(df_session_save(w.s, NULL, e), "the path is NULL");
    REFUSED(df_session_restore(w.s, NULL, e), "the path is NULL");
    assert_false(df_program_crossing(w.p, 0, NULL));
    df_tensor_unref(x);
    assert_int_equal(fault_live_blocks(&w.memory), blocks);
    bad_still_works(&w, w.s, part);
    close_world(&w);
}

/* As snprintf, but that it takes a NULL whatever the size. */
static void a_text_without_a_place_has_a_length(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    good_part part = bad_good_part(w.g);
    w.p = compiled(&w, DF_OUTS(part.x), DF_OUTS(part.y));
    df_key *key = NULL;
    assert_int_equal(df_key_parse(NULL, key_text, &key, NULL), DF_OK);
    for (size_t size = 0; size < 20; size += 10) {
        assert_int_equal(df_key_text(key, NULL, size), sizeof key_text - 1);
        assert_true(df_graph_print(w.g, NULL, size) > size);
        assert_true(df_graph_dot(w.g, NULL, size) > size);
        assert_true(df_program_print(w.p, NULL, size) > size);
        assert_true(df_program_explain(w.p, DF_EXPLAIN_TEXT, NULL, size) > size);
        assert_true(df_program_dot(w.p, NULL, size) > size);
        assert_int_equal(df_session_stalled(w.s, NULL, size), 0); /* nothing runs */
    }
    assert_false(df_key_equal(key, NULL));
    assert_false(df_key_equal(NULL, key));
    assert_true(df_key_equal(NULL, NULL));
    df_key_free(key);
    close_world(&w);
}

static void options_that_do_not_say_their_size_are_refused_by_name(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    good_part part = bad_good_part(w.g);
    w.p = compiled(&w, DF_OUTS(part.x), DF_OUTS(part.y));
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_tensor *x = floats(&w, 4, (const float[]){1, 2, 3, 4}), *y = NULL;
    REFUSED(df_runtime_new(&(df_runtime_options){.workers = 1}, &rt, e), "df_runtime_options|size");
    REFUSED(df_session_new(w.g, &(df_session_options){.strict_order = true}, &s, e),
            "set it to sizeof(df_session_options)");
    REFUSED(df_session_compile(w.s, DF_OUTS(part.x), DF_OUTS(part.y),
                               &(df_compile_options){.targets = DF_NO_NODES}, &p, e),
            "set it to sizeof(df_compile_options)");
    REFUSED(df_program_run(w.p, DF_TENSORS(x), &y, &(df_run_options){.struct_size = 0}, e),
            "set it to sizeof(df_run_options)");
    df_tensor_unref(x);
    assert_true(!rt && !s && !p && !y);
    bad_still_works(&w, w.s, part);
    close_world(&w);
}

static void *start_none(void *user, const char *name, void (*body)(void *arg), void *arg) {
    (void)user, (void)name, (void)body, (void)arg;
    return NULL;
}

static void what_has_no_functions_where_it_must_is_refused(void **state) {
    (void)state;
    df_runtime *rt = NULL;
    df_allocator no_memory = {.struct_size = sizeof no_memory};
    df_lent_threads no_loan = {.struct_size = sizeof no_loan};
    df_rendezvous_factory no_factory = {.struct_size = sizeof no_factory};
    df_threads no_threads = {.struct_size = sizeof no_threads};
    df_runtime_options o = {.struct_size = sizeof o, .allocator = &no_memory};
    REFUSED(df_runtime_new(&o, &rt, e), "df_allocator.alloc is NULL");
    o = (df_runtime_options){.struct_size = sizeof o, .threads = &no_threads, .workers = 1};
    REFUSED(df_runtime_new(&o, &rt, e), "df_threads.start is NULL");
    no_threads.start = start_none;
    REFUSED(df_runtime_new(&o, &rt, e), "df_threads.join is NULL");
    o = (df_runtime_options){.struct_size = sizeof o, .lent = &no_loan};
    REFUSED(df_runtime_new(&o, &rt, e), "df_lent_threads|wake");
    assert_null(rt);
    world w;
    df_session *s = NULL;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    const df_session_options so = {.struct_size = sizeof so, .rendezvous = &no_factory};
    REFUSED(df_session_new(w.g, &so, &s, e), "df_session_options.rendezvous has no create");
    assert_null(s);
    close_world(&w);
}

static void *none(void *user, size_t bytes, size_t alignment) {
    (void)user, (void)bytes, (void)alignment;
    return NULL;
}

static void an_allocator_that_lacks_a_function_is_refused_wherever_one_is_taken(void **state) {
    (void)state;
    static const char spec_text[] = "worker 0 mem://a\n";
    df_allocator without[] = {{.struct_size = sizeof(df_allocator)},
                              {.struct_size = sizeof(df_allocator), .alloc = none}};
    const char *const lacks[] = {"df_allocator.alloc is NULL", "df_allocator.free is NULL"};
    float element = 1;
    df_tensor *t = NULL;
    df_key *key = NULL;
    df_rendezvous *r = NULL;
    df_work *work = NULL;
    df_cluster_spec *spec = NULL;
    for (int i = 0; i < 2; i++) {
        const df_allocator *a = &without[i];
        REFUSED(df_tensor_new(a, DF_FLOAT32, DF_SCALAR, &t, e), lacks[i]);
        REFUSED(df_tensor_from(a, DF_FLOAT32, DF_SCALAR, &element, &t, e), lacks[i]);
        REFUSED(df_tensor_wrap(a, DF_FLOAT32, DF_SCALAR, &element, NULL, NULL, &t, e), lacks[i]);
        REFUSED(df_key_parse(a, key_text, &key, e), lacks[i]);
        REFUSED(df_rendezvous_new_local(a, &r, e), lacks[i]);
        REFUSED(df_rendezvous_new(a, NULL, NULL, &r, e), lacks[i]);
        REFUSED(df_work_new(a, NULL, &work, e), lacks[i]);
        REFUSED(df_cluster_spec_parse(a, spec_text, sizeof spec_text - 1, &spec, e), lacks[i]);
    }
    assert_true(!t && !key && !r && !work && !spec);
}

/* What a run beside the caller was told. */
typedef struct told {
    df_error err;
    size_t times;
} told;

static void tell(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    told *t = user;
    (void)results;
    assert_int_equal(n, 0);
    t->times++;
    t->err = err ? *err : (df_error){.code = DF_OK};
}

static void a_start_of_nothing_is_told_in_words(void **state) {
    (void)state;
    world w;
    bad_open(&w);
    w.g = df_graph_new(w.rt);
    good_part part = bad_good_part(w.g);
    w.p = compiled(&w, DF_OUTS(part.x), DF_OUTS(part.y));
    const struct {
        df_program *p;
        df_tensors feeds;
        const char *parts;
    } cases[] = {{NULL, DF_NO_TENSORS, "the program is NULL"},
                 {w.p, DF_NO_TENSORS, "feeds is 0 and must be 1"},
                 {w.p, {NULL, 1}, "x:0 is NULL"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        told t = {.times = 0};
        df_program_start(cases[i].p, cases[i].feeds, NULL, tell, &t);
        assert_int_equal(t.times, 1);
        bad_says("start", &t.err, DF_INVALID_ARGUMENT, cases[i].parts);
        df_program_start(cases[i].p, cases[i].feeds, NULL, NULL, NULL); /* nobody asks */
        bad_still_works(&w, w.s, part);
    }
    close_world(&w);
}

static void a_send_of_nothing_leaves_nothing(void **state) {
    (void)state;
    df_rendezvous *r = NULL;
    df_key *key = NULL;
    df_tensor *t = NULL;
    const df_endpoint host = {.device = NULL};
    assert_int_equal(df_rendezvous_new_local(NULL, &r, NULL), DF_OK);
    assert_int_equal(df_key_parse(NULL, key_text, &key, NULL), DF_OK);
    assert_int_equal(df_tensor_new(NULL, DF_INT8, DF_SCALAR, &t, NULL), DF_OK);
    assert_int_equal(df_rendezvous_send(NULL, key, &host, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, NULL, &host, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, NULL, t), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &host, NULL), DF_INVALID_ARGUMENT);
    assert_int_equal(df_rendezvous_send(r, key, &host, t), DF_OK);
    df_tensor_unref(t);
    df_key_free(key);
    df_rendezvous_unref(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_of_a_null),
        cmocka_unit_test(nothing_is_written_of_a_null),
        cmocka_unit_test(what_ends_or_tells_accepts_null),
        cmocka_unit_test(a_null_object_is_refused_in_words),
        cmocka_unit_test(a_result_without_a_place_is_refused_in_words),
        cmocka_unit_test(a_text_without_a_place_has_a_length),
        cmocka_unit_test(options_that_do_not_say_their_size_are_refused_by_name),
        cmocka_unit_test(what_has_no_functions_where_it_must_is_refused),
        cmocka_unit_test(an_allocator_that_lacks_a_function_is_refused_wherever_one_is_taken),
        cmocka_unit_test(a_start_of_nothing_is_told_in_words),
        cmocka_unit_test(a_send_of_nothing_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
