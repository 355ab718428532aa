/* SPDX-License-Identifier: MIT
 *
 * Graphs of all shapes, with nodes of nothing and of some work: what a node costs.
 */
#include "bench/speed/race.h"

#include <string.h>

#include "bench/speed/floors.h"
#include "bench/speed/shapes.h"
#include "bench/speed/ours.h"

enum { LONG_NODE = 50000 }; /* ns; graphs of such nodes have a tenth of them */

static const double sizes[] = {100, 200, 700, 8000, 100000};
static const double gap_sizes[] = {0, 200, 700, 8000};
static const double gaps[] = {20000, 200000};

static void add_floors(heat *p) {
    heat_add(p, &floor_topo, REPORT_FLOOR, 1);
    heat_add(p, &floor_plain, REPORT_FLOOR, 1);
    heat_add(p, &floor_c11, REPORT_FLOOR, 1);
}

static void add_ours(heat *p) {
    heat_add(p, &ours_racer, REPORT_OURS, 1);
    heat_add(p, &ours_racer, REPORT_OURS, 2);
}

/* The floor has the same work, and counts alone go along its edges. */
static heat heat_of(const race *r, const bench_graph *g, bool tensors, double ns) {
    heat p = {.per = g->n, .floor = &floor_plain};
    p.job = (bench_job){
        .graph = g, .tensors = tensors, .spins = race_spins(r, ns), .workers = 1, .devices = 1};
    p.floor_job = p.job;
    p.floor_job.tensors = false;
    return p;
}

static void race_empty(race *r, const bench_graph *g, bool tensors) {
    heat p = heat_of(r, g, tensors, 0);
    (void)snprintf(p.name, sizeof p.name, "empty/%s/%s", g->name, tensors ? "tensors" : "control");
    add_floors(&p);
    add_ours(&p);
    race_add_peers(r, &p, 1);
    race_add_peers(r, &p, 2);
    race_heat(r, &p);
}

/* Peers take part where all others do as well, and goals are set. */
static bool peers_work(const bench_graph *g, double ns) {
    return (ns == 700 || ns == 8000) &&
           (strcmp(g->name, "layer") == 0 || strcmp(g->name, "dag") == 0 ||
            strcmp(g->name, "wave") == 0);
}

static void race_work(race *r, const bench_graph *g, double ns) {
    heat p = heat_of(r, g, true, ns);
    (void)snprintf(p.name, sizeof p.name, "work/%s/%.0f", g->name, ns);
    heat_add(&p, &floor_plain, REPORT_FLOOR, 1);
    heat_add(&p, &floor_loop, REPORT_FLOOR, 2);
    add_ours(&p);
    if (peers_work(g, ns)) {
        race_add_peers(r, &p, 1);
        race_add_peers(r, &p, 2);
    }
    race_heat(r, &p);
}

static void race_gap(race *r, const bench_graph *g, double ns, double gap) {
    heat p = heat_of(r, g, true, ns);
    (void)snprintf(p.name, sizeof p.name, "gap/%s/%.0f/%.0fus", g->name, ns, gap / 1000);
    p.gap = gap;
    add_ours(&p);
    race_heat(r, &p);
}

static void race_graph(race *r, const char *name) {
    bench_graph *g = shape_new(name, r->nodes), *few = shape_new(name, r->nodes / 10);
    race_empty(r, g, false);
    race_empty(r, g, true);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        race_work(r, sizes[i] < LONG_NODE ? g : few, sizes[i]);
    for (size_t i = 0; i < sizeof gap_sizes / sizeof *gap_sizes; i++)
        for (size_t k = 0; k < sizeof gaps / sizeof *gaps; k++)
            race_gap(r, g, gap_sizes[i], gaps[k]);
    shape_free(g);
    shape_free(few);
}

void race_nodes(race *r) {
    for (int i = 0; i < SHAPES; i++) race_graph(r, shape_names[i]);
}

/* ---- whole runs ---------------------------------------------------------- */

static void race_run(race *r, const char *name, int32_t n, const char *point_name) {
    bench_graph *g = shape_new(name, n);
    heat p = heat_of(r, g, true, 0);
    (void)snprintf(p.name, sizeof p.name, "%s", point_name);
    p.per = 1;
    p.job.feeds = true;
    add_floors(&p);
    add_ours(&p);
    race_add_peers(r, &p, 1);
    race_add_peers(r, &p, 2);
    race_heat(r, &p);
    shape_free(g);
}

void race_runs(race *r) {
    race_run(r, "tiny", 8, "run/tiny");
    race_run(r, "apart", 1, "feeds/1");
    race_run(r, "apart", 10, "feeds/10");
    race_run(r, "apart", 100, "feeds/100");
}
