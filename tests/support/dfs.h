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

/* True under the address sanitizer: ten times as slow, and what it keeps on the stacks makes
 * more states. A test may then bound the preemptions. */
bool dfs_is_slow(void);

/* Says why not, and is false, where fibers cannot be used: the test is then left with 77. */
bool dfs_is_possible(void);

#endif /* SUPPORT_DFS_H */
