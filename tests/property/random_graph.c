/* SPDX-License-Identifier: MIT
 *
 * A random graph from its recipe.
 */
#include "property/random_graph.h"

#include <stdlib.h>

enum { SPARE = 32 /* one operation adds fewer values than this */ };

size_t random_size(uint64_t seed) {
    draws d = draws_of(seed, 2);
    if (draw_once_in(&d, 64)) return 300;
    if (draw_once_in(&d, 3)) return 1 + draw_below(&d, 8);
    return 1 + draw_below(&d, 60);
}

/* A mistake for the builder to find. */
static void blunder(random_graph *g) {
    const value *v = &g->values[draw_below(&g->draws, g->n_values)];
    switch (draw_below(&g->draws, 4)) {
    case 0:
        (void)df_node_add(g->graph, "Nonsense", NULL, 0, NULL, 0);
        break;
    case 1:
        (void)df_add(g->graph, v->out, (df_out){NULL, 0});
        break;
    case 2:
        df_control(g->graph, v->out.node, v->out.node);
        break;
    default:
        (void)df_assign(g->graph, v->out, v->out);
    }
}

random_graph *random_graph_new(df_runtime *rt, const graph_recipe *recipe) {
    random_graph *g = calloc(1, sizeof *g);
    if (!g) abort();
    g->recipe = *recipe;
    g->rt = rt;
    g->draws = draws_of(recipe->seed, 3);
    g->places = draws_of(recipe->placement, 4);
    g->devices = (UINT64_C(1) << df_runtime_devices(rt)) - 1;
    g->graph = df_graph_new(rt);
    size_t culprit_at = recipe->culprit ? 1 + draw_below(&g->draws, recipe->n_nodes) : 0;
    while (g->n_values == 0 ||
           (g->n_members < recipe->n_nodes && g->n_values < RANDOM_VALUES - SPARE)) {
        if (culprit_at && !g->culprit && g->n_members + 1 >= culprit_at) random_culprit(g);
        random_op(g);
        if (recipe->wild && g->n_values && draw_once_in(&g->draws, 2000)) blunder(g);
        if (df_graph_error(g->graph, NULL) != DF_OK) break;
    }
    if (recipe->culprit && !g->culprit) random_culprit(g);
    return g;
}

void random_graph_free(random_graph *g) {
    if (!g) return;
    df_graph_free(g->graph);
    free(g);
}
