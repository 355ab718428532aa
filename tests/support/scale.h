/* SPDX-License-Identifier: MIT
 *
 * scale.h - how much of a long test is done.
 *
 * Under an instrument that slows a program fifty times, as many rounds say no more.
 * tests/run.sh then sets DATAFLOW_TEST_SCALE to what counts are divided by.
 */
#ifndef SUPPORT_SCALE_H
#define SUPPORT_SCALE_H

#include <stddef.h>
#include <stdlib.h>

/* n, or a part of it, but at least 1. */
static inline size_t test_scaled(size_t n) {
    const char *value = getenv("DATAFLOW_TEST_SCALE");
    unsigned long by = value ? strtoul(value, NULL, 10) : 1;
    if (by <= 1) return n;
    return n > by ? n / by : 1;
}

#endif /* SUPPORT_SCALE_H */
