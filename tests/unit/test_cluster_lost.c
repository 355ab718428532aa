/* SPDX-License-Identifier: MIT
 *
 * What the tasks of a cluster have of each other when one of them is lost, or replaced, or known by
 * hearsay only: nothing that waits for ever, nothing that is kept for nobody, nothing wrong.
 */
#include "unit/cluster_world.h"

#include "support/yield.h"

#include <time.h>

static void nap(int ms) {
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- another process in the master's place ------------------------------------------------ */

/* It is not at the first one's address: that may still be there. */
typedef struct successor {
    df_runtime *rt;
    df_cluster *c;
    df_graph *g;
    df_session *s;
} successor;

static void successor_join(three *x, successor *o) {
    df_cluster_task others[TASKS];
    const df_cluster_spec there = {sizeof there, others, TASKS};
    const df_runtime_options ro = {.struct_size = sizeof ro, .job = "master"};
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &x->ops};
    memcpy(others, tasks, sizeof others);
    others[MASTER].address = "mem://successor";
    assert_int_equal(df_runtime_new(&ro, &o->rt, &x->err), DF_OK);
    assert_int_equal(df_cluster_join(o->rt, &there, &co, &o->c, &x->err), DF_OK);
    o->g = NULL;
    o->s = NULL;
}

/* It greets the workers. */
static void successor_open_session(three *x, successor *o) {
    const df_session_options so = {.struct_size = sizeof so, .cluster = o->c};
    o->g = df_graph_new(o->rt);
    if (df_session_new(o->g, &so, &o->s, &x->err) != DF_OK) fail_msg("%s", x->err.message);
}

static void successor_leave(successor *o) {
    df_session_free(o->s);
    df_graph_free(o->g);
    df_cluster_leave(o->c);
    df_runtime_free(o->rt);
}

/* ---- an answer that has not gone ----------------------------------------------------------- */

static struct {
    df_transport_ops mem;
    pthread_mutex_t lock;
    bool holds; /* the next */
    df_request *request;
    df_reply *reply;
} post = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void hold_reply(df_request *request, df_reply *reply) {
    (void)pthread_mutex_lock(&post.lock);
    bool holds = post.holds;
    post.holds = false;
    if (holds) {
        post.request = request;
        post.reply = reply;
    }
    (void)pthread_mutex_unlock(&post.lock);
    if (!holds) post.mem.reply(request, reply);
}

static void reply_through_the_test(df_transport_ops *ops) {
    post.mem = *ops;
    post.reply = NULL;
    ops->reply = hold_reply;
}

static bool is_held(void) {
    (void)pthread_mutex_lock(&post.lock);
    bool held = post.reply != NULL;
    (void)pthread_mutex_unlock(&post.lock);
    return held;
}

typedef struct outcome {
    _Atomic int ends;
    df_code code;
    df_tensor *results[2];
} outcome;

static void keep_outcome(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    outcome *o = user;
    o->code = err ? err->code : DF_OK;
    for (size_t i = 0; i < n; i++) o->results[i] = results[i];
    o->ends++;
}

/* The worker ends the session while its answer lies with the engine, and its memory is filled with
 * junk as it is given back. The master knows nothing of that: what it gets must be right. */
static void an_answer_on_its_way_outlives_the_session_that_gave_it(void **state) {
    (void)state;
    three x;
    successor other;
    outcome out = {.code = DF_OK};
    fault_allocator f;
    fault_allocator_init(&f);
    three_open_with(&x, (three){.allocator = &f.allocator,
                                .heartbeat = 60000000000,
                                .changes = reply_through_the_test});
    successor_join(&x, &other);
    const int64_t many[] = {1000};
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0/device:CPU:0");
    df_out b = df_neg(x.g, a), c = df_fill(x.g, b, (df_shape){1, many});
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(b, c));
    df_tensor *five = run_scalar(NULL, 5);
    post.holds = true;
    df_program_start(p, DF_TENSORS(five), NULL, keep_outcome, &out);
    while (!is_held()) nap(1);
    size_t before = fault_live_blocks(&f);
    successor_open_session(&x, &other);
    assert_true(fault_live_blocks(&f) < before); /* the first session is gone */
    post.mem.reply(post.request, post.reply);
    while (!out.ends) nap(1);
    assert_int_equal(out.code, DF_OK);
    assert_int_equal(run_value(out.results[0]), -5);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(((const int64_t *)df_tensor_data(out.results[1]))[i], -5);
    df_tensor_unref(out.results[0]);
    df_tensor_unref(out.results[1]);
    df_tensor_unref(five);
    df_program_free(p);
    successor_leave(&other);
    three_close(&x);
    fault_allocator_end(&f);
}

int main(int argc, char **argv) {
    (void)yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_on_its_way_outlives_the_session_that_gave_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
