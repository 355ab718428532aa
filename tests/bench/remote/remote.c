/* SPDX-License-Identifier: MIT
 *
 * remote [--quick] [--json FILE] [--certificates FOLDER] - what it costs to reach another process,
 * by a session, beside gRPC called from C and a socket, with and without TLS.
 *
 * Servers are this program, in processes of their own. All ways take turns, and of each the median
 * of all turns counts, so that what disturbs one disturbs all.
 */
#define _DEFAULT_SOURCE
#include "bench/remote/remote.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { WAYS = 5, TURNS = 21, CASES = 2 * WAYS };

static const way *const ways[WAYS] = {&way_raw, &way_grpc, &way_grpc_direct, &way_engine,
                                      &way_cluster};

/* ---- what all have -------------------------------------------------------------------- */

double remote_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void remote_is_at(const char *address) {
    printf("%s\n", address);
    (void)fflush(stdout);
}

void remote_wait_for_ever(void) {
    for (;;) (void)pause();
}

struct latch {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_open;
};

latch *latch_new(void) {
    latch *l = bench_alloc(sizeof *l);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->moved, NULL);
    return l;
}

void latch_free(latch *l) {
    (void)pthread_cond_destroy(&l->moved);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

void latch_open(latch *l) {
    (void)pthread_mutex_lock(&l->lock);
    l->is_open = true;
    (void)pthread_cond_signal(&l->moved);
    (void)pthread_mutex_unlock(&l->lock);
}

void latch_pass(latch *l) {
    (void)pthread_mutex_lock(&l->lock);
    while (!l->is_open) (void)pthread_cond_wait(&l->moved, &l->lock);
    l->is_open = false;
    (void)pthread_mutex_unlock(&l->lock);
}

void remote_engine(const credentials *tls, df_grpc_engine **engine, df_transport_ops *ops) {
    df_error err;
    df_grpc_options o = {.struct_size = sizeof o};
    if (tls) {
        o.certificate = tls->certificate;
        o.key = tls->key;
        o.ca = tls->ca;
    }
    bench_ok(df_grpc_engine_new(&o, engine, &err), &err, "an engine");
    df_grpc_engine_ops(*engine, ops);
}

/* ---- servers ---------------------------------------------------------------------------- */

typedef struct contest {
    const way *way;
    bool is_tls;
    pid_t server;
    char address[DF_ADDRESS_MAX];
    void *client;
    double small[TURNS], large[TURNS]; /* seconds */
} contest;

static const char *folder;
static credentials tls;

static void start(contest *c, char *self, int i) {
    int pipe_[2];
    char number[12];
    (void)snprintf(number, sizeof number, "%d", i);
    char *argv[] = {self, "--serve", number, c->is_tls ? (char *)(uintptr_t)folder : NULL, NULL};
    bench_need(pipe(pipe_) == 0, "pipe", "there is none");
    c->server = fork();
    bench_need(c->server >= 0, "fork", "it fails");
    if (c->server == 0) {
#ifdef __linux__
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        (void)dup2(pipe_[1], STDOUT_FILENO);
        (void)execv(self, argv);
        _exit(127);
    }
    (void)close(pipe_[1]);
    FILE *f = fdopen(pipe_[0], "r");
    bench_need(f && fgets(c->address, sizeof c->address, f), c->way->name, "no server");
    (void)fclose(f);
    c->address[strcspn(c->address, "\n")] = '\0';
}

/* ---- figures ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *all, int n) {
    double sorted[TURNS];
    memcpy(sorted, all, (size_t)n * sizeof *all);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    return sorted[n / 2];
}

static const contest *find(const contest *all, int n, const way *w, bool is_tls) {
    for (int i = 0; i < n; i++)
        if (all[i].way == w && all[i].is_tls == is_tls) return &all[i];
    return NULL;
}

static void print_goal(const char *what, double is, const char *sign, double goal, bool holds) {
    printf("goal: %s: %.2f (%s %.2f): %s\n", what, is, sign, goal, holds ? "met" : "missed");
}

static void print_goals(const contest *all, int n, int turns, bool is_tls) {
    const contest *s = find(all, n, &way_cluster, is_tls), *g = find(all, n, &way_grpc, is_tls);
    if (!s || !g) return;
    char what[100];
    double hop = median(s->small, turns) / median(g->small, turns);
    double rate = median(g->large, turns) / median(s->large, turns);
    (void)snprintf(what, sizeof what, "small hop of a session / of gRPC in C%s",
                   is_tls ? ", TLS" : "");
    print_goal(what, hop, "<=", 1.3, hop <= 1.3);
    (void)snprintf(what, sizeof what, "64 MiB/s of a session / of gRPC in C%s",
                   is_tls ? ", TLS" : "");
    print_goal(what, rate, ">=", 0.9, rate >= 0.9);
}

static void print(const contest *all, int n, int turns) {
    printf("%-20s %-4s %14s %12s\n", "", "", "hop, us", "64 MiB, MiB/s");
    for (int i = 0; i < n; i++)
        printf("%-20s %-4s %14.2f %12.0f\n", all[i].way->name, all[i].is_tls ? "TLS" : "",
               median(all[i].small, turns) * 1e6, 64 / median(all[i].large, turns));
    print_goals(all, n, turns, false);
    print_goals(all, n, turns, true);
}

static void write_json(const char *path, const contest *all, int n, int turns) {
    FILE *f = fopen(path, "w");
    bench_need(f != NULL, path, "it cannot be written");
    (void)fprintf(f, "{\"turns\": %d, \"ways\": [", turns);
    for (int i = 0; i < n; i++)
        (void)fprintf(f, "%s\n  {\"name\": \"%s\", \"tls\": %s, \"hop_us\": %.3f, \"mib_s\": %.1f}",
                      i ? "," : "", all[i].way->name, all[i].is_tls ? "true" : "false",
                      median(all[i].small, turns) * 1e6, 64 / median(all[i].large, turns));
    (void)fprintf(f, "\n]}\n");
    (void)fclose(f);
}

static void measure(contest *c, int turn, int trips, int times) {
    c->small[turn] = c->way->small(c->client, trips);
    c->large[turn] = c->way->large(c->client, times);
}

int main(int argc, char **argv) {
    static contest all[CASES];
    const char *json = NULL;
    int n = 0, turns = TURNS, trips = 1000, times = 4;
    if (argc >= 3 && strcmp(argv[1], "--serve") == 0) {
        if (argc > 3) bench_need(credentials_read(&tls, argv[3], "ca", "worker-0"), argv[3], "TLS");
        ways[atoi(argv[2])]->serve(argc > 3 ? &tls : NULL);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) turns = 3, trips = 100, times = 1;
        if (i + 1 < argc && strcmp(argv[i], "--json") == 0) json = argv[++i];
        if (i + 1 < argc && strcmp(argv[i], "--certificates") == 0) folder = argv[++i];
    }
    if (folder) bench_need(credentials_read(&tls, folder, "ca", "worker-1"), folder, "TLS");
    for (int t = 0; t < (folder ? 2 : 1); t++)
        for (int i = 0; i < WAYS; i++) {
            if (t && !ways[i]->has_tls) continue;
            all[n] = (contest){.way = ways[i], .is_tls = t};
            start(&all[n++], argv[0], i);
        }
    for (int i = 0; i < n; i++) {
        all[i].client = all[i].way->connect(all[i].address, all[i].is_tls ? &tls : NULL);
        measure(&all[i], 0, trips, 2); /* to become warm */
    }
    for (int turn = 0; turn < turns; turn++)
        for (int i = 0; i < n; i++) measure(&all[i], turn, trips, times);
    print(all, n, turns);
    if (json) write_json(json, all, n, turns);
    for (int i = 0; i < n; i++) {
        all[i].way->close(all[i].client);
        (void)kill(all[i].server, SIGKILL);
        (void)waitpid(all[i].server, NULL, 0);
    }
    return 0;
}
