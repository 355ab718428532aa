/* SPDX-License-Identifier: MIT */
#include "bench/speed/shapes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"

enum { DAG_REACH = 512 };

const char *const shape_names[SHAPES] = {"chain", "fan", "layer", "dag", "wave", "tiny"};

/* A graph while its nodes are added. */
typedef struct draft {
    bench_graph *g;
    int32_t room, nodes_room; /* for edges, for nodes */
    uint64_t seed;
} draft;

static void add_node(draft *d) {
    bench_need(d->g->n < d->nodes_room, d->g->name, "has more nodes than was thought");
    d->g->n++;
    d->g->first_pred[d->g->n] = d->g->n_edges;
}

/* An edge to the last node. */
static void add_edge(draft *d, int32_t from) {
    bench_graph *g = d->g;
    bench_need(g->n_edges < d->room, g->name, "has more edges than was thought");
    g->preds[g->n_edges++] = from;
    g->first_pred[g->n] = g->n_edges;
}

static bool has_edge(const draft *d, int32_t from) {
    const bench_graph *g = d->g;
    for (int32_t e = g->first_pred[g->n - 1]; e < g->n_edges; e++)
        if (g->preds[e] == from) return true;
    return false;
}

/* k edges from different ones of `among` nodes from `first` on. */
static void add_random_edges(draft *d, int32_t k, int32_t first, int32_t among) {
    for (int32_t i = 0; i < k && i < among; i++) {
        int32_t from;
        do from = first + (int32_t)(bench_draw(&d->seed) % (uint64_t)among);
        while (has_edge(d, from));
        add_edge(d, from);
    }
}

static void draw_chain(draft *d, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        add_node(d);
        if (i > 0) add_edge(d, i - 1);
    }
}

static void draw_fan(draft *d, int32_t n) {
    add_node(d);
    for (int32_t i = 0; i < n; i++) {
        add_node(d);
        add_edge(d, 0);
    }
    add_node(d);
    for (int32_t i = 0; i < n; i++) add_edge(d, i + 1);
}

static void draw_layer(draft *d, int32_t n) {
    int32_t side = (int32_t)lround(sqrt(n));
    for (int32_t i = 0; i < side * side; i++) {
        add_node(d);
        if (i >= side) add_random_edges(d, 3, (i / side - 1) * side, side);
    }
}

static void draw_dag(draft *d, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        int32_t reach = i < DAG_REACH ? i : DAG_REACH;
        add_node(d);
        add_random_edges(d, 2 + (int32_t)(bench_draw(&d->seed) % 2), i - reach, reach);
    }
}

static void draw_wave(draft *d, int32_t n) {
    int32_t side = (int32_t)lround(0.64 * sqrt(n));
    for (int32_t i = 0; i < side * side; i++) {
        add_node(d);
        if (i >= side) add_edge(d, i - side);
        if (i % side) add_edge(d, i - 1);
    }
}

static void draw_tiny(draft *d, int32_t n) {
    static const int8_t from[8][3] = {{-1},       {0, -1}, {0, -1},    {1, -1},
                                      {1, 2, -1}, {2, -1}, {3, 4, -1}, {6, 5, -1}};
    (void)n;
    for (int i = 0; i < 8; i++) {
        add_node(d);
        for (const int8_t *f = from[i]; *f >= 0; f++) add_edge(d, *f);
    }
}

static void draw_apart(draft *d, int32_t n) {
    for (int32_t i = 0; i < n; i++) add_node(d);
}

static const struct {
    const char *name;
    void (*draw)(draft *, int32_t);
} shapes[] = {{"chain", draw_chain}, {"fan", draw_fan},   {"layer", draw_layer}, {"dag", draw_dag},
              {"wave", draw_wave},   {"tiny", draw_tiny}, {"apart", draw_apart}};

static void find_successors(bench_graph *g) {
    int32_t *at = bench_alloc((size_t)(g->n + 1) * sizeof *at);
    g->first_succ = bench_alloc((size_t)(g->n + 1) * sizeof *g->first_succ);
    g->succs = bench_alloc((size_t)g->n_edges * sizeof *g->succs);
    for (int32_t e = 0; e < g->n_edges; e++) g->first_succ[g->preds[e] + 1]++;
    for (int32_t i = 0; i < g->n; i++) g->first_succ[i + 1] += g->first_succ[i];
    memcpy(at, g->first_succ, (size_t)(g->n + 1) * sizeof *at);
    for (int32_t i = 0; i < g->n; i++)
        for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
            g->succs[at[g->preds[e]]++] = i;
    free(at);
}

static void find_values(bench_graph *g) {
    g->by_first = bench_alloc((size_t)g->n * sizeof *g->by_first);
    g->by_most = bench_alloc((size_t)g->n * sizeof *g->by_most);
    for (int32_t i = 0; i < g->n; i++) {
        int32_t most = 0, e = g->first_pred[i], end = g->first_pred[i + 1];
        g->by_first[i] = 1 + (e < end ? g->by_first[g->preds[e]] : 0);
        for (; e < end; e++)
            if (g->by_most[g->preds[e]] > most) most = g->by_most[g->preds[e]];
        g->by_most[i] = 1 + most;
    }
}

bench_graph *shape_new(const char *name, int32_t nodes) {
    size_t s = 0, room = 2 * (size_t)nodes + 64; /* a square may be larger */
    bench_graph *g = bench_alloc(sizeof *g);
    draft d = {.g = g, .room = 3 * (int32_t)room, .nodes_room = (int32_t)room, .seed = 1};
    while (strcmp(shapes[s].name, name) != 0) s++;
    g->name = shapes[s].name;
    g->first_pred = bench_alloc((room + 1) * sizeof *g->first_pred);
    g->preds = bench_alloc((size_t)d.room * sizeof *g->preds);
    shapes[s].draw(&d, nodes);
    find_successors(g);
    find_values(g);
    return g;
}

void shape_free(bench_graph *g) {
    if (!g) return;
    free(g->first_pred);
    free(g->preds);
    free(g->first_succ);
    free(g->succs);
    free(g->by_first);
    free(g->by_most);
    free(g);
}
