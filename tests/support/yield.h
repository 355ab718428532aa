/* SPDX-License-Identifier: MIT
 *
 * yield.h - random yields at the library's scheduling points.
 *
 * On two cores threads meet far too seldom inside the few instructions where a race
 * lives. With this installed, each thread gives its core away at points drawn from a
 * seed; the seed is printed, and given back as the program's argument it draws the same
 * points again (the system's own choices remain, so a schedule comes back likely, not
 * surely):
 *
 *   int main(int argc, char **argv) {
 *       yield_install(argc, argv);
 *       return cmocka_run_group_tests(tests, NULL, NULL);
 *   }
 */
#ifndef SUPPORT_YIELD_H
#define SUPPORT_YIELD_H

#include <stdbool.h>
#include <stdint.h>

/* The seed is argv[1] if there is one, else drawn from the clock. Returns it. Call it
 * before any thread of the library runs. */
uint64_t yield_install(int argc, char **argv);
void yield_remove(void);

/* From now on one point in `one_in` gives its core away (8 unless told otherwise, here or by
 * DATAFLOW_TEST_YIELDS in the environment; 0: none does), and one in 16 * `sleeps` of these sleeps
 * for a millisecond (none unless told otherwise, or 0). */
void yield_set_rate(uint32_t one_in, uint32_t sleeps);

/* True if `text` is a number, decimal or with 0x. */
bool yield_parse_seed(const char *text, uint64_t *seed);

/* The next random number of this thread's own sequence, for the test's own choices. */
uint64_t yield_random(void);

#endif /* SUPPORT_YIELD_H */
