/* SPDX-License-Identifier: MIT
 *
 * fork.h - is this the process that opened a device?
 *
 * A child of fork has the memory of its parent, but not a driver's threads: it must not call the
 * driver, as one that is not there may hold its locks. So a page says 1 here, which fork empties.
 */
#ifndef DEVICE_FORK_H
#define DEVICE_FORK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fork_page {
    const char *at;
    size_t bytes;
} fork_page;

bool fork_page_open(fork_page *p); /* false: the system has no more pages */
void fork_page_close(fork_page *p);

static inline bool fork_is_here(const fork_page *p) {
    return *p->at != 0;
}

#endif /* DEVICE_FORK_H */
