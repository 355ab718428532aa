/* SPDX-License-Identifier: MIT
 *
 * Whatever goes wrong between the tasks of a cluster: every run ends once; what succeeds has the
 * values of the same graph in one process; variables have exactly what the runs that succeeded gave
 * them, in all tasks; and nothing is left. Many schedules of runs and faults, each from a seed, on
 * threads and in real time, so that a seed brings the same deeds but not the same moments.
 *
 * Every second schedule is gentle: connections are lost, links are slow, runs are cancelled, fail
 * and come late, but every task lives. Then the session must go on working.
 *
 *   test_cluster_faults                         a short run
 *   test_cluster_faults --first N --count M     M schedules, from seed N on
 *
 * The graph is linear in its feed: a run with a gives a times what a run with 1 gives.
 */
#include <dataflow/cluster.h>
#include <dataflow/mem_transport.h>

#include "property/random.h"
#include "support/fault.h"
#include "support/scale.h"
#include "unit/run_world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TASKS = 4, VALUES = 24, VARIABLES = 3, FETCHES = 12, JOBS = 96, PATIENCE = 60 /* s */ };

static const df_cluster_task all_tasks[TASKS] = {{"m", 0, "mem://m", NULL},
                                                 {"w", 0, "mem://w0", NULL},
                                                 {"w", 1, "mem://w1", NULL},
                                                 {"w", 2, "mem://w2", NULL}};

typedef struct job {
    struct world *w;
    int64_t a;
    int session; /* of which number */
    bool writes;
    _Atomic int ends;
    _Atomic int code;
    df_cancel *cancel;
} job;

/* A graph, and what is asked of it. */
typedef struct plan_of_values {
    df_graph *g;
    df_out a, b, values[VALUES], variables[VARIABLES], fetches[FETCHES];
    uint32_t n_values, n_variables, n_fetches;
} plan_of_values;

typedef struct world {
    uint64_t seed;
    draws d;
    bool is_gentle;
    fault_allocator memory;
    fault_threads threads;
    df_mem_network *net;
    df_transport_ops ops;
    df_cluster_spec spec;
    uint32_t n_tasks;
    const char *devices;
    df_runtime *rt[TASKS];
    df_cluster *c[TASKS]; /* NULL: it has left */
    bool hangs[TASKS], loses[TASKS][TASKS];
    plan_of_values p;
    df_session *s;
    df_program *write, *pure, *read; /* NULL, as s: there is none now */
    int sessions;
    job jobs[JOBS];
    uint32_t n_jobs;
    int64_t of_one[FETCHES], grows[VARIABLES]; /* the results, and variables, of a run with 1 */
    pthread_t user;
    _Atomic bool has_user, stops;
    check mistakes;
    uint64_t succeeded, failed;
} world;

static _Atomic uint64_t now_playing;

/* ---- connections ----------------------------------------------------------------------- */

/* An engine keeps a connection or says that it is lost, and never loses a message alone. The
 * network does when a link is down; so when that comes up again its connections are reset. */
typedef struct connection {
    void *transport, *peer;
    char to[16];
} connection;

static struct {
    df_transport_ops mem;
    pthread_mutex_t lock;
    connection list[256];
    size_t n;
} connections = {.lock = PTHREAD_MUTEX_INITIALIZER};

static df_code keep_peer(void *transport, const char *address, void **peer, df_error *err) {
    df_code code = connections.mem.peer(transport, address, peer, err);
    (void)pthread_mutex_lock(&connections.lock);
    if (code == DF_OK && connections.n < sizeof connections.list / sizeof *connections.list) {
        connection *c = &connections.list[connections.n++];
        *c = (connection){.transport = transport, .peer = *peer};
        (void)snprintf(c->to, sizeof c->to, "%.15s", address);
    }
    (void)pthread_mutex_unlock(&connections.lock);
    return code;
}

static void forget_peers(void *transport) {
    size_t n = 0;
    (void)pthread_mutex_lock(&connections.lock);
    for (size_t i = 0; i < connections.n; i++)
        if (connections.list[i].transport != transport) connections.list[n++] = connections.list[i];
    connections.n = n;
    (void)pthread_mutex_unlock(&connections.lock);
    connections.mem.close(transport);
}

/* All to these two, whoever has them. */
static void reset_to(const char *a, const char *b) {
    (void)pthread_mutex_lock(&connections.lock);
    for (size_t i = 0; i < connections.n; i++) {
        const connection *c = &connections.list[i];
        if (strcmp(c->to, a) == 0 || strcmp(c->to, b) == 0) connections.mem.reset(c->peer);
    }
    (void)pthread_mutex_unlock(&connections.lock);
}

static void out_of_patience(int signal) {
    char words[80];
    (void)signal;
    int n = snprintf(words, sizeof words, "seed %" PRIu64 ": no end in %d s\n", now_playing,
                     (int)PATIENCE);
    (void)!write(2, words, (size_t)n);
    abort();
}

static void nap(uint64_t ns) {
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* ---- the graph --------------------------------------------------------------------- */

static void pin(world *w, draws *places, df_graph *g) {
    char name[64];
    uint32_t t = draw_below(places, w->n_tasks);
    bool sim = draw_once_in(places, 3) && strstr(w->devices, "sim");
    (void)snprintf(name, sizeof name, "/job:%s/task:%d/device:%s:0", all_tasks[t].job,
                   all_tasks[t].task, sim ? "SIM" : "CPU");
    df_graph_on(g, name);
}

static df_out combine(plan_of_values *p, draws *d) {
    df_out x = p->values[draw_below(d, p->n_values)], y = p->values[draw_below(d, p->n_values)];
    switch (draw_below(d, 4)) {
    case 0:
        return df_add(p->g, x, y);
    case 1:
        return df_sub(p->g, x, y);
    case 2:
        return df_div(p->g, x, p->b); /* which fails, where b is 0 */
    default:
        return df_neg(p->g, x);
    }
}

/* is_pinned: over the tasks. The same graph either way. */
static void build(world *w, df_runtime *rt, plan_of_values *p, bool is_pinned) {
    draws d = draws_of(w->seed, 7), places = draws_of(w->seed, 8);
    *p = (plan_of_values){.g = df_graph_new(rt)};
    p->a = df_placeholder(p->g, "a", DF_INT64, DF_SCALAR);
    p->b = df_placeholder(p->g, "b", DF_INT64, DF_SCALAR);
    p->values[p->n_values++] = p->a;
    for (uint32_t n = 3 + draw_below(&d, 12); n > 0; n--) {
        if (is_pinned) pin(w, &places, p->g);
        p->values[p->n_values] = combine(p, &d);
        p->n_values++;
    }
    for (uint32_t n = 1 + draw_below(&d, VARIABLES); n > 0; n--) {
        char name[2] = {(char)('u' + n), 0};
        if (is_pinned) pin(w, &places, p->g);
        df_out v = df_variable(p->g, name, DF_INT64, DF_SCALAR);
        df_out grown = df_assign_add(p->g, v, p->values[draw_below(&d, p->n_values)]);
        if (is_pinned) pin(w, &places, p->g);
        p->variables[p->n_variables++] = v;
        p->fetches[p->n_fetches++] = df_neg(p->g, df_neg(p->g, grown));
    }
    for (uint32_t n = 1 + draw_below(&d, FETCHES - VARIABLES); n > 0; n--)
        p->fetches[p->n_fetches++] = p->values[p->n_values - 1 - draw_below(&d, 3)];
    df_graph_on(p->g, NULL);
}

/* What a run with 1 gives, in one process. */
static void refer(world *w) {
    df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1"};
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_error err;
    plan_of_values r;
    df_tensor *results[FETCHES], *one = run_scalar(NULL, 1);
    assert_int_equal(df_runtime_new(&o, &rt, &err), DF_OK);
    build(w, rt, &r, false);
    assert_int_equal(df_session_new(r.g, NULL, &s, &err), DF_OK);
    assert_int_equal(
        df_session_compile(s, DF_OUTS(r.a, r.b), (df_outs){r.fetches, r.n_fetches}, NULL, &p, &err),
        DF_OK);
    assert_int_equal(df_program_run(p, DF_TENSORS(one, one), results, NULL, &err), DF_OK);
    for (uint32_t i = 0; i < r.n_fetches; i++) {
        w->of_one[i] = run_value(results[i]);
        if (i < r.n_variables) w->grows[i] = w->of_one[i];
        df_tensor_unref(results[i]);
    }
    df_tensor_unref(one);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(r.g);
    df_runtime_free(rt);
}

/* ---- tasks --------------------------------------------------------------------------- */

static void join(world *w, uint32_t t) {
    df_error err;
    df_runtime_options ro = {.struct_size = sizeof ro,
                             .devices = w->devices,
                             .workers = t == 0 ? (int)(w->seed % 2) : 1,
                             .job = all_tasks[t].job,
                             .task = all_tasks[t].task,
                             .allocator = &w->memory.allocator,
                             .threads = &w->threads.threads};
    df_cluster_options co = {.struct_size = sizeof co,
                             .transport = &w->ops,
                             .heartbeat = w->is_gentle ? 2000000000 : 4000000,
                             .misses = 3,
                             .timeout = w->is_gentle ? 20000000000 : 100000000,
                             .budget = 64,
                             .checksum = w->seed % 3 == 0};
    if (df_runtime_new(&ro, &w->rt[t], &err) != DF_OK) fail_msg("%s", err.message);
    if (df_cluster_join(w->rt[t], &w->spec, &co, &w->c[t], &err) != DF_OK)
        fail_msg("%s", err.message);
    w->hangs[t] = false;
}

static void leave(world *w, uint32_t t) {
    df_cluster_leave(w->c[t]);
    w->c[t] = NULL;
    if (t == 0) return; /* the graph has it */
    df_runtime_free(w->rt[t]);
    w->rt[t] = NULL;
}

/* ---- runs ------------------------------------------------------------------------------ */

/* Of a run that has written, all variables must be of one moment. */
static void look_at(world *w, const job *j, df_tensor *const *results) {
    int64_t before = 0;
    uint32_t n = w->p.n_variables;
    for (uint32_t i = 0; j->writes && i < n; i++)
        if (w->grows[i]) before = run_value(results[i]) / w->grows[i];
    for (uint32_t i = 0; j->writes && i < n; i++)
        CHECK_EQUAL(&w->mistakes, run_value(results[i]), before * w->grows[i]);
    for (uint32_t i = n; i < w->p.n_fetches; i++)
        CHECK_EQUAL(&w->mistakes, run_value(results[j->writes ? i : i - n]), j->a * w->of_one[i]);
}

static void job_done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    job *j = user;
    if (!err) look_at(j->w, j, results);
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
    j->code = err ? (int)err->code : DF_OK;
    CHECK_EQUAL(&j->w->mistakes, atomic_fetch_add(&j->ends, 1), 0);
}

static void do_run(world *w) {
    if (!w->s || w->n_jobs == JOBS) return;
    job *j = &w->jobs[w->n_jobs++];
    *j = (job){.w = w,
               .a = 1 + (int64_t)draw_below(&w->d, 1000),
               .session = w->sessions,
               .writes = !draw_once_in(&w->d, 3)};
    df_run_options o = {.struct_size = sizeof o};
    if (draw_once_in(&w->d, 4)) o.timeout = 1 + draw_below(&w->d, 3000000);
    if (draw_once_in(&w->d, 4) && df_cancel_new(w->rt[0], &j->cancel, NULL) == DF_OK)
        o.cancel = j->cancel;
    df_tensor *a = run_scalar(NULL, j->a), *b = run_scalar(NULL, !draw_once_in(&w->d, 8));
    df_program_start(j->writes ? w->write : w->pure, DF_TENSORS(a, b), &o, job_done, j);
    df_tensor_unref(a);
    df_tensor_unref(b);
}

static void do_cancel(world *w) {
    if (w->n_jobs) df_cancel_fire(w->jobs[draw_below(&w->d, w->n_jobs)].cancel);
}

static void do_pass(world *w) {
    (void)df_runtime_poll(w->rt[0], 1 + draw_below(&w->d, 200000), NULL);
    nap(draw_below(&w->d, 300000));
}

/* Another thread of the program's, which waits for its runs. */
static void *use(void *arg) {
    world *w = arg;
    df_tensor *a = run_scalar(NULL, 3), *one = run_scalar(NULL, 1), *results[FETCHES];
    df_run_options o = {.struct_size = sizeof o, .timeout = 20000000};
    const job j = {.a = 3};
    for (int i = 0; i < 50 && !w->stops; i++) {
        size_t n = w->p.n_fetches - w->p.n_variables;
        if (df_program_run(w->pure, DF_TENSORS(a, one), results, &o, NULL) != DF_OK) continue;
        look_at(w, &j, results);
        for (size_t k = 0; k < n; k++) df_tensor_unref(results[k]);
    }
    df_tensor_unref(a);
    df_tensor_unref(one);
    return NULL;
}

static void do_use(world *w) {
    if (!w->s || w->has_user) return;
    w->stops = false;
    w->has_user = pthread_create(&w->user, NULL, use, w) == 0;
}

static void stop_user(world *w) {
    w->stops = true;
    if (w->has_user) (void)pthread_join(w->user, NULL);
    w->has_user = false;
}

/* ---- sessions --------------------------------------------------------------------------- */

static void end_session(world *w) {
    stop_user(w);
    df_program_free(w->write);
    df_program_free(w->pure);
    df_program_free(w->read);
    df_session_free(w->s);
    w->write = w->pure = w->read = NULL;
    w->s = NULL;
}

static df_code open_session(world *w, df_error *err) {
    const plan_of_values *p = &w->p;
    df_outs feeds = DF_OUTS(p->a, p->b);
    df_session_options o = {.struct_size = sizeof o, .cluster = w->c[0]};
    uint32_t n = p->n_variables;
    w->sessions++;
    df_code code = df_session_new(p->g, &o, &w->s, err);
    if (code == DF_OK)
        code = df_session_compile(w->s, feeds, (df_outs){p->fetches, p->n_fetches}, NULL, &w->write,
                                  err);
    if (code == DF_OK)
        code = df_session_compile(w->s, feeds, (df_outs){p->fetches + n, p->n_fetches - n}, NULL,
                                  &w->pure, err);
    if (code == DF_OK)
        code =
            df_session_compile(w->s, DF_NO_OUTS, (df_outs){p->variables, n}, NULL, &w->read, err);
    if (code != DF_OK) end_session(w);
    return code;
}

static void do_session(world *w) {
    df_error err;
    if (w->s || !w->c[0]) return;
    df_code code = open_session(w, &err);
    if (w->is_gentle && code != DF_OK && code != DF_UNAVAILABLE) /* a cut */
        CHECK_EQUAL(&w->mistakes, code, DF_OK);
}

static void do_end_session(world *w) {
    if (!w->s || !draw_once_in(&w->d, 3)) return;
    if (draw_once_in(&w->d, 3)) (void)df_session_close(w->s, draw_below(&w->d, 2000000), NULL);
    end_session(w);
}

static void do_cancel_all(world *w) {
    if (draw_once_in(&w->d, 4)) df_session_cancel(w->s);
}

/* Its first run finds a program that the others, as they run, do not know. */
static void do_compile(world *w) {
    df_program *p = NULL;
    if (!w->s) return;
    (void)df_session_compile(w->s, DF_OUTS(w->p.a, w->p.b), DF_OUTS(w->p.fetches[0]), NULL, &p,
                             NULL);
    df_program_free(p);
}

/* ---- faults --------------------------------------------------------------------------------- */

static uint32_t anybody(world *w) {
    return draw_below(&w->d, w->n_tasks);
}

static uint32_t any_worker(world *w) {
    return 1 + draw_below(&w->d, w->n_tasks - 1);
}

static void do_cut(world *w) {
    (void)df_mem_network_cut(w->net, all_tasks[anybody(w)].address, all_tasks[anybody(w)].address,
                             draw_below(&w->d, 1500), NULL);
}

static void link_is(world *w, uint32_t from, uint32_t to, df_mem_link l) {
    const char *a = all_tasks[from].address, *b = all_tasks[to].address;
    (void)df_mem_network_link(w->net, a, b, &l, NULL);
    if (w->loses[from][to] && l.latency != DF_MEM_NEVER) reset_to(a, b);
    w->loses[from][to] = l.latency == DF_MEM_NEVER;
}

static void do_slow(world *w) {
    df_mem_link l = {.latency = 1000, .jitter = draw_below(&w->d, 500000)};
    uint32_t from = anybody(w);
    link_is(w, from, anybody(w), l);
}

static void do_lose(world *w) {
    uint32_t from = anybody(w);
    if (!w->is_gentle) link_is(w, from, anybody(w), (df_mem_link){.latency = DF_MEM_NEVER});
}

static void do_good_links(world *w) {
    for (uint32_t from = 0; from < w->n_tasks; from++)
        for (uint32_t to = 0; to < w->n_tasks; to++)
            link_is(w, from, to, (df_mem_link){.latency = 1000, .jitter = 20000});
}

static void do_hang(world *w) {
    uint32_t t = any_worker(w);
    if (w->is_gentle || !w->c[t]) return;
    w->hangs[t] = !w->hangs[t];
    (void)df_mem_network_fate(w->net, all_tasks[t].address,
                              w->hangs[t] ? DF_MEM_HANGS : DF_MEM_GOES_ON, NULL);
}

static void do_kill(world *w) {
    uint32_t t = any_worker(w);
    if (w->is_gentle || !w->c[t]) return;
    if (draw_once_in(&w->d, 2))
        (void)df_mem_network_fate(w->net, all_tasks[t].address, DF_MEM_KILLED, NULL);
    leave(w, t);
}

static void do_restart(world *w) {
    uint32_t t = any_worker(w);
    if (!w->is_gentle && !w->c[t]) join(w, t);
}

static void do_leave_as_master(world *w) {
    if (w->is_gentle || !w->c[0] || !draw_once_in(&w->d, 4)) return;
    if (draw_once_in(&w->d, 3)) end_session(w);
    df_cluster_leave(w->c[0]);
    w->c[0] = NULL;
    end_session(w);
    df_error err;
    df_cluster_options co = {.struct_size = sizeof co,
                             .transport = &w->ops,
                             .heartbeat = 4000000,
                             .misses = 3,
                             .timeout = 100000000};
    if (df_cluster_join(w->rt[0], &w->spec, &co, &w->c[0], &err) != DF_OK)
        fail_msg("%s", err.message);
}

static void play(world *w) {
    static void (*const deeds[])(world * w) = {
        do_run,     do_run,         do_run,        do_run,     do_run,  do_pass,
        do_pass,    do_pass,        do_cancel,     do_session, do_cut,  do_cut,
        do_slow,    do_good_links,  do_lose,       do_hang,    do_kill, do_restart,
        do_restart, do_end_session, do_cancel_all, do_compile, do_use,  do_leave_as_master};
    for (uint32_t n = 8 + draw_below(&w->d, 40); n > 0; n--)
        deeds[draw_below(&w->d, sizeof deeds / sizeof *deeds)](w);
}

/* ---- what must be so ----------------------------------------------------------------------------
 */

static void heal(world *w) {
    do_good_links(w);
    for (uint32_t t = 0; t < w->n_tasks; t++) {
        if (!w->c[t]) join(w, t);
        if (w->hangs[t])
            (void)df_mem_network_fate(w->net, all_tasks[t].address, DF_MEM_GOES_ON, NULL);
        w->hangs[t] = false;
    }
}

static void await_runs(world *w) {
    for (uint32_t i = 0; i < w->n_jobs;) {
        if (w->jobs[i].ends) {
            i++;
            continue;
        }
        if (df_runtime_poll(w->rt[0], 100000, NULL) == 0) nap(20000);
    }
}

static int64_t given(const world *w) {
    int64_t all = 0;
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        const job *j = &w->jobs[i];
        if (j->session == w->sessions && j->writes && j->code == DF_OK) all += j->a;
    }
    return all;
}

/* Cuts may still be to come: each is one more failure. */
static void look_at_variables(world *w) {
    df_tensor *v[VARIABLES];
    df_error err;
    df_code code = DF_UNAVAILABLE;
    for (int i = 0; i < 60 && code == DF_UNAVAILABLE; i++)
        code = df_program_run(w->read, DF_NO_TENSORS, v, NULL, &err);
    if (code != DF_OK) {
        if (w->is_gentle) check_that(&w->mistakes, false, __FILE__, __LINE__, "%s", err.message);
        return;
    }
    for (uint32_t i = 0; i < w->p.n_variables; i++) {
        CHECK_EQUAL(&w->mistakes, run_value(v[i]), given(w) * w->grows[i]);
        df_tensor_unref(v[i]);
    }
}

static void world_open(world *w, uint64_t seed) {
    *w = (world){.seed = seed, .d = draws_of(seed, 0), .is_gentle = seed % 2 == 0};
    check_init(&w->mistakes);
    fault_allocator_init(&w->memory);
    fault_threads_init(&w->threads);
    w->n_tasks = 2 + draw_below(&w->d, TASKS - 1);
    w->devices = draw_once_in(&w->d, 4) ? "cpu:1,sim:1" : "cpu:1";
    w->spec = (df_cluster_spec){sizeof w->spec, all_tasks, w->n_tasks};
    df_mem_options mo = {.struct_size = sizeof mo,
                         .seed = seed,
                         .link = {.latency = 1000, .jitter = 30000},
                         .connect_timeout = 2000000,
                         .threads = 2,
                         .allocator = &w->memory.allocator,
                         .source = &w->threads.threads};
    assert_int_equal(df_mem_network_new(&mo, &w->net, NULL), DF_OK);
    df_mem_network_ops(w->net, &connections.mem);
    w->ops = connections.mem;
    w->ops.peer = keep_peer;
    w->ops.close = forget_peers;
    connections.n = 0;
    refer(w);
    for (uint32_t t = 0; t < w->n_tasks; t++) join(w, t);
    build(w, w->rt[0], &w->p, true);
}

static void world_close(world *w) {
    stop_user(w);
    bool session_first = draw_once_in(&w->d, 2);
    if (session_first) end_session(w);
    for (uint32_t i = 0; i < w->n_tasks; i++) leave(w, (i + (uint32_t)w->seed) % w->n_tasks);
    end_session(w);
    await_runs(w);
    for (uint32_t i = 0; i < w->n_jobs; i++) {
        w->succeeded += w->jobs[i].code == DF_OK;
        w->failed += w->jobs[i].code != DF_OK;
        df_cancel_free(w->jobs[i].cancel);
    }
    df_graph_free(w->p.g);
    df_runtime_free(w->rt[0]);
    df_mem_network_free(w->net);
    for (uint32_t i = 0; i < w->n_jobs; i++) CHECK_EQUAL(&w->mistakes, w->jobs[i].ends, 1);
    if (check_has_failed(&w->mistakes))
        print_message("run --first %" PRIu64 " --count 1\n", w->seed);
    fault_threads_end(&w->threads);
    fault_allocator_end(&w->memory);
    check_end(&w->mistakes);
}

static size_t count;
static uint64_t first_seed = 1;

static void any_schedule_of_faults_ends_well(void **state) {
    static world w;
    uint64_t succeeded = 0, failed = 0;
    (void)state;
    (void)signal(SIGALRM, out_of_patience);
    for (uint64_t seed = first_seed; seed < first_seed + count; seed++) {
        now_playing = seed;
        (void)alarm(PATIENCE);
        world_open(&w, seed);
        do_session(&w);
        play(&w);
        if (draw_once_in(&w.d, 3)) {
            world_close(&w);
        } else {
            heal(&w);
            await_runs(&w);
            if (w.s) look_at_variables(&w);
            world_close(&w);
        }
        succeeded += w.succeeded;
        failed += w.failed;
    }
    (void)alarm(0);
    print_message("%zu schedules, %" PRIu64 " runs succeeded, %" PRIu64 " failed\n", count,
                  succeeded, failed);
    /* On a busy machine many end at their deadlines. */
    assert_true(count < 100 || (succeeded > count / 4 && failed > count / 4));
}

int main(int argc, char **argv) {
    count = test_scaled(600);
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0) count = (size_t)n;
        if (strcmp(argv[i], "--first") == 0) first_seed = n;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_schedule_of_faults_ends_well)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
