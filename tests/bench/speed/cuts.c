/* SPDX-License-Identifier: MIT
 *
 * Graphs cut over several CPU devices of one process: what a crossing adds. A crossing is one
 * output that goes to one other device, however many read it there.
 */
#include "bench/speed/race.h"

#include <stdlib.h>
#include <string.h>

#include "bench/common.h"
#include "bench/speed/floors.h"
#include "bench/speed/shapes.h"
#include "bench/speed/ours.h"

typedef struct cut {
    char name[64]; /* of its point, behind the group's */
    bench_job job;
    uint8_t *device_of;
    double crossings;
} cut;

static double crossings_of(const bench_graph *g, const uint8_t *device_of) {
    double crossings = 0;
    for (int32_t i = 0; i < g->n; i++) {
        uint64_t seen = UINT64_C(1) << device_of[i];
        for (int32_t e = g->first_succ[i]; e < g->first_succ[i + 1]; e++) {
            uint64_t bit = UINT64_C(1) << device_of[g->succs[e]];
            crossings += !(seen & bit);
            seen |= bit;
        }
    }
    return crossings;
}

/* Nodes go to the devices in turn, so many in a row to each. */
static cut cut_new(const bench_graph *g, int32_t in_a_row, int devices, const char *what) {
    cut c = {.job = {.graph = g, .tensors = true, .workers = 1, .devices = devices}};
    (void)snprintf(c.name, sizeof c.name, "cut/%s/%s", g->name, what);
    if (devices == 1) return c;
    c.device_of = bench_alloc((size_t)g->n);
    for (int32_t i = 0; i < g->n; i++) c.device_of[i] = (uint8_t)(i / in_a_row % devices);
    c.job.device_of = c.device_of;
    c.crossings = crossings_of(g, c.device_of);
    return c;
}

static void add_contestant(heat *p, const cut *c, const bench_racer *racer, report_kind kind,
                           int workers) {
    contestant *added = heat_add(p, racer, kind, workers);
    added->point = c->name;
    added->job = &c->job;
}

static void add_contestants(const race *r, heat *p, const cut *c) {
    for (int workers = 1; workers <= 2; workers++) {
        add_contestant(p, c, &ours_racer, REPORT_OURS, workers);
        add_contestant(p, c, &ours_table_racer, REPORT_OURS, workers);
        for (size_t i = 0; i < r->n_peers; i++)
            for (size_t k = 0; r->peers[i]->devices && k < r->peers[i]->n_racers; k++)
                add_contestant(p, c, &r->peers[i]->racers[k], REPORT_PEER, workers);
    }
}

/* What is added to the run without cuts, of the same racer. */
static void add_crossing(race *r, const cut *c, const cut *whole, const report_row *row) {
    const report_row *uncut = report_find(&r->report, whole->name, row->racer, row->workers);
    double each = c->job.graph->n / c->crossings;
    report_row crossing = *row;
    if (!uncut) return;
    (void)snprintf(crossing.point, sizeof crossing.point, "crossing%s", c->name + strlen("cut"));
    crossing.least = (row->least - uncut->least) * each;
    crossing.median = (row->median - uncut->median) * each;
    crossing.floor_least = crossing.floor_median = 0;
    report_add(&r->report, &crossing);
}

static void add_crossings(race *r, const cut *cuts, size_t n) {
    size_t from = r->report.n;
    for (size_t c = 1; c < n; c++)
        for (size_t i = 0; i < from; i++) {
            const report_row row = r->report.rows[i];
            if (strcmp(row.point, cuts[c].name) == 0) add_crossing(r, &cuts[c], &cuts[0], &row);
        }
    report_print(&r->report, from);
}

/* The first of the cuts is none. */
static void race_cut(race *r, const cut *cuts, size_t n) {
    heat p = {.per = cuts[0].job.graph->n, .floor = &floor_plain, .floor_job = cuts[0].job};
    p.floor_job.tensors = false;
    (void)snprintf(p.name, sizeof p.name, "cut/%s", cuts[0].job.graph->name);
    for (size_t i = 0; i < n; i++) add_contestants(r, &p, &cuts[i]);
    race_heat(r, &p);
    if (race_wants(r, p.name)) add_crossings(r, cuts, n);
}

void race_cuts(race *r) {
    bench_graph *chain = shape_new("chain", r->nodes), *layer = shape_new("layer", r->nodes);
    int32_t side = layer->by_most[layer->n - 1];
    cut chains[] = {cut_new(chain, 1, 1, "whole"), cut_new(chain, 1, 2, "2/1"),
                    cut_new(chain, 10, 2, "2/10"), cut_new(chain, 1, 4, "4/1"),
                    cut_new(chain, 10, 4, "4/10")};
    cut layers[] = {cut_new(layer, side, 1, "whole"), cut_new(layer, side, 2, "2/1"),
                    cut_new(layer, side, 4, "4/1")};
    enum { CHAINS = sizeof chains / sizeof *chains, LAYERS = sizeof layers / sizeof *layers };
    race_cut(r, chains, CHAINS);
    race_cut(r, layers, LAYERS);
    for (size_t i = 0; i < CHAINS; i++) free(chains[i].device_of);
    for (size_t i = 0; i < LAYERS; i++) free(layers[i].device_of);
    shape_free(chain);
    shape_free(layer);
}
