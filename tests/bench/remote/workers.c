/* SPDX-License-Identifier: MIT
 *
 * What one more worker costs: steps of a graph with a piece on each of so many workers, all of them
 * processes. A piece is one op, whose value is fed and fetched; nothing goes from one worker to
 * another. All graphs are of one session over all workers: who has no piece is not called.
 */
#include "bench/remote/member.h"

#include <stdatomic.h>
#include <stdio.h>

const int crew_sizes[CREWS] = {1, 2, 4, WORKERS};

typedef struct crew {
    member *master;
    pid_t workers[WORKERS];
    df_graph *g;
    df_session *s;
    df_program *programs[CREWS];
    df_tensor *x;
} crew;

/* ---- calls are counted ------------------------------------------------------------------ */

/* Those that the master makes, and those that it answers; of the one crew that there is. */
static atomic_long calls;
static const engine_kind *engine;
static df_transport_ops engine_ops;

static void call(void *peer, df_call *c) {
    (void)atomic_fetch_add(&calls, 1);
    engine_ops.call(peer, c);
}

static void reply(df_request *request, df_reply *r) {
    (void)atomic_fetch_add(&calls, 1);
    engine_ops.reply(request, r);
}

static void *make_counted(const credentials *tls, df_transport_ops *ops) {
    void *made = engine->make(tls, &engine_ops);
    *ops = engine_ops;
    ops->call = call;
    ops->reply = reply;
    return made;
}

/* ---- a master and its workers --------------------------------------------------------------- */

void workers_serve(const engine_kind *kind, int task) {
    member_serve(kind, NULL, task, WORKERS);
}

static void start(crew *c, char *self, const engine_kind *counted) {
    char at[WORKERS][DF_ADDRESS_MAX];
    const char *addresses[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        char number[12];
        (void)snprintf(number, sizeof number, "%d", i);
        char *argv[] = {self, "--worker", (char *)(uintptr_t)engine->name, number, NULL};
        c->workers[i] = remote_start_server(argv, at[i]);
        addresses[i] = at[i];
    }
    c->master = member_lead(counted, NULL, addresses, WORKERS);
}

static void compile(crew *c) {
    const int64_t few[] = {SMALL / 4};
    df_out pieces[WORKERS];
    df_error err;
    c->g = df_graph_new(c->master->rt);
    df_out x = df_placeholder(c->g, "x", DF_FLOAT32, (df_shape){1, few});
    for (int i = 0; i < WORKERS; i++) {
        char where[32];
        (void)snprintf(where, sizeof where, "/job:worker/task:%d", i);
        df_graph_on(c->g, where);
        pieces[i] = df_neg(c->g, x);
    }
    df_graph_on(c->g, NULL);
    c->s = member_session(c->master, c->g);
    for (int i = 0; i < CREWS; i++)
        c->programs[i] = member_compile(c->s, DF_OUTS(x), (df_outs){pieces, (size_t)crew_sizes[i]});
    bench_ok(df_tensor_new(NULL, DF_FLOAT32, (df_shape){1, few}, &c->x, &err), &err, "a tensor");
    *(float *)df_tensor_data(c->x) = 7;
}

static void stop(crew *c) {
    df_tensor_unref(c->x);
    for (int i = 0; i < CREWS; i++) df_program_free(c->programs[i]);
    df_session_free(c->s);
    df_graph_free(c->g);
    member_free(c->master);
    for (int i = 0; i < WORKERS; i++) remote_end(c->workers[i]);
}

/* ---- steps ------------------------------------------------------------------------------- */

static double step(const crew *c, int i) {
    df_tensor *out[WORKERS];
    df_error err;
    double since = remote_now();
    bench_ok(df_program_run(c->programs[i], DF_TENSORS(c->x), out, NULL, &err), &err, "a step");
    since = remote_now() - since;
    for (int k = 0; k < crew_sizes[i]; k++) {
        bench_need(*(float *)df_tensor_data(out[k]) == -7, "a step", "its value is wrong");
        df_tensor_unref(out[k]);
    }
    return since;
}

static double steps(const crew *c, int i, int n) {
    double all = 0;
    for (int k = 0; k < n; k++) all += step(c, i);
    return all / n;
}

void workers_measure(char *self, const engine_kind *kind, int turns, int n,
                     crew_cost costs[CREWS]) {
    const engine_kind counted = {kind->name, kind->address, make_counted, kind->free};
    double seconds[CREWS][TURNS];
    long made[CREWS] = {0};
    crew c;
    engine = kind;
    start(&c, self, &counted);
    compile(&c);
    for (int i = 0; i < CREWS; i++) (void)steps(&c, i, n); /* to become warm */
    for (int turn = 0; turn < turns; turn++)
        for (int i = 0; i < CREWS; i++) {
            const long before = atomic_load(&calls);
            seconds[i][turn] = steps(&c, i, n);
            made[i] += atomic_load(&calls) - before;
        }
    stop(&c);
    for (int i = 0; i < CREWS; i++)
        costs[i] = (crew_cost){remote_median(seconds[i], turns), remote_least(seconds[i], turns),
                               (double)made[i] / turns / n / crew_sizes[i]};
}
