/* SPDX-License-Identifier: MIT */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
uint64_t clock_now(void);
/* What it shows `ns` from now; never past its end. */
uint64_t clock_after(uint64_t ns);

#endif /* BASE_CLOCK_H */
