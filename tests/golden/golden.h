/* SPDX-License-Identifier: MIT
 *
 * golden.h - a graph and what it becomes, compared as text with a file.
 *
 * tests/golden/NAME.txt has three parts: comment lines, which say what the case shows, the
 * devices and what is fed and fetched; the graph as df_graph_print writes it; and,
 * behind a line "----", the partitions as df_program_print writes them. Some have a fourth, behind
 * a line "---- explain": why, as df_program_explain writes it. The whole file is compared.
 * Incarnations are injected, so nothing in it changes from run to run.
 *
 * Run with --update, a test writes its files anew: read them before you keep them.
 */
#ifndef GOLDEN_GOLDEN_H
#define GOLDEN_GOLDEN_H

#include <dataflow/dataflow.h>

#include "support/fault.h"

enum { GOLDEN_MOST = 8 };

/* What a case builds into: a graph, and what is asked of it. */
typedef struct golden {
    df_graph *g;
    df_out feeds[GOLDEN_MOST], fetches[GOLDEN_MOST];
    df_node *targets[GOLDEN_MOST];
    size_t n_feeds, n_fetches, n_targets;
    bool explained; /* the file shows why, too */
    fault_allocator heap;
    df_runtime *rt;
    df_session *session;
    df_program *program;
} golden;

typedef struct golden_case {
    const char *name;    /* of the file, without ".txt" */
    const char *shows;   /* one line, or several with '\n' between */
    const char *devices; /* "cpu:2,sim:1" */
    void (*build)(golden *k);
} golden_case;

void golden_feed(golden *k, df_out out);
void golden_fetch(golden *k, df_out out);
void golden_target(golden *k, df_node *node);

/* A placeholder of float32[4] that is fed. */
df_out golden_input(golden *k, const char *name);
/* A vector of float32 zeros, n of them. */
df_out golden_zeros(golden *k, int64_t n);
/* A vector of int64. */
df_out golden_ints(golden *k, const int64_t *values, int64_t n);

/* Builds, compiles, and compares with the file in `folder`; or writes it. Asserts that
 * nothing has leaked, too. */
void golden_check(const golden_case *the_case, const char *folder, bool update);

#endif /* GOLDEN_GOLDEN_H */
