/* SPDX-License-Identifier: MIT
 *
 * dot.h - graphs as pictures, in the language of Graphviz's dot.
 *
 * One picture may hold several graphs, the partitions of a program: whoever draws them numbers
 * them, and joins their nodes.
 */
#ifndef GRAPH_DOT_H
#define GRAPH_DOT_H

#include "graph/graph.h"

void dot_begin(text *t);
/* Nodes, in one box for each device, and the edges between them. device: of the nodes that did
 * not ask for one; NULL: they stand outside of the boxes. joined: each Send will be joined with
 * its Recv, so that only this edge says what travels. */
void dot_graph(text *t, const df_graph *g, size_t number, const char *device, bool joined);
/* The edge from a Send to its Recv: where they are, and how many bytes a step took; transfers 0:
 * none is known. */
typedef struct dot_end {
    size_t number; /* of the graph */
    const df_node *node;
} dot_end;
void dot_crossing(text *t, dot_end send, dot_end recv, uint64_t bytes, uint64_t transfers);
void dot_finish(text *t);

#endif /* GRAPH_DOT_H */
