/* SPDX-License-Identifier: MIT
 *
 * graph.h - building a graph.
 *
 * A graph is nodes, edges that carry tensors from an output to an input, and control
 * edges that carry only order. It says what to compute, and where that must be; a
 * session compiles and runs it.
 *
 * The builder's error is sticky: after the first mistake every call does nothing
 * (and returns a node or output of NULL, which every call accepts), and
 * df_graph_error and df_session_new report that first mistake. So build the whole
 * graph and check once.
 *
 * Threads    one thread at a time builds; a graph that a session was made of is
 *            frozen, and may be read by any number of threads.
 */
#ifndef DATAFLOW_GRAPH_H
#define DATAFLOW_GRAPH_H

#include <dataflow/attr.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_runtime df_runtime;
typedef struct df_graph df_graph;
typedef struct df_node df_node; /* lives as long as its graph */

/* One output of a node: what an edge starts from. */
typedef struct df_out {
    df_node *node;
    int index;
} df_out;

/* Several outputs, borrowed. */
typedef struct df_outs {
    const df_out *items;
    size_t n;
} df_outs;

/* Several nodes, borrowed. */
typedef struct df_nodes {
    df_node *const *items;
    size_t n;
} df_nodes;

#ifndef __cplusplus
#define DF_OUTS(...)                                                                               \
    ((df_outs){(const df_out[]){__VA_ARGS__},                                                      \
               sizeof((const df_out[]){__VA_ARGS__}) / sizeof(df_out)})
#define DF_NO_OUTS ((df_outs){NULL, 0})
#define DF_NO_OUT  ((df_out){NULL, 0})
#define DF_NODES(...)                                                                              \
    ((df_nodes){(df_node *const[]){__VA_ARGS__},                                                   \
                sizeof((df_node *const[]){__VA_ARGS__}) / sizeof(df_node *)})
#define DF_NO_NODES ((df_nodes){NULL, 0})
#endif

/* Makes an empty graph of a runtime's ops; from then on the runtime takes no further ops or
 * kernels. NULL only without memory, or without a runtime; that too is reported by
 * df_session_new.
 *
 * Ownership  one owner, who calls df_graph_free; a session keeps what it needs, so
 *            the graph may be freed first. */
DF_API df_graph *df_graph_new(df_runtime *runtime);
DF_API void df_graph_free(df_graph *graph); /* NULL is fine */

/* The first mistake made on this graph; DF_OK if there is none. */
DF_API df_code df_graph_error(const df_graph *graph, df_error *err);

/* ---- where and under which name ------------------------------------------ */

/* What is added from now on, until the scope ends, must run on this device: a name
 * or a partial one ("sim:0", "cpu", "/job:worker/task:1"). Parts that it leaves out
 * come from the enclosing scope; NULL or "" goes back to the enclosing scope's. */
DF_API void df_graph_on(df_graph *graph, const char *device);

/* Opens a scope: names within start with "name/", and a df_graph_on within ends with it.
 * name may be NULL: a scope for a device alone. */
DF_API void df_graph_scope(df_graph *graph, const char *name);
DF_API void df_graph_scope_end(df_graph *graph);

/* The name of the next node added, instead of its op's (of nested calls the inner one adds
 * its node first: name the outer one in a statement of its own). Names are letters, digits and any
 * of
 * "_.-/", and start with a letter, a digit or '.'. A name that is taken is a
 * mistake (ALREADY_EXISTS); a name made from an op's gets a number instead:
 * "MatMul", "MatMul_1". */
DF_API void df_graph_name(df_graph *graph, const char *name);

/* ---- nodes and edges ----------------------------------------------------- */

/* Adds a node of any op; <dataflow/ops.h> has a function for each standard one. (The names
 * of ops and attrs are those that df_graph_print shows.)
 *
 * Errors (sticky)  NOT_FOUND for an unknown op or attr; INVALID_ARGUMENT for a wrong
 *                  number of inputs, an attr that is missing or has the wrong type,
 *                  and whatever the op says of dtypes and shapes; OUT_OF_RANGE for an
 *                  output that the input's node does not have. */
DF_API df_node *df_node_add(df_graph *graph, const char *op, const df_out *inputs, size_t n_inputs,
                            const df_attr *attrs, size_t n_attrs);

DF_API df_out df_node_output(df_node *node, int index);

/* `after` starts only when `before` has run. */
DF_API void df_control(df_graph *graph, df_node *before, df_node *after);

/* node runs on the device that `with` runs on, whichever that is. */
DF_API void df_colocate(df_graph *graph, df_node *node, df_node *with);

/* ---- looking at it ------------------------------------------------------- */

DF_API size_t df_graph_nodes(const df_graph *graph);
DF_API df_node *df_graph_node(const df_graph *graph, size_t i);         /* in the order added */
DF_API df_node *df_graph_find(const df_graph *graph, const char *name); /* NULL: none */

DF_API const char *df_node_name(const df_node *node);
DF_API const char *df_node_op(const df_node *node);
DF_API const char *df_node_device(const df_node *node); /* as asked for; "" if not at all */
DF_API int df_node_inputs(const df_node *node);
DF_API df_out df_node_input(const df_node *node, int i);
DF_API int df_node_outputs(const df_node *node);

/* What is known of an output; dims are borrowed from the graph. */
DF_API df_dtype df_out_dtype(df_out out);
DF_API df_shape df_out_shape(df_out out);

/* Writes the graph as text, one node a line, as snprintf does: what fits, and returns
 * the whole length; 0 without memory. A line:
 *
 *   y = Sum(x:1, ^init) {axes=[0], keep_dims=false} on /device:SIM:0 : float32[10]
 *
 * name, op, inputs ("x:1" for another output than the first, "^init" for a control
 * edge), attrs, what a variable starts from ("from x"), the device that was asked for, colocation
 * ("with w"), and what is known of each output. Constants are written whole,
 * "float32[2](1,0.1)", each number as the shortest text that its dtype reads back; empty
 * ones are "float32[0]". */
DF_API size_t df_graph_print(const df_graph *graph, char *buffer, size_t size);

/* Draws the graph for Graphviz's dot ("dot -Tsvg"), as snprintf does: a box for each device that
 * was asked for, edges with the type of what they carry, control edges dashed. */
DF_API size_t df_graph_dot(const df_graph *graph, char *buffer, size_t size);

/* Makes a graph of its text: any `size` bytes, of which those that df_graph_print writes give a
 * graph that is printed in the same way again. Besides, blank lines and comments from '#' to the
 * end of a line are read over, attrs with a default may be left out, and so may what is known of
 * the outputs: if it is there, it must be right. Inputs, and the output that a variable starts from
 * ("from init"), are of nodes further up; control edges and colocation may name any.
 *
 * The text of a partition (see partition.h), which has names with '@', gives a graph to be looked
 * at: it is frozen, and df_session_new refuses it. As df_graph_new, it ends the time to register
 * ops; if it fails it does not.
 *
 * Ownership  the caller's, as of df_graph_new.
 * Errors     "line 3, column 7: ...", lines and bytes counted from 1. INVALID_ARGUMENT for what
 *            cannot be read, NOT_FOUND for a name that is not there; what the builder refuses
 *            keeps its code, and has the place where its line starts. RESOURCE_EXHAUSTED. */
DF_API df_code df_graph_parse(df_runtime *runtime, const char *text, size_t size, df_graph **out,
                              df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_GRAPH_H */
