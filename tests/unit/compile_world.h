/* SPDX-License-Identifier: MIT
 *
 * compile_world.h - what the tests of the passes share: a graph, and the passes run on it
 * as far as a test wants to look.
 *
 *   compile_world *w = world_of(state);                 // world_open, world_close
 *   df_out x = world_input(w, "x"), y = df_neg(w->g, x);
 *   world_passes(w, PASS_PRUNE, DF_OUTS(x), DF_OUTS(y));
 *   assert_string_equal(world_items(w), "feed x; Neg; fetch Neg");
 *
 * What a pass left is given as text, so that one comparison says it all. All memory
 * comes from a fault_allocator: a test also shows what leaks. Devices are cpu:2 and sim:2,
 * incarnations from 1.
 *
 * Besides the standard ops there are these, most with an output like the first input:
 *
 *   Later  its kernels are asynchronous
 *   OnCpu  has a kernel on CPU alone
 *   Words  of strings, in host memory
 *   Ints   has a kernel for int32 alone
 *   Near   its input lies in host memory, its output in the device's; it may overwrite it
 *   Many   takes any number of inputs, may overwrite any of them, and is cheap
 *   Free   its output's shape is not known
 *   Sink   has no output
 */
#ifndef UNIT_COMPILE_WORLD_H
#define UNIT_COMPILE_WORLD_H

#include <dataflow/dataflow.h>

#include "compile/state.h"
#include "support/fault.h"

typedef enum world_pass {
    PASS_PRUNE,
    PASS_INFER,
    PASS_ORDER,
    PASS_PLACE,
    PASS_PARTITION,
    PASS_LOWER,
    PASS_VERIFY
} world_pass;

typedef struct compile_world {
    fault_allocator heap;
    df_runtime *rt;
    df_graph *g;
    compile_request rq; /* changed by a test before it compiles */
    bool compiled;      /* c is in use */
    compile_state c;    /* of the last world_passes */
    df_error err;
    char text[8192];
} compile_world;

/* For cmocka's setup and teardown. */
int world_open(void **state);
int world_close(void **state);
static inline compile_world *world_of(void **state) {
    return *state;
}
/* The same with other devices, for a test that needs them: afterwards the graph is new. */
void world_reopen(compile_world *w, const char *devices);

/* Runs the passes up to `last`, from the beginning. False: one failed, and err says why. */
bool world_try(compile_world *w, world_pass last, df_outs feeds, df_outs fetches);
/* The same; fails the test if a pass fails. */
void world_passes(compile_world *w, world_pass last, df_outs feeds, df_outs fetches);
/* The same; it must fail with this code and words that contain each of the parts, which
 * are joined by '|'. */
void world_refuses(compile_world *w, world_pass last, df_outs feeds, df_outs fetches, df_code code,
                   const char *parts);
/* compile_verify once more, of the plan as it is now. False: it was refused, and err says why. */
bool world_verify(compile_world *w);

/* Asserts the graph's own first mistake in the same way. */
void graph_refuses(const df_graph *g, df_code code, const char *parts);

/* ---- building ------------------------------------------------------------ */

df_out world_input(compile_world *w, const char *name); /* float32[4] */
/* The same, too large to lie in a header. */
df_out world_large_input(compile_world *w, const char *name);
df_node *world_node(compile_world *w, const char *name); /* a NoOp */
df_out world_later(compile_world *w, df_out x);
df_out world_on_cpu(compile_world *w, df_out x);
df_node *world_op(compile_world *w, const char *op, df_outs inputs);

/* ---- looking at it, as text in w->text ----------------------------------- */

/* "feed x; y; read v; fetch y" in canonical order. */
const char *world_items(compile_world *w);
/* "r < a; a < v@read": the edges that order has added, as items. */
const char *world_ordered(compile_world *w);
/* "feed x cpu:0; y sim:0", in canonical order. */
const char *world_places(compile_world *w);
/* The partition's nodes of the one emitted order: "x@feed; y; y@send". */
const char *world_emitted(compile_world *w);
/* The type of a node's output as infer left it: "float32[4]". */
const char *world_type(compile_world *w, const df_node *node, int index);
const item *world_item(const compile_world *w, const df_node *node);

/* ---- random graphs ------------------------------------------------------- */

/* Nodes of many kinds on all devices, with variables, control edges, asynchronous nodes
 * and shapes in host memory; and what is fed and fetched. Each seed has its own. */
typedef struct random_graph {
    df_out feeds[2], fetches[4];
    df_node *target;
} random_graph;
random_graph world_random(compile_world *w, uint64_t seed, int n_nodes);
/* The next of a sequence: splitmix64. */
uint64_t world_draw(uint64_t *seed);

#endif /* UNIT_COMPILE_WORLD_H */
