/* SPDX-License-Identifier: MIT
 *
 * explain.h - why a program became what it is: which rule put each node where it runs, and
 * each copy between two of them.
 *
 * The passes are pure functions of a request, so nothing is kept for this: they are run
 * once more, and what they leave is read before it goes.
 */
#ifndef COMPILE_EXPLAIN_H
#define COMPILE_EXPLAIN_H

#include "compile/compile.h"

/* Adds the explanation of what compile_program makes of this request, as text or as JSON;
 * <dataflow/partition.h> describes both. On failure *t holds some of it. */
df_code compile_explain(const compile_request *rq, bool json, text *t, df_error *err);

#endif /* COMPILE_EXPLAIN_H */
