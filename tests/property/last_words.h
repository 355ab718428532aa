/* SPDX-License-Identifier: MIT
 *
 * last_words.h - which seed it was, when the program does not come back to say so.
 *
 * A crash, a sanitizer's report and a case that hangs end the program; before it goes,
 * the command that plays this one case again is written to stderr.
 */
#ifndef PROPERTY_LAST_WORDS_H
#define PROPERTY_LAST_WORDS_H

#include <stdint.h>

/* option: behind which the program takes a seed, "--graph". */
void last_words_install(const char *program, const char *option);
/* The case that is tried from now on. One that takes longer than a generous number of
 * seconds hangs: the program is aborted. */
void last_words_set(uint64_t seed);
void last_words_done(void); /* nothing is tried until the next set */

#endif /* PROPERTY_LAST_WORDS_H */
