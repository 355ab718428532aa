/* SPDX-License-Identifier: MIT */
#include "device/naps.h"

#include "base/clock.h"
#include "base/thread.h"

#include <time.h>

enum { LOOK_NS = 50000, NAP_NS = 20000, NAP_MOST_NS = 100000 };

naps naps_begin(uint64_t timeout) {
    return (naps){.start = clock_now(), .until = clock_after(timeout), .next = NAP_NS};
}

bool naps_go_on(naps *n) {
    n->now = clock_now();
    return n->now < n->until;
}

bool naps_sleep(const naps *n) {
    return n->now - n->start >= LOOK_NS;
}

void naps_take(naps *n) {
    uint64_t left = n->until - n->now, ns = n->next < left ? n->next : left;
    const struct timespec t = {.tv_nsec = (long)ns};
    if (!naps_sleep(n)) {
        thread_pause();
        return;
    }
    (void)nanosleep(&t, NULL);
    n->next = 2 * n->next < NAP_MOST_NS ? 2 * n->next : NAP_MOST_NS;
}
