/* SPDX-License-Identifier: MIT */
#include "support/dfs.h"

#include "base/sched.h"

#include <stdio.h>

uint64_t dfs_run(df_schedules what, df_schedules_report *report) {
    what.struct_size = sizeof what;
    sched_hook = df_schedules_point;
    sched_blocked_hook = df_schedules_blocked;
    int failed = df_schedules_run(&what, report);
    sched_hook = NULL;
    sched_blocked_hook = NULL;
    return failed ? 0 : report->schedules;
}

bool dfs_is_weak(void) {
    return false;
}

bool dfs_is_slow(void) {
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

bool dfs_is_possible(void) {
    if (df_schedules_possible()) return true;
    printf("skipped: fibers do not work under the thread sanitizer\n");
    return false;
}

int dfs_main(int (*run)(void)) {
    return dfs_is_possible() ? run() : 77;
}
