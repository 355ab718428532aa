/* SPDX-License-Identifier: MIT
 *
 * naps.h - waiting, for some time, for what can only be asked.
 *
 * Who waits looks often for as long as waking up would take, and then sleeps. A driver has no sleep
 * with an end: so those that have one are naps.
 *
 *     naps n = naps_begin(timeout);
 *     while (naps_go_on(&n) && !is_over()) naps_take(&n);
 */
#ifndef DEVICE_NAPS_H
#define DEVICE_NAPS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct naps {
    uint64_t start, now, until, next; /* ns */
} naps;

naps naps_begin(uint64_t timeout);
bool naps_go_on(naps *n);       /* false: the time is over */
bool naps_sleep(const naps *n); /* what is taken next is a nap, not a look */
void naps_take(naps *n);

#endif /* DEVICE_NAPS_H */
