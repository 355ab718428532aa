/* SPDX-License-Identifier: MIT
 *
 * random_graph.h - graphs drawn from a seed, that are right by construction.
 *
 * 1. The same seed makes the same builder calls on any runtime. Where nodes run is drawn from
 *    a sequence of its own, so that a graph with pins is the graph without them.
 * 2. For every value the generator knows the shape that it will have in a step, as a
 *    formula in one number, the batch: a dimension is times * batch^power. So a graph
 *    whose placeholders have unknown dimensions still never meets shapes that do
 *    not fit.
 * 3. Every node has a height above all its inputs, with a random gap. A control edge goes
 *    from a lower node to a higher one, whichever was added first: so it may point to a node
 *    added earlier, and still closes no cycle.
 * 4. A node is clean if nothing before it is fed, written, or waits for an initialiser. Only a
 *    clean value is an initialiser, and a clean node gets no control edge from one that is
 *    not.
 * 5. A group of nodes that must share a device knows where it may run; no pin and no
 *    colocation leaves it without a device.
 *
 * A wild graph keeps none of 2 to 5: its control edges, pins, colocations and unknown
 * dimensions are anything, and it may hold a mistake of the builder.
 */
#ifndef PROPERTY_RANDOM_GRAPH_H
#define PROPERTY_RANDOM_GRAPH_H

#include "property/random.h"

#include <dataflow/dataflow.h>

enum { RANDOM_RANK = 4, RANDOM_VALUES = 1024, RANDOM_BATCH = 4 /* the largest */ };

typedef struct formula {
    int64_t times;
    int power;
} formula;

typedef struct formulas { /* a shape */
    int rank;
    formula dims[RANDOM_RANK];
} formulas;

/* What the elements of a feed must be, so that no node fails. */
typedef enum contents { ANYTHING, INDICES, DIVISORS } contents;

typedef struct value {
    df_out out;
    df_dtype dtype;
    formulas shape;
    contents contents;
    int64_t classes; /* INDICES: below this */
    bool placeholder;
    bool variable;
    bool sealed; /* a node relies on its elements: it must not be fed */
} value;

/* What is known of a node; they are numbered as in the graph. */
typedef struct member {
    uint32_t height;
    bool clean;
    uint32_t group;   /* another of its group, or itself */
    uint64_t allowed; /* of a group's root: the runtime's devices, as bits */
} member;

typedef struct graph_recipe {
    uint64_t seed;
    uint64_t placement; /* seed of where nodes run; 0: no pins */
    size_t n_nodes;     /* at least; a few more may come */
    bool culprit;       /* one node can be made to fail, by its feed */
    bool wild;
    bool exact; /* ops whose bits are the same everywhere, and no others */
} graph_recipe;

typedef struct random_graph {
    graph_recipe recipe;
    df_runtime *rt;
    df_graph *graph;
    draws draws;  /* of what the graph is */
    draws places; /* of where it runs */
    uint64_t devices;
    value values[RANDOM_VALUES];
    size_t n_values;
    member members[RANDOM_VALUES];
    size_t n_members;
    uint32_t variables[RANDOM_VALUES]; /* values */
    size_t n_variables;
    df_node *culprit;
    uint32_t poison; /* value: the placeholder whose contents decide */
} random_graph;

/* Never NULL. The graph is the caller's to look at; random_graph_free frees it too. */
random_graph *random_graph_new(df_runtime *rt, const graph_recipe *recipe);
void random_graph_free(random_graph *g);

/* The size of a graph for a seed: mostly 1 to 60, sometimes 300. */
size_t random_size(uint64_t seed);

/* A tensor for a feed, in memory of its own or borrowed. spoilt: one element is what
 * `contents` forbids. */
df_tensor *random_feed(const value *v, int64_t batch, uint64_t seed, bool spoilt);

/* The dimensions in a step; returns their number. */
int formulas_dims(const formulas *f, int64_t batch, int64_t dims[RANDOM_RANK]);

/* ---- between the files of the generator ---------------------------------- */

/* random_places.c: around the call that adds a node. `with`: a node of the group that it joins
 * by itself, or NULL. */
void places_before(random_graph *g, const df_node *with);
void places_after(random_graph *g);
void places_join(random_graph *g, const df_node *a, const df_node *b);
/* Perhaps colocates two nodes. */
void places_colocate(random_graph *g);

/* random_values.c */
bool is_number(df_dtype d);
bool is_integer(df_dtype d);
bool is_wide(df_dtype d); /* what MatMul takes */
int64_t formulas_count(const formulas *f, int64_t batch);
bool formulas_equal(const formulas *a, const formulas *b);
bool formulas_broadcast(const formulas *a, const formulas *b, formulas *out);
bool formulas_are_small(const formulas *f);
bool formulas_are_known(const formulas *f); /* no batch in it */
formula formulas_product(const formulas *f);
formulas random_shape(draws *d, int max_rank);

/* A value that this accepts, or NULL; recent ones more often. */
typedef bool value_test(const value *v, const void *arg);
value *pick(random_graph *g, value_test *test, const void *arg);

/* Books for a node just added, and for an output of it. */
void keep_node(random_graph *g, df_node *n, const df_node *with);
value *keep(random_graph *g, df_out out, df_dtype dtype, const formulas *shape);

value *new_const(random_graph *g, df_dtype dtype, const formulas *shape, contents c,
                 int64_t classes);
value *new_placeholder(random_graph *g, df_dtype dtype, const formulas *shape, contents c,
                       int64_t classes);
void fill_random(draws *d, df_dtype dtype, contents c, int64_t classes, int64_t n, void *data);

/* random_ops.c: adds one operation, and what it needs. */
void random_op(random_graph *g);
void random_culprit(random_graph *g);

#endif /* PROPERTY_RANDOM_GRAPH_H */
