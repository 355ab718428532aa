/* SPDX-License-Identifier: MIT
 *
 * oom.h - programs of the library's user in which the n-th allocation fails, for every n: that
 * one alone, or it and all that follow.
 *
 * Each call either succeeds or says RESOURCE_EXHAUSTED and has changed nothing: with memory to
 * be had again the same call is made once more, and must succeed. In the end nothing is left.
 *
 * Some calls never allocate: those that end something. They are made while there is no memory.
 *
 * oom_list.h lists the scenarios. One is a function that gives its program to
 * fault_each_allocation, perhaps in several ways, and returns how many allocations have failed.
 */
#ifndef FAULT_OOM_H
#define FAULT_OOM_H

#include "support/ops_for_tests.h"
#include "unit/run_world.h"

#define OOM(name) size_t oom_in_##name(void);
#include "fault/oom_list.h"
#undef OOM

/* ---- calls that are made again ------------------------------------------- */

/* True: the call failed for want of memory, as it may, and is to be made again. */
bool oom_again(fault_allocator *f, df_code code, const df_error *err);

#define OOM_UNTIL_OK(f, err, call)                                                                 \
    do {                                                                                           \
        (err).code = DF_OK;                                                                        \
        (err).message[0] = '\0';                                                                   \
    } while (oom_again((f), (call), &(err)))

/* Without memory: afterwards there is as much as was planned before. */
#define OOM_WITHOUT(f, call)                                                                       \
    do {                                                                                           \
        fault_plan before = oom_take_all(f);                                                       \
        call;                                                                                      \
        oom_give_back((f), before);                                                                \
    } while (0)
fault_plan oom_take_all(fault_allocator *f);
/* Asserts that nothing was asked for. */
void oom_give_back(fault_allocator *f, fault_plan before);

/* ---- what programs are made of ------------------------------------------- */

/* "cpu:2,sim:2". With the ops of ops_for_tests.h, if p is not NULL. */
df_runtime *oom_runtime(fault_allocator *f, int workers);
df_runtime *oom_runtime_of(fault_allocator *f, df_runtime_options o);
df_runtime *oom_probe_runtime(fault_allocator *f, int workers);
/* The graph is built until it is whole: its first mistake stays, so each time anew. */
df_graph *oom_graph(fault_allocator *f, df_runtime *rt, void (*build)(df_graph *g));
df_session *oom_session(fault_allocator *f, df_graph *g);
df_program *oom_program(fault_allocator *f, df_session *s, df_outs feeds, df_outs fetches);
df_out oom_out(df_graph *g, const char *name);
/* Runs it until it succeeds; its one fetch is an int64 scalar. */
int64_t oom_run(fault_allocator *f, df_program *p, df_tensors feeds);

/* An identity under a name, so that it is found again. */
df_out oom_named(df_graph *g, const char *name, df_out x);

/* count, on sim:0, grows by the feed x; total, on cpu:1, by its new value; both by way of sim:1. */
void oom_build_state(df_graph *g);

/* All of these may be NULL, and are freed in this order. */
void oom_free(df_program *p, df_session *s, df_graph *g, df_runtime *rt);

#endif /* FAULT_OOM_H */
