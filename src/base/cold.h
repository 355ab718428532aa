/* SPDX-License-Identifier: MIT */
#ifndef BASE_COLD_H
#define BASE_COLD_H

/* In front of a function whose own time does not count: it is compiled to be small, with what it
 * alone calls. */
#define COLD __attribute__((cold))

#endif /* BASE_COLD_H */
