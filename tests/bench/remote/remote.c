/* SPDX-License-Identifier: MIT
 *
 * remote [--quick] [--json FILE] [--certificates FOLDER] [--tensorflow PROGRAM] - what it costs to
 * reach another process, by a session, beside gRPC and UCX called from C, a socket and TensorFlow,
 * gRPC with and without TLS; and to reach one more.
 *
 * Servers are this program, in processes of their own. All ways take turns, and of each the median
 * of all turns counts, so that what disturbs one disturbs all.
 */
#define _DEFAULT_SOURCE
#include "bench/remote/remote.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const way *const ways[] = {
    &way_raw,        &way_grpc,       &way_grpc_direct, &way_grpc_engine, &way_grpc_session,
#ifdef DATAFLOW_HAS_UCX
    &way_ucx,        &way_ucx_direct, &way_ucx_engine,  &way_ucx_session,
#endif
    &way_tensorflow,
};
static const engine_kind *const engines[] = {
    &engine_grpc,
#ifdef DATAFLOW_HAS_UCX
    &engine_ucx,
#endif
};
enum {
    WAYS = sizeof ways / sizeof *ways,
    CASES = 2 * WAYS,
    ENGINES = sizeof engines / sizeof *engines
};

/* ---- ways --------------------------------------------------------------------------------- */

typedef struct contest {
    const way *way;
    bool is_tls;
    pid_t server;
    char address[DF_ADDRESS_MAX];
    void *client;
    double small[TURNS], large[TURNS], many[TURNS], step[TURNS]; /* seconds */
    double user[2]; /* seconds in user space, for all that is large: of the client, the server */
    int n_large;
} contest;

static const char *folder;
static credentials tls;

static void start(contest *c, char *self, int i) {
    char number[12];
    (void)snprintf(number, sizeof number, "%d", i);
    char *mine[] = {self, "--serve", number, c->is_tls ? (char *)(uintptr_t)folder : NULL, NULL};
    char *its[] = {tensorflow_program, "serve", NULL};
    c->server = remote_start_server(c->way->serve ? mine : its, c->address);
}

/* ---- figures ------------------------------------------------------------------------------ */

/* What was measured, of all ways. */
typedef struct results {
    contest all[CASES];
    int n, turns;
    crew_cost workers[ENGINES][CREWS];
} results;

static const contest *find(const results *r, const way *w, bool is_tls) {
    for (int i = 0; i < r->n; i++)
        if (r->all[i].way == w && r->all[i].is_tls == is_tls) return &r->all[i];
    return NULL;
}

static void print_ratio(const char *what, const char *more, double is, const char *sign,
                        double goal) {
    const bool holds = *sign == '<' ? is <= goal : is >= goal;
    printf("goal: %s%s: %.2f (%s %.2f): %s\n", what, more, is, sign, goal,
           holds ? "met" : "missed");
}

/* A session beside another way: its hop takes so much of the other's time at most, and its rate is
 * so much of the other's at least. */
static void print_goals(const results *r, const way *session, const way *other, bool is_tls,
                        double time, double rate) {
    const contest *s = find(r, session, is_tls), *o = find(r, other, is_tls);
    char name[40];
    if (!s || !o) return;
    (void)snprintf(name, sizeof name, "%s%s", other->name, is_tls ? ", TLS" : "");
    print_ratio("small hop of a session / of ", name,
                remote_median(s->small, r->turns) / remote_median(o->small, r->turns), "<=", time);
    print_ratio("64 MiB/s of a session / of ", name,
                remote_median(o->large, r->turns) / remote_median(s->large, r->turns), ">=", rate);
}

#ifdef DATAFLOW_HAS_UCX
/* Seconds in user space to copy 64 MiB. */
static double copy_once(void) {
    enum { TIMES = 10 };
    char *from = bench_alloc(LARGE), *to = bench_alloc(LARGE);
    memset(from, 7, LARGE);
    memset(to, 8, LARGE);
    double since = remote_user_of(getpid());
    for (int i = 0; i < TIMES; i++) {
        from[i] = (char)i;
        memcpy(to, from, LARGE);
        bench_need(to[i] == (char)i, "memcpy", "it does not copy");
    }
    double each = (remote_user_of(getpid()) - since) / TIMES;
    free(from);
    free(to);
    return each;
}

static void print_ucx_goals(const results *r) {
    const contest *u = find(r, &way_ucx_engine, false), *s = find(r, &way_ucx_session, false);
    const contest *g = find(r, &way_grpc_engine, false), *d = find(r, &way_ucx_direct, false);
    const double copy = copy_once();
    print_ratio("small call of the engine / of UCX in C", ", direct",
                remote_median(u->small, r->turns) / remote_median(d->small, r->turns), "<=", 1.3);
    print_ratio("small calls/s of the UCX engine / of gRPC's", ", 64 at once",
                remote_median(g->many, r->turns) / remote_median(u->many, r->turns), ">=", 3);
    for (int side = 0; side < 2; side++)
        print_ratio("time in user space for 64 MiB / of copying them once, session by UCX",
                    side ? ", sender" : ", receiver", s->user[side] / s->n_large / copy, "<=", 0.5);
}
#endif

/* In us, the median and the least of the turns; blank if it was not measured. */
static void print_us(bool was_measured, const double *seconds, int turns) {
    if (was_measured)
        printf(" %10.2f %8.2f", remote_median(seconds, turns) * 1e6,
               remote_least(seconds, turns) * 1e6);
    else
        printf(" %10s %8s", "", "");
}

static void print_ways(const results *r) {
    printf("%-25s %10s %8s %10s %8s %10s %8s %9s %19s\n", "", "hop, us", "least", "step, us",
           "least", "64 at once", "least", "MiB/s", "in user space, ms");
    for (int i = 0; i < r->n; i++) {
        const contest *c = &r->all[i];
        printf("%-20s %-4s", c->way->name, c->is_tls ? "TLS" : "");
        print_us(true, c->small, r->turns);
        print_us(c->way->step, c->step, r->turns);
        print_us(c->way->many, c->many, r->turns);
        printf(" %9.0f %9.2f %9.2f\n", 64 / remote_median(c->large, r->turns),
               c->user[0] / c->n_large * 1e3, c->user[1] / c->n_large * 1e3);
    }
}

static void print_workers(const results *r) {
    printf("%-25s %10s %8s %13s %19s\n", "", "step, us", "least", "each more, us",
           "calls for a worker");
    for (int e = 0; e < ENGINES; e++)
        for (int i = 0; i < CREWS; i++) {
            const crew_cost *c = &r->workers[e][i];
            char name[32], more[16] = "";
            (void)snprintf(name, sizeof name, "%d worker%s by %s", crew_sizes[i], i ? "s" : "",
                           engines[e]->name);
            if (i)
                (void)snprintf(more, sizeof more, "%.2f",
                               (c->step - c[-1].step) * 1e6 / (crew_sizes[i] - crew_sizes[i - 1]));
            printf("%-25s %10.2f %8.2f %13s %19.2f\n", name, c->step * 1e6, c->least * 1e6, more,
                   c->calls);
        }
}

static void print(const results *r) {
    print_ways(r);
    print_workers(r);
    print_goals(r, &way_grpc_session, &way_grpc, false, 1.3, 0.9);
    print_goals(r, &way_grpc_session, &way_grpc, true, 1.3, 0.9);
    print_goals(r, &way_grpc_session, &way_tensorflow, false, 0.2, 3);
#ifdef DATAFLOW_HAS_UCX
    print_goals(r, &way_ucx_session, &way_ucx, false, 1.3, 0.9);
    print_ucx_goals(r);
#endif
}

static void write_ways(FILE *f, const results *r) {
    for (int i = 0; i < r->n; i++) {
        const contest *c = &r->all[i];
        (void)fprintf(f, "%s\n  {\"name\": \"%s\", \"tls\": %s, \"hop_us\": %.3f, \"mib_s\": %.1f",
                      i ? "," : "", c->way->name, c->is_tls ? "true" : "false",
                      remote_median(c->small, r->turns) * 1e6,
                      64 / remote_median(c->large, r->turns));
        if (c->way->step)
            (void)fprintf(f, ", \"step_us\": %.3f", remote_median(c->step, r->turns) * 1e6);
        (void)fprintf(f, "}");
    }
}

static void write_workers(FILE *f, const results *r) {
    for (int i = 0; i < ENGINES * CREWS; i++) {
        const crew_cost *c = &r->workers[i / CREWS][i % CREWS];
        (void)fprintf(f,
                      "%s\n  {\"engine\": \"%s\", \"workers\": %d, \"step_us\": %.3f, "
                      "\"calls\": %.2f}",
                      i ? "," : "", engines[i / CREWS]->name, crew_sizes[i % CREWS], c->step * 1e6,
                      c->calls);
    }
}

static void write_json(const char *path, const results *r) {
    FILE *f = fopen(path, "w");
    bench_need(f != NULL, path, "it cannot be written");
    (void)fprintf(f, "{\"turns\": %d, \"ways\": [", r->turns);
    write_ways(f, r);
    (void)fprintf(f, "\n], \"workers\": [");
    write_workers(f, r);
    (void)fprintf(f, "\n]}\n");
    (void)fclose(f);
}

/* ---- the run ------------------------------------------------------------------------------- */

static void measure(contest *c, int turn, int trips, int times) {
    const pid_t client = c->way->process ? c->way->process(c->client) : getpid();
    c->small[turn] = c->way->small(c->client, trips);
    if (c->way->many) c->many[turn] = c->way->many(c->client, 10 * trips);
    if (c->way->step) c->step[turn] = c->way->step(c->client, trips / 10);
    const double its = remote_user_of(client), servers = remote_user_of(c->server);
    c->large[turn] = c->way->large(c->client, times);
    c->user[0] += remote_user_of(client) - its;
    c->user[1] += remote_user_of(c->server) - servers;
    c->n_large += times;
}

static void serve(int argc, char **argv) {
    if (argc > 3) bench_need(credentials_read(&tls, argv[3], "ca", "worker-0"), argv[3], "TLS");
    ways[atoi(argv[2])]->serve(argc > 3 ? &tls : NULL);
}

static void serve_as_worker(char **argv) {
    for (int e = 0; e < ENGINES; e++)
        if (strcmp(engines[e]->name, argv[2]) == 0) workers_serve(engines[e], atoi(argv[3]));
}

static void start_all(results *r, char *self) {
    for (int t = 0; t < (folder ? 2 : 1); t++)
        for (int i = 0; i < WAYS; i++) {
            if (t && !ways[i]->has_tls) continue;
            if (!ways[i]->serve && !tensorflow_program) continue;
            r->all[r->n] = (contest){.way = ways[i], .is_tls = t};
            start(&r->all[r->n++], self, i);
        }
}

static void measure_ways(results *r, int trips, int times) {
    for (int i = 0; i < r->n; i++) {
        contest *c = &r->all[i];
        c->client = c->way->connect(c->address, c->is_tls ? &tls : NULL);
        measure(c, 0, trips, 2); /* to become warm */
    }
    for (int turn = 0; turn < r->turns; turn++)
        for (int i = 0; i < r->n; i++) measure(&r->all[i], turn, trips, times);
    for (int i = 0; i < r->n; i++) {
        r->all[i].way->close(r->all[i].client);
        remote_end(r->all[i].server);
    }
}

int main(int argc, char **argv) {
    static results r = {.turns = TURNS};
    const char *json = NULL;
    int trips = 1000, times = 4;
    if (argc >= 3 && strcmp(argv[1], "--serve") == 0) serve(argc, argv);
    if (argc == 4 && strcmp(argv[1], "--worker") == 0) serve_as_worker(argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) r.turns = 3, trips = 100, times = 1;
        if (i + 1 < argc && strcmp(argv[i], "--json") == 0) json = argv[++i];
        if (i + 1 < argc && strcmp(argv[i], "--certificates") == 0) folder = argv[++i];
        if (i + 1 < argc && strcmp(argv[i], "--tensorflow") == 0) tensorflow_program = argv[++i];
    }
    if (folder) bench_need(credentials_read(&tls, folder, "ca", "worker-1"), folder, "TLS");
    start_all(&r, argv[0]);
    measure_ways(&r, trips, times);
    for (int e = 0; e < ENGINES; e++)
        workers_measure(argv[0], engines[e], r.turns, trips / 10, r.workers[e]);
    print(&r);
    if (json) write_json(json, &r);
    return 0;
}
