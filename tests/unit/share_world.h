/* SPDX-License-Identifier: MIT
 *
 * share_world.h - graphs whose steps several threads can share, and what tells the executor whether
 * they do.
 *
 * Time decides that, of which tests assert nothing: here the executor is told what it is to think
 * that steps take.
 */
#ifndef UNIT_SHARE_WORLD_H
#define UNIT_SHARE_WORLD_H

#include "support/ops_for_tests.h"

#include "exec/step.h"

/* ---- what is shared ------------------------------------------------------- */

/* A world of programs whose blocks may be joined. */
void share_open(run_world *w, const char *devices, int workers);
executor *share_executor(run_world *w, const df_program *p);

/* Joins its blocks as if each node took so many ns. */
void share_cut_for(executor *x, uint64_t per_node);
/* From now on a step is run so that begins while no other goes on. */
void share_never(executor *x);
void share_always(executor *x);
/* The last step was; of a program whose steps have had one frame. */
bool share_was(const executor *x);

/* ---- graphs --------------------------------------------------------------- */

uint32_t share_draw(uint32_t below); /* a random number, from the yields' sequence */

enum { DRAWN_MOST = 400, DRAWN_PROBES = 8, DRAWN_LONG = 64 /* elements: not in a header */ };

/* What is fetched depends on every node, on the feed, and on how often the step was run. */
typedef struct drawing {
    run_world w;
    df_out at[DRAWN_MOST];
    bool is_read[DRAWN_MOST];
    uint32_t n;
    probe probes[DRAWN_PROBES];
    uint32_t n_probes;
    df_out x, v;
    df_program *p, *count; /* the other fetches how often */
    executor *exec;        /* of p */
} drawing;

typedef enum shape_drawn { DRAWN_CHAIN, DRAWN_WIDE, DRAWN_LAYERED, DRAWN_RANDOM } shape_drawn;
enum { DRAWN_SHAPES = DRAWN_RANDOM + 1 };

/* n: nodes, about. second: a device for some of them, or NULL. */
void drawing_open(drawing *d, const char *devices, int workers, shape_drawn shape, uint32_t n,
                  const char *second);
void drawing_close(drawing *d);

/* A feed, from a number. */
df_tensor *drawing_feed(int64_t first);
/* One step. NULL: it failed, with d->w.err. */
df_tensor *drawing_run(drawing *d, int64_t first, const df_run_options *options);
bool drawing_same(const df_tensor *a, const df_tensor *b);

#endif /* UNIT_SHARE_WORLD_H */
