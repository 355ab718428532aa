/* SPDX-License-Identifier: MIT
 *
 * What it is judged by: ratios of what was measured in this run. Points that were left out give no
 * goal.
 */
#include "bench/speed/race.h"

#include <string.h>

#include "bench/speed/shapes.h"

/* The greatest or least of several ratios; none is 0. */
typedef struct worst {
    double value;
    bool of_least;
} worst;

static void worst_add(worst *w, double value) {
    if (value <= 0) return;
    if (w->value <= 0 || (w->of_least ? value < w->value : value > w->value)) w->value = value;
}

static void goal(race *r, const char *what, const char *of, double value, double bound,
                 bool at_least) {
    char name[160];
    (void)snprintf(name, sizeof name, "%s%s%s", what, *of ? "_" : "", of);
    if (value > 0) report_goal(&r->report, name, value, bound, at_least);
}

static double of_floor(const report_row *row) {
    return row && row->floor_least > 0 ? row->least / row->floor_least : 0;
}

static const report_row *ours(const race *r, const char *point, int workers) {
    return report_find(&r->report, point, "dataflow", workers);
}

/* ---- empty nodes --------------------------------------------------------- */

static double floor_ratio(const race *r, const char *graph, const char *carries) {
    char name[80];
    (void)snprintf(name, sizeof name, "empty/%s/%s", graph, carries);
    return of_floor(ours(r, name, 1));
}

static double tensors_bound(const char *graph) {
    return strcmp(graph, "fan") == 0 || strcmp(graph, "tiny") == 0 ? 1.5 : 1.0;
}

static void empty_goals(race *r) {
    for (int i = 0; i < SHAPES; i++)
        goal(r, "control_of_floor", shape_names[i], floor_ratio(r, shape_names[i], "control"), 0.75,
             false);
    for (int i = 0; i < SHAPES; i++)
        goal(r, "tensors_of_floor", shape_names[i], floor_ratio(r, shape_names[i], "tensors"),
             tensors_bound(shape_names[i]), false);
}

static bool in_group(const report_row *row, const char *group) {
    return strncmp(row->point, group, strlen(group)) == 0 && row->point[strlen(group)] == '/';
}

/* Ours, wherever a node is empty, against one peer (or the best, if name is NULL). */
static double against(const race *r, const char *group, const char *name, bool peer_over_ours) {
    worst w = {.of_least = peer_over_ours};
    for (size_t i = 0; i < r->report.n; i++) {
        const report_row *row = &r->report.rows[i], *other;
        if (!in_group(row, group) || strcmp(row->racer, "dataflow") != 0) continue;
        double peer = report_best_peer(&r->report, row->point, row->workers);
        if (name) {
            other = report_find(&r->report, row->point, name, row->workers);
            peer = other ? other->least : 0;
        }
        if (peer > 0 && row->least > 0)
            worst_add(&w, peer_over_ours ? peer / row->least : row->least / peer);
    }
    return w.value;
}

static void tensorflow_goals(race *r, const char *carries) {
    for (int i = 0; i < SHAPES; i++) {
        char point[64], what[64];
        (void)snprintf(point, sizeof point, "empty/%s/%s", shape_names[i], carries);
        (void)snprintf(what, sizeof what, "tensorflow_of_%s", carries);
        const report_row *own = ours(r, point, 1), *peer;
        peer = report_find(&r->report, point, "tensorflow", 1);
        if (own && peer) goal(r, what, shape_names[i], peer->least / own->least, 20, true);
    }
}

static void peer_goals(race *r) {
    goal(r, "empty_of_best_peer", "", against(r, "empty", NULL, false), 0.5, false);
    goal(r, "run_of_best_peer", "", against(r, "run", NULL, false), 0.5, false);
    goal(r, "feeds_of_best_peer", "", against(r, "feeds", NULL, false), 0.5, false);
    tensorflow_goals(r, "control");
    tensorflow_goals(r, "tensors");
    goal(r, "tensorflow_of_crossing", "", against(r, "crossing", "tensorflow", true), 20, true);
}

/* ---- two workers --------------------------------------------------------- */

/* Whether the point is of this graph: its second part. */
static bool of_graph(const report_row *row, const char *graph) {
    const char *at = strchr(row->point, '/');
    size_t n = strlen(graph);
    return at && strncmp(at + 1, graph, n) == 0 && (at[1 + n] == '/' || at[1 + n] == 0);
}

/* Two workers' time of one's, over all sizes and gaps. */
static double never_slower(const race *r, const char *graph) {
    worst w = {.of_least = false};
    for (size_t i = 0; i < r->report.n; i++) {
        const report_row *two = &r->report.rows[i], *one;
        bool wanted = in_group(two, "empty") || in_group(two, "work") || in_group(two, "gap");
        if (!wanted || !of_graph(two, graph) || two->workers != 2) continue;
        if (strcmp(two->racer, "dataflow") != 0 || !(one = ours(r, two->point, 1))) continue;
        worst_add(&w, two->median / one->median);
    }
    return w.value;
}

static double speedup(const race *r, const char *graph, int ns) {
    char name[80];
    (void)snprintf(name, sizeof name, "work/%s/%d", graph, ns);
    const report_row *one = ours(r, name, 1), *two = ours(r, name, 2);
    return one && two ? one->median / two->median : 0;
}

/* Of the plain loop on two cores. */
static double efficiency(const race *r, const char *graph, int ns) {
    char name[80];
    (void)snprintf(name, sizeof name, "work/%s/%d", graph, ns);
    const report_row *two = ours(r, name, 2),
                     *loop = report_find(&r->report, name, "floor-loop", 2);
    return two && loop ? loop->least / two->least : 0;
}

static void worker_goals(race *r) {
    static const char *const wide[] = {"layer", "dag", "wave"};
    for (int i = 0; i < SHAPES; i++)
        goal(r, "two_workers_of_one", shape_names[i], never_slower(r, shape_names[i]), 1.05, false);
    if (r->cores < 2) return;
    for (int i = 0; i < 3; i++)
        goal(r, "two_workers_speedup_200ns", wide[i], speedup(r, wide[i], 200), 1.5, true);
    for (int i = 0; i < 3; i++)
        goal(r, "two_cores_700ns", wide[i], efficiency(r, wide[i], 700), 0.92, true);
    for (int i = 0; i < 3; i++)
        goal(r, "two_cores_8us", wide[i], efficiency(r, wide[i], 8000), 0.98, true);
}

/* ---- runs, pairs, cuts, crowds ------------------------------------------- */

static double least_of(const race *r, const char *point, const char *racer, int workers) {
    const report_row *row = report_find(&r->report, point, racer, workers);
    return row ? row->least : 0;
}

static void pair_goals(race *r) {
    static const char *const of[] = {"send-first/64", "send-first/1", "recv-first/64",
                                     "recv-first/1"};
    for (int i = 0; i < 4; i++) {
        char name[80];
        (void)snprintf(name, sizeof name, "pair/%s", of[i]);
        goal(r, "pair_of_exchange", of[i], of_floor(ours(r, name, 1)), 1.3, false);
    }
}

/* Over all ways to cut. */
static double dearest_crossing(const race *r, const char *racer, int workers) {
    worst w = {.of_least = false};
    for (size_t i = 0; i < r->report.n; i++) {
        const report_row *row = &r->report.rows[i];
        if (in_group(row, "crossing") && row->workers == workers && strcmp(row->racer, racer) == 0)
            worst_add(&w, row->least);
    }
    return w.value;
}

static void crowd_goals(race *r) {
    static const char *const racers[] = {"dataflow-threads", "dataflow-start"};
    static const int at_once[] = {2, 4, 16};
    for (int i = 0; i < 2; i++) {
        int workers = i == 0 ? 1 : r->cores;
        double one = least_of(r, "crowd/1", racers[i], workers);
        for (int k = 0; k < 3; k++) {
            char point[64], of[32];
            int filled = at_once[k] < r->cores ? at_once[k] : r->cores;
            (void)snprintf(point, sizeof point, "crowd/%d", at_once[k]);
            (void)snprintf(of, sizeof of, "%d_%s", at_once[k], racers[i] + strlen("dataflow-"));
            double many = least_of(r, point, racers[i], workers);
            if (many > 0) goal(r, "crowd_speedup", of, one / many, 0.9 * filled, true);
        }
    }
}

void race_goals(race *r) {
    const report_row *tiny = ours(r, "run/tiny", 1), *start = ours(r, "start/tiny", 1);
    empty_goals(r);
    worker_goals(r);
    goal(r, "run_8_nodes_ns", "", tiny ? tiny->least : 0, 80, false);
    goal(r, "run_8_nodes_of_floor", "", of_floor(tiny), 2.5, false);
    pair_goals(r);
    goal(r, "crossing_ns", "one_thread", dearest_crossing(r, "dataflow", 1), 10, false);
    goal(r, "crossing_ns", "two_threads", dearest_crossing(r, "dataflow", 2), 20, false);
    goal(r, "crossing_ns", "own_rendezvous", dearest_crossing(r, "dataflow-table", 1), 50, false);
    crowd_goals(r);
    goal(r, "start_8_nodes_us", "", start ? start->least / 1000 : 0, 30, false);
    peer_goals(r);
}
