/* SPDX-License-Identifier: MIT
 *
 * partition.h - what a graph became: one graph a device, and the crossings.
 *
 * A partition is itself a graph: nodes keep their names, and each edge that crossed
 * has a Send node here and a Recv node there, which hold one generated key. What the library
 * puts in is named after the node that it stands for, with an '@', which no other name has:
 * y@send, y@recv (y@send_1, ... if there are several), x@feed, z@fetch, and v@read, which reads a
 * fetched variable at the end.
 */
#ifndef DATAFLOW_PARTITION_H
#define DATAFLOW_PARTITION_H

#include <dataflow/graph.h>
#include <dataflow/rendezvous.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_program df_program;

/* The devices that this program uses, and what runs there. Borrowed: valid as long
 * as the program. Threads: any. */
DF_API size_t df_program_partitions(const df_program *program);
DF_API const df_graph *df_program_partition(const df_program *program, size_t i);
DF_API df_device *df_program_partition_device(const df_program *program, size_t i);

/* One Send/Recv pair, and what has travelled through it since the program was
 * compiled. A step in progress may or may not be counted. */
typedef struct df_crossing {
    const df_key *key; /* borrowed from the program */
    df_dtype dtype;
    df_shape shape; /* as far as it is known; borrowed from the program */
    uint64_t transfers;
    uint64_t bytes; /* of elements; a control-only crossing moves none */
} df_crossing;

DF_API size_t df_program_crossings(const df_program *program);
/* False: i is out of range. */
DF_API bool df_program_crossing(const df_program *program, size_t i, df_crossing *out);

/* Writes all partitions as text, as snprintf does: for each device a line
 * "partition DEVICE:", then its graph as df_graph_print writes it. */
DF_API size_t df_program_print(const df_program *program, char *buffer, size_t size);

/* Draws all partitions as one picture for Graphviz's dot, as snprintf does: a box for each device,
 * and an edge from each Send to its Recv, with what travels and, once steps have run, how many
 * bytes of it a step took. See df_graph_dot. */
DF_API size_t df_program_dot(const df_program *program, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_PARTITION_H */
