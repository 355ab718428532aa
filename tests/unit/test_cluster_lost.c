/* SPDX-License-Identifier: MIT
 *
 * What the tasks of a cluster have of each other when one of them is lost, or replaced, or known by
 * hearsay only: nothing that waits for ever, nothing that is kept for nobody, nothing wrong.
 */
#include "unit/cluster_world.h"

#include "cluster/master.h"
#include "support/yield.h"
#include "transport/mem/mem.h"

#include <time.h>

enum { SOON_MS = 20000, BEAT = 200000000 /* ns: machines may be busy */ };

static void nap(int ms) {
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* ---- another process in the master's place ------------------------------------------------ */

typedef struct successor {
    df_runtime *rt;
    df_cluster *c;
    df_graph *g;
    df_session *s;
} successor;

/* At an address of its own, if the first is still there. */
static void successor_join(three *x, successor *o, const char *address) {
    df_cluster_task others[TASKS];
    const df_cluster_spec there = {sizeof there, others, TASKS};
    const df_runtime_options ro = {.struct_size = sizeof ro, .job = "master"};
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &x->ops};
    memcpy(others, tasks, sizeof others);
    others[MASTER].address = address;
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
    const char *address; /* of who replies */
    bool holds;          /* its next */
    int others;          /* replies of others since */
    df_request *request;
    df_reply *reply;
} post = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void hold_reply(df_request *request, df_reply *reply) {
    (void)pthread_mutex_lock(&post.lock);
    const endpoint *from = OF(exchange, request, request)->to;
    bool holds = post.holds && strcmp(from->address, post.address) == 0;
    post.others += !holds;
    if (holds) {
        post.holds = false;
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

static void hold_next_of(const char *address) {
    (void)pthread_mutex_lock(&post.lock);
    post.address = address;
    post.holds = true;
    post.others = 0;
    (void)pthread_mutex_unlock(&post.lock);
}

/* Until it is held, and others have replied. */
static void await_held(int others) {
    for (bool is_so = false; !is_so; nap(1)) {
        (void)pthread_mutex_lock(&post.lock);
        is_so = post.reply && post.others >= others;
        (void)pthread_mutex_unlock(&post.lock);
    }
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
    successor_join(&x, &other, "mem://successor");
    const int64_t many[] = {1000};
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    on(&x, "/job:worker/task:0/device:CPU:0");
    df_out b = df_neg(x.g, a), c = df_fill(x.g, b, (df_shape){1, many});
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(b, c));
    df_tensor *five = run_scalar(NULL, 5);
    hold_next_of("mem://w0");
    df_program_start(p, DF_TENSORS(five), NULL, keep_outcome, &out);
    await_held(0);
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

/* ---- prepared, and never decided ------------------------------------------------------------ */

static bool has_guests(df_cluster *c) {
    mutex_lock(&c->lock);
    bool any = c->guests != NULL;
    mutex_unlock(&c->lock);
    return any;
}

static bool soon_without_guests(df_cluster *c) {
    for (int i = 0; i < SOON_MS && has_guests(c); i++) nap(1);
    return !has_guests(c);
}

/* A step that worker 0 has prepared, and that worker 1 computes: worker 0 waits for the master's
 * decision, and for nothing else. */
typedef struct undecided {
    three x;
    probe probe;
    df_program *p;
    told t;
} undecided;

static void undecided_open(undecided *u, three as) {
    three *x = &u->x;
    df_tensor *one = run_scalar(NULL, 1);
    three_open_with(x, as);
    probe_init(&u->probe);
    df_out a = df_placeholder(x->g, "a", DF_INT64, DF_SCALAR);
    on(x, "/job:worker/task:0");
    df_out n = df_assign_add(x->g, df_variable(x->g, "v", DF_INT64, DF_SCALAR), a);
    on(x, "/job:worker/task:1/device:CPU:0");
    df_out y = probe_node(x->g, "TestCopy", n, &u->probe);
    on(x, NULL);
    u->p = compile(x, DF_OUTS(a), DF_OUTS(y));
    u->probe.way = PROBE_WAITS;
    told_init(&u->t);
    df_program_start(u->p, DF_TENSORS(one), NULL, tell, &u->t);
    probe_await_inside(&u->probe, 1);
    df_tensor_unref(one);
    assert_true(has_guests(x->c[1]));
}

static void undecided_close(undecided *u) {
    probe_open(&u->probe);
    told_await(&u->t, NULL);
    told_fini(&u->t);
    df_program_free(u->p);
    three_close(&u->x);
    probe_fini(&u->probe);
}

static void what_a_master_that_hangs_does_not_decide_ends_by_itself(void **state) {
    (void)state;
    undecided u;
    undecided_open(&u, (three){.heartbeat = BEAT});
    assert_int_equal(df_mem_network_fate(u.x.net, "mem://m", DF_MEM_HANGS, NULL), DF_OK);
    assert_true(soon_without_guests(u.x.c[1]));
    assert_true(soon_without_guests(u.x.c[2]));
    assert_int_equal(df_mem_network_fate(u.x.net, "mem://m", DF_MEM_GOES_ON, NULL), DF_OK);
    undecided_close(&u);
}

/* It answers, but it is another. It greets nobody. */
static void what_a_master_that_was_replaced_does_not_decide_ends_by_itself(void **state) {
    (void)state;
    undecided u;
    successor other;
    undecided_open(&u, (three){.heartbeat = BEAT});
    assert_int_equal(df_mem_network_fate(u.x.net, "mem://m", DF_MEM_KILLED, NULL), DF_OK);
    successor_join(&u.x, &other, "mem://m");
    assert_true(soon_without_guests(u.x.c[1]));
    successor_leave(&other);
    df_cluster_leave(u.x.c[MASTER]); /* nobody else tells it anything any more */
    u.x.c[MASTER] = NULL;
    df_runtime_free(u.x.rt[MASTER]);
    undecided_close(&u);
}

/* Nobody can ask a master without an address whether it lives. */
static void what_a_master_without_an_address_does_not_decide_ends_by_itself(void **state) {
    (void)state;
    undecided u;
    undecided_open(&u, (three){.heartbeat = BEAT, .is_nowhere = {[MASTER] = true}});
    nap(5 * BEAT / 1000000); /* but as long as it is heard it is waited for */
    assert_true(has_guests(u.x.c[1]));
    const df_mem_link down = {.latency = DF_MEM_NEVER};
    assert_int_equal(df_mem_network_link(u.x.net, NULL, "mem://w0", &down, NULL), DF_OK);
    assert_true(soon_without_guests(u.x.c[1]));
    undecided_close(&u);
}

/* ---- a master that leaves ------------------------------------------------------------------- */

/* Which has left. */
static void close_without_master(three *x) {
    x->c[MASTER] = NULL;
    df_session_free(x->s);
    x->s = NULL;
    df_graph_free(x->g);
    x->g = NULL;
    df_runtime_free(x->rt[MASTER]);
    three_close(x);
}

/* Messages take a while. Nobody comes in its place. */
static void a_master_that_leaves(bool frees_first) {
    three x;
    three_open_with(&x, (three){.heartbeat = 60000000000});
    on(&x, "/job:worker/task:0");
    df_out v = df_variable(x.g, "v", DF_INT64, DF_SCALAR);
    on(&x, NULL);
    df_program *p = compile(&x, DF_NO_OUTS, DF_OUTS(v));
    const df_mem_link slow = {.latency = 50000000};
    assert_int_equal(df_mem_network_link(x.net, "mem://m", "mem://w0", &slow, NULL), DF_OK);
    df_program_free(p);
    if (frees_first) {
        df_session_free(x.s);
        x.s = NULL;
    }
    df_cluster_leave(x.c[MASTER]);
    assert_true(soon_without_guests(x.c[1]));
    close_without_master(&x);
}

static void what_was_of_a_session_goes_though_its_master_leaves_at_once(void **state) {
    (void)state;
    a_master_that_leaves(true);
}

static void what_was_of_a_session_goes_as_its_master_leaves(void **state) {
    (void)state;
    a_master_that_leaves(false);
}

/* ---- a master that leaves as tasks are mended --------------------------------------------------
 */

/* It keeps a clerk. */
typedef struct obstacle {
    clerk_job job; /* first */
    probe gate;
} obstacle;

static void stand_in_the_way(clerk_job *job) {
    probe_pass(&((obstacle *)(void *)job)->gate);
}

static bool has_jobs(df_cluster *c, const clerk *k) {
    mutex_lock(&c->lock);
    bool any = k->first != NULL;
    mutex_unlock(&c->lock);
    return any;
}

static void *leave_beside(void *arg) {
    df_cluster_leave(arg);
    return NULL;
}

static bool is_leaving(df_cluster *c) {
    mutex_lock(&c->lock);
    bool leaving = c->leaving;
    mutex_unlock(&c->lock);
    return leaving;
}

/* Each that hangs would be waited for until it has missed its heartbeats. */
static void who_leaves_mends_no_other_task(void **state) {
    (void)state;
    three x;
    pthread_t beside;
    obstacle o = {.job = {.work = stand_in_the_way}};
    three_open(&x);
    open_session(&x);
    master *m = x.s->master;
    probe_init(&o.gate);
    assert_true(clerk_post(&x.c[MASTER]->mender, &o.job));
    probe_await_inside(&o.gate, 1);
    for (uint32_t t = 1; t < TASKS; t++) repair_now(m, t);
    assert_true(has_jobs(x.c[MASTER], &x.c[MASTER]->mender));
    assert_int_equal(pthread_create(&beside, NULL, leave_beside, x.c[MASTER]), 0);
    while (!is_leaving(x.c[MASTER])) nap(1);
    probe_open(&o.gate);
    assert_int_equal(pthread_join(beside, NULL), 0);
    for (uint32_t t = 1; t < TASKS; t++) assert_true(m->is_broken[t]);
    assert_string_equal(m->why.message, "/job:master/task:0 has left the cluster");
    close_without_master(&x);
    probe_fini(&o.gate);
}

/* ---- a master in whose place another has come -------------------------------------------------
 */

typedef struct opening_session {
    three *x;
    df_code code;
    df_error err;
} opening_session;

static void *open_session_beside(void *arg) {
    opening_session *o = arg;
    const df_session_options so = {.struct_size = sizeof so, .cluster = o->x->c[MASTER]};
    o->code = df_session_new(o->x->g, &so, &o->x->s, &o->err);
    return NULL;
}

static void no_more(void *user) {
    (void)user;
}

/* The worker is busy as the session comes. Before it gets to that, another greets it. */
static void a_session_of_a_master_that_was_replaced_is_not_opened_any_more(void **state) {
    (void)state;
    three x;
    successor other;
    pthread_t beside;
    obstacle o = {.job = {.work = stand_in_the_way}};
    opening_session first = {.x = &x};
    three_open_with(&x, (three){.heartbeat = 60000000000});
    remote_peer *master_there = remote_peer_at(x.c[1]->remote, MASTER);
    probe_init(&o.gate);
    assert_true(clerk_post(&x.c[1]->clerk, &o.job));
    probe_await_inside(&o.gate, 1);
    assert_int_equal(pthread_create(&beside, NULL, open_session_beside, &first), 0);
    while (!has_jobs(x.c[1], &x.c[1]->clerk)) nap(1);
    const uint64_t old = remote_peer_incarnation(master_there);
    successor_join(&x, &other, "mem://successor");
    greet_task(other.c, 1, no_more, NULL);
    while (remote_peer_incarnation(master_there) == old) nap(1);
    probe_open(&o.gate);
    assert_int_equal(pthread_join(beside, NULL), 0);
    assert_false(has_guests(x.c[1]));
    assert_int_equal(first.code, DF_ABORTED);
    successor_leave(&other);
    three_close(&x);
    probe_fini(&o.gate);
}

/* ---- two masters --------------------------------------------------------------------------- */

/* Worker `from` has a session with a program on worker `to`. */
typedef struct neighbour {
    df_graph *g;
    df_session *s;
    df_program *p;
    df_out v;
} neighbour;

static void neighbour_open(three *x, neighbour *n, int from, const char *to, bool has_variable) {
    const df_session_options so = {.struct_size = sizeof so, .cluster = x->c[from]};
    n->g = df_graph_new(x->rt[from]);
    df_graph_on(n->g, to);
    n->v = run_const(n->g, 7);
    if (has_variable) n->v = df_variable_from(n->g, "v", n->v);
    df_out y = df_neg(n->g, n->v);
    df_graph_on(n->g, NULL);
    if (df_session_new(n->g, &so, &n->s, &x->err) != DF_OK ||
        df_session_compile(n->s, DF_NO_OUTS, DF_OUTS(y), NULL, &n->p, &x->err) != DF_OK)
        fail_msg("%s", x->err.message);
}

static df_code neighbour_run(neighbour *n, df_error *err) {
    df_tensor *y = NULL;
    df_code code = df_program_run(n->p, DF_NO_TENSORS, &y, NULL, err);
    if (code == DF_OK) assert_int_equal(run_value(y), -7);
    df_tensor_unref(y);
    return code;
}

static void neighbour_close(neighbour *n) {
    df_program_free(n->p);
    df_session_free(n->s);
    df_graph_free(n->g);
}

typedef struct pair {
    neighbour n[2];
    df_code code[2];
    df_error err[2];
} pair;

static void run_of_pair(void *arg, int i) {
    pair *p = arg;
    p->code[i] = neighbour_run(&p->n[i], &p->err[i]);
}

/* As if it had missed its heartbeats. */
static void take_for_dead(df_cluster *c, uint32_t task) {
    df_error why;
    (void)error_set(&why, DF_UNAVAILABLE, "the test says so");
    requests_lost(c, remote_peer_at(c->remote, task), &why);
}

static void link_workers(three *x, const char *from, const char *to) {
    const df_mem_link slow = {.latency = 50000000};
    assert_int_equal(df_mem_network_link(x->net, from, to, &slow, NULL), DF_OK);
}

/* Each was dead for the other, and has to be given its session again, by a clerk of which the other
 * needs as much. Messages are slow: both are at it when the first of them comes. */
static void two_masters_that_mend_each_other_do_not_wait_for_each_other(void **state) {
    (void)state;
    three x;
    pair p;
    three_open_with(&x, (three){.heartbeat = 60000000000});
    neighbour_open(&x, &p.n[0], 1, "/job:worker/task:1", false);
    neighbour_open(&x, &p.n[1], 2, "/job:worker/task:0", false);
    take_for_dead(x.c[1], 2);
    take_for_dead(x.c[2], 1);
    run_threads(2, run_of_pair, &p);
    for (int i = 0; i < 2; i++) assert_int_equal(p.code[i], DF_ABORTED);
    link_workers(&x, "mem://w0", "mem://w1");
    link_workers(&x, "mem://w1", "mem://w0");
    struct timespec since, now;
    (void)clock_gettime(CLOCK_MONOTONIC, &since);
    run_threads(2, run_of_pair, &p);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    for (int i = 0; i < 2; i++)
        if (p.code[i] != DF_OK) fail_msg("%s", p.err[i].message);
    assert_true(now.tv_sec - since.tv_sec < SOON_MS / 1000); /* not until a timeout */
    for (int i = 0; i < 2; i++) neighbour_close(&p.n[i]);
    three_close(&x);
}

/* Each is a master whom nobody calls, and who needs nothing of the other. The worker that both use
 * is restarted: the one that mends it has nobody else to tell. */
static void masters_without_addresses_do_not_wait_for_each_other(void **state) {
    (void)state;
    three x;
    neighbour n[2];
    three_open_with(&x, (three){.heartbeat = BEAT, .is_nowhere = {[MASTER] = true, [2] = true}});
    neighbour_open(&x, &n[0], MASTER, "/job:worker/task:0", false);
    neighbour_open(&x, &n[1], 2, "/job:worker/task:0", false);
    leave(&x, 1);
    join(&x, 1);
    for (int i = 0; i < 2; i++) {
        df_code code = DF_ABORTED; /* as long as it is called by what was there before */
        for (int k = 0; k < 10 && (code == DF_ABORTED || code == DF_UNAVAILABLE); k++)
            code = neighbour_run(&n[i], &x.err);
        if (code != DF_OK) fail_msg("%s", x.err.message);
        neighbour_close(&n[i]);
    }
    three_close(&x);
}

/* The master has not heard that worker 1 was restarted, and tells worker 0, which has. */
static void what_a_master_says_of_others_does_not_make_them_older(void **state) {
    (void)state;
    three x;
    neighbour n, first;
    three_open(&x);
    neighbour_open(&x, &first, MASTER, "/job:worker/task:0", false);
    remote_peer *here = remote_peer_at(x.c[MASTER]->remote, 2);
    const uint64_t old = remote_peer_incarnation(here);
    leave(&x, 2);
    join(&x, 2);
    neighbour_open(&x, &n, 2, "/job:worker/task:0", true);
    assert_int_not_equal(remote_peer_incarnation(here), old);
    remote_peer_is(here, old); /* it has not heard that */
    assert_int_equal(df_mem_network_cut(x.net, "mem://m", "mem://w0", 1, NULL), DF_OK);
    assert_int_equal(neighbour_run(&first, &x.err), DF_UNAVAILABLE);
    if (neighbour_run(&first, &x.err) != DF_OK) fail_msg("%s", x.err.message);
    for (int i = 0; i < 3; i++)
        if (neighbour_run(&n, &x.err) != DF_OK) fail_msg("%s", x.err.message);
    neighbour_close(&n);
    neighbour_close(&first);
    three_close(&x);
}

/* ---- a message ------------------------------------------------------------------------------- */

/* As no real network loses it (mem_transport.h): its connection lives, and who owes the answer. */
static void a_step_whose_message_alone_was_lost_ends_at_its_deadline(void **state) {
    (void)state;
    three x;
    three_open_with(&x, (three){.heartbeat = BEAT});
    on(&x, "/job:worker/task:0");
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(x.g, df_variable(x.g, "v", DF_INT64, DF_SCALAR), a);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(n));
    const df_mem_link down = {.latency = DF_MEM_NEVER}, up = {.latency = 1000};
    df_tensor *one = run_scalar(NULL, 1), *r = NULL;
    told t;
    told_init(&t);
    assert_int_equal(df_mem_network_link(x.net, "mem://m", "mem://w0", &down, NULL), DF_OK);
    df_program_start(p, DF_TENSORS(one), RUN_OPTIONS(.timeout = 2 * BEAT), tell, &t);
    assert_int_equal(df_mem_network_link(x.net, "mem://m", "mem://w0", &up, NULL), DF_OK);
    told_await(&t, x.rt[MASTER]);
    assert_told(&t, DF_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(df_program_run(p, DF_TENSORS(one), &r, RUN_OPTIONS(.timeout = BEAT), &x.err),
                     DF_DEADLINE_EXCEEDED); /* behind the first, which is not decided */
    assert_int_equal(df_mem_network_cut(x.net, "mem://m", "mem://w0", 0, NULL), DF_OK);
    df_code code = DF_UNAVAILABLE;
    for (int i = 0; i < 10 && code == DF_UNAVAILABLE; i++)
        code = df_program_run(p, DF_TENSORS(one), &r, NULL, &x.err);
    if (code != DF_OK) fail_msg("%s", x.err.message);
    assert_int_equal(run_value(r), 1);
    df_tensor_unref(r);
    df_tensor_unref(one);
    told_fini(&t);
    df_program_free(p);
    three_close(&x);
}

/* ---- programs ------------------------------------------------------------------------------- */

static void a_task_that_was_restarted_gets_the_session_for_a_program(void **state) {
    (void)state;
    three x;
    df_program *p = NULL;
    three_open(&x);
    on(&x, "/job:worker/task:1");
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR), b = df_neg(x.g, a);
    on(&x, NULL);
    open_session(&x);
    leave(&x, 2);
    join(&x, 2);
    df_code code = DF_UNAVAILABLE; /* as long as its connection is one that was there before */
    for (int i = 0; i < 10 && code == DF_UNAVAILABLE; i++)
        code = df_session_compile(x.s, DF_OUTS(a), DF_OUTS(b), NULL, &p, &x.err);
    if (code != DF_OK) fail_msg("%s", x.err.message);
    assert_int_equal(run_one(&x, p, 4), -4);
    df_program_free(p);
    three_close(&x);
}

static void a_task_that_lacks_a_program_says_so_and_has_it_for_the_next_step(void **state) {
    (void)state;
    three x;
    three_open(&x);
    on(&x, "/job:worker/task:1");
    df_out a = df_placeholder(x.g, "a", DF_INT64, DF_SCALAR), b = df_neg(x.g, a);
    on(&x, NULL);
    df_program *p = compile(&x, DF_OUTS(a), DF_OUTS(b));
    df_tensor *two = run_scalar(NULL, 2), *r = NULL;
    master_notify(x.s->master, 2, KIND_FORGET, ((cluster_program *)(void *)p)->id, NULL);
    df_code code = DF_OK; /* as long as that has not come */
    for (int i = 0; i < SOON_MS && code == DF_OK; i++) {
        code = df_program_run(p, DF_TENSORS(two), &r, NULL, &x.err);
        df_tensor_unref(r);
    }
    assert_int_equal(code, DF_ABORTED);
    assert_non_null(strstr(x.err.message, "/job:worker/task:1 has no program"));
    assert_int_equal(run_one(&x, p, 4), -4);
    df_tensor_unref(two);
    df_program_free(p);
    three_close(&x);
}

typedef struct compiling {
    three x;
    df_outs feeds, fetches;
    df_program *p;
    df_code code;
    df_error err;
} compiling;

/* Again, if an answer was lost with its task. */
static void *compile_beside(void *arg) {
    compiling *c = arg;
    c->code = DF_UNAVAILABLE;
    for (int i = 0; i < 10 && c->code == DF_UNAVAILABLE; i++)
        c->code = df_session_compile(c->x.s, c->feeds, c->fetches, NULL, &c->p, &c->err);
    return NULL;
}

/* It has taken its part, and another has not yet: then it is restarted, and gets the session again
 * for a run of another program. */
static void a_program_is_whole_though_a_task_was_restarted_as_it_was_compiled(void **state) {
    (void)state;
    compiling c = {.p = NULL};
    pthread_t beside;
    df_tensor *r = NULL;
    three_open_with(&c.x, (three){.heartbeat = 60000000000, .changes = reply_through_the_test});
    df_out a = df_placeholder(c.x.g, "a", DF_INT64, DF_SCALAR);
    on(&c.x, "/job:worker/task:1");
    df_out b = df_neg(c.x.g, a), other = df_neg(c.x.g, b);
    on(&c.x, "/job:worker/task:0");
    df_out y = df_neg(c.x.g, b);
    on(&c.x, NULL);
    df_program *before = compile(&c.x, DF_OUTS(a), DF_OUTS(other));
    c.feeds = DF_OUTS(a);
    c.fetches = DF_OUTS(y);
    hold_next_of("mem://w0");
    assert_int_equal(pthread_create(&beside, NULL, compile_beside, &c), 0);
    await_held(1);
    nap(20); /* it arrives */
    leave(&c.x, 2);
    join(&c.x, 2);
    df_tensor *three_ = run_scalar(NULL, 3);
    df_code code = DF_UNAVAILABLE;
    for (int i = 0; i < 10 && (code == DF_UNAVAILABLE || code == DF_ABORTED); i++)
        code = df_program_run(before, DF_TENSORS(three_), &r, NULL, &c.x.err);
    if (code != DF_OK) fail_msg("%s", c.x.err.message);
    post.mem.reply(post.request, post.reply);
    assert_int_equal(pthread_join(beside, NULL), 0);
    if (c.code != DF_OK) fail_msg("%s", c.err.message);
    df_tensor_unref(r);
    r = NULL;
    code = DF_ABORTED; /* that it is missing somewhere may be found by a step: the next has it */
    for (int i = 0; i < 3 && code == DF_ABORTED; i++)
        code = df_program_run(c.p, DF_TENSORS(three_), &r, NULL, &c.x.err);
    if (code != DF_OK) fail_msg("%s", c.x.err.message);
    assert_int_equal(run_value(r), 3);
    df_tensor_unref(r);
    df_tensor_unref(three_);
    df_program_free(before);
    df_program_free(c.p);
    three_close(&c.x);
}

int main(int argc, char **argv) {
    (void)yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_on_its_way_outlives_the_session_that_gave_it),
        cmocka_unit_test(what_a_master_that_hangs_does_not_decide_ends_by_itself),
        cmocka_unit_test(what_a_master_that_was_replaced_does_not_decide_ends_by_itself),
        cmocka_unit_test(what_a_master_without_an_address_does_not_decide_ends_by_itself),
        cmocka_unit_test(what_was_of_a_session_goes_though_its_master_leaves_at_once),
        cmocka_unit_test(what_was_of_a_session_goes_as_its_master_leaves),
        cmocka_unit_test(who_leaves_mends_no_other_task),
        cmocka_unit_test(a_session_of_a_master_that_was_replaced_is_not_opened_any_more),
        cmocka_unit_test(two_masters_that_mend_each_other_do_not_wait_for_each_other),
        cmocka_unit_test(masters_without_addresses_do_not_wait_for_each_other),
        cmocka_unit_test(what_a_master_says_of_others_does_not_make_them_older),
        cmocka_unit_test(a_step_whose_message_alone_was_lost_ends_at_its_deadline),
        cmocka_unit_test(a_task_that_was_restarted_gets_the_session_for_a_program),
        cmocka_unit_test(a_task_that_lacks_a_program_says_so_and_has_it_for_the_next_step),
        cmocka_unit_test(a_program_is_whole_though_a_task_was_restarted_as_it_was_compiled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
