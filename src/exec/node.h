/* SPDX-License-Identifier: MIT
 *
 * node.h - the parts of running a node, for node.c and queued.c.
 */
#ifndef EXEC_NODE_H
#define EXEC_NODE_H

#include "exec/step.h"

/* ---- node.c ---- */
/* NODE_FAILED: the step is told why. */
node_end node_fail(step *s, const plan_node *n, const df_error *why);
/* The node's inputs into s->inputs. */
bool node_gather(step *s, const plan_node *n, df_error *err);
/* Its outputs into their slots, as far as their shapes are known; else a slot is empty. */
bool node_allocate(step *s, const plan_node *n, df_error *err);
/* Output o becomes an allocated tensor in this kind of memory. */
df_code node_renew(step *s, const plan_node *n, uint32_t o, uint32_t kind, df_shape shape,
                   df_error *err);
node_call node_call_of(step *s, uint32_t node);
df_code node_compute(const plan_node *n, df_kernel *c, df_error *err);
/* Every output is there. */
bool node_check_outputs(step *s, const plan_node *n, df_error *err);
/* Output 0 of a node that writes a variable becomes its value. */
bool node_write_variable(step *s, const plan_node *n, df_error *err);

/* ---- queued.c ---- */
node_end node_run_queued(step *s, uint32_t node);
node_end node_run_queued_later(worker *w, uint32_t node);
node_end node_run_async(worker *w, uint32_t node);

#endif /* EXEC_NODE_H */
