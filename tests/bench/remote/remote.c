/* SPDX-License-Identifier: MIT
 *
 * remote [--quick] [--json FILE] [--certificates FOLDER] - what it costs to reach another process,
 * by a session, beside gRPC and UCX called from C and a socket, gRPC with and without TLS.
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

static const way *const ways[] = {
    &way_raw, &way_grpc,       &way_grpc_direct, &way_grpc_engine, &way_grpc_session,
#ifdef DATAFLOW_HAS_UCX
    &way_ucx, &way_ucx_direct, &way_ucx_engine,  &way_ucx_session,
#endif
};
enum { WAYS = sizeof ways / sizeof *ways, TURNS = 21, CASES = 2 * WAYS };

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

/* ---- servers ---------------------------------------------------------------------------- */

typedef struct contest {
    const way *way;
    bool is_tls;
    pid_t server;
    char address[DF_ADDRESS_MAX];
    void *client;
    double small[TURNS], large[TURNS], many[TURNS]; /* seconds */
    double user[2]; /* seconds in user space, for all that is large: of the client, the server */
    int n_large;
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

/* Seconds that a process has been in user space. */
static double user_of(pid_t pid) {
    char path[32], text[1024];
    unsigned long ticks = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    bench_need(f != NULL, path, "it cannot be read");
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* of its name; then 11 fields come before it */
    for (int i = 0; at && i < 12; i++) at = strchr(at + 1, ' ');
    bench_need(at && sscanf(at, "%lu", &ticks) == 1, path, "it is not as it was");
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
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

static void print_ratio(const char *what, const char *unit, double is, const char *sign,
                        double goal) {
    char words[120];
    (void)snprintf(words, sizeof words, "%s%s", what, unit);
    print_goal(words, is, sign, goal, *sign == '<' ? is <= goal : is >= goal);
}

/* A session beside what it is made of. */
static void print_goals(const contest *all, int n, int turns, const way *session, const way *itself,
                        const char *name, bool is_tls) {
    const contest *s = find(all, n, session, is_tls), *i = find(all, n, itself, is_tls);
    if (!s || !i) return;
    print_ratio("small hop of a session / of ", name,
                median(s->small, turns) / median(i->small, turns), "<=", 1.3);
    print_ratio("64 MiB/s of a session / of ", name,
                median(i->large, turns) / median(s->large, turns), ">=", 0.9);
}

#ifdef DATAFLOW_HAS_UCX
/* Seconds in user space to copy 64 MiB. */
static double copy_once(void) {
    enum { TIMES = 10 };
    char *from = bench_alloc(LARGE), *to = bench_alloc(LARGE);
    memset(from, 7, LARGE);
    memset(to, 8, LARGE);
    double since = user_of(getpid());
    for (int i = 0; i < TIMES; i++) {
        from[i] = (char)i;
        memcpy(to, from, LARGE);
        bench_need(to[i] == (char)i, "memcpy", "it does not copy");
    }
    double each = (user_of(getpid()) - since) / TIMES;
    free(from);
    free(to);
    return each;
}

static void print_ucx_goals(const contest *all, int n, int turns) {
    const contest *u = find(all, n, &way_ucx_engine, false), *s = find(all, n, &way_ucx_session, 0);
    const contest *g = find(all, n, &way_grpc_engine, false), *d = find(all, n, &way_ucx_direct, 0);
    const double copy = copy_once();
    print_ratio("small call of the engine / of UCX in C", ", direct",
                median(u->small, turns) / median(d->small, turns), "<=", 1.3);
    print_ratio("small calls/s of the UCX engine / of gRPC's", ", 64 at once",
                median(g->many, turns) / median(u->many, turns), ">=", 3);
    for (int side = 0; side < 2; side++)
        print_ratio("time in user space for 64 MiB / of copying them once, session by UCX",
                    side ? ", sender" : ", receiver", s->user[side] / s->n_large / copy, "<=", 0.5);
}
#endif

static void print(const contest *all, int n, int turns) {
    printf("%-20s %-4s %10s %14s %14s %22s\n", "", "", "hop, us", "64 at once, us", "64 MiB, MiB/s",
           "in user space, ms");
    for (int i = 0; i < n; i++) {
        char many[16] = "";
        if (all[i].way->many)
            (void)snprintf(many, sizeof many, "%.2f", median(all[i].many, turns) * 1e6);
        printf("%-20s %-4s %10.2f %14s %14.0f %11.2f%11.2f\n", all[i].way->name,
               all[i].is_tls ? "TLS" : "", median(all[i].small, turns) * 1e6, many,
               64 / median(all[i].large, turns), all[i].user[0] / all[i].n_large * 1e3,
               all[i].user[1] / all[i].n_large * 1e3);
    }
    print_goals(all, n, turns, &way_grpc_session, &way_grpc, "gRPC in C", false);
    print_goals(all, n, turns, &way_grpc_session, &way_grpc, "gRPC in C, TLS", true);
#ifdef DATAFLOW_HAS_UCX
    print_goals(all, n, turns, &way_ucx_session, &way_ucx, "UCX in C", false);
    print_ucx_goals(all, n, turns);
#endif
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
    if (c->way->many) c->many[turn] = c->way->many(c->client, 10 * trips);
    const double mine = user_of(getpid()), its = user_of(c->server);
    c->large[turn] = c->way->large(c->client, times);
    c->user[0] += user_of(getpid()) - mine;
    c->user[1] += user_of(c->server) - its;
    c->n_large += times;
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
