/* SPDX-License-Identifier: MIT
 *
 * shapes.h - the shapes that are run.
 */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include "bench/speed/racer.h"

enum { SHAPES = 6, SHAPE_NODES = 10000 };

/*   chain   one after another
 *   fan     one, all others, one
 *   layer   as many layers as nodes in each, which read three of the layer before
 *   dag     each reads two or three among the 512 before
 *   wave    a square, each reads its upper and its left neighbour; for n = 10000 64 x 64
 *   tiny    8 nodes, 10 edges
 *   apart   no edges
 */
extern const char *const shape_names[SHAPES]; /* all but apart */

/* Of about `nodes` nodes. */
bench_graph *shape_new(const char *name, int32_t nodes);
void shape_free(bench_graph *g);

#endif /* BENCH_SHAPES_H */
