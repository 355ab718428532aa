/* SPDX-License-Identifier: MIT
 *
 * speed - what a node, a run, a crossing and a rendezvous cost, beside plain loops and whatever
 * peers are given.
 *
 *   speed [OPTION...] [PEER.so...]
 *
 *   --quick         fewer repeats
 *   --smoke         nearly none, on small graphs: whether all of it works, not how fast
 *   --only PATTERN  the points with this in their name; a * in it stands for anything
 *   --json FILE     --markdown FILE     --svg FILE
 *   --huge FILE     what huge printed: its goals are taken over
 *   --note TEXT     said in the report: a peer that is missing, and why
 *
 * A line for each racer at each point: the least and the median ns, the ratio of the least to the
 * floor's beside it, and to the best peer's. At the end the goals, "goal NAME VALUE BOUND ok" or
 * "missed"; a missed one is no failure, a wrong value is.
 */
#include "bench/speed/race.h"

#include <dlfcn.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/speed/shapes.h"
#include "bench/speed/parts.h"

/* ---- what the groups ask ------------------------------------------------- */

bool race_wants(const race *r, const char *point) {
    char pattern[128];
    if (!r->only) return true;
    (void)snprintf(pattern, sizeof pattern, "*%s*", r->only);
    return fnmatch(pattern, point, 0) == 0;
}

uint32_t race_spins(const race *r, double ns) {
    return (uint32_t)(ns / r->spin + 0.5);
}

void race_add_peers(const race *r, heat *p, int workers) {
    for (size_t i = 0; i < r->n_peers; i++)
        for (size_t k = 0; k < r->peers[i]->n_racers; k++)
            heat_add(p, &r->peers[i]->racers[k], REPORT_PEER, workers);
}

void race_heat(race *r, const heat *p) {
    if (race_wants(r, p->name)) measure_heat(p, &r->pace, &r->report);
}

void race_heat_of_threads(race *r, const heat *p) {
    tempo pace = r->pace;
    pace.sample *= 20;
    if (pace.block < pace.sample) pace.block = pace.sample;
    if (race_wants(r, p->name)) measure_heat(p, &pace, &r->report);
}

/* ---- the machine --------------------------------------------------------- */

static double time_of_spin(void) {
    enum { TURNS = 20000, TRIES = 500 };
    double least = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = measure_now();
        bench_spin(TURNS);
        double took = (measure_now() - start) / TURNS;
        if (least <= 0 || took < least) least = took;
    }
    return least;
}

static void note_machine(race *r) {
    char line[256], model[128] = "unknown";
    struct utsname u;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "model name : %127[^\n]", model) == 1) break;
    if (f) (void)fclose(f);
    if (uname(&u) < 0) (void)snprintf(u.release, sizeof u.release, "unknown");
    report_note(&r->report, "machine: %s, %d cores, kernel %s", model, r->cores, u.release);
    report_note(&r->report, "compiler: %s", __VERSION__);
    report_note(&r->report, "library: %s", df_version());
    report_note(&r->report, "a turn of the loop of work: %.3f ns", r->spin);
}

/* Seconds that all cores together have been busy since the machine started; 0: it does not say. */
static double busy_seconds(void) {
    double user = 0, nice = 0, system = 0;
    FILE *f = fopen("/proc/stat", "r");
    if (!f) return 0;
    if (fscanf(f, "cpu %lf %lf %lf", &user, &nice, &system) != 3) user = nice = system = 0;
    (void)fclose(f);
    return (user + nice + system) / (double)sysconf(_SC_CLK_TCK);
}

/* So that a reader knows what figures for two threads are worth. */
static void note_others(race *r, double began, double busy) {
    struct rusage own;
    double took = (measure_now() - began) / 1e9;
    (void)getrusage(RUSAGE_SELF, &own);
    double used = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                  (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    double others = (busy_seconds() - busy - used) / took;
    if (busy > 0)
        report_note(&r->report, "other programs used %.2f of the %d cores meanwhile",
                    others > 0 ? others : 0, r->cores);
}

/* ---- peers --------------------------------------------------------------- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* They stay loaded: some have threads of their own until the process ends. */
static void add_peer(race *r, const char *path) {
    const char *why = "it gives no racers";
    bench_peer_open_fn *open_peer = NULL;
    const bench_peer *peer;
    void *loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (loaded) {
        void *symbol = dlsym(loaded, "bench_peer_open");
        memcpy(&open_peer, &symbol, sizeof symbol);
    } else {
        why = dlerror();
    }
    bench_need(r->n_peers < sizeof r->peers / sizeof *r->peers, path, "too many peers");
    if (open_peer && (peer = open_peer(&why)) != NULL) {
        r->peers[r->n_peers++] = peer;
        report_note(&r->report, "peer: %s", peer->version);
    } else {
        report_note(&r->report, "not there: %s: %s", base_name(path), why);
    }
}

/* ---- the program --------------------------------------------------------- */

typedef struct files {
    const char *json, *markdown, *svg;
} files;

static void write_file(const race *r, const char *path, void (*write)(const report *, FILE *)) {
    if (!path) return;
    FILE *f = fopen(path, "w");
    bench_need(f != NULL, path, "cannot be written");
    write(&r->report, f);
    bench_need(fclose(f) == 0, path, "cannot be written");
}

static void usage(void) {
    fprintf(stderr, "speed [--quick] [--smoke] [--only PATTERN] [--json FILE] [--markdown FILE] "
                    "[--svg FILE] [--note TEXT] [PEER.so...]\n");
    exit(2);
}

static const char *operand(char **argv, int argc, int *i) {
    if (++*i >= argc) usage();
    return argv[*i];
}

/* Short loops of work as well. */
static void be_small(race *r) {
    r->pace = (tempo){.rounds = 1, .block = 1, .sample = 1};
    r->nodes = 300;
    r->spin *= 100;
}

static void read_options(race *r, files *out, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--quick") == 0)
            r->pace = (tempo){.rounds = 3, .block = 4e6, .sample = 2e5};
        else if (strcmp(a, "--smoke") == 0)
            be_small(r);
        else if (strcmp(a, "--only") == 0)
            r->only = operand(argv, argc, &i);
        else if (strcmp(a, "--json") == 0)
            out->json = operand(argv, argc, &i);
        else if (strcmp(a, "--markdown") == 0)
            out->markdown = operand(argv, argc, &i);
        else if (strcmp(a, "--svg") == 0)
            out->svg = operand(argv, argc, &i);
        else if (strcmp(a, "--huge") == 0)
            r->report.huge = operand(argv, argc, &i);
        else if (strcmp(a, "--note") == 0)
            report_note(&r->report, "%s", operand(argv, argc, &i));
        else if (a[0] == '-')
            usage();
        else
            add_peer(r, a);
    }
}

int main(int argc, char **argv) {
    race r = {.pace = {.rounds = 8, .block = 15e6, .sample = 3e5},
              .nodes = SHAPE_NODES,
              .cores = (int)sysconf(_SC_NPROCESSORS_ONLN),
              .spin = time_of_spin()};
    files out = {.json = NULL};
    double began = measure_now(), busy = busy_seconds();
    note_machine(&r);
    read_options(&r, &out, argc, argv);
    race_runs(&r);
    race_nodes(&r);
    race_cuts(&r);
    race_pairs(&r);
    race_crowd(&r);
    race_quiet(&r);
    note_others(&r, began, busy);
    race_goals(&r);
    report_huge_goals(&r.report);
    write_file(&r, out.json, report_json);
    write_file(&r, out.markdown, report_markdown);
    write_file(&r, out.svg, report_svg);
    report_free(&r.report);
    return 0;
}
