/* SPDX-License-Identifier: MIT
 *
 * value_run.h - runs a case in every way that must make no difference.
 *
 * On a CPU, and with y on a SIM; and on each with the constants that are y's inputs
 *
 *   written        as they stand in the text
 *   fed            as placeholders of their shape
 *   of some rank   as placeholders of whose shape only the rank is known
 *   unknown        as placeholders of which no shape is known
 *   computed       as the results of another node, so that y may compute in their place
 *
 * Each twice, unless there is a variable. All results must be what is wanted, and all must have
 * the same bits.
 */
#ifndef VALUES_VALUE_RUN_H
#define VALUES_VALUE_RUN_H

#include "values/value_file.h"

#include <dataflow/dataflow.h>

typedef struct value_runner {
    df_runtime *cpu, *other; /* with an accelerator, */
    const char *kind;        /* DATAFLOW_TEST_DEVICE, "CUDA" or "OPENCL"; or "SIM" */
    char place[40];
    bool is_gpu;
    size_t n_runs;
} value_runner;

bool value_runner_open(value_runner *r, df_error *err);
void value_runner_close(value_runner *r);

/* False: `why` says in which way it is wrong, and what was found. */
bool value_run(value_runner *r, const value_case *c, char *why, size_t size);

#endif /* VALUES_VALUE_RUN_H */
