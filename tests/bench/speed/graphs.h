/* SPDX-License-Identifier: MIT
 *
 * graphs.h - the shapes that are run.
 */
#ifndef BENCH_GRAPHS_H
#define BENCH_GRAPHS_H

#include "bench/speed/racer.h"

enum { GRAPHS = 6, GRAPH_NODES = 10000 };

/*   chain   one after another
 *   fan     one, all others, one
 *   layer   as many layers as nodes in each, which read three of the layer before
 *   dag     each reads two or three among the 512 before
 *   wave    a square, each reads its upper and its left neighbour; for n = 10000 64 x 64
 *   tiny    8 nodes, 10 edges
 *   apart   no edges
 */
extern const char *const graph_names[GRAPHS]; /* all but apart */

/* Of about `nodes` nodes. */
bench_graph *graph_new(const char *name, int32_t nodes);
void graph_free(bench_graph *g);

#endif /* BENCH_GRAPHS_H */
