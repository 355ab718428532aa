/* SPDX-License-Identifier: MIT
 *
 * common.h - what all benches have in common.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <dataflow/dataflow.h>

/* Whatever is not as it must be ends the program. */
void bench_need(bool holds, const char *what, const char *why);
void bench_ok(df_code code, const df_error *err, const char *what);

void *bench_alloc(size_t bytes); /* zeroed; never NULL */

uint64_t bench_draw(uint64_t *seed); /* splitmix64 */

#endif /* BENCH_COMMON_H */
