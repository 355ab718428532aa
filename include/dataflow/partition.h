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
 * as the program. Threads: any. A program runs without these graphs: the first call makes them all,
 * and gives NULL if it is out of memory, as it does for i out of range. In the session of a
 * cluster they are those of its tasks: without a device, crossings or explanation here. */
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

/* ---- why it became that -------------------------------------------------- */

typedef enum df_explain_form { DF_EXPLAIN_TEXT, DF_EXPLAIN_JSON } df_explain_form;

/* Writes, as snprintf does, which rule put every node and every copy where it is. Nothing is kept
 * for this: the passes are run again by each call, so ask once, with room enough.
 *
 * Four lists, of one fact each. As text, for people, a fact is a line of aligned columns that ends
 * in the reason (a copy has its key in a second line; a list without facts is left out). As
 * JSON it is an object, one in a line, with these members, in this order:
 *
 *   nodes      In the order in which they run; what does not run is where it was added.
 *              name, op, devices (short names, an array; empty: it does not run), rule, by (the
 *              other node that the reason names, if one), dropped (a pin, if soft placement
 *              did), why (a sentence). Rules:
 *                pin        it must run there
 *                colocated  somebody decided who must run on the same device
 *                variable   it uses that variable, or reads it for a fetch
 *                only       no other device has a kernel for it
 *                first      of the runtime's devices, among those where it can run
 *                client     a feed or a fetch
 *                copied     a small constant: see below
 *                fed        does not run: what is fed stands for it
 *                unneeded   does not run: no fetch and no target needs it
 *   copies     The Send/Recv pairs.
 *              edge ("y:0"; "y:0@host" into host memory; "^y" for order alone), from,
 *              from_memory ("device" or "host"), to, to_memory, dtype, shape (an array, -1 for
 *              what is not known; null: not even the rank), send, recv (names), rule, why,
 *              used_by (names), order_for (names: those who only wait for it), key. Rules:
 *                device     it is used on another device
 *                memory     it is made in one memory of a device and used in the other
 *                queue      a queued kernel makes it in host memory: readers there must wait
 *                control    no value, only the order
 *   constants  Small constants that nobody pinned, colocated, ordered or fed are not sent, but
 *              copied to where they are used.
 *              name, of (the user's), device, memory, dtype, shape, used_by.
 *   order      Control edges that the library has added or dropped.
 *              before, after, rule, variable (if rule is that), why. Rules:
 *                variable   added: both use it, and one of them writes
 *                dropped    the first is a small constant, which never waits
 *
 * Members and rules may be added. Returns the length; 0 without memory, and for another form. */
DF_API size_t df_program_explain(const df_program *program, df_explain_form form, char *buffer,
                                 size_t size);

/* Draws all partitions as one picture for Graphviz's dot, as snprintf does: a box for each device,
 * and an edge from each Send to its Recv, with what travels and, once steps have run, how many
 * bytes of it a step took. See df_graph_dot. */
DF_API size_t df_program_dot(const df_program *program, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_PARTITION_H */
