/* SPDX-License-Identifier: MIT
 *
 * dfs.h - every interleaving of a few actors, on the real source: <dataflow/schedules.h>, whose
 * scheduling points are here those of the library (base/sched.h).
 */
#ifndef SUPPORT_DFS_H
#define SUPPORT_DFS_H

#include <dataflow/schedules.h>

#define dfs_fail df_schedules_fail

/* As df_schedules_run. Returns the number of schedules, 0 if one failed. */
uint64_t dfs_run(df_schedules what, df_schedules_report *report);

/* What a main returns whose tests are run by `run`, which returns how many failed: 77 where fibers
 * cannot be used. */
int dfs_main(int (*run)(void));

/* True where it is all behaviours of memory that are gone through, not only all interleavings:
 * model/weak/weak.h. What is shared must then be ordered, but for what is marked. */
bool dfs_is_weak(void);
#define DFS_UNWATCHED __attribute__((no_sanitize("thread")))

/* True under the address sanitizer: ten times as slow, and what it keeps on the stacks makes
 * more states. A test may then bound the preemptions. */
bool dfs_is_slow(void);

/* Says why not, and is false, where fibers cannot be used. */
bool dfs_is_possible(void);

#endif /* SUPPORT_DFS_H */
