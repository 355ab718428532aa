/* SPDX-License-Identifier: MIT
 *
 * explain_world.h - programs of a compile_world, and what is said of them.
 *
 *   df_node *a = node_on(w, "a", "cpu:1");
 *   explain(w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(a));
 *   says(w, "a NoOp cpu:1 must run on /device:CPU:1");
 */
#ifndef UNIT_EXPLAIN_WORLD_H
#define UNIT_EXPLAIN_WORLD_H

#include "unit/compile_world.h"

/* Compiles in a session of its own, with w->rq.soft_placement; fails the test if that fails. */
df_program *compile_with(compile_world *w, const df_compile_options *options, df_outs feeds,
                         df_outs fetches);
/* The whole explanation; to be freed. */
char *explained(const df_program *p, df_explain_form form);

/* Both: the text is in w->text, with one blank where columns have several. That the other
 * form is JSON is asserted. */
void explain_with(compile_world *w, const df_compile_options *options, df_outs feeds,
                  df_outs fetches);
void explain(compile_world *w, df_outs feeds, df_outs fetches, df_nodes targets);

/* Asserts that w->text has, or has not, this line; these words. */
void says(const compile_world *w, const char *line);
void does_not_say(const compile_world *w, const char *words);

/* ---- building ------------------------------------------------------------ */

/* device may be NULL: no pin. */
df_node *node_on(compile_world *w, const char *name, const char *device);
df_out neg_on(compile_world *w, const char *name, const char *device, df_out x);
df_out on_cpu(compile_world *w, const char *name, const char *device, df_out x); /* an OnCpu */
df_out variable_on(compile_world *w, const char *name, const char *device);      /* float32[4] */
df_out read_as(compile_world *w, const char *name, df_out v);
df_out constant(compile_world *w, const char *name, int64_t n); /* n float32 zeros */

#endif /* UNIT_EXPLAIN_WORLD_H */
