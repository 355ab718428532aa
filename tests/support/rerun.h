/* SPDX-License-Identifier: MIT
 *
 * rerun.h - a test that must fail, seen from outside.
 *
 * What ends a test in failure can only be tested in another process: the program runs
 * itself again with the name of what shall fail as its argument, and looks at how that
 * ended.
 */
#ifndef SUPPORT_RERUN_H
#define SUPPORT_RERUN_H

#include <stdbool.h>

/* Runs `program argument`, its output thrown away; where the environment's DATAFLOW_TEST_EMULATOR
 * names one, by that. True: it ended with a failure of its own, not by a signal. */
bool rerun_fails(const char *program, const char *argument);

#endif /* SUPPORT_RERUN_H */
